"""Activations whose slope for negative numbers is an input, or random."""
from math import prod

import numpy as np

from mxcy.gpu.recipe import RANDOM, TRAIN, launch
from mxcy.ops import _activation
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import divisor, index_type

__all__ = []

FLOATS = ("float32", "float64", "float16", "bfloat16")
HEADER = '#include "mxcy/gpu/kernels/slopes.cuh"\n'


@rule(_activation.prelu)
def prelu(ins, outs, kernel):
    """Slopes: one number, one for each entry of axis 1, or as many as data."""
    (data, slopes), out = ins, outs[0]
    kind = c_type(data, kernel, FLOATS)
    inner = 1 if slopes.size == data.size else prod(data.shape[2:])
    source = f"""{HEADER}extern "C" __global__ void prelu({kind}* out, const {kind}* data, const {kind}* slope,
                                 mxcy::Divisor inner, mxcy::Divisor slopes, int64_t n) {{
    mxcy::prelu<{kind}, {index_type(data.size)}>(out, data, slope, inner, slopes, n);
}}
"""
    return [launch(source, "prelu", grid(-(-data.nbytes // 16)), THREADS, out, data, slopes, divisor(inner),
                   divisor(slopes.size), data.size)]


@rule(_activation.rrelu)
def rrelu(ins, outs, kernel, lower_bound, upper_bound):
    data, (out, mask) = ins[0], outs
    kind = c_type(data, kernel, FLOATS)
    source = f"""{HEADER}extern "C" __global__ void rrelu({kind}* out, {kind}* mask, const {kind}* data, double low,
                                 double high, mxcy::Philox random, int train, int64_t n) {{
    mxcy::rrelu(out, mask, data, low, high, random.seed(), random.stream(), train, n);
}}
"""
    return [launch(source, "rrelu", grid(-(-data.size // 256) * 64), THREADS, out, mask, data, np.float64(lower_bound),
                   np.float64(upper_bound), RANDOM, TRAIN, data.size)]
