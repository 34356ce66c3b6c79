"""Methods of NDArray that are more than an operator, and how arrays look."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.base import MXNetError

X = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.mark.parametrize(("x", "expected"), [
    (nd.array(X), "\n[[0. 1. 2.]\n [3. 4. 5.]]\n<NDArray 2x3 @cpu(0)>"),
    (nd.array([1, 2]), "\n[1. 2.]\n<NDArray 2 @cpu(0)>"),
    (nd.array(3.), "\n3.0\n<NDArray  @cpu(0)>"), (nd.array([]), "\n[]\n<NDArray 0 @cpu(0)>"),
    (nd.array([1], dtype="int32"), "\n[1]\n<NDArray 1 @cpu(0)>"),
    (nd.array([0, 1], dtype="bool"), "\n[False  True]\n<NDArray 2 @cpu(0)>"),
    (nd.array([1.5], dtype="bfloat16", ctx=mx.cpu(1)), "\n[1.5]\n<NDArray 1 @cpu(1)>")])
def test_repr_is_that_of_mxnet(x, expected):
    assert repr(x) == str(x) == f"{x}" == expected


def test_format_of_one_element():
    assert f"{nd.array([1.25]):.1f}" == "1.2"
    with pytest.raises(ValueError, match="one element"):
        f"{nd.array(X):.1f}"


def test_rich_display():
    page = nd.array(X)._repr_html_()
    for word in ("2 × 3", "float32", "cpu(0)", "max</small><br><b>5</b>", "mean</small><br><b>2.5</b>", "<pre>"):
        assert word in page
    assert "not finite" in nd.array([1, np.nan, np.inf])._repr_html_()
    assert "no axes" in nd.array(2.)._repr_html_() and "0" in nd.zeros((0, 2))._repr_html_()
    for picture in (nd.zeros((28, 28)), nd.zeros((20, 30, 3), dtype="uint8"), nd.zeros((3, 20, 30), dtype="uint8"),
                    nd.zeros((1, 28, 28)), nd.array(np.full((16, 16), np.nan))):
        assert "data:image/png" in picture._repr_html_()
    assert "data:image/png" not in nd.zeros((20, 30))._repr_html_()


def test_truth_length_and_iteration():
    assert nd.ones(1) and nd.ones((1, 1)) and not nd.array([]) and not nd.array(0.)
    with pytest.raises(ValueError, match="ambiguous"):
        bool(nd.ones(2))
    assert len(nd.array(X)) == 2 and [r.asnumpy().tolist() for r in nd.array(X)] == X.tolist()
    with pytest.raises(TypeError):
        len(nd.array(1.))
    assert 4 in nd.arange(6) and 9 not in nd.arange(6)
    x = nd.ones(1)
    assert {x: "found"}[x] == "found"


def test_numbers():
    x = nd.array([2.5])
    assert x.asscalar() == 2.5 and isinstance(x.asscalar(), np.float32) and x.item() == 2.5 and type(x.item()) is float
    assert float(x) == 2.5 and int(x) == 2 and [10, 20, 30][nd.array([1], dtype="int32")] == 20
    for use in (nd.ones(2).asscalar, nd.ones(2).item, lambda: float(nd.ones(2))):
        with pytest.raises(ValueError, match="one element"):
            use()
    with pytest.raises(TypeError):
        [1, 2][nd.array([1.])]


def test_astype():
    x = nd.array([1.7, -2.7])
    assert x.astype("int32").asnumpy().tolist() == [1, -2] and x.astype(np.float64).dtype is np.float64
    assert x.astype("float32", copy=False) is x and x.astype("float32") is not x
    assert not x.astype("float32").shares_memory(x)
    with pytest.raises(TypeError, match="foo"):
        x.astype("foo")


def test_copies():
    x = nd.array(X)
    y = x.copy()
    y[:] = 0
    assert x.asnumpy().sum() == 15
    assert x.copyto(y) is y and y.asnumpy().tolist() == X.tolist()
    assert x.copyto(nd.zeros((2, 3), dtype="int32")).asnumpy().tolist() == X.tolist()
    assert x.copyto(mx.cpu(1)).context == mx.cpu(1) and x.copyto(x) is x
    with pytest.raises(ValueError, match="copyto"):
        x.copyto(nd.zeros(3))
    with pytest.raises(TypeError, match="int"):
        x.copyto(3)
    assert x.as_in_context(mx.cpu()) is x.as_in_ctx("cpu(0)") is x
    z = x.as_in_context(mx.cpu(1))
    assert z.context == mx.cpu(1) and z.asnumpy().tolist() == X.tolist()
    assert not x.tostype("default").shares_memory(x) and x.as_nd_ndarray() is x and x.stype == "default"
    for wrong, error in (("csr", NotImplementedError), ("foo", ValueError)):
        with pytest.raises(error):
            x.tostype(wrong)


@pytest.mark.parametrize(("given", "expected"), [
    (((3, -1),), (3, 2)), ((3, 2), (3, 2)), ((-1,), (6,)), (((0, -1),), (2, 3)), (([6, 1],), (6, 1)),
    (((-2,),), (2, 3)),
    (((-3,),), (6,)), (((-4, 1, 2, 0),), (1, 2, 3)), ((6,), (6,))])
def test_reshape_shares_memory(given, expected):
    x = nd.array(X)
    y = x.reshape(*given)
    assert y.shape == expected and y.shares_memory(x)
    assert x.reshape(shape=given[0] if len(given) == 1 else given).shape == expected


def test_reshape_from_the_right():
    assert nd.zeros((2, 3, 4)).reshape((-1, 0), reverse=True).shape == (6, 4)


@pytest.mark.parametrize("wrong", [(4, 2), (-1, -1), (7,), (1, 1), (), (1, 2, 3, -5), (-4, 2), (2.5, 2)])
def test_wrong_reshape(wrong):
    with pytest.raises(MXNetError):
        nd.array(X).reshape(wrong)
    with pytest.raises(TypeError, match="foo"):
        nd.array(X).reshape((3, 2), foo=1)


def test_shapes_in_place_and_not():
    x = nd.zeros((2, 1, 3))
    for y, shape, shared in ((x.expand_dims(1), (2, 1, 1, 3), False),
                             (x.expand_dims(-1, inplace=True), (2, 1, 3, 1), True),
                             (x.squeeze(), (2, 3), False), (x.squeeze(1, inplace=True), (2, 3), True),
                             (x.squeeze(inplace=True), (2, 3), True), (x.flatten(), (2, 3), False),
                             (x.flatten(inplace=True), (2, 3), True), (x.T, (3, 1, 2), False),
                             (nd.zeros((1, 3)).broadcast_to((2, 3)), (2, 3), False)):
        assert y.shape == shape and y.shares_memory(x) == shared
    for wrong in (lambda: x.squeeze(0, inplace=True), lambda: x.squeeze(0), lambda: x.expand_dims(5, inplace=True),
                  lambda: x.expand_dims(5), lambda: x.broadcast_to((4, 1, 3))):
        with pytest.raises(MXNetError):
            wrong()


def test_views_are_differentiable():
    x = nd.array(X)
    x.attach_grad()
    with autograd.record():
        y = x.reshape((3, 2)).expand_dims(0, inplace=True).squeeze(0, inplace=True).flatten(inplace=True).T
        z = (y * y).sum()
    z.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), 2 * X)


def test_slice_assign():
    x = nd.ones((2, 2))
    assert x.slice_assign(nd.zeros((1, 2)), (0, 0), (1, 2), (1, 1)).asnumpy().tolist() == [[0, 0], [1, 1]]
    assert x.slice_assign_scalar(7, (0, 0), (1, 2), (1, 1)).asnumpy().tolist() == [[7, 7], [1, 1]]
    assert x.asnumpy().sum() == 4
