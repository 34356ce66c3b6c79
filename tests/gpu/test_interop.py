"""Memory of GPUs shared with other libraries: DLPack and CUDA's array interface, both ways, with streams."""
import gc

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError
from mxcy.gpu._device import device, pycuda_context

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)


class Asked:
    """Hands out an array by DLPack, and keeps what it was asked."""

    def __init__(self, array):
        self.array, self.streams = array, []

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, *, stream=None, max_version=None):
        self.streams.append(stream)
        return self.array.__dlpack__(stream=stream, max_version=max_version)


@pytest.fixture
def cuda():
    """PyCUDA's driver module, with the device's context on this thread's stack."""
    driver = pytest.importorskip("pycuda.driver")
    pycuda_context(0).push()
    yield driver
    driver.Context.pop()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bfloat16"])
def test_dlpack_there_and_back(dtype):
    x = nd.array(np.arange(6).reshape(2, 3), ctx=gpu, dtype=dtype)
    asked = Asked(x)
    y = nd.from_dlpack(asked)
    assert asked.streams == [device(0)[1]] and x.__dlpack_device__() == (2, 0)
    assert y.context == gpu and y.dtype_name == dtype and y.shape == (2, 3)
    y += 1
    assert x.asnumpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    del x, asked
    gc.collect()
    assert (y * 2).asnumpy().tolist() == [[2, 4, 6], [8, 10, 12]]


def test_dlpack_capsules():
    x = nd.array([1, 2, 3], ctx=gpu)
    y = nd.from_dlpack(x.to_dlpack_for_write())
    y *= 2
    assert x.asnumpy().tolist() == [2, 4, 6]
    x.__dlpack__(stream=-1)                 # nobody takes it
    with pytest.raises(MXNetError, match=r"dl_device is \(1, 0\)"):
        x.__dlpack__(dl_device=(1, 0))


def test_our_arrays_for_pycuda(cuda):
    """PyCUDA's stream waits for ours before it copies."""
    x = nd.array(np.zeros(50_000), ctx=gpu)
    for _ in range(10):
        x = x + 1
    described = x.__cuda_array_interface__
    assert described["shape"] == (50_000,) and described["typestr"] == "<f4" and described["strides"] is None
    assert described["stream"] == device(0)[1]
    stream = cuda.Stream()
    x.__dlpack__(stream=stream.handle)
    host = np.empty(x.shape, np.float32)
    cuda.memcpy_dtoh_async(host, described["data"][0], stream)
    stream.synchronize()
    assert host.min() == host.max() == 10


def test_arrays_of_pycuda_for_us(cuda):
    class Foreign:
        """Memory that a stream of PyCUDA fills."""

        def __init__(self, stream):
            self.memory, self.stream = cuda.mem_alloc(4 * 1000), stream
            cuda.memset_d32_async(self.memory, np.float32(3).view(np.int32).item(), 1000, stream)
            self.__cuda_array_interface__ = {"shape": (10, 100), "typestr": "<f4", "data": (int(self.memory), False),
                                             "version": 3, "strides": None, "stream": stream.handle}

    foreign = Foreign(cuda.Stream())
    x = nd.from_dlpack(foreign)
    assert x.context == gpu and (x + 1).asnumpy().tolist() == [[4] * 100] * 10
    foreign.__cuda_array_interface__["strides"] = (4, 40)
    with pytest.raises(MXNetError, match="not contiguous"):
        nd.from_dlpack(foreign)


def test_the_host_has_no_cuda_interface():
    assert not hasattr(nd.array([1]), "__cuda_array_interface__")
    with pytest.raises(MXNetError, match="knows no bfloat16"):
        hasattr(nd.array([1], ctx=gpu, dtype="bfloat16"), "__cuda_array_interface__")


def test_numpy_cannot_look_into_a_gpu():
    x = nd.array([1, 2], ctx=gpu)
    assert np.asarray(x).tolist() == [1, 2]
    with pytest.raises(MXNetError, match="NumPy cannot look into the memory of a GPU"):
        np.asarray(x, copy=False)
