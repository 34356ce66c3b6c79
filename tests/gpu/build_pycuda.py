"""Install PyCUDA where there is no CUDA toolkit: ``python -m tests.gpu.build_pycuda``.

PyCUDA comes as source, whose build looks for a toolkit. It needs of it no more than two headers, which wheels have, and
a ``libcuda.so`` to be linked with, for which the stand-in driver serves. What is built is ordinary PyCUDA: it runs with
NVIDIA's driver just as well. The build takes a minute or two; the wheel is kept in ``build/gpu-standin`` of the
checkout, and where PyCUDA is installed nothing is done.
"""
import importlib.util
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.gpu.tools import BUILD, build_driver, cuda_headers

VERSION = "2026.1"


def pip(*arguments):
    """Run this environment's pip."""
    subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], check=True)


def build_wheel():
    """The path of a wheel for this Python."""
    folder = BUILD / f"pycuda-{VERSION}-{sys.implementation.cache_tag}-{cuda_headers().parent.name}"
    if not list(folder.glob("*.whl")):
        with tempfile.TemporaryDirectory() as work:
            work = Path(work)
            pip("download", "--no-binary=pycuda", "--no-deps", f"--dest={work}", f"pycuda=={VERSION}")
            pip("install", "--no-deps", f"--target={work}", "nvidia-cuda-profiler-api")
            with tarfile.open(next(work.glob("pycuda-*.tar.gz"))) as archive:
                archive.extractall(work, filter="data")
            source = next(path for path in work.glob("pycuda-*") if path.is_dir())
            headers = [cuda_headers(), *work.glob("nvidia/*/include")]
            (work / "libcuda.so").symlink_to(build_driver())
            (source / "siteconf.py").write_text(f"CUDA_INC_DIR = {[str(path) for path in headers]}\n"
                                                f"CUDADRV_LIB_DIR = [{str(work)!r}]\n"
                                                "CUDA_ENABLE_CURAND = False\n"
                                                'CXXFLAGS = ["-O1", "-g0", "-w"]\n')
            pip("wheel", "--no-deps", f"--wheel-dir={folder}", source)
    return next(folder.glob("*.whl"))


def main():
    """Install PyCUDA and the packages that it needs, unless it is there."""
    if importlib.util.find_spec("pycuda") is None:
        pip("install", build_wheel())


if __name__ == "__main__":
    main()
