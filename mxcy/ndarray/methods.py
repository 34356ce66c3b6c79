"""Methods of NDArray that are more than an operator called on the array. `METHODS` is what the class gets."""
import math
import numbers

from mxcy.base import MXNetNotImplementedError, MXNetTypeError, MXNetValueError
from mxcy.context import Context
from mxcy.dtype import dtype_name
from mxcy.imperative._function import F
from mxcy.imperative._state import is_recording
from mxcy.ndarray import display, indexing, interop
from mxcy.ndarray._ndarray import NDArray
from mxcy.ndarray.creation import split_v2
from mxcy.ndarray.serialization import array_from_record, record_of
from mxcy.ops.reshaping import infer_reshape

__all__ = ["METHODS"]


# -- other dtypes, devices and storage ---------------------------------------------------------------------------------

def astype(self, dtype, copy=True):
    """The array in another dtype.

    Parameters
    ----------
    dtype : str or numpy.dtype
        The dtype wanted.
    copy : bool
        Whether to copy even if the array has that dtype already; otherwise it is returned itself.

    Returns
    -------
    NDArray
    """
    name = dtype_name(dtype)
    if not copy and name == self.dtype_name:
        return self
    return F.Cast(self, dtype=name)


def copy(self):
    """A copy of the array, on the same context."""
    return F._copy(self)


def copyto(self, other):
    """Copy the values into another array, or to another context.

    Parameters
    ----------
    other : NDArray or Context
        An array of the same shape, whose dtype and context stay as they are; or where to make a copy.

    Returns
    -------
    NDArray
        ``other``, or the copy.
    """
    if isinstance(other, NDArray):
        if other is self:
            return other
        if other.shape != self.shape:
            raise MXNetValueError(f"copyto: the array has shape {self.shape}, but the target {other.shape}")
        source = self if self.dtype is other.dtype else F.Cast(self, dtype=other.dtype_name)
        if is_recording() and source.context != other.context:
            source = copyto(source, other.context)
        return F._copy(source, out=other)
    if isinstance(other, (Context, str)):
        return F._CrossDeviceCopy(self, ctx=str(Context(other)), origin=str(self.context))
    raise MXNetTypeError(f"copyto: other is {type(other).__name__}; expected an NDArray or a Context")


def as_in_context(self, context):
    """The array on a context: itself if it is there, else a copy.

    Parameters
    ----------
    context : Context
        Where it is wanted.

    Returns
    -------
    NDArray
    """
    return self if self.context == Context(context) else copyto(self, context)


def tostype(self, stype):
    """The array in a storage type.

    Parameters
    ----------
    stype : str
        ``"default"``, which is dense; sparse arrays are not part of this version.

    Returns
    -------
    NDArray
        A copy.
    """
    if stype in ("row_sparse", "csr"):
        raise MXNetNotImplementedError(f"tostype: {stype} arrays are not part of this version of mxcy")
    if stype != "default":
        raise MXNetValueError(f"tostype: stype is {stype!r}; expected 'default', 'row_sparse' or 'csr'")
    return F._copy(self)


def as_nd_ndarray(self):
    """The array itself: it has the class of ``mx.nd`` already."""
    return self


def as_np_ndarray(self):
    """Not part of this version: an array of ``mx.np``."""
    raise MXNetNotImplementedError("as_np_ndarray: mx.np is not part of this version of mxcy")


# -- other shapes ------------------------------------------------------------------------------------------------------

def viewed(self, shape):
    """The same elements in another shape: a view, or recorded."""
    return F.Reshape(self, shape=shape) if is_recording() else self.view(0, shape)


def reshape(self, *shape, **kwargs):
    """The same elements in another shape; shares the memory.

    Parameters
    ----------
    *shape : int or tuple of int
        The sizes, as one tuple or one by one. 0 keeps the size at that place, -1 is what remains, -2 all further axes,
        -3 the product of two axes, -4 parts an axis into the two sizes that follow.
    **kwargs
        ``shape``, instead of the positional form; ``reverse``, whether the special numbers are matched from the right.

    Returns
    -------
    NDArray

    Examples
    --------
    >>> nd.zeros((2, 3, 4)).reshape((0, -1)).shape, nd.zeros((2, 3, 4)).reshape(-3, 4).shape
    ((2, 12), (6, 4))
    """
    if len(shape) == 1 and not isinstance(shape[0], numbers.Integral):
        shape = tuple(shape[0])
    shape, reverse = shape or kwargs.pop("shape", ()), kwargs.pop("reverse", False)
    kwargs.pop("shape", None)
    if kwargs:
        raise MXNetTypeError(f"reshape: unknown parameters {', '.join(kwargs)}; expected shape and reverse")
    if isinstance(shape, numbers.Integral):
        shape = (shape,)
    if not shape and self.size != 1:
        raise MXNetValueError(f"reshape: no shape given, and the array has {self.size} elements")
    if is_recording():
        return F.Reshape(self, shape=shape, reverse=reverse)
    if min(shape, default=0) > 0 and math.prod(shape) == self.size:     # sizes without special numbers
        return self.view(0, shape)
    return self.view(0, infer_reshape(self.shape, shape, reverse))


def expand_dims(self, axis, inplace=False):
    """The array with a new axis of size 1.

    Parameters
    ----------
    axis : int
        Where the new axis stands in the result.
    inplace : bool
        Whether the result shares the memory.

    Returns
    -------
    NDArray
    """
    if not inplace:
        return F.expand_dims(self, axis=axis)
    if not -self.ndim - 1 <= axis <= self.ndim:
        raise MXNetValueError(f"expand_dims: axis {axis} is out of range for an array of {self.ndim} axes")
    at = axis % (self.ndim + 1)
    return viewed(self, (*self.shape[:at], 1, *self.shape[at:]))


def squeeze(self, axis=None, inplace=False):
    """The array without axes of size 1.

    Parameters
    ----------
    axis : int or tuple of int, optional
        Which to leave out; by default all of size 1.
    inplace : bool
        Whether the result shares the memory.

    Returns
    -------
    NDArray
    """
    if not inplace:
        return F.squeeze(self, axis=axis)
    shape = self.shape
    axes = [i for i, n in enumerate(shape) if n == 1] if axis is None else \
        [axis] if isinstance(axis, numbers.Integral) else list(axis)
    for i in axes:
        if not -len(shape) <= i < len(shape) or shape[i] != 1:
            raise MXNetValueError(f"squeeze: axis {i} of an array of shape {shape} is not an axis of size 1")
    gone = {i % len(shape) for i in axes}
    return viewed(self, tuple(n for i, n in enumerate(shape) if i not in gone) or (1,))


def flatten(self, inplace=False):
    """The array with two axes: all but the first are joined.

    Parameters
    ----------
    inplace : bool
        Whether the result shares the memory.

    Returns
    -------
    NDArray
    """
    if not inplace:
        return F.Flatten(self)
    return viewed(self, (self.shape[0], math.prod(self.shape[1:])))


def broadcast_to(self, shape):
    """The array broadcast to a shape.

    Parameters
    ----------
    shape : tuple of int
        Axes are added in front as needed; axes of size 1 grow; 0 keeps the size.

    Returns
    -------
    NDArray
    """
    extra = len(shape) - self.ndim
    return F.broadcast_to(viewed(self, (1,) * extra + self.shape) if extra > 0 else self, shape=shape)


# -- assignment as a function ------------------------------------------------------------------------------------------

def slice_assign(self, rhs, begin, end, step):
    """A copy of the array with ``rhs`` in the place of ``self.slice(begin, end, step)``.

    Parameters
    ----------
    rhs : NDArray
        Of the shape of that slice.
    begin, end, step : tuple of int
        For each of the first axes.

    Returns
    -------
    NDArray
    """
    return F._slice_assign(self, rhs, begin=begin, end=end, step=step)


def slice_assign_scalar(self, value, begin, end, step):
    """A copy of the array with a number in the place of ``self.slice(begin, end, step)``.

    Parameters
    ----------
    value : float
        The number.
    begin, end, step : tuple of int
        For each of the first axes.

    Returns
    -------
    NDArray
    """
    return F._slice_assign_scalar(self, scalar=value, begin=begin, end=end, step=step)


# -- Python's protocols ------------------------------------------------------------------------------------------------

def deepcopy(self, memo):
    """For ``copy.deepcopy``."""
    return F._copy(self)


def reduce(self):
    """For pickling: the record of a saved file."""
    return array_from_record, (record_of(self),)


def format_value(self, spec):
    """``format(x, spec)``; a format such as ``.3f`` works on an array of one element."""
    return format(self.item(), spec) if spec else str(self)


METHODS = {
    "__getitem__": indexing.getitem, "__setitem__": indexing.setitem, "__repr__": display.text,
    "_repr_html_": display.rich_html, "__format__": format_value,
    "__copy__": copy, "__deepcopy__": deepcopy, "__reduce__": reduce,
    "T": property(lambda self: F.transpose(self), doc="The array with its axes in reverse order."),
    "as_in_ctx": as_in_context, "split_v2": split_v2, **interop.PROTOCOLS,
    **{function.__name__: function for function in (
        astype, copy, copyto, as_in_context, tostype, as_nd_ndarray, as_np_ndarray, reshape, expand_dims, squeeze,
        flatten, broadcast_to, slice_assign, slice_assign_scalar)},
}
