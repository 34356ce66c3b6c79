# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Slices: reading, writing and reversing parts of arrays.

Parameters are packed as int64 numbers; axes and positions may be negative there, as users give them.
"""
from libc.stdint cimport INT64_MIN, int64_t, uintptr_t

from mxcy._types cimport MAX_NDIM, Call, Tensor, fail, itemsize, kernel_t
from mxcy.ops._strided cimport Region, clear, copy_bytes, copy_region, strided_copy, whole, write_number
from mxcy.storage._storage cimport scratch_free, scratch_new
from mxcy.ops._kernel import Kernel
from mxcy.ops.packing import every, pack

cdef int64_t NONE = INT64_MIN           # an open end, as packing.NONE


cdef void select(const Tensor* x, const int64_t* p, Region* region) noexcept nogil:
    """The part of x that starts at begin and moves by step. p: number of axes, begin of each, step of each."""
    cdef int i, n = <int>p[0]
    cdef Py_ssize_t begin, step
    whole(x, region)
    for i in range(n):
        step = p[1 + n + i]
        begin = p[1 + i]
        if begin == NONE:
            begin = x.shape[i] - 1 if step < 0 else 0
        elif begin < 0:
            begin = max(begin + x.shape[i], -1 if step < 0 else 0)
        elif begin >= x.shape[i] and step < 0:
            begin = x.shape[i] - 1
        region.offset += begin * region.stride[i]
        region.stride[i] *= step


cdef int slice_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Region source, to
    select(&inputs[0], <const int64_t*>call.params, &source)
    whole(&outputs[0], &to)
    copy_region(outputs[0].data, &to, inputs[0].data, &source, outputs[0].shape, inputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


cdef int slice_axis_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params         # axis, begin
    cdef int axis = <int>(p[0] + inputs[0].ndim if p[0] < 0 else p[0])
    cdef Region source, to
    whole(&inputs[0], &source)
    whole(&outputs[0], &to)
    source.offset = (p[1] + inputs[0].shape[axis] if p[1] < 0 else p[1]) * source.stride[axis]
    copy_region(outputs[0].data, &to, inputs[0].data, &source, outputs[0].shape, inputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


cdef int slice_backward_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Zeros, with the input at the places where slice would have read."""
    cdef Region source, to
    clear(&outputs[0], call.threads)
    select(&outputs[0], <const int64_t*>call.params, &to)
    whole(&inputs[0], &source)
    copy_region(outputs[0].data, &to, inputs[0].data, &source, inputs[0].shape, inputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


cdef int slice_assign_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """The first input with part of it replaced by the second. The output may be either of them."""
    cdef Region source, to
    cdef Py_ssize_t size = itemsize(inputs[0].dtype), nbytes = inputs[1].size * size
    cdef void* part = inputs[1].data
    if outputs[0].data == part and nbytes:          # a slice may read what it has overwritten
        part = scratch_new(nbytes)
        if part == NULL:
            return fail(call, "_slice_assign: no memory for %lld bytes", <long long>nbytes)
        copy_bytes(part, inputs[1].data, nbytes, call.threads)
    if outputs[0].data != inputs[0].data:
        copy_bytes(outputs[0].data, inputs[0].data, inputs[0].size * size, call.threads)
    select(&outputs[0], <const int64_t*>call.params, &to)
    whole(&inputs[1], &source)
    copy_region(outputs[0].data, &to, part, &source, inputs[1].shape, inputs[1].ndim, size, call.threads)
    if part != inputs[1].data:
        scratch_free(part)
    return 0


cdef int slice_assign_scalar_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """The input with one number in part of it. Packed behind begin and step: the end."""
    cdef const int64_t* p = <const int64_t*>call.params
    cdef int i, n = <int>p[0], ndim = inputs[0].ndim
    cdef Region to
    cdef Py_ssize_t nothing[MAX_NDIM]
    cdef Py_ssize_t extent[MAX_NDIM]
    cdef Py_ssize_t size = itemsize(inputs[0].dtype)
    cdef double number
    write_number(&number, call.scalar, inputs[0].dtype)
    if outputs[0].data != inputs[0].data:
        copy_bytes(outputs[0].data, inputs[0].data, inputs[0].size * size, call.threads)
    select(&outputs[0], p, &to)
    for i in range(ndim):
        nothing[i] = 0
        extent[i] = slice_extent(p, i, inputs[0].shape[i]) if i < n else inputs[0].shape[i]
    strided_copy(<char*>outputs[0].data + to.offset * size, to.stride, &number, nothing, extent,
                 ndim, size, call.threads)
    return 0


cdef Py_ssize_t slice_extent(const int64_t* p, int axis, Py_ssize_t length) noexcept nogil:
    """How many items begin, step and end (packed in this order) select of an axis; as Python's slice.indices."""
    cdef int n = <int>p[0]
    cdef int64_t begin = p[1 + axis], step = p[1 + n + axis], end = p[1 + 2 * n + axis]
    cdef int64_t low = -1 if step < 0 else 0, high = length - 1 if step < 0 else length
    if begin == NONE:
        begin = high if step < 0 else low
    else:
        begin = min(max(begin + length if begin < 0 else begin, low), high)
    if end == NONE:
        end = low if step < 0 else high
    else:
        end = min(max(end + length if end < 0 else end, low), high)
    if step < 0:
        return max((begin - end - step - 1) // -step, 0)
    return max((end - begin + step - 1) // step, 0)


cdef int crop_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params         # offsets in height and width; whether to centre
    cdef const Tensor* x = &inputs[0]
    cdef Tensor* out = &outputs[0]
    cdef Region source, to
    cdef int i
    whole(x, &source)
    whole(out, &to)
    for i in range(2):
        source.offset += source.stride[2 + i] * ((x.shape[2 + i] - out.shape[2 + i]) // 2 if p[2] else p[i])
    copy_region(out.data, &to, x.data, &source, out.shape, 4, itemsize(x.dtype), call.threads)
    return 0


cdef int reverse_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params         # number of axes, axes
    cdef Region source, to
    cdef int i, axis
    whole(&inputs[0], &source)
    whole(&outputs[0], &to)
    if inputs[0].size == 0:
        return 0
    for i in range(<int>p[0]):
        axis = <int>(p[1 + i] + inputs[0].ndim if p[1 + i] < 0 else p[1 + i])
        source.offset += (inputs[0].shape[axis] - 1) * source.stride[axis]
        source.stride[axis] = -source.stride[axis]
    copy_region(outputs[0].data, &to, inputs[0].data, &source, outputs[0].shape, outputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


# -- the kernels -------------------------------------------------------------------------------------------------------

def kernel(name, uintptr_t function, packer, cost=0.2, inplace=False):
    return Kernel(name, every(function), pack=packer, inplace=inplace, parallel=True, cost=cost)


def steps(params):
    """The step of each axis that begin names."""
    step = params["step"] or (1,) * len(params["begin"])
    return [1 if s is None else s for s in step]


def pack_slice(params):
    return pack(len(params["begin"]), *params["begin"], *steps(params))


def pack_slice_scalar(params):
    begin, end = params["begin"], params["end"]
    return pack(len(begin), *begin, *steps(params), *end)


slice = kernel("slice", <uintptr_t><kernel_t>slice_kernel, pack_slice)
slice_like = kernel("slice_like", <uintptr_t><kernel_t>slice_kernel, lambda params: pack(0))
slice_axis = kernel("slice_axis", <uintptr_t><kernel_t>slice_axis_kernel, lambda p: pack(p["axis"], p["begin"]))
slice_backward = kernel("slice_backward", <uintptr_t><kernel_t>slice_backward_kernel, pack_slice)
slice_assign = kernel("slice_assign", <uintptr_t><kernel_t>slice_assign_kernel, pack_slice, inplace=True)
slice_assign_scalar = kernel("slice_assign_scalar", <uintptr_t><kernel_t>slice_assign_scalar_kernel, pack_slice_scalar,
                             inplace=True)
crop = kernel("crop", <uintptr_t><kernel_t>crop_kernel, lambda p: pack(*p["offset"], p["center_crop"]))
reverse = kernel("reverse", <uintptr_t><kernel_t>reverse_kernel, lambda p: pack(len(p["axis"]), *p["axis"]), cost=0.5)
