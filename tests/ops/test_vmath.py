"""Vector maths over the whole float32 range: a strided sample of all bit patterns, in units in the last place."""
import numpy as np
import pytest
from scipy import special

import mxcy as mx

#: Largest error of each function in ulp.
BOUNDS = {
    "exp": (np.exp, 1.5), "expm1": (np.expm1, 2), "log": (np.log, 1.5), "log2": (np.log2, 1), "log10": (np.log10, 1),
    "log1p": (np.log1p, 1), "sin": (np.sin, 1), "cos": (np.cos, 1), "tan": (np.tan, 1), "arcsin": (np.arcsin, 1),
    "arccos": (np.arccos, 1), "arctan": (np.arctan, 1), "sinh": (np.sinh, 1), "cosh": (np.cosh, 1),
    "tanh": (np.tanh, 5),
    "arcsinh": (np.arcsinh, 1), "arccosh": (np.arccosh, 1), "arctanh": (np.arctanh, 1), "erf": (special.erf, 1.5),
    "cbrt": (np.cbrt, 1), "rcbrt": (lambda x: 1 / np.cbrt(x), 1), "sqrt": (np.sqrt, .5),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 1.5), "reciprocal": (lambda x: 1 / x, .5), "sigmoid": (special.expit, 2.5),
    "softsign": (lambda x: x / (1 + np.abs(x)), 1.5), "square": (np.square, .5), "degrees": (np.degrees, 1),
    "radians": (np.radians, 1), "floor": (np.floor, 0), "ceil": (np.ceil, 0), "trunc": (np.trunc, 0),
    "abs": (np.abs, 0), "negative": (np.negative, 0),
}
#: Slow, one element at a time: fewer samples, in the domain where the oracle is exact enough.
SPECIAL = {"erfinv": (special.erfinv, -1, 1), "gamma": (special.gamma, .01, 30), "gammaln": (special.gammaln, 2.5, 1e6)}


def sample():
    patterns = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)
    edges = [0., -0., np.inf, -np.inf, np.nan, 1., -1., .5, -.5, 88.72, 88.73, -87.34, -103.97, -104., 1e-45, -1e-45,
             3.4e38]
    return np.concatenate([patterns.view(np.float32), np.float32(edges), np.linspace(-10, 10, 40001, dtype=np.float32)])


def check(actual, expected, bound):
    """``expected`` is in float64; NaN, infinities and the sign of zero must be those of its rounding."""
    rounded = expected.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(rounded))
    np.testing.assert_array_equal(actual[np.isinf(rounded)], rounded[np.isinf(rounded)])
    zero = (actual == 0) & (rounded == 0)
    np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(rounded[zero]))
    finite = np.isfinite(rounded)
    assert np.isfinite(actual[finite]).all()
    error = np.abs(actual[finite].astype(np.float64) - expected[finite]) / np.spacing(np.abs(rounded[finite]))
    assert error.max() <= bound, f"{error.max():.2f} ulp"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BOUNDS)
def test_float32(name):
    oracle, bound = BOUNDS[name]
    x = sample()
    check(getattr(mx.nd, name)(mx.nd.array(x, dtype="float32")).asnumpy(), oracle(x.astype(np.float64)), bound)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", SPECIAL)
def test_special_functions(name):
    oracle, low, high = SPECIAL[name]
    x = np.linspace(low, high, 5001).astype(np.float32)
    check(getattr(mx.nd, name)(mx.nd.array(x, dtype="float32")).asnumpy(), oracle(x.astype(np.float64)), 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_softrelu():
    x = sample()
    check(mx.nd.Activation(mx.nd.array(x, dtype="float32"), act_type="softrelu").asnumpy(),
          np.logaddexp(0, x.astype(np.float64)), 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "tanh", "sigmoid"])
def test_float64(name):
    x = np.concatenate([sample().astype(np.float64), np.linspace(-745, 710, 20001), [5e-324, 1e-310, 1.7e308]])
    expected = BOUNDS[name][0](x)
    actual = getattr(mx.nd, name)(mx.nd.array(x, dtype="float64")).asnumpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-15, atol=1e-307)
    zero = (actual == 0) & (expected == 0)
    np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(expected[zero]))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_power():
    rng = np.random.default_rng(1)
    edges = np.float32([0, -0., np.inf, -np.inf, np.nan, 1, -1, 2, -2, .5, -.5, 3, -3, 2.5, 1e30, -1e30])
    x, y = (grid.ravel() for grid in np.meshgrid(edges, edges))
    x = np.concatenate([x, np.exp(10 * rng.normal(size=20000)) * rng.choice([1, -1], 20000)]).astype(np.float32)
    y = np.concatenate([y, 5 * rng.normal(size=10000), rng.integers(-9, 9, 10000)]).astype(np.float32)
    actual = mx.nd._internal._power(mx.nd.array(x, dtype="float32"), mx.nd.array(y, dtype="float32")).asnumpy()
    check(actual, np.power(x.astype(np.float64), y), 1)


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_short_floats(name):
    """Every 16-bit pattern to float32 and back; rounding to nearest, halves to even."""
    dtype = mx.dtype.NUMPY[name]
    patterns = np.arange(2**16, dtype=np.uint16)
    short = patterns.view(dtype)
    wide = mx.nd.array(short, dtype=dtype).astype("float32").asnumpy()
    np.testing.assert_array_equal(wide, short.astype(np.float32))
    back = mx.nd.array(wide, dtype="float32").astype(dtype).asnumpy()
    number = ~np.isnan(wide)
    np.testing.assert_array_equal(back.view(np.uint16)[number], patterns[number])
    assert np.isnan(back[~number].astype(np.float32)).all()
    finite = wide[np.isfinite(wide)]
    between = finite[:-1] / 2 + finite[1:] / 2
    np.testing.assert_array_equal(mx.nd.array(between, dtype="float32").astype(dtype).asnumpy().view(np.uint16),
                                  between.astype(dtype).view(np.uint16))
