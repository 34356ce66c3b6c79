# cython: language_level=3
"""NVIDIA's cuBLASLt, opened when first needed."""

from mxcy.engine._thread cimport pthread_mutex_init
from mxcy.gpu._driver cimport check, cu
from mxcy.gpu._library cimport Entry, open_first

import threading

from mxcy.base import MXNetError
from mxcy.gpu.libraries import candidates

cdef int found = -1                     # whether the library is there; -1: nobody asked
_lock = threading.Lock()


def available():
    """Whether there is a cuBLASLt: that of ``MXCY_LIBCUBLAS`` (empty: none), a wheel's or the system's."""
    global found
    cdef Entry[14] table = [
        Entry(b"cublasLtCreate", <void**>&lt.create),
        Entry(b"cublasLtGetStatusName", <void**>&lt.status_name),
        Entry(b"cublasLtMatmulDescCreate", <void**>&lt.operation_create),
        Entry(b"cublasLtMatmulDescSetAttribute", <void**>&lt.operation_set),
        Entry(b"cublasLtMatmulDescDestroy", <void**>&lt.operation_destroy),
        Entry(b"cublasLtMatrixLayoutCreate", <void**>&lt.layout_create),
        Entry(b"cublasLtMatrixLayoutSetAttribute", <void**>&lt.layout_set),
        Entry(b"cublasLtMatrixLayoutDestroy", <void**>&lt.layout_destroy),
        Entry(b"cublasLtMatmulPreferenceCreate", <void**>&lt.preference_create),
        Entry(b"cublasLtMatmulPreferenceSetAttribute", <void**>&lt.preference_set),
        Entry(b"cublasLtMatmulPreferenceDestroy", <void**>&lt.preference_destroy),
        Entry(b"cublasLtMatmulAlgoGetHeuristic", <void**>&lt.choose),
        Entry(b"cublasLtMatmul", <void**>&lt.multiply),
        Entry(NULL, NULL),
    ]
    if found < 0:
        with _lock:
            found = open_first(candidates("MXCY_LIBCUBLAS", "libcublasLt"), table)
    return found == 1


cdef int expect(int status, int device, const char* call) except -1:
    if status:
        raise MXNetError(f"gpu({device}): {call.decode()} failed: {lt.status_name(status).decode()}. "
                         "With MXCY_LIBCUBLAS= (empty) mxcy multiplies by its own kernels.")
    return 0


cdef int start(int device) except -1:
    cdef Shared* own = &shared[device]
    cdef void* handle = NULL
    with _lock:
        if own.handle == NULL:
            if own.workspace == 0:
                check(cu.malloc(&own.workspace, WORKSPACE), b"allocating the workspace of cuBLASLt")
            expect(lt.create(&handle), device, b"cublasLtCreate")
            pthread_mutex_init(&own.mutex, NULL)
            own.handle = handle
    return 0
