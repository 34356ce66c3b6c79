"""Positions as numbers: joined and split coordinates, the coordinates of all elements, counts in bins."""
import struct

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops import _ravel
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import dense

__all__ = []

NUMBERS = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")
HEADER = '#include "mxcy/gpu/kernels/ravel.cuh"\n'


def pack_shape(numbers):
    return struct.pack(f"{len(numbers)}q", *numbers)


def convert(name, ins, outs, kernel, shape, n):
    kind = c_type(outs[0], kernel, NUMBERS)
    source = f"""{HEADER}extern "C" __global__ void {name}({kind}* out, const {kind}* data,
                                  mxcy::Shape<{len(shape)}> shape, int64_t n) {{
    mxcy::{name}(out, data, shape, n);
}}
"""
    return [launch(source, name, grid(n), THREADS, outs[0], ins[0], pack_shape(shape), n)]


@rule(_ravel.ravel)
def ravel(ins, outs, kernel, shape):
    return convert("ravel", ins, outs, kernel, shape, outs[0].size)


@rule(_ravel.unravel)
def unravel(ins, outs, kernel, shape):
    return convert("unravel", ins, outs, kernel, shape, ins[0].size)


@rule(_ravel.coordinates)
def coordinates(ins, outs, axes):
    shape, n = ins[0].shape, ins[0].size
    axes = axes or range(len(shape))
    strides = dense(shape)
    kind = f"const mxcy::Shape<{len(axes)}>"
    source = f"""{HEADER}extern "C" __global__ void coordinates(int64_t* out, {kind} strides,
                                       {kind} extents, int64_t n) {{
    mxcy::coordinates(out, strides, extents, n);
}}
"""
    return [launch(source, "coordinates", grid(n), THREADS, outs[0], pack_shape([strides[a] for a in axes]),
                   pack_shape([shape[a] for a in axes]), n)]


@rule(_ravel.histogram)
def histogram(ins, outs, scratch, kernel, params):
    data, (counts, edges) = ins[0], outs
    kind, bins = c_type(data, kernel, NUMBERS), counts.size
    low, high = params["range"] or (0., 0.)
    given = not params["bin_cnt"]
    source = f"""{HEADER}extern "C" __global__ void start_bins(mxcy::wide_t<{kind}>* edges, {kind}* out,
        const {kind}* given, unsigned long long* counts, double low, double high, int64_t bins) {{
    mxcy::start_bins(edges, out, given, counts, low, high, bins);
}}
extern "C" __global__ void count_in_bins(unsigned long long* counts, const mxcy::wide_t<{kind}>* edges,
        const {kind}* data, double low, double high, int64_t bins, int64_t n) {{
    mxcy::count_in_bins<{kind}, {str(given).lower()}>(counts, edges, data, low, high, bins, n);
}}
"""
    wide = scratch((bins + 1) * max(NUMPY[data.dtype].itemsize, 4))
    start = launch(source, "start_bins", grid(bins + 1), THREADS, wide, edges, ins[1] if given else 0, counts,
                   np.float64(low), np.float64(high), bins)
    count = launch(source, "count_in_bins", grid(data.size), THREADS, counts, wide, data, np.float64(low),
                   np.float64(high), bins, data.size)
    return [start, count]
