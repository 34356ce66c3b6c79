"""Padding: by a constant, by the value at the edge, or by the values mirrored at it."""
from mxcy.base import MXNetValueError
from mxcy.ops import _pad as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape


def pad_params():
    return dict(mode=Param(str, choices=("constant", "edge", "reflect"),
                           doc="What to add: a constant, the value at the edge, or the values mirrored at it."),
                pad_width=Param(Shape, doc="How much to add before and behind each axis: "
                                           "``(before_1, behind_1, before_2, ...)``."),
                constant_value=Param(float, 0.0, doc="The constant."))


def pad_count(name, data, pad_width):
    """Refuse all but two widths for each axis, and arrays without axes."""
    if not data:
        raise MXNetValueError(f"{name}: data has no axes to pad")
    if len(pad_width) != 2 * len(data):
        raise MXNetValueError(f"{name}: pad_width is {pad_width}; an array of shape {data} needs {2 * len(data)} "
                              "numbers")


def pad_check(name, shape, mode, pad_width):
    """Refuse widths that do not fit ``shape``; negative ones cut."""
    for i, (n, before, behind) in enumerate(zip(shape, pad_width[::2], pad_width[1::2])):
        most = {"constant": max(before, behind), "edge": max(before, behind) if n else 0,
                "reflect": max(n - 1, 0)}[mode]
        if max(before, behind) > most or min(before, behind) < -n or n + before + behind < 0:
            raise MXNetValueError(f"{name}: axis {i} of shape {shape} cannot be padded by {before} and {behind} in "
                                  f"mode {mode!r}")


pad = Operator("Pad", "data", "Add values before and behind the axes of an array.", aliases=("pad",), **pad_params())


@pad.infer_shape
def pad_shape(data, mode, pad_width):
    pad_count("Pad", data, pad_width)
    pad_check("Pad", data, mode, pad_width)
    return tuple(n + before + behind for n, before, behind in zip(data, pad_width[::2], pad_width[1::2]))


@pad.gradient
def pad_gradient(F, g, mode, pad_width):
    return F._backward_Pad(g, mode=mode, pad_width=pad_width)


pad.cpu = kernel.pad

pad_backward = Operator(
    "_backward_Pad", "data", "Sum, for each item of an array, what padding made of it.", **pad_params())


@pad_backward.infer_shape
def pad_backward_shape(data, mode, pad_width):
    pad_count("_backward_Pad", data, pad_width)
    shape = tuple(n - before - behind for n, before, behind in zip(data, pad_width[::2], pad_width[1::2]))
    pad_check("_backward_Pad", shape, mode, pad_width)
    return shape


@pad_backward.gradient
def pad_backward_gradient(F, g, mode, pad_width):
    return F.Pad(g, mode=mode, pad_width=pad_width)


pad_backward.cpu = kernel.pad_backward
