"""The kernels that run on the emulator are CUDA C++: NVIDIA's own compiler takes the same text."""
from pathlib import Path

import pytest

from mxcy.base import MXNetError
from mxcy.gpu import compiler
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


@pytest.mark.skipif(real_nvrtc() is None, reason="NVRTC is not installed")
def test_headers_in_the_working_folder_are_not_included(tmp_path, monkeypatch):
    """A program may run where another checkout lies, or somebody else's files."""
    (tmp_path / "mxcy/ops").mkdir(parents=True)
    (tmp_path / "mxcy/ops/unary.h").write_text("#error the wrong file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MXCY_LIBNVRTC", real_nvrtc())
    monkeypatch.setenv("MXCY_KERNEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler, "nvrtc", compiler.Nvrtc)
    text = '#include "mxcy/ops/unary.h"\nextern "C" __global__ void f(float* x) { *x = mxcy::exp_op<float>(nullptr)(*x); }\n'
    assert b"ELF" in compiler.compile_source(text, "sm_90")
    with pytest.raises(MXNetError, match="the wrong file"):
        compiler.Nvrtc().compile(text, ["-arch=sm_90", *compiler.OPTIONS])
