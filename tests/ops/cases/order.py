"""sort, argsort, topk."""
import numpy as np

from tests.ops.case import Case, const, distinct, integers, normal

SPECIAL = [[np.nan, 1, -np.inf, 0, np.inf, -2.5, np.nan]]
DTYPES = ("int8", "uint8", "int32", "int64", "float32", "float64")


def argsort(x, axis=-1, is_ascend=True, dtype="float32"):
    if axis is None:
        x, axis = x.ravel(), 0
    if is_ascend:
        return np.argsort(x, axis, kind="stable").astype(dtype)
    last = np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)         # descending, and still stable
    return (x.shape[axis] - 1 - last).astype(dtype)


def sort(x, axis=-1, is_ascend=True):
    at = argsort(x, axis, is_ascend, int)
    return x.ravel()[at] if axis is None else np.take_along_axis(x, at, axis)


def topk(x, axis=-1, k=1, ret_typ="indices", is_ascend=False, dtype="float32"):
    at = argsort(x, axis, is_ascend, int)
    at = at if k < 1 else np.take(at, range(k), -1 if axis is None else axis)
    value = x.ravel()[at] if axis is None else np.take_along_axis(x, at, axis)
    mask = np.zeros(x.shape, x.dtype)
    if axis is None:
        mask.ravel()[at] = 1
    else:
        np.put_along_axis(mask, at, 1, axis)
    return {"value": value, "indices": at.astype(dtype), "both": (value, at.astype(dtype)), "mask": mask}[ret_typ]


def put_along(x, at, shape, axis=-1):
    out = np.zeros(shape)
    np.put_along_axis(out, at.astype(int), x, axis)
    return out


CASES = [
    *[Case("sort", [distinct(3, 40, 5)], dict(axis=axis, is_ascend=is_ascend), sort)
      for axis in (0, 1, -1, None) for is_ascend in (True, False)],
    *[Case("argsort", [distinct(3, 40, 5)], dict(axis=axis, is_ascend=is_ascend), argsort, grad=False)
      for axis in (0, 1, -1, None) for is_ascend in (True, False)],
    *[Case(name, [integers(0, 9, *shape, dtype=dtype)], dict(is_ascend=is_ascend), oracle, grad=False, dtypes=("float32",),
           id=f"ties,{dtype},{shape},{is_ascend}")
      for name, oracle in [("sort", sort), ("argsort", argsort)] for dtype in DTYPES for shape in [(20, 7), (3, 500)]
      for is_ascend in (True, False)],
    *[Case("sort", [normal(3, n)], {}, sort, grad=False, dtypes=("float32", "float64"), id=str(n))
      for n in (1, 2, 33, 257, 70000)],
    *[Case(name, [const(SPECIAL)], dict(is_ascend=is_ascend), oracle, grad=False, id=f"special,{is_ascend}")
      for name, oracle in [("sort", sort), ("argsort", argsort)] for is_ascend in (True, False)],
    *[Case("argsort", [normal(3, 20)], dict(dtype=dtype), argsort, grad=False, dtypes=("float32",)) for dtype in DTYPES[1:]],
    *[Case("topk", [distinct(3, 40, 5)], dict(axis=axis, k=2, ret_typ=ret_typ), topk)
      for axis in (0, 1, -1, None) for ret_typ in ("value", "both")],
    *[Case("topk", [distinct(3, 40, 5)], dict(axis=axis, k=2, ret_typ=ret_typ, is_ascend=True), topk, grad=False)
      for axis in (0, 1, -1, None) for ret_typ in ("indices", "mask")],
    *[Case("topk", [distinct(3, 300)], dict(k=k, ret_typ="both", is_ascend=is_ascend, dtype="int32"), topk)
      for k in (0, 1, 5, 32, 33, 300) for is_ascend in (True, False)],
    *[Case("topk", [integers(0, 9, 4, 100, dtype=dtype)], dict(k=k), topk, grad=False, dtypes=("float32",),
           id=f"ties,{dtype},{k}") for dtype in DTYPES for k in (3, 30)],
    # rows that a GPU does not sort in one piece
    *[Case(name, [integers(0, 90, 2, 5000, dtype=dtype)], dict(is_ascend=False, **params), oracle, grad=False,
           dtypes=("float32", "float16") if dtype == "float32" else ("float32",), id=f"long,{dtype},{params}")
      for dtype in DTYPES for name, oracle, params in [("sort", sort, {}), ("argsort", argsort, {}),
                                                       ("topk", topk, dict(k=40, ret_typ="both", dtype="int32"))]],
    Case("_take_along", [normal(3, 6), const([[1, 2], [5, 0], [3, 4]], "int64")], {},
         lambda x, at: np.take_along_axis(x, at, -1)),
    Case("_backward_topk", [normal(3, 2), const([[1, 2], [5, 0], [3, 4]], "int64")], dict(shape=(3, 6)), put_along),
]
