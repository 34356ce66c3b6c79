"""Softmax and its like."""
import numpy as np

from tests.ops.case import Case, const, integers, normal


def masked(x, length, axis):
    """Minus infinity in place of the elements that do not take part."""
    if length is None:
        return x
    place = np.arange(x.shape[axis]).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return np.where(place < np.expand_dims(length, axis), x, -np.inf)


def softmax(x, length=None, axis=-1, temperature=None, sign=1, **_):
    x = masked(sign * x / (temperature or 1), length, axis)
    e = np.exp(x - np.where(np.isfinite(x), x, -np.inf).max(axis, keepdims=True))
    return np.nan_to_num(e / e.sum(axis, keepdims=True))


def softmin(x, length=None, **params):
    return softmax(x, length, sign=-1, **params)


def log_softmax(x, length=None, **params):
    p = softmax(x, length, **params)
    return np.log(np.where(p > 0, p, 1))


def cross_entropy(x, label):
    label = np.clip(label.astype(int), 0, x.shape[1] - 1)
    return -log_softmax(x)[np.arange(len(x)), label].sum(keepdims=True)


FORMS = [dict(), dict(axis=0), dict(axis=1, temperature=2.5), dict(temperature=.5)]
SIZES = [(5, 3), (4, 16), (3, 17), (3, 64), (2, 100), (2, 1000), (2, 9000), (7, 300, 2)]

CASES = [
    *[Case(name, [normal(3, 4, 5)], form, oracle)
      for name, oracle in [("softmax", softmax), ("softmin", softmin), ("log_softmax", log_softmax)] for form in FORMS],
    *[Case(name, [normal(*shape)], dict(axis=1), oracle, grad=False, dtypes=("float32", "float64"), id=str(shape))
      for name, oracle in [("softmax", softmax), ("log_softmax", log_softmax)] for shape in SIZES],
    *[Case(name, [normal(3, 4, 5), integers(1, top, *shape)], dict(axis=axis, use_length=True), oracle)
      for name, oracle in [("softmax", softmax), ("softmin", softmin), ("log_softmax", log_softmax)]
      for axis, top, shape in [(-1, 8, (3, 4)), (1, 5, (3, 5))]],
    Case("softmax", [normal(3, 4)], dict(dtype="float64"), softmax, dtypes=("float32", "float16")),
    Case("softmax", [normal(3, 4)], dict(dtype="float32"), softmax, grad=False),
    Case("softmax", [const([[0, 1, 2], [100, -100, 0], [-np.inf, 0, 0]])], {}, softmax, grad=False, id="extreme"),
    *[Case("SoftmaxActivation", [normal(2, 3, 4)], dict(mode=mode),
           lambda x, mode: softmax(x, axis=1 if mode == "channel" else -1)) for mode in ("instance", "channel")],
    Case("softmax_cross_entropy", [normal(6, 4), integers(-1, 6, 6, dtype=None)], {}, cross_entropy, grad=(0,)),
]
