"""Joining arrays along an axis, and cutting them into parts."""
from mxcy.base import MXNetValueError
from mxcy.ops import _shape as kernel
from mxcy.ops.axes import axis_in
from mxcy.ops.family import combined
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape


def split_back(F, g, sizes, axis, squeeze_axis=False):
    """``g`` dealt out along an axis, with so many items for each part."""
    if len(sizes) == 1:
        return (F.squeeze(g, axis=axis) if squeeze_axis else g,)
    starts = tuple(sum(sizes[:i]) for i in range(len(sizes)))
    return tuple(F._split_v2(g, indices=starts, axis=axis, squeeze_axis=squeeze_axis))


concat = Operator(
    "Concat", "*data", "Join arrays along an axis that they have; the other axes must be equal.",
    aliases=("_sparse_concat", "concat"),
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."),
    dim=Param(int, 1, doc="The axis."))


@concat.infer_shape
def concat_shape(data, dim):
    if not data:
        raise MXNetValueError("Concat: no arrays were given; expected at least one")
    first = data[0]
    at = axis_in(dim, len(first), "Concat: dim")
    for i, shape in enumerate(data):
        if (*shape[:at], *shape[at + 1:]) != (*first[:at], *first[at + 1:]) or len(shape) != len(first):
            raise MXNetValueError(f"Concat: array {i} has shape {shape} and the first one {first}; along axis {at} "
                                  f"only arrays that agree in all other axes can be joined")
    return (*first[:at], sum(shape[at] for shape in data), *first[at + 1:])


@concat.infer_inputs
def concat_inputs(data, out, dim):
    known = next((shape for shape in (*data, out) if shape), None)
    if known is None or any(shape is not None and len(shape) != len(known) for shape in (*data, out)):
        return None
    at = axis_in(dim, len(known), "Concat: dim")
    sizes = [shape[at] if shape else 0 for shape in data]
    common = combined([(*shape[:at], 0, *shape[at + 1:]) for shape in (*data, out) if shape])
    if out and out[at] > 0 and sizes.count(0) == 1:                     # the one that is missing
        sizes[sizes.index(0)] = out[at] - sum(sizes)
    return [(*common[:at], size, *common[at + 1:]) for size in sizes]


@concat.gradient
def concat_gradient(F, g, data, dim):
    return split_back(F, g, [x.shape[dim] for x in data], dim)


concat.cpu = kernel.join

stack = Operator(
    "stack", "*data", "Join arrays of one shape along a new axis.",
    axis=Param(int, 0, doc="Where the new axis stands in the result."),
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."))


@stack.infer_shape
def stack_shape(data, axis):
    if not data:
        raise MXNetValueError("stack: no arrays were given; expected at least one")
    for i, shape in enumerate(data):
        if shape != data[0]:
            raise MXNetValueError(f"stack: array {i} has shape {shape} and the first one {data[0]}; they must be equal")
    at = axis_in(axis, len(data[0]) + 1, "stack: axis")
    return (*data[0][:at], len(data), *data[0][at:])


@stack.infer_inputs
def stack_inputs(data, out, axis):
    if out is not None:
        at = axis_in(axis, len(out), "stack: axis")
        out = (*out[:at], *out[at + 1:])
    return [combined((*data, out))] * len(data)


@stack.gradient
def stack_gradient(F, g, data, axis):
    return tuple(F.reshape_like(part, x) for part, x in zip(split_back(F, g, [1] * len(data), axis), data))


stack.cpu = kernel.join


def without_axis(shape, at, squeeze_axis):
    return (*shape[:at], *shape[at + 1:]) if squeeze_axis else shape


def join_parts(F, gs, shapes, like, axis, squeeze_axis):
    """The gradient of a split: the parts' gradients joined; zeros stand for absent ones."""
    parts = [F._zeros(shape=shape, dtype=like.dtype) if g is None else g for g, shape in zip(gs, shapes)]
    if squeeze_axis:
        return F.stack(*parts, axis=axis)
    return parts[0] if len(parts) == 1 else F.Concat(*parts, dim=axis)


split = Operator(
    "SliceChannel", "data", "Cut along an axis into equal parts.", outputs="outputs", aliases=("split",),
    num_outputs=Param(int, min=1, doc="Number of parts; it must divide the size of the axis."),
    axis=Param(int, 1, doc="The axis."),
    squeeze_axis=Param(bool, False, doc="Remove the axis from the parts, in which it must have size 1."))


@split.outputs_given
def split_outputs(num_outputs):
    return num_outputs, num_outputs


@split.infer_shape
def split_shape(data, num_outputs, axis, squeeze_axis):
    at = axis_in(axis, len(data), "SliceChannel: axis")
    if data[at] % num_outputs or (squeeze_axis and data[at] != num_outputs):
        raise MXNetValueError(f"SliceChannel: axis {at} of data of shape {data} has size {data[at]}, which cannot be "
                              f"cut into num_outputs={num_outputs} equal parts{' of size 1' if squeeze_axis else ''}")
    part = (*data[:at], data[at] // num_outputs, *data[at + 1:])
    return [without_axis(part, at, squeeze_axis)] * num_outputs


@split.gradient
def split_gradient(F, gs, data, num_outputs, axis, squeeze_axis):
    shapes = split_shape(data.shape, num_outputs, axis, squeeze_axis)
    return join_parts(F, gs, shapes, data, axis, squeeze_axis)


split.cpu = kernel.split

split_v2 = Operator(
    "_split_v2", "data", "Cut along an axis at given places, or into equal sections.", outputs="outputs",
    aliases=("_npi_split",),
    indices=Param(Shape, min=0, doc="Where each part begins; the first number is 0."),
    axis=Param(int, 1, doc="The axis."),
    squeeze_axis=Param(bool, False, doc="Remove the axis from the parts, in which it must have size 1."),
    sections=Param(int, 0, min=0, doc="If positive: the number of equal sections, instead of ``indices``."))


@split_v2.check
def split_v2_check(indices, sections):
    if not sections and (not indices or indices[0] != 0 or list(indices) != sorted(indices)):
        raise MXNetValueError(f"_split_v2: indices is {indices}; expected where each part begins, from 0 upwards")


@split_v2.outputs_given
def split_v2_outputs(indices, sections):
    return (sections or len(indices),) * 2


@split_v2.infer_shape
def split_v2_shape(data, indices, axis, squeeze_axis, sections):
    at = axis_in(axis, len(data), "_split_v2: axis")
    n = data[at]
    if sections:
        if n % sections:
            raise MXNetValueError(f"_split_v2: axis {at} of data of shape {data} cannot be cut into {sections} "
                                  "sections")
        sizes = [n // sections] * sections
    else:
        if indices[-1] > n:
            raise MXNetValueError(f"_split_v2: indices is {indices}, but axis {at} of data of shape {data} has size "
                                  f"{n}")
        sizes = [after - before for before, after in zip(indices, (*indices[1:], n))]
    if squeeze_axis and set(sizes) != {1}:
        raise MXNetValueError(f"_split_v2: squeeze_axis needs parts of size 1; they have {sizes}")
    return [without_axis((*data[:at], size, *data[at + 1:]), at, squeeze_axis) for size in sizes]


@split_v2.gradient
def split_v2_gradient(F, gs, data, indices, axis, squeeze_axis, sections):
    shapes = split_v2_shape(data.shape, indices, axis, squeeze_axis, sections)
    return join_parts(F, gs, shapes, data, axis, squeeze_axis)


split_v2.cpu = kernel.split
