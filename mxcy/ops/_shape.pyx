# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Copying, transposing, joining, splitting and repeating: strided copies between parts of arrays.

Parameters are packed as int64 numbers; axes may be negative there, as users give them.
"""
from libc.stdint cimport int64_t, uintptr_t

from mxcy._types cimport MAX_NDIM, Call, Tensor, itemsize, kernel_t
from mxcy.ops._strided cimport (MAX_AXES, Region, clear, copy_bytes, copy_region, dense_strides, product, strided_copy,
                                whole)
from mxcy.ops._kernel import Kernel
from mxcy.ops.packing import every, pack


# -- copying and transposing -------------------------------------------------------------------------------------------

cdef int copy_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].data != inputs[0].data:
        copy_bytes(outputs[0].data, inputs[0].data, inputs[0].size * itemsize(inputs[0].dtype), call.threads)
    return 0


cdef void permute(const Tensor* x, Tensor* out, const int* axes, int threads) noexcept nogil:
    """out's axis i is x's axis axes[i]."""
    cdef Py_ssize_t x_stride[MAX_NDIM]
    cdef Py_ssize_t src_stride[MAX_NDIM]
    cdef Py_ssize_t dst_stride[MAX_NDIM]
    cdef int i
    dense_strides(x.shape, x.ndim, x_stride)
    dense_strides(out.shape, out.ndim, dst_stride)
    for i in range(x.ndim):
        src_stride[i] = x_stride[axes[i]]
    strided_copy(out.data, dst_stride, x.data, src_stride, out.shape, x.ndim, itemsize(x.dtype), threads)


cdef int transpose_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params         # number of axes, axes; none: reverse them all
    cdef int i, ndim = inputs[0].ndim
    cdef int axes[MAX_NDIM]
    for i in range(ndim):
        axes[i] = ndim - 1 - i if p[0] == 0 else <int>p[1 + i]
        if axes[i] < 0:
            axes[i] += ndim
    permute(&inputs[0], &outputs[0], axes, call.threads)
    return 0


cdef int swapaxes_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params
    cdef int i, ndim = inputs[0].ndim
    cdef int first = <int>(p[0] + ndim if p[0] < 0 else p[0]), second = <int>(p[1] + ndim if p[1] < 0 else p[1])
    cdef int axes[MAX_NDIM]
    for i in range(ndim):
        axes[i] = i
    axes[first], axes[second] = second, first
    permute(&inputs[0], &outputs[0], axes, call.threads)
    return 0


# -- joining and splitting ---------------------------------------------------------------------------------------------

cdef int join_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Put the inputs side by side along an axis of the output."""
    cdef const int64_t* p = <const int64_t*>call.params
    cdef Tensor* out = &outputs[0]
    cdef int i, axis = <int>(p[0] + out.ndim if p[0] < 0 else p[0])
    cdef Py_ssize_t size = itemsize(out.dtype), row, at = 0
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t to[2]
    cdef Py_ssize_t source[2]
    shape[0] = product(out.shape, 0, axis)
    to[0] = product(out.shape, axis, out.ndim)
    to[1] = source[1] = 1
    for i in range(call.n_inputs):
        if inputs[i].size:
            row = inputs[i].size // shape[0]
            shape[1] = source[0] = row
            strided_copy(<char*>out.data + at * size, to, inputs[i].data, source, shape, 2, size, call.threads)
            at += row
    return 0


cdef int split_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Deal the input out along an axis: the inverse of joining."""
    cdef const int64_t* p = <const int64_t*>call.params
    cdef const Tensor* x = &inputs[0]
    cdef int i, axis = <int>(p[0] + x.ndim if p[0] < 0 else p[0])
    cdef Py_ssize_t size = itemsize(x.dtype), row, at = 0
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t to[2]
    cdef Py_ssize_t source[2]
    shape[0] = product(x.shape, 0, axis)
    source[0] = product(x.shape, axis, x.ndim)
    to[1] = source[1] = 1
    for i in range(call.n_outputs):
        if outputs[i].size:
            row = outputs[i].size // shape[0]
            shape[1] = to[0] = row
            strided_copy(outputs[i].data, to, <const char*>x.data + at * size, source, shape, 2, size, call.threads)
            at += row
    return 0


# -- repeating ---------------------------------------------------------------------------------------------------------

cdef int broadcast_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Region source, to
    cdef int i
    whole(&inputs[0], &source)
    whole(&outputs[0], &to)
    for i in range(outputs[0].ndim):
        if inputs[0].shape[i] == 1:
            source.stride[i] = 0
    copy_region(outputs[0].data, &to, inputs[0].data, &source, outputs[0].shape, outputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


cdef int tile_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Each axis of the output is two: which copy, and where in it."""
    cdef const Tensor* x = &inputs[0]
    cdef Tensor* out = &outputs[0]
    cdef Py_ssize_t x_stride[MAX_NDIM]
    cdef Py_ssize_t out_stride[MAX_NDIM]
    cdef Py_ssize_t shape[MAX_AXES]
    cdef Py_ssize_t to[MAX_AXES]
    cdef Py_ssize_t source[MAX_AXES]
    cdef int i, extra = out.ndim - x.ndim
    cdef Py_ssize_t extent
    if out.size == 0:
        return 0
    dense_strides(x.shape, x.ndim, x_stride)
    dense_strides(out.shape, out.ndim, out_stride)
    for i in range(out.ndim):
        extent = x.shape[i - extra] if i >= extra else 1
        shape[2 * i], shape[2 * i + 1] = out.shape[i] // extent, extent
        to[2 * i], to[2 * i + 1] = out_stride[i] * extent, out_stride[i]
        source[2 * i], source[2 * i + 1] = 0, x_stride[i - extra] if i >= extra else 0
    strided_copy(out.data, to, x.data, source, shape, 2 * out.ndim, itemsize(x.dtype), call.threads)
    return 0


cdef int repeat_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Each item along an axis stands several times in a row."""
    cdef const int64_t* p = <const int64_t*>call.params         # axis, repeats
    cdef const Tensor* x = &inputs[0]
    cdef int axis = <int>(p[0] + x.ndim if p[0] < 0 else p[0])
    cdef Py_ssize_t row = product(x.shape, axis + 1, x.ndim)
    cdef Py_ssize_t shape[3]
    cdef Py_ssize_t to[3]
    cdef Py_ssize_t source[3]
    shape[0], shape[1], shape[2] = product(x.shape, 0, axis + 1), p[1], row
    to[0], to[1], to[2] = p[1] * row, row, 1
    source[0], source[1], source[2] = row, 0, 1
    strided_copy(outputs[0].data, to, x.data, source, shape, 3, itemsize(x.dtype), call.threads)
    return 0


# -- diagonals ---------------------------------------------------------------------------------------------------------

cdef void diagonal(const Tensor* x, const int64_t* p, Region* region) noexcept nogil:
    """The k-th diagonal of two axes as the last axis. p: k, axis1, axis2."""
    cdef int i, n = 0
    cdef int first = <int>(p[1] + x.ndim if p[1] < 0 else p[1]), second = <int>(p[2] + x.ndim if p[2] < 0 else p[2])
    cdef Py_ssize_t stride[MAX_NDIM]
    dense_strides(x.shape, x.ndim, stride)
    region.offset = p[0] * stride[second] if p[0] > 0 else -p[0] * stride[first]
    for i in range(x.ndim):
        if i != first and i != second:
            region.stride[n] = stride[i]
            n += 1
    region.stride[n] = stride[first] + stride[second]


cdef void put_diagonal(const Tensor* x, Tensor* out, const int64_t* p, int threads) noexcept nogil:
    """Zeros, with x on the diagonal."""
    cdef Region source, to
    clear(out, threads)
    diagonal(out, p, &to)
    whole(x, &source)
    copy_region(out.data, &to, x.data, &source, x.shape, x.ndim, itemsize(x.dtype), threads)


cdef int diag_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params
    cdef int64_t vector[3]
    cdef Region source, to
    if inputs[0].ndim == 1:                 # a vector becomes the diagonal of a matrix; its axes are these
        vector[0], vector[1], vector[2] = p[0], 0, 1
        put_diagonal(&inputs[0], &outputs[0], vector, call.threads)
        return 0
    diagonal(&inputs[0], p, &source)
    whole(&outputs[0], &to)
    copy_region(outputs[0].data, &to, inputs[0].data, &source, outputs[0].shape, outputs[0].ndim,
                itemsize(inputs[0].dtype), call.threads)
    return 0


cdef int diag_backward_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    put_diagonal(&inputs[0], &outputs[0], <const int64_t*>call.params, call.threads)
    return 0


# -- depth and space ---------------------------------------------------------------------------------------------------

cdef void blocks(const Tensor* deep, Py_ssize_t b, int threads, bint to_space, const void* src,
                 void* dst) noexcept nogil:
    """Between (N, b, b, C, H, W) and (N, C, H, b, W, b); deep is the tensor with the many channels."""
    cdef Py_ssize_t c = deep.shape[1] // (b * b), h = deep.shape[2], w = deep.shape[3], size = itemsize(deep.dtype)
    cdef Py_ssize_t space[6]            # axes in the order N, C, H, b, W, b
    cdef Py_ssize_t depth[6]
    cdef Py_ssize_t shape[6]
    cdef int order[6]
    cdef Py_ssize_t swapped[3][6]
    cdef int i
    shape[0], shape[1], shape[2], shape[3], shape[4], shape[5] = deep.shape[0], c, h, b, w, b
    dense_strides(shape, 6, space)
    depth[0], depth[1], depth[2], depth[4] = deep.shape[1] * h * w, h * w, w, 1
    depth[3], depth[5] = b * c * h * w, c * h * w
    if to_space:
        strided_copy(dst, space, src, depth, shape, 6, size, threads)
        return
    order[0], order[1], order[2], order[3], order[4], order[5] = 0, 3, 5, 1, 2, 4
    for i in range(6):
        swapped[0][i], swapped[1][i], swapped[2][i] = depth[order[i]], space[order[i]], shape[order[i]]
    strided_copy(dst, swapped[0], src, swapped[1], swapped[2], 6, size, threads)


cdef int depth_to_space_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    blocks(&inputs[0], (<const int64_t*>call.params)[0], call.threads, True, inputs[0].data, outputs[0].data)
    return 0


cdef int space_to_depth_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    blocks(&outputs[0], (<const int64_t*>call.params)[0], call.threads, False, inputs[0].data, outputs[0].data)
    return 0


# -- sizes as arrays ---------------------------------------------------------------------------------------------------

cdef int shape_array_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef int i
    for i in range(inputs[0].ndim):
        (<int64_t*>outputs[0].data)[i] = inputs[0].shape[i]
    return 0


cdef int size_array_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    (<int64_t*>outputs[0].data)[0] = inputs[0].size
    return 0


# -- the kernels -------------------------------------------------------------------------------------------------------

def kernel(name, uintptr_t function, packer=None, cost=0.2, inplace=False):
    return Kernel(name, every(function), pack=packer, inplace=inplace, parallel=True, cost=cost)


def pack_axis(params):
    """The axis, by either name."""
    return pack(params["dim"] if "dim" in params else params["axis"])


copy = kernel("copy", <uintptr_t><kernel_t>copy_kernel, cost=0.1, inplace=True)
transpose = kernel("transpose", <uintptr_t><kernel_t>transpose_kernel, lambda p: pack(len(p["axes"]), *p["axes"]), 0.3)
swapaxes = kernel("swapaxes", <uintptr_t><kernel_t>swapaxes_kernel, lambda p: pack(p["dim1"], p["dim2"]), 0.3)
join = kernel("join", <uintptr_t><kernel_t>join_kernel, pack_axis)
split = kernel("split", <uintptr_t><kernel_t>split_kernel, pack_axis)
broadcast = kernel("broadcast", <uintptr_t><kernel_t>broadcast_kernel)
tile = kernel("tile", <uintptr_t><kernel_t>tile_kernel)
repeat = kernel("repeat", <uintptr_t><kernel_t>repeat_kernel,
                lambda p: pack(-1 if p["axis"] is None else p["axis"], p["repeats"]))
diag = kernel("diag", <uintptr_t><kernel_t>diag_kernel, lambda p: pack(p["k"], p["axis1"], p["axis2"]))
diag_backward = kernel("diag_backward", <uintptr_t><kernel_t>diag_backward_kernel,
                       lambda p: pack(p["k"], p["axis1"], p["axis2"]))
depth_to_space = kernel("depth_to_space", <uintptr_t><kernel_t>depth_to_space_kernel, lambda p: pack(p["block_size"]))
space_to_depth = kernel("space_to_depth", <uintptr_t><kernel_t>space_to_depth_kernel, lambda p: pack(p["block_size"]))
shape_array = kernel("shape_array", <uintptr_t><kernel_t>shape_array_kernel, cost=0)
size_array = kernel("size_array", <uintptr_t><kernel_t>size_array_kernel, cost=0)
