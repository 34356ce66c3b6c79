"""Operators that take arrays apart and put them together: slices, splitting, joining, padding, reversing."""
from mxcy.base import MXNetValueError
from mxcy.ops import _pad, _shape
from mxcy.ops import _slice as kernel
from mxcy.ops.axes import axes_in, axis_in
from mxcy.ops.operator import Operator
from mxcy.ops.param import Bounds, Param, Shape

# -- slices ------------------------------------------------------------------------------------------------------------


def slice_shape(name, data, begin, end, step):
    """Shape of ``data[begin:end:step]`` with one of each for the first axes; as Python slices, ends are clipped."""
    step = step or (None,) * len(begin)
    if not len(begin) == len(end) == len(step) <= len(data):
        raise MXNetValueError(f"{name}: begin is {begin}, end is {end} and step is {step}; an array of shape {data} "
                              f"needs as many of each, at most {len(data)}")
    if 0 in step:
        raise MXNetValueError(f"{name}: step is {step}; a step cannot be 0")
    front = (len(range(*slice(*where).indices(n))) for n, *where in zip(data, begin, end, step))
    return (*front, *data[len(begin):])


def slice_params():
    return dict(begin=Param(Bounds, doc="Where to begin on the first axes; None: at the start."),
                end=Param(Bounds, doc="Where to stop on these axes; None: behind the last item."),
                step=Param(Bounds, (), doc="Steps on these axes, which may be negative; None, or not given: 1."))


slice_ = Operator(
    "slice", "data", "A part of ``data``: some of its first axes from begin to end by step.",
    aliases=("_npi_slice", "_npx_slice", "_sparse_slice", "crop"), **slice_params())


@slice_.infer_shape
def slice_infer(data, begin, end, step):
    return slice_shape("slice", data, begin, end, step)


@slice_.gradient
def slice_gradient(F, g, data, begin, end, step):
    return F._backward_slice(g, shape=data.shape, begin=begin, end=end, step=step)


slice_.cpu = kernel.slice

slice_backward = Operator(
    "_backward_slice", "data", "Zeros of a shape, with ``data`` where slice would have read.",
    shape=Param(Shape, doc="Shape of the result."), **slice_params())


@slice_backward.infer_shape
def slice_backward_shape(data, shape, begin, end, step):
    wanted = slice_shape("_backward_slice", shape, begin, end, step)
    if data != wanted:
        raise MXNetValueError(f"_backward_slice: data has shape {data}, but this slice of {shape} has {wanted}")
    return shape


@slice_backward.gradient
def slice_backward_gradient(F, g, begin, end, step):
    return F.slice(g, begin=begin, end=end, step=step)


slice_backward.cpu = kernel.slice_backward

slice_axis = Operator(
    "slice_axis", "data", "A part of ``data`` along one axis.",
    axis=Param(int, doc="The axis."),
    begin=Param(int, doc="Where to begin; negative: counted from the end."),
    end=Param(int, None, doc="Where to stop; negative: counted from the end; None: behind the last item."))


@slice_axis.infer_shape
def slice_axis_shape(data, axis, begin, end):
    at = axis_in(axis, len(data), "slice_axis: axis")
    n = data[at]
    first = begin + n if begin < 0 else begin
    last = n if end is None else end + n if end < 0 else end
    if not 0 <= first < last <= n:
        raise MXNetValueError(f"slice_axis: begin={begin}, end={end} select nothing, or more than there is, of axis "
                              f"{at}, which has size {n} in data of shape {data}")
    return (*data[:at], last - first, *data[at + 1:])


@slice_axis.gradient
def slice_axis_gradient(F, g, data, axis, begin, end):
    at = axis % data.ndim
    return F._backward_slice(g, shape=data.shape, begin=(None,) * at + (begin,), end=(None,) * at + (end,))


slice_axis.cpu = kernel.slice_axis

slice_like = Operator(
    "slice_like", "data shape_like", "The first part of ``data``, of the size that ``shape_like`` has.",
    axes=Param(Shape, (), doc="The axes to cut; all if not given."))


@slice_like.infer_shape
def slice_like_shape(data, shape_like, axes):
    if not axes and len(data) != len(shape_like):
        raise MXNetValueError(f"slice_like: data has shape {data} and shape_like {shape_like}; without axes they must "
                              f"have as many dimensions")
    shape = list(data)
    for at in axes_in(axes, len(data), "slice_like: axes") if axes else range(len(data)):
        if at >= len(shape_like) or shape_like[at] > data[at]:
            raise MXNetValueError(f"slice_like: axis {at} of data of shape {data} cannot be cut to that of "
                                  f"{shape_like}")
        shape[at] = shape_like[at]
    return tuple(shape)


@slice_like.infer_type
def slice_like_type(data):
    return data


@slice_like.gradient
def slice_like_gradient(F, g, data):
    return F._backward_slice(g, shape=data.shape, begin=(0,) * data.ndim, end=g.shape), None


slice_like.cpu = kernel.slice_like

slice_assign = Operator(
    "_slice_assign", "lhs rhs", "``lhs`` with a part of it replaced by ``rhs``.",
    aliases=("_crop_assign", "_npi_slice_assign"), **slice_params())


@slice_assign.infer_shape
def slice_assign_shape(lhs, begin, end, step):
    return dict(out=lhs, rhs=slice_shape("_slice_assign", lhs, begin, end, step))


@slice_assign.gradient
def slice_assign_gradient(F, g, begin, end, step):
    return (F._slice_assign_scalar(g, scalar=0, begin=begin, end=end, step=step),
            F.slice(g, begin=begin, end=end, step=step))


slice_assign.cpu = kernel.slice_assign

slice_assign_scalar = Operator(
    "_slice_assign_scalar", "data", "``data`` with one number in a part of it.",
    aliases=("_crop_assign_scalar", "_npi_slice_assign_scalar"),
    scalar=0., **slice_params())


@slice_assign_scalar.infer_shape
def slice_assign_scalar_shape(data, begin, end, step):
    slice_shape("_slice_assign_scalar", data, begin, end, step)
    return data


@slice_assign_scalar.gradient
def slice_assign_scalar_gradient(F, g, begin, end, step):
    return F._slice_assign_scalar(g, scalar=0, begin=begin, end=end, step=step)


slice_assign_scalar.cpu = kernel.slice_assign_scalar

crop = Operator(
    "Crop", "*data",
    """Cut images (N, C, H, W) to the height and width of a second input, or to ``h_w``.""",
    num_args=Param(int, None, min=1, max=2, doc="Number of arrays; counted if not given."),
    offset=Param(Shape, (0, 0), min=0, doc="Where to begin in height and width."),
    h_w=Param(Shape, (0, 0), min=0, doc="Height and width, if there is no second array."),
    center_crop=Param(bool, False, doc="Cut from the centre instead of ``offset``."))


@crop.check
def crop_check(offset, h_w):
    if len(offset) != 2 or len(h_w) != 2:
        raise MXNetValueError(f"Crop: offset is {offset} and h_w is {h_w}; both must be two numbers, height and width")


def crop_place(data, like, offset, h_w, center_crop):
    """Where the crop begins in height and width, and its size."""
    size = like[2:] if like else h_w
    begin = [(n - to) // 2 for n, to in zip(data[2:], size)] if center_crop else offset
    return tuple(begin), tuple(size)


@crop.infer_shape
def crop_shape(data, offset, h_w, center_crop):
    if len(data) > 2 or any(len(shape) != 4 for shape in data):
        raise MXNetValueError(f"Crop: the arrays have shapes {data}; expected one or two of (N, C, H, W)")
    image = data[0]
    begin, size = crop_place(image, data[1] if len(data) == 2 else None, offset, h_w, center_crop)
    if any(n <= 0 or at < 0 or at + n > limit for at, n, limit in zip(begin, size, image[2:])):
        raise MXNetValueError(f"Crop: {size} from {begin} on does not lie in data of shape {image}")
    return (*image[:2], *size)


@crop.gradient
def crop_gradient(F, g, data, offset, h_w, center_crop):
    shape = data[0].shape
    begin, size = crop_place(shape, data[1].shape if len(data) == 2 else None, offset, h_w, center_crop)
    end = tuple(at + n for at, n in zip(begin, size))
    return (F._backward_slice(g, shape=shape, begin=(0, 0, *begin), end=(*shape[:2], *end)), *[None] * (len(data) - 1))


crop.cpu = kernel.crop

# -- joining and splitting ---------------------------------------------------------------------------------------------


def split_back(F, g, sizes, axis, squeeze_axis=False):
    """``g`` dealt out along an axis, with so many items for each part."""
    if len(sizes) == 1:
        return (F.squeeze(g, axis=axis) if squeeze_axis else g,)
    starts = tuple(sum(sizes[:i]) for i in range(len(sizes)))
    return tuple(F._split_v2(g, indices=starts, axis=axis, squeeze_axis=squeeze_axis))


concat = Operator(
    "Concat", "*data", "Join arrays along an axis that they have; the other axes must be equal.",
    aliases=("_sparse_concat", "concat"),
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."),
    dim=Param(int, 1, doc="The axis."))


@concat.infer_shape
def concat_shape(data, dim):
    if not data:
        raise MXNetValueError("Concat: no arrays were given; expected at least one")
    first = data[0]
    at = axis_in(dim, len(first), "Concat: dim")
    for i, shape in enumerate(data):
        if (*shape[:at], *shape[at + 1:]) != (*first[:at], *first[at + 1:]) or len(shape) != len(first):
            raise MXNetValueError(f"Concat: array {i} has shape {shape} and the first one {first}; along axis {at} "
                                  f"only arrays that agree in all other axes can be joined")
    return (*first[:at], sum(shape[at] for shape in data), *first[at + 1:])


@concat.gradient
def concat_gradient(F, g, data, dim):
    return split_back(F, g, [x.shape[dim] for x in data], dim)


concat.cpu = _shape.join

stack = Operator(
    "stack", "*data", "Join arrays of one shape along a new axis.",
    axis=Param(int, 0, doc="Where the new axis stands in the result."),
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."))


@stack.infer_shape
def stack_shape(data, axis):
    if not data:
        raise MXNetValueError("stack: no arrays were given; expected at least one")
    for i, shape in enumerate(data):
        if shape != data[0]:
            raise MXNetValueError(f"stack: array {i} has shape {shape} and the first one {data[0]}; they must be equal")
    at = axis_in(axis, len(data[0]) + 1, "stack: axis")
    return (*data[0][:at], len(data), *data[0][at:])


@stack.gradient
def stack_gradient(F, g, data, axis):
    return tuple(F.reshape_like(part, x) for part, x in zip(split_back(F, g, [1] * len(data), axis), data))


stack.cpu = _shape.join


def without_axis(shape, at, squeeze_axis):
    return (*shape[:at], *shape[at + 1:]) if squeeze_axis else shape


def join_parts(F, gs, shapes, like, axis, squeeze_axis):
    """The gradient of a split: the parts' gradients joined; zeros stand for absent ones."""
    parts = [F.zeros(shape, dtype=like.dtype) if g is None else g for g, shape in zip(gs, shapes)]
    if squeeze_axis:
        return F.stack(*parts, axis=axis)
    return parts[0] if len(parts) == 1 else F.Concat(*parts, dim=axis)


split = Operator(
    "SliceChannel", "data", "Cut along an axis into equal parts.", outputs="outputs", aliases=("split",),
    num_outputs=Param(int, min=1, doc="Number of parts; it must divide the size of the axis."),
    axis=Param(int, 1, doc="The axis."),
    squeeze_axis=Param(bool, False, doc="Remove the axis from the parts, in which it must have size 1."))


@split.outputs_given
def split_outputs(num_outputs):
    return num_outputs, num_outputs


@split.infer_shape
def split_shape(data, num_outputs, axis, squeeze_axis):
    at = axis_in(axis, len(data), "SliceChannel: axis")
    if data[at] % num_outputs or (squeeze_axis and data[at] != num_outputs):
        raise MXNetValueError(f"SliceChannel: axis {at} of data of shape {data} has size {data[at]}, which cannot be "
                              f"cut into num_outputs={num_outputs} equal parts{' of size 1' if squeeze_axis else ''}")
    part = (*data[:at], data[at] // num_outputs, *data[at + 1:])
    return [without_axis(part, at, squeeze_axis)] * num_outputs


@split.gradient
def split_gradient(F, gs, data, num_outputs, axis, squeeze_axis):
    shapes = split_shape(data.shape, num_outputs, axis, squeeze_axis)
    return join_parts(F, gs, shapes, data, axis, squeeze_axis)


split.cpu = _shape.split

split_v2 = Operator(
    "_split_v2", "data", "Cut along an axis at given places, or into equal sections.", outputs="outputs",
    aliases=("_npi_split",),
    indices=Param(Shape, min=0, doc="Where each part begins; the first number is 0."),
    axis=Param(int, 1, doc="The axis."),
    squeeze_axis=Param(bool, False, doc="Remove the axis from the parts, in which it must have size 1."),
    sections=Param(int, 0, min=0, doc="If positive: the number of equal sections, instead of ``indices``."))


@split_v2.check
def split_v2_check(indices, sections):
    if not sections and (not indices or indices[0] != 0 or list(indices) != sorted(indices)):
        raise MXNetValueError(f"_split_v2: indices is {indices}; expected where each part begins, from 0 upwards")


@split_v2.outputs_given
def split_v2_outputs(indices, sections):
    return (sections or len(indices),) * 2


@split_v2.infer_shape
def split_v2_shape(data, indices, axis, squeeze_axis, sections):
    at = axis_in(axis, len(data), "_split_v2: axis")
    n = data[at]
    if sections:
        if n % sections:
            raise MXNetValueError(f"_split_v2: axis {at} of data of shape {data} cannot be cut into {sections} "
                                  "sections")
        sizes = [n // sections] * sections
    else:
        if indices[-1] > n:
            raise MXNetValueError(f"_split_v2: indices is {indices}, but axis {at} of data of shape {data} has size "
                                  f"{n}")
        sizes = [after - before for before, after in zip(indices, (*indices[1:], n))]
    if squeeze_axis and set(sizes) != {1}:
        raise MXNetValueError(f"_split_v2: squeeze_axis needs parts of size 1; they have {sizes}")
    return [without_axis((*data[:at], size, *data[at + 1:]), at, squeeze_axis) for size in sizes]


@split_v2.gradient
def split_v2_gradient(F, gs, data, indices, axis, squeeze_axis, sections):
    shapes = split_v2_shape(data.shape, indices, axis, squeeze_axis, sections)
    return join_parts(F, gs, shapes, data, axis, squeeze_axis)


split_v2.cpu = _shape.split

# -- reversing and padding ---------------------------------------------------------------------------------------------

reverse = Operator(
    "reverse", "data", "Reverse the order along some axes.", aliases=("flip",), axis=Param(Shape, doc="The axes."))


@reverse.infer_shape
def reverse_shape(data, axis):
    for at in axis:
        axis_in(at, len(data), "reverse: axis")
    return data


@reverse.gradient
def reverse_gradient(F, g, axis):
    return F.reverse(g, axis=axis)


reverse.cpu = kernel.reverse


def pad_params():
    return dict(mode=Param(str, choices=("constant", "edge", "reflect"),
                           doc="What to add: a constant, the value at the edge, or the values mirrored at it."),
                pad_width=Param(Shape, doc="How much to add before and behind each axis: "
                                           "``(before_1, behind_1, before_2, ...)``."),
                constant_value=Param(float, 0.0, doc="The constant."))


def pad_count(name, data, pad_width):
    """Refuse all but two widths for each axis."""
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


pad.cpu = _pad.pad

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


pad_backward.cpu = _pad.pad_backward
