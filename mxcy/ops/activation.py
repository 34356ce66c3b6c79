"""Activation functions chosen by name."""
from mxcy.base import MXNetValueError
from mxcy.ops import _activation, _unary
from mxcy.ops.family import unary
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param
from mxcy.ops.unary import derivative

ACTIVATIONS = {"relu": _unary.relu, "sigmoid": _unary.sigmoid, "softrelu": _unary.softrelu, "softsign": _unary.softsign,
               "tanh": _unary.tanh}

activation = unary(
    "Activation", """
    An activation function, element by element.

    ``relu``: max(x, 0); ``sigmoid``: 1 / (1 + exp(-x)); ``softrelu``: log(1 + exp(x)); ``softsign``: x / (1 + abs(x));
    ``tanh``.
    """,
    cpu=lambda act_type: ACTIVATIONS[act_type], aliases=("_npx_activation",),
    act_type=Param(str, choices=tuple(ACTIVATIONS), doc="Which function."))


@activation.gradient
def _(F, g, out, act_type):
    if act_type == "softsign":                              # 1 / (1 + |x|) is 1 - |y|: the input need not be kept
        return g * F.square(1 - F.abs(out))
    return getattr(F, f"_backward_{act_type}")(g, out)


RECTIFIERS = {"leaky": _activation.leaky, "prelu": _activation.prelu, "elu": _activation.elu, "selu": _activation.selu,
              "gelu": _activation.gelu, "rrelu": _activation.rrelu}

leaky_relu = Operator(
    "LeakyReLU", "data gamma?", """
    Rectifiers that are not flat, or not straight, below 0.

    With x > 0 they are x (``selu``: about 1.05 x), else ``leaky``: slope x; ``prelu``: gamma x with a learned gamma;
    ``rrelu``: s x with s uniform in [lower_bound, upper_bound) in training and their mean otherwise; ``elu``:
    slope (exp(x) - 1); ``selu``: about 1.76 (exp(x) - 1). ``gelu`` is x times the normal distribution function of x.
    """,
    outputs="out mask", aliases=("_npx_leaky_relu",), random=True,
    act_type=Param(str, "leaky", choices=tuple(RECTIFIERS), doc="Which function."),
    slope=Param(float, .25, doc="Slope below 0, for ``leaky`` and ``elu``."),
    lower_bound=Param(float, .125, doc="Least slope, for ``rrelu``."),
    upper_bound=Param(float, .333999991, doc="Bound of the slopes, for ``rrelu``."))
leaky_relu.cpu = lambda act_type: RECTIFIERS[act_type]


@leaky_relu.inputs_given
def _(act_type):
    return "data gamma" if act_type == "prelu" else "data"


@leaky_relu.outputs_given
def _(act_type):
    return (2, 1) if act_type == "rrelu" else (1, 1)


def slopes_shape(data, gamma=None):
    """The shape in which gamma broadcasts with data: one of a single axis goes along axis 1."""
    channels = data[1] if len(data) > 1 else 1
    if gamma is None:
        gamma = (channels,)
    if gamma in (data, (1,)):
        return gamma
    if gamma == (channels,):
        return (1, channels) + (1,) * (len(data) - 2)
    raise MXNetValueError(f"gamma has shape {gamma}, but data of shape {data} needs (1,), ({channels},) or {data}")


@leaky_relu.infer_shape
def _(data, gamma, act_type):
    if act_type == "prelu":
        slopes_shape(data, gamma)
        gamma = gamma or (data[1] if len(data) > 1 else 1,)
    return dict(data=data, gamma=gamma, out=data, mask=data)


@leaky_relu.gradient
def _(F, g, data, gamma, mask, act_type, slope):
    if act_type == "prelu":
        return prelu_gradient(F, g, data, gamma)
    if act_type == "rrelu":
        return g * mask
    rule = getattr(F, f"_backward_{act_type}")
    return rule(g, data, slope=slope) if act_type in ("leaky", "elu") else rule(g, data)


def prelu_gradient(F, g, data, gamma):
    slopes = F.reshape(gamma, shape=slopes_shape(data.shape, gamma.shape))
    positive, none = data > 0, F.zeros_like(g)
    slope_grad = F._reduce_like(F.where(positive, none, g * data), slopes)
    return F.where(positive, g, F.broadcast_mul(g, slopes)), F.reshape(slope_grad, shape=gamma.shape)


SLOPE = dict(slope=Param(float, .25))
derivative("leaky", "``og`` where ``y > 0``, else ``slope * og``.",
           lambda F, g, y, slope: (F._backward_leaky(g, y, slope=slope), None), **SLOPE)
derivative("elu", "``og`` where ``y > 0``, else ``slope * exp(y) * og``.",
           lambda F, g, og, y, slope: (F._backward_elu(g, y, slope=slope),
                                       F._backward_elu(g * og, y, slope=slope) * (y <= 0)), **SLOPE)
derivative("selu", "``og`` times the derivative of selu at ``y``.",
           lambda F, g, og, y: (F._backward_selu(g, y), F._backward_selu(g * og, y) * (y <= 0)))
derivative("gelu", "``og`` times the derivative of gelu at ``y``.",
           lambda F, g, og, y: (F._backward_gelu(g, y), g * og * (2 - F.square(y)) * normal_density(F, y)))


def normal_density(F, x):
    return .3989422804014327 * F.exp(-.5 * F.square(x))
