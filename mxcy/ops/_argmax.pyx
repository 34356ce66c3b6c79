# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""argmax and argmin along one axis, or over all elements."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, fail, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/argreduce.h" namespace "mxcy_reduce" nogil:
    cdef struct ArgForm:
        void (*rows)(const void* data, Py_ssize_t m, Py_ssize_t n, Py_ssize_t* at) noexcept nogil
        void (*columns)(const void* data, Py_ssize_t m, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t* at) noexcept nogil
    ArgForm arg_form[T](const T* data, bint largest) noexcept nogil

cdef enum:
    WIDTH = 1024                    # columns that one task searches
    PIECE = 65536                   # longest part of a row that one task searches

cdef struct ArgParams:
    int largest
    int axis                        # negative: from the end
    int flat                        # over all elements

ctypedef fused number:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef void columns(ArgForm form, const number* x, number* out, Py_ssize_t n, Py_ssize_t inner, Py_ssize_t task,
                  Py_ssize_t blocks) noexcept nogil:
    cdef Py_ssize_t at[WIDTH]
    cdef Py_ssize_t outer = task // blocks, begin = task % blocks * WIDTH, width = min(inner - begin, <Py_ssize_t>WIDTH), j
    form.columns(x + outer * n * inner + begin, n, inner, width, at)
    for j in range(width):
        out[outer * inner + begin + j] = <number>at[j]


cdef void rows(ArgForm form, const number* x, number* out, Py_ssize_t n, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    cdef Py_ssize_t at, i
    for i in range(first, last):
        form.rows(x + i * n, 1, n, &at)
        out[i] = <number>at


cdef void piece(ArgForm form, const number* x, Py_ssize_t n, Py_ssize_t i, Py_ssize_t* at) noexcept nogil:
    form.rows(x + i * PIECE, 1, min(n - i * PIECE, <Py_ssize_t>PIECE), at + i)
    at[i] += i * PIECE


cdef int long_row(ArgForm form, const number* x, number* out, Py_ssize_t n, Call* call) noexcept nogil:
    """One row: the best of each piece, then the best of these."""
    cdef Py_ssize_t pieces = (n + PIECE - 1) // PIECE, i, best
    cdef int threads = call.threads
    cdef Py_ssize_t* at = <Py_ssize_t*>scratch_new(pieces * (sizeof(Py_ssize_t) + sizeof(number)))
    cdef number* value = <number*>(at + pieces)
    if at == NULL:
        return fail(call, "no memory for %lld partial results", <long long>pieces)
    for i in prange(pieces, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        piece[number](form, x, n, i, at)
        value[i] = x[at[i]]
    form.rows(value, 1, pieces, &best)
    out[0] = <number>at[best]
    scratch_free(at)
    return 0


cdef int arg(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const ArgParams* p = <const ArgParams*>call.params
    cdef const Tensor* data = &inputs[0]
    cdef const number* x = <const number*>data.data
    cdef number* out = <number*>outputs[0].data
    cdef Py_ssize_t n = data.size, inner = 1, outer = 1, tasks, t, blocks, chunk
    cdef ArgForm form = arg_form(x, p.largest)
    cdef int i, axis = p.axis + data.ndim if p.axis < 0 else p.axis, threads = call.threads
    if not p.flat:
        n = data.shape[axis]
        for i in range(axis):
            outer *= data.shape[i]
        for i in range(axis + 1, data.ndim):
            inner *= data.shape[i]
    if outputs[0].size == 0:
        return 0
    if n == 0:
        return fail(call, "there is no element along the axis to find")
    if inner > 1:
        blocks = (inner + WIDTH - 1) // WIDTH
        for t in prange(outer * blocks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            columns[number](form, x, out, n, inner, t, blocks)
        return 0
    if outer == 1 and n > PIECE:
        return long_row[number](form, x, out, n, call)
    chunk = max(16384 // n, <Py_ssize_t>1)
    tasks = (outer + chunk - 1) // chunk
    for t in prange(tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        rows[number](form, x, out, n, t * chunk, min(t * chunk + chunk, outer))
    return 0


cdef int arg_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[float](inputs, outputs, call, 0)

cdef int arg_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[double](inputs, outputs, call, 0)

cdef int arg_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[uint8_t](inputs, outputs, call, 0)

cdef int arg_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[int8_t](inputs, outputs, call, 0)

cdef int arg_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[int32_t](inputs, outputs, call, 0)

cdef int arg_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return arg[int64_t](inputs, outputs, call, 0)


TABLE = {FLOAT32: <uintptr_t><kernel_t>arg_float, FLOAT64: <uintptr_t><kernel_t>arg_double,
         UINT8: <uintptr_t><kernel_t>arg_uint8, INT8: <uintptr_t><kernel_t>arg_int8,
         INT32: <uintptr_t><kernel_t>arg_int32, INT64: <uintptr_t><kernel_t>arg_int64}


def packer(largest):
    """A function that packs ArgParams."""
    def pack(params):
        axis = params.get("axis", 1)
        return struct.pack("3i", largest, axis or 0, axis is None)
    return pack


argmax = Kernel("argmax", TABLE, pack=packer(True), parallel=True, cost=.15)
argmin = Kernel("argmin", TABLE, pack=packer(False), parallel=True, cost=.15)
