"""Elementwise functions of two arrays."""
import numpy as np

from tests.ops.case import Case, away_from, booleans, const, distinct, integers, normal, positive

FLOATS = ("float32", "float64", "float16")


def remainder(x, y):
    return np.where(y == 0, 0, np.mod(x, np.where(y == 0, 1, y)))


def quotient(x, y):
    """Truncated, and 0 for a division by 0."""
    return np.where(y == 0, 0, np.trunc(x / np.where(y == 0, 1, y))).astype(x.dtype)


def power(x, y):
    with np.errstate(all="ignore"):
        return np.power(x, y)


#: Stem of the names: (operator for equal shapes, draw, oracle). ``draw(*shape)`` makes an input.
ARITHMETIC = {
    "add": ("elemwise_add", normal, np.add), "sub": ("elemwise_sub", normal, np.subtract),
    "mul": ("elemwise_mul", normal, np.multiply), "div": ("elemwise_div", positive, np.divide),
    "power": ("_power", positive, np.power), "hypot": ("_hypot", positive, np.hypot),
    "maximum": ("_maximum", distinct, np.maximum), "minimum": ("_minimum", distinct, np.minimum),
}
COMPARISONS = {
    "equal": np.equal, "not_equal": np.not_equal, "greater": np.greater, "greater_equal": np.greater_equal,
    "lesser": np.less, "lesser_equal": np.less_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
SHAPES = [((2, 3, 4), (2, 1, 4)), ((3, 1), (1, 4)), ((4,), (2, 3, 4)), ((1,), (2, 3)), ((2, 1, 3, 1), (5, 1, 2)),
          ((1, 1), (1, 1)), ((2, 0, 3), (1, 3))]
THREE = const([0., 1., 2.] * 4)                 # values that meet, and zeros
BETWEEN = const(np.arange(-6, 6).reshape(3, 4) / 8 + .19)       # none of the values that `distinct` draws

CASES = [
    *(Case(same, [draw(3, 4), BETWEEN if draw is distinct else draw(3, 4)], {}, oracle)
      for same, draw, oracle in ARITHMETIC.values()),
    *(Case(f"broadcast_{stem}", [draw(*a), draw(*b)], {}, oracle, id=f"{a}{b}".replace(" ", ""))
      for stem, (_, draw, oracle) in ARITHMETIC.items() if stem not in ("maximum", "minimum") for a, b in SHAPES),
    *(Case(f"broadcast_{stem}", [away_from(0, a), const(np.zeros(b))], {}, ARITHMETIC[stem][2], grad=(0,),
           id=f"{a}{b}".replace(" ", "")) for stem in ("maximum", "minimum") for a, b in SHAPES),
    *(Case(name, [const([np.nan, 1., np.nan, -0., np.inf]), const([1., np.nan, np.nan, 0., -np.inf])], {}, oracle,
           grad=False, id="edges") for name, _, oracle in (ARITHMETIC["maximum"], ARITHMETIC["minimum"])),
    Case("_power", [const([0., 0., -2., -2., 1., -1., 0., np.inf]), const([0., -1., 3., .5, np.nan, np.inf, 2., -1.])],
         {}, power, grad=False, id="edges"),
    *(Case(name, [const([5., -5., 5., -5., 7., 0.]), const([3., 3., -3., -3., 0., 0.])], {}, remainder, grad=False,
           id="signs") for name in ("_mod", "broadcast_mod")),
    Case("_mod", [const([5.5, -5.5, 7.25]), const([3., 3., -2.])], {}, np.mod, id="gradient"),
    *(Case(name, [const([7, -7, -128, 127, 0, 5], dtype), const([2, 2, 3, 3, 0, 0], dtype)], {}, oracle, grad=False,
           dtypes=("float32",), id=dtype)
      for dtype in ("int8", "int32", "int64") for name, oracle in (("elemwise_div", quotient), ("_mod", remainder))),
    *(Case(same, [integers(0, 9, 3, 4, dtype="uint8"), integers(0, 9, 3, 4, dtype="uint8")], {}, oracle, grad=False,
           dtypes=("float32",), id="uint8")
      for same, _, oracle in (ARITHMETIC[s] for s in ("add", "sub", "mul", "maximum"))),
    Case("_power", [const([5, -5, 2, 0], "int32"), const([3, 3, 10, 0], "int32")], {}, lambda x, y: x.astype(float)**y,
         grad=False, dtypes=("float32",), id="int32"),
    *(Case(name, [THREE, const([0., 0., 1., 2.] * 3)], {}, oracle, grad=False)
      for stem, oracle in COMPARISONS.items() for name in (f"_{stem}", f"broadcast_{stem}")),
    *(Case(f"broadcast_{stem}", [booleans(3, 1), booleans(4)], {}, oracle, grad=False, dtypes=("float32",), id="bool")
      for stem, oracle in COMPARISONS.items()),
]
