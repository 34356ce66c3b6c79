"""Random operators run here; their distributions are tested in ``tests/ops/test_random.py``."""
import numpy as np

from tests.ops.case import Case, const, distinct, normal, positive, uniform

ONE = {
    "uniform": dict(low=-1, high=3), "normal": dict(loc=1, scale=2), "exponential": dict(lam=2), "poisson": dict(lam=3),
    "gamma": dict(alpha=.5, beta=2), "negative_binomial": dict(k=3, p=.4),
    "generalized_negative_binomial": dict(mu=2, alpha=.5),
}
TWO = ("uniform", "normal", "gamma", "negative_binomial", "generalized_negative_binomial")
ROWS = np.array([[.1, .2, .7], [.5, .5, 0]])

CASES = [
    *[Case(f"_random_{name}", [], dict(params, shape=(3, 5), dtype=dtype), None, grad=False, dtypes=("float32",))
      for name, params in ONE.items() for dtype in ("float16", "float32", "float64")],
    *[Case(f"_random_{name}_like", [normal(3, 5)], params, None, grad=False) for name, params in ONE.items()],
    *[Case(f"_sample_{name}", [uniform(.1, .9, 4)] * (1 + (name in TWO)), dict(shape=(2, 3)), None, grad=False)
      for name in ONE],
    Case("_random_randint", [], dict(low=-2, high=5, shape=(4,), dtype="int64"), None, grad=False, dtypes=("float32",)),
    Case("_sample_multinomial", [const(ROWS)], dict(shape=(2, 2)), None, grad=False),
    Case("_sample_multinomial", [positive(2, 3)], dict(get_prob=True, shape=2), None, grad=True),
    Case("_sample_multinomial", [positive(3)], dict(get_prob=True), None, grad=True),
    Case("_sample_unique_zipfian", [], dict(range_max=50, shape=(2, 20)), None, grad=False, dtypes=("float32",)),
    Case("_shuffle", [distinct(5, 2)], {}, None, grad=False),
    *[Case("Dropout", [normal(4, 5, 3)], dict(p=.4, axes=axes), None, train=True) for axes in ((), (1,), (0, 2))],
    Case("Dropout", [normal(4, 5)], dict(p=.4), lambda x, p: x),
    Case("Dropout", [normal(4, 5)], dict(p=.4, mode="always"), None),
]
