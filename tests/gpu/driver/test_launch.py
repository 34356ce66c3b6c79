"""Modules and launches, on one device and on several."""
import ctypes

import numpy as np
import pytest

from tests.gpu import standin
from tests.gpu.standin import N, array, fails


def test_kernel_is_launched_as_asked(driver, kernel):
    out = driver.filled(0, 7)
    driver.launch(kernel("sizes"), array(out, 7), 0, (2, 3, 4), (8, 16, 2), 100)
    assert driver.contents(out, 7).tolist() == [2, 3, 4, 8, 16, 2, 100]


@pytest.mark.parametrize("wrong", [
    dict(grid=(0, 1, 1)), dict(grid=(1, 65536, 1)), dict(grid=(1, 1, 65536)), dict(block=(1025, 1, 1)),
    dict(block=(32, 33, 1)), dict(block=(1, 1, 65)), dict(block=(1, 0, 1)), dict(shared=48 * 1024 + 1),
    dict(parameters=bytes(40000))], ids=str)
def test_limits_of_launches(driver, kernel, wrong):
    with fails(standin.INVALID_VALUE):
        driver.launch(kernel("sizes"), **{"parameters": array(driver.filled(0)), **wrong})


def test_more_shared_memory_has_to_be_asked_for(driver, kernel):
    sizes, x = kernel("sizes"), driver.filled(0)
    driver("cuFuncSetAttribute", sizes, 8, 227 * 1024)
    driver.launch(sizes, array(x), shared=227 * 1024)
    with fails(standin.INVALID_VALUE):
        driver("cuFuncSetAttribute", sizes, 8, 227 * 1024 + 1)


def test_modules(driver, kernels, kernel, module):
    with fails(standin.INVALID_IMAGE):
        driver.out("cuModuleLoadData", b"no module" * 10)
    with fails(standin.NOT_FOUND, match="nothing"):
        kernel("nothing")
    function = kernel("twice")
    driver("cuModuleUnload", module)
    with fails(standin.INVALID_HANDLE):
        driver.launch(function, array(driver.filled(0)))


def test_variables_of_modules(driver, kernels):
    modules = [driver.out("cuModuleLoadData", kernels) for _ in range(2)]
    address, size = ctypes.c_uint64(), ctypes.c_size_t()
    driver("cuModuleGetGlobal_v2", ctypes.byref(address), ctypes.byref(size), modules[0], b"offset")
    assert size.value == 4
    driver.upload(address.value, np.array([10], np.float32))
    results = []
    for module in modules:                  # each has its own, also if made of the same text
        x = driver.filled(0)
        driver.launch(driver.function(module, "add_offset"), array(x))
        results.append(driver.contents(x)[0])
    assert results == [10, 1]


def test_failed_kernel_spoils_its_context(driver, kernel):
    stream, x = driver.stream(), driver.filled(1)
    driver.launch(kernel("broken"), array(x), stream)
    with fails(standin.LAUNCH_FAILED, match="broken: thread 3 of block 0 left before a barrier"):
        driver("cuStreamSynchronize", stream)
    for function, *arguments in [("cuMemFree_v2", x), ("cuMemsetD8_v2", x, 0, 1), ("cuCtxSynchronize",),
                                 ("cuStreamQuery", stream), ("cuMemAlloc_v2", ctypes.byref(ctypes.c_uint64()), 8)]:
        with fails(standin.LAUNCH_FAILED):
            driver(function, *arguments)
    driver.start(1)
    driver.malloc(8)                        # the other device is not concerned
    driver("standin_reset")
    driver.start(0)
    assert (driver.contents(x) == 1).all()


def test_kernel_that_writes_behind_its_memory(driver, kernel):
    driver.launch(kernel("overrun"), array(driver.malloc(4 * N)))
    with fails(standin.ILLEGAL_ADDRESS, match="byte 4000 of an allocation of 4000 bytes was written when overrun"):
        driver("cuCtxSynchronize")


def test_kernel_with_freed_memory(driver, kernel):
    x = driver.malloc(4 * N)
    driver("cuMemFree_v2", x)
    driver.launch(kernel("twice"), array(x))
    with fails(standin.ILLEGAL_ADDRESS, match="twice on device 0 was given memory that is not allocated, in byte 0"):
        driver("cuCtxSynchronize")


def test_kernel_with_memory_of_the_host(driver, kernel):
    host = np.zeros(N, np.float32)
    driver.launch(kernel("twice"), array(host.ctypes.data))
    with fails(standin.ILLEGAL_ADDRESS, match="memory of the host that is not page-locked"):
        driver("cuCtxSynchronize")


def test_kernel_whose_memory_another_stream_freed(driver, kernel):
    x, one, other = driver.filled(0), driver.stream(), driver.stream()
    gate = driver.hold(one)
    driver.launch(kernel("twice"), array(x), one)
    driver("cuMemFreeAsync", x, other)
    driver("cuStreamSynchronize", other)
    gate.set()
    with fails(standin.ILLEGAL_ADDRESS, match="freed before it ran"):
        driver("cuStreamSynchronize", one)


def test_kernel_with_memory_of_another_device(driver, kernels, kernel):
    x = driver.filled(1)
    first = driver.out("cuCtxGetCurrent")
    second = driver.start(1)
    twice = driver.function(driver.out("cuModuleLoadData", kernels), "twice")
    driver("cuCtxEnablePeerAccess", first, 0)
    driver.launch(twice, array(x))
    driver("cuCtxSynchronize")
    assert (driver.contents(x) == 2).all()
    driver("cuCtxDisablePeerAccess", first)
    driver.launch(twice, array(x))
    with fails(standin.ILLEGAL_ADDRESS, match="twice on device 1 was given memory of device 0"):
        driver("cuCtxSynchronize")
    driver("cuCtxSetCurrent", first)
    with fails(standin.INVALID_HANDLE, match="twice was loaded on device 1 and the stream is of device 0"):
        driver.launch(twice, array(x))
    assert second != first


def test_devices_may_lack_access_to_each_other(fresh):
    driver = fresh(PEERS=0)
    first = driver.start(0)
    driver.start(1)
    assert driver.out("cuDeviceCanAccessPeer", 0, 1) == 0
    with fails(217):
        driver("cuCtxEnablePeerAccess", first, 0)


def test_copy_between_devices(driver):
    x, first, stream, event = driver.filled(3), driver.out("cuCtxGetCurrent"), driver.stream(), driver.event()
    gate = driver.hold(stream)
    driver("cuEventRecord", event, stream)
    second = driver.start(1)
    y, other = driver.filled(0), driver.stream()
    with fails(standin.INVALID_HANDLE):
        driver("cuEventRecord", event, other)           # an event of the other device
    driver("cuStreamWaitEvent", other, event, 0)        # which may be waited for
    driver("cuMemcpyPeerAsync", y, second, x, first, 4 * N, other)
    with fails(standin.NOT_READY):
        driver("cuStreamQuery", other)
    gate.set()
    driver("cuStreamSynchronize", other)
    assert (driver.contents(y) == 3).all()
