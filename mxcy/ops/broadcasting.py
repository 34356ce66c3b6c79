"""Operators that repeat an array along axes."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.ops import _shape as kernel
from mxcy.ops.axes import axes_in, axis_in
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape


def broadcast_shape(name, data, shape):
    """``shape``, if an array of shape ``data`` can be broadcast to it."""
    if len(shape) != len(data) or any(n not in (1, to) for n, to in zip(data, shape)):
        raise MXNetValueError(f"{name}: data of shape {data} cannot be broadcast to {tuple(shape)}: the number of axes "
                              f"must be equal, and only axes of size 1 can grow")
    return tuple(shape)


def broadcast_gradient(F, g, data):
    """Gradient rule: the sum over what was repeated."""
    return F._reduce_like(g, data)


broadcast_to = Operator(
    "broadcast_to", "data", "Repeat axes of size 1 to reach a shape.",
    shape=Param(Shape, (), min=0, doc="The new shape; 0 keeps the size of an axis."))


@broadcast_to.infer_shape
def broadcast_to_shape(data, shape):
    kept = [to or n for to, n in zip(shape, data)] if len(shape) == len(data) else shape
    return broadcast_shape("broadcast_to", data, kept)


broadcast_to.gradient(broadcast_gradient)
broadcast_to.cpu = kernel.broadcast

broadcast_axis = Operator(
    "broadcast_axis", "data", "Repeat some axes, which must have size 1.", aliases=("broadcast_axes",),
    axis=Param(Shape, (), doc="The axes to repeat."),
    size=Param(Shape, (), min=0, doc="How often to repeat each of them."))


@broadcast_axis.infer_shape
def broadcast_axis_shape(data, axis, size):
    if len(axis) != len(size):
        raise MXNetValueError(f"broadcast_axis: axis is {axis} and size is {size}; there must be one size for each "
                              "axis")
    shape = list(data)
    for at, n in zip(axes_in(axis, len(data), "broadcast_axis: axis"), size):
        if data[at] != 1:
            raise MXNetValueError(f"broadcast_axis: axis {at} of {data} has size {data[at]}; only axes of size 1 can "
                                  "grow")
        shape[at] = n
    return tuple(shape)


broadcast_axis.gradient(broadcast_gradient)
broadcast_axis.cpu = kernel.broadcast

broadcast_like = Operator(
    "broadcast_like", "lhs rhs",
    "Repeat axes of ``lhs`` of size 1 to reach the shape of ``rhs``, or of some of its axes.",
    lhs_axes=Param(Shape, None, doc="Axes of ``lhs`` to repeat; all if None."),
    rhs_axes=Param(Shape, None, doc="Axes of ``rhs`` that give their sizes, in the same order."))


@broadcast_like.infer_shape
def broadcast_like_shape(lhs, rhs, lhs_axes, rhs_axes):
    if lhs_axes is None or rhs_axes is None:
        return broadcast_shape("broadcast_like", lhs, rhs)
    if len(lhs_axes) != len(rhs_axes) or not lhs_axes:
        raise MXNetValueError(f"broadcast_like: lhs_axes is {lhs_axes} and rhs_axes is {rhs_axes}; expected as many of "
                              "both")
    shape = list(lhs)
    for to, source in zip(axes_in(lhs_axes, len(lhs), "broadcast_like: lhs_axes"),
                          axes_in(rhs_axes, len(rhs), "broadcast_like: rhs_axes")):
        shape[to] = rhs[source]
    return broadcast_shape("broadcast_like", lhs, shape)


@broadcast_like.infer_type
def broadcast_like_type(lhs):
    return lhs


@broadcast_like.gradient
def broadcast_like_gradient(F, g, lhs):
    return F._reduce_like(g, lhs), None


broadcast_like.cpu = kernel.broadcast

tile = Operator(
    "tile", "data", "Lay copies of the whole array side by side.", aliases=("_npi_tile",),
    reps=Param(Shape, min=0, doc="How many copies along each axis, counted from the last one."))


@tile.infer_shape
def tile_shape(data, reps):
    ndim = max(len(data), len(reps))
    data, reps = (1,) * (ndim - len(data)) + data, (1,) * (ndim - len(reps)) + reps
    return tuple(n * r for n, r in zip(data, reps))


@tile.gradient
def tile_gradient(F, g, data, reps):
    ndim = max(data.ndim, len(reps))
    shape, reps = (1,) * (ndim - data.ndim) + data.shape, (1,) * (ndim - len(reps)) + reps
    pairs = [n for pair in zip(reps, shape) for n in pair]
    if 0 in pairs:
        return F.zeros_like(data)
    return F.reshape_like(F.sum(F.reshape(g, shape=tuple(pairs)), axis=tuple(range(0, 2 * ndim, 2))), data)


tile.cpu = kernel.tile

repeat = Operator(
    "repeat", "data", "Repeat each item along an axis.", aliases=("_np_repeat",),
    repeats=Param(int, min=0, doc="How often each item stands in a row."),
    axis=Param(int, None, doc="The axis; of the flattened array if None."))


@repeat.infer_shape
def repeat_shape(data, repeats, axis):
    if axis is None:
        return (prod(data) * repeats,)
    at = axis_in(axis, len(data), "repeat: axis")
    return (*data[:at], data[at] * repeats, *data[at + 1:])


@repeat.gradient
def repeat_gradient(F, g, data, repeats, axis):
    if 0 in (repeats, *data.shape):
        return F.zeros_like(data)
    at = data.ndim if axis is None else axis % data.ndim + 1
    return F.sum(F.reshape(g, shape=(*data.shape[:at], repeats, *data.shape[at:])), axis=at)


repeat.cpu = kernel.repeat
