"""Random numbers: their distributions, that they repeat, and that threads do not matter."""
import numpy as np
import pytest
from scipy import stats

import mxcy as mx
from mxcy import autograd

N = 200_000

CONTINUOUS = [
    ("uniform", dict(low=-1, high=3), stats.uniform(-1, 4)), ("normal", dict(loc=1, scale=2), stats.norm(1, 2)),
    ("exponential", dict(scale=.5), stats.expon(scale=.5)), ("gamma", dict(alpha=.3, beta=2), stats.gamma(.3, scale=2)),
    ("gamma", dict(alpha=7, beta=.5), stats.gamma(7, scale=.5)),
]
DISCRETE = [
    ("poisson", dict(lam=.7), stats.poisson(.7)), ("poisson", dict(lam=9.5), stats.poisson(9.5)),
    ("poisson", dict(lam=10.5), stats.poisson(10.5)), ("poisson", dict(lam=200), stats.poisson(200)),
    ("negative_binomial", dict(k=3, p=.4), stats.nbinom(3, .4)),
    ("generalized_negative_binomial", dict(mu=2, alpha=.5), stats.nbinom(2, .5)),
    ("randint", dict(low=-3, high=4), stats.randint(-3, 4)),
]


def draw(name, **params):
    mx.random.seed(7)
    return getattr(mx.random, name)(**params).asnumpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "params", "law"), CONTINUOUS, ids=str)
def test_continuous(name, params, law, dtype):
    x = draw(name, **params, shape=(N,), dtype=dtype)
    assert x.dtype == dtype
    assert stats.kstest(x.astype(np.float64), law.cdf).pvalue > .001
    assert abs(x.mean(dtype="f8") - law.mean()) < 5 * law.std() / np.sqrt(N)


@pytest.mark.parametrize(("name", "params", "law"), DISCRETE, ids=str)
def test_discrete(name, params, law):
    x = draw(name, **params, shape=(N,))
    values, counts = np.unique(x, return_counts=True)
    expected = law.pmf(values) * N
    keep = expected >= 5
    rest = N - expected[keep].sum()
    statistic = ((counts - expected)[keep] ** 2 / expected[keep]).sum() + (counts[~keep].sum() - rest) ** 2 / max(rest, 5)
    assert stats.chi2.sf(statistic, keep.sum()) > .001
    assert abs(x.mean(dtype="f8") - law.mean()) < 5 * law.std() / np.sqrt(N)


def test_no_correlation_between_neighbours_or_calls():
    mx.random.seed(3)
    x, y = (mx.random.normal(shape=(N,)).asnumpy().astype(np.float64) for _ in range(2))
    for lag in (1, 64, 128, 256):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 5 / np.sqrt(N)
        assert abs(np.corrcoef(x[:-lag] ** 2, x[lag:] ** 2)[0, 1]) < 5 / np.sqrt(N)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(N)


@pytest.mark.parametrize("name", ["uniform", "normal", "gamma", "negative_binomial", "generalized_negative_binomial"])
def test_arrays_as_parameters(name):
    a, b = mx.nd.array([.2, .3, .5]), mx.nd.array([.6, .7, .9])
    x = draw(name, **dict(zip({"uniform": ("low", "high"), "normal": ("loc", "scale"), "gamma": ("alpha", "beta"),
                               "negative_binomial": ("k", "p")}.get(name, ("mu", "alpha")), (a, b))), shape=(N // 10,))
    a, b = a.asnumpy(), b.asnumpy()
    mean = {"uniform": (a + b) / 2, "normal": a, "gamma": a * b, "negative_binomial": a * (1 - b) / b}.get(name, a)
    assert x.shape == (3, N // 10)
    np.testing.assert_allclose(x.mean(1), mean, atol=.03)


def test_elements_do_not_depend_on_the_size():
    assert np.array_equal(draw("normal", shape=(100_000,))[:1000], draw("normal", shape=(1000,)))
    assert np.array_equal(draw("gamma", shape=(3000,))[:1000], draw("gamma", shape=(1000,)))


def test_seed_repeats_and_streams_differ():
    first, second = draw("uniform", shape=(10,)), mx.random.uniform(shape=(10,)).asnumpy()
    assert np.array_equal(first, draw("uniform", shape=(10,)))
    assert not np.array_equal(first, second)
    mx.random.seed(8)
    assert not np.array_equal(first, mx.random.uniform(shape=(10,)).asnumpy())


def test_integers_cover_large_ranges():
    x = draw("randint", low=-2 ** 31, high=2 ** 31, shape=(N,)).astype(np.float64)
    assert stats.kstest(x, stats.uniform(-2 ** 31, 2 ** 32).cdf).pvalue > .001
    x = draw("randint", low=0, high=2 ** 62, shape=(N,), dtype="int64").astype(np.float64)
    assert stats.kstest(x, stats.uniform(0, 2 ** 62).cdf).pvalue > .001


def test_multinomial():
    p = np.array([[.1, .2, .7], [.5, .5, 0]])
    mx.random.seed(1)
    x, log_p = mx.random.multinomial(mx.nd.array(p), shape=(N // 10,), get_prob=True)
    x, log_p = x.asnumpy(), log_p.asnumpy()
    counts = np.stack([(x == k).mean(1) for k in range(3)], 1)
    np.testing.assert_allclose(counts, p, atol=.02)
    np.testing.assert_allclose(log_p, np.log(np.take_along_axis(p, x, 1)), rtol=1e-5)


def test_shuffle_is_a_uniform_permutation():
    mx.random.seed(2)
    x = mx.nd.array(np.arange(4))
    seen = {}
    for _ in range(4800):
        key = tuple(mx.random.shuffle(x).asnumpy())
        seen[key] = seen.get(key, 0) + 1
    assert len(seen) == 24
    assert stats.chisquare(list(seen.values())).pvalue > .001


def test_zipfian_is_distinct():
    mx.random.seed(2)
    x, tries = mx.nd._internal._sample_unique_zipfian(range_max=100, shape=(50, 60))
    assert all(len(set(row)) == 60 for row in x.asnumpy())
    assert x.asnumpy().min() == 0
    assert x.asnumpy().max() < 100
    assert (tries.asnumpy() >= 60).all()


@pytest.mark.parametrize("axes", [(), (0,), (1, 2)])
def test_dropout(axes):
    mx.random.seed(4)
    x = mx.nd.ones((40, 50, 60))
    x.attach_grad()
    with autograd.record():
        y = mx.nd.Dropout(x, p=.3, axes=axes)
    y.backward(mx.nd.ones((40, 50, 60)) * 2)
    out = y.asnumpy()
    assert set(np.unique(out).round(5)) <= {0, np.float32(1 / .7).round(5)}
    for axis in axes:
        assert (out == out.take([0], axis)).all()
    kept = (out != 0).mean()
    assert abs(kept - .7) < (.01 if not axes else .15)
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * out)
    assert (mx.nd.Dropout(x, p=.3).asnumpy() == 1).all()
    with autograd.train_mode():
        assert (mx.nd.Dropout(x, p=1.).asnumpy() == 0).all()


@pytest.mark.parametrize("bad", [dict(low=3, high=1), dict(dtype="int32"), dict(shape="x")])
def test_bad_parameters_raise(bad):
    with pytest.raises(mx.MXNetError):
        mx.random.uniform(**bad).asnumpy()


def test_mixed_parameters_raise():
    with pytest.raises(TypeError, match="all numbers or all NDArrays"):
        mx.random.normal(mx.nd.zeros(2), 1.)
