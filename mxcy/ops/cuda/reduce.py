"""Reductions over any axes."""
from mxcy.gpu.recipe import launch
from mxcy.ops import _reduce
from mxcy.ops.cuda.items import columns, joining_lanes, rows
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.reduce import reduced_axes

__all__ = []

#: The operation, that of whole numbers, and what finishes its totals, as in mxcy/ops/reduce.h.
OPERATIONS = {_reduce.sum: ("Sum", "Sum", "Sum"), _reduce.mean: ("Sum", "Sum", "Mean"),
              _reduce.prod: ("Prod", "Prod", "Prod"), _reduce.max_: ("Max", "Max", "Max"),
              _reduce.min_: ("Min", "Min", "Min"), _reduce.nansum: ("NanSum", "Sum", "NanSum"),
              _reduce.nanprod: ("NanProd", "Prod", "NanProd"), _reduce.norm1: ("Norm1", "Norm1", "Norm1"),
              _reduce.norm2: ("Norm2", "Norm2", "Norm2"), _reduce.like: ("Sum", "Sum", "Sum")}


@rule(*(kernel for kernel in OPERATIONS if kernel is not _reduce.like))
def reduce(ins, outs, kernel, scratch, params):
    axis = params.get("axis")
    axes = reduced_axes(ins[0].shape, (axis,) if isinstance(axis, int) else axis,
                        params.get("exclude", False))
    return reduction(ins[0], outs[0], kernel, scratch, axes)


@rule(_reduce.like)
def reduce_like(ins, outs, kernel, scratch):
    shape, out = ins[0].shape, outs[0].shape
    lead = len(shape) - len(out)
    return reduction(ins[0], outs[0], kernel, scratch,
                     {i for i, n in enumerate(shape) if i < lead or (out[i - lead] == 1 and n != 1)})


def reduction(data, out, kernel, scratch, axes):
    """What to launch to reduce ``axes`` of ``data``."""
    operation, whole, last = OPERATIONS[kernel]
    operation = operation if "float" in data.dtype else whole
    kind, result = c_type(data, kernel), "bool" if out.dtype == "bool" else c_type(out, kernel)
    by_rows, kept, repeated, length = extents(data.shape, axes)
    if data.size == 0:
        by_rows, kept, repeated, length = True, [(out.size, (0,))], [], 0
    items = (rows if by_rows else columns)(kept, repeated, length, data.dtype)
    count, name = data.size // out.size, "rows" if by_rows else "columns"
    source = ('#include "mxcy/gpu/kernels/reduce.cuh"\n'
              f"MXCY_REDUCE({name}, {operation}, {last}, {kind}, {result}, {items.vector})\n")
    if items.shares == 1:
        return [launch(source, name, items.grid, THREADS, out, 0, data, items.packed, count)]
    source += f"MXCY_JOIN_SHARES({operation}, {last}, {kind}, {result})\n"
    parts, lanes = scratch(8 * items.shares * out.size), joining_lanes(out.size)
    return [launch(source, name, items.grid, THREADS, out, parts, data, items.packed, count),
            launch(source, "join_shares", grid(out.size * lanes), THREADS, out, parts, out.size, items.shares, lanes,
                   count)]


def extents(shape, axes):
    """Neighbouring axes that are all kept or all reduced as one: (whether the last one is reduced; sizes and strides of
    the others that are kept and that are reduced, the last first; size of the last one)."""
    runs = []
    for axis in reversed(range(len(shape))):
        if shape[axis] == 1:
            continue
        if runs and runs[-1][0] == (axis in axes):
            runs[-1][1] *= shape[axis]
        else:
            runs.append([axis in axes, shape[axis]])
    (by_rows, length), lists = runs[0] if runs else (True, 1), ([], [])
    stride = length
    for reduced, n in runs[1:]:
        lists[reduced].append((n, (stride,)))
        stride *= n
    return by_rows, *lists, length
