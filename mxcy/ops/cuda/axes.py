"""Axes and strides of arrays that broadcast, joined where they can be."""
import struct

from mxcy.ops.cuda.strided import divisor

__all__ = ["pack_axes", "walk"]

MOST_AXES = 12                      # as in axes.cuh


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


def pack_axes(axes):
    """The struct Axes of axes.cuh, of axes as `walk` gives them for one input."""
    if len(axes) > MOST_AXES:
        raise ValueError(f"{len(axes)} axes do not join to {MOST_AXES} or fewer; reshape the inputs")
    unused = MOST_AXES - len(axes)
    return b"".join([struct.pack("q", len(axes)), *(divisor(n) for n, _ in axes), *[divisor(1)] * unused,
                     struct.pack(f"{MOST_AXES}q", *(stride for _, (stride,) in axes), *[0] * unused)])
