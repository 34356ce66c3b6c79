"""Gradients of take, Embedding and gather_nd: items are added up where their indices say, in a fixed order."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import NOTICE, Fill, blocks, launch
from mxcy.ops import _index
from mxcy.ops.cuda.indexing import around, extents_of, index_kind, mode_name
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.sorting import Rows, sort_rows
from mxcy.ops.cuda.strided import divisor, widest

__all__ = []

LONG, LONG_LANES = 256, 16          # as in accumulate.cuh
HEADER = '#include "mxcy/gpu/kernels/accumulate.cuh"\n'


def place_keys(indices, kernel, expression, parameters):
    """Source of the kernel that computes the place of each item."""
    kind = index_kind(indices, kernel)
    return f"""{HEADER}extern "C" __global__ void place_items(uint32_t* keys, const {kind}* indices, {parameters},
                                                       mxcy::Notice* notice, int64_t n) {{
    for (int64_t i = mxcy::first_item(); i < n; i += mxcy::grid_step()) keys[i] = uint32_t({expression});
}}
"""


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
    keys, keys_sorted, order = (scratch(4 * m) for _ in range(3))
    sorting = sort_rows(Rows("uint32_t", 4, "uint32_t", 1, m, 1, m, False, True), keys, (keys_sorted, order, 0),
                        max(-(-(places - 1).bit_length() // 8), 1), scratch)
    count = widest(NUMPY[out.dtype].itemsize, inner)
    inner //= count
    parameters = f"{kind}* out, const {kind}* g, const uint32_t* keys, const uint32_t* order, int64_t m"
    sums = f"""{HEADER}extern "C" __global__ void add_items({parameters}, mxcy::Divisor places, mxcy::Divisor inner,
                                     int64_t n) {{
    mxcy::add_items<{kind}, {count}>(out, g, keys, order, m, places, inner, n);
}}
extern "C" __global__ void add_long_runs({parameters}, mxcy::Divisor places, mxcy::Divisor inner,
                                         int64_t outer) {{
    mxcy::add_long_runs<{kind}, {count}>(out, g, keys, order, m, places, inner, outer);
}}
"""
    n = outer * places * inner
    launches = [launch(source, "place_items", grid(m), THREADS, keys, *arguments, NOTICE, m), *sorting,
                launch(sums, "add_items", grid(n), THREADS, out, g, keys_sorted, order, m, divisor(places),
                       divisor(inner), n)]
    if m > LONG:
        launches.append(launch(sums, "add_long_runs", blocks(m, LONG), (32, LONG_LANES), out, g, keys_sorted, order, m,
                               divisor(places), divisor(inner), outer))
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
