"""argmax and argmin along one axis, or over all elements."""
import struct

from mxcy.base import MXNetValueError
from mxcy.gpu.recipe import launch
from mxcy.ops import _argmax
from mxcy.ops.cuda.items import around, columns, joining_lanes, rows
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

__all__ = []

DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")


@rule(_argmax.argmax, _argmax.argmin)
def argmax(ins, outs, kernel, params, scratch):
    largest, axis, flat = struct.unpack("3i", kernel.pack(params))
    x, out = ins[0], outs[0]
    outer, n, inner = around(x.shape, None if flat else axis)
    if n == 0:
        raise MXNetValueError(f"{kernel.name}: there is no element along the axis to find in data of shape {x.shape}")
    if inner == 1:
        items = rows([(outer, (n,))], [], n, x.dtype)
    else:
        items = columns([(outer, (n * inner,))], [(n, (inner,))], inner, x.dtype)
    kinds = f"{c_type(x, kernel, DTYPES)}, {c_type(out, kernel, DTYPES)}"
    operation, by_rows = "Max" if largest else "Min", "true" if inner == 1 else "false"
    source = ('#include "mxcy/gpu/kernels/argmax.cuh"\n'
              f"MXCY_ARGMAX({operation}, {by_rows}, {items.vector}, {kinds})\n")
    if items.shares == 1:
        return [launch(source, "best", items.grid, THREADS, out, 0, x, items.packed)]
    lanes = joining_lanes(out.size)
    source += f"MXCY_ARGMAX_OF_SHARES({operation}, {kinds})\n"
    parts = scratch(16 * items.shares * out.size)           # structs Place
    return [launch(source, "best", items.grid, THREADS, out, parts, x, items.packed),
            launch(source, "best_of_shares", grid(out.size * lanes), THREADS, out, parts, out.size, items.shares,
                   lanes)]
