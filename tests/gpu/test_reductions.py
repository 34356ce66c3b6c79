"""Reductions, normalisations and running sums on GPUs at sizes that the operators' own tests do not reach: several
blocks share a result, rows are longer than a block holds, data are not aligned."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.imperative._function import F

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
DTYPES = ("float32", "float16", "int8")
TOLERANCE = {"float32": 1e-5, "float16": 4e-3, "float64": 1e-12}


def assert_both(compute, *arrays, dtype="float32", tolerance=None):
    """The first GPU computes what the CPU does, but for a part ``tolerance`` of the largest number."""
    results = []
    for device in (mx.cpu(), mx.gpu(0)):
        out = compute(*[nd.array(x, ctx=device, dtype=dtype) for x in arrays])
        results.append([x.asnumpy() for x in (out if isinstance(out, (list, tuple)) else [out])])
    tolerance = TOLERANCE.get(dtype, 0) if tolerance is None else tolerance
    for here, there in zip(*results, strict=True):
        largest = np.abs(np.nan_to_num(here.astype("float64"))).max()
        np.testing.assert_allclose(there.astype("float64"), here.astype("float64"), 0, tolerance * max(largest, 1))


def numbers(shape, dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(-5, 6, shape) if dtype.startswith("int") else rng.normal(size=shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axis", [
    ((100, 1000), None), ((5000, 12), 0), ((6, 3, 49), (0, 2)), ((3, 4, 5, 6, 7), (1, 3)), ((2, 20000), 1),
    ((20000, 3), 0), ((2, 9000, 2), 1), ((7, 1), 1)], ids=str)
def test_reductions(shape, axis, dtype):
    x = numbers(shape, dtype)
    assert_both(lambda x: F.sum(x, axis=axis), x, dtype=dtype)
    assert_both(lambda x: F.max(x, axis=axis), x, dtype=dtype, tolerance=0)
    if axis is None or isinstance(axis, int):
        assert_both(lambda x: F.argmin(x, axis=axis), x, dtype=dtype, tolerance=0)


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_data_that_are_not_aligned(dtype):
    x = numbers(8 * 64 + 1, dtype)
    assert_both(lambda x: F.sum(x[1:].reshape((8, 64)), axis=1), x, dtype=dtype)
    assert_both(lambda x: F.sum(x[1:].reshape((8, 64)), axis=0), x, dtype=dtype)
    assert_both(lambda x: F.softmax(x[1:].reshape((8, 64))), x, dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES[:2])
@pytest.mark.parametrize("shape, axis", [((3, 600), 1), ((2, 5001), 1), ((2, 20000), 1), ((2, 300, 5), 1), ((40, 7), 0)],
                         ids=str)
def test_softmax(shape, axis, dtype):
    x = numbers(shape)
    for name in ("softmax", "log_softmax"):
        assert_both(lambda x, name=name: getattr(F, name)(x, axis=axis), x, dtype=dtype)
        assert_both(lambda g, y, name=name: getattr(F, f"_backward_{name}")(g, y, axis=axis), x, -np.abs(x), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES[:2])
def test_softmax_of_infinities(dtype):
    """Long rows keep the largest value as they read: it may be infinite for long."""
    x = np.full((3, 20001), -np.inf)
    x[0, 20000], x[1, 5] = 1, np.nan
    assert_both(lambda x: F.softmax(x), x, dtype=dtype)


def gradients(name, x, g, *weights, **params):
    """Outputs and gradients of a normalisation."""
    x.attach_grad()
    for weight in weights[:2]:
        weight.attach_grad()
    with autograd.record():
        out = getattr(F, name)(x, *weights, **params)
    autograd.backward([out], [g])
    return [out, x.grad, *[weight.grad for weight in weights[:2]], *weights[2:]]


@pytest.mark.parametrize("name, shape, weights, params", [
    ("BatchNorm", (4, 6, 7, 9), 6, dict(fix_gamma=False)), ("BatchNorm", (2, 3, 90, 100), 3, dict(fix_gamma=False)),
    ("BatchNorm", (3000, 20), 20, dict(fix_gamma=False)), ("BatchNorm", (9, 5, 64), 64, dict(axis=2)),
    ("LayerNorm", (50, 96), 96, {}), ("LayerNorm", (3000, 16), 16, {}), ("LayerNorm", (2, 9000), 9000, {}),
    ("LayerNorm", (2, 37, 64), 37, dict(axis=1)), ("GroupNorm", (3, 8, 5, 6), 4, dict(num_groups=4)),
    ("InstanceNorm", (2, 3, 64, 65), 3, {})], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normalisations(name, shape, weights, params, dtype):
    """Data far from zero: no digits are lost in their variance."""
    scales = [np.abs(numbers(weights, seed=seed)) + .5 for seed in range(4 if name == "BatchNorm" else 2)]
    assert_both(lambda *arrays: gradients(name, *arrays, **params), numbers(shape) * 3 + 16, numbers(shape, seed=1),
                *scales, dtype=dtype, tolerance=1e-5 if dtype == "float32" else None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape, axis", [((3, 400), 1), ((40, 7), 1), ((20000,), None), ((700, 3), 0), ((2, 500, 6), 1)],
                         ids=str)
def test_running_sums(shape, axis, dtype):
    for reverse in (False, True):
        assert_both(lambda x, reverse=reverse: F._cumsum(x, axis=axis, reverse=reverse), numbers(shape, dtype),
                    dtype=dtype)
