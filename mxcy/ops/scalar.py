"""Elementwise functions of an array and a number. The number is converted to the dtype of the array first."""
import math

from mxcy.ops import _activation, family
from mxcy.ops._binary import REVERSED, SCALAR
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Param


def scalar(name, doc, cpu, gradient, *aliases):
    family.scalar(name, doc, cpu, gradient, aliases,
                  is_int=Param(bool, True, doc="Ignored: the dtype of the array is kept."))


def natural_logarithm(number):
    """log(number) as C has it, without exceptions."""
    return math.log(number) if number > 0 else -math.inf if number == 0 else math.nan


scalar("_plus_scalar", "``data + scalar``", SCALAR["add"], lambda g: g, "_PlusScalar")
scalar("_minus_scalar", "``data - scalar``", SCALAR["sub"], lambda g: g, "_MinusScalar")
scalar("_rminus_scalar", "``scalar - data``", REVERSED["sub"], lambda F, g: F.negative(g), "_RMinusScalar")
scalar("_mul_scalar", "``data * scalar``", SCALAR["mul"], lambda g, scalar: g * scalar, "_MulScalar")
scalar("_div_scalar", "``data / scalar``", SCALAR["div"], lambda g, scalar: g / scalar, "_DivScalar")
scalar("_rdiv_scalar", "``scalar / data``", REVERSED["div"], lambda F, g, data, out: F.negative(g * out / data),
       "_RDivScalar")
scalar("_mod_scalar", "The remainder of ``data / scalar``, with the sign of ``scalar``.", SCALAR["mod"], lambda g: g,
       "_ModScalar")
scalar("_rmod_scalar", "The remainder of ``scalar / data``, with the sign of ``data``.", REVERSED["mod"],
       lambda F, g, data, scalar: F.negative(g * F.floor(scalar / data)), "_RModScalar")
scalar("_power_scalar", "``data ** scalar``", SCALAR["power"],
       lambda F, g, data, scalar: scalar * (g * F._power_scalar(data, scalar=scalar - 1)), "_PowerScalar")
scalar("_rpower_scalar", "``scalar ** data``", REVERSED["power"],
       lambda F, g, out, scalar: g * out * natural_logarithm(scalar), "_RPowerScalar")
scalar("_hypot_scalar", "``sqrt(data ** 2 + scalar ** 2)``", SCALAR["hypot"],
       lambda F, g, data, out: g * data / out, "_HypotScalar", "_npi_hypot_scalar")
scalar("_maximum_scalar", "The greater of ``data`` and ``scalar``.", SCALAR["maximum"],
       lambda F, g, data, scalar: g * (data >= scalar), "_MaximumScalar", "_npi_maximum_scalar")
scalar("_minimum_scalar", "The lesser of ``data`` and ``scalar``.", SCALAR["minimum"],
       lambda F, g, data, scalar: g * (data <= scalar), "_MinimumScalar", "_npi_minimum_scalar")

COMPARISONS = {
    "equal": ("1 where ``data == scalar``, else 0.", "_EqualScalar"),
    "not_equal": ("1 where ``data != scalar``, else 0.", "_NotEqualScalar"),
    "greater": ("1 where ``data > scalar``, else 0.", "_GreaterScalar"),
    "greater_equal": ("1 where ``data >= scalar``, else 0.", "_GreaterEqualScalar"),
    "lesser": ("1 where ``data < scalar``, else 0.", "_LesserScalar"),
    "lesser_equal": ("1 where ``data <= scalar``, else 0.", "_LesserEqualScalar"),
    "logical_and": ("1 where neither ``data`` nor ``scalar`` is 0, else 0.", "_LogicalAndScalar"),
    "logical_or": ("1 where ``data`` or ``scalar`` is not 0, else 0.", "_LogicalOrScalar"),
    "logical_xor": ("1 where exactly one of ``data`` and ``scalar`` is 0, else 0.", "_LogicalXorScalar"),
}
for name, (doc, alias) in COMPARISONS.items():
    scalar(f"_{name}_scalar", doc, SCALAR[name], ZERO, alias)

family.scalar("smooth_l1", """
    The absolute value, made smooth by a parabola near 0.

    With ``s = scalar``: ``(s x)^2 / 2`` where ``abs(x) < 1 / s^2``, else ``abs(x) - 1 / (2 s^2)``.
    """, _activation.smooth_l1, lambda F, g, data, scalar: F._backward_smooth_l1(g, data, scalar=scalar),
              aliases=("_npx_smooth_l1",))

slope = Operator("_backward_smooth_l1", "og x", "``og`` times the derivative of smooth_l1 at ``x``.", scalar=1.)
slope.infer_shape(lambda og: og)
slope.cpu = _activation.backward_smooth_l1


@slope.gradient
def _(F, g, og, x, scalar):
    inside = F.abs(x) < 1 / scalar ** 2
    return F._backward_smooth_l1(g, x, scalar=scalar), scalar ** 2 * (g * og * inside)
