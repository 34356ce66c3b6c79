"""Data movement of arrays so large that threads share the work and that results are written around the caches."""
import numpy as np
import pytest

from mxcy import autograd, nd

LARGE = 1 << 22                                 # items of float32: 16 MiB, where streaming begins


def numbers(*shape, dtype="float32"):
    return (np.arange(np.prod(shape)) % 2039).reshape(shape).astype(dtype)


def check(result, expected):
    np.testing.assert_array_equal(result.asnumpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8"])
@pytest.mark.parametrize(("shape", "axes"), [
    ((2048, 2048), (1, 0)), ((2049, 2051), (1, 0)), ((16, 512, 8, 64), (0, 2, 1, 3)), ((16, 512, 8, 63), (0, 2, 1, 3)),
    ((4, 64, 128, 129), (0, 2, 3, 1)), ((4, 128, 129, 64), (0, 3, 1, 2)), ((16, 512, 512, 1), (3, 0, 2, 1)),
    ((32, 33, 34, 5, 24), (4, 2, 0, 3, 1)), ((1 << 20, 4), (1, 0)), ((4, 1 << 20), (1, 0))])
def test_transpose(shape, axes, dtype):
    x = numbers(*shape, dtype=dtype)
    check(nd.transpose(nd.array(x, dtype=dtype), axes=axes), x.transpose(axes))


def test_copies_of_rows():
    x = numbers(1024, 8192)
    a = nd.array(x)
    check(nd.slice(a, begin=(0, 64), end=(None, 4160)), x[:, 64:4160])
    check(nd.slice(a, begin=(None, 3), end=(None, None), step=(-1, 2)), x[::-1, 3::2])
    check(nd.flip(a, axis=1), x[:, ::-1])
    check(nd.concat(a, a, dim=1), np.concatenate([x, x], 1))
    for part, expected in zip(nd.split(a, num_outputs=2), np.split(x, 2, 1)):
        check(part, expected)
    check(nd.reshape(a, shape=(-1,)), x.ravel())


def test_repeats():
    x = numbers(1024, 1025)
    a = nd.array(x)
    check(nd.tile(a, reps=(4, 4)), np.tile(x, (4, 4)))
    check(nd.tile(nd.array(x[:, :1024]), reps=(4, 4)), np.tile(x[:, :1024], (4, 4)))
    check(nd.repeat(a, repeats=5, axis=1), np.repeat(x, 5, 1))
    check(nd.broadcast_to(a.reshape((1024, 1, 1025)), shape=(1024, 5, 1025)),
          np.broadcast_to(x[:, None], (1024, 5, 1025)))
    check(nd.broadcast_to(nd.array(x[:, :1]), shape=(1024, 8192)), np.broadcast_to(x[:, :1], (1024, 8192)))


def test_assignment_over_itself():
    x = numbers(LARGE)
    a = nd.array(x)
    nd._internal._slice_assign(a, a, begin=(None,), end=(None,), step=(-1,), out=a)
    check(a, x[::-1])


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_pad(mode):
    x = numbers(16, 4, 255, 257)
    wide = ((0, 0), (0, 0), (2, 1), (1, 3))
    check(nd.pad(nd.array(x), mode=mode, pad_width=sum(wide, ())), np.pad(x, wide, mode=mode))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("params", [{"num_outputs": 3}, {"num_outputs": 3, "squeeze_axis": True}])
def test_gradient_of_one_part(params, dtype):
    """The other parts of a split have no gradient: theirs is zero."""
    x = nd.ones((2, 3), dtype=dtype)
    x.attach_grad()
    with autograd.record():
        part = nd.split(x, **params)[1] * 3
    part.backward()
    check(x.grad, np.array([[0, 3, 0]] * 2))
