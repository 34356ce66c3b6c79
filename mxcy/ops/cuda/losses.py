"""Output layers: the softmax of a classifier, and the gradients that it and the support vector machine start from."""
import math
import struct

import numpy as np

from mxcy.gpu.recipe import launch
from mxcy.ops import _losses
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.softmax import FLOATS, softmax_launch
from mxcy.ops.cuda.strided import divisor

__all__ = []

REST, LAST, SECOND = range(3)       # along which axis the softmax goes, as in _losses.pyx
NULL, BATCH, VALID = range(3)       # what the gradients are divided by
LARGEST = 1024                      # threads of a block


def view_of(shape, axis):
    """``shape`` as (outer, n, inner), where n counts the classes."""
    if axis == SECOND:
        return shape[0], shape[1], math.prod(shape[2:])
    return (math.prod(shape[:-1]), shape[-1], 1) if axis == LAST else (shape[0], math.prod(shape[1:]), 1)


def losses(kernel, array, macro):
    """The text with a kernel for a dtype."""
    return f'#include "mxcy/gpu/kernels/losses.cuh"\n{macro}({c_type(array, kernel, FLOATS)})\n'


@rule(_losses.softmax)
def softmax(ins, outs, kernel, params):
    axis = struct.unpack("3d4i", kernel.pack(params))[3]
    return softmax_launch(kernel, ins[0], outs[0], None, view_of(ins[0].shape, axis), 1, False)


@rule(_losses.softmax_backward)
def softmax_backward(ins, outs, kernel, params, scratch):
    scale, ignored, alpha, axis, ignore, normalization, _ = struct.unpack("3d4i", kernel.pack(params))
    (y, label), out = ins, outs[0]
    if y.shape == label.shape[:len(y.shape)]:           # the label holds probabilities
        return [launch(losses(kernel, y, "MXCY_DIFFERENCE"), "difference", grid(out.size), THREADS, out, y, label,
                       np.float64(scale), out.size)]
    _, n, inner = view_of(y.shape, axis)
    source, found, launches = losses(kernel, y, "MXCY_CLASS_GRADIENTS"), 0, []
    if normalization == VALID:
        found = scratch(8)
        launches = [launch(source, "scale_by_valid", 1, LARGEST, found, label, np.float64(scale), np.float64(ignored),
                           label.size)]
    classes = b"".join([struct.pack("3d", ignored, 1 - alpha, alpha / max(n - 1, 1)), divisor(n), divisor(inner),
                        struct.pack("q", ignore)])
    return [*launches,
            launch(source, "class_gradients", grid(out.size), THREADS, out, y, label,
                   np.float64(scale / (label.size if normalization == BATCH else inner)), found, classes, out.size)]


@rule(_losses.svm_backward)
def svm_backward(ins, outs, kernel, params):
    margin, weight, linear, _ = struct.unpack("2d2i", kernel.pack(params))
    (x, label), out = ins, outs[0]
    return [launch(losses(kernel, x, "MXCY_HINGE_GRADIENTS"), "hinge_gradients", grid(out.size), THREADS, out, x, label,
                   np.float64(margin), np.float64(weight), linear, divisor(x.size // label.size), out.size)]
