"""Random typed graphs for tests of passes: elementwise operators, reductions, reshapes, products, constants."""
import numpy as np
from hypothesis import strategies as st

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret

UNARY = ["relu", "tanh", "negative", "abs", "square", "_copy", "BlockGrad", "ones_like", "zeros_like", "sigmoid"]
BINARY = ["elemwise_add", "elemwise_mul", "elemwise_sub", "_maximum", "_backward_relu", "_lesser"]
SCALAR = ["_plus_scalar", "_minus_scalar", "_mul_scalar", "_div_scalar", "_rminus_scalar", "_greater_scalar"]
BROADCAST = ["broadcast_add", "broadcast_mul", "broadcast_sub"]
NUMBERS = [0., -0., 1., 2., -1., .5, 3.]


def steps(draw, values):
    """Add a node or a few to the values."""
    x = draw(st.sampled_from(values))
    same = [v for v in values if v.shape == x.shape]
    kind = draw(st.integers(0, 13))
    if kind <= 2:
        return getattr(F, draw(st.sampled_from(UNARY)))(x)
    if kind <= 5:
        return getattr(F, draw(st.sampled_from(BINARY)))(x, draw(st.sampled_from(same)))
    if kind <= 7:
        return getattr(F, draw(st.sampled_from(SCALAR)))(x, scalar=draw(st.sampled_from(NUMBERS)))
    if kind == 8:
        others = [v for v in values if fits(v.shape, x.shape)]
        return getattr(F, draw(st.sampled_from(BROADCAST)))(x, draw(st.sampled_from(others)))
    if kind == 9:
        return F.add_n(*[draw(st.sampled_from(same)) for _ in range(draw(st.integers(1, 4)))])
    if kind == 10:
        return F.sum(x, axis=draw(st.integers(0, x.ndim - 1)), keepdims=True)
    if kind == 11:
        return draw(st.sampled_from([
            lambda: F.Reshape(x, shape=(-1, 1)), lambda: F.expand_dims(x, axis=0), lambda: F.Flatten(x),
            lambda: F.reshape_like(x, draw(st.sampled_from(same))), lambda: F.squeeze(x)]))()
    if kind == 12:
        return F.transpose(x) if draw(st.booleans()) else F.SwapAxis(x, dim1=0, dim2=x.ndim - 1)
    parts = [draw(st.sampled_from(same)) for _ in range(draw(st.integers(1, 3)))]
    joined = F.Concat(*parts, dim=0)
    begin = draw(st.integers(0, joined.shape[0] - 1))
    return F.slice_axis(joined, axis=0, begin=begin, end=draw(st.integers(begin + 1, joined.shape[0])))


def fits(shape, to):
    """Whether an array broadcasts to a shape without changing it."""
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(shape[::-1], to[::-1]))


@st.composite
def graphs(draw, most=25):
    """A typed graph with variables a, b and c."""
    values = [variable("a", (4, 3)), variable("b", (4, 3)), variable("c", (3,))]
    for _ in range(draw(st.integers(1, most))):
        value = steps(draw, values)
        if np.prod(value.shape) <= 1000 and value.ndim <= 5:
            values.append(value)
    heads = draw(st.lists(st.sampled_from(values[3:] or values), min_size=1, max_size=4))
    return Graph([value.entry for value in heads])


def inputs(seed=0):
    """Arrays for the variables, some of them zeros of either sign."""
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        x = rng.normal(size=shape).astype(np.float32)
        return mx.nd.array(np.where(rng.random(shape) < .2, np.copysign(np.float32(0), x), x))
    return {"a": numbers(4, 3), "b": numbers(4, 3), "c": numbers(3)}


def same_result(before, after, values=None):
    """Assert that two graphs give the same bits; only what NaN is made of may differ."""
    values = inputs() if values is None else values
    for x, y in zip(interpret(before, values), interpret(after, values), strict=True):
        x, y = x.asnumpy(), y.asnumpy()
        assert x.shape == y.shape and x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)
        number = ~np.isnan(x)
        np.testing.assert_array_equal(np.signbit(x[number]), np.signbit(y[number]))
