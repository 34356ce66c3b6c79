"""Random numbers on GPUs are those of the CPU: the same words of Philox, and but for the last bits the same mathematics."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.dtype import NUMPY
from mxcy.imperative._function import F

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
FLOATS = ("float32", "float64", "float16")


def both(compute):
    """What the CPU and the first GPU compute from the same seed, as two lists of NumPy arrays."""
    results = []
    for device in (mx.cpu(), mx.gpu(0)):
        with device:
            mx.random.seed(5)
            out = compute(device)
            results.append([x.asnumpy() for x in (out if isinstance(out, (list, tuple)) else [out])])
    return results


def assert_same(compute):
    for here, there in zip(*both(compute), strict=True):
        np.testing.assert_array_equal(there, here)


def assert_close(compute):
    for here, there in zip(*both(compute), strict=True):
        np.testing.assert_allclose(there, here, 1e-5 if here.dtype == np.float32 else 1e-12, 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["uniform", "normal", "exponential", "gamma", "poisson"])
def test_distributions(name, dtype):
    assert_close(lambda device: getattr(F, f"_random_{name}")(shape=(3, 1001), dtype=dtype))


@pytest.mark.parametrize("params", [dict(k=3, p=.4), dict(mu=3, alpha=.4)], ids=str)
def test_negative_binomial(params):
    name = "_random_negative_binomial" if "k" in params else "_random_generalized_negative_binomial"
    assert_same(lambda device: getattr(F, name)(shape=(300,), **params))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_integers(dtype):
    assert_same(lambda device: F._random_randint(low=-5, high=10**12 if dtype == "int64" else 1000, shape=(3, 333),
                                                 dtype=dtype))


@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_parameters_in_arrays(dtype):
    def sample(device):
        low, high = (nd.array(x, ctx=device, dtype=dtype) for x in ([1, 2, 3], [2, 2, 9]))
        return F._sample_uniform(low, high, shape=(7, 50)), F._sample_gamma(low, high, shape=(20,))
    assert_close(sample)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "float16"])
def test_categories(dtype):
    p = np.random.default_rng(0).uniform(size=(4, 700))
    assert_close(lambda device: F._sample_multinomial(nd.array(p, ctx=device), shape=(50,), get_prob=True, dtype=dtype))


def test_distinct():
    assert_same(lambda device: F._sample_unique_zipfian(range_max=1000, shape=(3, 100)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "bfloat16"])
@pytest.mark.parametrize("shape", [(1,), (2,), (1000,), (333, 3), (50, 16)])
def test_shuffle(shape, dtype):
    x = np.arange(np.prod(shape)).reshape(shape).astype(NUMPY[dtype])
    assert_same(lambda device: F._shuffle(nd.array(x, ctx=device, dtype=dtype)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("params", [dict(p=.3), dict(p=.3, axes=(0,)), dict(p=.5, axes=(1,)), dict(p=.3, mode="always"),
                                    dict(p=1.), dict(p=0.)], ids=str)
@pytest.mark.parametrize("train", [True, False])
def test_dropout(params, dtype, train):
    x = np.random.default_rng(0).normal(size=(33, 50))
    masked = train or "mode" in params

    def drop(device):
        data = nd.array(x, ctx=device, dtype=dtype)
        mask = [1 if axis in params.get("axes", ()) else n for axis, n in enumerate(x.shape)]
        mask = np.random.default_rng(1).integers(0, 2, mask) if masked else np.full(mask, 2)
        with autograd.train_mode() if train else autograd.predict_mode():
            return (F.Dropout(data, **params),
                    F._backward_Dropout(data, nd.array(mask, ctx=device, dtype="uint8"), p=params["p"]))
    assert_same(drop)
