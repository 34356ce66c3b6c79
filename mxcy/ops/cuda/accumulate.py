"""Gradients of take, Embedding and gather_nd: items are added up where their indices say, in a fixed order."""
from math import prod

import numpy as np

from mxcy.base import MXNetValueError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import NOTICE, Fill, blocks, launch
from mxcy.ops import _index
from mxcy.ops.cuda.indexing import around, extents_of, index_kind, mode_name
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import widest

__all__ = []

SORT_ITEMS, DIGIT_BITS, SCAN_THREADS, LONG, LONG_LANES = 2048, 4, 1024, 256, 16     # as in accumulate.cuh
HEADER = '#include "mxcy/gpu/kernels/accumulate.cuh"\n'
SORT = HEADER + """
extern "C" __global__ void count_digits(const uint32_t* keys, uint32_t* counts, int shift, int64_t n) {
    mxcy::count_digits(keys, counts, shift, n);
}
extern "C" __global__ void scan_counts(uint32_t* counts, int64_t n) { mxcy::scan_counts(counts, n); }
extern "C" __global__ void move_by_digit(const uint32_t* keys, const uint32_t* items, const uint32_t* counts,
                                         uint32_t* keys_out, uint32_t* items_out, int shift, int64_t n) {
    mxcy::move_by_digit(keys, items, counts, keys_out, items_out, shift, n);
}
"""


def place_keys(indices, kernel, expression, parameters):
    """Source of the kernel that computes the place of each item, and numbers the items."""
    return f"""{HEADER}extern "C" __global__ void place_items(uint32_t* keys, uint32_t* items,
        const {index_kind(indices, kernel)}* indices, {parameters}, mxcy::Notice* notice,
        int64_t n) {{
    for (int64_t i = mxcy::first_item(); i < n; i += mxcy::grid_step()) {{
        keys[i] = uint32_t({expression});
        items[i] = uint32_t(i);
    }}
}}
"""


def sort(keys, items, bits, n, scratch):
    """Launches that sort pairs of 32-bit numbers by the lowest bits of the keys; and where they then are."""
    count = blocks(n, SORT_ITEMS)
    counts = scratch(4 * 16 * count)
    here, there = (keys, items), (scratch(4 * n), scratch(4 * n))
    launches = []
    for shift in range(0, bits, DIGIT_BITS):
        launches += [
            launch(SORT, "count_digits", count, THREADS, here[0], counts, np.int32(shift), n),
            launch(SORT, "scan_counts", 1, SCAN_THREADS, counts, 16 * count),
            launch(SORT, "move_by_digit", count, THREADS, *here, counts, *there, np.int32(shift), n)]
        here, there = there, here
    return launches, *here


def accumulate(g, out, kernel, scratch, source, arguments, sizes):
    """out[o, k] = the sum of g[o, i] over the i whose place is k.

    Parameters
    ----------
    g, out : Array
    kernel : Kernel
    scratch : callable
    source : str
        What `place_keys` gives.
    arguments : list
        Of its kernel: the indices and what its parameters are.
    sizes : tuple of int
        Outer size, number of items, places, elements of an item.
    """
    outer, m, places, inner = sizes
    kind = c_type(out, kernel, ("float32", "float64", "float16", "bfloat16"))
    if m == 0:
        return [Fill(out.pointer, out.nbytes)]
    if m >= 1 << 32 or places >= 1 << 32:
        raise MXNetValueError(f"{kernel.name}: {m} indices into {places} places; a GPU takes fewer than 2^32")
    keys, items = scratch(4 * m), scratch(4 * m)
    launches, keys_sorted, order = sort(keys, items, max(places - 1, 1).bit_length(), m, scratch)
    count = widest(NUMPY[out.dtype].itemsize, inner)
    inner //= count
    parameters = f"{kind}* out, const {kind}* g, const uint32_t* keys, const uint32_t* order, int64_t m, int64_t places"
    sums = f"""{HEADER}extern "C" __global__ void add_items({parameters}, int64_t inner, int64_t n) {{
    mxcy::add_items<{kind}, {count}>(out, g, keys, order, m, places, inner, n);
}}
extern "C" __global__ void add_long_runs({parameters}, int64_t inner, int64_t outer) {{
    mxcy::add_long_runs<{kind}, {count}>(out, g, keys, order, m, places, inner, outer);
}}
"""
    n = outer * places * inner
    launches = [launch(source, "place_items", grid(m), THREADS, keys, items, *arguments, NOTICE, m), *launches,
                launch(sums, "add_items", grid(n), THREADS, out, g, keys_sorted, order, m, places, inner, n)]
    if m > LONG:
        launches.append(launch(sums, "add_long_runs", blocks(m, LONG), (32, LONG_LANES), out, g, keys_sorted, order, m,
                               places, inner, outer))
    return launches


@rule(_index.take_backward_)
def take_backward(ins, outs, scratch, kernel, params):
    (g, indices), out = ins, outs[0]
    outer, places, inner = around(out.shape, params.get("axis", 0))
    place = f"mxcy::index_at<{mode_name(params)}>(indices, i, places, notice)"
    source = place_keys(indices, kernel, place, "int64_t places")
    return accumulate(g, out, kernel, scratch, source, [indices, places], (outer, indices.size, places, inner))


@rule(_index.gather_nd_backward_)
def gather_nd_backward(ins, outs, scratch, kernel):
    (g, indices), out = ins, outs[0]
    extents, axes, inner, m = extents_of(out, indices, kernel)
    place = "mxcy::place_of(indices, extents, n, i, notice)"
    source = place_keys(indices, kernel, place, f"mxcy::Extents<{axes}> extents")
    return accumulate(g, out, kernel, scratch, source, [indices, extents],
                      (1, m if g.size else 0, prod(out.shape[:axes]), inner))
