"""Comparison of arrays with a tolerance that follows the dtype."""
import numpy as np

from mxcy.dtype import dtype_name

__all__ = ["assert_close", "tolerance"]

_RELATIVE = {"float64": 1e-10, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


def tolerance(dtype):
    """How far a result may be off: ``(rtol, atol)``.

    Parameters
    ----------
    dtype : str, numpy.dtype or type
        Of the computation. Integers and bool are exact: ``(0, 0)``.

    Returns
    -------
    rtol : float
        Relative to each expected value.
    atol : float
        Relative to the largest expected magnitude of the array, at least 1: a sum of terms that cancel is only as
        exact as its terms.
    """
    relative = _RELATIVE.get(dtype_name(dtype), 0.)
    return relative, relative / 4


def assert_close(actual, expected, dtype=None, slack=1.):
    """Raise ``AssertionError`` unless ``actual`` has the shape and, within `tolerance`, the values of ``expected``.

    Parameters
    ----------
    actual, expected : NDArray or array_like
        NaN equals NaN, an infinity its like.
    dtype : str, numpy.dtype or type, optional
        Gives the tolerance; by default that of ``actual``.
    slack : float
        Factor on the tolerance, for ill-conditioned computations.

    Examples
    --------
    >>> assert_close(np.float32([1, 2]), [1, 2.00001])
    """
    actual = actual.asnumpy() if hasattr(actual, "asnumpy") else np.asarray(actual)
    expected = expected.asnumpy() if hasattr(expected, "asnumpy") else np.asarray(expected)
    rtol, atol = tolerance(actual.dtype if dtype is None else dtype)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    actual, expected = (x if x.dtype.kind in "biu" else x.astype(np.float64) for x in (actual, expected))
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1., float(finite.max())) if finite.size else 1.
    np.testing.assert_allclose(actual, expected, rtol=rtol * slack, atol=atol * slack * scale)
