"""Running sums."""
from mxcy.ops import _scan
from mxcy.ops.axes import axis_in
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

AXIS = Param(int, None, doc="The axis to sum along; all elements as one row, if not given.")

cumsum = Operator(
    "_np_cumsum", "a", "Running sums: element i of the result is the sum of the elements 0 to i along ``axis``.",
    aliases=("cumsum",), axis=AXIS,
    dtype=Param(str, None, choices=("float16", "float32", "float64", "int32", "int64", "int8"),
                doc="dtype to sum in, and of the result; that of ``a``, if not given."))


@cumsum.compose
def _(F, a, axis, dtype):
    return F._cumsum(a if dtype in (None, a.dtype) else F.cast(a, dtype=dtype), axis=axis)


one_dtype = Operator("_cumsum", "a", "Running sums in the dtype of ``a``, from either end.", axis=AXIS,
                     reverse=Param(bool, False, doc="Whether to sum from the end: elements i to the last."))
one_dtype.cpu = _scan.cumsum


@one_dtype.infer_shape
def _(a, axis):
    if axis is not None:
        axis_in(axis, len(a), "cumsum: axis")
        return a
    size = 1
    for n in a:
        size *= n
    return (size,)


@one_dtype.gradient
def _(F, g, a, axis, reverse):
    g = F._cumsum(g, axis=axis, reverse=not reverse)
    return g if axis is not None else F.reshape(g, shape=a.shape)
