"""Products of matrices on GPUs: sizes that do and do not fill tiles, sums that several blocks share, few rows."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.dtype import NUMPY
from mxcy.ops.cuda import product

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)
SIZES = [(70, 90, 50), (7, 33, 700), (3, 300, 70), (200, 2, 130), (1, 1, 3000), (33, 17, 5), (20, 24, 2000)]


def small(rng, shape, dtype):
    """Integers whose products every dtype holds exactly."""
    return rng.integers(-2, 3, shape).astype(NUMPY[dtype])


def check(a, b, dtype, transpose_a, transpose_b):
    expected = np.matmul(a.astype("f8"), b.astype("f8"))
    given = [nd.array(x.swapaxes(-1, -2) if flip else x, ctx=gpu, dtype=dtype)
             for x, flip in ((a, transpose_a), (b, transpose_b))]
    result = (nd.batch_dot if a.ndim > 2 else nd.dot)(*given, transpose_a=transpose_a, transpose_b=transpose_b)
    np.testing.assert_array_equal(result.asnumpy().astype("f8"), expected)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
def test_sizes(dtype, transpose_a, transpose_b):
    rng = np.random.default_rng(0)
    for m, n, k in SIZES:
        check(small(rng, (m, k), dtype), small(rng, (k, n), dtype), dtype, transpose_a, transpose_b)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_large_tiles(dtype, transpose_a, transpose_b, monkeypatch):
    """Those that fill a whole device, on few."""
    monkeypatch.setattr(product, "tile_size", lambda *sizes: 128)
    rng = np.random.default_rng(0)
    for m, n, k in [(140, 270, 37), (257, 70, 600)]:
        check(small(rng, (2, m, k), dtype), small(rng, (2, k, n), dtype), dtype, transpose_a, transpose_b)


@pytest.mark.parametrize("rows", [2, 60])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_bias(dtype, rows):
    rng = np.random.default_rng(0)
    x, weight, bias = (small(rng, shape, dtype) for shape in ((rows, 600), (70, 600), (70,)))
    result = nd.FullyConnected(*(nd.array(y, ctx=gpu, dtype=dtype) for y in (x, weight, bias)), num_hidden=70)
    np.testing.assert_array_equal(result.asnumpy().astype("f8"), x.astype("f8") @ weight.astype("f8").T + bias)


def test_a_view_that_is_not_aligned():
    x, weight = np.arange(40. * 30).reshape(40, 30) % 7, np.arange(20. * 30).reshape(20, 30) % 5
    data = nd.array(np.concatenate([[0.], x.ravel()]), ctx=gpu)[1:].reshape((40, 30))
    result = nd.dot(data, nd.array(weight, ctx=gpu), transpose_b=True)
    np.testing.assert_array_equal(result.asnumpy(), x @ weight.T)
