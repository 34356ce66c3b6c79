"""x[key] and x[key] = value against NumPy, and where MXNet differs from it."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy import autograd, nd
from mxcy.base import MXNetError

SHAPE = (2, 3, 4)
X = np.arange(24, dtype="float32").reshape(SHAPE)

#: Keys as text, so that NumPy gets the same with arrays of its own.
KEYS = """0 -1 1:2 5:9 1:1 ::-1 ::2 0,1 0,1:3 :1,1:2 ...,0 ...,-1 None :,None ... () 0,::2 :,::-1 0:2:5 :,0:0 :,3:1
:,:,None None,...,None 0,None,1 slice(None,None,-1),1,::-2 -1:-4:-1,-1:-4:-2
[0,1] [0,-1],[1,-1] [0,1],:,[1,2] :,[0,1],[1,2] A([0,1]) A([0,1]),A([1,2]) A([[0],[1]]),A([[0,2]]) 1:,[0,2]
None,[0,1],None 0,[0,1] [0],...,1 0,:,[0,1] [[0,1],[1,0]] [] [[0,1]] range(2) [0,1],None,[0,1] A([0,1]),1:3 :,A([0,2]) :,:,A([3,-4,0])
::-1,[0,2],1:3 ::-1,:,[0,3] 1,A([[0,1],[1,2]]) :,[[0,1],[1,2]],None
M([True,False]) M([[True,False,True],[False,True,False]]) :,M([True,False,True]) M([True,False]),0 [True,True] X>5
""".split()


def at(key, xp):
    """The key in terms of NumPy (``xp`` is np) or of ours."""
    array = np.array if xp is np else lambda v: nd.array(v, dtype="int64")
    mask = np.array if xp is np else lambda v: nd.array(v, dtype="bool")
    return eval(f"Key[{key}]", {"Key": Key(), "A": array, "M": mask, "X": X})


class Key:
    def __getitem__(self, key):
        return key


def expected_of(key):
    result = X[at(key, np)]
    return result.reshape(1) if result.ndim == 0 else result        # MXNet has one element where NumPy has a scalar


@pytest.mark.parametrize("key", KEYS)
def test_get(key):
    result = nd.array(X)[at(key, nd)]
    np.testing.assert_array_equal(result.asnumpy(), expected_of(key), strict=True)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", ["number", "full", "row"])
def test_set(key, kind):
    shape = X[at(key, np)].shape
    value = 7. if kind == "number" else np.arange(100., 100 + np.prod(shape, dtype=int)).reshape(shape)
    if kind == "row":
        value = value.reshape(-1)[:shape[-1]].reshape(shape[-1:]) if value.size and shape else 3.
    y = X.copy()
    y[at(key, np)] = value
    for given_value in (value, nd.array(value) if kind != "number" else np.float32(value)):
        x = nd.array(X)
        x[at(key, nd)] = given_value
        np.testing.assert_array_equal(x.asnumpy(), y)


@pytest.mark.parametrize("key", KEYS)
def test_gradient(key):
    if 0 in expected_of(key).shape:
        pytest.skip("no element is taken")
    weight = np.arange(1., 1 + expected_of(key).size).reshape(expected_of(key).shape)
    gradient = np.zeros(SHAPE)
    np.add.at(gradient, at(key, np), weight.reshape(X[at(key, np)].shape))
    x = nd.array(X)
    x.attach_grad()
    with autograd.record():
        y = x[at(key, nd)] * nd.array(weight)
    y.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), gradient)


@pytest.mark.parametrize("key", ["0", "0,1", "0,1:3", ":1,1:2", "...", "None", "()", "0,1,2", ":,:,None", "0:2:1"])
def test_runs_are_views(key):
    x = nd.zeros(SHAPE)
    y = x[at(key, nd)]
    y[:] = 1
    assert y.shares_memory(x) and x.asnumpy().sum() == y.size


@pytest.mark.parametrize("key", ["0:2,1", "[0]", ":,::2", "::-1"])
def test_other_results_are_copies(key):
    assert not nd.zeros(SHAPE)[at(key, nd)].shares_memory(nd.zeros(SHAPE))


def test_float_indices_are_those_of_mxnet():
    x = nd.array(X)
    np.testing.assert_array_equal(x[nd.array([1, 0.7])].asnumpy(), X[[1, 0]])
    np.testing.assert_array_equal(x[:, nd.array([2, -1])].asnumpy(), X[:, [2, -1]])


@pytest.mark.parametrize(("key", "message"), [
    ("2", "index 2 is out of bounds for axis 0 of size 2"), ("0,-4", "index -4 .* axis 1 of size 3"),
    ("[0,2]", "index 2 .* axis 0"), (":,[5]", "index 5 .* axis 1"), ("0,0,0,0", r"4 indices, but the array has 3 axes"),
    ("...,...", "one ellipsis"), ("[0,1],[0,1,2]", "do not broadcast"), ("M([True])", r"mask of shape \(1,\)"),
    ("'a'", "cannot be indexed with 'a'"), ("1.5", "1.5 of type float"), ("::0", "step"), ("1.0:2", "integers"),
    ("[[0],[1,2]]", "differ in length")])
def test_wrong_keys(key, message):
    for use in (lambda x: x[at(key, nd)], lambda x: x.__setitem__(at(key, nd), 1)):
        with pytest.raises(MXNetError, match=message):
            use(nd.array(X))


@pytest.mark.parametrize(("key", "error"), [("2", IndexError), ("'a'", ValueError), ("1.0:2", TypeError)])
def test_errors_are_also_pythons(key, error):
    with pytest.raises(error):
        nd.array(X)[at(key, nd)]


@pytest.mark.parametrize("use", [lambda x, i: x[i], lambda x, i: x.__setitem__(i, 1)])
def test_a_wrong_index_in_an_ndarray_shows_at_the_wait(use):
    with pytest.raises(MXNetError, match="index"):
        x = nd.arange(6)
        y = use(x, nd.array([10]))
        (x if y is None else y).asnumpy()


@pytest.mark.parametrize(("key", "value", "message"), [
    (":", np.ones((2, 2)), r"shape \(2, 2\) cannot be broadcast to \(2, 3, 4\)"),
    ("0", np.ones((2, 3, 4)), "broadcast"),
    (":,-1", nd.array([[1], [2], [3]]), "broadcast"), ("[0,1],[0,1]", np.ones((3, 4)), "broadcast"),
    ("0", "x", "cannot be assigned from"), ("0:0", np.ones(7), "broadcast")])
def test_wrong_values(key, value, message):
    with pytest.raises(MXNetError, match=message):
        nd.array(X)[at(key, nd)] = value


@pytest.mark.parametrize(("dtype", "value", "expected"), [
    ("int32", 1.7, 1), ("int32", np.array([-2.2]), -2), ("int32", [-2.2], -2), ("uint8", 300, 44), ("float16", 1, 1),
    ("bool", 3, True), ("float64", 1e300, 1e300), ("float32", None, np.nan), ("int64", np.int64(7), 7)])
def test_values_are_converted(dtype, value, expected):
    for key in ("...", "0", "0,1", ":,1", "[0,1],[0,1]"):
        x = nd.zeros((2, 3), dtype=dtype)
        x[at(key, nd)] = value
        np.testing.assert_array_equal(x[at(key, nd)].asnumpy(), np.broadcast_to(expected, x[at(key, nd)].shape))


def test_values_from_the_array_itself():
    x = nd.arange(6)
    x[1:] = x[:-1]
    np.testing.assert_array_equal(x.asnumpy(), [0, 0, 1, 2, 3, 4])
    x[::-1] = x
    np.testing.assert_array_equal(x.asnumpy(), [4, 3, 2, 1, 0, 0])


def test_recorded_arrays_cannot_be_assigned_to():
    x = nd.ones((2, 3))
    x.attach_grad()
    with autograd.record():
        y = x * 2
        for array in (x, y):
            for key in ("0", ":", "0,1", ":,1", "[0,1],[0,1]"):
                with pytest.raises(MXNetError, match="record"):
                    array[at(key, nd)] = 1
    y[0] = 1
    x[:] = 3
    assert x.asnumpy().sum() == 18


@pytest.mark.parametrize("key", ["0", ":", ":,1", "1,::2", "[0,1],[0,1]"])
def test_assignment_of_a_recorded_value_passes_gradients(key):
    v = nd.ones(np.zeros((3, 4))[at(key, np)].shape)
    v.attach_grad()
    with autograd.record():
        x = nd.zeros((3, 4))
        x[at(key, nd)] = v * 3
        y = (x * nd.array(X[0])).sum()
    y.backward()
    np.testing.assert_array_equal(v.grad.asnumpy(), 3 * X[0][at(key, np)])


def test_arrays_without_axes_or_elements():
    assert nd.array(3.)[()].shape == nd.array(3.)[...].shape == ()
    assert nd.array(3.)[None].shape == (1,)
    with pytest.raises(IndexError):
        nd.array(3.)[0]
    x = nd.zeros((0, 3))
    x[:] = 1
    assert x[:, 1].shape == (0,) and x[[]].shape == (0, 3)


@st.composite
def keys(draw):
    """A random key, as a function of the array constructor for indices."""
    size = draw(st.integers(1, 3))
    parts, with_ellipsis = [], draw(st.booleans())
    lists = draw(st.sampled_from([1, 2, 3]))
    for n in SHAPE[:size]:
        part = draw(st.one_of(
            st.integers(-n, n - 1), st.slices(n), st.lists(st.integers(-n, n - 1), min_size=lists, max_size=lists)))
        parts.append(part)
    for _ in range(draw(st.integers(0, 2))):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if with_ellipsis and len(parts) == size:
        parts.append(Ellipsis)
    return tuple(parts), draw(st.booleans())


@settings(max_examples=300, deadline=None)
@given(keys())
def test_random_keys(drawn):
    key, device = drawn
    ours = tuple(nd.array(k, dtype="int32") if device and isinstance(k, list) else k for k in key)
    expected = X[key]
    x = nd.array(X)
    np.testing.assert_array_equal(x[ours].asnumpy(), expected.reshape(expected.shape or 1), strict=True)
    y, value = X.copy(), -1 - np.arange(expected.size, dtype="float32").reshape(expected.shape)
    y[key] = value
    x[ours] = value
    if any(isinstance(k, list) for k in key):       # the order of writes to one place is not defined
        assert set(np.unique(x.asnumpy())) <= set(np.unique(value)) | set(np.unique(X))
        np.testing.assert_array_equal(x.asnumpy() < 0, y < 0)
    else:
        np.testing.assert_array_equal(x.asnumpy(), y)


def test_indices_on_another_context():
    x = nd.array(X, ctx=mx.cpu(1))
    assert x[[0, 1]].context == x[:, ::2].context == mx.cpu(1)
    x[[0], [1]] = 5
    assert x[0, 1, 0].asscalar() == 5
