"""Pooling and its gradients."""
import struct

from mxcy.gpu.recipe import launch
from mxcy.ops import _pooling as kernels
from mxcy.ops import _reduce
from mxcy.ops.cuda.reduce import reduction
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import divisor, index_type

FLOATS = ("float32", "float64", "float16", "bfloat16")
#: What pools all of an image.
WHOLE = {"sum": _reduce.sum, "avg": _reduce.mean}
HEADER = '#include "mxcy/gpu/kernels/pooling.cuh"\n'


def window(kernel, params, data, out, result):
    """The structs mxcy_pool and Divisors; ``data`` is the larger side, and threads go over ``result``."""
    numbers = list(struct.unpack("15q", kernel.pack(params)))
    last, whole, spatial = numbers[2], numbers[5], len(data.shape) - 2
    axes = slice(1, -1) if last else slice(2, None)
    extents = [(1,) * (3 - spatial) + array.shape[axes] for array in (data, out)]
    if whole:
        numbers[6:15] = *extents[0], 1, 1, 1, 0, 0, 0
    channels = data.shape[-1] if last else 1
    divided = (channels, *extents[result is not data], *numbers[9:12], numbers[7] * numbers[8], numbers[8])
    return (struct.pack("22q", *numbers, *extents[0], *extents[1], channels)
            + b"".join(divisor(max(n, 1)) for n in divided))


def pool(name, kernel, params, data, out, result, where, *arguments):
    """The launch of a kernel of pooling.cuh that makes ``result``."""
    kinds = [c_type(data, kernel, FLOATS)] + (["uint8_t" if where.dtype == "uint8" else "int32_t"] if where else [])
    parameters = {"pool_max": "const T* x, T* y, U* where", "pool_scatter": "const T* g, const U* where, T* out",
                  "pool_gather": "const T* x, const U* where, T* out", "pool_sum": "const T* x, T* y",
                  "pool_spread": "const T* g, T* out"}[name]
    names = ", ".join(word.split()[-1] for word in parameters.split(", "))
    aliases = "".join(f"typedef {kind} {letter};\n" for kind, letter in zip(kinds, "TU"))
    source = (f'{HEADER}{aliases}extern "C" __global__ void __launch_bounds__({THREADS}, 4) '
              f"{name}(mxcy_pool p, mxcy::Divisors d, {parameters}, int64_t n) {{\n"
              f"    mxcy::{name}<{index_type(result.size)}>(p, d, {names}, n);\n}}\n")
    return [launch(source, name, grid(result.size), THREADS, window(kernel, params, data, out, result), *arguments,
                   result.size)]


@rule(kernels.max_)
def _(ins, outs, kernel, params):
    out, where = outs
    return pool("pool_max", kernel, params, ins[0], out, out, where, ins[0], out, where)


@rule(kernels.max_scatter_)
def _(ins, outs, kernel, params):
    g, where = ins
    return pool("pool_scatter", kernel, params, outs[0], g, outs[0], where, g, where, outs[0])


@rule(kernels.max_gather_)
def _(ins, outs, kernel, params):
    data, where = ins
    return pool("pool_gather", kernel, params, data, outs[0], outs[0], where, data, where, outs[0])


@rule(kernels.sum_)
def _(ins, outs, kernel, params, scratch):
    if params.get("global_pool") and params["pool_type"] in WHOLE:      # few threads would have much to do
        last = (params["layout"] or "").endswith("C")
        axes = {*range(1, len(ins[0].shape) - 1)} if last else {*range(2, len(ins[0].shape))}
        return reduction(ins[0], outs[0], WHOLE[params["pool_type"]], scratch, axes)
    return pool("pool_sum", kernel, params, ins[0], outs[0], outs[0], None, ins[0], outs[0])


@rule(kernels.spread_)
def _(ins, outs, kernel, params):
    return pool("pool_spread", kernel, params, outs[0], ins[0], outs[0], None, ins[0], outs[0])
