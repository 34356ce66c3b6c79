"""Pooling: maximum, mean, sum and p-norm over windows."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _pooling as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape

WINDOW = dict(
    kernel=Param(Shape, (), min=1, doc="Extent of the window along each spatial axis."),
    pool_type=Param(str, "max", choices=("max", "avg", "sum", "lp"), doc="What is taken of a window."),
    global_pool=Param(bool, False, doc="The window is the whole image; ``kernel``, ``stride`` and ``pad`` are "
                                       "ignored."),
    cudnn_off=Param(bool, False, doc="Ignored."),
    pooling_convention=Param(
        str, "valid", choices=("valid", "full", "same"),
        doc="Positions along an axis: (n + 2 pad - kernel) / stride + 1 rounded down (valid) or up (full); "
            "(n + 2 pad) / stride rounded up (same)."),
    stride=Param(Shape, (), min=1, doc="Step of the window; 1 along each axis, if empty."),
    pad=Param(Shape, (), min=0, doc="Positions added on both sides of each axis."),
    p_value=Param(int, None, min=1, max=3, doc="The p of ``lp``: the p-th root of the sum of p-th powers."),
    count_include_pad=Param(bool, None, doc="Whether a mean counts the padding too; yes, if not given."),
    layout=Param(str, None, choices=("NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC"), doc="Order of the axes."),
)
BYTE = 255                              # elements of a window up to which positions are stored as bytes


def spatial_axes(ndim, layout):
    return slice(1, ndim - 1) if layout and layout.endswith("C") else slice(2, ndim)


pooling = Operator(
    "Pooling", "data",
    """The maximum, mean, sum or p-norm of each window of ``data`` (N, C, ...), over 1 to 3 spatial axes.

    The gradient of a maximum goes to the first of the largest elements, in row-major order.""",
    outputs="out where", visible=1, aliases=("Pooling_v1", "_npx_pooling"), **WINDOW)


@pooling.check
def _(kernel, pool_type, global_pool, stride, pad, p_value, layout):
    if pool_type == "lp" and p_value is None:
        raise MXNetTypeError("Pooling: pool_type 'lp' needs p_value (1, 2 or 3)")
    if global_pool:
        return
    if len(kernel) not in (1, 2, 3):
        raise MXNetValueError(f"Pooling: kernel is {kernel}; expected 1, 2 or 3 extents, or global_pool=True")
    for key, value in (("stride", stride), ("pad", pad)):
        if value and len(value) != len(kernel):
            raise MXNetValueError(f"Pooling: {key} is {value}, but kernel {kernel} has {len(kernel)} axes")
    if any(p >= k for p, k in zip(pad, kernel)):
        raise MXNetValueError(f"Pooling: pad is {pad}; expected less than the kernel {kernel}")


@pooling.outputs_given
def _(pool_type):
    return (2 if pool_type == "max" else 1), 1


@pooling.infer_shape
def _(data, kernel, pool_type, global_pool, pooling_convention, stride, pad, layout):
    n = len(data) - 2 if global_pool else len(kernel)
    if len(data) != n + 2 or n not in (1, 2, 3) or layout and len(layout) != len(data):
        wanted = f"layout {layout}" if layout else "kernel of 1 to 3 axes" if global_pool else f"kernel {kernel}"
        raise MXNetValueError(f"Pooling: data has shape {data}, but {wanted} needs batch, channels and as many spatial "
                              "axes")
    axes = spatial_axes(len(data), layout)
    out = (1,) * n if global_pool else tuple(
        positions(data, *axis, pooling_convention)
        for axis in zip(data[axes], kernel, stride or (1,) * n, pad or (0,) * n))
    shape = (*data[:axes.start], *out, *data[axes.stop:])
    return [shape, shape] if pool_type == "max" else [shape]


def positions(data, n, kernel, stride, pad, convention):
    """How many windows there are along an axis of n elements."""
    if n + 2 * pad < kernel:
        raise MXNetValueError(f"Pooling: a window of {kernel} does not fit an axis of {n} elements and {pad} of "
                              f"padding on each side, of data of shape {data}")
    if convention == "same":
        return -(-(n + 2 * pad) // stride)
    room = n + 2 * pad - kernel
    return (room // stride if convention == "valid" else -(-room // stride)) + 1


@pooling.infer_type
def _(data, kernel, pool_type, global_pool):
    if not data.startswith(("float", "bfloat")):
        raise MXNetTypeError(f"Pooling: data is {data}; expected a floating point type. Convert it with astype().")
    size = 1
    for k in kernel:
        size *= k
    return [data, "int32" if global_pool or size > BYTE else "uint8"][:2 if pool_type == "max" else 1]


pooling.cpu = lambda pool_type: kernel.max_ if pool_type == "max" else kernel.sum_


def window(kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout):
    """The parameters that the gradients share with `Pooling`."""
    return dict(kernel=kernel, global_pool=global_pool, pooling_convention=pooling_convention, stride=stride, pad=pad,
                count_include_pad=count_include_pad, layout=layout)


@pooling.gradient
def _(F, g, data, where, out, pool_type, p_value, kernel, global_pool, pooling_convention, stride, pad,
      count_include_pad,
      layout):
    params = window(kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout)
    if pool_type == "max":
        return F._backward_Pooling_max(g, where, shape=data.shape, **params)
    if pool_type != "lp" or p_value == 1:
        return F._backward_Pooling_sum(g, shape=data.shape, pool_type="avg" if pool_type == "avg" else "sum", **params)
    # (x / out) ** (p - 1), and 0 where the whole window is 0
    zero = out == 0
    g = F.where(zero, F.zeros_like(g), g / (out + zero) ** (p_value - 1))
    return data ** (p_value - 1) * F._backward_Pooling_sum(g, shape=data.shape, pool_type="sum", **params)


# -- gradients ---------------------------------------------------------------------------------------------------------

GEOMETRY = {key: WINDOW[key] for key in ("kernel", "global_pool", "pooling_convention", "stride", "pad",
                                         "count_include_pad", "layout")}
SHAPE = dict(shape=Param(Shape, min=0, doc="Shape of the data."))

scatter = Operator("_backward_Pooling_max", "g where", "``g`` put where the maxima were, zeros elsewhere.", **SHAPE,
                   **GEOMETRY)
gather = Operator("_backward_Pooling_gather", "data where", "The elements of ``data`` where the maxima were.",
                  **GEOMETRY)
spread = Operator("_backward_Pooling_sum", "g", "``g`` added to every element of its window, or its share if a mean.",
                  **SHAPE, pool_type=WINDOW["pool_type"], **GEOMETRY)

scatter.infer_shape(lambda shape: shape)
gather.infer_shape(lambda where: where)
spread.infer_shape(lambda shape: shape)
scatter.infer_type(lambda g: g)
gather.infer_type(lambda data: data)
scatter.cpu, gather.cpu, spread.cpu = kernel.max_scatter_, kernel.max_gather_, kernel.spread_


@scatter.gradient
def _(F, gs, where, kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout):
    params = window(kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout)
    return F._backward_Pooling_gather(gs[0], where, **params)


@gather.gradient
def _(F, g, data, where, kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout):
    params = window(kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout)
    return F._backward_Pooling_max(g, where, shape=data.shape, **params)


@spread.gradient
def _(F, gs, pool_type, kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout):
    params = window(kernel, global_pool, pooling_convention, stride, pad, count_include_pad, layout)
    return F.Pooling(gs[0], pool_type=pool_type, **params)
