"""Streams and events: work runs in the order that was asked for, and in no other."""
import ctypes
import time

import pytest

from tests.gpu import standin
from tests.gpu.standin import N, array, fails


def test_work_of_a_stream_runs_in_order(fresh, kernels):
    driver = fresh(DELAY_US=300)
    driver.start()
    twice = driver.function(driver.out("cuModuleLoadData", kernels), "twice")
    x, stream = driver.filled(1), driver.stream()
    for _ in range(5):
        driver.launch(twice, array(x), stream)
    driver("cuStreamSynchronize", stream)
    assert (driver.contents(x) == 32).all()


@pytest.mark.parametrize("waits", [True, False])
def test_missing_wait_gives_wrong_numbers(fresh, kernels, waits):
    driver = fresh(DELAY_US=1000)
    driver.start()
    twice = driver.function(driver.out("cuModuleLoadData", kernels), "twice")
    one, other, event = driver.stream(), driver.stream(), driver.event()
    x, pinned = driver.filled(1), driver.out("cuMemHostAlloc", 4 * N, 0)
    wrong = 0
    for _ in range(20):
        driver("cuMemsetD32Async", x, 0x3f800000, N, one)           # 1.0
        driver.launch(twice, array(x), one)
        driver("cuEventRecord", event, one)
        if waits:
            driver("cuStreamWaitEvent", other, event, 0)
        driver("cuMemcpyDtoHAsync_v2", pinned, x, 4 * N, other)
        driver("cuStreamSynchronize", other)
        wrong += ctypes.cast(pinned, ctypes.POINTER(ctypes.c_float))[0] != 2
        driver("cuStreamSynchronize", one)
    assert (wrong == 0) if waits else (wrong > 0)


def test_events(driver):
    stream, before, after = driver.stream(), driver.event(), driver.event()
    driver("cuEventQuery", after)                                   # never recorded: nothing to wait for
    driver("cuEventRecord", before, stream)
    gate = driver.hold(stream)
    driver("cuEventRecord", after, stream)
    driver("cuEventSynchronize", before)
    for query, handle in [("cuEventQuery", after), ("cuStreamQuery", stream)]:
        with fails(standin.NOT_READY):
            driver(query, handle)
    time.sleep(0.002)
    gate.set()
    driver("cuEventSynchronize", after)
    driver("cuEventQuery", after)
    elapsed = ctypes.c_float()
    driver("cuEventElapsedTime_v2", ctypes.byref(elapsed), before, after)
    assert elapsed.value >= 2


def test_wait_is_for_what_was_recorded_when_it_was_asked_for(driver):
    one, other, event = driver.stream(), driver.stream(), driver.event()
    driver("cuEventRecord", event, one)
    driver("cuStreamWaitEvent", other, event, 0)
    gate = driver.hold(one)
    driver("cuEventRecord", event, one)
    driver("cuEventDestroy_v2", event)
    driver("cuStreamSynchronize", other)
    gate.set()
    driver("cuStreamSynchronize", one)


@pytest.mark.parametrize("flags", [0, standin.NON_BLOCKING])
def test_legacy_stream_waits_for_blocking_streams_only(driver, flags):
    stream, x = driver.stream(flags), driver.malloc(4)
    gate = driver.hold(stream)
    driver("cuMemsetD8_v2", x, 0, 4)
    if flags:
        driver("cuStreamSynchronize", 0)
    else:
        with fails(standin.NOT_READY):
            driver("cuStreamQuery", 0)
    gate.set()
    driver("cuCtxSynchronize")


def test_destroyed_stream_finishes_its_work(driver, kernel):
    x, stream = driver.filled(1), driver.stream()
    gate = driver.hold(stream)
    driver.launch(kernel("twice"), array(x), stream)
    driver("cuStreamDestroy_v2", stream)
    with fails(standin.INVALID_HANDLE):
        driver("cuStreamSynchronize", stream)
    gate.set()
    driver("cuCtxSynchronize")
    assert (driver.contents(x) == 2).all()


def test_host_functions_must_not_call_the_driver(driver):
    stream, codes = driver.stream(), []
    driver.host_function(stream, lambda: codes.append(driver.library.cuCtxSynchronize()))
    driver("cuStreamSynchronize", stream)
    assert codes == [standin.NOT_PERMITTED]
