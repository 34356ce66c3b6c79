"""Convolution in its three directions: by products of matrices, or by kernels that form these as they go."""
import math
import struct

from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import Fill, launch
from mxcy.ops import _convolution as kernels
from mxcy.ops.cuda import columns
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

FLOATS = ("float32", "float64", "float16", "bfloat16")
SIDE, DEPTH = 64, 16                # as in convolution.cuh
BLOCKS = 512                        # so many keep a large device busy; more slices would only cost
LONGEST = 64                        # steps of DEPTH that a slice of a sum takes at least


class Geometry:
    """What a convolution of these arrays computes; ``data`` is the larger side, also where it is the result."""

    def __init__(self, kernel, params, data, out, weight):
        numbers = struct.unpack("18q2d", kernel.pack(params))
        spatial, self.groups, fitted, last, weights_last = numbers[:5]
        self.first = not last and not weights_last              # channels come first, of data and weights
        self.kernel, self.stride, dilate, pad = (numbers[6 + 3 * i:9 + 3 * i] for i in range(4))
        axes = slice(1, -1) if last else slice(2, None)
        fill = (1,) * (3 - spatial)
        self.data, self.out = (fill + array.shape[axes] for array in (data, out))
        channel = -1 if last else 1
        self.batch = data.shape[0]
        self.channels, self.filters = data.shape[channel] // self.groups, out.shape[channel] // self.groups
        if fitted:
            fitting = [((o - 1) * s + (k - 1) * d + 2 - n) // 2 for o, s, k, d, n in
                       zip(self.out, self.stride, self.kernel, dilate, self.data)]
            pad = (*pad[:3 - spatial], *fitting[3 - spatial:])
        self.dilate, self.pad = dilate, pad
        self.steps = [*steps(data.shape, last, spatial), *steps(out.shape, last, spatial),
                      *steps(weight.shape, weights_last, spatial)]

    def packed(self):
        """The struct Conv of convolution.cuh."""
        return struct.pack("39q", self.batch, self.channels, self.filters, *self.data, *self.out, *self.kernel,
                           *self.stride, *self.dilate, *self.pad, *self.steps, math.prod(self.kernel),
                           math.prod(self.out), math.prod(self.data))


def steps(shape, last, spatial):
    """Distances in elements along batch, channels and three spatial axes."""
    strides = [math.prod(shape[i + 1:]) for i in range(len(shape))]
    if last:
        strides = [strides[0], strides[-1], *strides[1:-1]]
    return [*strides[:2], *[0] * (3 - spatial), *strides[2:]]


def source(kind):
    return f'#include "mxcy/gpu/kernels/convolution.cuh"\nMXCY_CONVOLUTION({kind})\n'


def tiles(rows, columns, layers):
    return -(-columns // SIDE), -(-rows // SIDE), layers


@rule(kernels.convolution)
def _(ins, outs, kernel, params, scratch):
    data, weight, out = ins[0], ins[1], outs[0]
    g = Geometry(kernel, params, data, out, weight)
    if data.size == 0 and len(ins) < 3:
        return [Fill(out.pointer, out.nbytes)]
    if columns.suits(g):
        return columns.forward(g, c_type(out, kernel, FLOATS), data, weight, ins[2] if len(ins) > 2 else 0, out,
                               scratch)
    return [launch(source(c_type(out, kernel, FLOATS)), "forward",
                   tiles(g.filters, g.batch * math.prod(g.out), g.groups), THREADS, g.packed(), data, weight,
                   ins[2] if len(ins) > 2 else 0, out)]


@rule(kernels.deconvolution)
def _(ins, outs, kernel, params, scratch):
    data, weight, out = ins[0], ins[1], outs[0]
    g = Geometry(kernel, params, out, data, weight)
    if columns.suits(g):
        return columns.backward(g, c_type(out, kernel, FLOATS), data, weight, ins[2] if len(ins) > 2 else 0, out,
                                scratch)
    return [launch(source(c_type(out, kernel, FLOATS)), "backward",
                   tiles(g.channels, g.batch * math.prod(g.data), g.groups), THREADS, g.packed(), data, weight,
                   ins[2] if len(ins) > 2 else 0, out)]


@rule(kernels.convolution_weight)
def _(ins, outs, kernel, params, scratch):
    data, grad, weight = ins[0], ins[1], outs[0]
    if data.size == 0 or grad.size == 0:
        return [Fill(weight.pointer, weight.nbytes)]
    g = Geometry(kernel, params, data, grad, weight)
    kind = c_type(weight, kernel, FLOATS)
    if columns.suits(g):
        return columns.weights(g, kind, data, grad, weight, scratch)
    width, depth = g.channels * math.prod(g.kernel), g.batch * math.prod(g.out)
    across, down, groups = tiles(g.filters, width, g.groups)
    slices = max(min(-(-depth // (DEPTH * LONGEST)), BLOCKS // (across * down * groups), 65535 // groups), 1)
    parts = scratch(weight.size * slices * max(NUMPY[weight.dtype].itemsize, 4))
    return [launch(source(kind), "weights", (across, down, groups * slices), THREADS, g.packed(), data, grad, parts,
                   slices),
            launch(source(kind), "total", grid(weight.size), THREADS, g.packed(), parts, weight, slices, weight.size)]
