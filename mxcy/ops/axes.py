"""Axes as users give them, checked."""
from mxcy.base import MXNetValueError

__all__ = ["axes_in", "axis_in"]


def axis_in(axis, ndim, where):
    """``axis`` counted from the front; ``where`` ("SwapAxis: dim1") opens the message if there is no such axis."""
    if not -ndim <= axis < ndim:
        raise MXNetValueError(f"{where} is {axis}; an array of {ndim} dimensions has axes {-ndim} to {ndim - 1}")
    return axis % ndim


def axes_in(axes, ndim, where):
    """Several axes counted from the front; one that is given twice raises."""
    found = [axis_in(axis, ndim, where) for axis in axes]
    if len(set(found)) < len(found):
        raise MXNetValueError(f"{where} is {tuple(axes)}, which names an axis twice")
    return found
