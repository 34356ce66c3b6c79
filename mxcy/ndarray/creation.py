"""Functions that make arrays, and those of ``nd`` that join or part them but are no operators."""
import numbers
import warnings

import numpy as np

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.dtype import NUMPY, dtype_name
from mxcy.imperative._function import F
from mxcy.ndarray._ndarray import NDArray, from_numpy_copy, from_numpy_shared, new

__all__ = ["arange", "array", "concatenate", "empty", "eye", "from_numpy", "full", "histogram", "linspace", "moveaxis",
           "onehot_encode", "ones", "split_v2", "zeros"]


def array(source_array, ctx=None, dtype=None):
    """An array with the values of ``source_array``.

    Parameters
    ----------
    source_array : NDArray or array_like
        A number, nested lists, a NumPy array, ...
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype, optional
        By default that of an NDArray, and float32 for everything else, NumPy arrays too.

    Returns
    -------
    NDArray
        A copy.

    Examples
    --------
    >>> nd.array([[1, 2], [3, 4]])
    <BLANKLINE>
    [[1. 2.]
     [3. 4.]]
    <NDArray 2x2 @cpu(0)>
    """
    if isinstance(source_array, NDArray):
        return converted(source_array, dtype or source_array.dtype, ctx)
    wanted = _FLOAT32 if dtype is None else NUMPY[dtype_name(dtype)]
    if type(source_array) is not np.ndarray:
        source_array = numpy_array(source_array, wanted)
    elif source_array.dtype is not wanted:
        source_array = source_array.astype(wanted)
    return from_numpy_copy(source_array, ctx)


_FLOAT32 = np.dtype("float32")


def converted(source, dtype, ctx):
    """A copy of an NDArray in that dtype, on ``ctx`` or where it is."""
    name = dtype_name(dtype)
    if source.dtype_name != name:
        source = F.Cast(source, dtype=name)
        if ctx is None or ctx == source.context:
            return source
    return F._CrossDeviceCopy(source, ctx=str(ctx or source.context), origin=str(source.context))


def numpy_array(source, dtype):
    try:
        return np.array(source, dtype=dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise MXNetTypeError(f"nd.array cannot make an array of {type(source).__name__}: {error}. Expected numbers, "
                             "nested lists of them, or a NumPy array") from None


def filled(operator, shape, ctx, dtype, **params):
    """An array made by an operator without inputs."""
    return operator(shape=shape, ctx="" if ctx is None else str(ctx), dtype=dtype or "float32", **params)


def empty(shape, ctx=None, dtype=None):
    """An array whose values are undefined.

    Parameters
    ----------
    shape : int or tuple of int
        Sizes of the axes.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype, optional
        By default float32.

    Returns
    -------
    NDArray
    """
    return new(shape, dtype or "float32", ctx)


def zeros(shape, ctx=None, dtype=None, out=None):
    """An array of zeros.

    Parameters
    ----------
    shape : int or tuple of int
        Sizes of the axes.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype, optional
        By default float32.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
    """
    return filled(F._zeros, shape, ctx, dtype, out=out)


def ones(shape, ctx=None, dtype=None, out=None):
    """An array of ones.

    Parameters
    ----------
    shape : int or tuple of int
        Sizes of the axes.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype, optional
        By default float32.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
    """
    return filled(F._ones, shape, ctx, dtype, out=out)


def full(shape, val, ctx=None, dtype="float32", out=None):
    """An array filled with a value.

    Parameters
    ----------
    shape : int or tuple of int
        Sizes of the axes.
    val : number or array_like
        An array is broadcast to ``shape``.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype
        Of the result.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
    """
    if out is None:
        out = new(shape, dtype, ctx)
    out[:] = val
    return out


def arange(start, stop=None, step=1.0, repeat=1, infer_range=None, ctx=None, dtype="float32"):
    """Evenly spaced values in [start, stop).

    Parameters
    ----------
    start : float
        The first value; with ``start`` alone the values are those from 0 up to it.
    stop : float, optional
        The end, excluded.
    step : float
        Distance of neighbours; may be negative.
    repeat : int
        How many times each value stands in the result, one after another.
    infer_range : None
        Ignored; MXNet deprecated it.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype
        Of the result.

    Returns
    -------
    NDArray

    Examples
    --------
    >>> nd.arange(2, 6, step=2, repeat=2)
    <BLANKLINE>
    [2. 2. 4. 4.]
    <NDArray 4 @cpu(0)>
    """
    if infer_range is not None:
        warnings.warn("arange: infer_range has no effect", DeprecationWarning, stacklevel=2)
    return F._arange(start=start, stop=stop, step=step, repeat=repeat, dtype=dtype, ctx="" if ctx is None else str(ctx))


def linspace(start, stop, num, endpoint=True, ctx=None, dtype="float32"):
    """``num`` evenly spaced values from ``start`` to ``stop``.

    Parameters
    ----------
    start, stop : float
        The ends.
    num : int
        How many values, >= 0.
    endpoint : bool
        Whether ``stop`` is the last value; otherwise it would be the next.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype
        Of the result.

    Returns
    -------
    NDArray
    """
    return F._linspace(start=start, stop=stop, num=num, endpoint=endpoint, dtype=dtype,
                       ctx="" if ctx is None else str(ctx))


def eye(N, M=0, k=0, ctx=None, dtype=None, out=None):
    """A matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    N : int
        Number of rows.
    M : int
        Number of columns; 0 means ``N``.
    k : int
        Which diagonal: 0 the main one, positive above it, negative below.
    ctx : Context, optional
        Where to make it; by default `current_context`.
    dtype : str or numpy.dtype, optional
        By default float32.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
    """
    return F._eye(N=N, M=M, k=k, dtype=dtype or "float32", ctx="" if ctx is None else str(ctx), out=out)


def from_numpy(ndarray, zero_copy=True):
    """An array from a NumPy array, in its dtype.

    Parameters
    ----------
    ndarray : numpy.ndarray
        For ``zero_copy`` C-contiguous and writable.
    zero_copy : bool
        Whether to share the memory. The NumPy array is then made read-only, as operators that write the NDArray run
        unseen by NumPy.

    Returns
    -------
    NDArray
    """
    if not isinstance(ndarray, np.ndarray):
        raise MXNetTypeError(f"from_numpy: expected a numpy.ndarray, not {type(ndarray).__name__}; use nd.array")
    if not zero_copy:
        return from_numpy_copy(ndarray)
    result = from_numpy_shared(ndarray)
    ndarray.flags.writeable = False
    return result


def concatenate(arrays, axis=0, always_copy=True):
    """Join arrays along an axis.

    Parameters
    ----------
    arrays : sequence of NDArray
        Of one dtype, and of one shape but for ``axis``.
    axis : int
        Along which to join.
    always_copy : bool
        Whether a single array is copied; otherwise it is returned itself.

    Returns
    -------
    NDArray
    """
    arrays = list(arrays)
    if not arrays:
        raise MXNetValueError("concatenate: no arrays given; expected at least one")
    if len(arrays) == 1 and not always_copy and isinstance(arrays[0], NDArray):
        return arrays[0]
    return F.Concat(*arrays, dim=axis)


def split_v2(ary, indices_or_sections, axis=0, squeeze_axis=False):
    """Part an array along an axis.

    Parameters
    ----------
    ary : NDArray
        What to part.
    indices_or_sections : int or tuple of int
        Into how many equal parts; or where the second, third, ... part begins.
    axis : int
        Along which to part.
    squeeze_axis : bool
        Whether to drop that axis from the parts, which must then have size 1 along it.

    Returns
    -------
    NDArray or list of NDArray
        The parts; the only part itself.
    """
    if isinstance(indices_or_sections, numbers.Integral):
        sections, size = int(indices_or_sections), ary.shape[axis]
        if sections < 1 or size % sections:
            raise MXNetValueError(f"split_v2: axis {axis} of size {size} cannot be parted into {sections} equal parts")
        return F._split_v2(ary, indices=(0,), sections=sections, axis=axis, squeeze_axis=squeeze_axis)
    if not isinstance(indices_or_sections, (tuple, list)):
        raise MXNetValueError(f"split_v2: indices_or_sections is {indices_or_sections!r}; expected int or tuple of int")
    return F._split_v2(ary, indices=(0, *indices_or_sections), axis=axis, squeeze_axis=squeeze_axis)


def moveaxis(tensor, source, destination):
    """Move axes to new places; the others keep their order.

    Parameters
    ----------
    tensor : NDArray
        Whose axes to move.
    source, destination : int or sequence of int
        Where they are, and where they go.

    Returns
    -------
    NDArray
    """
    try:
        source = np.lib.array_utils.normalize_axis_tuple(source, tensor.ndim, "moveaxis: source")
        destination = np.lib.array_utils.normalize_axis_tuple(destination, tensor.ndim, "moveaxis: destination")
    except ValueError as error:
        raise MXNetValueError(f"{error} of shape {tensor.shape}") from None
    if len(source) != len(destination):
        raise MXNetValueError(f"moveaxis: {len(source)} source axes but {len(destination)} destination axes")
    order = [axis for axis in range(tensor.ndim) if axis not in source]
    for place, axis in sorted(zip(destination, source)):
        order.insert(place, axis)
    return F.transpose(tensor, axes=order)


def onehot_encode(indices, out):
    """Write one-hot rows into ``out``; the operator ``one_hot`` is the newer form.

    Parameters
    ----------
    indices : NDArray
        One number for each row.
    out : NDArray
        Of shape (number of indices, depth).

    Returns
    -------
    NDArray
        ``out``
    """
    return F.one_hot(indices, depth=out.shape[1], dtype=out.dtype_name, out=out)


def histogram(a, bins=10, range=None):
    """Count values by bin.

    Parameters
    ----------
    a : NDArray
        The values.
    bins : int or NDArray
        How many bins of equal width, or their edges in ascending order.
    range : tuple of float, optional
        Lowest and highest edge; by default the smallest and the largest value.

    Returns
    -------
    counts : NDArray
        int64.
    edges : NDArray
        One more than there are bins.
    """
    if isinstance(bins, NDArray):
        return F._histogram(a, bins)
    if range is None:
        range = (a.min().item(), a.max().item())
    edges = np.linspace(*range, bins + 1, dtype=a.dtype)
    return F._histogram(a, from_numpy_copy(edges, a.context), bin_cnt=bins, range=range)
