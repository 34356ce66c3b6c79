"""NumPy's protocols and DLPack."""
import gc
import weakref

import numpy as np
import pytest

from mxcy import nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY

X = np.arange(6, dtype="float32").reshape(2, 3)


def test_asarray_copies_unless_told_not_to():
    x = nd.array(X)
    a = np.asarray(x)
    a[0, 0] = 9
    assert x[0, 0].asscalar() == 0 and a.dtype == np.float32
    assert np.asarray(x, dtype="int8").dtype == np.int8
    seen = np.asarray(x, copy=False)
    seen[0, 0] = 7
    assert x[0, 0].asscalar() == 7
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(x, dtype="int8", copy=False)


def test_a_view_keeps_the_memory():
    x = nd.array(X)
    seen = np.asarray(x, copy=False)
    del x
    gc.collect()
    nd.zeros((2, 3))
    np.testing.assert_array_equal(seen, X)


def test_from_numpy_shares_and_keeps_the_memory():
    a = np.arange(4.)
    x = nd.from_numpy(a)
    assert x.dtype is np.float64 and not a.flags.writeable
    x[1] = 8
    assert a[1] == 8
    gone = weakref.ref(a)
    del a
    gc.collect()
    assert gone() is not None and x[3].asscalar() == 3
    x.wait_to_write()
    del x
    gc.collect()
    assert gone() is None


def test_from_numpy_refuses_what_it_cannot_share():
    with pytest.raises(ValueError, match="contiguous"):
        nd.from_numpy(np.zeros((3, 4)).T)
    with pytest.raises(TypeError, match="list"):
        nd.from_numpy([1])
    with pytest.raises(TypeError, match="uint16"):
        nd.from_numpy(np.zeros(2, "uint16"))
    assert nd.from_numpy(np.zeros((3, 4)).T, zero_copy=False).shape == (4, 3)


@pytest.mark.parametrize("function", [
    lambda x: np.add(x, 1), lambda x: X + x, lambda x: x - X, lambda x: np.exp(x), lambda x: np.hypot(x, 2),
    lambda x: np.sum(x, axis=1), lambda x: np.mean(x, axis=0), lambda x: np.concatenate([x, x]),
    lambda x: np.concatenate([x, X], axis=1), lambda x: np.stack([x, x]), lambda x: np.median(x, axis=0),
    lambda x: np.cumsum(x, axis=1), lambda x: np.var(x, axis=0), lambda x: np.where(x > 2, x, 0 * x),
    lambda x: np.add.reduce(x), lambda x: np.transpose(x), lambda x: np.clip(x, 1, 3), lambda x: np.max(x, axis=1)])
def test_numpy_functions_give_ndarrays(function):
    result = function(nd.array(X))
    assert isinstance(result, nd.NDArray)
    np.testing.assert_allclose(result.asnumpy(), function(X), rtol=1e-6)


def test_numpy_functions_write_to_out():
    a, x = X.copy(), nd.array(X)
    assert np.add(x, 1, out=a) is a
    np.testing.assert_array_equal(a, X + 1)
    assert np.multiply(x, 2, out=x) is x
    np.testing.assert_array_equal(x.asnumpy(), 2 * X)


def test_numpy_functions_of_several_results():
    q, r = np.linalg.qr(nd.array(X))
    assert isinstance(q, nd.NDArray)
    np.testing.assert_allclose(np.matmul(q, r).asnumpy(), X, atol=1e-5)


@pytest.mark.parametrize("dtype", [name for name in NUMPY if name != "bfloat16"])
def test_dlpack_shares_with_numpy_both_ways(dtype):
    x = nd.array([[1, 0], [1, 1]], dtype=dtype)
    a = np.from_dlpack(x)
    assert a.dtype == x.dtype and a.flags.writeable
    a[0, 1] = 1
    assert x[0, 1].asscalar() == 1
    y = nd.from_dlpack(a)
    assert y.dtype == x.dtype
    y[1] = 0
    np.testing.assert_array_equal(x.asnumpy(), [[1, 1], [0, 0]])


def test_dlpack_keeps_the_memory_of_either_side():
    a = np.arange(5.)
    gone = weakref.ref(a)
    x = nd.from_dlpack(a)
    del a
    gc.collect()
    assert gone() is not None and x[4].asscalar() == 4
    del x
    gc.collect()
    assert gone() is None


def test_dlpack_capsules():
    x = nd.array(X)
    for capsule in (nd.to_dlpack_for_read(x), x.to_dlpack_for_write(), x.__dlpack__(max_version=(1, 0))):
        y = nd.from_dlpack(capsule)
        np.testing.assert_array_equal(y.asnumpy(), X)
        with pytest.raises(TypeError, match="not used before"):
            nd.from_dlpack(capsule)
    assert x.__dlpack_device__() == (1, 0)
    del capsule
    x.to_dlpack_for_read()                      # dropped unused


def test_dlpack_refuses_what_it_cannot_share():
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    for wrong in (np.zeros((3, 4)).T, np.zeros(3, "complex64"), np.zeros(3, "uint16"), read_only, "capsule"):
        with pytest.raises(MXNetError, match="from_dlpack"):
            nd.from_dlpack(wrong)


def test_dlpack_of_torch():
    torch = pytest.importorskip("torch")
    t = torch.arange(6.).reshape(2, 3)
    x = nd.from_dlpack(t)
    x[0, 0] = 5
    x.wait_to_read()
    assert t[0, 0] == 5
    np.testing.assert_array_equal(torch.from_dlpack(x).numpy(), x.asnumpy())
