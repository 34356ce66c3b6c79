"""Convolution in its three directions: by cuDNN, by products of matrices, or by kernels that form these."""
import json
import math
import os
import struct

from mxcy.dtype import NUMPY
from mxcy.gpu import _cudnn
from mxcy.gpu.recipe import Array, Fill, LibraryCall, launch
from mxcy.ops import _convolution as kernels
from mxcy.ops.cuda import columns
from mxcy.ops.cuda.fused import fused
from mxcy.ops.cuda.product import TENSOR_CORES, TF32
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule

FLOATS = ("float32", "float64", "float16", "bfloat16")
SIDE, DEPTH = 64, 16                # as in convolution.cuh
BLOCKS = 512                        # so many keep a large device busy; more slices would only cost
LONGEST = 64                        # steps of DEPTH that a slice of a sum takes at least

#: How cuDNN calls the dtypes that it takes, and what it computes them in (cudnnDataType_t).
LIBRARY = {"float32": (0, 0), "float64": (1, 1), "float16": (2, 0), "bfloat16": (9, 0)}
#: What it notes about ways to compute (cudnnBackendNumericalNote_t).
BY_TENSOR_CORES, ROUNDED_INPUTS, SHORT_SUMS, UNORDERED = 1 << 0, 1 << 1, 1 << 2, 1 << 4
REFUSED = SHORT_SUMS | UNORDERED * (os.environ.get("MXNET_ENFORCE_DETERMINISM", "0") == "1")
A_BIAS, AN_ADDEND, A_RELU = 1, 2, 4  # what may follow the convolution in the same call
DATA, WEIGHT, RESULT = range(3)     # what is computed from the other two; the largest side is DATA


class Geometry:
    """What a convolution of these arrays computes; ``data`` is the larger side, also where it is the result."""

    def __init__(self, kernel, params, data, out, weight):
        numbers = struct.unpack("18q2d", kernel.pack(params))
        spatial, self.groups, fitted, last, weights_last = numbers[:5]
        self.last = last                                        # channels come last, of data
        self.first = not last and not weights_last              # they come first, also of weights
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

    def problem(self, dtype, wanted, limit, follows):
        """The struct Problem of _cudnn.pyx: one axis is two, of which the first has one element."""
        axes = 3 if self.kernel[0] * self.data[0] > 1 else 2
        first = 3 - axes
        fill = (0,) * first
        extents = ((self.batch, self.channels * self.groups, *self.data[first:]),
                   (self.filters * self.groups, self.channels, *self.kernel[first:]),
                   (self.batch, self.filters * self.groups, *self.out[first:]))
        numbers = []
        for i, shape in zip((0, 2, 1), extents):
            strides = self.steps[5 * i:5 * i + 5]
            numbers += [*shape, *fill, *strides[:2], *strides[2 + first:], *fill]
        channels = self.filters * self.groups
        numbers += [1, channels, *(1,) * axes, *fill, channels, 1, *(channels if self.last else 1,) * axes, *fill]
        numbers += numbers[20:30]                               # the addend is like the result
        for values in (self.stride, self.dilate, self.pad):
            numbers += [*values[first:], *fill]
        kind, compute = LIBRARY[dtype]
        rounds = dtype == "float32" and TF32
        tensor_cores = rounds or dtype == "float64" or TENSOR_CORES and dtype != "float32"
        refused = REFUSED | BY_TENSOR_CORES * (not tensor_cores) | ROUNDED_INPUTS * (not rounds)
        return struct.pack("60q8i", *numbers, limit, wanted, kind, compute, axes, refused, NUMPY[dtype].itemsize,
                           follows, 0)


def preferring_last():
    """The dtypes that are computed faster with channels last: cuDNN's tensor cores take no other layout.

    With channels first it writes the images and the result in the other layout beside, at every convolution.
    """
    if not _cudnn.available() or not TENSOR_CORES:
        return ()
    return ("float16", "bfloat16", "float32") if TF32 else ("float16", "bfloat16")


def by_library(g, wanted, data, weight, result, params, scratch, device, after=(), relu=False):
    """The call of cuDNN; None where it is missing, not wanted or cannot do it.

    ``after``: the bias and an addend, or the bias, or nothing; ``relu``: that follows them.
    """
    dtype = (data, weight, result)[wanted].dtype
    if (device is None or params.get("cudnn_off") or dtype not in LIBRARY or not _cudnn.available()
            or not min(g.batch, g.channels, g.filters, *g.data, *g.out)):
        return None
    follows = (0, A_BIAS, A_BIAS | AN_ADDEND)[len(after)] | A_RELU * relu
    plan = _cudnn.prepare(device, g.problem(dtype, wanted, params["workspace"] << 20, follows))
    if plan is None:
        return None
    prepared, nbytes = plan
    return LibraryCall(prepared, (scratch(nbytes), data, weight, result, *after))


def biases(g, out, given):
    """What adds the bias to the result of `by_library`."""
    if not given:
        return []
    channels = out.shape[-1 if g.last else 1]
    return [columns.add_bias(C_TYPES[out.dtype], out, given[0], channels,
                             1 if g.last else out.size // (g.batch * channels))]


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
def forward(ins, outs, kernel, params, scratch, device):
    data, weight, out = ins[0], ins[1], outs[0]
    g = Geometry(kernel, params, data, out, weight)
    if data.size == 0 and len(ins) < 3:
        return [Fill(out.pointer, out.nbytes)]
    if call := by_library(g, RESULT, data, weight, out, params, scratch, device):
        return [call, *biases(g, out, ins[2:])]
    if columns.suits(g):
        return columns.forward(g, c_type(out, kernel, FLOATS), data, weight, ins[2] if len(ins) > 2 else 0, out,
                               scratch, device)
    return [launch(source(c_type(out, kernel, FLOATS)), "forward",
                   tiles(g.filters, g.batch * math.prod(g.out), g.groups), THREADS, g.packed(), data, weight,
                   ins[2] if len(ins) > 2 else 0, out)]


@rule(kernels.convolution_sum)
def _(ins, outs, kernel, params, scratch, device):
    data, weight, *after = ins
    out, relu = outs[0], params["activation"] == "relu"
    g = Geometry(kernel, params, data, out, weight)
    if call := by_library(g, RESULT, data, weight, out, params, scratch, device, after, relu):
        return [call]
    last, channels = (g.last, out.shape[-1 if g.last else 1])
    bias = Array(after[0].pointer.tensor, (channels,) + (1,) * (0 if last else len(out.shape) - 2), out.dtype)
    steps = [["broadcast_add", [0, 1], {}]]
    if len(after) > 1:
        steps.append(["elemwise_add", [len(after) + len(steps), 2], {}])
    if relu:
        steps.append(["relu", [len(after) + len(steps)], {}])
    program = json.dumps({"inputs": 1 + len(after), "steps": steps, "outputs": [len(after) + len(steps)]})
    return [*forward(ins[:2], outs, kernel, params, scratch, device),
            *fused([out, bias, *after[1:]], [out], program)]


@rule(kernels.deconvolution)
def _(ins, outs, kernel, params, scratch, device):
    data, weight, out = ins[0], ins[1], outs[0]
    g = Geometry(kernel, params, out, data, weight)
    if call := by_library(g, DATA, out, weight, data, params, scratch, device):
        return [call, *biases(g, out, ins[2:])]
    if columns.suits(g):
        return columns.backward(g, c_type(out, kernel, FLOATS), data, weight, ins[2] if len(ins) > 2 else 0, out,
                                scratch, device)
    return [launch(source(c_type(out, kernel, FLOATS)), "backward",
                   tiles(g.channels, g.batch * math.prod(g.data), g.groups), THREADS, g.packed(), data, weight,
                   ins[2] if len(ins) > 2 else 0, out)]


@rule(kernels.convolution_weight)
def _(ins, outs, kernel, params, scratch, device):
    data, grad, weight = ins[0], ins[1], outs[0]
    if data.size == 0 or grad.size == 0:
        return [Fill(weight.pointer, weight.nbytes)]
    g = Geometry(kernel, params, data, grad, weight)
    if call := by_library(g, WEIGHT, data, weight, grad, params, scratch, device):
        return [call]
    kind = c_type(weight, kernel, FLOATS)
    if columns.suits(g):
        return columns.weights(g, kind, data, grad, weight, scratch, device)
    width, depth = g.channels * math.prod(g.kernel), g.batch * math.prod(g.out)
    across, down, groups = tiles(g.filters, width, g.groups)
    slices = max(min(-(-depth // (DEPTH * LONGEST)), BLOCKS // (across * down * groups), 65535 // groups), 1)
    parts = scratch(weight.size * slices * max(NUMPY[weight.dtype].itemsize, 4))
    return [launch(source(kind), "weights", (across, down, groups * slices), THREADS, g.packed(), data, grad, parts,
                   slices),
            launch(source(kind), "total", grid(weight.size), THREADS, g.packed(), parts, weight, slices, weight.size)]
