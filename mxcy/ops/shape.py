"""Operators that give the items of an array another shape or order."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.ops import _shape as kernel
from mxcy.ops.axes import axes_in, axis_in
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Param, Shape
from mxcy.ops.reshaping import infer_reshape, legacy_reshape, replace_axes

# -- reshaping ---------------------------------------------------------------------------------------------------------


def back_to_data(F, g, data):
    """Gradient rule: the gradient in the shape of ``data``."""
    return F.reshape_like(g, data)


reshape = Operator(
    "Reshape", "data",
    """The same values in another shape.

    Numbers in ``shape`` that are not positive have a meaning: 0 keeps the size of this axis, -1 (once) stands for
    whatever is left, -2 keeps all remaining axes, -3 joins two axes, and -4 splits an axis into the two numbers that
    follow it, of which one may be -1.

    >>> mx.nd.reshape(mx.nd.zeros((2, 3, 4)), shape=(-3, -4, 2, -1)).shape
    (6, 2, 2)
    """,
    aliases=("reshape",),
    shape=Param(Shape, (), doc="The new shape; see above for 0, -1, -2, -3 and -4."),
    reverse=Param(bool, False, doc="Match the special numbers from the last axis to the first."),
    target_shape=Param(Shape, (), doc="Deprecated form of ``shape``, in which one 0 stands for what is left."),
    keep_highest=Param(bool, False, doc="With ``target_shape``: keep the size of the first axis."))


@reshape.infer_shape
def reshape_shape(data, shape, reverse, target_shape, keep_highest):
    if shape:
        return infer_reshape(data, shape, reverse)
    if target_shape:
        return legacy_reshape(data, target_shape, keep_highest)
    raise MXNetValueError("Reshape: shape is (); say the new shape, for example (-1,)")


reshape.gradient(back_to_data)
reshape.cpu = kernel.copy

reshape_like = Operator(
    "reshape_like", "lhs rhs",
    """The values of ``lhs`` in the shape of ``rhs``; or only some axes take the sizes of some of ``rhs``.""",
    aliases=("_npx_reshape_like",),
    lhs_begin=Param(int, None, doc="First axis of ``lhs`` to replace; 0 if None."),
    lhs_end=Param(int, None, doc="The axis behind the last one of ``lhs`` to replace; all if None."),
    rhs_begin=Param(int, None, doc="First axis of ``rhs`` to take; 0 if None."),
    rhs_end=Param(int, None, doc="The axis behind the last one of ``rhs`` to take; all if None."))


@reshape_like.infer_shape
def reshape_like_shape(lhs, rhs, lhs_begin, lhs_end, rhs_begin, rhs_end):
    return replace_axes(lhs, rhs, (lhs_begin, lhs_end), (rhs_begin, rhs_end))


@reshape_like.infer_type
def reshape_like_type(lhs):
    return lhs


@reshape_like.gradient
def reshape_like_gradient(F, g, lhs):
    return F.reshape_like(g, lhs), None


reshape_like.cpu = kernel.copy

flatten = Operator(
    "Flatten", "data", "Join all axes but the first: the result has two.", aliases=("_npx_batch_flatten", "flatten"))


@flatten.infer_shape
def flatten_shape(data):
    return data[0] if data else 1, prod(data[1:])


flatten.gradient(back_to_data)
flatten.cpu = kernel.copy

expand_dims = Operator(
    "expand_dims", "data", "Insert an axis of size 1.", aliases=("_npi_expand_dims",),
    axis=Param(int, doc="Where the new axis stands in the result; negative: from the end."))


@expand_dims.infer_shape
def expand_dims_shape(data, axis):
    at = axis_in(axis, len(data) + 1, "expand_dims: axis")
    return (*data[:at], 1, *data[at:])


expand_dims.gradient(back_to_data)
expand_dims.cpu = kernel.copy


@expand_dims.infer_inputs
def expand_dims_data(out, axis):
    if out:
        at = axis_in(axis, len(out), "expand_dims: axis")
        return dict(data=(*out[:at], *out[at + 1:]))


squeeze = Operator(
    "squeeze", "data", "Remove axes of size 1; one stays if all are.",
    axis=Param(Shape, None, doc="The axes to remove; all of size 1 if None."))


@squeeze.infer_shape
def squeeze_shape(data, axis):
    if axis is None:
        gone = [i for i, n in enumerate(data) if n == 1]
    else:
        gone = axes_in(axis, len(data), "squeeze: axis")
        for i in gone:
            if data[i] != 1:
                raise MXNetValueError(f"squeeze: axis {i} of {data} has size {data[i]}; only axes of size 1 can go")
    return tuple(n for i, n in enumerate(data) if i not in gone) or (1,)


squeeze.gradient(back_to_data)
squeeze.cpu = kernel.copy

# -- transposing -------------------------------------------------------------------------------------------------------

transpose = Operator(
    "transpose", "data", "Permute the axes.",
    axes=Param(Shape, (), doc="Which axis of ``data`` each axis of the result is; in reverse order if not given."))


@transpose.infer_shape
def transpose_shape(data, axes):
    if not axes:
        return data[::-1]
    if len(axes) != len(data):
        raise MXNetValueError(f"transpose: axes is {axes}, but data of shape {data} has {len(data)} axes")
    return tuple(data[i] for i in axes_in(axes, len(data), "transpose: axes"))


@transpose.gradient
def transpose_gradient(F, g, axes):
    if not axes:
        return F.transpose(g)
    order = [axis % len(axes) for axis in axes]
    return F.transpose(g, axes=tuple(order.index(i) for i in range(len(order))))


transpose.cpu = kernel.transpose


@transpose.infer_inputs
def transpose_data(out, axes):
    if not axes:
        return dict(data=out and out[::-1])
    if out and len(out) == len(axes):
        order = axes_in(axes, len(out), "transpose: axes")
        return dict(data=tuple(out[order.index(i)] for i in range(len(out))))


swapaxes = Operator(
    "SwapAxis", "data", "Exchange two axes.", aliases=("_npi_swapaxes", "swapaxes"),
    dim1=Param(int, 0, doc="One axis."), dim2=Param(int, 0, doc="The other axis."))


@swapaxes.infer_shape
def swapaxes_shape(data, dim1, dim2):
    shape = list(data)
    first, second = axis_in(dim1, len(data), "SwapAxis: dim1"), axis_in(dim2, len(data), "SwapAxis: dim2")
    shape[first], shape[second] = shape[second], shape[first]
    return tuple(shape)


@swapaxes.gradient
def swapaxes_gradient(F, g, dim1, dim2):
    return F.SwapAxis(g, dim1=dim1, dim2=dim2)


swapaxes.infer_inputs(lambda out, dim1, dim2: dict(data=out and swapaxes_shape(out, dim1, dim2)))
swapaxes.cpu = kernel.swapaxes

# -- depth and space ---------------------------------------------------------------------------------------------------

depth_to_space = Operator(
    "depth_to_space", "data",
    "Move channels into blocks of pixels: (N, C * b * b, H, W) becomes (N, C, H * b, W * b).",
    block_size=Param(int, min=1, doc="Height and width of a block, b."))

space_to_depth = Operator(
    "space_to_depth", "data",
    "Move blocks of pixels into channels: (N, C, H * b, W * b) becomes (N, C * b * b, H, W).",
    block_size=Param(int, min=1, doc="Height and width of a block, b."))


@depth_to_space.infer_shape
def depth_to_space_shape(data, block_size):
    if len(data) != 4 or data[1] % block_size**2:
        raise MXNetValueError(f"depth_to_space: data has shape {data}; with block_size {block_size} it must be "
                              f"(N, a multiple of {block_size**2}, H, W)")
    return data[0], data[1] // block_size**2, data[2] * block_size, data[3] * block_size


@space_to_depth.infer_shape
def space_to_depth_shape(data, block_size):
    if len(data) != 4 or data[2] % block_size or data[3] % block_size:
        raise MXNetValueError(f"space_to_depth: data has shape {data}; with block_size {block_size} it must be "
                              f"(N, C, H, W) with H and W multiples of {block_size}")
    return data[0], data[1] * block_size**2, data[2] // block_size, data[3] // block_size


@depth_to_space.gradient
def depth_to_space_gradient(F, g, block_size):
    return F.space_to_depth(g, block_size=block_size)


@space_to_depth.gradient
def space_to_depth_gradient(F, g, block_size):
    return F.depth_to_space(g, block_size=block_size)


depth_to_space.cpu, space_to_depth.cpu = kernel.depth_to_space, kernel.space_to_depth

# -- diagonals ---------------------------------------------------------------------------------------------------------


def diagonal_length(rows, columns, k):
    return min(rows, columns - k) if k >= 0 else min(rows + k, columns)


def matrix_axes(shape, axis1, axis2):
    """The two axes that span the matrices, from the front, and all others."""
    first, second = axes_in((axis1, axis2), len(shape), "diag: (axis1, axis2)")
    return first, second, [n for i, n in enumerate(shape) if i not in (first, second)]


diag = Operator(
    "diag", "data",
    """A diagonal of matrices, as the last axis of the result; or, of a vector, the matrix with it on that diagonal.""",
    k=Param(int, 0, doc="Which diagonal: above the main one if positive, below if negative."),
    axis1=Param(int, 0, doc="The axis of ``data`` that counts the rows of a matrix."),
    axis2=Param(int, 1, doc="The axis of ``data`` that counts the columns."))


@diag.infer_shape
def diag_shape(data, k, axis1, axis2):
    if len(data) == 1:
        return (data[0] + abs(k),) * 2
    first, second, others = matrix_axes(data, axis1, axis2)
    length = diagonal_length(data[first], data[second], k)
    if length <= 0:
        raise MXNetValueError(f"diag: k is {k}, but matrices of {data[first]} x {data[second]} have no such diagonal")
    return (*others, length)


@diag.gradient
def diag_gradient(F, g, data, k, axis1, axis2):
    if data.ndim == 1:
        return F.diag(g, k=k)
    return F._backward_diag(g, shape=data.shape, k=k, axis1=axis1, axis2=axis2)


diag.cpu = kernel.diag

diag_of_vector = Operator(
    "_backward_diag", "data", "Zeros of a shape, with ``data`` on a diagonal: the transpose of diag as a linear map.",
    shape=Param(Shape, min=0, doc="Shape of the result."),
    k=Param(int, 0, doc="Which diagonal."),
    axis1=Param(int, 0, doc="The axis that counts rows."), axis2=Param(int, 1, doc="The axis that counts columns."))


@diag_of_vector.infer_shape
def diag_backward_shape(data, shape, k, axis1, axis2):
    first, second, others = matrix_axes(shape, axis1, axis2)
    wanted = (*others, diagonal_length(shape[first], shape[second], k))
    if data != wanted:
        raise MXNetValueError(f"_backward_diag: data has shape {data}, but diagonal {k} of {shape} has {wanted}")
    return shape


@diag_of_vector.gradient
def diag_backward_gradient(F, g, k, axis1, axis2):
    return F.diag(g, k=k, axis1=axis1, axis2=axis2)


diag_of_vector.cpu = kernel.diag_backward

# -- sizes as arrays ---------------------------------------------------------------------------------------------------

shape_array = Operator("shape_array", "data", "The shape of ``data`` as an int64 array.", aliases=("_npx_shape_array",))
size_array = Operator("size_array", "data", "The number of items of ``data`` as an int64 array of one item.")


@shape_array.infer_shape
def shape_array_shape(data):
    return (len(data),)


@size_array.infer_shape
def size_array_shape():
    return (1,)


for sizes in (shape_array, size_array):
    sizes.infer_type(lambda: "int64")
    sizes.gradient(ZERO)
shape_array.cpu, size_array.cpu = kernel.shape_array, kernel.size_array
