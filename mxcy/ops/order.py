"""sort, argsort and topk. Equal elements keep their order, and a NaN counts as larger than any number."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _index, _order
from mxcy.ops.axes import axis_in
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Dtype, Param, Shape

NUMBERS = ("bfloat16", "float16", "float32", "float64", "int8", "uint8", "int32", "int64")
INDEX = Param(Dtype, "float32", choices=("uint8", "int32", "int64", "float16", "float32", "float64"),
              doc="dtype of the indices.")
AXIS = Param(int, -1, optional=True, doc="The axis along which to order; all elements as one row, if None.")
#: Largest index that a dtype holds exactly.
EXACT = {"uint8": 255, "float16": 2048, "int32": 2**31 - 1}


def row_of(name, shape, axis):
    """(axis counted from the front or None, number of elements along it)."""
    if axis is None:
        size = 1
        for n in shape:
            size *= n
        return None, size
    axis = axis_in(axis, len(shape), f"{name}: axis")
    return axis, shape[axis]


def numeric(name, data):
    if data not in NUMBERS:
        raise MXNetTypeError(f"{name}: data is {data}; expected one of {', '.join(NUMBERS)}. Convert it with astype().")
    return data


def check_index(name, n, dtype):
    if n - 1 > EXACT.get(dtype, n):
        raise MXNetValueError(f"{name}: dtype is {dtype}, which cannot hold all indices of {n} elements; pass "
                              "dtype='int32'")


sort = Operator("sort", "data", "The elements in ascending or descending order along ``axis``.", aliases=("_npi_sort",),
                axis=AXIS, is_ascend=Param(bool, True, doc="Whether the smallest comes first."))
sort.infer_type(lambda data: numeric("sort", data))
sort.cpu = _order.sort


@sort.infer_shape
def _(data, axis):
    axis, n = row_of("sort", data, axis)
    return (n,) if axis is None else data


@sort.gradient
def _(F, g, data, axis, is_ascend):
    at = F.argsort(data, axis=axis, is_ascend=is_ascend, dtype="int64")
    return F._backward_topk(g, at, shape=data.shape, axis=axis)


argsort = Operator("argsort", "data", "Where the elements of the sorted array are: ``sort(x)[i] == x[argsort(x)[i]]``.",
                   aliases=("_npi_argsort",), axis=AXIS,
                   is_ascend=Param(bool, True, doc="Whether the smallest comes first."),
                   dtype=INDEX)
argsort.gradient(ZERO)
argsort.cpu = _order.argsort


@argsort.infer_shape
def _(data, axis, dtype):
    axis, n = row_of("argsort", data, axis)
    check_index("argsort", n, dtype)
    return (n,) if axis is None else data


@argsort.infer_type
def _(data, dtype):
    numeric("argsort", data)
    return dtype


topk = Operator(
    "topk", "data", """The ``k`` largest or smallest elements along ``axis``, in order.

    What is returned depends on ``ret_typ``: their ``value``, their ``indices``, ``both``, or a ``mask`` of the shape of
    ``data`` that is 1 where they are.""", outputs="value indices", aliases=("_npx_topk",), axis=AXIS,
    k=Param(int, 1, doc="How many; all, if below 1."),
    ret_typ=Param(str, "indices", choices=("value", "indices", "mask", "both"), doc="What to return."),
    is_ascend=Param(bool, False, doc="Whether to take the smallest, smallest first."), dtype=INDEX)
topk.outputs_given(lambda ret_typ: {"both": (2, 2), "value": (2, 1)}.get(ret_typ, (1, 1)))
topk.cpu = _order.topk


@topk.infer_shape
def _(data, axis, k, ret_typ, dtype):
    axis, n = row_of("topk", data, axis)
    if k > n:
        raise MXNetValueError(f"topk: k is {k}, but there are only {n} elements along axis {axis} of shape {data}")
    if ret_typ in ("indices", "both"):
        check_index("topk", n, dtype)
    k = k if k > 0 else n
    shape = (k,) if axis is None else data[:axis] + (k,) + data[axis + 1:]
    return {"mask": [data], "indices": [shape]}.get(ret_typ, [shape, shape])


@topk.infer_type
def _(data, ret_typ, dtype):
    numeric("topk", data)
    return {"mask": [data], "indices": [dtype], "value": [data, "int64"]}.get(ret_typ, [data, dtype])


@topk.gradient
def _(F, g, data, indices, axis, ret_typ):
    if ret_typ in ("mask", "indices") or g is None:
        return None
    return F._backward_topk(g, indices, shape=data.shape, axis=axis)


topk_backward = Operator(
    "_backward_topk", "data indices", "Zeros of ``shape``, with ``data`` at ``indices`` along ``axis``.",
    shape=Param(Shape, doc="Shape of the result."), axis=Param(int, -1, optional=True, doc="The axis of the indices."))


def check_along(name, whole, indices, axis):
    """Raise unless ``indices`` can say where along ``axis`` of an array of shape ``whole`` items are."""
    if axis is None:
        return
    if len(whole) != len(indices) or not -len(whole) <= axis < len(whole) or any(
            n != m for i, (n, m) in enumerate(zip(whole, indices)) if i != axis % len(whole)):
        raise MXNetValueError(f"{name}: indices of shape {indices} do not fit axis {axis} of shape {whole}; the "
                              "other axes must agree")


@topk_backward.infer_shape
def _(data, indices, shape, axis):
    check_along("_backward_topk", shape, indices, axis)
    return dict(data=indices, out=shape)


topk_backward.infer_type(lambda data: data)
topk_backward.cpu = _index.put_along


@topk_backward.gradient
def _(F, g, indices, axis):
    return F._take_along(g, indices, axis=axis), None


take_along = Operator("_take_along", "data indices", "Elements of ``data`` at ``indices`` along ``axis``.",
                      axis=Param(int, -1, optional=True, doc="The axis of the indices."))
take_along.infer_type(lambda data: data)


@take_along.infer_shape
def _(data, indices, axis):
    check_along("_take_along", data, indices, axis)
    return indices


take_along.cpu = _index.take_along


@take_along.gradient
def _(F, g, data, indices, axis):
    return F._backward_topk(g, indices, shape=data.shape, axis=axis), None
