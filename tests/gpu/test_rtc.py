"""mx.rtc: kernels of the user's own."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError
from mxcy.gpu.compiler import Nvrtc
from tests.gpu.tools import real_nvrtc

AXPY = r"""
extern "C" __global__ void axpy(const float *x, float *y, float alpha) {
    int i = threadIdx.x + blockIdx.x * blockDim.x;
    y[i] += alpha * x[i];
}
"""
#: The emulator has a macro of its own for dynamic shared memory.
DYNAMIC = """
#ifndef MXCY_DYN_SHARED
#define MXCY_DYN_SHARED(type, name) extern __shared__ type name[]
#endif
"""
SIGNATURE = "const float *x, float *y, float alpha"
gpu = mx.gpu(0)
needs_gpu = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                           "python -m tests.gpu")]


def marked(function):
    for mark in needs_gpu:
        function = mark(function)
    return function


@marked
def test_axpy():
    axpy = mx.rtc.CudaModule(AXPY).get_kernel("axpy", SIGNATURE)
    x, y = nd.array(np.ones(30), ctx=gpu), nd.array(np.zeros(30), ctx=gpu)
    for _ in range(3):
        axpy.launch([x, y, 3.0], gpu, (3, 1, 1), (10, 1, 1))
    y *= 2
    assert y.asnumpy().tolist() == [18] * 30 and x.asnumpy().tolist() == [1] * 30


@marked
def test_options_shared_memory_and_types():
    source = r"""
    extern "C" __global__ void turn(const double* x, double* y, long long n, const int add, unsigned char* flag) {
        MXCY_DYN_SHARED(double, shared);
        shared[threadIdx.x] = x[threadIdx.x] * N;
        __syncthreads();
        y[threadIdx.x] = shared[n - 1 - threadIdx.x] + add;
        if (threadIdx.x == 0) *flag = 7;
    }
    """
    turn = mx.rtc.CudaModule(DYNAMIC + source, options="-DN=10").get_kernel(
        "turn", "const double*, double* y, long long n, const int add, unsigned char* flag")
    x, y = nd.array(np.arange(5), ctx=gpu, dtype="float64"), nd.empty((5,), ctx=gpu, dtype="float64")
    flag = nd.empty((1,), ctx=gpu, dtype="uint8")
    turn.launch([x, y, 5, 1, flag], gpu, (1, 1, 1), (5, 1, 1), shared_mem=40)
    assert y.asnumpy().tolist() == [41, 31, 21, 11, 1] and flag.asnumpy() == 7


@marked
def test_a_launch_waits_for_what_is_pending():
    """The array comes from the host, where it is still being computed."""
    axpy = mx.rtc.CudaModule(AXPY).get_kernel("axpy", SIGNATURE)
    for _ in range(10):
        host = nd.array(np.random.default_rng(0).normal(size=(300, 300)))
        y = nd.dot(host, host).as_in_context(gpu)
        axpy.launch([y, y, 1.0], gpu, (300, 1, 1), (300, 1, 1))
        np.testing.assert_allclose(y.asnumpy(), 2 * host.asnumpy() @ host.asnumpy(), rtol=1e-4, atol=1e-4)


@marked
def test_errors():
    module = mx.rtc.CudaModule(AXPY)
    x, host = nd.array([1], ctx=gpu), nd.array([1])
    axpy = module.get_kernel("axpy", SIGNATURE)
    with pytest.raises(MXNetError, match="an argument is float32 on cpu.*expected an NDArray of float32 on gpu"):
        axpy.launch([host, x, 1], gpu, (1, 1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match="2 arguments given; expected 3"):
        axpy.launch([x, x], gpu, (1, 1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match="expected a number for float32"):
        axpy.launch([x, x, "y"], gpu, (1, 1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match=r"grid_dims is \(1, 1\)"):
        axpy.launch([x, x, 1], gpu, (1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match="kernels are launched on GPUs"):
        axpy.launch([x, x, 1], mx.cpu(), (1, 1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match="looking up the kernel nothing"):
        module.get_kernel("nothing", "float* x").launch([x], gpu, (1, 1, 1), (1, 1, 1))
    with pytest.raises(MXNetError, match="a kernel does not compile"):
        mx.rtc.CudaModule("nonsense").get_kernel("f", "float* x").launch([x], gpu, (1, 1, 1), (1, 1, 1))


def test_signatures():
    module = mx.rtc.CudaModule(AXPY)
    with pytest.raises(MXNetError, match="the parameter 'quaternion q' is not understood"):
        module.get_kernel("f", "float* x, quaternion q")
    assert repr(module.get_kernel("axpy", SIGNATURE)) == f"<CudaKernel axpy({SIGNATURE})>"


@pytest.mark.skipif(real_nvrtc() is None, reason="NVRTC is not installed")
def test_exports(monkeypatch):
    """Templates by name: the real compiler says how it calls them."""
    monkeypatch.setenv("MXCY_LIBNVRTC", real_nvrtc())
    code, names = Nvrtc().compile("template <class T> __global__ void twice(T* x) { *x *= 2; }", ["-arch=sm_90"],
                                  ["twice<float>", "twice<double>"])
    assert names["twice<float>"] != names["twice<double>"] and all(name.encode() in code for name in names.values())
