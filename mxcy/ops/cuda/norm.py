"""Layer, group and instance normalisation, and their gradients."""
import struct

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Fill, launch
from mxcy.ops import _norm
from mxcy.ops.cuda.items import around, column_lanes, columns, joining_lanes, rows
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.softmax import FLOATS, held_packs, row_grid, row_threads
from mxcy.ops.cuda.strided import divisor

__all__ = []

HEADER = '#include "mxcy/gpu/kernels/norm.cuh"\n'
SUMS = 16                           # bytes of two sums


def vector_of(n, dtype):
    """Elements of a row that are read at once."""
    vector = 16 // NUMPY[dtype].itemsize
    return 1 if n % vector else vector


def normalize(kernel, ins, outs, count, n, groups, eps):
    """The launch that normalises ``count`` rows; groups is None where each element has a weight."""
    (x, gamma, beta), (y, mean, deviation) = ins, outs
    vector = vector_of(n, x.dtype)
    lanes = row_threads(n // vector)
    blocks, threads = row_grid(count, lanes)
    held = held_packs(n, vector, lanes)
    source = (f"{HEADER}MXCY_NORM({flag(groups is None)}, {vector}, {held}, {threads}, "
              f"{c_type(x, kernel, FLOATS)})\n")
    return [launch(source, "rows", blocks, threads, y, mean, deviation, x, gamma, beta, count, n, divisor(groups or 1),
                   np.float64(eps), lanes)]


def data_gradient(kernel, ins, out, sums, count, n, groups):
    """The launch that makes the gradient of the data of ``count`` rows."""
    x, vector = ins[1], vector_of(n, ins[1].dtype)
    lanes = row_threads(n // vector)
    blocks, threads = row_grid(count, lanes)
    source = f"{HEADER}MXCY_NORM_BACKWARD({flag(groups is None)}, {vector}, {threads}, {c_type(x, kernel, FLOATS)})\n"
    return launch(source, "rows", blocks, threads, out, sums, *ins, count, n, divisor(groups or 1), lanes)


def flag(condition):
    return "true" if condition else "false"


# -- layer normalisation -----------------------------------------------------------------------------------------------

@rule(_norm.layer_norm)
def layer_norm(ins, outs, kernel, params):
    eps, axis, _ = struct.unpack("dqq", kernel.pack(params))
    outer, n, inner = around(ins[0].shape, axis)
    if inner == 1:
        return normalize(kernel, ins, outs, outer, n, None, eps)
    lanes = column_lanes(outer * inner, n)
    source = f"{HEADER}MXCY_NORM_COLUMNS({c_type(ins[0], kernel, FLOATS)})\n"
    return [launch(source, "forward", grid(outer * inner, lanes), THREADS, *outs, *ins, outer * inner, n,
                   divisor(inner), np.float64(eps), lanes)]


@rule(_norm.layer_norm_backward)
def layer_norm_backward(ins, outs, kernel, params, scratch):
    _, axis, _ = struct.unpack("dqq", kernel.pack(params))
    (g, x, gamma, mean, deviation), (out, dgamma, dbeta) = ins, outs
    outer, n, inner = around(x.shape, axis)
    if x.size == 0:
        return [Fill(weight.pointer, weight.nbytes) for weight in (dgamma, dbeta) if weight.size]
    kind = c_type(x, kernel, FLOATS)
    if inner == 1:
        data = data_gradient(kernel, ins, out, 0, outer, n, None)
        items = columns([], [(outer, (n,))], n, x.dtype)
    else:
        lanes = column_lanes(outer * inner, n)
        data = launch(f"{HEADER}MXCY_NORM_COLUMNS({kind})\n", "backward", grid(outer * inner, lanes), THREADS, out, g,
                      x, gamma, mean, deviation, outer * inner, n, divisor(inner), lanes)
        items = rows([(n, (inner,))], [(outer, (n * inner,))], inner, x.dtype)
    source = f"{HEADER}MXCY_NORM_WEIGHTS({flag(inner > 1)}, {items.vector}, {kind})\n"
    parts, lanes = scratch(SUMS * n * items.shares), joining_lanes(n) if items.shares > 1 else 1
    return [data,
            launch(source, "sums", items.grid, THREADS, parts, g, x, mean, deviation, items.packed,
                   divisor(n * inner), divisor(inner)),
            launch(source, "join_weights", grid(n * lanes), THREADS, dgamma, dbeta, parts, n, items.shares, lanes)]


# -- group and instance normalisation: rows with one weight each -------------------------------------------------------

def runs_of(x, groups):
    """(Rows, elements of each, rows of a sample)"""
    groups = groups or x.shape[1]
    count = x.shape[0] * groups
    return count, x.size // count if count else 0, groups


@rule(_norm.group_norm)
def group_norm(ins, outs, kernel, params):
    eps, _, groups = struct.unpack("dqq", kernel.pack(params))
    count, n, groups = runs_of(ins[0], groups)
    return normalize(kernel, ins, outs, count, n, groups, eps) if count else []


@rule(_norm.group_norm_backward)
def group_norm_backward(ins, outs, kernel, params, scratch):
    _, _, groups = struct.unpack("dqq", kernel.pack(params))
    out, dgamma, dbeta = outs
    count, n, groups = runs_of(ins[1], groups)
    if ins[1].size == 0:
        return [Fill(weight.pointer, weight.nbytes) for weight in (dgamma, dbeta) if weight.size]
    sums = scratch(SUMS * count)
    data = data_gradient(kernel, ins, out, sums, count, n, groups)
    source = f"{HEADER}MXCY_GROUP_WEIGHTS({c_type(ins[1], kernel, FLOATS)})\n"
    return [data, launch(source, "group_weights", grid(32 * groups), THREADS, dgamma, dbeta, sums, count, groups)]
