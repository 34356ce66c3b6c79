"""Padding and its gradient."""
import struct

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops import _pad
from mxcy.ops.cuda.creation import converted_type
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import WORDS, dense, divisor, index_type

__all__ = []


def padded(inner, outer, pad_width, backward):
    """The struct Padded of pad.cuh, and its number of axes; neighbours without padding are one axis."""
    axes = []                                   # extent, total, before: the last axis first
    for n, total, before in zip(inner[::-1], outer[::-1], pad_width[::2][::-1]):
        if axes and n == total and before == 0 and axes[-1][0] == axes[-1][1] and axes[-1][2] == 0:
            axes[-1] = axes[-1][0] * n, axes[-1][1] * total, 0
        else:
            axes.append((n, total, before))
    extents, totals, befores = zip(*axes)
    dims, others = (extents, totals) if backward else (totals, extents)
    strides = dense(others[::-1])[::-1]
    numbers = struct.pack(f"{4 * len(axes)}q", *extents, *totals, *befores, *strides)
    return b"".join(map(divisor, dims)) + numbers, len(axes)


@rule(_pad.pad)
def pad(ins, outs, kernel, pad_width, mode, constant_value):
    data, out = ins[0], outs[0]
    kind = converted_type(out, kernel) if mode == "constant" else WORDS[NUMPY[out.dtype].itemsize]
    axes, count = padded(data.shape, out.shape, pad_width, backward=False)
    source = f"""#include "mxcy/gpu/kernels/pad.cuh"
extern "C" __global__ void pad({kind}* out, const {kind}* data, mxcy::Padded<{count}> p, double constant, int64_t n) {{
    mxcy::pad<mxcy::{mode.upper()}, {kind}, {count}, {index_type(out.size)}>(out, data, p, constant, n);
}}
"""
    return [launch(source, "pad", grid(out.size), THREADS, out, data, axes, np.float64(constant_value), out.size)]


@rule(_pad.pad_backward)
def pad_backward(ins, outs, kernel, pad_width, mode):
    g, out = ins[0], outs[0]
    kind = c_type(out, kernel, ("float32", "float64", "float16", "bfloat16"))
    axes, count = padded(out.shape, g.shape, pad_width, backward=True)
    source = f"""#include "mxcy/gpu/kernels/pad.cuh"
extern "C" __global__ void unpad({kind}* out, const {kind}* g, mxcy::Padded<{count}> p, int64_t n) {{
    mxcy::unpad<mxcy::{mode.upper()}, {kind}, {count}, {index_type(out.size)}>(out, g, p, n);
}}
"""
    return [launch(source, "unpad", grid(out.size), THREADS, out, g, axes, out.size)]
