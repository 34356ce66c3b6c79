"""Elementwise functions of one array."""
import numpy as np
from scipy import special

from tests.ops.case import Case, away_from, booleans, const, integers, normal, positive, uniform

SHAPE = (3, 4)
EDGES = [np.nan, np.inf, -np.inf, 0., -0., 1., -1.]


def quiet(function):
    """``function`` without NumPy's warnings about the edges of its domain."""
    def call(x, **params):
        with np.errstate(all="ignore"):
            return function(x, **params)
    return call


def relu(x):
    return np.maximum(x, 0)


def half_down(x):
    return np.where(x - np.floor(x) <= np.ceil(x) - x, np.floor(x), np.ceil(x))


#: Name: (inputs, oracle).
SMOOTH = {
    "abs": (away_from(0, SHAPE), np.abs), "negative": (normal(*SHAPE), np.negative),
    "square": (normal(*SHAPE), np.square), "sqrt": (positive(*SHAPE), np.sqrt),
    "rsqrt": (positive(*SHAPE), lambda x: 1 / np.sqrt(x)), "cbrt": (away_from(0, SHAPE, gap=.5), np.cbrt),
    "rcbrt": (away_from(0, SHAPE, gap=.5), lambda x: 1 / np.cbrt(x)),
    "reciprocal": (away_from(0, SHAPE, gap=.5), lambda x: 1 / x),
    "exp": (normal(*SHAPE), np.exp), "expm1": (normal(*SHAPE), np.expm1), "log": (positive(*SHAPE), np.log),
    "log2": (positive(*SHAPE), np.log2), "log10": (positive(*SHAPE), np.log10), "log1p": (positive(*SHAPE), np.log1p),
    "sin": (normal(*SHAPE), np.sin), "cos": (normal(*SHAPE), np.cos), "tan": (uniform(-1, 1, *SHAPE), np.tan),
    "arcsin": (uniform(-.9, .9, *SHAPE), np.arcsin), "arccos": (uniform(-.9, .9, *SHAPE), np.arccos),
    "arctan": (normal(*SHAPE), np.arctan), "sinh": (normal(*SHAPE), np.sinh), "cosh": (normal(*SHAPE), np.cosh),
    "tanh": (normal(*SHAPE), np.tanh), "arcsinh": (normal(*SHAPE), np.arcsinh),
    "arccosh": (uniform(1.2, 3, *SHAPE), np.arccosh), "arctanh": (uniform(-.9, .9, *SHAPE), np.arctanh),
    "degrees": (normal(*SHAPE), np.degrees), "radians": (normal(*SHAPE), np.radians),
    "erf": (normal(*SHAPE), special.erf), "erfinv": (uniform(-.9, .9, *SHAPE), special.erfinv),
    "gamma": (positive(*SHAPE), special.gamma), "gammaln": (positive(*SHAPE), special.gammaln),
    "relu": (away_from(0, SHAPE), relu), "sigmoid": (normal(*SHAPE), special.expit),
    "softsign": (away_from(0, SHAPE), lambda x: x / (1 + np.abs(x))),
    "_copy": (normal(*SHAPE), lambda x: x),
    "_CrossDeviceCopy": (normal(*SHAPE), lambda x: x),
}

#: Piecewise constant: (inputs, oracle).
STEPS = {
    "sign": (away_from(0, SHAPE), np.sign), "ceil": (uniform(-3, 3, *SHAPE), np.ceil),
    "floor": (uniform(-3, 3, *SHAPE), np.floor), "trunc": (uniform(-3, 3, *SHAPE), np.trunc),
    "fix": (uniform(-3, 3, *SHAPE), np.trunc), "logical_not": (const([[0., 1.], [-2., 0.]]), np.logical_not),
    "rint": (const([-2.5, -1.5, -.5, -.2, 0., .5, 1.5, 2.6]), half_down),
    "round": (const([-2.5, -1.5, -.5, -.2, 0., .5, 1.5, 2.6]), lambda x: np.copysign(np.floor(np.abs(x) + .5), x)),
}

CASES = [
    *(Case(name, [x], {}, oracle) for name, (x, oracle) in SMOOTH.items()),
    *(Case(name, [x], {}, oracle, grad=False) for name, (x, oracle) in STEPS.items()),
    *(Case(name, [const(EDGES)], {}, quiet(SMOOTH[name][1]), grad=False, id="edges")
      for name in ("abs", "exp", "expm1", "log", "log1p", "sqrt", "tanh", "sigmoid", "erf", "sin", "arctan", "cbrt",
                   "relu", "square", "arcsinh", "cosh", "_copy", "_CrossDeviceCopy")),
    *(Case(name, [integers(1, 9, 5, dtype=dtype)], {}, lambda x, f=SMOOTH[name][1]: f(x.astype(float)).astype(x.dtype),
           grad=False, dtypes=("float32",), id=dtype)
      for name in ("sqrt", "log2", "square", "cbrt", "negative", "relu") for dtype in ("int8", "int32", "int64")),
    Case("abs", [const([-2**62 - 1, 5], "int64")], {}, np.abs, grad=False, dtypes=("float32",), id="large"),
    Case("degrees", [const([0, 1, 2, 3], "int8")], {}, lambda x: np.array([0, 57, 114, -85]), grad=False,
         dtypes=("float32",), id="wraps"),
    Case("floor", [const([2**53 + 1], "int64")], {}, lambda x: x, grad=False, dtypes=("float32",), id="int64"),
    Case("_copy", [booleans(4)], {}, lambda x: x, grad=False, dtypes=("float32",), id="bool"),
    Case("relu", [normal(0, 3)], {}, relu, id="empty"),
    Case("sin", [const([1e6, 3e7, -1e30, 12.])], {}, np.sin, grad=False, dtypes=("float64", "float32"), id="large"),
    Case("hard_sigmoid", [uniform(-2, 2, *SHAPE)], {}, lambda x: np.clip(.2 * x + .5, 0, 1)),
    Case("hard_sigmoid", [uniform(-.7, -.4, *SHAPE)], dict(alpha=2., beta=.75),
         lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1)),
    Case("clip", [away_from(.5, SHAPE)], dict(a_min=-3., a_max=.5), lambda x, a_min, a_max: np.clip(x, a_min, a_max)),
    Case("clip", [const([5, -5, 0, 3], "int32")], dict(a_min=-2.7, a_max=3.6),
         lambda x, a_min, a_max: np.clip(x, -2, 3), grad=False, dtypes=("float32",)),
    Case("clip", [const([5, 250, 0], "uint8")], dict(a_min=-2., a_max=300.), lambda x, a_min, a_max: x, grad=False,
         dtypes=("float32",)),
    Case("_polygamma", [positive(*SHAPE)], dict(n=0), lambda x, n: special.polygamma(n, x)),
    Case("_polygamma", [uniform(-2.8, -2.2, *SHAPE)], dict(n=0), lambda x, n: special.polygamma(n, x), id="negative"),
    Case("_polygamma", [uniform(.5, 20, *SHAPE)], dict(n=1), lambda x, n: special.polygamma(n, x)),
    Case("BlockGrad", [normal(*SHAPE)], {}, lambda x: x, grad=False),
    # The gradients of losses are not their derivatives.
    Case("make_loss", [normal(*SHAPE)], {}, lambda x: x, grad=False),
    Case("MakeLoss", [normal(*SHAPE)], dict(grad_scale=2., normalization="batch"), lambda x, **_: x, grad=False),
    Case("_identity_with_attr_like_rhs", [normal(*SHAPE), normal(*SHAPE)], {}, lambda x, y: x),
]
