"""Running sums."""
import numpy as np

from tests.ops.case import Case, integers, normal


def cumsum(a, axis=None, dtype=None):
    return np.cumsum(a, axis, dtype or (a.dtype if a.dtype.kind in "iu" else None))


def from_either_end(a, axis=None, reverse=False):
    if axis is None:
        a, axis = a.ravel(), 0
    return np.flip(np.cumsum(np.flip(a, axis), axis), axis) if reverse else np.cumsum(a, axis)


CASES = [
    *[Case("_np_cumsum", [normal(3, 4, 5)], dict(axis=axis), cumsum) for axis in (None, 0, 1, -1)],
    *[Case("_np_cumsum", [integers(-9, 9, 3, 40, dtype=dtype)], dict(axis=axis), cumsum, grad=False, dtypes=("float32",),
           id=f"{dtype},{axis}") for dtype in ("int8", "int32", "int64") for axis in (0, 1)],
    Case("_np_cumsum", [normal(3, 4)], dict(axis=1, dtype="float64"), cumsum, grad=False, dtypes=("float32",)),
    *[Case("_cumsum", [normal(3, 4, 5)], dict(axis=axis, reverse=True), from_either_end) for axis in (None, 0, 1, -1)],
]
