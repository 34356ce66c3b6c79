# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Copies, and conversions between dtypes."""
from cython.parallel cimport prange
from libc.stdint cimport uintptr_t

from mxcy._types cimport (
    BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, itemsize, kernel_t
)

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/cast.h" namespace "mxcy" nogil:
    void cast_elements "mxcy::cast"(void* out, int to, const void* x, int dtype, Py_ssize_t n)

ALL = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16, UINT8, INT8, INT32, INT64, BOOL)

cdef enum:
    BLOCK = 1 << 16                     # elements a thread converts at a time


cdef void cast_tensor(Tensor* out, const Tensor* x, int threads) noexcept nogil:
    cdef Py_ssize_t n = x.size, block, start
    cdef Py_ssize_t out_size = itemsize(out.dtype), size = itemsize(x.dtype)
    for block in prange((n + BLOCK - 1) // BLOCK, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        start = block * BLOCK
        cast_elements(<char*>out.data + start * out_size, out.dtype, <const char*>x.data + start * size, x.dtype,
                      min(n - start, <Py_ssize_t>BLOCK))


cdef int cast_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Each output is the input of its number in its own dtype: Cast has one pair, amp_multicast several."""
    cdef int i
    for i in range(call.n_outputs):
        cast_tensor(&outputs[i], &inputs[i], call.threads)
    return 0


# A copy is a conversion to the same dtype; an in-place one costs nothing.
copy = Kernel("copy", dict.fromkeys(ALL, <uintptr_t><kernel_t>cast_kernel), parallel=True, inplace=True, cost=.1)
cast = Kernel("cast", dict.fromkeys(ALL, <uintptr_t><kernel_t>cast_kernel), parallel=True, cost=.2, dispatch=-1)
