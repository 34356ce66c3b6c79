"""Choice and sums."""
import numpy as np

from tests.ops.case import Case, booleans, const, integers, normal


def where(condition, x, y):
    condition = condition.reshape(condition.shape + (1,) * (x.ndim - condition.ndim))
    return np.where(condition != 0, x, y)


def total(*arrays):
    return sum(arrays)


CASES = [
    *(Case("where", [integers(0, 2, 3, 4, dtype=dtype), normal(3, 4), normal(3, 4)], {}, where, grad=(1, 2),
           id=str(dtype))
      for dtype in ("float32", "float64", "float16", "int32", "uint8", "int64")),
    Case("where", [booleans(3, 4), normal(3, 4), normal(3, 4)], {}, where, id="bool"),
    Case("where", [integers(0, 2, 3), normal(3, 4, 2), normal(3, 4, 2)], {}, where, id="rows"),
    Case("where", [const([-0., np.nan, -1.], "float16"), normal(3), normal(3)], {}, where, grad=(1, 2), id="edges"),
    Case("where", [booleans(5), integers(0, 9, 5, dtype="int8"), integers(0, 9, 5, dtype="int8")], {}, where,
         grad=False, dtypes=("float32",), id="int8"),
    Case("where", [booleans(0, 4), normal(0, 4), normal(0, 4)], {}, where, id="empty"),
    *(Case("add_n", [normal(7, 300)] * n, {}, total, id=str(n)) for n in (1, 2, 5)),
    Case("add_n", [integers(0, 9, 5), integers(0, 9, 5)], {}, total, grad=False, dtypes=("float32",), id="int32"),
]
