"""Selection by arrays of indices, and its reverse: take, Embedding, pick, one_hot, gather and scatter.

Indices may have any dtype of numbers; fractions are cut off.
"""
from mxcy.base import MXNetNotImplementedError, MXNetTypeError, MXNetValueError
from mxcy.ops import _index
from mxcy.ops.axes import axis_in
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Dtype, Param, Shape

NUMBERS = ("bfloat16", "float16", "float32", "float64", "int32", "int64", "int8", "uint8")
WHOLE = Param(Shape, doc="Shape of what was indexed.")


def mode(*choices):
    return Param(str, "clip", choices=choices, doc="What happens to indices out of range: ``clip`` to the nearest end, "
                 "``wrap`` around" + (", or ``raise`` an error (negative ones then count from the end)."
                                      if "raise" in choices else "."))


def indexed(name, data, indices):
    """dtype rule: ``data``'s; the indices may be any numbers."""
    if indices in ("bool", "bfloat16"):
        raise MXNetTypeError(f"{name}: the indices are {indices}; expected integers or floats. Convert them with "
                             "astype().")
    return data


# -- take and Embedding ------------------------------------------------------------------------------------------------

take = Operator(
    "take", "a indices",
    """Elements of ``a`` along ``axis``: indices of shape (i, j) put these two axes in its place.""",
    aliases=("_npi_take",), axis=Param(int, 0, doc="The axis to take from."), mode=mode("clip", "raise", "wrap"))
take.infer_type(lambda a, indices: indexed("take", a, indices))
take.cpu = _index.take


@take.infer_shape
def _(a, indices, axis):
    axis = axis_in(axis, len(a), "take: axis")
    return a[:axis] + indices + a[axis + 1:]


@take.gradient
def _(F, g, a, indices, axis, mode):
    return F._backward_take(g, indices, shape=a.shape, axis=axis, mode=mode), None


take_backward = Operator(
    "_backward_take", "out_grad indices", "Gradient of `take`: equal indices add up, always in the same order.",
    shape=WHOLE, axis=Param(int, 0, doc="The axis taken from."), mode=mode("clip", "raise", "wrap"))
take_backward.infer_shape(lambda shape: shape)
take_backward.infer_type(lambda out_grad: out_grad)
take_backward.cpu = _index.take_backward_


@take_backward.gradient
def _(F, g, indices, axis, mode):
    return F.take(g, indices, axis=axis, mode=mode), None


embedding = Operator(
    "Embedding", "data weight", """Rows of ``weight``, one for each index in ``data``.

    ``data`` of any shape, indices clipped to 0 to ``input_dim - 1``; ``weight`` is (input_dim, output_dim); the result
    has the shape of ``data``, followed by output_dim.""", aliases=("_npx_embedding", "_sparse_Embedding"),
    input_dim=Param(int, min=1, doc="Number of rows."), output_dim=Param(int, min=1, doc="Elements of a row."),
    dtype=Param(Dtype, "float32", choices=NUMBERS, doc="dtype of ``weight``, where it is to be made."),
    sparse_grad=Param(bool, False, doc="Whether the gradient of ``weight`` is row-sparse."))
embedding.cpu = _index.embedding


@embedding.infer_shape
def _(data, input_dim, output_dim):
    return dict(out=data + (output_dim,), weight=(input_dim, output_dim))


@embedding.infer_type
def _(data, weight, dtype):
    dtype = indexed("Embedding", weight or dtype, data)
    return dict(weight=dtype, out=dtype)


@embedding.gradient
def _(F, g, data, input_dim, output_dim):
    return None, F._backward_take(g, data, shape=(input_dim, output_dim))


# -- pick --------------------------------------------------------------------------------------------------------------

pick = Operator(
    "pick", "data index", """One element along ``axis`` for each position in the other axes.

    ``index`` has the shape of ``data`` without ``axis``, or with 1 there.""",
    aliases=("_npx_pick", "choose_element_0index"), axis=Param(int, -1, optional=True, doc="The axis to pick from."),
    keepdims=Param(bool, False, doc="Whether the axis stays, with extent 1."), mode=mode("clip", "wrap"))
pick.infer_type(lambda data, index: indexed("pick", data, index))
pick.cpu = _index.pick


@pick.check
def _(axis):
    if axis is None:
        raise MXNetValueError("pick: axis is None; name an axis")


@pick.infer_shape
def _(data, index, axis, keepdims):
    axis = axis_in(axis, len(data), "pick: axis")
    without, kept = data[:axis] + data[axis + 1:], data[:axis] + (1,) + data[axis + 1:]
    if index not in (without, kept, without or (1,)):
        raise MXNetValueError(f"pick: index has shape {index}, but data of shape {data} with axis={axis} needs "
                              f"{without} or {kept}")
    return kept if keepdims else without or (1,)


@pick.infer_inputs
def _(data, index, axis):
    if data and index is None:                          # else it may have an axis of size 1
        axis = axis_in(axis, len(data), "pick: axis")
        return dict(index=data[:axis] + data[axis + 1:] or (1,))


@pick.gradient
def _(F, g, data, index, axis, mode):
    return F._backward_pick(g, index, shape=data.shape, axis=axis, mode=mode), None


pick_backward = Operator(
    "_backward_pick", "out_grad index", "Gradient of `pick`: zeros but for what was picked.", shape=WHOLE,
    axis=Param(int, -1, doc="The axis picked from."), mode=mode("clip", "wrap"))
pick_backward.infer_shape(lambda shape: shape)
pick_backward.infer_type(lambda out_grad: out_grad)
pick_backward.cpu = _index.pick_backward_


@pick_backward.gradient
def _(F, g, index, out_grad, axis, mode):
    return F.reshape(F.pick(g, index, axis=axis, mode=mode), shape=out_grad.shape), None


batch_take = Operator("batch_take", "a indices", "Element ``a[i, indices[i]]`` of each row i; indices are clipped.")


@batch_take.compose
def _(F, a, indices):
    if a.ndim != 2 or indices.shape != a.shape[:1]:
        raise MXNetValueError(f"batch_take: a has shape {a.shape} and indices {indices.shape}; expected (N, C) and "
                              "(N,)")
    return F.pick(a, indices, axis=1)


fill_element = Operator(
    "fill_element_0index", "lhs mhs rhs", "``lhs`` with ``mhs[i]`` at ``[i, rhs[i]]`` for each row i.")


@fill_element.compose
def _(F, lhs, mhs, rhs):
    if lhs.ndim != 2 or not mhs.shape == rhs.shape == lhs.shape[:1]:
        raise MXNetValueError(f"fill_element_0index: lhs has shape {lhs.shape}, mhs {mhs.shape} and rhs {rhs.shape}; "
                              f"expected (N, C), (N,) and (N,)")
    chosen = F.one_hot(rhs, depth=lhs.shape[1], dtype=lhs.dtype)
    return F.where(chosen, F.broadcast_to(F.expand_dims(mhs, axis=1), shape=lhs.shape), lhs)


# -- one-hot -----------------------------------------------------------------------------------------------------------

one_hot = Operator(
    "one_hot", "indices", """A new last axis of extent ``depth``: ``on_value`` at the index, ``off_value`` elsewhere.

    An index out of range gives ``off_value`` only.""", aliases=("_npx_one_hot",),
    depth=Param(int, min=0, doc="Extent of the new axis."), on_value=Param(float, 1., doc="Value at the index."),
    off_value=Param(float, 0., doc="Value elsewhere."),
    dtype=Param(Dtype, "float32", choices=NUMBERS, doc="dtype of the result."))
one_hot.infer_shape(lambda indices, depth: indices + (depth,))
one_hot.infer_type(lambda indices, dtype: indexed("one_hot", dtype, indices))
one_hot.gradient(ZERO)
one_hot.cpu = _index.one_hot


# -- gather and scatter ------------------------------------------------------------------------------------------------

def places(name, data, indices):
    """Check indices (M, ...) into the first M axes of ``data``; returns the shape of what they select."""
    if not indices or not 1 <= indices[0] <= len(data):
        raise MXNetValueError(f"{name}: indices has shape {indices}; its first extent, the number of coordinates, must "
                              f"be 1 to {len(data)} for an array of shape {data}")
    return indices[1:] + data[indices[0]:]


gather_nd = Operator(
    "gather_nd", "data indices", """Elements or slices of ``data``, each at its own place.

    ``indices`` has shape (M, ...): ``indices[:, i]`` are coordinates in the first M axes of ``data``. Negative ones
    count from the end; others out of range raise.""", aliases=("_npi_gather_nd", "_npx_gather_nd"))
gather_nd.infer_shape(lambda data, indices: places("gather_nd", data, indices) or (1,))
gather_nd.infer_type(lambda data, indices: indexed("gather_nd", data, indices))
gather_nd.cpu = _index.gather_nd


@gather_nd.gradient
def _(F, g, data, indices):
    return F._backward_gather_nd(g, indices, shape=data.shape), None


gather_nd_backward = Operator(
    "_backward_gather_nd", "data indices", "Zeros of ``shape``, with slices of ``data`` added at ``indices``.",
    shape=WHOLE)
gather_nd_backward.infer_type(lambda data: data)
gather_nd_backward.cpu = _index.gather_nd_backward_

scatter_nd = Operator(
    "scatter_nd", "data indices", """
    Zeros of ``shape``, with slices of ``data`` at ``indices``: the reverse of `gather_nd`.

    Of several slices for one place the last one stays.""", shape=Param(Shape, doc="Shape of the result."))
scatter_nd.infer_type(lambda data, indices: indexed("scatter_nd", data, indices))
scatter_nd.cpu = _index.scatter_nd


@gather_nd_backward.infer_shape
@scatter_nd.infer_shape
def _(data, indices, shape):
    if data != (places("scatter_nd", shape, indices) or (1,)):
        raise MXNetValueError(f"scatter_nd: data has shape {data}, but indices of shape {indices} into {shape} need "
                              f"{places('scatter_nd', shape, indices)}")
    return shape


@gather_nd_backward.gradient
@scatter_nd.gradient
def _(F, g, indices):
    return F.gather_nd(g, indices), None


scatter_set_nd = Operator(
    "_scatter_set_nd", "lhs rhs indices", "``lhs`` with slices of ``rhs`` in place of those at ``indices``.",
    aliases=("_npi_scatter_set_nd",), shape=Param(Shape, doc="Shape of ``lhs``."))
scatter_set_nd.infer_type(lambda lhs, indices: indexed("_scatter_set_nd", lhs, indices))
scatter_set_nd.cpu = _index.scatter_set_nd


@scatter_set_nd.infer_shape
def _(lhs, rhs, indices):
    if rhs != (places("_scatter_set_nd", lhs, indices) or (1,)):
        raise MXNetValueError(f"_scatter_set_nd: rhs has shape {rhs}, but indices of shape {indices} into {lhs} need "
                              f"{places('_scatter_set_nd', lhs, indices)}")
    return lhs


@scatter_set_nd.gradient
def _(F, g, rhs, indices, shape):
    return F._scatter_set_nd(g, F.zeros_like(rhs), indices, shape=shape), F.gather_nd(g, indices), None


index_copy = Operator(
    "_contrib_index_copy", "old_tensor index_vector new_tensor",
    "``old_tensor`` with the rows of ``new_tensor`` in place of those that ``index_vector`` names.")


@index_copy.compose
def _(F, old_tensor, index_vector, new_tensor):
    if index_vector.ndim != 1 or new_tensor.shape != index_vector.shape + old_tensor.shape[1:]:
        raise MXNetValueError(f"_contrib_index_copy: old_tensor has shape {old_tensor.shape}, index_vector "
                              f"{index_vector.shape} and new_tensor {new_tensor.shape}; expected (N, ...), (K,) and "
                              "(K, ...)")
    return F._scatter_set_nd(old_tensor, new_tensor, F.reshape(index_vector, shape=(1, -1)), shape=old_tensor.shape)


boolean_mask = Operator(
    "_contrib_boolean_mask", "data index", """The slices of ``data`` along ``axis`` where ``index`` is not 0.

    The shape of the result depends on ``index``: the call waits for it, and a graph with it is never a plan.""",
    aliases=("_npi_boolean_mask",), axis=Param(int, 0, doc="The axis to select from."))
boolean_mask.rule("run", None)              # no plan can be made: what the operator composes decides by values


@boolean_mask.compose
def _(F, data, index, axis):
    axis = axis_in(axis, data.ndim, "_contrib_boolean_mask: axis")
    if index.shape != data.shape[axis:axis + 1]:
        raise MXNetValueError(f"_contrib_boolean_mask: index has shape {index.shape}, but data of shape {data.shape} "
                              f"with "
                              f"axis={axis} needs {data.shape[axis:axis + 1]}")
    if not hasattr(index, "asscalar"):
        raise MXNetNotImplementedError("_contrib_boolean_mask: the shape of its result is known only when it runs, "
                                       "so it "
                                       "cannot be part of a symbol; use where() or SequenceMask()")
    chosen = F.cast(F.BlockGrad(index) != 0, dtype="uint8")                 # bytes are sorted fast
    count = int(F.sum(F.cast(chosen, dtype="int64")).asscalar())
    if count == 0:
        return F.take(data, F._zeros(shape=(0,), dtype="int64"), axis=axis)
    first = F.argsort(chosen, is_ascend=False, dtype="int64")              # stable: those chosen, in their order
    return F.take(data, F.slice_axis(first, axis=0, begin=0, end=count), axis=axis)
