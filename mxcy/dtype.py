"""Data types: MXNet's numbers for them, their names, and NumPy's types."""
import ml_dtypes
import numpy as np

from mxcy.base import MXNetTypeError

__all__ = ["CODES", "NAMES", "NUMPY", "bfloat16", "code", "dtype_name"]

bfloat16 = np.dtype(ml_dtypes.bfloat16)

#: MXNet's type flag by name, as it stands in files (and in ``_types.pxd``).
CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6, "bool": 7,
         "bfloat16": 12}
NAMES = {number: name for name, number in CODES.items()}
#: NumPy's dtype by name.
NUMPY = {name: bfloat16 if name == "bfloat16" else np.dtype(name) for name in CODES}


def dtype_name(dtype):
    """The name of ``dtype``: a name, a NumPy dtype or scalar type, or a Python type.

    >>> dtype_name("float32"), dtype_name(float), dtype_name(np.int8)
    ('float32', 'float64', 'int8')
    """
    if isinstance(dtype, str) and dtype in CODES:
        return dtype
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in CODES:
        raise MXNetTypeError(f"dtype {dtype!r} is not one of {', '.join(CODES)}")
    return name


def code(dtype):
    """MXNet's type flag of ``dtype``, which may be anything that `dtype_name` takes."""
    return CODES[dtype_name(dtype)]
