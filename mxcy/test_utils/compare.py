"""Comparison of arrays."""
import numpy as np

from mxcy.base import MXNetTypeError
from mxcy.dtype import dtype_name
from mxcy.nd import NDArray

__all__ = ["default_rtols", "default_atols", "get_rtol", "get_atol", "get_etol", "get_tolerance", "get_tols", "same",
           "same_array", "almost_equal", "assert_almost_equal", "assert_allclose", "assert_almost_equal_ignore_nan",
           "assert_almost_equal_with_err", "compare_ndarray_tuple", "effective_dtype"]

_DTYPES = ("float16", "float32", "float64", "bool", "int8", "uint8", "int32", "int64")
_RTOL = {"float16": 1e-2, "bfloat16": 4e-2, "float32": 1e-4, "float64": 1e-5}
_ATOL = {"float16": 1e-1, "bfloat16": 1e-1, "float32": 1e-3, "float64": 1e-20}


def default_rtols():
    """Relative tolerance by dtype: 0 for integers and bool."""
    return {np.dtype(n): _RTOL.get(n, 0) for n in _DTYPES}


def default_atols():
    """Absolute tolerance by dtype: 0 for integers and bool."""
    return {np.dtype(n): _ATOL.get(n, 0) for n in _DTYPES}


def effective_dtype(dat):
    """The dtype whose tolerance applies to ``dat``, an array or a number (float64)."""
    return np.dtype(dat.dtype) if hasattr(dat, "dtype") else np.dtype("float64")


def get_tolerance(dat, tol, default_tol):
    """``tol`` if it is a number; else what the dict ``tol``, or ``default_tol``, says for the dtype of ``dat``."""
    if tol is not None and not isinstance(tol, dict):
        return tol
    table = default_tol if tol is None else tol
    return table.get(effective_dtype(dat), table.get(dtype_name(effective_dtype(dat)), 0))


def get_tols(x, y, rtol, atol):
    """(rtol, atol) for comparing ``x`` and ``y``: the larger of both dtypes, unless given."""
    return (max(get_tolerance(value, rtol, default_rtols()) for value in (x, y)),
            max(get_tolerance(value, atol, default_atols()) for value in (x, y)))


def get_rtol(rtol=None, dtype="float64"):
    """``rtol``, or the default for ``dtype``."""
    return default_rtols()[np.dtype(dtype)] if rtol is None else rtol


def get_atol(atol=None, dtype="float64"):
    """``atol``, or the default for ``dtype``."""
    return default_atols()[np.dtype(dtype)] if atol is None else atol


def get_etol(etol=None):
    """``etol``, or 0: the share of values that may be wrong."""
    return 0 if etol is None else etol


def _numpy(a):
    return a.asnumpy() if isinstance(a, NDArray) else np.asarray(a)


def same(a, b):
    """Whether two arrays are equal in shape and values."""
    return np.array_equal(_numpy(a), _numpy(b))


def same_array(array1, array2):
    """Whether two NDArrays share memory."""
    array1[:] += 1
    if not same(array1, array2):
        array1[:] -= 1
        return False
    array1[:] -= 1
    return same(array1, array2)


def almost_equal(a, b, rtol=None, atol=None, equal_nan=False, use_broadcast=True):
    """Whether ``|a - b| <= atol + rtol * |b|`` everywhere; tolerances by default follow the dtypes.

    Parameters
    ----------
    a, b : NDArray or array-like
    rtol, atol : float or dict, optional
    equal_nan : bool
        Whether NaN equals NaN.
    use_broadcast : bool
        Whether shapes may differ as far as they broadcast.

    Returns
    -------
    bool
    """
    rtol, atol = get_tols(a, b, rtol, atol)
    a, b = _numpy(a), _numpy(b)
    if not use_broadcast and a.shape != b.shape:
        return False
    return bool(np.allclose(_wide(a), _wide(b), rtol, atol, equal_nan))


def _wide(a):
    """``a`` in float64 unless it holds integers: tolerances are smaller than the steps of narrow types."""
    return a if a.dtype.kind in "biu" else a.astype("float64")


def assert_almost_equal(a, b, rtol=None, atol=None, names=("a", "b"), equal_nan=False, use_broadcast=True,
                        mismatches=(10, 10)):
    """Raise ``AssertionError`` unless `almost_equal`; the message lists the worst values.

    Parameters
    ----------
    a, b : NDArray or array-like
    rtol, atol : float or dict, optional
        By default they follow the dtypes.
    names : pair of str
        For the message.
    equal_nan : bool
        Whether NaN equals NaN.
    use_broadcast : bool
        Whether shapes may differ as far as they broadcast.
    mismatches : pair of int
        The second says how many values are listed.
    """
    if almost_equal(a, b, rtol, atol, equal_nan, use_broadcast):
        return
    rtol, atol = get_tols(a, b, rtol, atol)
    raise AssertionError(_mismatch(_numpy(a), _numpy(b), rtol, atol, names, equal_nan, mismatches[1]))


def _mismatch(a, b, rtol, atol, names, equal_nan, most):
    """The message for arrays that differ."""
    if a.shape != b.shape:
        return f"{names[0]} has shape {a.shape}, {names[1]} has {b.shape}"
    a64, b64 = _wide(a), _wide(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(a64 - b64) / (atol + rtol * np.abs(b64) + 1e-20)
    wrong = ~np.isclose(a64, b64, rtol, atol, equal_nan)
    error = np.where(wrong, np.nan_to_num(error, nan=np.inf, posinf=np.inf), -1)
    worst = np.argsort(-error, axis=None)[:min(most, int(wrong.sum()))]
    lines = [f"{names[0]} and {names[1]} differ in {wrong.sum()} of {wrong.size} values ({wrong.mean():.2%}), "
             f"rtol={rtol:g}, atol={atol:g}:"]
    for flat in worst:
        at = tuple(map(int, np.unravel_index(flat, a.shape)))
        lines.append(f"  at {at}: {names[0]}={a[at]:.8g}, {names[1]}={b[at]:.8g}, error {error[at]:.6g} tolerances")
    return "\n".join(lines)


def assert_allclose(a, b, rtol=1e-07, atol=0, equal_nan=True):
    """`assert_almost_equal` with the tolerances of numpy.testing.assert_allclose."""
    assert_almost_equal(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


def assert_almost_equal_ignore_nan(a, b, rtol=None, atol=None, names=("a", "b")):
    """`assert_almost_equal` where neither is NaN."""
    a, b = _numpy(a), _numpy(b)
    nan = np.isnan(a) | np.isnan(b)
    assert_almost_equal(np.where(nan, 0, a).astype(a.dtype), np.where(nan, 0, b).astype(b.dtype), rtol, atol, names)


def assert_almost_equal_with_err(a, b, rtol=None, atol=None, etol=None, names=("a", "b"), equal_nan=False,
                                 mismatches=(10, 10)):
    """`assert_almost_equal`, but a share ``etol`` of the values may be wrong."""
    rtol, atol = get_tols(a, b, rtol, atol)
    x, y = _wide(_numpy(a)), _wide(_numpy(b))
    if np.mean(~np.isclose(x, y, rtol, atol, equal_nan)) > get_etol(etol):
        raise AssertionError(_mismatch(_numpy(a), _numpy(b), rtol, atol, names, equal_nan, mismatches[1]))


def compare_ndarray_tuple(t1, t2, rtol=None, atol=None):
    """`assert_almost_equal` for nested tuples of arrays, such as optimizer states; None equals None."""
    if t1 is None or t2 is None:
        if t1 is not t2:
            raise AssertionError(f"one is None: {t1!r}, {t2!r}")
    elif isinstance(t1, tuple):
        for one, other in zip(t1, t2, strict=True):
            compare_ndarray_tuple(one, other, rtol, atol)
    elif isinstance(t1, NDArray):
        assert_almost_equal(t1, t2, rtol, atol)
    else:
        raise MXNetTypeError(f"expected arrays, tuples of them or None, got {type(t1).__name__}")
