"""Sorting rows, and selecting from them: the launches of mxcy/gpu/kernels/order.cuh, radix.cuh and radix_select.cuh."""
import struct
from typing import NamedTuple

from mxcy.gpu.recipe import Fill, launch
from mxcy.ops.cuda.items import power_of_two

__all__ = ["SHORT_TILE", "Rows", "select_first", "sort_rows"]

DIGITS, TILE, SHARES = 256, 4096, 1024          # DIGITS, RADIX_TILE and SHARES of radix.cuh
SHORT_TILE = 2048                               # ORDER_TILE of order.cuh
SPAN = 512                                      # elements that a block sorts at least, where rows are short
LIMIT = 32                                      # bytes of struct Limit
NARROW = 1 << 32                                # rows of fewer elements have 32-bit positions


class Rows(NamedTuple):
    """The rows of data (outer, n, inner), and what is wanted of each."""

    kind: str                       # C++ type of the elements
    nbytes: int                     # of one
    index_kind: str                 # C++ type of the indices
    count: int                      # outer * inner
    n: int
    inner: int
    k: int                          # how many are wanted
    descending: bool
    exact: bool                     # -0 comes before 0, and values are made of keys; else they tie

    @property
    def packed(self):
        """Struct Order of order.cuh."""
        return struct.pack("6q", *self[3:])

    @property
    def position(self):
        """C++ type of a position in a row, and its bytes."""
        return ("uint32_t", 4) if self.n < NARROW else ("uint64_t", 8)

    def source(self, header, macro):
        """Text of kernels."""
        kinds = f"{self.kind}, {self.index_kind}, {self.position[0]}"
        return f'#include "mxcy/gpu/kernels/{header}.cuh"\n{macro}({kinds})\n'

    def shares(self):
        """Struct Shares of radix.cuh, and how many of a row they are: a few for each multiprocessor, if it is long."""
        tiles = -(-self.n // TILE)
        each = -(-tiles // SHARES)
        count = -(-tiles // each)
        return struct.pack("2q", count, each), count


def sort_short(rows, x, wanted, given=0):
    """Rows of up to SHORT_TILE elements: those of x, or the k entries ``given`` for each."""
    length = rows.k if given else rows.n
    padded = power_of_two(length)
    span = max(padded, SPAN)
    return launch(rows.source("order", "MXCY_SORT_SHORT"), "sort_short", -(-rows.count // (span // padded)), 256,
                  *wanted, given, x, rows.packed, length, padded, span)


def sort_rows(rows, x, wanted, passes, scratch):
    """Launches that sort rows by the lowest bytes of their keys.

    Parameters
    ----------
    rows : Rows
    x : Array or Pointer
    wanted : list of Array or Pointer or 0
        Where values, indices and the mask go.
    passes : int
        How many bytes of the keys differ at all.
    scratch : callable
    """
    if rows.n <= SHORT_TILE:
        return [sort_short(rows, x, wanted)]
    source, position_bytes = rows.source("radix", "MXCY_SORT_LONG"), rows.position[1]
    shares, count = rows.shares()
    blocks, indexed = rows.count * count, wanted[1] or wanted[2]
    buffers = min(passes - 1, 2)                # the first pass reads the data, the last one writes the results
    keys = [scratch(rows.count * rows.n * rows.nbytes) for _ in range(buffers)]
    at = [scratch(rows.count * rows.n * position_bytes) for _ in range(buffers if indexed else 0)]
    spare = [*keys, *[0] * (2 - len(keys)), *at, *[0] * (2 - len(at)), scratch(4 * rows.count * passes)]
    counts, totals = (scratch(many * DIGITS * position_bytes) for many in (blocks, rows.count))
    launches = []
    for i in range(passes):
        launches += [
            launch(source, "count_digits", blocks, DIGITS, counts, *spare, x, rows.packed, shares, i),
            launch(source, "add_shares", rows.count * DIGITS // 32, 32 * min(power_of_two(count), 32), counts, totals,
                   count),
            launch(source, "move_by_digit", blocks, DIGITS, *wanted, *spare, counts, totals, x, rows.packed, shares, i,
                   int(i + 1 == passes))]
    return launches


def select_first(rows, x, wanted, scratch):
    """Launches that find the first k of each row, up to SHORT_TILE, and put them in order."""
    position, position_bytes = rows.position
    source = f'#include "mxcy/gpu/kernels/radix_select.cuh"\nMXCY_SELECT_LONG({rows.kind}, {position})\n'
    shares, count = rows.shares()
    blocks = rows.count * count
    levels = rows.nbytes + -(-(rows.n - 1).bit_length() // 8)
    sizes = struct.pack("2q", levels, rows.nbytes)
    counted = levels * rows.count * DIGITS * position_bytes
    cleared = counted + 4 * rows.count
    counts = scratch(cleared)
    taken = counts + counted
    limits = scratch(LIMIT * levels * rows.count)
    entries = scratch(rows.count * rows.k * (16 if 8 in (rows.nbytes, position_bytes) else 8))
    return [Fill(counts, cleared),
            *[launch(source, "count_level", blocks, DIGITS, limits, counts, x, rows.packed, shares, sizes, level)
              for level in range(levels)],
            launch(source, "take_first", blocks, DIGITS, entries, taken, limits, counts, x, rows.packed, shares,
                   sizes),
            sort_short(rows, x, wanted, entries)]
