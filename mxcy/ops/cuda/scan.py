"""Running sums along an axis, from either end."""
import struct

from mxcy.gpu.recipe import launch
from mxcy.ops import _scan
from mxcy.ops.cuda.items import BLOCKS, around, power_of_two
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import divisor

__all__ = []

DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")
SHORT = 128                         # elements of a row that part of a warp sums
LEAST = 64                          # elements of a column that a share has at least
MOST_SHARES = 256                   # of a column: each thread sums what is before its own


@rule(_scan.cumsum)
def cumsum(ins, outs, kernel, params, scratch):
    axis, flat, reverse = struct.unpack("3i", kernel.pack(params))
    x, out = ins[0], outs[0]
    outer, n, inner = around(x.shape, None if flat else axis)
    if inner == 1:
        lanes = min(power_of_two(n), 32) if n <= SHORT else THREADS
        shares = min(BLOCKS // outer, n // (16 * THREADS)) if lanes == THREADS else 1
    else:
        lanes, shares = 1, min(BLOCKS * THREADS // (outer * inner), n // LEAST, MOST_SHARES)
    per_share = -(-n // max(shares, 1))
    shares = -(-n // per_share)
    name, items = ("row", outer * shares * lanes) if inner == 1 else ("column", outer * inner * shares)
    kind = c_type(x, kernel, DTYPES)
    source = f'#include "mxcy/gpu/kernels/scan.cuh"\nMXCY_SCAN({name}s, {kind})\n'
    scan = b"".join([struct.pack("2q", outer, n), *map(divisor, (inner, shares, outer * inner)),
                     struct.pack("3q", per_share, lanes, reverse)])
    if shares == 1:
        return [launch(source, f"{name}s", grid(items), THREADS, out, x, 0, scan)]
    source += f"MXCY_SCAN_TOTALS({name}_totals, {kind})\n"
    totals = scratch(8 * outer * inner * shares)
    return [launch(source, f"{name}_totals", grid(items), THREADS, totals, x, scan),
            launch(source, f"{name}s", grid(items), THREADS, out, x, totals, scan)]
