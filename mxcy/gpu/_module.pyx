# cython: language_level=3
"""Compiled code on a device, and the kernels in it, as handles that the launcher can use without the GIL."""
from libc.stdint cimport uintptr_t

from mxcy.gpu._device cimport device_start, enter, leave
from mxcy.gpu._driver cimport check, cu, handle_t

cdef enum:
    MAX_DYNAMIC_SHARED = 8          # a function's attribute


def load(bytes code not None, int device):
    """The handle of a module made of machine code."""
    cdef handle_t before, module = NULL
    cdef const char* image = code
    device_start(device)
    check(enter(device, &before), b"loading kernels")
    cdef int status = cu.module_load(&module, image)
    leave(device, before)
    check(status, b"loading kernels")
    return <uintptr_t>module


def function(uintptr_t module, str name not None, int device):
    """The handle of a kernel in a module."""
    cdef handle_t before, found = NULL
    cdef bytes encoded = name.encode()
    check(enter(device, &before), b"looking up a kernel")
    cdef int status = cu.module_function(&found, <handle_t>module, encoded)
    leave(device, before)
    check(status, b"looking up the kernel " + encoded)
    return <uintptr_t>found


def allow_shared(uintptr_t function, int nbytes, int device):
    """Let a kernel be launched with that much dynamic shared memory; more than 48 KiB has to be asked for."""
    cdef handle_t before
    check(enter(device, &before), b"asking for shared memory")
    cdef int status = cu.function_set(<handle_t>function, MAX_DYNAMIC_SHARED, nbytes)
    leave(device, before)
    check(status, b"asking for shared memory")
