"""What the tests of the GPU path build and open: the stand-ins for NVIDIA's libraries, and the real NVRTC where it is."""
import ctypes
import hashlib
import importlib.util
import os
import subprocess
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BUILD = CHECKOUT / "build/gpu-standin"
CXX = os.environ.get("CXX", "g++").split()


def build(sources, name, flags=()):
    """A shared library made of C++ sources, compiled only when they, what lies beside or above them, or the flags have changed.

    Several processes may build at once: each does so under a name of its own, and the last one's result stays.

    Parameters
    ----------
    sources : list of Path
    name : str
        File name, such as ``libcuda.so.1``.
    flags : list of str
        Further flags for the compiler and the linker.

    Returns
    -------
    Path
        ``build/gpu-standin/<hash>/<name>``.
    """
    command = [*CXX, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wno-unused-parameter", "-shared", "-fPIC", "-pthread",
               *map(str, sources), *flags]
    digest = hashlib.sha256(repr(command).encode())
    for folder in sorted({folder for source in sources for folder in (source.parent, source.parent.parent)}):
        for file in sorted([*folder.glob("*.h"), *folder.glob("*.cpp")]):
            digest.update(file.name.encode() + file.read_bytes())
    library = BUILD / digest.hexdigest()[:16] / name
    if not library.exists():
        library.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = Path(folder) / name
            result = subprocess.run([*command, "-o", str(made)], capture_output=True, text=True)
            if result.returncode:
                raise RuntimeError(f"{name} does not compile:\n{result.stderr}")
            os.replace(made, library)
    return library


def cuda_headers():
    """The folder that holds ``cuda.h``: that of the wheel nvidia-cuda-runtime, else the toolkit's."""
    spec = importlib.util.find_spec("nvidia")
    folders = [path for folder in (spec.submodule_search_locations if spec else [])
               for path in sorted(Path(folder).glob("cu*/include"), reverse=True)]
    folders += [Path(home) / "include" for home in (os.environ.get("CUDA_HOME"), "/usr/local/cuda") if home]
    for folder in folders:
        if (folder / "cuda.h").exists():
            return folder
    raise RuntimeError("cuda.h is nowhere. Install it: pip install nvidia-cuda-runtime")


def build_driver():
    """The path of the stand-in for ``libcuda.so.1``."""
    return build(sorted((Path(__file__).parent / "driver").glob("*.cpp")), "libcuda.so.1",
                 [f"-I{cuda_headers()}", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1", "-Wl,-Bsymbolic", "-ldl"])


def build_nvrtc():
    """The path of the stand-in for libnvrtc, which compiles kernels for the emulator."""
    folder = CHECKOUT / "tests/gpu/emulator"
    # Not NVIDIA's name: the loader would give this library to whoever asks for that later in the same process.
    return build([folder / "nvrtc.cpp"], "libnvrtc-standin.so",
                 [f'-DEMULATOR_FOLDER="{folder}"', f'-DCACHE_FOLDER="{BUILD / "kernels"}"',
                  "-Wl,-soname,libnvrtc-standin.so"])


def build_cublas():
    """The path of the stand-in for libcublasLt."""
    return build(sorted((CHECKOUT / "tests/gpu/cublas").glob("*.cpp")), "libcublasLt-standin.so",
                 ["-fvisibility=hidden", "-Wl,-soname,libcublasLt-standin.so", "-ldl"])


def build_cudnn():
    """The path of the stand-in for libcudnn."""
    return build([CHECKOUT / "tests/gpu/cudnn/cudnn.cpp"], "libcudnn.so.9", ["-O2", "-Wl,-soname,libcudnn-standin.so",
                                                                            "-ldl"])


def build_nccl():
    """The path of the stand-in for libnccl."""
    return build([CHECKOUT / "tests/gpu/nccl/nccl.cpp"], "libnccl.so.2",
                 [f"-I{cuda_headers()}", f"-I{CHECKOUT}", "-fvisibility=hidden", "-Wl,-soname,libnccl.so.2", "-ldl"])


def standins():
    """What the environment must hold for mxcy to use the stand-ins."""
    flags = os.environ.get("CUDA_EMULATOR_FLAGS", "")          # what mxcy cannot know, and kernels depend on
    return {"MXCY_LIBCUDA": str(build_driver()), "MXCY_LIBNVRTC": str(build_nvrtc()),
            "MXCY_LIBCUBLAS": str(build_cublas()), "MXCY_LIBCUDNN": str(build_cudnn()),
            "MXCY_LIBNCCL": str(build_nccl()),
            "MXCY_KERNEL_CACHE": str(BUILD / "cubins" / hashlib.sha256(flags.encode()).hexdigest()[:16])}


def in_wheels(pattern):
    """Libraries that the installed wheels of NVIDIA hold, newest first."""
    spec = importlib.util.find_spec("nvidia")
    return [path for folder in (spec.submodule_search_locations if spec else [])
            for path in sorted(Path(folder).glob(f"*/lib/{pattern}"), reverse=True)]


def real_cudnn():
    """The path of NVIDIA's own cuDNN: that of the wheel nvidia-cudnn-cu13 or -cu12; None if there is none."""
    return next(iter(in_wheels("libcudnn.so.9")), None)


def real_nvrtc():
    """The path of NVIDIA's own NVRTC: that of the wheel nvidia-cuda-nvrtc, else the system's; None if there is none."""
    wheels = in_wheels("libnvrtc.so.1?")
    for path in map(str, [*wheels, "libnvrtc.so.13", "libnvrtc.so.12"]):
        try:
            ctypes.CDLL(path)
        except OSError:
            continue
        return path
    return None


class Nvrtc:
    """A library with NVRTC's functions, NVIDIA's or the stand-in."""

    #: What mxcy gives to every compilation.
    OPTIONS = ["-std=c++17", "-default-device", f"-I{CHECKOUT}", f"-I{CHECKOUT / 'mxcy/gpu/include'}"]

    def __init__(self, path):
        self.library = ctypes.CDLL(str(path))
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p

    def call(self, name, *arguments):
        status = getattr(self.library, name)(*arguments)
        if status:
            raise RuntimeError(f"{name}: {self.library.nvrtcGetErrorString(status).decode()}")

    def read(self, program, what):
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        data = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, data)
        return data.raw

    def compile(self, source, architecture="sm_90", options=()):
        """Machine code and messages; None in place of the code if the source is wrong."""
        program = ctypes.c_void_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
        try:
            given = [option.encode() for option in [f"-arch={architecture}", *self.OPTIONS, *options]]
            status = self.library.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
            log = self.read(program, "ProgramLog").rstrip(b"\0").decode()
            return None if status else self.read(program, "CUBIN"), log
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


if __name__ == "__main__":                      # env $(python -m tests.gpu.tools) python program.py
    print(*(f"{name}={value}" for name, value in standins().items()))
