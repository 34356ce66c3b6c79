# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Positions as numbers: joined and split coordinates, the coordinates of all elements, counts in bins."""
import struct

from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, MAX_NDIM, UINT8, Call, Tensor, kernel_t
from mxcy.ops._kernel cimport Kernel

cdef struct ShapeParams:
    int ndim
    Py_ssize_t shape[MAX_NDIM]

cdef struct BinParams:
    Py_ssize_t count                # 0: the edges are an input
    double low, high

ctypedef fused number:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef int ravel_(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const ShapeParams* p = <const ShapeParams*>call.params
    cdef const number* data = <const number*>inputs[0].data
    cdef number* out = <number*>outputs[0].data
    cdef Py_ssize_t n = outputs[0].size, i, at
    cdef int k
    for i in range(n):
        at = 0
        for k in range(p.ndim):
            at = at * p.shape[k] + <Py_ssize_t>data[k * n + i]
        out[i] = <number>at
    return 0


cdef int unravel_(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const ShapeParams* p = <const ShapeParams*>call.params
    cdef const number* data = <const number*>inputs[0].data
    cdef number* out = <number*>outputs[0].data
    cdef Py_ssize_t n = inputs[0].size, i, at
    cdef int k
    for i in range(n):
        at = <Py_ssize_t>data[i]
        for k in range(p.ndim - 1, -1, -1):
            out[k * n + i] = <number>(at if p.shape[k] < 0 else at % p.shape[k])
            at = at // p.shape[k]
    return 0


cdef int coordinates_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """For every element of the input, its coordinates along the axes in the parameters; no axes: all."""
    cdef const ShapeParams* p = <const ShapeParams*>call.params
    cdef const Tensor* data = &inputs[0]
    cdef int64_t* out = <int64_t*>outputs[0].data
    cdef Py_ssize_t coordinate[MAX_NDIM]
    cdef Py_ssize_t i
    cdef int k, m = p.ndim if p.ndim else data.ndim
    memset(coordinate, 0, sizeof(coordinate))
    for i in range(data.size):
        for k in range(m):
            out[i * m + k] = coordinate[p.shape[k] if p.ndim else k]
        for k in range(data.ndim - 1, -1, -1):
            coordinate[k] += 1
            if coordinate[k] < data.shape[k]:
                break
            coordinate[k] = 0
    return 0


cdef Py_ssize_t bin_of(double x, const number* edge, Py_ssize_t count) noexcept nogil:
    """The bin [edge[b], edge[b + 1]) of x, the last one with its end; -1 if there is none."""
    cdef Py_ssize_t low = 0, high = count, middle
    if not (x >= <double>edge[0] and x <= <double>edge[count]):
        return -1
    while high - low > 1:
        middle = (low + high) // 2
        if x >= <double>edge[middle]:
            low = middle
        else:
            high = middle
    return low


cdef int histogram_(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const BinParams* p = <const BinParams*>call.params
    cdef const number* data = <const number*>inputs[0].data
    cdef const number* given
    cdef int64_t* counts = <int64_t*>outputs[0].data
    cdef number* edge = <number*>outputs[1].data
    cdef Py_ssize_t n = outputs[0].size, i, b
    cdef double width, x, per_unit
    if p.count:
        width = (p.high - p.low) / n
        for i in range(n):
            edge[i] = <number>(p.low + i * width)
        edge[n] = <number>p.high
    else:
        given = <const number*>inputs[1].data
        for i in range(n + 1):
            edge[i] = given[i]
    memset(counts, 0, n * sizeof(int64_t))
    if not p.count:
        for i in range(inputs[0].size):
            b = bin_of(<double>data[i], edge, n)
            if b >= 0:
                counts[b] += 1
        return 0
    per_unit = n / (p.high - p.low)
    for i in range(inputs[0].size):
        x = <double>data[i]
        if x >= <double>edge[0] and x <= <double>edge[n]:
            b = min(<Py_ssize_t>((x - p.low) * per_unit), n - 1)
            if x < <double>edge[b]:                     # rounding, of the quotient or of the edges
                b -= 1
            elif b < n - 1 and x >= <double>edge[b + 1]:
                b += 1
            counts[b] += 1
    return 0


cdef int ravel_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[float](inputs, outputs, call, 0)
cdef int ravel_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[double](inputs, outputs, call, 0)
cdef int ravel_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[uint8_t](inputs, outputs, call, 0)
cdef int ravel_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[int8_t](inputs, outputs, call, 0)
cdef int ravel_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[int32_t](inputs, outputs, call, 0)
cdef int ravel_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return ravel_[int64_t](inputs, outputs, call, 0)

cdef int unravel_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[float](inputs, outputs, call, 0)
cdef int unravel_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[double](inputs, outputs, call, 0)
cdef int unravel_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[uint8_t](inputs, outputs, call, 0)
cdef int unravel_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[int8_t](inputs, outputs, call, 0)
cdef int unravel_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[int32_t](inputs, outputs, call, 0)
cdef int unravel_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return unravel_[int64_t](inputs, outputs, call, 0)

cdef int histogram_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[float](inputs, outputs, call, 0)
cdef int histogram_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[double](inputs, outputs, call, 0)
cdef int histogram_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[uint8_t](inputs, outputs, call, 0)
cdef int histogram_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[int8_t](inputs, outputs, call, 0)
cdef int histogram_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[int32_t](inputs, outputs, call, 0)
cdef int histogram_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return histogram_[int64_t](inputs, outputs, call, 0)


def pack_numbers(name):
    """A function that packs ShapeParams from the parameter ``name``."""
    def pack(params):
        numbers = params[name] or ()
        return struct.pack(f"i4x{MAX_NDIM}q", len(numbers), *numbers, *(0,) * (MAX_NDIM - len(numbers)))
    return pack


def pack_bins(params):
    return struct.pack("q2d", params["bin_cnt"] or 0, *(params["range"] or (0, 0)))


ravel = Kernel("_ravel_multi_index", {
    FLOAT32: <uintptr_t><kernel_t>ravel_float, FLOAT64: <uintptr_t><kernel_t>ravel_double,
    UINT8: <uintptr_t><kernel_t>ravel_uint8, INT8: <uintptr_t><kernel_t>ravel_int8,
    INT32: <uintptr_t><kernel_t>ravel_int32, INT64: <uintptr_t><kernel_t>ravel_int64}, pack=pack_numbers("shape"), cost=2.)
unravel = Kernel("_unravel_index", {
    FLOAT32: <uintptr_t><kernel_t>unravel_float, FLOAT64: <uintptr_t><kernel_t>unravel_double,
    UINT8: <uintptr_t><kernel_t>unravel_uint8, INT8: <uintptr_t><kernel_t>unravel_int8,
    INT32: <uintptr_t><kernel_t>unravel_int32, INT64: <uintptr_t><kernel_t>unravel_int64}, pack=pack_numbers("shape"), cost=5.)
histogram = Kernel("_histogram", {
    FLOAT32: <uintptr_t><kernel_t>histogram_float, FLOAT64: <uintptr_t><kernel_t>histogram_double,
    UINT8: <uintptr_t><kernel_t>histogram_uint8, INT8: <uintptr_t><kernel_t>histogram_int8,
    INT32: <uintptr_t><kernel_t>histogram_int32, INT64: <uintptr_t><kernel_t>histogram_int64}, pack=pack_bins, cost=5.)
coordinates = Kernel("_contrib_index_array", {INT64: <uintptr_t><kernel_t>coordinates_}, pack=pack_numbers("axes"), cost=1.,
                     dispatch=-1)
