"""Reductions of many elements: what comes out is exact to the dtype, whatever the size and the axis."""
import numpy as np
import pytest

import mxcy as mx


@pytest.mark.parametrize("shape", [(1 << 22,), (4096, 1024), (2, 1024, 2048)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_do_not_lose_digits(shape, dtype):
    x = np.random.default_rng(0).uniform(0, 1, shape).astype(dtype)
    eps = np.finfo(dtype).eps
    for axis in (None, *range(len(shape))):
        exact = x.astype(np.longdouble).sum(axis)
        for function, count in [(mx.nd.sum, 1), (mx.nd.mean, x.size // np.size(exact))]:
            actual = function(mx.nd.array(x, dtype=dtype), axis=axis).asnumpy().reshape(np.shape(exact))
            np.testing.assert_allclose(actual, (exact / count).astype(dtype), rtol=4 * eps)


def test_half_precision_totals_pass_beyond_its_range():
    x = mx.nd.full((64, 4096), 100., dtype="float16")
    assert (mx.nd.mean(x, axis=1).asnumpy() == 100).all()
    assert mx.nd.mean(x).asscalar() == 100


def test_norm_of_large_numbers_does_not_overflow():
    assert mx.nd.norm(mx.nd.full((100,), 1e30)).asscalar() == pytest.approx(1e31)


def test_integers_are_summed_without_rounding():
    x = mx.nd.array(np.full(3, 2 ** 53 + 1), dtype="int64")
    assert mx.nd.sum(x).asscalar() == 3 * (2 ** 53 + 1)
