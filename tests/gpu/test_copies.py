"""What copies wait for, and what not: on the stand-in, whose streams can be held and whose memory can be looked at."""
import contextlib
import ctypes
import os
import threading
import time

import numpy as np
import pytest

import mxcy as mx
from mxcy import gluon, nd
from mxcy.gpu._device import device
from mxcy.storage import locked_memory

from tests.gpu.standin import Driver

STANDIN = mx.num_gpus() and "gpu-standin" in os.environ.get("MXCY_LIBCUDA", "")
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not STANDIN, reason="needs the stand-in: python -m tests.gpu")]
gpu, pinned = mx.gpu(0), mx.cpu_pinned(0)
N = 400_000                         # more than a MiB: blocks of the driver's own, so that an empty cache is empty


@pytest.fixture
def driver():
    """The driver with the first device current, and nothing large in the caches."""
    driver = Driver(os.environ["MXCY_LIBCUDA"])
    driver("cuCtxSetCurrent", device(0)[0])
    nd.waitall()
    gpu.empty_cache()
    yield driver
    driver("cuCtxSetCurrent", 0)


@contextlib.contextmanager
def held(driver):
    """What is issued to the compute stream in the block does not run before its end.

    An ``assert`` in the block must not name arrays: if it fails, it prints them.
    """
    gate = driver.hold(device(0)[1])
    try:
        yield gate
    finally:
        gate.set()


def batch(k, n=N):
    return np.arange(k, k + n, dtype=np.float32)


def address(x):
    return x.__cuda_array_interface__["data"][0]


def memory(x):
    """The array's memory as it is now."""
    return np.ctypeslib.as_array(ctypes.cast(address(x), ctypes.POINTER(ctypes.c_float)), x.shape)


def soon(condition):
    """Whether it becomes true."""
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(.001)
    return condition()


def arrives(x, values):
    """Whether an array's memory soon holds values."""
    return soon(lambda: (memory(x) == values).all())


def stays(place, values):
    """Whether memory still holds values after a while."""
    time.sleep(.05)
    return (place == values).all()


# -- uploads -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("source", [gpu, mx.cpu(), pinned])
def test_the_next_batch_arrives_while_kernels_compute(driver, source):
    """As in a loop: the memory of a batch is used again for the one after the next."""
    def upload(k):
        return nd.array(batch(k), ctx=source).as_in_context(gpu)

    results, addresses = [], set()
    x = upload(0)
    for k in range(1, 6):
        with held(driver):
            results.append(x * 2)
            x = upload(k)                       # while kernels wait that use the one before
            assert arrives(x, batch(k))
            results.append(x + 1)
            addresses.add(address(x))
    assert len(addresses) == 2
    for k, result in enumerate(results):
        expected = batch(k // 2) * 2 if k % 2 == 0 else batch(k // 2 + 1) + 1
        assert (result.asnumpy() == expected).all()


def test_memory_that_kernels_still_use_is_not_written(driver):
    x = nd.array(batch(0), ctx=gpu)
    with held(driver):
        y, at = x * 2, address(x)
        del x
        new = nd.array(batch(7), ctx=gpu)
        same, waits = address(new) == at, stays(memory(new), batch(0))
    assert same and waits
    assert (y.asnumpy() == 2 * batch(0)).all() and (new.asnumpy() == batch(7)).all()


def test_memory_that_kernels_have_written_is_not_either(driver):
    x = nd.array(batch(0), ctx=gpu)
    with held(driver):
        y = x * 2
        z, at = y + 1, address(y)
        del y
        new = nd.array(batch(7), ctx=gpu)
        time.sleep(.05)
        same, waits = address(new) == at, not (memory(new) == batch(7)).any()
    assert same and waits
    assert (z.asnumpy() == 2 * batch(0) + 1).all() and (new.asnumpy() == batch(7)).all()


@pytest.mark.parametrize("make", [lambda: batch(3), lambda: nd.array(batch(3), ctx=pinned)])
def test_an_array_that_exists_is_written_behind_kernels(driver, make):
    x = nd.array(batch(0), ctx=gpu)
    with held(driver):
        y = x * 2
        x[:] = make()
        waits = stays(memory(x), batch(0))
    assert waits and (y.asnumpy() == 2 * batch(0)).all() and (x.asnumpy() == batch(3)).all()


def test_large_uploads_run_ahead_of_the_device(driver):
    """The host fills page-locked pieces while the device has not taken the first; the array is copied when it is done."""
    value = batch(0, 3 << 20)
    x = nd.array(value, ctx=gpu)
    before = driver.calls("cuMemcpyHtoDAsync")
    with held(driver):
        x[:] = value
        value[:] = 0
        assert driver.calls("cuMemcpyHtoDAsync") - before == 12
    assert (x.asnumpy() == batch(0, 3 << 20)).all()


# -- downloads ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("target", [mx.cpu(), pinned])
def test_a_copy_to_the_host_does_not_wait_for_what_comes_after(driver, target):
    """More copies than there are workers: most of them begin late."""
    x, found = nd.array(batch(0, 1000), ctx=gpu), []
    with held(driver) as first:
        copies = [(x * k).as_in_context(target) for k in range(os.cpu_count() + 2)]
        with held(driver):
            y = x + 1
            first.set()
            reader = threading.Thread(target=lambda: found.extend(copy.asnumpy() for copy in copies))
            reader.start()
            reader.join(10)
            assert len(found) == os.cpu_count() + 2
    assert all((values == batch(0, 1000) * k).all() for k, values in enumerate(found))
    assert (y.asnumpy() == batch(0, 1000) + 1).all()


def test_asnumpy_keeps_nobody_from_issuing(driver):
    x, found = nd.array(batch(0), ctx=gpu), []
    with held(driver) as first:
        y = x * 2
        waits = driver.calls("cuStreamWaitEvent")
        threads = [threading.Thread(target=lambda: found.append(y.asnumpy())) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert soon(lambda: driver.calls("cuStreamWaitEvent") >= waits + 2)
        new = nd.array(batch(5), ctx=gpu)
        assert arrives(new, batch(5)) and not found
        with held(driver):
            z = new + y
            first.set()
            for thread in threads:
                thread.join(10)
            assert len(found) == 2
    assert all((values == 2 * batch(0)).all() for values in found)
    assert (z.asnumpy() == 2 * batch(0) + batch(5)).all()


# -- page-locked memory ------------------------------------------------------------------------------------------------

def test_page_locked_arrays_are_copied_by_the_device_alone(driver):
    x = nd.array(batch(0, 1 << 20), ctx=pinned)
    assert x.context == pinned and locked_memory(0)["in_use"] >= 4 << 20
    names = "cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync"
    before = [driver.calls(name) for name in names]
    there = x[1:].as_in_context(gpu)
    back = there.as_in_context(pinned)
    assert (back.asnumpy() == batch(0, 1 << 20)[1:]).all()
    assert [driver.calls(name) for name in names] == [n + 1 for n in before]


def test_page_locked_memory_stays_until_it_has_been_read(driver):
    x, target = nd.array(batch(0, 1000), ctx=pinned), nd.zeros(1000, ctx=gpu)
    with held(driver):
        target + 1
        x.copyto(target)                        # behind that kernel
        x += 1                                  # behind that copy
        waits = stays(memory(target), 0)
    assert waits and (target.asnumpy() == batch(0, 1000)).all() and (x.asnumpy() == batch(1, 1000)).all()
    with held(driver):
        target + 1
        x.copyto(target)
        del x
        others = [nd.array(batch(100 * k, 1000), ctx=pinned) for k in range(3)]
    assert (target.asnumpy() == batch(1, 1000)).all()
    assert all((other.asnumpy() == batch(100 * k, 1000)).all() for k, other in enumerate(others))


def test_page_locked_memory_is_used_again(driver):
    def step():
        return float(nd.array(batch(1), ctx=pinned).as_in_context(gpu)[0].asscalar())

    step()
    nd.waitall()
    before = locked_memory(0)
    for _ in range(20):
        assert step() == 1
        nd.waitall()
    assert locked_memory(0) == before and before["cached"] >= 4 * N
    gpu.empty_cache()
    assert locked_memory(0)["cached"] <= before["cached"] - 4 * N


def test_no_memory_to_lock(driver):
    driver.fail("cuMemHostAlloc", 1, 2)
    before = locked_memory(0)["in_use"]
    x = nd.array(batch(0), ctx=pinned)
    assert x.context == pinned and locked_memory(0)["in_use"] == before
    assert (x.as_in_context(gpu).asnumpy() == batch(0)).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_data_loader_with_pinned_memory(driver, workers):
    data, labels = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32), np.arange(40)
    loader = gluon.data.DataLoader(gluon.data.ArrayDataset(nd.array(data), labels), 8, num_workers=workers,
                                   pin_memory=True)
    sums = []
    for x, y in loader:
        assert x.context == y.context == pinned
        there = x.as_in_context(gpu)
        sums.append((there * 2, y.as_in_context(gpu)))
        x[:] = -1                               # the copy has read it before
    for k, (x, y) in enumerate(sums):
        assert (x.asnumpy() == 2 * data[8 * k:8 * k + 8]).all() and (y.asnumpy() == labels[8 * k:8 * k + 8]).all()


def test_copies_among_all_with_kernels_in_between(driver):
    """In every order, of memory that is always used again."""
    rng, contexts = np.random.default_rng(1), [mx.cpu(), pinned, gpu, mx.gpu(1)]
    live = [(nd.array(batch(k), ctx=contexts[k % 4]), batch(k)) for k in range(6)]
    for step in range(200):
        k = rng.integers(len(live))
        x, expected = live[k]
        match rng.integers(4):
            case 0:
                live[k] = nd.array(batch(step), ctx=contexts[rng.integers(4)]), batch(step)
            case 1:
                live[k] = x.as_in_context(contexts[rng.integers(4)]), expected
            case 2:
                live[k] = x * 2, expected * 2
            case 3:
                other, value = live[rng.integers(len(live))]
                other.copyto(x) if other is not x else None
                live = [(array, value if array is x else old) for array, old in live]
        del x
        if step % 20 == 0:
            x, expected = live[rng.integers(len(live))]
            assert (x.asnumpy() == expected).all(), step
    for x, expected in live:
        assert (x.asnumpy() == expected).all()
