"""Reductions."""
import numpy as np

from tests.ops.case import Case, away_from, const, distinct, integers, normal, uniform

FORMS = [dict(), dict(axis=1), dict(axis=-1, keepdims=True), dict(axis=(0, 2)), dict(axis=(0, 2), exclude=True),
         dict(axis=()), dict(axis=(0, 1, 2), keepdims=True)]
SPECIAL = [[np.nan, 1, 2], [1, np.nan, -2], [3, 2, np.nan], [np.nan, np.nan, np.nan]]


def over(function):
    """The NumPy reduction ``function`` with MXNet's parameters."""
    def oracle(x, axis=None, keepdims=False, exclude=False, **_):
        axes = tuple(range(x.ndim)) if axis is None or axis == () else np.atleast_1d(axis) % x.ndim
        if exclude and axis:
            axes = [i for i in range(x.ndim) if i not in axes]
        out = function(x, axis=tuple(int(i) for i in axes), keepdims=keepdims)
        return out if out.ndim else out.reshape(1)
    return oracle


def integral_mean(x, **kwargs):
    return np.trunc(np.mean(x, **kwargs)).astype(x.dtype)


def same_dtype(function):
    def reduce(x, **kwargs):
        return function(x, **kwargs).astype(x.dtype)
    return over(reduce)


def norm(x, ord=2, axis=None, keepdims=False, out_dtype=None):
    if ord == 1:
        return over(lambda x, **kw: np.abs(x).sum(**kw))(x, axis=axis, keepdims=keepdims)
    return over(lambda x, **kw: np.sqrt((x * x).sum(**kw)))(x, axis=axis, keepdims=keepdims)


def position(function):
    def oracle(x, axis=None, keepdims=False):
        out = function(x, axis=axis, keepdims=keepdims).astype(x.dtype)
        return out if out.ndim else out.reshape(1)
    return oracle


def reduce_like(x, like):
    lead = x.ndim - like.ndim
    axes = tuple(i for i in range(x.ndim) if i < lead or like.shape[i - lead] != x.shape[i])
    return x.sum(axes).reshape(like.shape)


CASES = [
    *[Case("sum", [normal(3, 4, 5)], form, over(np.sum)) for form in FORMS],
    *[Case("mean", [normal(3, 4, 5)], form, over(np.mean)) for form in FORMS],
    *[Case("max", [distinct(3, 4, 5)], form, over(np.max)) for form in FORMS],
    *[Case("min", [distinct(3, 4, 5)], form, over(np.min)) for form in FORMS],
    *[Case("prod", [uniform(.8, 1.2, 3, 4, 5)], form, over(np.prod)) for form in FORMS],
    *[Case("nansum", [normal(3, 4, 5)], form, over(np.nansum)) for form in FORMS[:4]],
    *[Case("nanprod", [uniform(.8, 1.2, 3, 4, 5)], form, over(np.nanprod)) for form in FORMS[:4]],
    *[Case("sum", [normal(4, 3, 2, 3, 5)], dict(axis=axis), over(np.sum), grad=False, id=f"5d,axis={axis}")
      for axis in [(0, 2, 4), (1, 3), (0, 3), (1, 4), (0, 1, 3), (2,), 4, (1, 2, 3, 4)]],
    *[Case("sum", [normal(*shape)], dict(axis=axis), over(np.sum), grad=False, dtypes=("float32", "float64"),
           id=f"{shape},axis={axis}")
      for shape, axis in [((700000,), None), ((3, 300000), 1), ((300000, 3), 0), ((1100, 1100), 0), ((1100, 1100), 1),
                          ((700, 9, 200), (0, 2)), ((2, 5000, 100), 1), ((0, 3), 0), ((3, 0), 0), ((1,), 0),
                          ((1, 1), 0), ((40, 5000), 0)]],
    *[Case(name, [const(SPECIAL)], dict(axis=axis), over(function), grad=False, dtypes=("float32", "float64"),
           id=f"nan,axis={axis}")
      for name, function in [("max", np.max), ("min", np.min), ("nansum", np.nansum), ("nanprod", np.nanprod)]
      for axis in (0, 1)],
    *[Case(name, [integers(1, 4, 3, 70, dtype=dtype)], dict(axis=axis), same_dtype(function), grad=False,
           dtypes=("float32",), id=f"{dtype},axis={axis}")
      for name, function in [("sum", np.sum), ("max", np.max), ("min", np.min), ("mean", integral_mean)]
      for dtype in ("int8", "uint8", "int32", "int64") for axis in (0, 1)],
    *[Case("norm", [normal(3, 4, 5)], dict(form, ord=order), norm) for order in (1, 2)
      for form in (dict(), dict(axis=1), dict(axis=(0, 2), keepdims=True))],
    Case("norm", [normal(3, 4)], dict(axis=1, out_dtype="float64"), norm, grad=False, dtypes=("float32", "float64")),
    Case("moments", [normal(3, 4, 5)], dict(axes=(0, 2)),
         lambda x, axes: (x.mean(axes), x.var(axes))),
    Case("moments", [normal(3, 4, 5)], dict(axes=(1,), keepdims=True),
         lambda x, axes, keepdims: (x.mean(axes, keepdims=True), x.var(axes, keepdims=True))),
    *[Case("_reduce_like", [normal(*shape), normal(*like)], {}, reduce_like, grad=(0,), id=f"{shape},{like}")
      for shape, like in [((3, 4, 5), (3, 4, 5)), ((3, 4, 5), (4, 1)), ((3, 4, 5), (1,)), ((3, 1, 5), (3, 1, 1)),
                          ((2, 3, 4, 5), (3, 1, 5))]],
    *[Case(name, [distinct(3, 4, 5)], form, position(function), grad=False)
      for name, function in [("argmax", np.argmax), ("argmin", np.argmin)]
      for form in [dict(), dict(axis=0), dict(axis=1, keepdims=True), dict(axis=-1), dict(keepdims=True)]],
    *[Case(name, [integers(0, 3, *shape, dtype=dtype)], dict(axis=axis), position(function), grad=False,
           dtypes=("float32",), id=f"ties,{dtype},{shape},axis={axis}")
      for name, function in [("argmax", np.argmax), ("argmin", np.argmin)]
      for dtype in ("float32", "float64", "int32", "int64")
      for shape, axis in [((6, 2500), 1), ((30, 700), 0), ((200000,), None)]],
    *[Case(name, [const(SPECIAL)], dict(axis=axis), position(function), grad=False, dtypes=("float32", "float64"),
           id=f"nan,axis={axis}")
      for name, function in [("argmax", np.argmax), ("argmin", np.argmin)] for axis in (0, 1)],
    Case("argmax_channel", [distinct(3, 4, 5)], {}, lambda x: x.argmax(1), grad=False),
    Case("norm", [away_from(0, (2000, 300))], dict(axis=0), norm, grad=False, dtypes=("float32",), id="columns"),
]
