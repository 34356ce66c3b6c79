"""Arrays made from numbers, and conversions between dtypes."""
import struct

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import SCALAR, Fill, launch
from mxcy.ops import _cast, _init
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import fill_strided

__all__ = ["converted_type", "fill"]


def converted_type(array, kernel):
    """The C++ type that numbers are converted to: bool is not a number here."""
    return "bool" if array.dtype == "bool" else c_type(array, kernel)


def per_thread(array):
    """How many elements a thread writes at once."""
    return 16 // NUMPY[array.dtype].itemsize


def fill(out, kernel, number=SCALAR):
    """The launch that fills an output with a number, by default that of the call."""
    kind = converted_type(out, kernel)
    source = f"""#include "mxcy/gpu/kernels/fill.cuh"
extern "C" __global__ void fill({kind}* out, double value, int64_t n) {{ mxcy::fill(out, value, n); }}
"""
    return launch(source, "fill", grid(-(-out.size // per_thread(out))), THREADS, out, number, out.size)


@rule(_init.zeros)
def zeros(outs):
    return [Fill(outs[0].pointer, outs[0].nbytes)]


@rule(_init.ones)
def ones(outs, kernel):
    return [fill(outs[0], kernel, np.float64(1))]


@rule(_init.full)
def full(outs, kernel, value):
    return [fill(outs[0], kernel, np.float64(value))]


@rule(_init.any_number)
def any_number(outs, kernel):
    return [fill(outs[0], kernel)]


@rule(_init.arange, _init.linspace)
def sequence(outs, kernel, params):
    out = outs[0]
    kind = converted_type(out, kernel)
    start, step, repeat = struct.unpack("ddq", kernel.pack(params))
    source = f"""#include "mxcy/gpu/kernels/fill.cuh"
extern "C" __global__ void sequence({kind}* out, double start, double step, int64_t repeat, int64_t n) {{
    mxcy::sequence(out, start, step, repeat, n);
}}
"""
    return [launch(source, "sequence", grid(-(-out.size // per_thread(out))), THREADS, out, np.float64(start),
                   np.float64(step), repeat, out.size)]


@rule(_init.eye)
def eye(outs, k):
    out, (rows, columns) = outs[0], outs[0].shape
    first, last = max(0, -k), min(rows, columns - k)
    diagonal = out.pointer + (first * columns + first + k) * NUMPY[out.dtype].itemsize
    return [Fill(out.pointer, out.nbytes),
            *fill_strided(diagonal, [columns + 1], (max(last - first, 0),), out.dtype, np.float64(1))]


@rule(_cast.cast)
def cast(ins, outs, kernel):
    """Each output is the input of its number in its own dtype."""
    launches = []
    for data, out in zip(ins, outs):
        kinds = f"{converted_type(out, kernel)}* out, const {C_TYPES[data.dtype]}* in"
        source = f"""#include "mxcy/gpu/kernels/convert.cuh"
extern "C" __global__ void cast({kinds}, int64_t n) {{ mxcy::convert_all(out, in, n); }}
"""
        count = min(per_thread(data), per_thread(out))
        launches.append(launch(source, "cast", grid(-(-out.size // count)), THREADS, out, data, out.size))
    return launches
