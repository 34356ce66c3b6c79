"""Positions as numbers: joined and split coordinates, the coordinates of all elements, counts in bins."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _ravel
from mxcy.ops.axes import axis_in
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Floats, Param, Shape

WITHIN = Param(Shape, doc="Shape of the array that the positions are in; its first extent may be -1, for any.")

ravel = Operator(
    "_ravel_multi_index", "data",
    "Flat positions from coordinates: ``data`` is (axes, ...), the result the rest of it.",
    aliases=("ravel_multi_index",), shape=WITHIN)
ravel.gradient(ZERO)
ravel.cpu = _ravel.ravel


@ravel.infer_shape
def _(data, shape):
    if not data or data[0] != len(shape):
        raise MXNetValueError(f"_ravel_multi_index: data has shape {data}; its first extent must be {len(shape)}, "
                              f"the number "
                              f"of axes in shape={shape}")
    return data[1:] or (1,)


unravel = Operator(
    "_unravel_index", "data", "Coordinates from flat positions: the result is (axes, ...), and the rest as ``data``.",
    aliases=("unravel_index",), shape=WITHIN)
unravel.gradient(ZERO)
unravel.cpu = _ravel.unravel


@unravel.infer_shape
def _(data, shape):
    if any(n == 0 for n in shape) or any(n < 0 for n in shape[1:]):
        raise MXNetValueError(f"_unravel_index: shape is {shape}; expected extents above 0, the first may be -1")
    return (len(shape), *data)


index_array = Operator(
    "_contrib_index_array", "data", "The coordinates of every element of ``data``: its shape, followed by the axes.",
    axes=Param(Shape, None, doc="The axes to give coordinates along; all, if not given."))
index_array.infer_type(lambda: "int64")
index_array.gradient(ZERO)
index_array.cpu = _ravel.coordinates


@index_array.infer_shape
def _(data, axes):
    for axis in axes or ():
        if axis < 0:
            raise MXNetValueError(f"_contrib_index_array: axes is {axes}; expected axes counted from 0")
        axis_in(axis, len(data), "_contrib_index_array: axes")
    return (*data, len(axes) if axes else len(data))


histogram = Operator(
    "_histogram", "data bins?", """How many elements of ``data`` are in each bin, and the edges of the bins.

    A bin holds its lower edge, the last one also its upper edge. The edges are ``bins``, ascending; or ``bin_cnt`` bins
    divide ``range`` evenly.""", outputs="counts edges", aliases=("_npi_histogram",),
    bin_cnt=Param(int, None, min=1, doc="Number of bins; without it ``bins`` is given."),
    range=Param(Floats, None, doc="Lowest and highest edge."))
histogram.inputs_given(lambda bin_cnt: "data bins" if bin_cnt is None else "data")
histogram.cpu = _ravel.histogram


@histogram.check
def _(bin_cnt, range):
    if bin_cnt is not None and (range is None or len(range) != 2 or not range[0] < range[1]):
        raise MXNetValueError(f"_histogram: range is {range}; bin_cnt needs a lowest and a highest edge")


@histogram.infer_shape
def _(bins, bin_cnt):
    if bins is not None and (len(bins) != 1 or bins[0] < 2):
        raise MXNetValueError(f"_histogram: bins has shape {bins}; expected at least two edges in one axis")
    n = bins[0] - 1 if bin_cnt is None else bin_cnt
    return [(n,), (n + 1,)]


@histogram.infer_type
def _(data, bins):
    if bins is not None and bins != data:
        raise MXNetTypeError(f"_histogram: data is {data} but bins is {bins}; convert one with astype()")
    return ["int64", data]
