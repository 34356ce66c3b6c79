"""The driver itself, devices and contexts."""
import ctypes
import threading

import pytest

from tests.gpu import standin
from tests.gpu.standin import CudaError, fails


def test_calls_before_cuinit_fail(fresh):
    driver = fresh()
    with fails(standin.NOT_INITIALIZED):
        driver.out("cuDeviceGetCount")
    assert driver.out("cuDriverGetVersion") == 13000


@pytest.mark.parametrize("devices", [0, 1, 3])
def test_number_of_devices(fresh, devices):
    driver = fresh(DEVICES=devices)
    if devices:
        driver("cuInit", 0)
        assert driver.out("cuDeviceGetCount") == devices
        with fails(standin.INVALID_DEVICE):
            driver.out("cuDeviceGet", devices)
    else:
        with fails(standin.NO_DEVICE):
            driver("cuInit", 0)


def test_version_is_a_setting(fresh):
    assert fresh(VERSION=11040).out("cuDriverGetVersion") == 11040


def test_errors_have_the_names_and_texts_of_the_real_driver(driver):
    name, text = ctypes.c_char_p(), ctypes.c_char_p()
    driver("cuGetErrorName", 2, ctypes.byref(name))
    driver("cuGetErrorString", 700, ctypes.byref(text))
    assert (name.value, text.value) == (b"CUDA_ERROR_OUT_OF_MEMORY", b"an illegal memory access was encountered")
    with fails(standin.INVALID_VALUE):
        driver("cuGetErrorName", 12345, ctypes.byref(name))
    assert name.value is None


def test_functions_are_found_by_name(driver):
    address, status = ctypes.c_void_p(), ctypes.c_int()
    driver("cuGetProcAddress_v2", b"cuMemAlloc", ctypes.byref(address), 13000, 0, ctypes.byref(status))
    assert address.value == ctypes.cast(driver.library.cuMemAlloc_v2, ctypes.c_void_p).value
    with fails(standin.NOT_FOUND):
        driver("cuGetProcAddress_v2", b"cuNothing", ctypes.byref(address), 13000, 0, ctypes.byref(status))


def test_calls_need_a_context_in_their_thread(driver):
    codes = []

    def allocate():
        try:
            driver.malloc(100)
        except CudaError as error:
            codes.append(error.code)

    thread = threading.Thread(target=allocate)
    thread.start()
    thread.join()
    assert codes == [standin.INVALID_CONTEXT]


def test_stack_of_contexts(driver):
    first, second = driver.out("cuCtxGetCurrent"), driver.out("cuDevicePrimaryCtxRetain", 1)
    driver("cuCtxPushCurrent_v2", second)
    assert driver.out("cuCtxGetDevice") == 1
    assert driver.out("cuCtxPopCurrent_v2") == second
    assert driver.out("cuCtxGetCurrent") == first
    driver("cuCtxSetCurrent", 0)
    assert driver.out("cuCtxGetCurrent") == 0
    with fails(standin.INVALID_CONTEXT):
        driver("cuCtxPopCurrent_v2", None)


def test_release_of_a_primary_context_frees_its_memory(driver):
    driver.malloc(100)
    driver("cuDevicePrimaryCtxRelease_v2", 0)
    assert driver.bytes_in_use() == 0
    with fails(709):
        driver.malloc(100)
    driver.start()
    driver.malloc(100)
