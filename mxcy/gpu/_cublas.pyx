# cython: language_level=3, boundscheck=False
"""Products of matrices by NVIDIA's cuBLAS, where it is installed."""
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdio cimport snprintf
from posix.dlfcn cimport RTLD_LOCAL, RTLD_NOW, dlopen, dlsym

from mxcy.gpu._device cimport MAX_DEVICES, device_start, enter, leave
from mxcy.gpu._driver cimport address_t, check, cu, handle_t

import os
import threading

from mxcy.base import MXNetError
from mxcy.gpu.libraries import candidates

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef enum:
    WORKSPACE = 32 << 20                # bytes, as NVIDIA recommends; given, so that calls can be recorded in a graph
    DEFAULT_ALGORITHM = -1

cdef struct Library:                    # all return 0 or a cublasStatus_t
    int (*create)(void** handle) noexcept nogil
    int (*set_stream)(void* handle, handle_t stream) noexcept nogil
    int (*set_workspace)(void* handle, void* workspace, size_t nbytes) noexcept nogil
    int (*product)(void* handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
                   const void* a, int a_type, int lda, long long a_step, const void* b, int b_type, int ldb,
                   long long b_step, const void* beta, void* c, int c_type, int ldc, long long c_step, int count,
                   int compute, int algorithm) noexcept nogil
    const char* (*status_name)(int status) noexcept nogil

cdef struct Handle:                     # of a device
    void* handle
    handle_t stream                     # that it issues to: the compute stream, or one that is recorded
    address_t workspace
    pthread_mutex_t mutex               # guards the handle's stream

cdef struct Entry:
    const char* name
    void** place

cdef struct Product:                    # in the library's terms: column-major; made by mxcy/ops/cuda/product.py
    void* c
    const void* a
    const void* b
    int64_t a_step, b_step, c_step      # from matrix to matrix of a batch, in elements
    int32_t transpose_a, transpose_b, m, n, k, lda, ldb, ldc, count
    int32_t kind                        # cudaDataType_t of all matrices
    int32_t compute                     # cublasComputeType_t
    int32_t add                         # to what c holds

cdef Library library
cdef Handle[MAX_DEVICES] handles
cdef int found = -1                     # whether the library is there; -1: nobody asked
_lock = threading.Lock()


cdef bint resolve(void* opened) noexcept:
    """Fill the table; whether all of it is there."""
    cdef Entry* entry
    cdef Entry[6] table = [
        Entry(b"cublasCreate_v2", <void**>&library.create),
        Entry(b"cublasSetStream_v2", <void**>&library.set_stream),
        Entry(b"cublasSetWorkspace_v2", <void**>&library.set_workspace),
        Entry(b"cublasGemmStridedBatchedEx", <void**>&library.product),
        Entry(b"cublasGetStatusName", <void**>&library.status_name),
        Entry(NULL, NULL),
    ]
    entry = table
    while entry.name != NULL:
        entry.place[0] = dlsym(opened, entry.name)
        if entry.place[0] == NULL:
            return False
        entry += 1
    return True


def available():
    """Whether there is a cuBLAS: that of ``MXCY_LIBCUBLAS`` (empty: none), a wheel's or the system's."""
    global found
    cdef void* opened
    cdef bytes name
    if found < 0:
        with _lock:
            for path in candidates("MXCY_LIBCUBLAS", "libcublas"):
                name = os.fsencode(path)
                opened = dlopen(name, RTLD_NOW | RTLD_LOCAL)
                if opened != NULL and resolve(opened):
                    found = 1
                    break
            else:
                found = 0
    return found == 1


def ready(int device):
    """Make the library's handle for a device, once; the address of a ``library_t`` that multiplies there."""
    cdef handle_t before
    cdef void* handle = NULL
    cdef Handle* own = &handles[device]
    cdef int status
    device_start(device)
    with _lock:
        if own.handle == NULL:
            check(enter(device, &before), b"starting cuBLAS")
            try:
                if own.workspace == 0:
                    check(cu.malloc(&own.workspace, WORKSPACE), b"allocating the workspace of cuBLAS")
                status = library.create(&handle)
                if status:
                    raise MXNetError(f"gpu({device}): cuBLAS cannot be used: {library.status_name(status).decode()}. "
                                     "With MXCY_LIBCUBLAS= (empty) mxcy multiplies by its own kernels.")
            finally:
                leave(device, before)
            pthread_mutex_init(&own.mutex, NULL)
            own.handle = handle
    return <uintptr_t>multiply


cdef int follow(Handle* own, handle_t stream) noexcept nogil:
    """Let the handle issue to this stream."""
    cdef int status = library.set_stream(own.handle, stream)
    if status == 0:                     # which took the workspace away
        status = library.set_workspace(own.handle, <void*>own.workspace, WORKSPACE)
    if status == 0:
        own.stream = stream
    return status


cdef int multiply(int device, handle_t stream, const void* buffer, char* error, size_t room) noexcept nogil:
    cdef const Product* p = <const Product*>buffer
    cdef Handle* own = &handles[device]
    cdef float one = 1, start = p.add
    cdef double one64 = 1, start64 = p.add
    cdef bint wide = p.kind == 1
    cdef int status = 0
    pthread_mutex_lock(&own.mutex)
    if own.stream != stream:
        status = follow(own, stream)
    if status == 0:
        status = library.product(own.handle, p.transpose_a, p.transpose_b, p.m, p.n, p.k,
                                 <const void*>&one64 if wide else <const void*>&one, p.a, p.kind, p.lda, p.a_step, p.b,
                                 p.kind, p.ldb, p.b_step, <const void*>&start64 if wide else <const void*>&start, p.c,
                                 p.kind, p.ldc, p.c_step, p.count, p.compute, DEFAULT_ALGORITHM)
    pthread_mutex_unlock(&own.mutex)
    if status:
        snprintf(error, room, b"gpu(%d): cublasGemmStridedBatchedEx failed: %s", device, library.status_name(status))
        return 1
    return 0
