"""Products of matrices on GPUs: by the stand-in for cuBLAS, and by our own kernels with sizes that do and do not fill
tiles, sums that several blocks share, few rows."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import gluon, nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY
from mxcy.gpu import _cublas
from mxcy.ops.cuda import product
from mxcy.testing import assert_close

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)
library = pytest.mark.skipif(not _cublas.available(), reason="no cuBLAS and no stand-in for it")
SIZES = [(70, 90, 50), (7, 33, 700), (3, 300, 70), (200, 2, 130), (1, 1, 3000), (33, 17, 5), (20, 24, 2000)]


@pytest.fixture(params=[pytest.param("cuBLAS", marks=library), "own kernels"])
def way(request, monkeypatch):
    """By which the products are computed. As an attribute of the call it keeps recipes of the other way from being used."""
    if request.param != "cuBLAS":
        monkeypatch.setattr(product, "LIBRARY", {})
    return request.param


def small(rng, shape, dtype):
    """Small integers; sums of their products are exact before they are rounded to the dtype."""
    return rng.integers(-2, 3, shape).astype(NUMPY[dtype])


def check(a, b, dtype, transpose_a, transpose_b, way):
    expected = np.matmul(a.astype("f8"), b.astype("f8")).astype(NUMPY[dtype])
    given = [nd.array(x.swapaxes(-1, -2) if flip else x, ctx=gpu, dtype=dtype)
             for x, flip in ((a, transpose_a), (b, transpose_b))]
    result = (nd.batch_dot if a.ndim > 2 else nd.dot)(*given, transpose_a=transpose_a, transpose_b=transpose_b,
                                                       __way__=way)
    np.testing.assert_array_equal(result.asnumpy().astype("f8"), expected.astype("f8"))


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
def test_sizes(dtype, transpose_a, transpose_b, way):
    rng = np.random.default_rng(0)
    for m, n, k in SIZES:
        check(small(rng, (m, k), dtype), small(rng, (k, n), dtype), dtype, transpose_a, transpose_b, way)


@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_large_tiles(dtype, transpose_a, transpose_b, monkeypatch):
    """Those that fill a whole device, on few."""
    monkeypatch.setattr(product, "LIBRARY", {})
    monkeypatch.setattr(product, "tile_size", lambda *sizes: 128)
    rng = np.random.default_rng(0)
    for m, n, k in [(140, 270, 37), (257, 70, 600)]:
        check(small(rng, (2, m, k), dtype), small(rng, (2, k, n), dtype), dtype, transpose_a, transpose_b, "large")


@pytest.mark.parametrize("rows", [2, 60])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_bias(dtype, rows, way):
    rng = np.random.default_rng(0)
    x, weight, bias = (small(rng, shape, dtype) for shape in ((rows, 600), (70, 600), (70,)))
    result = nd.FullyConnected(*(nd.array(y, ctx=gpu, dtype=dtype) for y in (x, weight, bias)), num_hidden=70,
                               __way__=way)
    np.testing.assert_array_equal(result.asnumpy().astype("f8"), x.astype("f8") @ weight.astype("f8").T + bias)


def test_a_view_that_is_not_aligned(way):
    x, weight = np.arange(40. * 30).reshape(40, 30) % 7, np.arange(20. * 30).reshape(20, 30) % 5
    data = nd.array(np.concatenate([[0.], x.ravel()]), ctx=gpu)[1:].reshape((40, 30))
    result = nd.dot(data, nd.array(weight, ctx=gpu), transpose_b=True, __way__=way)
    np.testing.assert_array_equal(result.asnumpy(), x @ weight.T)


@library
def test_a_call_that_the_library_refuses(monkeypatch):
    """The error is in the words of the library."""
    monkeypatch.setitem(product.LIBRARY, "float32", (0, 70))         # float32 is not computed in float64
    a, b = (nd.array(np.ones(shape), ctx=gpu) for shape in ((30, 31), (31, 29)))
    with pytest.raises(MXNetError, match="CUBLAS_STATUS_NOT_SUPPORTED"):
        nd.dot(a, b, __way__="refused").wait_to_read()


class Powers(gluon.HybridBlock):
    """Enough steps to be worth a recording."""

    def hybrid_forward(self, F, x, matrix):
        for _ in range(5):
            x = F.dot(x, matrix)
        return x


def test_in_a_recorded_plan(way):
    """The products are part of the recording: later runs have other data at the same place."""
    net = Powers()
    net.hybridize()
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(30, 30)) / 5
    for _ in range(6):
        x = rng.normal(size=(20, 30))
        result = net(nd.array(x, ctx=gpu, dtype="float64"), nd.array(matrix, ctx=gpu, dtype="float64"))
        assert_close(result, x @ np.linalg.matrix_power(matrix, 5))
