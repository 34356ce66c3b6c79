"""Batches of sequences of different lengths: masking and reversing."""
from math import prod

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops import _sequence
from mxcy.ops.cuda.indexing import index_kind
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.slicing import read, select
from mxcy.ops.cuda.strided import WORDS, copy_bytes, divisor, index_type, widest

__all__ = []


def by_length(data, lengths, out, kernel, kind, axis, reverse, value):
    inner = prod(data.shape[2:])
    count = widest(NUMPY[data.dtype].itemsize, inner)
    n = data.size // count
    lengths_kind = index_kind(lengths, kernel)
    options = f"{kind}, {count}, {axis}, {str(reverse).lower()}, {lengths_kind}, {index_type(n)}"
    source = f"""#include "mxcy/gpu/kernels/sequence.cuh"
extern "C" __global__ void by_length({kind}* out, const {kind}* data, const {lengths_kind}* lengths,
                                     mxcy::Divisor inner, mxcy::Divisor second, int64_t steps, double value,
                                     int64_t n) {{
    mxcy::by_length<{options}>(out, data, lengths, inner, second, steps, value, n);
}}
"""
    return [launch(source, "by_length", grid(n), THREADS, out, data, lengths, divisor(inner // count),
                   divisor(data.shape[1]), data.shape[axis], np.float64(value), n)]


@rule(_sequence.mask)
def mask(ins, outs, kernel, axis, value):
    data, out = ins[0], outs[0]
    kind = c_type(data, kernel, ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64"))
    if len(ins) == 1:
        return [copy_bytes(out, data, out.nbytes)]
    return by_length(data, ins[1], out, kernel, kind, axis, False, value)


@rule(_sequence.reverse)
def reverse(ins, outs, kernel, axis):
    data, out = ins[0], outs[0]
    if len(ins) == 1:
        return read(data, out, *select(data, (None,) * (axis + 1), (1,) * axis + (-1,))[:2])
    return by_length(data, ins[1], out, kernel, WORDS[NUMPY[data.dtype].itemsize], axis, True, 0)
