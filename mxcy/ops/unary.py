"""Elementwise functions of one array.

Integers are accepted as well: functions with real values are computed in float64 and truncated towards zero.
"""
from mxcy.ops import _activation, _cast
from mxcy.ops import _unary as kernel
from mxcy.ops.family import binary, unary
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Param

SQRT_PI = 1.7724538509055159
LOG_2, LOG_10 = 0.6931471805599453, 2.302585092994046
DEGREE = 0.017453292519943295


def function(name, doc, gradient, *aliases):
    """A function of the kernel file, under its own name there."""
    return unary(name, doc, cpu=getattr(kernel, name), gradient=gradient, aliases=(f"_sparse_{name}", *aliases))


# -- rounding and signs ------------------------------------------------------------------------------------------------

function("abs", "The absolute value; its derivative at 0 is taken as 0.", lambda F, g, data: F._backward_abs(g, data))
function("sign", "1, 0 or -1 by the sign of each element; 0 for NaN.", ZERO)
function("negative", "The elements with the opposite sign.", lambda F, g: F.negative(g))
function("round", "The nearest integer; halves go away from zero.", ZERO)
function("rint", "The nearest integer; halves go down.", ZERO)
function("ceil", "The smallest integer that is not less.", ZERO)
function("floor", "The largest integer that is not greater.", ZERO)
function("trunc", "The nearest integer towards zero.", ZERO)
unary("fix", "The nearest integer towards zero.", cpu=kernel.trunc, gradient=ZERO, aliases=("_sparse_fix",))
unary("logical_not", "1 where the element is 0, else 0.", cpu=kernel.logical_not, gradient=ZERO)

# -- powers and roots --------------------------------------------------------------------------------------------------

function("square", "``x ** 2``", lambda F, g, data: 2 * (g * data))
function("sqrt", "The square root; NaN for negative elements.", lambda F, g, out: F._backward_sqrt(g, out))
function("rsqrt", "``1 / sqrt(x)``", lambda F, g, data, out: -.5 * (g * out / data))
function("cbrt", "The cube root.", lambda F, g, out: g / (3 * F.square(out)))
unary("rcbrt", "``1 / cbrt(x)``", cpu=kernel.rcbrt, gradient=lambda F, g, data, out: g * out / (-3 * data))
unary("reciprocal", "``1 / x``", cpu=kernel.reciprocal, gradient=lambda F, g, out: F.negative(g * F.square(out)))

# -- exponentials and logarithms ---------------------------------------------------------------------------------------

function("exp", "``e ** x``", lambda F, g, out: g * out)
function("expm1", "``exp(x) - 1``, accurate near 0.", lambda F, g, out: g * (out + 1))
function("log", "The natural logarithm.", lambda F, g, data: g / data)
function("log2", "The logarithm of base 2.", lambda F, g, data: g / (LOG_2 * data))
function("log10", "The logarithm of base 10.", lambda F, g, data: g / (LOG_10 * data))
function("log1p", "``log(1 + x)``, accurate near 0.", lambda F, g, data: g / (data + 1))

# -- trigonometric and hyperbolic functions ----------------------------------------------------------------------------

function("sin", "The sine of angles in radians.", lambda F, g, data: g * F.cos(data))
function("cos", "The cosine of angles in radians.", lambda F, g, data: F.negative(g * F.sin(data)))
function("tan", "The tangent of angles in radians.", lambda F, g, out: g * (F.square(out) + 1))
function("arcsin", "The angle in [-pi/2, pi/2] with that sine.", lambda F, g, data: g * F.rsqrt(1 - F.square(data)))
function("arccos", "The angle in [0, pi] with that cosine.",
         lambda F, g, data: F.negative(g * F.rsqrt(1 - F.square(data))))
function("arctan", "The angle in [-pi/2, pi/2] with that tangent.", lambda F, g, data: g / (F.square(data) + 1))
function("sinh", "The hyperbolic sine.", lambda F, g, data: g * F.cosh(data))
function("cosh", "The hyperbolic cosine.", lambda F, g, data: g * F.sinh(data))
function("tanh", "The hyperbolic tangent.", lambda F, g, out: F._backward_tanh(g, out))
function("arcsinh", "The inverse of the hyperbolic sine.", lambda F, g, data: g * F.rsqrt(F.square(data) + 1))
function("arccosh", "The inverse of the hyperbolic cosine, for elements that are at least 1.",
         lambda F, g, data: g * F.rsqrt(F.square(data) - 1))
function("arctanh", "The inverse of the hyperbolic tangent.", lambda F, g, data: g / (1 - F.square(data)))
function("degrees", "Angles in radians, in degrees.", lambda F, g: g / DEGREE)
function("radians", "Angles in degrees, in radians.", lambda F, g: g * DEGREE)

# -- special functions -------------------------------------------------------------------------------------------------

unary("erf", "The error function.", cpu=kernel.erf, aliases=("_npx_erf",),
      gradient=lambda F, g, data: (2 / SQRT_PI) * (g * F.exp(F.negative(F.square(data)))))
unary("erfinv", "The inverse of the error function.", cpu=kernel.erfinv, aliases=("_npx_erfinv",),
      gradient=lambda F, g, out: (SQRT_PI / 2) * (g * F.exp(F.square(out))))
function("gamma", "The gamma function.", lambda F, g, data, out: g * out * F._polygamma(data, n=0), "_npx_gamma")
function("gammaln", "The logarithm of the absolute value of the gamma function.",
         lambda F, g, data: g * F._polygamma(data, n=0), "_npx_gammaln")
unary("_polygamma", "Derivative number ``n + 1`` of gammaln: digamma for ``n=0``.", cpu=_activation.polygamma,
      gradient=lambda F, g, data, n: g * F._polygamma(data, n=n + 1), n=Param(int, 0, min=0, doc="Order."))

# -- activations -------------------------------------------------------------------------------------------------------

function("relu", "``max(x, 0)``; the derivative at 0 is taken as 0.", lambda F, g, out: F._backward_relu(g, out))
function("sigmoid", "``1 / (1 + exp(-x))``", lambda F, g, out: F._backward_sigmoid(g, out))
unary("softsign", "``x / (1 + abs(x))``", cpu=kernel.softsign,
      gradient=lambda F, g, data: F._backward_softsign(g, data))
unary("hard_sigmoid", "``max(0, min(1, alpha * x + beta))``", cpu=_activation.hard_sigmoid,
      gradient=lambda F, g, out, alpha: F._backward_hard_sigmoid(g, out, alpha=alpha),
      alpha=Param(float, .2, doc="Slope."), beta=Param(float, .5, doc="Value at 0."))

BOUNDS = dict(a_min=Param(float, doc="The smallest value that stays."),
              a_max=Param(float, doc="The largest value that stays."))
unary("clip", "Elements below ``a_min`` become ``a_min``, those above ``a_max`` become ``a_max``.",
      cpu=_activation.clip,
      gradient=lambda F, g, data, a_min, a_max: F._backward_clip(g, data, a_min=a_min, a_max=a_max),
      aliases=("_npi_clip", "_sparse_clip"), **BOUNDS)

# -- derivatives in one pass: the gradient of an output, and the input or the output -----------------------------------


def derivative(name, doc, gradient, **params):
    """The operator ``_backward_name`` of an output gradient ``og`` and an array ``y``."""
    operator = Operator(f"_backward_{name}", "og y", doc, **params)
    operator.infer_shape(lambda og: og)
    operator.cpu = getattr(_activation, f"backward_{name}")
    operator.gradient(gradient)


derivative("abs", "``og * sign(y)``", lambda F, g, y: (F._backward_abs(g, y), None))
derivative("sqrt", "``og / (2 y)`` for ``y = sqrt(x)``",
           lambda F, g, og, y: (F._backward_sqrt(g, y), -.5 * (g * og / F.square(y))))
derivative("relu", "``og`` where ``y > 0``, else 0.", lambda F, g, y: (F._backward_relu(g, y), None))
derivative("sigmoid", "``og * y * (1 - y)``",
           lambda F, g, og, y: (F._backward_sigmoid(g, y), g * og * (1 - 2 * y)))
derivative("tanh", "``og * (1 - y ** 2)``", lambda F, g, og, y: (F._backward_tanh(g, y), -2 * (g * og * y)))
derivative("softrelu", "``og * (1 - exp(-y))`` for ``y = log(1 + exp(x))``",
           lambda F, g, og, y: (F._backward_softrelu(g, y), g * og * F.exp(F.negative(y))))
derivative("softsign", "``og / (1 + abs(y)) ** 2``",
           lambda F, g, og, y: (F._backward_softsign(g, y),
                                -2 * (F._backward_softsign(g * og, y) * F.sign(y) / (F.abs(y) + 1))))
derivative("hard_sigmoid", "``alpha * og`` where ``0 < y < 1``, else 0.",
           lambda F, g, y, alpha: (F._backward_hard_sigmoid(g, y, alpha=alpha), None), alpha=Param(float, .2))
derivative("clip", "``og`` where ``a_min <= y <= a_max``, else 0.",
           lambda F, g, y, a_min, a_max: (F._backward_clip(g, y, a_min=a_min, a_max=a_max), None), **BOUNDS)

# -- the identity in several guises ------------------------------------------------------------------------------------

unary("_copy", "A copy.", cpu=_cast.copy, gradient=lambda F, g: g, aliases=("identity",))
unary("_CrossDeviceCopy", "A copy on another device, as plans put it between nodes of different groups.",
      cpu=_cast.copy, gradient=lambda F, g, ctx, origin: F._CrossDeviceCopy(g, ctx=origin, origin=ctx),
      ctx=Param(str, None, doc="Where the copy is wanted; where a plan puts it, if not given."),
      origin=Param(str, None, doc="Where ``data`` is, for the gradient."))
unary("BlockGrad", "A copy through which no gradient flows back.", cpu=_cast.copy, gradient=ZERO,
      aliases=("stop_gradient", "_sparse_stop_gradient"))
unary("make_loss", "A copy whose gradient is 1 whatever follows: marks the end of a network as its loss.",
      cpu=_cast.copy, gradient=lambda F, data: F.ones_like(data), aliases=("_sparse_make_loss",))

make_loss = unary(
    "MakeLoss", "A copy whose gradient is ``grad_scale`` whatever follows, divided as ``normalization`` says.",
    cpu=_cast.copy,
    grad_scale=Param(float, 1., doc="The gradient of every element."),
    valid_thresh=Param(float, 0., doc="Elements above it count as valid."),
    normalization=Param(str, "null", choices=("null", "batch", "valid"),
                        doc="Divide by nothing, by the extent of the first axis, or by the number of valid elements."))


@make_loss.gradient
def _(F, data, grad_scale, valid_thresh, normalization):
    rows = max(data.shape[0], 1) if normalization == "batch" and data.ndim else 1
    grad = F.ones_like(data) * (grad_scale / rows)
    if normalization == "valid":
        valid = F._maximum_scalar(F.sum(data > valid_thresh), scalar=1.)
        grad = F.broadcast_div(grad, valid)
    return grad


binary("_identity_with_attr_like_rhs", "A copy of ``lhs``, whose shape and dtype must be those of ``rhs``.",
              cpu=_cast.copy, gradient=(lambda g: g, lambda F, rhs: F.zeros_like(rhs)))
