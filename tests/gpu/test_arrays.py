"""Arrays on GPUs: copies between devices, memory, waiting, threads; with random delays of the streams."""
import gc
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY
from mxcy.storage import device_memory

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)


@pytest.fixture
def other():
    """A second device."""
    if mx.num_gpus() < 2:
        pytest.skip("needs two GPUs")
    return mx.gpu(1)


@pytest.mark.parametrize("dtype", NUMPY)
def test_there_and_back(dtype):
    x = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (3, 5)).astype(NUMPY[dtype])
    there = nd.array(x, ctx=gpu, dtype=dtype)
    assert there.context == gpu and there.shape == (3, 5) and there.dtype_name == dtype
    np.testing.assert_array_equal(there.asnumpy(), x)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 20) + 3, (17 << 20) + 1])
def test_copies_of_any_size(size):
    """Among them those of several turns of the page-locked memory."""
    x = np.random.default_rng(size).integers(0, 255, size, np.uint8)
    np.testing.assert_array_equal(nd.array(x, ctx=gpu, dtype="uint8").asnumpy(), x)


def test_between_devices(other):
    x = np.arange(100_000, dtype=np.float32)
    there = nd.array(x, ctx=gpu).as_in_context(other)
    assert there.context == other
    np.testing.assert_array_equal((there * 2).as_in_context(gpu).as_in_context(mx.cpu()).asnumpy(), 2 * x)
    target = nd.empty(x.shape, ctx=gpu)
    there.copyto(target)
    np.testing.assert_array_equal(target.asnumpy(), x)


def test_what_is_written_after_a_copy_does_not_change_the_copy(other):
    for _ in range(20):
        x = nd.array(np.zeros(50_000), ctx=gpu)
        there, here = x.as_in_context(other), x.as_in_context(mx.cpu())
        x += 1
        assert there.asnumpy().max() == here.asnumpy().max() == 0 and x.asnumpy().min() == 1


def test_views_share_memory():
    x = nd.array(np.arange(12).reshape(3, 4), ctx=gpu)
    x[1] *= 10
    assert x.asnumpy().tolist() == [[0, 1, 2, 3], [40, 50, 60, 70], [8, 9, 10, 11]]
    assert x.reshape(4, 3)[1:3].asnumpy().tolist() == [[3, 40, 50], [60, 70, 8]]


def test_a_mixture_of_host_and_gpu():
    for i in range(20):
        x = nd.array(np.full(1000, i), ctx=gpu)
        for _ in range(3):
            x = (x + 1).as_in_context(mx.cpu())
            x = (x * 2).as_in_context(gpu)
        assert x.asnumpy().tolist() == [8 * i + 14] * 1000


def test_gradients_cross_devices(other):
    x = nd.array([1, 2, 3], ctx=mx.cpu())
    x.attach_grad()
    with autograd.record():
        y = (x * 2).as_in_context(gpu)
        z = (y * y).as_in_context(other) * 3
    z.backward(nd.ones(3).as_in_context(other))
    assert x.grad.context == mx.cpu() and x.grad.asnumpy().tolist() == [24, 48, 72]


def test_inputs_on_two_devices_are_an_error():
    x, y = nd.array([1], ctx=gpu), nd.array([1])
    with pytest.raises(MXNetError, match=r"inputs are on gpu\(0\) and cpu\(0\).*as_in_context"):
        x + y
    with pytest.raises(MXNetError, match=r"inputs are on gpu\(0\) and out on cpu\(0\)"):
        nd.elemwise_add(x, x, out=y)


def test_a_device_that_is_not_there():
    with pytest.raises(MXNetError, match=r"gpu\(63\): the driver sees \d devices.*mx.cpu"):
        nd.array([1], ctx=mx.gpu(63))


def test_saving_and_loading(tmp_path):
    x = nd.array([[1, 2], [3, 4]], ctx=gpu)
    nd.save(str(tmp_path / "x.params"), {"x": x})
    with gpu:
        loaded = nd.load(str(tmp_path / "x.params"))["x"]
    assert loaded.context == mx.cpu() and loaded.asnumpy().tolist() == [[1, 2], [3, 4]]


def test_memory_is_used_again():
    def step():
        x = nd.array(np.ones((300, 1000)), ctx=gpu)
        for _ in range(5):
            x = x * 2
        return float(x[0, 0].asscalar())

    step()
    before = device_memory(0)
    for _ in range(30):
        assert step() == 32
    after = device_memory(0)
    assert after["peak"] == before["peak"] and after["in_use"] == before["in_use"]


def test_empty_cache_gives_memory_back():
    x = nd.array(np.ones(5 << 20, np.uint8), ctx=gpu, dtype="uint8")
    x.wait_to_read()
    del x
    free = mx.context.gpu_memory_info(0)[0]
    gpu.empty_cache()
    assert mx.context.gpu_memory_info(0)[0] >= free + (5 << 20)


def test_out_of_memory_names_what_is_asked_for_and_the_next_request_works():
    free, total = mx.context.gpu_memory_info(0)
    with pytest.raises(MXNetError, match=r"gpu\(0\) is out of memory: [\d,]+ bytes were asked for; [\d,]+ are in use, "
                                         r"[\d,]+ cached, and [\d,]+ of [\d,]+ free"):
        nd.empty((2 * total,), ctx=gpu, dtype="uint8")
    assert (nd.array([1, 2], ctx=gpu) + 1).asnumpy().tolist() == [2, 3]


def test_threads_compute_and_end():
    """A thread that used the device may end, and its arrays may be let go of elsewhere."""
    results, kept = [], []

    def work(k):
        x = nd.array(np.full(1000, k), ctx=gpu)
        for _ in range(10):
            x = x + 1
        kept.append(x)
        results.append((k, x.asnumpy().tolist() == [k + 10] * 1000))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept.clear()
    gc.collect()
    assert sorted(results) == [(k, True) for k in range(8)]
