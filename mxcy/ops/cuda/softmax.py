"""Softmax and log-softmax, forward and backward."""
import struct

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import blocks, launch
from mxcy.ops import _softmax
from mxcy.ops.cuda.items import around, column_lanes, power_of_two
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import divisor

__all__ = ["FLOATS", "held_packs", "row_grid", "row_threads", "softmax_launch"]

FLOATS = ("float32", "float64", "float16", "bfloat16")
LENGTHS = ("int8", "uint8", "int32", "int64")
INDICES = ("float32", "float64", "float16", "uint8", "int32", "int8", "int64")
HEADER = '#include "mxcy/gpu/kernels/softmax.cuh"\n'
MOST_HELD = 4                       # packs of a row that a thread keeps
LARGEST = 1024                      # threads of a block
MOST_OF_LARGEST = 16                # elements that a thread of the largest block has registers for


def row_threads(packs):
    """How many threads work on a row: up to a warp, or all of a block."""
    if packs <= 32 * MOST_HELD:
        return min(power_of_two(packs), 32)
    return THREADS if packs <= THREADS * MOST_HELD else LARGEST


def row_grid(rows, lanes):
    """(Blocks, threads of each) for rows with ``lanes`` threads each."""
    threads = max(lanes, THREADS)
    return blocks(rows, threads // lanes), threads


def held_packs(n, vector, lanes):
    """How many packs of a row of ``n`` elements each of its threads keeps in registers; 0 if the row is too long."""
    held = power_of_two(-(-n // (vector * lanes)))
    return 0 if held > MOST_HELD or (lanes == LARGEST and held * vector > MOST_OF_LARGEST) else held


def softmax_launch(kernel, x, out, length, view, scale, log):
    """The launch of a softmax of ``x``, seen as ``view``: (outer, n, inner)."""
    outer, n, inner = view
    kinds = (c_type(x, kernel, FLOATS), c_type(out, kernel, FLOATS),
             c_type(length, kernel, LENGTHS) if length else "int32_t")
    log, scale, length = "true" if log else "false", np.float64(scale), length or 0
    if inner > 1:
        lanes = column_lanes(outer * inner, n)
        source = f"{HEADER}MXCY_SOFTMAX_COLUMNS({log}, {', '.join(kinds)})\n"
        return [launch(source, "columns", grid(outer * inner, lanes), THREADS, out, x, length, outer * inner, n,
                       divisor(inner), scale, lanes)]
    vector = 16 // NUMPY[x.dtype].itemsize
    vector = 1 if n % vector else vector
    lanes = row_threads(n // vector)
    held, (count, threads) = held_packs(n, vector, lanes), row_grid(outer, lanes)
    source = f"{HEADER}MXCY_SOFTMAX({log}, {vector}, {held}, {threads}, {', '.join(kinds)})\n"
    return [launch(source, "rows", count, threads, out, x, length, outer, n, scale, lanes)]


@rule(_softmax.softmax, _softmax.softmin, _softmax.log_softmax)
def softmax(ins, outs, kernel, params):
    scale, axis, log = struct.unpack("dii", kernel.pack(params))
    x, length = ins[0], ins[1] if len(ins) > 1 else None
    return softmax_launch(kernel, x, outs[0], length, around(x.shape, axis), scale, log)


@rule(_softmax.softmax_backward, _softmax.softmin_backward, _softmax.log_softmax_backward)
def softmax_backward(ins, outs, kernel, params):
    scale, axis, log = struct.unpack("dii", kernel.pack(params))
    (g, y), length, out = ins[:2], ins[2] if len(ins) > 2 else None, outs[0]
    outer, n, inner = around(y.shape, axis)
    vector = 16 // NUMPY[y.dtype].itemsize
    vector = 1 if n % vector else vector
    kinds = f"{c_type(y, kernel, FLOATS)}, {c_type(length, kernel, LENGTHS) if length else 'int32_t'}"
    log = "true" if log else "false"
    arguments = [out, g, y, length or 0]
    if inner > 1:
        lanes = column_lanes(outer * inner, n)
        source = f"{HEADER}MXCY_SOFTMAX_COLUMNS_BACKWARD({log}, {kinds})\n"
        return [launch(source, "columns", grid(outer * inner, lanes), THREADS, *arguments, outer * inner, n,
                       divisor(inner), np.float64(scale), lanes)]
    lanes = row_threads(n // vector)
    count, threads = row_grid(outer, lanes)
    source = f"{HEADER}MXCY_SOFTMAX_BACKWARD({log}, {vector}, {threads}, {kinds})\n"
    return [launch(source, "rows", count, threads, *arguments, outer, n, np.float64(scale), lanes)]


@rule(_softmax.picked_backward)
def picked_backward(ins, outs, kernel, params):
    scale, mode = struct.unpack("di", kernel.pack(params))
    (g, index, y), out = ins, outs[0]
    kind = "mxcy_index::Half" if index.dtype == "float16" else c_type(index, kernel, INDICES)
    source = f"{HEADER}MXCY_PICKED({c_type(y, kernel, FLOATS)}, {kind})\n"
    return [launch(source, "picked", grid(out.size), THREADS, out, g, index, y, out.size,
                   divisor(out.shape[-1]), np.float64(scale), mode)]
