"""Batch normalisation and its gradient."""
import struct

from mxcy.gpu.recipe import TRAIN, launch
from mxcy.ops import _batch_norm
from mxcy.ops.cuda.items import around, columns, rows
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import divisor

__all__ = []

FLOATS = ("float32", "float64", "float16", "bfloat16")
MOMENTS, PRODUCTS, TERM = 24, 16, 8             # bytes of what a share of a channel comes to


def divide(x, axis):
    """(whether channels lie in rows; how their elements are divided to be summed, and to be changed)"""
    outer, n, inner = around(x.shape, axis)
    if inner == 1:
        items = columns([], [(outer, (n,))], n, x.dtype)
        return "false", items, items
    return ("true", rows([(n, (inner,))], [(outer, (n * inner,))], inner, x.dtype),
            rows([(outer * n, (inner,))], [], inner, x.dtype))


def prepare(kernel, params, x, macro, after="NOTHING"):
    """(Text; how elements are divided to be summed, and to be changed; channels; struct BatchNorm)"""
    eps, momentum, axis, fix_gamma, batch = struct.unpack("ddqqq", kernel.pack(params))
    by_rows, summed, changed = divide(x, axis)
    channels = x.shape[axis]
    source = (f'#include "mxcy/gpu/kernels/batch_norm.cuh"\n'
              f"{macro}({after}, {by_rows}, {summed.vector}, {c_type(x, kernel, FLOATS)})\n")
    norm = (struct.pack("2d", eps, momentum) + divisor(channels)
            + struct.pack("3q", x.size // channels, fix_gamma, batch and x.size > 0))
    return source, summed, changed, channels, norm


@rule(_batch_norm.forward, _batch_norm.forward_relu)
def forward(ins, outs, kernel, params, scratch):
    (x, gamma, beta, moving_mean, moving_var, *addend), (y, mean, scale) = ins, outs
    after = "NOTHING" if kernel is _batch_norm.forward else "SUM_AND_RECTIFIER" if addend else "RECTIFIER"
    source, summed, changed, channels, norm = prepare(kernel, params, x, "MXCY_BATCH_NORM", after)
    parts = scratch(MOMENTS * channels * summed.shares)
    moments = launch(source, "moments", summed.grid, THREADS, parts, x, summed.packed, training=True)
    statistics = launch(source, "statistics", grid(32 * channels), THREADS, mean, scale, moving_mean, moving_var, parts,
                        summed.shares, norm, TRAIN)
    normalize = launch(source, "normalize", changed.grid, THREADS, y, x, gamma, beta, mean, scale, *(addend or [0]),
                       changed.packed, norm)
    first = [] if params["use_global_stats"] else [moments]
    return [*first, statistics, normalize] if x.size else [statistics]


@rule(_batch_norm.backward, _batch_norm.backward_relu)
def backward(ins, outs, kernel, params, scratch):
    (g, x, gamma, *beta, mean, scale, moving_mean, moving_var), (out, dgamma, dbeta) = ins, outs
    source, summed, changed, channels, norm = prepare(kernel, params, x, "MXCY_BATCH_NORM_BACKWARD",
                                                      "RECTIFIER" if beta else "NOTHING")
    parts, terms = scratch(PRODUCTS * channels * summed.shares), scratch(3 * TERM * channels)
    affine = gamma, *(beta or [0]), mean, scale
    products = launch(source, "products", summed.grid, THREADS, parts, g, x, *affine, summed.packed, norm)
    weights = launch(source, "weights", grid(32 * channels), THREADS, dgamma, dbeta, terms, gamma, mean, scale,
                     moving_mean, moving_var, parts, summed.shares, norm)
    data = launch(source, "data", changed.grid, THREADS, out, g, x, *affine, terms, changed.packed, norm)
    return [products, weights, data] if x.size else [weights]
