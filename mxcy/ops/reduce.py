"""Reductions: sum, mean, prod, max, min, norm and their like, over any axes."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _argmax, _reduce
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Param, Shape

AXES = dict(
    axis=Param(Shape, None, doc="Axes to reduce, negative ones counted from the end; all, if not given or empty."),
    keepdims=Param(bool, False, doc="Whether reduced axes stay, with extent 1."),
    exclude=Param(bool, False, doc="Reduce the axes that ``axis`` does not list."),
)


def reduced_axes(shape, axis, exclude=False):
    """The set of axes that a reduction of ``shape`` runs over."""
    if not axis:
        return set(range(len(shape)))
    listed = {a + len(shape) if a < 0 else a for a in axis}
    if any(a < 0 or a >= len(shape) for a in listed):
        raise MXNetValueError(f"axis {axis} does not fit data of shape {shape}: axes are "
                              f"{-len(shape)} to {len(shape) - 1}")
    if len(listed) < len(axis):
        raise MXNetValueError(f"axis {axis} names an axis of data of shape {shape} twice")
    return set(range(len(shape))) - listed if exclude else listed


def kept_shape(shape, axis, exclude=False):
    """``shape`` with 1 for every reduced axis."""
    reduced = reduced_axes(shape, axis, exclude)
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def reduced_shape(shape, axis, keepdims, exclude=False):
    """The shape of a reduction's output: ``(1,)`` where nothing is left."""
    if keepdims:
        return kept_shape(shape, axis, exclude)
    reduced = reduced_axes(shape, axis, exclude)
    return tuple(n for i, n in enumerate(shape) if i not in reduced) or (1,)


def keep(F, small, data, axis, exclude=False):
    """``small``, an output of a reduction of ``data``, with the reduced axes back as ones."""
    shape = kept_shape(data.shape, axis, exclude)
    return small if small.shape == shape else F.reshape(small, shape=shape)


def spread(F, small, data, axis, exclude=False):
    """``small``, an output of a reduction of ``data``, repeated to the shape of ``data``."""
    small = keep(F, small, data, axis, exclude)
    return small if small.shape == data.shape else F.broadcast_like(small, data)


def count(data, small):
    """How many elements of ``data`` each of ``small`` is made of."""
    total = parts = 1
    for n in data.shape:
        total *= n
    for n in small.shape:
        parts *= n
    return max(total // max(parts, 1), 1)


def reduction(name, doc, cpu, aliases=()):
    operator = Operator(name, "data", doc, aliases=aliases, **AXES)
    operator.infer_shape(lambda data, axis, keepdims, exclude: reduced_shape(data, axis, keepdims, exclude))
    operator.cpu = cpu
    return operator


# -- sums --------------------------------------------------------------------------------------------------------------

sum_ = reduction("sum", "The sum of the elements along ``axis``.", _reduce.sum, aliases=("sum_axis", "_sparse_sum"))
mean = reduction("mean", "The mean of the elements along ``axis``.", _reduce.mean, aliases=("_sparse_mean",))
nansum = reduction("nansum", "The sum along ``axis`` of the elements that are not NaN.", _reduce.nansum)


@sum_.gradient
def _(F, g, data, axis, exclude):
    return spread(F, g, data, axis, exclude)


@mean.gradient
def _(F, g, data, axis, exclude):
    return spread(F, g * (1 / count(data, g)), data, axis, exclude)


@nansum.gradient
def _(F, g, data, axis, exclude):
    return F.broadcast_mul(keep(F, g, data, axis, exclude), data == data)


# -- products ----------------------------------------------------------------------------------------------------------

prod = reduction("prod", """The product of the elements along ``axis``.

    Its gradient divides the product by each element: it is NaN where that is zero.""", _reduce.prod)
nanprod = reduction("nanprod", "The product along ``axis`` of the elements that are not NaN.", _reduce.nanprod)


@prod.gradient
def _(F, g, data, out, axis, exclude):
    return F.broadcast_div(keep(F, g * out, data, axis, exclude), data)


@nanprod.gradient
def _(F, g, data, out, axis, exclude):
    quotient = F.broadcast_div(keep(F, g * out, data, axis, exclude), data)
    return F.where(data == data, quotient, F.zeros_like(data))


# -- extremes ----------------------------------------------------------------------------------------------------------

max_ = reduction("max", """The largest of the elements along ``axis``; NaN if there is one.

    Its gradient goes to every element that equals the largest.""", _reduce.max_, aliases=("max_axis",))
min_ = reduction("min", """The smallest of the elements along ``axis``; NaN if there is one.

    Its gradient goes to every element that equals the smallest.""", _reduce.min_, aliases=("min_axis",))


@max_.gradient
@min_.gradient
def _(F, g, data, out, axis, exclude):
    chosen = F.broadcast_equal(data, keep(F, out, data, axis, exclude))
    return F.broadcast_mul(keep(F, g, data, axis, exclude), chosen)


# -- norm --------------------------------------------------------------------------------------------------------------

norm = Operator(
    "norm", "data", "The 1-norm or 2-norm of the elements along ``axis``.", aliases=("_sparse_norm",),
    ord=Param(int, 2, doc="1: sum of absolute values; 2: square root of the sum of squares."),
    axis=Param(Shape, None, doc="Axes to reduce, negative ones counted from the end; all, if not given."),
    out_dtype=Param(str, None, choices=("float16", "float32", "float64", "int32", "int64", "int8"),
                    doc="dtype of the output; that of ``data``, if not given."),
    keepdims=Param(bool, False, doc="Whether reduced axes stay, with extent 1."))


@norm.check
def _(ord):
    if ord not in (1, 2):
        raise MXNetValueError(f"norm: ord is {ord}; expected 1 or 2")


@norm.infer_shape
def _(data, axis, keepdims):
    return reduced_shape(data, axis, keepdims)


@norm.infer_type
def _(data, out_dtype):
    return out_dtype or data


@norm.gradient
def _(F, g, data, out, ord, axis, out_dtype):
    if out_dtype:
        g, out = F.cast(g, dtype=data.dtype), F.cast(out, dtype=data.dtype)
    if ord == 1:
        return F.broadcast_mul(keep(F, g, data, axis), F.sign(data))
    return F.broadcast_mul(keep(F, g / out, data, axis), data)


norm.cpu = lambda ord: _reduce.norm1 if ord == 1 else _reduce.norm2


moments = Operator(
    "moments", "data", "Mean and variance of the elements along ``axes``.", outputs="mean var",
    axes=Param(Shape, None, doc="Axes to reduce, negative ones counted from the end."),
    keepdims=Param(bool, False, doc="Whether reduced axes stay, with extent 1."))


@moments.compose
def _(F, data, axes, keepdims):
    if not axes:
        raise MXNetValueError("moments: axes is empty; name the axes, all of them for moments of all elements")
    mean = F.mean(data, axis=axes, keepdims=True)
    variance = F.mean(F.square(F.broadcast_sub(data, mean)), axis=axes, keepdims=keepdims)
    return (mean if keepdims else F.reshape(mean, shape=variance.shape)), variance


# -- the sum that undoes a broadcast -----------------------------------------------------------------------------------

reduce_like = Operator(
    "_reduce_like", "data like", "The sum of ``data`` over the axes along which ``like`` would be broadcast to it.")


@reduce_like.infer_shape
def _(data, like):
    tail = data[len(data) - len(like):]
    if len(like) > len(data) or any(n not in (1, m) for n, m in zip(like, tail)):
        raise MXNetValueError(f"_reduce_like: like has shape {like}, which does not broadcast to data's {data}")
    return like


@reduce_like.infer_type
def _(data):
    return data


@reduce_like.gradient
def _(F, g, data):
    shape = (1,) * (data.ndim - g.ndim) + g.shape
    g = g if g.shape == shape else F.reshape(g, shape=shape)
    return F.broadcast_like(g, data), None


reduce_like.cpu = _reduce.like


# -- positions ---------------------------------------------------------------------------------------------------------

def position(name, doc, cpu):
    operator = Operator(name, "data", doc, axis=Param(int, None, doc="Axis to search; all elements, if not given."),
                        keepdims=Param(bool, False, doc="Whether the axis stays, with extent 1."))
    operator.infer_shape(lambda data, axis, keepdims:
                         reduced_shape(data, None if axis is None else (axis,), keepdims))
    operator.infer_type(position_dtype(name))
    operator.gradient(ZERO)
    operator.cpu = cpu
    return operator


def position_dtype(name):
    def infer_type(data):
        if data == "bool":
            raise MXNetTypeError(f"{name}: data is bool; convert it with astype()")
        return data
    return infer_type


argmax = position("argmax", """Where the largest element along ``axis`` is, in the dtype of ``data``.

    The first of equal elements counts, and a NaN as larger than any number.""", _argmax.argmax)
argmin = position("argmin", """Where the smallest element along ``axis`` is, in the dtype of ``data``.

    The first of equal elements counts, and a NaN as smaller than any number.""", _argmax.argmin)

argmax_channel = Operator("argmax_channel", "data", "Where the largest element along axis 1 is.")
argmax_channel.infer_type(position_dtype("argmax_channel"))
argmax_channel.gradient(ZERO)
argmax_channel.cpu = _argmax.argmax


@argmax_channel.infer_shape
def _(data):
    return reduced_shape(data, (1,), False)
