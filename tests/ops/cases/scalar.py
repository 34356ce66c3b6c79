"""Elementwise functions of an array and a number."""
import numpy as np

from tests.ops.case import Case, away_from, const, normal, positive

#: Name: (inputs, oracle of the array and the number).
SMOOTH = {
    "_plus_scalar": (normal(3, 4), lambda x, s: x + s), "_minus_scalar": (normal(3, 4), lambda x, s: x - s),
    "_rminus_scalar": (normal(3, 4), lambda x, s: s - x), "_mul_scalar": (normal(3, 4), lambda x, s: x * s),
    "_div_scalar": (normal(3, 4), lambda x, s: x / s), "_rdiv_scalar": (positive(3, 4), lambda x, s: s / x),
    "_power_scalar": (positive(3, 4), lambda x, s: x ** s), "_rpower_scalar": (normal(3, 4), lambda x, s: s ** x),
    "_hypot_scalar": (normal(3, 4), np.hypot), "_maximum_scalar": (away_from(2.5, (3, 4)), np.maximum),
    "_minimum_scalar": (away_from(2.5, (3, 4)), np.minimum),
    "_mod_scalar": (const([5.1, -5.1, 7.2, .3]), np.mod),
    "_rmod_scalar": (const([2.1, -1.1, .9]), lambda x, s: np.mod(s, x)),
}
COMPARISONS = {
    "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "lesser": np.less, "lesser_equal": np.less_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}


def given(function):
    return lambda x, scalar: function(x, scalar)


def whole(function):
    """``function`` of an integer array and the truncated number."""
    return lambda x, scalar: function(x.astype(np.int64), int(scalar)).astype(x.dtype)


def power(x, scalar):
    with np.errstate(all="ignore"):
        return np.power(x, np.full_like(x, scalar))          # NumPy takes square roots for a number .5


def smooth_l1(x, scalar):
    s2 = scalar * scalar
    return np.where(np.abs(x) < 1 / s2, .5 * s2 * x * x, np.abs(x) - .5 / s2)


CASES = [
    *(Case(name, [x], dict(scalar=2.5), given(oracle)) for name, (x, oracle) in SMOOTH.items()),
    *(Case(name, [const([7, -7, 100], dtype)], dict(scalar=2.5), whole(oracle), grad=False, dtypes=("float32",),
           id=dtype)
      for dtype in ("int8", "int32", "int64")
      for name, oracle in (("_plus_scalar", np.add), ("_mul_scalar", np.multiply), ("_mod_scalar", np.mod),
                           ("_maximum_scalar", np.maximum), ("_rminus_scalar", lambda x, s: s - x))),
    Case("_div_scalar", [const([7, -7], "int32")], dict(scalar=2), lambda x, scalar: np.array([3, -3]), grad=False,
         dtypes=("float32",), id="truncates"),
    *(Case(f"_{stem}_scalar", [const([0., 1., -1., np.nan])], dict(scalar=s), given(oracle), grad=False)
      for stem, oracle in COMPARISONS.items() for s in (0., 1.)),
    *(Case("_power_scalar", [const([0., -0., np.inf, -np.inf, np.nan, 1.5, -2.])], dict(scalar=s), power, grad=False,
           id=f"edges,{s}") for s in (2., 3., -1., .5, 0., 1.5, -2.)),
    *(Case("_power_scalar", [positive(3, 4)], dict(scalar=s), given(np.power)) for s in (2., 3., -1., .5)),
    *(Case("smooth_l1", [const([-3., -.4, -.05, .05, .3, 2.])], dict(scalar=s), smooth_l1) for s in (1., 2.)),
    Case("_plus_scalar", [normal(3, 4)], {}, lambda x: x + 1, id="default"),
    Case("smooth_l1", [const([5, 0, -3], "int32")], dict(scalar=1.), lambda x, scalar: np.array([4, 0, 2]), grad=False,
         dtypes=("float32",), id="int32"),
]
