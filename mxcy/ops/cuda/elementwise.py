"""Elementwise kernels: any operation of the headers in mxcy/ops, with broadcasting."""
import struct

from mxcy.dtype import CODES, NUMPY
from mxcy.gpu.recipe import SCALAR, launch
from mxcy.ops import _cast
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

__all__ = ["elementwise", "walk"]

MAP_AXES = 12                       # as in map.cuh


def elementwise(ins, outs, kernel, params):
    """What to launch for a Kernel that is made of tiles."""
    out, slot = outs[0], kernel.scalar_slot
    header, functor = kernel.functor
    kind = c_type(out, kernel, [name for name, code in CODES.items() if code in kernel.dtypes])
    words = kernel.pack(params) if kernel.pack else b""
    arity = kernel.arity
    ins = ins[:arity - (slot >= 0)]     # the label of LogisticRegressionOutput is for its gradient alone
    source = (f'#include "{header}"\n#include "mxcy/gpu/kernels/map.cuh"\n'
              f"MXCY_MAP({functor}, {kind}, {arity}, {slot}, {len(words) // 8})\n")
    pointers = [array.pointer for array in ins] or [0]
    flat = all(array.size in (1, out.size) for array in ins)
    whole = struct.pack(f"{len(ins) or 1}q", *([int(array.size == out.size) for array in ins] or [0]))
    arguments = [out, *pointers, whole, words or bytes(8), SCALAR]
    if not flat:
        axes = walk([array.shape for array in ins], out.shape)
        arguments.append(pack_walk(axes))
    vector = 16 // NUMPY[out.dtype].itemsize if flat else 1
    return [launch(source, "flat" if flat else "strided", grid(-(-out.size // vector)), THREADS, *arguments, out.size)]


def walk(shapes, out):
    """The axes of an output and the strides of inputs that broadcast to it, with neighbours joined where they can be.

    Returns
    -------
    list of (int, tuple of int)
        Size of the axis and strides of the inputs along it, in elements; the last axis first.
    """
    strides = []
    for shape in shapes:
        step, own = 1, []
        for n in reversed(shape):
            own.append(0 if n == 1 else step)
            step *= n
        strides.append(own + [0] * (len(out) - len(shape)))
    axes = []
    for axis, n in enumerate(reversed(out)):
        steps = tuple(own[axis] for own in strides)
        if n == 1:
            continue
        if axes and all(step == axes[-1][0] * before for step, before in zip(steps, axes[-1][1])):
            axes[-1] = axes[-1][0] * n, axes[-1][1]
        else:
            axes.append((n, steps))
    return axes


def pack_walk(axes):
    """The struct Walk of map.cuh."""
    if len(axes) > MAP_AXES:
        raise ValueError(f"{len(axes)} axes do not join to {MAP_AXES} or fewer; reshape the inputs")
    inputs = len(axes[0][1]) if axes else 1
    fill = [0] * (MAP_AXES - len(axes))
    rows = [[n for n, _ in axes] + fill, *([steps[k] for _, steps in axes] + fill for k in range(inputs))]
    return struct.pack(f"{1 + MAP_AXES * len(rows)}q", len(axes), *(n for row in rows for n in row))


@rule(_cast.copy)
def copy(ins, outs):
    """A copy: bytes are bytes."""
    source = ('#include "mxcy/gpu/kernels/copy.cuh"\n')
    return [launch(source, "copy", grid(-(-out.nbytes // 16)), THREADS, out, data, out.nbytes)
            for data, out in zip(ins, outs)]
