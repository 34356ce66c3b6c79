"""Memory, copies and fills."""
import ctypes

import numpy as np

from tests.gpu import standin
from tests.gpu.standin import N, fails

MIB = 1 << 20


def test_fresh_memory_is_not_zero(driver):
    assert (driver.contents(driver.malloc(4 * N)).view(np.uint8) == 0xCD).all()


def test_out_of_memory(fresh):
    driver = fresh(MEMORY=10 * MIB)
    driver.start()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    first = driver.malloc(6 * MIB)
    driver("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    assert (free.value, total.value, driver.bytes_in_use()) == (4 * MIB, 10 * MIB, 6 * MIB)
    with fails(standin.OUT_OF_MEMORY, match="5242880 bytes asked for, 6291456 of 10485760 in use"):
        driver.malloc(5 * MIB)
    driver.malloc(4 * MIB)
    driver("cuMemFree_v2", first)
    driver.malloc(5 * MIB)
    driver.start(1)
    driver.malloc(10 * MIB)                     # each device has its own
    driver.library.standin_set_memory(1, ctypes.c_size_t(11 * MIB))
    driver.malloc(MIB)


def test_memory_that_a_stream_frees_can_be_had_again(fresh):
    driver = fresh(MEMORY=10 * MIB)
    driver.start()
    stream = driver.stream()
    for _ in range(5):
        driver("cuMemFreeAsync", driver.out("cuMemAllocAsync", 8 * MIB, stream), stream)
    driver("cuStreamSynchronize", stream)
    assert driver.bytes_in_use() == 0


def test_page_locked_memory_is_read_when_the_stream_gets_there(driver):
    stream, x, pinned = driver.stream(), driver.malloc(4), driver.out("cuMemHostAlloc", 4, 0)
    pageable = (ctypes.c_int * 1)(1)
    for source, seen in [(pinned, 2), (ctypes.addressof(pageable), 1)]:
        value = ctypes.cast(source, ctypes.POINTER(ctypes.c_int))
        value[0] = 1
        gate = driver.hold(stream)
        driver("cuMemcpyHtoDAsync_v2", x, source, 4, stream)
        value[0] = 2
        gate.set()
        driver("cuStreamSynchronize", stream)
        assert driver.download(np.zeros(1, np.int32), x)[0] == seen


def test_fills(driver):
    x = driver.malloc(12)
    driver("cuMemsetD32_v2", x, 0x01020304, 3)
    driver("cuMemsetD16_v2", x + 4, 0x0506, 2)
    driver("cuMemsetD8_v2", x + 8, 7, 4)
    assert driver.download(np.zeros(3, np.uint32), x).tolist() == [0x01020304, 0x05060506, 0x07070707]
    with fails(standin.INVALID_VALUE, match="aligned"):
        driver("cuMemsetD32_v2", x + 2, 0, 1)


def test_what_a_pointer_is(driver):
    driver.start(1)
    x = driver.malloc(100)
    value = ctypes.c_uint64()
    for attribute, expected in [(2, 2), (9, 1), (11, x), (12, 100)]:        # type, device, start, size
        value.value = 0
        driver("cuPointerGetAttribute", ctypes.byref(value), attribute, x + 50)
        assert value.value == expected
    with fails(standin.INVALID_VALUE):
        driver("cuPointerGetAttribute", ctypes.byref(value), 2, 12345)


def test_copies_are_checked(driver):
    x, freed, host = driver.malloc(100), driver.malloc(100), np.zeros(100, np.uint8)
    driver("cuMemFree_v2", freed)
    bytes_ = host.ctypes.data
    for function, *arguments in [
            ("cuMemcpyHtoD_v2", x + 1, bytes_, 100), ("cuMemcpyDtoH_v2", bytes_, x - 1, 2),
            ("cuMemcpyDtoD_v2", x, freed, 10), ("cuMemcpyHtoD_v2", bytes_, bytes_, 10),
            ("cuMemcpyHtoD_v2", x, x, 10), ("cuMemsetD8_v2", x + 90, 0, 11), ("cuMemFree_v2", x + 1),
            ("cuMemFree_v2", freed), ("cuMemAlloc_v2", ctypes.byref(ctypes.c_uint64()), 0)]:
        with fails(standin.INVALID_VALUE):
            driver(function, *arguments)
    driver("cuMemcpyHtoD_v2", x, bytes_, 100)


def test_copy_of_memory_that_another_stream_freed(driver):
    x, y, one, other = driver.malloc(100), driver.malloc(100), driver.stream(), driver.stream()
    gate = driver.hold(one)
    driver("cuMemcpyDtoDAsync_v2", y, x, 100, one)
    driver("cuMemFreeAsync", x, other)
    driver("cuStreamSynchronize", other)
    gate.set()
    with fails(standin.ILLEGAL_ADDRESS, match="freed before"):
        driver("cuStreamSynchronize", one)
