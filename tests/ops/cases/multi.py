"""Cases of mxcy/ops/multi.py."""
import numpy as np

from tests.ops.case import Case, const, normal, positive


def finite(*arrays, **_):
    return np.array([float(all(np.isfinite(x).all() for x in arrays))])


def lars(lrs, w, g, wds, eta, eps):
    w, g = np.sqrt(w), np.sqrt(g)
    return np.where((w > 0) & (g > 0), lrs * eta * w / (g + wds * w + eps), lrs)


def plain(operator, inputs, params, oracle, **options):
    return Case(operator, inputs, params, oracle, grad=False, **options)


CASES = [
    plain("multi_sum_sq", [normal(3, 4), normal(20000), normal(0), normal(1)], {},
          lambda *arrays: np.array([(x * x).sum() for x in arrays]).astype("float32"), dtypes=("float32", "float16")),
    plain("all_finite", [normal(300)], {}, finite),
    plain("all_finite", [const([1, np.nan])], {}, finite, id="nan"),
    plain("multi_all_finite", [normal(300), normal(2, 3)], {"num_arrays": 2}, finite),
    plain("multi_all_finite", [normal(300), const([-np.inf, 0])], {"num_arrays": 2}, finite, id="infinite"),
    plain("multi_lars", [positive(5), positive(5), const([0, 1, 2, 0, 3]), positive(5)], {"eta": .5, "eps": .125}, lars,
          dtypes=("float32",)),
    plain("reset_arrays", [normal(3), normal(2, 0)], {}, lambda *arrays: []),
]
