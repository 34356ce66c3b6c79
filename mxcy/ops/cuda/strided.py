"""Copies between parts of arrays: what the rules of slices, transposition, joining and padding are made of."""
import struct
from math import prod

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import SCALAR, launch
from mxcy.ops.cuda.rules import C_TYPES, THREADS, grid

__all__ = ["copy_bytes", "copy_strided", "dense", "divisor", "fill_strided", "index_type", "widest"]

WORDS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}
LEAST_SIDE = 8                      # shorter rows or columns are not worth a tile: the caches serve them


def dense(shape):
    """Strides of an array without gaps, in elements."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return strides[::-1]


def divisor(number):
    """The struct Divisor of division.cuh."""
    shift = (number - 1).bit_length()
    wide, factor = ((((1 << shift) - number << bits) // number + 1) & (1 << bits) - 1 for bits in (64, 32))
    return struct.pack("qQII", number, wide, factor, shift)


def index_type(n):
    """What to number n items with: 32 bits where `divisor` is exact."""
    return "uint32_t" if n < 1 << 31 else "int64_t"


def widest(itemsize, *numbers):
    """How many elements can move as one item of at most 16 bytes, so that these numbers of elements are whole items."""
    count = 16 // itemsize
    while any(number % count for number in numbers):
        count //= 2
    return count


def copy_bytes(out, data, nbytes):
    """The launch that copies bytes without gaps; nothing if both are the same."""
    source = '#include "mxcy/gpu/kernels/copy.cuh"\n'
    return launch(source, "copy", grid(-(-nbytes // 16)), THREADS, out, data, nbytes)


def join_axes(shape, to, source):
    """Axes as (size, stride in the output, stride in the input), the smallest output stride first; neighbours joined.

    Returns
    -------
    axes : list of tuple
    out_offset, in_offset : int
        Where to begin, in elements: axes along which the output runs backwards are turned.
    """
    axes, offsets = [], [0, 0]
    for n, d, s in zip(shape, to, source):
        if n == 1:
            continue
        if d < 0:
            offsets[0] += (n - 1) * d
            offsets[1] += (n - 1) * s
            d, s = -d, -s
        axes.append((n, d, s))
    joined = []
    for n, d, s in sorted(axes, key=lambda axis: axis[1]):
        if joined and (d, s) == (joined[-1][0] * joined[-1][1], joined[-1][0] * joined[-1][2]):
            joined[-1] = joined[-1][0] * n, *joined[-1][1:]
        else:
            joined.append((n, d, s))
    return joined or [(1, 1, 1)], *offsets


def pack_walk(axes):
    """The struct Walk of strided.cuh, and its number of axes: few numbers of them, to compile few kernels."""
    count = next(n for n in (1, 2, 3, 4, 6, 8, 16, 64) if n >= len(axes))
    axes = axes + [(1, 0, 0)] * (count - len(axes))
    return b"".join(divisor(n) for n, _, _ in axes) + struct.pack(
        f"{2 * count}q", *(d for _, d, _ in axes), *(s for _, _, s in axes)), count


def copy_strided(out, to, data, source, shape, itemsize):
    """The launches that copy items of any dtype.

    Parameters
    ----------
    out : Pointer
        First item of the output.
    to : list of int
        Its strides, in elements.
    data : Pointer
        First item of the input.
    source : list of int
        Its strides, which may be 0.
    shape : tuple of int
    itemsize : int

    Returns
    -------
    list of Launch
    """
    if 0 in shape:
        return []
    axes, *offsets = join_axes(shape, to, source)
    out, data = (pointer + offset * itemsize for pointer, offset in zip((out, data), offsets))
    count = 1
    if axes[0][1:] == (1, 1):
        if len(axes) == 1:
            return [copy_bytes(out, data, axes[0][0] * itemsize)]
        starts = [pointer.offset // itemsize for pointer in (out, data)]
        count = widest(itemsize, axes[0][0], *starts, *(step for axis in axes[1:] for step in axis[1:]))
        axes = [(axes[0][0] // count, 1, 1), *((n, d // count, s // count) for n, d, s in axes[1:])]
        axes = axes if axes[0][0] > 1 else axes[1:]
    elif axes[0][1] == 1 and axes[0][0] >= LEAST_SIDE:
        for i, (n, _, s) in enumerate(axes):
            if s == 1 and n >= LEAST_SIDE:
                return [transpose(out, data, [axes[0], axes[i], *axes[1:i], *axes[i + 1:]], itemsize)]
    return [copy_items(out, data, axes, count, itemsize)]


def copy_items(out, data, axes, count, itemsize):
    """Each thread moves items of ``count`` elements."""
    n = prod(axis[0] for axis in axes)
    walk, room = pack_walk(axes)
    word = WORDS[itemsize]
    source = f"""#include "mxcy/gpu/kernels/strided.cuh"
extern "C" __global__ void copy_strided({word}* out, const {word}* in, mxcy::Walk<{room}> walk, int64_t n) {{
    mxcy::copy_strided<{word}, {count}, {room}, {index_type(n)}>(out, in, walk, n);
}}
"""
    turns = 1 if count * itemsize == 16 else 4
    return launch(source, "copy_strided", grid(-(-n // turns)), THREADS, out, data, walk, n)


def transpose(out, data, axes, itemsize):
    """Tiles go through shared memory: the output runs along the first of the axes, the input along the second."""
    (rows, *down), (columns, *right), *others = axes
    word, side = WORDS[itemsize], 32 if itemsize > 2 else 64
    tiles = [(-(-rows // side), *down), (-(-columns // side), *right), *others]
    walk, room = pack_walk(tiles)
    source = f"""#include "mxcy/gpu/kernels/strided.cuh"
extern "C" __global__ void transpose({word}* out, const {word}* in, mxcy::Walk<{room}> walk, int64_t rows,
                                     int64_t columns) {{
    mxcy::transpose_tiles<{word}, {side}, {room}>(out, in, walk, rows, columns);
}}
"""
    return launch(source, "transpose", prod(tile[0] for tile in tiles), (32, 8), out, data, walk, rows, columns)


def fill_strided(out, to, shape, dtype, number=SCALAR):
    """The launches that write a number to items of an output; see `copy_strided`."""
    if 0 in shape:
        return []
    axes, offset, _ = join_axes(shape, to, [0] * len(shape))
    n = prod(axis[0] for axis in axes)
    walk, room = pack_walk(axes)
    kind = "bool" if dtype == "bool" else C_TYPES[dtype]
    source = f"""#include "mxcy/gpu/kernels/strided.cuh"
extern "C" __global__ void fill_strided({kind}* out, double value, mxcy::Walk<{room}> walk, int64_t n) {{
    mxcy::fill_strided<{kind}, {room}, {index_type(n)}>(out, value, walk, n);
}}
"""
    size = NUMPY[dtype].itemsize
    return [launch(source, "fill_strided", grid(n), THREADS, out + offset * size, number, walk, n)]
