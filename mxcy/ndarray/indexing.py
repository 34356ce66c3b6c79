"""``x[key]`` and ``x[key] = value``.

A key is first brought to one form: a list with an entry for every axis (an int, a slice or an index array) and a None
for every new axis. Without index arrays it says a *region*, which is a view where its elements lie in one run, else a
copy made by ``slice``. With them the elements are fetched by ``take`` or ``gather_nd`` and stored by
``_scatter_set_nd``; results are laid out as NumPy's.
"""
import math
import numbers

import numpy as np

from mxcy.base import MXNetIndexError, MXNetTypeError, MXNetValueError
from mxcy.imperative._function import F
from mxcy.imperative._state import is_recording
from mxcy.ndarray._ndarray import NDArray, from_numpy_copy, new

__all__ = ["getitem", "setitem"]


# -- keys --------------------------------------------------------------------------------------------------------------

def entries(key, shape):
    """The key as a list: an int, slice or index array for each axis of ``shape`` in turn, None for each new axis.

    An index array is an int64 NumPy array with values in range, or an NDArray, whose values are not looked at here.
    """
    given = list(key) if isinstance(key, tuple) else [key]
    given = [as_array(k) if isinstance(k, (list, tuple, range)) else k for k in given]
    used = sum(axes_used(k) for k in given)
    if used > len(shape):
        raise MXNetIndexError(f"the key has {used} indices, but the array has {len(shape)} axes: {shape}")
    ellipses = [i for i, k in enumerate(given) if k is Ellipsis]
    if len(ellipses) > 1:
        raise MXNetIndexError("a key may have one ellipsis (`...`) only")
    at = ellipses[0] if ellipses else len(given)
    given[at:at + 1] = [slice(None)] * (len(shape) - used)
    result, axis = [], 0
    for k in given:
        result += entry(k, shape, axis)
        axis += axes_used(k)
    return result


def as_array(key):
    try:
        return np.asarray(key) if len(key) else np.empty(0, np.int64)
    except ValueError:
        raise MXNetValueError(f"index {key!r} is not an array: its rows differ in length") from None


def is_mask(k):
    return isinstance(k, (np.ndarray, NDArray)) and k.dtype in (np.bool_, np.dtype(bool))


def axes_used(k):
    return 0 if k is None or k is Ellipsis else k.ndim if is_mask(k) else 1


def entry(k, shape, axis):
    """A checked list of entries for what the key says of ``axis``; several for a mask of several axes."""
    if k is None or isinstance(k, slice):
        return [k]
    if is_mask(k):
        if k.shape != shape[axis:axis + k.ndim]:
            raise MXNetIndexError(f"a mask of shape {k.shape} does not fit axis {axis} of an array of shape {shape}")
        return list((k.asnumpy() if isinstance(k, NDArray) else k).nonzero())
    if isinstance(k, (np.ndarray, NDArray)) and k.ndim == 0:
        k = int(k.item())
    if isinstance(k, numbers.Integral):
        if not -shape[axis] <= k < shape[axis]:
            raise MXNetIndexError(f"index {k} is out of bounds for axis {axis} of size {shape[axis]}")
        return [int(k) % shape[axis]]
    if isinstance(k, NDArray):
        return [k]
    if isinstance(k, np.ndarray) and k.dtype.kind in "iuf":
        k = k.astype(np.int64)
        outside = (k < -shape[axis]) | (k >= shape[axis])
        if outside.any():
            raise MXNetIndexError(f"index {k[outside][0]} is out of bounds for axis {axis} of size {shape[axis]}")
        return [np.where(k < 0, k + shape[axis], k)]
    raise MXNetValueError(f"an NDArray cannot be indexed with {k!r} of type {type(k).__name__}; expected integers, "
                          "slices, None, an ellipsis, or arrays of integers or booleans")


def positions(k, size):
    """What an int or slice selects of an axis, as a range."""
    if not isinstance(k, slice):
        return range(k, k + 1)
    try:
        return range(size)[k]
    except TypeError:
        raise MXNetTypeError(f"the parts of {k} must be integers or None") from None
    except ValueError:
        raise MXNetValueError(f"the step of {k} must not be zero") from None


def is_index_array(k):
    return isinstance(k, (np.ndarray, NDArray))


# -- regions -----------------------------------------------------------------------------------------------------------

def plain_region(key, shape):
    """What `region_of` gives, for a key of integers and slices only, else None: the common case, without a detour."""
    parts = key if type(key) is tuple else (key,)
    if len(parts) > len(shape):
        return None
    ranges, result = [], []
    for k, n in zip(parts, shape):
        if type(k) is slice:
            ranges.append(positions(k, n))
            result.append(len(ranges[-1]))
        elif type(k) is int and -n <= k < n:
            ranges.append(range(k % n, k % n + 1))
        else:
            return None
    for n in shape[len(parts):]:
        ranges.append(range(n))
        result.append(n)
    return ranges, tuple(result) if result or not shape else (1,)


def region_of(items, shape):
    """(ranges, result shape) of entries without index arrays; the shape is (1,) where every axis got an int."""
    axes = [k for k in items if k is not None]
    ranges = [positions(k, n) for k, n in zip(axes, shape)]
    lengths = iter(map(len, ranges))
    result = []
    for k in items:
        length = 1 if k is None else next(lengths)
        if k is None or isinstance(k, slice):
            result.append(length)
    return ranges, tuple(result) if result or not shape else (1,)


def run_offset(ranges, shape):
    """Where the region starts in the flat array if its elements follow one another there, else None."""
    offset, stride, whole = 0, 1, True
    for r, n in zip(reversed(ranges), reversed(shape)):
        if not (whole or len(r) == 1) or (len(r) > 1 and r.step != 1):
            return None
        whole = whole and len(r) == n
        offset += r.start * stride
        stride *= n
    return offset


def bounds(ranges):
    """begin, end and step for the ``slice`` operator; None is the end of a range that runs down to 0."""
    return {"begin": tuple(r.start for r in ranges), "end": tuple(r.stop if r.stop >= 0 else None for r in ranges),
            "step": tuple(r.step for r in ranges)}


def reshaped(array, shape):
    """``array`` in another shape: a view, or recorded."""
    if array.shape == shape:
        return array
    return F.Reshape(array, shape=shape) if is_recording() else array.view(0, shape)


# -- reading -----------------------------------------------------------------------------------------------------------

def getitem(array, key):
    """``array[key]``: a view if the key has no index arrays and its elements lie in one run, else a copy."""
    shape = array.shape
    region = plain_region(key, shape)
    if region is None:
        items = entries(key, shape)
        if any(map(is_index_array, items)):
            return gather(array, items)
        region = region_of(items, shape)
    ranges, result = region
    if 0 in result:
        return new(result, array.dtype, array.context)
    if not is_recording():
        offset = run_offset(ranges, shape)
        if offset is not None:
            return array.view(offset, result)
    if any(len(r) != n or r.step != 1 for r, n in zip(ranges, shape)):
        array = F.slice(array, **bounds(ranges))
    return reshaped(array, result)


def gather(array, items):
    """``array[items]`` with index arrays among the items."""
    axes = [k for k in items if k is not None]
    chosen = [i for i, k in enumerate(axes) if not isinstance(k, slice)]
    block = block_shape([axes[i] for i in chosen])
    lengths = [len(positions(k, n)) if isinstance(k, slice) else n for k, n in zip(axes, array.shape)]
    shape, first = layout(items, block, [lengths[i] for i in range(len(axes)) if i not in chosen])
    if 0 in shape:
        return new(shape, array.dtype, array.context)
    if lengths != list(array.shape) or any(isinstance(k, slice) and (k.step or 1) < 0 for k in axes):
        array = getitem(array, tuple(k if isinstance(k, slice) else slice(None) for k in axes))
    if len(chosen) == 1 and isinstance(axes[chosen[0]], np.ndarray):
        index = from_numpy_copy(axes[chosen[0]], array.context)
        return reshaped(F.take(array, index, axis=chosen[0], mode="clip"), shape)
    order = chosen + [i for i in range(len(axes)) if i not in chosen]
    if order != sorted(order):
        array = F.transpose(array, axes=order)
    result = F.gather_nd(array, stacked([axes[i] for i in chosen], block, array.context))
    if first > 0:
        back = list(range(result.ndim))
        rest = back[len(block):]
        result = F.transpose(result, axes=rest[:first] + back[:len(block)] + rest[first:])
    return reshaped(result, shape)


def block_shape(indices):
    """The shape that index arrays and ints have together."""
    try:
        return np.broadcast_shapes(*(np.shape(k) if isinstance(k, numbers.Integral) else k.shape for k in indices))
    except ValueError:
        shapes = ", ".join(str(k.shape) for k in indices if not isinstance(k, numbers.Integral))
        raise MXNetIndexError(f"index arrays of shapes {shapes} do not broadcast together") from None


def layout(items, block, lengths):
    """Shape of the result, and how many sliced axes come before the axes of the index arrays, by NumPy's rule.

    The ``block`` of axes that the index arrays make stands where they stand if they are neighbours, else in front.
    """
    where = [i for i, k in enumerate(items) if k is not None and not isinstance(k, slice)]
    at = where[0] if where[-1] - where[0] + 1 == len(where) else 0
    lengths = iter(lengths)
    before = [1 if k is None else next(lengths) for k in items[:at]]
    after = [1 if k is None else next(lengths) for i, k in enumerate(items) if i >= at and i not in where]
    return (*before, *block, *after), sum(k is not None for k in items[:at])


def stacked(indices, shape, ctx):
    """Index arrays and ints as one NDArray, int64: (number of indices, *shape)."""
    if not any(isinstance(k, NDArray) for k in indices):
        return from_numpy_copy(np.stack([np.broadcast_to(np.int64(k), shape) for k in indices]), ctx)
    rows = []
    for k in indices:
        if isinstance(k, NDArray):
            row = k if k.dtype is np.int64 else F.Cast(k, dtype="int64")
            row = F.Reshape(row, shape=(1,) * (len(shape) - k.ndim) + k.shape)
            rows.append(row if row.shape == shape else F.broadcast_to(row, shape=shape))
        else:
            rows.append(from_numpy_copy(np.ascontiguousarray(np.broadcast_to(np.int64(k), shape)), ctx))
    return F.stack(*rows, axis=0)


# -- writing -----------------------------------------------------------------------------------------------------------

def setitem(array, key, value):
    """``array[key] = value``; the value is broadcast and converted to the array's dtype."""
    shape = array.shape
    region = plain_region(key, shape)
    value = checked(value, array)
    if region is None:
        items = entries(key, shape)
        if any(map(is_index_array, items)):
            scatter(array, items, value)
            return
        region = region_of(items, shape)
    ranges, result = region
    if 0 in result:
        fitted(value, result, array)
        return
    offset = run_offset(ranges, shape)
    if offset is not None and (not is_recording() or math.prod(result) == array.size):
        # Recorded writes must go through the array itself, so that autograd sees which array they change.
        fill(array if is_recording() else array.view(offset, result), value, result)
    elif isinstance(value, numbers.Number):
        F._slice_assign_scalar(array, scalar=value, out=array, **bounds(ranges))
    else:
        value = reshaped(fitted(value, result, array), tuple(map(len, ranges)))
        F._slice_assign(array, value, out=array, **bounds(ranges))


def checked(value, array):
    """A number, a NumPy array of the array's dtype, or an NDArray that does not overlap the array."""
    if isinstance(value, NDArray):
        return F._copy(value) if value.shares_memory(array) else value
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (numbers.Real, np.bool_)):
        return value
    if value is None:
        return math.nan                                 # as MXNet does
    if not isinstance(value, np.ndarray):
        value = as_array(value) if isinstance(value, (list, tuple, range)) else np.asarray(value)
    if value.dtype == array.dtype:
        return value
    if value.dtype.kind in "biuf":
        with np.errstate(all="ignore"):                 # conversions wrap round, as in the operators
            return value.astype(array.dtype, copy=False)
    raise MXNetTypeError(f"an NDArray cannot be assigned from {value!r}; expected a number, an NDArray, or what "
                         "numpy.array makes a numeric array of")


def fitted(value, shape, array):
    """``value`` as an NDArray of that shape, with the array's dtype."""
    if isinstance(value, numbers.Number):
        return F._full(shape=shape, value=value, dtype=array.dtype_name, ctx=str(array.context))
    value = squeezed(value, shape)
    if isinstance(value, np.ndarray):
        return from_numpy_copy(np.ascontiguousarray(np.broadcast_to(value, shape)), array.context)
    if value.dtype is not array.dtype:
        value = F.Cast(value, dtype=array.dtype_name)
    return expanded(value, shape)


def expanded(value, shape):
    """``value`` broadcast to that shape; axes are added in front as needed."""
    value = reshaped(value, (1,) * (len(shape) - value.ndim) + value.shape)
    return value if value.shape == shape else F.broadcast_to(value, shape=shape)


def squeezed(value, shape):
    """``value`` without leading axes of size 1 beyond those of ``shape``; raises if it does not broadcast to it."""
    extra = max(value.ndim - len(shape), 0)
    kept = value.shape[extra:]
    if any(n != 1 for n in value.shape[:extra]) or any(
            n not in (1, m) for n, m in zip(reversed(kept), reversed(shape))):
        raise MXNetValueError(f"a value of shape {value.shape} cannot be broadcast to {shape}, which the key selects")
    if not extra:
        return value
    return reshaped(value, kept) if isinstance(value, NDArray) else value.reshape(kept)


def fill(target, value, shape):
    """Overwrite ``target``, seen in that shape of its own size."""
    if isinstance(value, numbers.Number):
        F._full(shape=target.shape, value=value, dtype=target.dtype_name, out=target)
    elif isinstance(value, np.ndarray) and not is_recording():
        if value.shape != target.shape:
            value = np.broadcast_to(squeezed(value, shape), shape).reshape(target.shape)
        target.copy_from(value)
    else:
        F._copy(reshaped(fitted(value, shape, target), target.shape), out=target)


def scatter(array, items, value):
    """``array[items] = value`` with index arrays among the items.

    All axes up to the last one with an index array get one, in the layout of the result; those after it are whole.
    """
    axes = [k for k in items if k is not None]
    chosen = [i for i, k in enumerate(axes) if not isinstance(k, slice)]
    ranges = {i: positions(k, n) for i, (k, n) in enumerate(zip(axes, array.shape)) if isinstance(k, slice)}
    block = block_shape([axes[i] for i in chosen])
    lengths = list(map(len, ranges.values()))
    shape, first = layout(items, block, lengths)
    value = fitted(value, shape, array)
    if 0 in shape:
        return
    last = chosen[-1]
    if any(r != range(array.shape[i]) for i, r in ranges.items() if i > last):
        last = len(axes) - 1
    result = (*lengths[:first], *block, *lengths[first:])      # the shape without new axes
    led = len(result) - (len(axes) - 1 - last)
    indices, place = [], 0
    for i in range(last + 1):
        if i in ranges:
            at = place if place < first else place + len(block)
            indices.append(np.array(ranges[i]).reshape(-1, *(1,) * (led - at - 1)))
            place += 1
        else:
            tail = led - first - len(block)
            k = axes[i] if isinstance(axes[i], NDArray) else np.int64(axes[i])
            indices.append(k.reshape(*k.shape, *(1,) * tail) if k.ndim else k)
    F._scatter_set_nd(array, reshaped(value, result), stacked(indices, result[:led], array.context),
                      shape=array.shape, out=array)
