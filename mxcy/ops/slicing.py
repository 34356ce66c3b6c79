"""Parts of arrays: slices, assignment to slices, cutting images, and reversed order."""
from mxcy.base import MXNetValueError
from mxcy.ops import _slice as kernel
from mxcy.ops.axes import axes_in, axis_in
from mxcy.ops.operator import Operator
from mxcy.ops.param import Bounds, Param, Shape


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
    shape=Param(Shape, min=0, doc="Shape of the result."), **slice_params())


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


slice_assign.inplace(lambda: (0,))


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
