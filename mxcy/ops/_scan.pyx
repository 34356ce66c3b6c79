# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Running sums along an axis, from either end."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, kernel_t
from mxcy.ops._kernel cimport Kernel

cdef enum:
    WIDTH = 1024                    # columns that one task sums

cdef struct ScanParams:
    int axis                        # negative: from the end
    int flat                        # all elements as one row
    int reverse

ctypedef fused number:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef void scan_row(number* out, const number* x, Py_ssize_t n, bint reverse) noexcept nogil:
    cdef double total = 0           # floats are summed in float64, so that errors do not grow along the row
    cdef int64_t whole = 0
    cdef Py_ssize_t i, k
    for i in range(n):
        k = n - 1 - i if reverse else i
        if number is float or number is double:
            total += x[k]
            out[k] = <number>total
        else:
            whole += x[k]
            out[k] = <number>whole


cdef void scan_columns(number* out, const number* x, Py_ssize_t n, Py_ssize_t stride, Py_ssize_t width,
                       bint reverse) noexcept nogil:
    cdef Py_ssize_t _, j, here, step = -stride if reverse else stride
    here = (n - 1) * stride if reverse else 0
    for j in range(width):
        out[here + j] = x[here + j]
    for _ in range(1, n):
        here += step
        for j in range(width):
            out[here + j] = out[here - step + j] + x[here + j]


cdef int scan(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const ScanParams* p = <const ScanParams*>call.params
    cdef const Tensor* data = &inputs[0]
    cdef const number* x = <const number*>data.data
    cdef number* out = <number*>outputs[0].data
    cdef Py_ssize_t outer = 1, n = data.size, inner = 1, blocks, t, begin
    cdef int i, axis = p.axis + data.ndim if p.axis < 0 else p.axis, threads = call.threads
    cdef bint reverse = p.reverse
    if data.size == 0:
        return 0
    if not p.flat:
        n = data.shape[axis]
        for i in range(axis):
            outer *= data.shape[i]
        for i in range(axis + 1, data.ndim):
            inner *= data.shape[i]
    if inner == 1:
        for t in prange(outer, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            scan_row(out + t * n, x + t * n, n, reverse)
        return 0
    blocks = (inner + WIDTH - 1) // WIDTH
    for t in prange(outer * blocks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        begin = t // blocks * n * inner + t % blocks * WIDTH
        scan_columns(out + begin, x + begin, n, inner, min(<Py_ssize_t>WIDTH, inner - t % blocks * WIDTH), reverse)
    return 0


cdef int scan_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[float](inputs, outputs, call, 0)

cdef int scan_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[double](inputs, outputs, call, 0)

cdef int scan_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[uint8_t](inputs, outputs, call, 0)

cdef int scan_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[int8_t](inputs, outputs, call, 0)

cdef int scan_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[int32_t](inputs, outputs, call, 0)

cdef int scan_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return scan[int64_t](inputs, outputs, call, 0)


def pack(params):
    return struct.pack("3i", params["axis"] or 0, params["axis"] is None, params["reverse"])


cumsum = Kernel("_cumsum", {
    FLOAT32: <uintptr_t><kernel_t>scan_float, FLOAT64: <uintptr_t><kernel_t>scan_double,
    UINT8: <uintptr_t><kernel_t>scan_uint8, INT8: <uintptr_t><kernel_t>scan_int8,
    INT32: <uintptr_t><kernel_t>scan_int32, INT64: <uintptr_t><kernel_t>scan_int64}, pack=pack, parallel=True, cost=1.3)
