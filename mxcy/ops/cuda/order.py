"""sort, argsort and topk along one axis."""
import struct

from mxcy.gpu.recipe import Fill, blocks, launch
from mxcy.ops import _order
from mxcy.ops.cuda.items import around, power_of_two
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

__all__ = []

DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")
TILE = 2048                         # ORDER_TILE of order.cuh
SPAN = 512                          # elements that a block sorts at least
VALUE, INDEX, MASK = 1, 2, 4        # what a call puts out, in this order, as in _order.pyx


@rule(_order.sort, _order.argsort, _order.topk)
def order(ins, outs, kernel, params, scratch):
    axis, flat, descending, want, k = struct.unpack("4in", kernel.pack(params))
    x, outs = ins[0], list(outs)
    if x.size == 0:
        return []
    outer, n, inner = around(x.shape, None if flat else axis)
    rows, k = outer * inner, k or n
    value, index, mask = (outs.pop(0) if want & part else 0 for part in (VALUE, INDEX, MASK))
    wanted = value, index, mask
    padded = min(power_of_two(n), TILE)
    tiles, span = -(-n // padded), max(padded, SPAN)
    at = "uint32_t" if n < 1 << 32 else "int64_t"
    source = ('#include "mxcy/gpu/kernels/order.cuh"\n'
              f"MXCY_ORDER({c_type(x, kernel, DTYPES)}, {c_type(index, kernel) if index else 'int32_t'}, {at})\n")
    numbers = struct.pack("9q", rows, n, inner, k, descending, want == VALUE, tiles, padded, span)
    sorting = blocks(rows * tiles, span // padded)
    start = [Fill(mask.pointer, mask.nbytes)] if mask else []
    if tiles == 1:
        return [*start, launch(source, "sort_tiles", sorting, THREADS, *wanted, 0, x, numbers, k, k)]
    length = min(k, padded)
    entries = (tiles - 1) * length + min(length, n - (tiles - 1) * padded)
    nbytes = rows * entries * (8 if at == "uint32_t" and x.dtype not in ("float64", "int64") else 16)
    runs, other = scratch(nbytes), scratch(nbytes)
    launches = [*start, launch(source, "sort_tiles", sorting, THREADS, *wanted, runs, x, numbers, length, entries)]
    while entries > length:
        kept, pairs = min(2 * length, k), -(-entries // (2 * length))
        left = (pairs - 1) * kept + min(entries - (pairs - 1) * 2 * length, kept)
        launches.append(launch(source, "merge_runs", grid(rows * entries), THREADS, other, runs, rows, entries, length,
                               kept, left))
        runs, other, length, entries = other, runs, kept, left
    return [*launches, launch(source, "emit_rows", grid(rows * k), THREADS, *wanted, runs, x, numbers)]
