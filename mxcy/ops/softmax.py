"""Softmax and its logarithm along an axis, and the cross entropy made of it."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _softmax
from mxcy.ops.family import as_output
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

FLOATS = ("float16", "bfloat16", "float32", "float64")
LENGTHS = ("int8", "uint8", "int32", "int64")

AXIS = Param(int, -1, doc="The axis along which the results sum to 1.")
TEMPERATURE = Param(float, None, doc="What ``data`` is divided by first; 1, if not given.")


def axis_of(name, shape, axis):
    """``axis`` counted from the front, checked."""
    if not -len(shape) <= axis < len(shape):
        raise MXNetValueError(f"{name}: axis is {axis}, but data has shape {shape}: {-len(shape)} to {len(shape) - 1}")
    return axis % len(shape)


def softmax_operator(name, doc, cpu, backward, aliases=()):
    """An operator of data and, with use_length, of the number of elements that take part in each row."""
    operator = Operator(
        name, "data length?", doc, aliases=aliases, axis=AXIS, temperature=TEMPERATURE,
        dtype=Param(str, None, choices=FLOATS, doc="dtype of the output; that of ``data``, if not given."),
        use_length=Param(bool, False, optional=True, doc="""Whether ``length`` is given: integers, of the shape of
            ``data`` without ``axis``. Only so many elements take part; the others become 0."""))
    operator.inputs_given(lambda use_length: "data length" if use_length else "data")
    operator.infer_inputs(as_output)
    operator.cpu = cpu

    @operator.infer_shape
    def _(data, axis, use_length):
        axis = axis_of(name, data, axis)
        return dict(out=data, length=data[:axis] + data[axis + 1:]) if use_length else data

    @operator.infer_type
    def _(data, length, dtype):
        if data not in FLOATS:
            raise MXNetTypeError(f"{name}: data is {data}; expected a float dtype. Convert it with astype().")
        if length is not None and length not in LENGTHS:
            raise MXNetTypeError(f"{name}: length is {length}; expected one of {', '.join(LENGTHS)}")
        return dtype or data

    @operator.gradient
    def _(F, g, data, length, out, axis, temperature, dtype, use_length):
        params = dict(axis=axis, temperature=temperature, use_length=use_length)
        lengths = [length] if use_length else []
        g = getattr(F, backward)(g, out, *lengths, **params)
        return F.cast(g, dtype=data.dtype) if dtype else g

    return operator


def backward_operator(name, doc, cpu):
    operator = Operator(name, "out_grad out length?", doc, axis=AXIS, temperature=TEMPERATURE,
                        use_length=Param(bool, False, optional=True, doc="Whether ``length`` is given."))
    operator.inputs_given(lambda use_length: "out_grad out length" if use_length else "out_grad out")
    operator.infer_shape(lambda out_grad: out_grad)
    operator.infer_type(lambda out_grad: out_grad)
    operator.cpu = cpu
    return operator


softmax = softmax_operator(
    "softmax", "``exp(data / temperature)``, divided by its sum along ``axis``.", _softmax.softmax,
    "_backward_softmax", aliases=("_npx_softmax",))
softmin = softmax_operator(
    "softmin", "``exp(-data / temperature)``, divided by its sum along ``axis``.", _softmax.softmin,
    "_backward_softmin")
log_softmax = softmax_operator(
    "log_softmax", "The logarithm of `softmax`, computed without overflow.", _softmax.log_softmax,
    "_backward_log_softmax", aliases=("_npx_log_softmax",))

softmax_backward = backward_operator(
    "_backward_softmax", "Gradient of `softmax` from that of its output, and the output.", _softmax.softmax_backward)
softmin_backward = backward_operator(
    "_backward_softmin", "Gradient of `softmin` from that of its output, and the output.", _softmax.softmin_backward)
log_softmax_backward = backward_operator(
    "_backward_log_softmax", "Gradient of `log_softmax` from that of its output, and the output.",
    _softmax.log_softmax_backward)


def again(name, sign):
    """Gradient of a softmax's backward, y (g - sum(g y)) / t: it is linear and symmetric in g."""
    def gradient(F, g, out_grad, out, length, axis, temperature, use_length):
        params = dict(axis=axis, temperature=temperature, use_length=use_length)
        lengths = [length] if use_length else []
        inner = F.sum(out_grad * out, axis=axis, keepdims=True)
        other = F.sum(g * out, axis=axis, keepdims=True)
        by_out = g * F.broadcast_sub(out_grad, inner) - F.broadcast_mul(out_grad, other)
        return (getattr(F, name)(g, out, *lengths, **params), by_out * (sign / (temperature or 1)),
                *[None for _ in lengths])
    return gradient


softmax_backward.gradient(again("_backward_softmax", 1))
softmin_backward.gradient(again("_backward_softmin", -1))


@log_softmax_backward.gradient
def _(F, g, out_grad, out, length, axis, temperature, use_length):
    """Of (g - p sum(g)) / t with p = exp(out), restricted to the elements that take part."""
    if use_length:
        axis = axis_of("log_softmax", out.shape, axis)
        along = tuple(n if i == axis else 1 for i, n in enumerate(out.shape))
        place = F.reshape(F._arange(start=0, stop=out.shape[axis], dtype=out.dtype), shape=along)
        taking = F.broadcast_lesser(place, F.cast(F.expand_dims(length, axis=axis), dtype=out.dtype))
        g, out_grad = g * taking, out_grad * taking
    g = g * (1 / (temperature or 1))
    p = F.exp(out)
    total = F.sum(out_grad, axis=axis, keepdims=True)
    by_grad = F.broadcast_sub(g, F.sum(g * p, axis=axis, keepdims=True))
    by_out = F.broadcast_mul(g * p, total) * -1
    return (by_grad * taking, by_out * taking, None) if use_length else (by_grad, by_out)


picked_backward = Operator(
    "_backward_picked_log_softmax", "out_grad index out", """
    ``_backward_log_softmax(_backward_pick(out_grad, index), out)`` along the last axis, without the array between them.

    It is what the gradient of the cross entropy comes down to, and plans put it together.""",
    temperature=TEMPERATURE, mode=Param(str, "clip", choices=("clip", "wrap"), doc="As that of `pick`."))
picked_backward.infer_shape(lambda out: out)
picked_backward.infer_type(lambda out: out)
picked_backward.cpu = _softmax.picked_backward


softmax_activation = Operator(
    "SoftmaxActivation", "data", "Softmax over the last axis, or over channels. Superseded by `softmax`.",
    mode=Param(str, "instance", choices=("channel", "instance"),
               doc="``instance``: over the last axis; ``channel``: over axis 1, of data with at least 3 axes."))


@softmax_activation.compose
def _(F, data, mode):
    if mode == "channel" and data.ndim < 3:
        raise MXNetValueError(f"SoftmaxActivation: data has shape {data.shape}; mode='channel' needs at least 3 axes")
    return F.softmax(data, axis=1 if mode == "channel" else -1)


softmax_cross_entropy = Operator(
    "softmax_cross_entropy", "data label", """The sum over rows of minus the logarithm of the softmax at the label.

    ``data`` is (N, C); ``label`` (N,), clipped to 0 to C - 1. The output has shape (1,).""")


@softmax_cross_entropy.compose
def _(F, data, label):
    if data.ndim != 2 or label.shape != data.shape[:1]:
        raise MXNetValueError(f"softmax_cross_entropy: data has shape {data.shape} and label {label.shape}; "
                              f"expected (N, C) and (N,)")
    if data.dtype != label.dtype:
        raise MXNetTypeError(f"softmax_cross_entropy: data is {data.dtype} but label is {label.dtype}; "
                             f"convert one with astype()")
    return F.sum(F.pick(F.log_softmax(data), label, axis=1)) * -1
