"""Transposing, joining, repeating, diagonals: parts of arrays in other places."""
import struct
from math import prod

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Fill
from mxcy.ops import _shape
from mxcy.ops.cuda.creation import fill
from mxcy.ops.cuda.elementwise import copy
from mxcy.ops.cuda.rules import rule
from mxcy.ops.cuda.strided import copy_strided, dense, fill_strided

__all__ = []

rule(_shape.copy)(copy)


def size_of(array):
    return NUMPY[array.dtype].itemsize


def numbers(kernel, params):
    """What the kernel gets packed: int64 numbers."""
    packed = kernel.pack(params)
    return struct.unpack(f"{len(packed) // 8}q", packed)


def permute(data, out, axes):
    """The output's axis i is the input's axis axes[i]."""
    steps = dense(data.shape)
    return copy_strided(out.pointer, dense(out.shape), data.pointer, [steps[axis] for axis in axes], out.shape,
                        size_of(data))


@rule(_shape.transpose)
def transpose(ins, outs, axes):
    return permute(ins[0], outs[0], axes or range(len(ins[0].shape))[::-1])


@rule(_shape.swapaxes)
def swapaxes(ins, outs, dim1, dim2):
    axes = list(range(len(ins[0].shape)))
    axes[dim1], axes[dim2] = axes[dim2], axes[dim1]
    return permute(ins[0], outs[0], axes)


@rule(_shape.broadcast)
def broadcast(ins, outs):
    data, out = ins[0], outs[0]
    steps = [0 if n == 1 else step for n, step in zip(data.shape, dense(data.shape))]
    return copy_strided(out.pointer, dense(out.shape), data.pointer, steps, out.shape, size_of(data))


@rule(_shape.tile)
def tile(ins, outs):
    """Each axis of the output is two: which copy, and where in it."""
    data, out = ins[0], outs[0]
    extents = (1,) * (len(out.shape) - len(data.shape)) + data.shape
    shape = [n for whole, extent in zip(out.shape, extents) for n in (whole // extent, extent)]
    to = [step for own, extent in zip(dense(out.shape), extents) for step in (own * extent, own)]
    source = [step for own in dense(extents) for step in (0, own)]
    return copy_strided(out.pointer, to, data.pointer, source, tuple(shape), size_of(data))


@rule(_shape.repeat)
def repeat(ins, outs, axis, repeats):
    """Each item along an axis stands several times in a row; without an axis, each element."""
    data, out = ins[0], outs[0]
    row = 1 if axis in (None, -1) else prod(data.shape[axis + 1:])
    rows = data.size // row if row else 0
    return copy_strided(out.pointer, [repeats * row, row, 1], data.pointer, [row, 0, 1], (rows, repeats, row),
                        size_of(data))


def diagonal(array, k, axis1, axis2):
    """Strides of the k-th diagonal of two axes, which comes last; where it begins, in elements."""
    steps, ndim = dense(array.shape), len(array.shape)
    axis1, axis2 = axis1 % ndim, axis2 % ndim
    others = [step for axis, step in enumerate(steps) if axis not in (axis1, axis2)]
    return [*others, steps[axis1] + steps[axis2]], k * steps[axis2] if k > 0 else -k * steps[axis1]


def put_diagonal(data, out, k, axis1, axis2):
    """Zeros, with the data on the diagonal."""
    to, offset = diagonal(out, k, axis1, axis2)
    return [Fill(out.pointer, out.nbytes),
            *copy_strided(out.pointer + offset * size_of(out), to, data.pointer, dense(data.shape), data.shape,
                          size_of(out))]


@rule(_shape.diag)
def diag(ins, outs, k, axis1, axis2):
    data, out = ins[0], outs[0]
    if len(data.shape) == 1:                    # a vector becomes the diagonal of a matrix; its axes are these
        return put_diagonal(data, out, k, 0, 1)
    source, offset = diagonal(data, k, axis1, axis2)
    return copy_strided(out.pointer, dense(out.shape), data.pointer + offset * size_of(data), source, out.shape,
                        size_of(data))


@rule(_shape.diag_backward)
def diag_backward(ins, outs, k, axis1, axis2):
    return put_diagonal(ins[0], outs[0], k, axis1, axis2)


def between(deep, block):
    """Shape (N, C, H, b, W, b) and the strides of the array with the many channels, (N, b, b, C, H, W), in it."""
    n, channels, height, width = deep.shape
    channels //= block * block
    plane = height * width
    steps = [block * block * channels * plane, plane, width, block * channels * plane, 1, channels * plane]
    return (n, channels, height, block, width, block), steps


@rule(_shape.depth_to_space)
def depth_to_space(ins, outs, block_size):
    shape, steps = between(ins[0], block_size)
    return copy_strided(outs[0].pointer, dense(shape), ins[0].pointer, steps, shape, size_of(ins[0]))


@rule(_shape.space_to_depth)
def space_to_depth(ins, outs, block_size):
    shape, steps = between(outs[0], block_size)
    return copy_strided(outs[0].pointer, steps, ins[0].pointer, dense(shape), shape, size_of(ins[0]))


@rule(_shape.shape_array)
def shape_array(ins, outs):
    out = outs[0]
    return [launch for i, n in enumerate(ins[0].shape)
            for launch in fill_strided(out.pointer + 8 * i, [1], (1,), out.dtype, np.float64(n))]


@rule(_shape.size_array)
def size_array(ins, outs, kernel):
    return [fill(outs[0], kernel, np.float64(ins[0].size))]
