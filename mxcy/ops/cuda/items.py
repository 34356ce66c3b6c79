"""Who reduces what: the struct Items of mxcy/gpu/kernels/items.cuh, and the grid that goes with it."""
import math
import struct
from typing import NamedTuple

from mxcy.dtype import NUMPY
from mxcy.ops.cuda.axes import pack_axes
from mxcy.ops.cuda.rules import THREADS
from mxcy.ops.cuda.strided import divisor

__all__ = ["BLOCKS", "Items", "around", "column_lanes", "columns", "joining_lanes", "power_of_two", "rows"]

BLOCKS = 1024                       # enough to fill a GPU: a few for each of its multiprocessors
WIDEST = 8                          # elements of a pack, at most


class Items(NamedTuple):
    """How the elements are divided."""

    packed: bytes                   # struct Items
    grid: int                       # blocks of THREADS threads
    vector: int                     # elements of an item
    shares: int
    lanes: int


def rows(kept, repeated, length, dtype, *, shared=True):
    """Results of runs of ``length`` neighbours.

    Parameters
    ----------
    kept, repeated : list of (int, tuple of int)
        Size and stride of the axes with a result each, and of those with a run each; the last axis first.
    length : int
    dtype : str
    shared : bool
        Whether several blocks may share a result.
    """
    vector = vector_of(length, kept + repeated, dtype)
    outputs, count = size(kept), size(repeated) * (length // vector)
    if count >= 1024 or (count > 128 and outputs < 2 * BLOCKS):
        lanes = THREADS
    else:
        lanes = min(power_of_two(-(-count // 2)), 32)
    shares = min(BLOCKS // max(outputs, 1), count // (8 * THREADS)) if shared and lanes == THREADS else 1
    return make(kept, repeated, length // vector, count, shares, lanes, outputs, vector,
                lambda shares: -(-outputs * shares // (THREADS // lanes)))


def columns(kept, repeated, length, dtype, *, shared=True):
    """Results of ``length`` neighbours each, joined over the axes ``repeated``."""
    vector = vector_of(length, kept + repeated, dtype)
    outputs, count, packs = size(kept), size(repeated), length // vector
    lanes = column_lanes(outputs * packs, count)
    blocks = -(-outputs * packs // lanes)
    shares = min(BLOCKS // max(blocks, 1), count // (8 * THREADS // lanes)) if shared else 1
    return make(kept, repeated, packs, count, shares, lanes, outputs, vector, lambda shares: blocks * shares)


def column_lanes(columns, n):
    """How many columns of ``n`` lie side by side in a block, so that there are enough blocks and enough for a thread to
    do."""
    tall = 1
    while tall < 32 and 4 * tall <= n and (tall < 8 or columns * tall < BLOCKS * THREADS // 4):
        tall *= 2
    return min(THREADS // tall, power_of_two(columns))


def make(kept, repeated, length, count, shares, lanes, outputs, vector, blocks):
    per_share = -(-count // max(shares, 1))
    shares = max(-(-count // max(per_share, 1)), 1)
    across = max(-(-outputs * length // lanes), 1)
    packed = b"".join([pack_axes(kept), pack_axes(repeated), *map(divisor, (max(length, 1), shares, across)),
                       struct.pack("4q", count, outputs, per_share, lanes)])
    return Items(packed, blocks(shares), vector, shares, lanes)


def vector_of(length, axes, dtype):
    """Elements that can be read at once: as many as 16 bytes hold, or one."""
    vector = min(16 // NUMPY[dtype].itemsize, WIDEST)
    return 1 if length % vector or any(stride % vector for _, (stride,) in axes) else vector


def size(axes):
    return math.prod(n for n, _ in axes)


def power_of_two(n):
    """The smallest power of two that is not below ``n``."""
    return 1 << max(n - 1, 0).bit_length()


def joining_lanes(outputs):
    """Threads that join the shares of one result."""
    return 32 if outputs < 4096 else 1


def around(shape, axis):
    """``shape`` seen around an axis, or as one row if it is None: (outer, n, inner)."""
    if axis is None:
        return 1, math.prod(shape), 1
    axis %= len(shape)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1:])
