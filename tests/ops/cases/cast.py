"""Conversions between dtypes."""
import itertools

import numpy as np

from tests.ops.case import Case, booleans, const, integers, normal

NAMES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64", "bool")


def cast(x, dtype):
    return x.astype(dtype)


CASES = [
    *(Case("Cast", [integers(0, 100, 1001, dtype=a)], dict(dtype=b), lambda x, dtype: x.astype(float) if dtype != "bool"
           else x != 0, grad=False, dtypes=("float32",), id=f"{a},{b}")
      for a, b in itertools.product(NAMES, NAMES) if "bool" not in a),
    *(Case("Cast", [booleans(7)], dict(dtype=b), lambda x, dtype: x, grad=False, dtypes=("float32",), id=f"bool,{b}")
      for b in NAMES),
    Case("Cast", [normal(3, 4)], dict(dtype="float64"), cast),
    Case("Cast", [const([1.7, -1.7, 300., np.nan])], dict(dtype="uint8"), lambda x, dtype: np.array([1, 255, 44, 0]),
         grad=False, id="wraps"),
    Case("Cast", [const([1.7, -1.7, 0., np.nan])], dict(dtype="bool"), lambda x, dtype: x != 0, grad=False),
    Case("Cast", [const([1e-8, 65519., 1 + 2**-11, 1 + 3 * 2**-11, -np.inf, np.nan], "float32")], dict(dtype="float16"),
         lambda x, dtype: x.astype("float16"), grad=False, dtypes=("float32",), id="rounds"),
    Case("amp_cast", [normal(3, 4)], dict(dtype="float64"), cast),
    Case("amp_cast", [integers(0, 9, 4)], dict(dtype="float16"), lambda x, dtype: x, grad=False, dtypes=("float32",)),
    Case("amp_multicast", [normal(3, 4), normal(2), integers(0, 3, 2)], dict(num_outputs=3),
         lambda *xs, num_outputs: xs, grad=(0, 1)),
]
