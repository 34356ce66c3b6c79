"""Selection by arrays of indices: take, Embedding, pick, one_hot, gather, scatter. Sums are in accumulate.py."""
import struct
from math import prod

import numpy as np

from mxcy.base import MXNetValueError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import NOTICE, Fill, launch
from mxcy.ops import _index
from mxcy.ops.cuda.creation import converted_type
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import WORDS, copy_bytes, divisor, index_type, widest

__all__ = ["around", "extents_of", "index_kind", "mode_name"]

INDICES = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8")
HEADER = '#include "mxcy/gpu/kernels/index.cuh"\n'


def index_kind(indices, kernel):
    """The C++ type of indices."""
    return c_type(indices, kernel, INDICES)


def mode_name(params):
    """What index.h calls the mode."""
    return "mxcy::" + params.get("mode", "clip").upper()


def around(shape, axis):
    """A shape as (outer, n, inner) around an axis."""
    axis %= len(shape)
    return prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])


def check_limit(kernel, limit, indices):
    if limit == 0 and indices.size:
        raise MXNetValueError(f"{kernel.name}: there are {indices.size} indices into an axis of no elements")


def take_from(data, indices, out, kernel, params):
    _, limit, inner = around(data.shape, params.get("axis", 0))
    check_limit(kernel, limit, indices)
    size = NUMPY[data.dtype].itemsize
    count = widest(size, inner)
    n, word, kind = out.size // count, WORDS[size], index_kind(indices, kernel)
    source = f"""{HEADER}extern "C" __global__ void take({word}* out, const {word}* data, const {kind}* indices,
                                mxcy::Divisor inner, mxcy::Divisor m, int64_t limit,
                                mxcy::Notice* notice, int64_t n) {{
    mxcy::take<{word}, {count}, {mode_name(params)}, {kind}, {index_type(n)}>(
        out, data, indices, inner, m, limit, notice, n);
}}
"""
    return [launch(source, "take", grid(n), THREADS, out, data, indices, divisor(inner // count), divisor(indices.size),
                   limit, NOTICE, n)]


@rule(_index.take)
def take(ins, outs, kernel, params):
    return take_from(ins[0], ins[1], outs[0], kernel, params)


@rule(_index.embedding)
def embedding(ins, outs, kernel):
    return take_from(ins[1], ins[0], outs[0], kernel, {})


def move_along(whole, data, indices, out, kernel, axis, mode="mxcy::CLIP", back=False):
    """One element of an axis of ``whole`` for every index; or back into zeros."""
    if axis is None:
        few, (limit, inner) = indices.size, (whole.size, 1)
    else:
        _, limit, inner = around(whole.shape, axis)
        outer = prod(whole.shape[:axis % len(whole.shape)])
        few = indices.size // (outer * inner)
    check_limit(kernel, limit, indices)
    n, word, kind = indices.size, WORDS[NUMPY[whole.dtype].itemsize], index_kind(indices, kernel)
    source = f"""{HEADER}extern "C" __global__ void along({word}* out, const {word}* data, const {kind}* indices,
                                 mxcy::Divisor inner, mxcy::Divisor few, int64_t limit, int64_t n) {{
    mxcy::along<{str(back).lower()}, {mode}, {word}, {kind}, {index_type(n)}>(out, data, indices, inner, few, limit, n);
}}
"""
    return [launch(source, "along", grid(n), THREADS, out, data, indices, divisor(inner), divisor(few), limit, n)]


def move_back(ins, out, kernel, axis, mode="mxcy::CLIP"):
    clear = [Fill(out.pointer, out.nbytes)]
    return clear + (move_along(out, ins[0], ins[1], out, kernel, axis, mode, back=True) if ins[0].size else [])


@rule(_index.pick)
def pick(ins, outs, kernel, params, axis):
    return move_along(ins[0], ins[0], ins[1], outs[0], kernel, axis or 0, mode_name(params))


@rule(_index.pick_backward_)
def pick_backward(ins, outs, kernel, params, axis):
    return move_back(ins, outs[0], kernel, axis or 0, mode_name(params))


@rule(_index.take_along)
def take_along(ins, outs, kernel, axis):
    return move_along(ins[0], ins[0], ins[1], outs[0], kernel, axis)


@rule(_index.put_along)
def put_along(ins, outs, kernel, axis):
    return move_back(ins, outs[0], kernel, axis)


@rule(_index.one_hot)
def one_hot(ins, outs, kernel, on_value, off_value):
    indices, out = ins[0], outs[0]
    value, kind = converted_type(out, kernel), index_kind(indices, kernel)
    source = f"""{HEADER}extern "C" __global__ void one_hot({value}* out, const {kind}* indices, double on, double off,
                                   mxcy::Divisor depth, int64_t n) {{
    mxcy::one_hot<{value}, {kind}, {index_type(out.size)}>(out, indices, on, off, depth, n);
}}
"""
    return [launch(source, "one_hot", grid(-(-out.nbytes // 16)), THREADS, out, indices, np.float64(on_value),
                   np.float64(off_value), divisor(out.shape[-1]), out.size)]


# -- gather and scatter ------------------------------------------------------------------------------------------------

def extents_of(data, indices, kernel):
    """The extents that coordinates (axes, ...) index, packed; how many axes; elements of an item, number of items."""
    axes = indices.shape[0]
    for n in data.shape[:axes]:
        check_limit(kernel, n, indices)
    return struct.pack(f"{axes}q", *data.shape[:axes]), axes, prod(data.shape[axes:]), indices.size // axes


@rule(_index.gather_nd)
def gather_nd(ins, outs, kernel):
    (data, indices), out = ins, outs[0]
    extents, axes, inner, items = extents_of(data, indices, kernel)
    size = NUMPY[data.dtype].itemsize
    count = widest(size, inner)
    n, word, kind = out.size // count, WORDS[size], index_kind(indices, kernel)
    source = f"""{HEADER}extern "C" __global__ void gather({word}* out, const {word}* data, const {kind}* indices,
                                  mxcy::Extents<{axes}> extents, int64_t items, mxcy::Divisor inner,
                                  mxcy::Notice* notice, int64_t n) {{
    mxcy::gather<{word}, {count}, {axes}, {kind}, {index_type(n)}>(
        out, data, indices, extents, items, inner, notice, n);
}}
"""
    return [launch(source, "gather", grid(n), THREADS, out, data, indices, extents, items, divisor(inner // count),
                   NOTICE, n)]


def put(data, indices, out, scratch, kernel):
    """Items of data to their places in the output."""
    if not data.size:
        return []
    extents, axes, inner, items = extents_of(out, indices, kernel)
    if items >= 1 << 31:
        raise MXNetValueError(f"{kernel.name}: {items} items; a GPU takes fewer than 2^31")
    places = prod(out.shape[:axes])
    last = scratch(4 * places)
    size = NUMPY[out.dtype].itemsize
    count = widest(size, inner)
    n, word, kind = data.size // count, WORDS[size], index_kind(indices, kernel)
    source = f"""{HEADER}extern "C" __global__ void find_last(int* last, const {kind}* indices,
                                     mxcy::Extents<{axes}> extents, mxcy::Notice* notice, int64_t items) {{
    mxcy::find_last(last, indices, extents, notice, items);
}}
extern "C" __global__ void scatter({word}* out, const {word}* data, const {kind}* indices, const int* last,
                                   mxcy::Extents<{axes}> extents, int64_t items, mxcy::Divisor inner,
                                   mxcy::Notice* notice, int64_t n) {{
    mxcy::scatter<{word}, {count}, {axes}, {kind}, {index_type(n)}>(
        out, data, indices, last, extents, items, inner, notice, n);
}}
"""
    return [Fill(last, 4 * places, 255),
            launch(source, "find_last", grid(items), THREADS, last, indices, extents, NOTICE, items),
            launch(source, "scatter", grid(n), THREADS, out, data, indices, last, extents, items,
                   divisor(inner // count), NOTICE, n)]


@rule(_index.scatter_nd)
def scatter_nd(ins, outs, scratch, kernel):
    out = outs[0]
    return [Fill(out.pointer, out.nbytes), *put(ins[0], ins[1], out, scratch, kernel)]


@rule(_index.scatter_set_nd)
def scatter_set_nd(ins, outs, scratch, kernel):
    out = outs[0]
    return [copy_bytes(out, ins[0], out.nbytes), *put(ins[1], ins[2], out, scratch, kernel)]
