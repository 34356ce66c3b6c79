"""Slices: reading, writing and reversing parts of arrays."""
from mxcy.gpu.recipe import Fill
from mxcy.ops import _slice
from mxcy.ops.cuda.rules import rule
from mxcy.ops.cuda.shape import size_of
from mxcy.ops.cuda.strided import copy_bytes, copy_strided, dense, fill_strided

__all__ = []


def select(array, begin, step, end=None):
    """The part of an array that begins at ``begin`` and moves by ``step``, as Python's slices.

    Returns
    -------
    pointer : Pointer
    strides : list of int
    shape : tuple of int
        With ``end``, how many items there are along each axis.
    """
    strides, shape, offset = dense(array.shape), list(array.shape), 0
    for axis, (first, by) in enumerate(zip(begin, step or (None,) * len(begin))):
        chosen = range(*slice(first, end[axis] if end else None, by).indices(shape[axis]))
        offset += chosen.start * strides[axis]
        strides[axis] *= chosen.step
        shape[axis] = len(chosen)
    return array.pointer + offset * size_of(array), strides, tuple(shape)


def read(data, out, pointer, strides):
    return copy_strided(out.pointer, dense(out.shape), pointer, strides, out.shape, size_of(data))


@rule(_slice.slice)
def _(ins, outs, begin, step):
    return read(ins[0], outs[0], *select(ins[0], begin, step)[:2])


@rule(_slice.slice_like)
def _(ins, outs):
    return read(ins[0], outs[0], ins[0].pointer, dense(ins[0].shape))


@rule(_slice.slice_axis)
def _(ins, outs, axis, begin):
    axis %= len(ins[0].shape)
    return read(ins[0], outs[0], *select(ins[0], (None,) * axis + (begin,), None)[:2])


@rule(_slice.slice_backward)
def _(ins, outs, begin, step):
    """Zeros, with the input at the places where slice would have read."""
    data, out = ins[0], outs[0]
    pointer, strides, _ = select(out, begin, step)
    return [Fill(out.pointer, out.nbytes),
            *copy_strided(pointer, strides, data.pointer, dense(data.shape), data.shape, size_of(data))]


@rule(_slice.slice_assign)
def _(ins, outs, scratch, begin, step):
    """The first input with part of it replaced by the second. The output may be either of them."""
    (data, part), out = ins, outs[0]
    pointer, strides, _ = select(out, begin, step)
    source, copies = part.pointer, []
    if part.shape == out.shape:                     # a slice may read what it has overwritten
        source = scratch(part.nbytes)
        copies = [copy_bytes(source, part, part.nbytes)]
    return [*copies, copy_bytes(out, data, out.nbytes),
            *copy_strided(pointer, strides, source, dense(part.shape), part.shape, size_of(out))]


@rule(_slice.slice_assign_scalar)
def _(ins, outs, begin, step, end):
    """The input with one number in part of it."""
    out = outs[0]
    pointer, strides, shape = select(out, begin, step, end)
    return [copy_bytes(out, ins[0], out.nbytes), *fill_strided(pointer, strides, shape, out.dtype)]


@rule(_slice.crop)
def _(ins, outs, offset, center_crop):
    data, out = ins[0], outs[0]
    if center_crop:
        offset = [(n - m) // 2 for n, m in zip(data.shape[2:], out.shape[2:])]
    return read(data, out, *select(data, (None, None, *offset), None)[:2])


@rule(_slice.reverse)
def _(ins, outs, axis):
    data, out = ins[0], outs[0]
    axes = [a % len(data.shape) for a in axis]
    step = [-1 if axes.count(a) % 2 else 1 for a in range(len(data.shape))]
    return read(data, out, *select(data, (None,) * len(step), step)[:2])
