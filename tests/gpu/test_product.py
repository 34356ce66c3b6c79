"""Products of matrices on GPUs: by the stand-in for cuBLASLt, and by our own kernels with sizes that do and do not fill
tiles, sums that several blocks share, few rows."""
import ctypes
import itertools
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import mxcy as mx
from mxcy import gluon, nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY
from mxcy.gpu import _cublas, _launch
from mxcy.ops.cuda import product
from mxcy.ops.cuda.recipes import launches
from mxcy.ops.operator import lookup
from mxcy.testing import assert_close
from tests.gpu.tools import standins

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)
library = pytest.mark.skipif(not _cublas.available(), reason="no cuBLASLt and no stand-in for it")
SIZES = [(70, 90, 50), (7, 33, 700), (3, 300, 70), (200, 2, 130), (1, 1, 3000), (33, 17, 5), (20, 24, 2000)]


@pytest.fixture(params=[pytest.param("cuBLASLt", marks=library), "own kernels"])
def way(request, monkeypatch):
    """By which the products are computed. As an attribute of the call it keeps recipes of the other way from being used."""
    if request.param != "cuBLASLt":
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


class Standin:
    """The stand-in for cuBLASLt: its counts, and what goes wrong with the next call."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.library.standin_count.restype = ctypes.c_long

    def count(self, what):
        return self.library.standin_count(what.encode())

    def counts(self):
        """Of products, of those with a bias, of those by the algorithm that wants aligned addresses."""
        return np.array([self.count(what) for what in ("products", "with a bias", "by the better algorithm")])

    def fail(self, function, status):
        self.library.standin_fail(function.encode(), status)


@pytest.fixture
def standin():
    path = standins()["MXCY_LIBCUBLAS"]
    if os.environ.get("MXCY_LIBCUBLAS") != path:
        pytest.skip("needs the stand-in for cuBLASLt")
    return Standin(path)


fresh = itertools.count()


def layer(x, weight, bias):
    """A dense layer, prepared anew."""
    arrays = [nd.array(y, ctx=gpu) for y in (x, weight, bias)]
    return nd.FullyConnected(*arrays, num_hidden=len(weight), __fresh__=str(next(fresh))).asnumpy()


def layer_arrays(rng):
    return [small(rng, shape, "float32") for shape in ((40, 30), (20, 30), (20,))]


def test_the_library_adds_the_bias(standin):
    before = standin.counts()
    x, weight, bias = layer_arrays(np.random.default_rng(0))
    np.testing.assert_array_equal(layer(x, weight, bias), x @ weight.T + bias)
    assert (standin.counts() - before).tolist() == [1, 1, 1]


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_views_that_are_not_aligned(standin, dtype, which):
    """One recipe for all addresses; whole arrays keep the better algorithm."""
    arrays = layer_arrays(np.random.default_rng(0))
    expected, name = arrays[0] @ arrays[1].T + arrays[2], str(next(fresh))
    for shift, better in ((0, 1), (1, 0), (16 // NUMPY[dtype].itemsize, 1)):
        given = [nd.array(x, ctx=gpu, dtype=dtype) for x in arrays]
        flat = np.concatenate([np.zeros(shift), arrays[which].ravel()])
        given[which] = nd.array(flat, ctx=gpu, dtype=dtype)[shift:].reshape(arrays[which].shape)
        before = standin.counts()
        result = nd.FullyConnected(*given, num_hidden=20, __fresh__=name)
        np.testing.assert_array_equal(result.asnumpy(), expected)
        assert (standin.counts() - before).tolist() == [1, 1, better]


def test_a_matrix_inside_a_tensor_that_is_not_aligned(standin):
    """What is known to lie at odd places is claimed to be no better: weights of a recurrent layer."""
    before = standin.counts()
    layer = gluon.rnn.LSTM(5, input_size=7)
    layer.initialize(mx.init.Uniform(.4), ctx=gpu)
    x = np.random.default_rng(0).normal(size=(3, 6, 7))
    result = layer(nd.array(x, ctx=gpu)).asnumpy()
    layer.collect_params().reset_ctx(mx.cpu())
    assert_close(result, layer(nd.array(x)).asnumpy())
    assert (standin.counts() - before)[0] == 4               # of the inputs, then of three steps


def test_threads_share_a_recipe_with_their_own_biases():
    rng = np.random.default_rng(0)
    x, weight, _ = layer_arrays(rng)
    shared = [nd.array(y, ctx=gpu) for y in (x, weight)]

    def work(number):
        bias = nd.full((20,), number, ctx=gpu)
        return [nd.FullyConnected(*shared, bias, num_hidden=20, __fresh__="threads") for _ in range(20)]

    with ThreadPoolExecutor(4) as pool:
        for number, results in enumerate(pool.map(work, range(4))):
            for result in results:
                np.testing.assert_array_equal(result.asnumpy(), x @ weight.T + number)


def recipe(*shapes):
    operator = lookup("FullyConnected")
    params = operator.parse({"num_hidden": shapes[1][0]})
    out = [((shapes[0][0], shapes[1][0]), "float32")]
    items, workspace = launches(operator, operator.kernel(params), params, [(shape, "float32") for shape in shapes], out,
                                0)
    return _launch.Recipe(items, 0, workspace)


def test_a_recipe_owns_what_is_prepared(standin):
    before = standin.count("descriptions")
    kept = recipe((40, 30), (20, 30), (20,))
    assert standin.count("descriptions") == before + 4
    del kept
    assert standin.count("descriptions") == before


@pytest.mark.parametrize("function", ["cublasLtMatmulDescCreate", "cublasLtMatmulDescSetAttribute",
                                      "cublasLtMatrixLayoutCreate", "cublasLtMatmulPreferenceCreate",
                                      "cublasLtMatmulAlgoGetHeuristic"])
def test_preparing_fails(standin, function):
    """An error names the call and its status; nothing is left of the attempt, and the next one succeeds."""
    x, weight, bias = layer_arrays(np.random.default_rng(0))
    before = standin.count("descriptions")
    standin.fail(function, 14)
    with pytest.raises(MXNetError, match=r"gpu\(0\): cublasLt\w+ failed: CUBLAS_STATUS_INTERNAL_ERROR"):
        layer(x, weight, bias)
    assert standin.count("descriptions") == before
    np.testing.assert_array_equal(layer(x, weight, bias), x @ weight.T + bias)


def test_a_call_fails(standin):
    x, weight, bias = layer_arrays(np.random.default_rng(0))
    standin.fail("cublasLtMatmul", 13)
    with pytest.raises(MXNetError, match=r"gpu\(0\): cublasLtMatmul failed: CUBLAS_STATUS_EXECUTION_FAILED"):
        layer(x, weight, bias)
    np.testing.assert_array_equal(layer(x, weight, bias), x @ weight.T + bias)


def test_our_own_kernels_do_what_the_library_cannot(standin):
    x, weight, bias = layer_arrays(np.random.default_rng(0))
    before, described = standin.counts(), standin.count("descriptions")
    standin.fail("cublasLtMatmulAlgoGetHeuristic", 15)
    np.testing.assert_array_equal(layer(x, weight, bias), x @ weight.T + bias)
    assert (standin.counts() == before).all()
    assert standin.count("descriptions") == described


def test_without_tensor_cores(standin, monkeypatch):
    """The stand-in knows no other way for 16 bits."""
    monkeypatch.setattr(product, "TENSOR_CORES", False)
    rng = np.random.default_rng(0)
    for dtype, done in (("float16", 0), ("float32", 1), ("float64", 1)):
        before = standin.counts()
        check(small(rng, (30, 40), dtype), small(rng, (40, 50), dtype), dtype, False, False, "plain cores")
        assert (standin.counts() - before)[0] == done


@pytest.mark.parametrize("path", ["", "libm.so.6", "/no/such/library.so"])
def test_no_library(path):
    """None is wanted, it lacks what is needed (as one that is too old does), or it is not there."""
    program = ("import mxcy as mx; from mxcy.gpu import _cublas; a = mx.nd.ones((9, 8), ctx=mx.gpu());"
               "assert not _cublas.available(); assert (mx.nd.dot(a, a.T).asnumpy() == 8).all()")
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "MXCY_LIBCUBLAS": path})


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
