"""Joining arrays along an axis, and cutting them into parts: one launch for up to 64 of them."""
import struct
from itertools import accumulate
from math import prod

from mxcy.gpu.recipe import launch
from mxcy.ops import _shape
from mxcy.ops.cuda.rules import THREADS, grid, rule
from mxcy.ops.cuda.shape import size_of
from mxcy.ops.cuda.strided import WORDS, divisor, index_type, widest

__all__ = []

MOST = 64                           # parts of a launch: the table of a kernel's parameters has 4 KiB


@rule(_shape.join)
def join(ins, outs, params):
    return side_by_side(outs[0], ins, params, deal=False)


@rule(_shape.split)
def split(ins, outs, params):
    return side_by_side(ins[0], outs, params, deal=True)


def side_by_side(whole, parts, params, deal):
    """The launches that join parts into a whole, or deal it out to them."""
    axis = params["dim"] if "dim" in params else params["axis"]
    rows = prod(whole.shape[:axis % len(whole.shape)])
    parts = [part for part in parts if part.size]
    launches, done = [], 0
    for first in range(0, len(parts), MOST):
        some = parts[first:first + MOST]
        begins = [0, *accumulate(part.size // rows for part in some)]
        launches.append(join_some(whole, some, begins, rows, done, deal))
        done += begins[-1]
    return launches


def join_some(whole, parts, begins, rows, before, deal):
    """One launch; ``before``: where the columns of these parts begin in the rows of the whole."""
    stride, size = whole.size // rows, size_of(whole)
    count = widest(size, stride, before, *begins)
    begins = [begin // count for begin in begins]
    room = next(n for n in (2, 4, 16, MOST) if n >= len(parts))
    n, word = rows * begins[-1], WORDS[size]
    fill = room - len(parts)
    table = struct.pack(f"{room + 1}q", *begins, *(2**63 - 1,) * fill)
    source = f"""#include "mxcy/gpu/kernels/join.cuh"
extern "C" __global__ void join({word}* whole, const __grid_constant__ mxcy::Parts<{room}> parts,
                                mxcy::Divisor width, int64_t stride, int64_t n) {{
    mxcy::join<{word}, {count}, {room}, {str(deal).lower()}, {index_type(n)}>(whole, parts, width, stride, n);
}}
"""
    turns = 1 if count * size == 16 else 4
    return launch(source, "join", grid(-(-n // turns)), THREADS, whole.pointer + before * size,
                  *(part.pointer for part in parts), *(0,) * fill, table, divisor(begins[-1]), stride // count, n)
