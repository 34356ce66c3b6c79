"""sort, argsort and topk along one axis."""
import struct

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Fill
from mxcy.ops import _order
from mxcy.ops.cuda.items import around
from mxcy.ops.cuda.rules import c_type, rule
from mxcy.ops.cuda.sorting import SHORT_TILE, Rows, select_first, sort_rows

__all__ = []

DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")
VALUE, INDEX, MASK = 1, 2, 4        # what a call puts out, in this order, as in _order.pyx


@rule(_order.sort, _order.argsort, _order.topk)
def order(ins, outs, kernel, params, scratch):
    """Three ways, by how often they go through memory.

    - Short rows are read once, and sorted in shared memory.
    - The first few of a long row: a key of b bytes is read b times to find the last one of them, mostly less often, and
      once more to take them. Hardly anything is written.
    - All others: each of b passes reads the keys twice and the positions once, and writes both. With b = 1 nothing is
      written but what is wanted, so that it takes no more than selecting would.
    """
    axis, flat, descending, want, k = struct.unpack("4in", kernel.pack(params))
    x, outs = ins[0], list(outs)
    if x.size == 0:
        return []
    outer, n, inner = around(x.shape, None if flat else axis)
    wanted = _, index, mask = [outs.pop(0) if want & part else 0 for part in (VALUE, INDEX, MASK)]
    rows = Rows(c_type(x, kernel, DTYPES), NUMPY[x.dtype].itemsize, c_type(index, kernel) if index else "int32_t",
                outer * inner, n, inner, k or n, descending, want == VALUE)
    if n > SHORT_TILE >= rows.k and rows.nbytes > 1:
        launches = select_first(rows, x, wanted, scratch)
    else:
        launches = sort_rows(rows, x, wanted, rows.nbytes, scratch)
    return [Fill(mask.pointer, mask.nbytes), *launches] if mask else launches
