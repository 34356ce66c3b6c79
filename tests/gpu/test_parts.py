"""Parts of arrays on GPUs: what the small cases of the operator table do not reach."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError, MXNetValueError

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)
rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "axes"), [
    ((70, 90), (1, 0)), ((3, 40, 50), (0, 2, 1)), ((33, 4, 34), (2, 1, 0)), ((100, 3), (1, 0)), ((9, 8, 7, 6), (3, 1, 0, 2)),
    ((20, 30, 4), (1, 0, 2))], ids=str)
def test_transpose(shape, axes, dtype):
    """Tiles with ragged edges, axes too short for tiles, items that are several elements."""
    x = rng.integers(0, 100, shape).astype(dtype)
    np.testing.assert_array_equal(nd.transpose(nd.array(x, ctx=gpu, dtype=dtype), axes=axes).asnumpy(), x.transpose(axes))


@pytest.mark.parametrize("dtype", ["uint8", "float16", "float32"])
def test_views_that_are_not_aligned(dtype):
    whole = nd.array(rng.integers(0, 50, (5, 9)), ctx=gpu, dtype=dtype)
    before = whole.asnumpy()
    view, x = whole[1:4], before[1:4]
    np.testing.assert_array_equal(nd.concat(view, view, dim=1).asnumpy(), np.concatenate([x, x], 1))
    np.testing.assert_array_equal(nd.tile(view, (2, 3)).asnumpy(), np.tile(x, (2, 3)))
    np.testing.assert_array_equal(nd.take(view, nd.array([2, 0], ctx=gpu)).asnumpy(), x[[2, 0]])
    np.testing.assert_array_equal(nd.where(view > 9, view, view + 1).asnumpy(), np.where(x > 9, x, x + 1))
    np.testing.assert_array_equal(view.astype("float64").asnumpy(), x)
    view[:] = 3
    np.testing.assert_array_equal(whole.asnumpy(), np.concatenate([before[:1], np.full_like(x, 3), before[4:]]))


def test_many_parts():
    """More than one launch joins, and parts without elements."""
    parts = [rng.standard_normal((3, int(rng.integers(0, 5)), 2)).astype(np.float32) for _ in range(150)]
    joined = nd.concat(*[nd.array(part, ctx=gpu) for part in parts], dim=1)
    np.testing.assert_array_equal(joined.asnumpy(), np.concatenate(parts, 1))
    for part, expected in zip(nd.split_v2(joined, (1, 100), axis=1), np.split(joined.asnumpy(), (1, 100), 1)):
        np.testing.assert_array_equal(part.asnumpy(), expected)


@pytest.mark.parametrize(("items", "places", "width", "often"), [
    (5000, 300, 8, 0), (5000, 300, 3, .4), (2500, 70000, 2, .5), (600, 2, 40, .9), (3000, 1, 5, 0)])
def test_gradient_of_embedding(items, places, width, often):
    """Sorts by several digits and blocks; rows that come often, whose sums have another order than on the CPU."""
    index = rng.integers(0, places, items)
    index[rng.random(items) < often] = places // 2
    g = rng.standard_normal((items, width)).astype(np.float32)
    sums = [mx.nd._internal._backward_take(nd.array(g, ctx=ctx), nd.array(index, ctx=ctx, dtype="int32"),
                                           shape=(places, width)).asnumpy() for ctx in (mx.cpu(), gpu, gpu)]
    np.testing.assert_allclose(sums[1], sums[0], rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(sums[1], sums[2])


def test_indices_out_of_range():
    x = nd.array(np.arange(12).reshape(3, 4), ctx=gpu)
    bad = nd.gather_nd(x, nd.array([[0, 3], [0, 1]], ctx=gpu))
    with pytest.raises(MXNetError, match="index 3 is out of bounds for an axis of 3 elements"):
        bad.asnumpy()
    nd.take(x, nd.array([0, -5], ctx=gpu), mode="raise")
    with pytest.raises(MXNetError, match="index -2 is out of bounds"):
        nd.waitall()
    assert x.asnumpy()[2, 3] == 11                       # the device works on
    with pytest.raises(MXNetValueError, match="1 indices into an axis of no elements"):
        nd.take(nd.zeros((0, 3), ctx=gpu), nd.array([0], ctx=gpu))
