"""Positions as numbers."""
import numpy as np

from tests.ops.case import Case, const, integers, normal, uniform

DTYPES = ("float32", "float64", "int32", "int64", "uint8")


def index_array(x, axes=None):
    return np.stack(np.indices(x.shape), -1)[..., list(axes) if axes else slice(None)]


def histogram(x, bins=None, bin_cnt=None, range=None):
    counts, edges = np.histogram(x, bins if bin_cnt is None else bin_cnt, range)
    return counts, edges


CASES = [
    *[Case("_ravel_multi_index", [integers(0, 3, 3, 4, 2, dtype=dtype)], dict(shape=(5, 3, 4)),
           lambda x, shape: np.ravel_multi_index(tuple(x.astype(int)), shape).astype(x.dtype), grad=False, dtypes=("float32",),
           id=dtype) for dtype in DTYPES],
    *[Case("_unravel_index", [integers(0, 60, 4, 2, dtype=dtype)], dict(shape=shape),
           lambda x, shape: np.stack(np.unravel_index(x.astype(int), (5, *shape[1:]))).astype(x.dtype), grad=False,
           dtypes=("float32",), id=f"{dtype},{shape}") for dtype in DTYPES for shape in [(5, 3, 4), (-1, 3, 4)]],
    *[Case("_contrib_index_array", [normal(3, 2, 4)], dict(axes=axes), index_array, grad=False) for axes in (None, (1,), (2, 0))],
    Case("_histogram", [uniform(-3, 3, 5, 40)], dict(bin_cnt=8, range=(-2, 2)), histogram, grad=False),
    Case("_histogram", [const([0, 1, 2, 2, 3, 5, -1]), const([0, 1, 2, 3])], {}, histogram, grad=False),
]
