"""Arithmetic and comparisons of arrays and numbers, in any combination: the table, and functions made from it."""
import numbers
import operator
from typing import NamedTuple

from mxcy.base import MXNetTypeError

__all__ = ["TABLE", "Forms", "functions"]


NUMBER = (float, int, numbers.Number)           # the usual ones first: an abstract class takes longer to ask


class Forms(NamedTuple):
    """The operators behind one function, by what it is given."""
    same: str                       # two arrays of one shape
    broadcast: str                  # two arrays
    right: str                      # an array and a number
    left: str                       # a number and an array
    numbers: callable               # two numbers
    doc: str


def forms(stem, mirror, python, doc):
    """Forms of operators that are named alike; ``mirror`` names the one with its arguments exchanged."""
    return Forms(f"_{stem}", f"broadcast_{stem}", f"_{stem}_scalar", f"_{mirror}_scalar", python, doc)


def truth(function):
    """``function`` of truth values, as a number."""
    return lambda lhs, rhs: float(function(bool(lhs), bool(rhs)))


TABLE = {
    "add": Forms("elemwise_add", "broadcast_add", "_plus_scalar", "_plus_scalar", operator.add, "The sum."),
    "subtract": Forms("elemwise_sub", "broadcast_sub", "_minus_scalar", "_rminus_scalar", operator.sub,
                      "The difference."),
    "multiply": Forms("elemwise_mul", "broadcast_mul", "_mul_scalar", "_mul_scalar", operator.mul, "The product."),
    "divide": Forms("elemwise_div", "broadcast_div", "_div_scalar", "_rdiv_scalar", operator.truediv, "The quotient."),
    "modulo": forms("mod", "rmod", operator.mod, "The remainder of the division, with the sign of the divisor."),
    "power": forms("power", "rpower", operator.pow, "``lhs`` to the power of ``rhs``."),
    "maximum": forms("maximum", "maximum", max, "The greater one."),
    "minimum": forms("minimum", "minimum", min, "The lesser one."),
    "equal": forms("equal", "equal", operator.eq, "1 where ``lhs == rhs``, else 0."),
    "not_equal": forms("not_equal", "not_equal", operator.ne, "1 where ``lhs != rhs``, else 0."),
    "greater": forms("greater", "lesser", operator.gt, "1 where ``lhs > rhs``, else 0."),
    "greater_equal": forms("greater_equal", "lesser_equal", operator.ge, "1 where ``lhs >= rhs``, else 0."),
    "lesser": forms("lesser", "greater", operator.lt, "1 where ``lhs < rhs``, else 0."),
    "lesser_equal": forms("lesser_equal", "greater_equal", operator.le, "1 where ``lhs <= rhs``, else 0."),
    "logical_and": forms("logical_and", "logical_and", truth(operator.and_), "1 where neither is 0, else 0."),
    "logical_or": forms("logical_or", "logical_or", truth(operator.or_), "1 where one of them is not 0, else 0."),
    "logical_xor": forms("logical_xor", "logical_xor", truth(operator.xor), "1 where exactly one is 0, else 0."),
}
TABLE["true_divide"] = TABLE["divide"]


def functions(F, array):
    """Functions by name for arrays of the class ``array``, on the operators in the namespace ``F``."""
    return {name: function(name, choice, F, array) for name, choice in TABLE.items()}


def function(name, choice, F, array):
    def call(lhs, rhs):
        left, right = isinstance(lhs, array), isinstance(rhs, array)
        if left and right:
            return getattr(F, choice.broadcast)(lhs, rhs)
        if left and isinstance(rhs, NUMBER):
            return getattr(F, choice.right)(lhs, rhs)
        if right and isinstance(lhs, NUMBER):
            return getattr(F, choice.left)(rhs, lhs)
        if isinstance(lhs, NUMBER) and isinstance(rhs, NUMBER):
            return choice.numbers(lhs, rhs)
        for value in (lhs, rhs):                # what stands in for an array while a block becomes a graph
            if hasattr(value, "binary"):
                return value.binary(name, lhs, rhs)
        raise MXNetTypeError(f"{name}: lhs is {type(lhs).__name__} and rhs is {type(rhs).__name__}; expected "
                             f"{array.__name__}s and numbers")

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""{choice.doc}

Arrays broadcast against each other.

Parameters
----------
lhs, rhs : {array.__name__} or number

Returns
-------
{array.__name__}
    A number, if both are numbers.
"""
    return call
