"""Capture into graphs."""
import ctypes
import threading

import numpy as np
import pytest

from tests.gpu import standin
from tests.gpu.standin import N, CudaError, array, fails


def begin(driver, mode=standin.GLOBAL):
    stream = driver.stream()
    driver("cuStreamBeginCapture_v2", stream, mode)
    return stream


def end(driver, stream):
    """A graph that can be launched, and the number of its nodes."""
    graph = driver.out_last("cuStreamEndCapture", stream)
    count = driver.out_last("cuGraphGetNodes", graph, None)
    executable = driver.out("cuGraphInstantiateWithFlags", graph, 0)
    driver("cuGraphDestroy", graph)
    return executable, count


def test_capture_and_replay(driver, kernel):
    x, twice, add = driver.filled(1), kernel("twice"), kernel("add_offset")
    stream = begin(driver)
    assert driver.out_last("cuStreamIsCapturing", stream) == 1
    driver.launch(twice, array(x), stream)
    driver.launch(add, array(x), stream)
    graph, nodes = end(driver, stream)
    assert nodes == 2
    assert driver.out_last("cuStreamIsCapturing", stream) == 0
    assert (driver.contents(x) == 1).all()             # nothing has run
    for expected in (3, 7, 15):
        driver("cuGraphLaunch", graph, stream)
        driver("cuStreamSynchronize", stream)
        assert (driver.contents(x) == expected).all()


@pytest.mark.parametrize("waits", [True, False])
def test_graphs_run_in_any_order_that_their_edges_allow(driver, kernel, waits):
    x, twice, add = driver.filled(0), kernel("twice"), kernel("add_offset")
    stream, other, fork, first, join = begin(driver), driver.stream(), driver.event(), driver.event(), driver.event()
    driver("cuEventRecord", fork, stream)
    driver("cuStreamWaitEvent", other, fork, 0)         # the other stream joins the capture
    driver.launch(twice, array(x), stream)
    driver("cuEventRecord", first, stream)
    if waits:
        driver("cuStreamWaitEvent", other, first, 0)
    driver.launch(add, array(x), other)
    driver("cuEventRecord", join, other)
    driver("cuStreamWaitEvent", stream, join, 0)
    graph, nodes = end(driver, stream)
    assert nodes == 2
    seen = set()
    for _ in range(20):
        driver.upload(x, np.ones(N, np.float32))
        driver("cuGraphLaunch", graph, stream)
        driver("cuStreamSynchronize", stream)
        seen.add(driver.contents(x)[0].item())
    assert seen == ({3} if waits else {3, 4})


def test_runs_of_a_graph_follow_each_other(fresh, kernels):
    driver = fresh(DELAY_US=500)
    driver.start()
    function = driver.function(driver.out("cuModuleLoadData", kernels), "twice")
    x, stream = driver.filled(1), begin(driver)
    driver.launch(function, array(x), stream)
    graph, _ = end(driver, stream)
    for launches_on in (stream, driver.stream(), driver.stream()):
        driver("cuGraphLaunch", graph, launches_on)
    driver("cuGraphExecDestroy", graph)
    driver("cuCtxSynchronize")
    assert (driver.contents(x) == 8).all()


@pytest.mark.parametrize("function, arguments", [
    ("cuStreamSynchronize", lambda d, s: [s]),
    ("cuStreamQuery", lambda d, s: [s]),
    ("cuCtxSynchronize", lambda d, s: []),
    ("cuMemAlloc_v2", lambda d, s: [ctypes.byref(ctypes.c_uint64()), 8]),
    ("cuMemFree_v2", lambda d, s: [d.memory]),
    ("cuMemAllocAsync", lambda d, s: [ctypes.byref(ctypes.c_uint64()), 8, s]),
    ("cuMemHostAlloc", lambda d, s: [ctypes.byref(ctypes.c_uint64()), 8, 0]),
    ("cuMemcpyDtoH_v2", lambda d, s: [d.host, d.memory, 8]),
    ("cuMemcpyHtoDAsync_v2", lambda d, s: [d.memory, d.host, 8, s]),
    ("cuEventQuery", lambda d, s: [d.recorded]),
])
def test_what_is_not_allowed_during_a_capture(driver, function, arguments):
    driver.memory, driver.recorded, host = driver.malloc(8), driver.event(), np.zeros(8, np.uint8)
    driver.host = host.ctypes.data
    stream = begin(driver)
    with fails(standin.CAPTURE_UNSUPPORTED):
        driver(function, *arguments(driver, stream))
    assert driver.out_last("cuStreamIsCapturing", stream) == 2
    with fails(standin.CAPTURE_INVALIDATED):
        driver("cuMemsetD8Async", driver.memory, 0, 8, stream)
    with fails(standin.CAPTURE_INVALIDATED):
        driver.out_last("cuStreamEndCapture", stream)
    driver("cuMemsetD8Async", driver.memory, 0, 8, stream)      # the stream works again
    driver("cuStreamSynchronize", stream)


def test_modes_of_capture(driver):
    results = {}

    def elsewhere(mode):
        driver.start()
        try:
            driver.malloc(8)
            results[mode] = 0
        except CudaError as error:
            results[mode] = error.code

    for mode in (standin.GLOBAL, standin.THREAD_LOCAL, standin.RELAXED):
        stream = begin(driver, mode)
        thread = threading.Thread(target=elsewhere, args=[mode])
        thread.start()
        thread.join()
        if mode == standin.RELAXED:
            driver.malloc(8)
        try:
            driver.out_last("cuStreamEndCapture", stream)
        except CudaError as error:
            assert (mode, error.code) == (standin.GLOBAL, standin.CAPTURE_INVALIDATED)
    assert results == {standin.GLOBAL: standin.CAPTURE_UNSUPPORTED, standin.THREAD_LOCAL: 0, standin.RELAXED: 0}


def test_capture_must_be_complete(driver):
    event, other, memory = driver.event(), driver.stream(), driver.malloc(8)
    stream = begin(driver)
    driver("cuEventRecord", event, stream)
    with fails(standin.CAPTURED_EVENT):
        driver("cuEventSynchronize", event)
    with fails(standin.CAPTURE_INVALIDATED):
        driver.out_last("cuStreamEndCapture", stream)

    stream = begin(driver)
    driver("cuEventRecord", event, stream)
    driver("cuStreamWaitEvent", other, event, 0)
    driver("cuMemsetD8Async", memory, 0, 8, other)
    with fails(standin.CAPTURE_UNMATCHED):
        driver.out_last("cuStreamEndCapture", other)
    with fails(standin.CAPTURE_UNJOINED):
        driver.out_last("cuStreamEndCapture", stream)


def test_captures_are_apart_from_other_work(driver):
    event, other = driver.event(), driver.stream()
    driver("cuEventRecord", event, other)
    stream = begin(driver)
    with fails(standin.CAPTURE_ISOLATION):
        driver("cuStreamWaitEvent", stream, event, 0)

    one, two = begin(driver), begin(driver)
    driver("cuEventRecord", event, one)
    with fails(standin.CAPTURE_MERGE):
        driver("cuStreamWaitEvent", two, event, 0)

    blocking, memory = driver.stream(0), None
    driver("cuStreamBeginCapture_v2", blocking, standin.RELAXED)
    mode = ctypes.c_int(standin.RELAXED)
    driver("cuThreadExchangeStreamCaptureMode", ctypes.byref(mode))
    memory = driver.malloc(8)
    with fails(standin.CAPTURE_IMPLICIT):
        driver("cuMemsetD8_v2", memory, 0, 8)
    driver("cuThreadExchangeStreamCaptureMode", ctypes.byref(mode))


def test_capture_ends_in_the_thread_where_it_began(driver):
    stream, codes = begin(driver), []

    def finish():
        driver.start()
        try:
            driver.out_last("cuStreamEndCapture", stream)
        except CudaError as error:
            codes.append(error.code)

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join()
    assert codes == [standin.CAPTURE_WRONG_THREAD]
    end(driver, stream)
