# cython: language_level=3
"""NVIDIA's cuBLASLt, opened when first needed: the functions that products of matrices take."""
from libc.stdint cimport int32_t, int64_t, uint64_t

from mxcy.engine._thread cimport pthread_mutex_t
from mxcy.gpu._device cimport MAX_DEVICES
from mxcy.gpu._driver cimport address_t, handle_t

cdef enum:
    WORKSPACE = 32 << 20                # bytes, as NVIDIA recommends
    NOT_SUPPORTED = 15                  # a cublasStatus_t that somebody here tells apart

ctypedef int (*set_t)(void* described, int attribute, const void* value, size_t nbytes) noexcept nogil
ctypedef int (*destroy_t)(void* described) noexcept nogil

cdef struct Algorithm:
    uint64_t data[8]

cdef struct Choice:                     # cublasLtMatmulHeuristicResult_t
    Algorithm algorithm
    size_t workspace
    int status
    float waves
    int reserved[4]

cdef struct Library:                    # all return 0 or a cublasStatus_t
    int (*create)(void** handle) noexcept nogil
    const char* (*status_name)(int status) noexcept nogil
    int (*operation_create)(void** operation, int compute, int scale) noexcept nogil
    set_t operation_set
    destroy_t operation_destroy
    int (*layout_create)(void** layout, int kind, uint64_t rows, uint64_t columns, int64_t ld) noexcept nogil
    set_t layout_set
    destroy_t layout_destroy
    int (*preference_create)(void** preference) noexcept nogil
    set_t preference_set
    destroy_t preference_destroy
    int (*choose)(void* handle, void* operation, void* a, void* b, void* c, void* d, void* preference, int wanted,
                  Choice* choices, int* count) noexcept nogil
    int (*multiply)(void* handle, void* operation, const void* alpha, const void* a, void* a_layout, const void* b,
                    void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                    const Algorithm* algorithm, void* workspace, size_t nbytes, handle_t stream) noexcept nogil

# What the products of a device share. The workspace can be one for all, for they follow each other on the compute stream:
# they are issued there, or recorded into graphs that are launched there.
cdef struct Shared:
    void* handle
    address_t workspace
    pthread_mutex_t mutex               # held from setting the address of a bias to the call that takes it

cdef Library lt
cdef Shared shared[MAX_DEVICES]

cdef int start(int device) except -1    # make what is shared, once; the device's context is current
cdef int expect(int status, int device, const char* call) except -1     # GIL held; MXNetError for a nonzero status
