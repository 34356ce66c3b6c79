"""Functions that make arrays."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY


@pytest.mark.parametrize("source", [
    [1, 2], [[1.5], [2]], 3, 2.5, True, [True, False], (1, 2), range(3), [], np.arange(3), np.zeros((0, 3)),
    np.float64(3), np.array(3.), np.uint16([1, 2]), np.arange(6).reshape(2, 3).T, np.arange(8)[::-2], np.array([1], ">f8"), None])
def test_array_is_float32_unless_told_otherwise(source):
    x = nd.array(source)
    assert x.dtype is np.float32
    np.testing.assert_array_equal(x.asnumpy(), np.array(source, "float32"), strict=True)


def test_array_of_an_ndarray_keeps_its_dtype_and_copies():
    x = nd.array([1, 2], dtype="int32")
    y = nd.array(x)
    y[:] = 5
    assert y.dtype is np.int32 and x.asnumpy().tolist() == [1, 2]
    assert nd.array(x, dtype="float16").dtype is np.float16
    assert nd.array(x, ctx=mx.cpu(1)).context == nd.array(x, ctx="cpu(1)", dtype="int8").context == mx.cpu(1)


@pytest.mark.parametrize("dtype", [*NUMPY, float, np.int8, np.dtype("uint8")])
def test_dtypes(dtype):
    for x in (nd.array([0, 1], dtype=dtype), nd.zeros(2, dtype=dtype), nd.ones((2, 1), dtype=dtype),
              nd.empty(2, dtype=dtype), nd.full((2,), 1, dtype=dtype)):
        assert np.dtype(x.dtype) == NUMPY.get(dtype, np.dtype(dtype) if dtype != "bfloat16" else None)


@pytest.mark.parametrize("source", [[[1, 2], [3]], "a", ["a"], object(), [nd.ones, 2], 1j])
def test_what_no_array_can_be_made_of(source):
    with pytest.raises(TypeError, match="nd.array cannot make an array"):
        nd.array(source)


def test_wrong_shapes_and_dtypes():
    for use in (lambda: nd.zeros((-1, 2)), lambda: nd.empty((2, -1)), lambda: nd.zeros((1 << 62, 1 << 62)),
                lambda: nd.zeros("a"), lambda: nd.ones((2,), dtype="flout32"), lambda: nd.empty((1.5,)),
                lambda: nd.empty((1,) * 40)):
        with pytest.raises(MXNetError):
            use()


def test_constants():
    assert nd.zeros(3).asnumpy().tolist() == [0, 0, 0] and nd.ones((2, 1)).asnumpy().tolist() == [[1], [1]]
    assert nd.zeros((0, 2)).shape == (0, 2) and nd.zeros(()).shape == ()
    assert nd.full((2,), 7, dtype="int32").asnumpy().tolist() == [7, 7]
    assert nd.full((2, 2), nd.array([1, 2])).asnumpy().tolist() == [[1, 2], [1, 2]]
    x = nd.zeros(2)
    assert nd.full((2,), 3, out=x) is x and x.asnumpy().tolist() == [3, 3]
    assert nd.ones(2, out=x) is x and x.asnumpy().tolist() == [1, 1]


@pytest.mark.parametrize("given", [(3,), (2, 7, 2.5), (5, 0, -2), (0, 1, .1)])
def test_arange(given):
    np.testing.assert_allclose(nd.arange(*given).asnumpy(), np.arange(*given, dtype="float32"), rtol=1e-6)
    assert nd.arange(2, 6, 2, repeat=2, dtype="int32").asnumpy().tolist() == [2, 2, 4, 4]


@pytest.mark.parametrize("endpoint", [True, False])
@pytest.mark.parametrize(("start", "stop", "num"), [(0, 1, 5), (3, -2, 7), (0, 1, 1), (0, 1, 0)])
def test_linspace(start, stop, num, endpoint):
    expected = np.linspace(start, stop, num, endpoint=endpoint)
    ours = nd.linspace(start, stop, num, endpoint=endpoint)
    np.testing.assert_allclose(ours.asnumpy(), expected, rtol=1e-6, atol=1e-7)


def test_eye():
    assert nd.eye(2).asnumpy().tolist() == [[1, 0], [0, 1]]
    np.testing.assert_array_equal(nd.eye(2, 3, 1, dtype="int32").asnumpy(), np.eye(2, 3, 1))
    np.testing.assert_array_equal(nd.eye(3, k=-1).asnumpy(), np.eye(3, k=-1))


def test_like():
    x = nd.array([[1, 2]], dtype="int8")
    assert nd.zeros_like(x).dtype is nd.ones_like(x).dtype is np.int8 and nd.ones_like(x).asnumpy().tolist() == [[1, 1]]


def test_concatenate():
    a, b = nd.zeros((1, 2)), nd.ones((2, 2))
    assert nd.concatenate([a, b]).asnumpy().tolist() == [[0, 0], [1, 1], [1, 1]]
    assert nd.concatenate([a, a], axis=1).shape == (1, 4)
    assert nd.concatenate([a], always_copy=False) is a and nd.concatenate([a]) is not a
    for wrong in ([], [a, nd.ones((2, 3))], [a, b.astype("int32")]):
        with pytest.raises(MXNetError):
            nd.concatenate(wrong)


def test_split_v2():
    x = nd.arange(12).reshape((6, 2))
    assert [p.shape for p in nd.split_v2(x, 3)] == [(2, 2)] * 3
    assert [p.shape for p in x.split_v2((1, 3))] == [(1, 2), (2, 2), (3, 2)]
    assert [p.shape for p in nd.split_v2(x, 6, squeeze_axis=True)] == [(2,)] * 6
    assert nd.split_v2(x, 2, axis=1)[1].asnumpy().ravel().tolist() == [1, 3, 5, 7, 9, 11]
    with pytest.raises(ValueError, match="cannot be parted into 4"):
        nd.split_v2(x, 4)
    with pytest.raises(ValueError, match="2.5"):
        nd.split_v2(x, 2.5)


@pytest.mark.parametrize(("source", "destination"), [(0, 2), ([0, 1], [-1, -2]), (-1, 0), ([2, 0], [0, 1]), (1, 1)])
def test_moveaxis(source, destination):
    x = np.arange(24.).reshape(2, 3, 4)
    ours = nd.moveaxis(nd.array(x), source, destination)
    np.testing.assert_array_equal(ours.asnumpy(), np.moveaxis(x, source, destination))


def test_wrong_moveaxis():
    x = nd.zeros((2, 3, 4))
    for source, destination in ((0, 5), ([0, 0], [1, 2]), ([0, 1], [1]), (4, 0)):
        with pytest.raises(ValueError, match="moveaxis"):
            nd.moveaxis(x, source, destination)


def test_onehot_encode():
    out = nd.zeros((2, 3))
    assert nd.onehot_encode(nd.array([1, 0]), out) is out
    assert out.asnumpy().tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.slow
def test_more_than_two_to_the_31_elements():
    n = (1 << 31) + 5
    x = nd.zeros((n,), dtype="int8")
    x[n - 2] = 3
    x[1] = 2
    assert x.size == n and x[n - 3:].asnumpy().tolist() == [0, 3, 0] and x[-2].asscalar() == 3
    assert x.reshape((5, -1)).shape == (5, n // 5) if n % 5 == 0 else True
    y = x + x
    assert y[-3:].asnumpy().tolist() == [0, 6, 0] and y[1].asscalar() == 4
    assert x[::1 << 30].asnumpy().tolist() == [0, 0, 0]
    assert nd.take(x, nd.array([n - 2, 1], dtype="int64")).asnumpy().tolist() == [3, 2]
