# cython: language_level=3
"""What every compiled module agrees on: dtypes, and the contract of a kernel.

A kernel fills ``outputs`` from ``inputs``. It is called without the GIL, from any thread, and knows no policy: dtypes
and shapes are already checked, outputs are allocated, every tensor is dense and in C order. It returns 0, or
``fail(call, ...)`` after writing what went wrong.
"""
from libc.stdint cimport uint64_t

cdef enum:
    MAX_NDIM = 32
    ERROR_SIZE = 400
    N_DTYPES = 13

cdef enum DType:                    # MXNet's type flags, as in its files
    FLOAT32 = 0
    FLOAT64 = 1
    FLOAT16 = 2
    UINT8 = 3
    INT32 = 4
    INT8 = 5
    INT64 = 6
    BOOL = 7
    BFLOAT16 = 12

cdef struct Tensor:                 # a dense buffer as a kernel sees it
    void* data
    int dtype
    int ndim
    Py_ssize_t size                 # number of elements
    const Py_ssize_t* shape         # ndim numbers, owned by the caller

# n contiguous elements; params as packed by the Kernel. out may be one of the inputs.
ctypedef void (*tile_t)(void* out, const void* const* inputs, Py_ssize_t n, const void* params) noexcept nogil

cdef struct Call:                   # what one call needs besides its tensors
    const void* params              # packed once, when the parameters were parsed; NULL if there are none
    void* workspace                 # scratch of the size that the Kernel's workspace rule gave
    const void* info                # the Kernel's own constants (see ops/_kernel.pxd)
    double scalar                   # the number in an operator such as _plus_scalar
    int n_inputs
    int n_outputs
    int threads                     # how many threads the kernel may use, at least 1
    uint64_t mutated                # bit i: the kernel changes input i
    int train                       # whether the call runs in training mode
    uint64_t seed                   # random operators: Philox key ...
    uint64_t counter                # ... and the first counter this call may use
    char error[ERROR_SIZE]

ctypedef int (*kernel_t)(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil
ctypedef Py_ssize_t (*workspace_t)(const Tensor* inputs, const Tensor* outputs, Call* call) noexcept nogil

cdef extern from *:
    """
    #include <stdio.h>
    /* Write a kernel's error text and return its status. */
    #define mxcy_fail(call, ...) (snprintf((call)->error, sizeof((call)->error), __VA_ARGS__), 1)
    static inline Py_ssize_t mxcy_itemsize(int dtype) {
        static const signed char size[13] = {4, 8, 2, 1, 4, 1, 8, 1, 0, 0, 0, 0, 2};
        return size[dtype];
    }
    """
    int fail "mxcy_fail"(Call* call, const char* form, ...) noexcept nogil
    Py_ssize_t itemsize "mxcy_itemsize"(int dtype) noexcept nogil
