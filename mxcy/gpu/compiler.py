"""CUDA C++ to machine code at run time: NVRTC, and a cache of what it made, in memory and on disk.

Kernels are compiled when they are first needed, straight to the code of the device (no PTX, which the driver would
compile once more). They may include the package's own headers and nothing else: NVRTC has no standard library, and
`mxcy/gpu/include` holds what the headers need of it.
"""
import ctypes
import functools
import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path

from mxcy.base import MXNetError
from mxcy.gpu import _module
from mxcy.gpu.libraries import candidates

__all__ = ["compile_source", "function"]

PACKAGE = Path(__file__).parents[1]
OPTIONS = ["-std=c++17", "-default-device", f"-I{PACKAGE.parent}", f"-I{PACKAGE / 'gpu' / 'include'}"]
QUOTED = re.compile(r'^#include "(.*)"$', re.MULTILINE)
FORMAT = 1                          # of the cache: raise it when what is stored changes

_lock = threading.Lock()
_functions = {}                     # (source, name, device) -> handle
_modules = {}                       # (source, device) -> handle


class Nvrtc:
    """NVIDIA's run-time compiler, opened when first needed."""

    def __init__(self):
        self.library = self.open()
        self.library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self.call("nvrtcVersion", ctypes.byref(major), ctypes.byref(minor))
        self.version = major.value, minor.value

    @staticmethod
    def open():
        """The first of: ``MXCY_LIBNVRTC``, the wheel nvidia-cuda-nvrtc, what the system's loader finds."""
        problem = None
        for name in candidates("MXCY_LIBNVRTC", "libnvrtc"):
            try:
                return ctypes.CDLL(name)
            except OSError as error:
                problem = problem or error
        raise MXNetError(f"kernels for the GPU are compiled with NVRTC, and it cannot be opened ({problem}). "
                         "Install it: pip install nvidia-cuda-nvrtc, or conda install cuda-nvrtc.")

    def call(self, name, *arguments):
        """Call a function of the library; MXNetError if it reports an error."""
        status = getattr(self.library, name)(*arguments)
        if status:
            raise MXNetError(f"{name}: {self.library.nvrtcGetErrorString(status).decode()}")

    def text(self, program, what):
        """What ``nvrtcGet<what>`` gives, as bytes."""
        size = ctypes.c_size_t()
        self.call(f"nvrtcGet{what}Size", program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(size.value)
        self.call(f"nvrtcGet{what}", program, buffer)
        return buffer.raw

    def compile(self, source, options, exports=()):
        """The machine code of a source text, and how it calls each of the C++ names to export."""
        program, lowered = ctypes.c_void_p(), ctypes.c_char_p()
        self.call("nvrtcCreateProgram", ctypes.byref(program), source.encode(), b"mxcy.cu", 0, None, None)
        try:
            for name in exports:
                self.call("nvrtcAddNameExpression", program, name.encode())
            array = (ctypes.c_char_p * len(options))(*[option.encode() for option in options])
            if self.library.nvrtcCompileProgram(program, len(options), array):
                log = self.text(program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
                raise MXNetError(f"a kernel does not compile:\n{log}\n{numbered(source)}")
            names = {}
            for name in exports:
                self.call("nvrtcGetLoweredName", program, name.encode(), ctypes.byref(lowered))
                names[name] = lowered.value.decode()
            return self.text(program, "CUBIN"), names
        finally:
            self.library.nvrtcDestroyProgram(ctypes.byref(program))


@functools.cache
def nvrtc():
    """The compiler."""
    return Nvrtc()


def numbered(source):
    """The text with line numbers, for messages of a compiler."""
    return "\n".join(f"{i:4} | {line}" for i, line in enumerate(source.splitlines(), 1))


@functools.cache
def headers():
    """A digest of every header that a kernel could include."""
    digest = hashlib.sha256()
    for folder in (PACKAGE / "ops", PACKAGE / "gpu"):
        for path in sorted(p for p in folder.rglob("*") if p.suffix in (".h", ".cuh") or p.parent.name == "include"):
            if path.is_file():
                digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cache_folder():
    """Where compiled kernels are kept: ``MXCY_KERNEL_CACHE``, else the user's cache folder."""
    from platformdirs import user_cache_path        # comes with PyCUDA
    return Path(os.environ.get("MXCY_KERNEL_CACHE") or user_cache_path("mxcy") / "kernels")


def compile_source(source, architecture):
    """Machine code for a source text, from the disk if it was compiled before.

    Parameters
    ----------
    source : str
        CUDA C++17.
    architecture : str
        Such as ``"sm_90"``.

    Returns
    -------
    bytes

    Raises
    ------
    MXNetError
        If there is no compiler, or it does not take the text: with its messages.
    """
    compiler = nvrtc()
    # NVRTC looks for quoted names in the working folder first: what lies there must not get into our kernels.
    source = QUOTED.sub(r"#include <\1>", source)
    options = [f"-arch={architecture}", *OPTIONS]
    key = hashlib.sha256(repr((FORMAT, compiler.version, compiler.library._name, options, headers())).encode()
                         + source.encode()).hexdigest()
    path = cache_folder() / key[:2] / f"{key}.cubin"
    try:
        return path.read_bytes()
    except OSError:
        pass
    code, _ = compiler.compile(source, options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(code)
        os.replace(file.name, path)
    except OSError:
        pass                        # a cache that cannot be written is no reason to fail
    return code


def function(source, name, device):
    """The kernel ``name`` of a source text, on a device.

    Returns
    -------
    int
        The driver's handle; it stays valid.
    """
    key = source, name, device
    found = _functions.get(key)
    if found is None:
        with _lock:
            if (source, device) not in _modules:
                _modules[source, device] = _module.load(compile_source(source, architecture(device)), device)
            found = _functions[key] = _module.function(_modules[source, device], name, device)
    return found


@functools.cache
def architecture(device):
    """Such as ``"sm_90"``."""
    import pycuda.driver as cuda
    major, minor = cuda.Device(device).compute_capability()
    return f"sm_{major}{minor}"
