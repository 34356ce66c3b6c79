"""Elementwise functions of two arrays: of one shape, or broadcast to one.

Integer division truncates towards zero, and an integer divided by 0 is 0. Comparisons and logical operators give 0
and 1 in the dtype of the inputs.
"""
from mxcy.ops._binary import PAIR as kernel
from mxcy.ops.family import binary, broadcast_shape
from mxcy.ops.operator import ZERO
from mxcy.ops.param import Param


def both(kernel_name, doc, gradient, same, broadcast, broadcast_aliases=(), **params):
    """The operator for equal shapes, whose names ``same`` lists, and the broadcasting one."""
    cpu = kernel[kernel_name]
    binary(same[0], f"{doc} Both inputs have one shape.", cpu, gradient, aliases=same[1:])
    binary(broadcast, f"{doc} The inputs are broadcast to one shape.", cpu, gradient, aliases=broadcast_aliases,
           shape=broadcast_shape, **params)


both("add", "The sum.", (lambda g: g, lambda g: g),
     ("elemwise_add", "_add", "_plus", "_Plus", "_sparse_elemwise_add"),
     "broadcast_add", ("broadcast_plus", "_sparse_broadcast_add", "_sparse_broadcast_plus"))
both("sub", "The difference.", (lambda g: g, lambda F, g: F.negative(g)),
     ("elemwise_sub", "_sub", "_minus", "_Minus", "_sparse_elemwise_sub"),
     "broadcast_sub", ("broadcast_minus", "_sparse_broadcast_sub", "_sparse_broadcast_minus"))
both("mul", "The product.", (lambda g, rhs: g * rhs, lambda g, lhs: g * lhs),
     ("elemwise_mul", "_mul", "_Mul", "_sparse_elemwise_mul"), "broadcast_mul", ("_sparse_broadcast_mul",))
both("div", "The quotient.",
     (lambda g, rhs: g / rhs, lambda F, g, rhs, out: F.negative(g * out / rhs)),
     ("elemwise_div", "_div", "_Div", "_sparse_elemwise_div"), "broadcast_div", ("_sparse_broadcast_div",))
both("mod", "The remainder of the division, with the sign of ``rhs``; 0 where ``rhs`` is 0.",
     (lambda g: g, lambda F, g, lhs, rhs: F.negative(g * F.floor(lhs / rhs))),
     ("_mod", "_Mod"), "broadcast_mod")
both("power", "``lhs ** rhs``",
     (lambda g, lhs, rhs: g * rhs * lhs ** (rhs - 1), lambda F, g, lhs, out: g * out * F.log(lhs)),
     ("_power", "_Power"), "broadcast_power")
both("hypot", "``sqrt(lhs ** 2 + rhs ** 2)``",
     (lambda g, lhs, out: g / out * lhs, lambda g, rhs, out: g / out * rhs),
     ("_hypot", "_Hypot"), "broadcast_hypot")
both("maximum", "The greater one; NaN if one of them is. The gradient of equal ones goes to ``lhs``.",
     (lambda g, lhs, rhs: g * (lhs >= rhs), lambda g, lhs, rhs: g * (lhs < rhs)),
     ("_maximum", "_Maximum"), "broadcast_maximum", ("_npi_maximum",),
     axis=Param(int, None, doc="Ignored; scripts written for MXNet pass it."))
both("minimum", "The lesser one; NaN if one of them is. The gradient of equal ones goes to ``lhs``.",
     (lambda g, lhs, rhs: g * (lhs <= rhs), lambda g, lhs, rhs: g * (lhs > rhs)),
     ("_minimum", "_Minimum"), "broadcast_minimum", ("_npi_minimum",))

COMPARISONS = {
    "equal": ("1 where ``lhs == rhs``, else 0.", "_Equal"),
    "not_equal": ("1 where ``lhs != rhs``, else 0.", "_Not_Equal"),
    "greater": ("1 where ``lhs > rhs``, else 0.", "_Greater"),
    "greater_equal": ("1 where ``lhs >= rhs``, else 0.", "_Greater_Equal"),
    "lesser": ("1 where ``lhs < rhs``, else 0.", "_Lesser"),
    "lesser_equal": ("1 where ``lhs <= rhs``, else 0.", "_Lesser_Equal"),
    "logical_and": ("1 where neither is 0, else 0.", "_Logical_And"),
    "logical_or": ("1 where one of them is not 0, else 0.", "_Logical_Or"),
    "logical_xor": ("1 where exactly one is 0, else 0.", "_Logical_Xor"),
}
for name, (doc, alias) in COMPARISONS.items():
    both(name, doc, ZERO, (f"_{name}", alias), f"broadcast_{name}")
