# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Choice between two arrays; sum of any number of them."""
from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy

from mxcy._types cimport (
    BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, fail, itemsize, kernel_t, tile_t
)
from mxcy.storage._storage cimport scratch_free, scratch_new

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/select.h" namespace "mxcy" nogil:
    void select_any(void* out, const void* condition, int dtype, const void* x, const void* y, Py_ssize_t n, int size)
    tile_t where_tile(int dtype)
    bint is_true(const void* condition, int dtype, Py_ssize_t i)
    void sum_arrays[T](T* out, const void** arrays, int count, Py_ssize_t start, Py_ssize_t n)

cdef enum:
    BLOCK = 1 << 15                     # elements a thread works on at a time


cdef int where_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const char* condition = <const char*>inputs[0].data
    cdef const char* x = <const char*>inputs[1].data
    cdef const char* y = <const char*>inputs[2].data
    cdef char* out = <char*>outputs[0].data
    cdef int dtype = inputs[0].dtype
    cdef Py_ssize_t size = itemsize(outputs[0].dtype), step = itemsize(dtype), n = outputs[0].size, i, row, start
    if inputs[0].size == n:
        for i in prange((n + BLOCK - 1) // BLOCK, num_threads=call.threads, schedule="static",
                        use_threads_if=call.threads > 1):
            start = i * BLOCK
            select_any(out + start * size, condition + start * step, dtype, x + start * size, y + start * size,
                       min(n - start, <Py_ssize_t>BLOCK), <int>size)
    elif n:                             # a condition for each row
        row = n // inputs[0].size * size
        for i in prange(inputs[0].size, num_threads=call.threads, schedule="static",
                        use_threads_if=call.threads > 1):
            memcpy(out + i * row, (x if is_true(condition, dtype, i) else y) + i * row, row)
    return 0


where = Kernel("where", dict.fromkeys((FLOAT32, FLOAT64, FLOAT16, BFLOAT16, UINT8, INT8, INT32, INT64, BOOL),
                                      <uintptr_t><kernel_t>where_kernel), parallel=True, cost=.2, dispatch=1, arity=3,
               functor=("mxcy/ops/select.h", "where_op"),
               tiles={dtype: <uintptr_t>where_tile(dtype) for dtype in (FLOAT32, FLOAT64, UINT8, INT8, INT32, INT64, BOOL)})

ctypedef fused number:
    float
    double
    int32_t
    int64_t
    int8_t
    uint8_t


cdef int add_n_blocks(number* out, const Tensor* inputs, Py_ssize_t n, Call* call) noexcept nogil:
    cdef Py_ssize_t i
    cdef int k
    cdef const void** arrays = <const void**>scratch_new(call.n_inputs * sizeof(void*))
    if arrays == NULL:
        return fail(call, "add_n: no memory for a list of %d arrays", call.n_inputs)
    for k in range(call.n_inputs):
        arrays[k] = inputs[k].data
    for i in prange((n + BLOCK - 1) // BLOCK, num_threads=call.threads, schedule="static",
                    use_threads_if=call.threads > 1):
        sum_arrays(out, arrays, call.n_inputs, i * BLOCK, min(n - i * BLOCK, <Py_ssize_t>BLOCK))
    scratch_free(arrays)
    return 0


cdef int add_n_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef void* out = outputs[0].data
    cdef int dtype = outputs[0].dtype
    cdef Py_ssize_t n = outputs[0].size
    if dtype == FLOAT32:
        return add_n_blocks(<float*>out, inputs, n, call)
    if dtype == FLOAT64:
        return add_n_blocks(<double*>out, inputs, n, call)
    if dtype == INT32:
        return add_n_blocks(<int32_t*>out, inputs, n, call)
    if dtype == INT64:
        return add_n_blocks(<int64_t*>out, inputs, n, call)
    if dtype == INT8:
        return add_n_blocks(<int8_t*>out, inputs, n, call)
    return add_n_blocks(<uint8_t*>out, inputs, n, call)


add_n = Kernel("add_n", dict.fromkeys((FLOAT32, FLOAT64, INT32, INT64, INT8, UINT8),
                                      <uintptr_t><kernel_t>add_n_kernel), parallel=True, inplace=True, cost=.3)
