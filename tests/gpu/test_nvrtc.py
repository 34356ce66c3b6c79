"""The kernels that run on the emulator are CUDA C++: NVIDIA's own compiler takes the same text."""
from pathlib import Path

import pytest

from tests.gpu.tools import Nvrtc, build_nvrtc, real_nvrtc

KERNELS = Path(__file__).with_name("kernels.cu").read_text()


@pytest.fixture(scope="module")
def nvrtc():
    path = real_nvrtc()
    if path is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc)")
    return Nvrtc(path)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_kernels_compile(nvrtc, architecture):
    code, log = nvrtc.compile(KERNELS, architecture)
    assert code is not None, log
    assert log == ""
    assert code[:4] == b"\x7fELF"


@pytest.mark.parametrize("source", [
    "atomicAdd((size_t*)x, (size_t)1);",            # unsigned long: CUDA has unsigned long long
    "x[0] = __shfl_sync(~0u, dim3(), 0);",
    "x[0] = undeclared;",
    "float y = x; x[0] = y;"])
def test_both_compilers_refuse_the_same(nvrtc, source):
    source = f'extern "C" __global__ void f(float* x) {{ {source} }}'
    assert nvrtc.compile(source)[0] is None
    assert Nvrtc(build_nvrtc()).compile(source)[0] is None
