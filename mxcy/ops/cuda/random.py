"""Random numbers, samples from categories, permutations and dropout."""
import struct

import numpy as np

from mxcy.dtype import CODES, NUMPY
from mxcy.gpu.recipe import RANDOM, TRAIN, WORKSPACE, Fill, Pointer, launch
from mxcy.ops import _random
from mxcy.ops.cuda.axes import pack_axes, walk
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule

__all__ = ["begin_run"]

FLOATS = ("float32", "float64", "float16", "bfloat16")
PARAMETERS = (*FLOATS, "int32", "int64")
UNITS = {1: "uint8_t", 2: "uint16_t", 4: "uint32_t", 8: "uint64_t"}
ITEMS = 16                          # elements that a thread makes; see random.cuh


def source(macro):
    return f'#include "mxcy/gpu/kernels/random.cuh"\n{macro}\n'


def begin_run():
    """What plans launch ahead of steps that may be recorded: their kernels find seed and counter in the workspace."""
    return launch('#include "mxcy/gpu/kernels/philox.cuh"\nMXCY_BEGIN_RUN\n', "begin_run", 1, 1, Pointer(WORKSPACE),
                  RANDOM)


def attach(name):
    """The rule of a distribution; those of one draw with the parameters given as numbers and as arrays are alike."""
    @rule(_random.drawn[name], _random.sampled[name])
    def draw(ins, outs, kernel, params):
        out = outs[0]
        kind, *numbers = struct.unpack("i4x2d", kernel.pack(params))
        arrays = ins if kernel is _random.sampled[name] else []
        for array in arrays:
            c_type(array, kernel, PARAMETERS)
        codes = [CODES[array.dtype] for array in arrays] + [0] * (2 - len(arrays))
        per = out.size // arrays[0].size if arrays else max(out.size, 1)
        text = source(f"MXCY_RANDOM({name.upper()}, {c_type(out, kernel, FLOATS)}, "
                      f"{'true' if arrays else 'false'})")
        each = ITEMS if kind <= 2 else 1
        return [launch(text, "fill", grid(-(-out.size // each)), THREADS, out, *arrays, *[0] * (2 - len(arrays)),
                       struct.pack("2i2dq", *codes, *numbers, per), RANDOM, out.size)]


for name in _random.drawn:
    attach(name)


@rule(_random.randint)
def integers(outs, kernel, params):
    out = outs[0]
    low, size = struct.unpack("qQ", kernel.pack(params))
    return [launch(source(f"MXCY_INTEGERS({C_TYPES[out.dtype]})"), "fill", grid(out.size // 2 + 1), THREADS, out, low,
                   np.uint64(size), RANDOM, out.size)]


@rule(_random.multinomial)
def categories(ins, outs, scratch, kernel):
    p, out = ins[0], outs[0]
    k = p.shape[-1]
    rows = p.size // k
    text = source(f"MXCY_CATEGORIES({c_type(p, kernel, FLOATS)}, {C_TYPES[out.dtype]})")
    sums = scratch(8 * p.size)
    return [launch(text, "running_sums", rows, THREADS, sums, p, k),
            launch(text, "choose", grid(out.size), THREADS, out, outs[1] if len(outs) > 1 else 0, p, sums, k,
                   out.size // rows, RANDOM, out.size)]


@rule(_random.unique_zipfian)
def distinct(outs, scratch, range_max):
    """A thread for each row: every draw depends on those before it."""
    rows, count = outs[0].shape
    slots = 4
    while slots < 2 * count:
        slots *= 2
    return [launch(source("MXCY_DISTINCT"), "distinct", grid(rows, 32), 32, *outs, scratch(8 * rows * slots), count,
                   range_max, slots, RANDOM, rows)]


@rule(_random.shuffle)
def shuffle(ins, outs, scratch):
    data, out = ins[0], outs[0]
    n = data.shape[0] if data.shape else 1
    text = source(f"MXCY_SHUFFLE({UNITS[NUMPY[data.dtype].itemsize]})")
    order, start, last, previous = (scratch(8 * n) for _ in range(4))
    return [Fill(last, 8 * n, 255),
            launch(text, "list_steps", grid(n), THREADS, start, last, previous, RANDOM, n),
            launch(text, "follow_steps", grid(n), THREADS, order, start, last, previous, n),
            launch(text, "gather_rows", grid(data.size), THREADS, out, data, order, data.size // n, n)]


def scale(p):
    """What is left of the data is multiplied by this; p = 1 leaves one element in 2**32, times 0."""
    return np.float64(1 / (1 - p) if p < 1 else 0)


def under_mask(text, out, data, mask, p):
    """Data under a mask with a byte for each element, or that broadcasts."""
    return launch(text, "under_mask", grid(-(-out.size // 4)), THREADS, out, data, mask, scale(p),
                  pack_axes(walk([mask.shape], out.shape)), out.size)


@rule(_random.dropout)
def dropout(ins, outs, kernel, p, mode):
    data, (out, mask) = ins[0], outs
    text = source(f"MXCY_DROPOUT({c_type(data, kernel, FLOATS)})")
    whole = mask.size == out.size
    threshold = np.uint32(min(p * 4294967296. + .5, 4294967295.))
    first = launch(text, "dropout", grid(-(-mask.size // ITEMS)), THREADS, out if whole else 0, mask, data, scale(p),
                   threshold, TRAIN, np.int32(mode == "always"), RANDOM, mask.size)
    return [first] if whole else [first, under_mask(text, out, data, mask, p)]


@rule(_random.dropout_backward)
def dropout_backward(ins, outs, kernel, p):
    data, mask = ins
    return [under_mask(source(f"MXCY_DROPOUT({c_type(data, kernel, FLOATS)})"), outs[0], data, mask, p)]
