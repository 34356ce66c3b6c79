"""Convolution and Deconvolution. With the gradient of the weights they are closed under differentiation."""
from mxcy.base import MXNetValueError
from mxcy.ops import _convolution as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape

WINDOW = dict(
    kernel=Param(Shape, min=1, doc="Extent of the window along each spatial axis: (w,), (h, w) or (d, h, w)."),
    stride=Param(Shape, (), min=1, doc="Step of the window; 1 along each axis, if empty."),
    dilate=Param(Shape, (), min=1, doc="Distance between neighbours in the window; 1 along each axis, if empty."),
    pad=Param(Shape, (), min=0, doc="Zeros added on both sides of each axis; none, if empty."),
)
GROUPS = dict(
    num_filter=Param(int, min=1, doc="Number of output channels."),
    num_group=Param(int, 1, min=1, doc="Number of groups that channels and filters are split into."),
)
CUDNN = dict(
    cudnn_tune=Param(str, None, choices=("fastest", "limited_workspace", "off"), doc="Ignored."),
    cudnn_off=Param(bool, False, doc="On a GPU, compute it without cuDNN."),
)
WORKSPACE = Param(int, 1024, min=0, doc="MiB of memory that cuDNN may use beside the arrays, on a GPU.")
LAYOUT = dict(
    layout=Param(str, None, choices=("NCW", "NCHW", "NCDHW", "NWC", "NHWC", "NDHWC"),
                 doc="Order of the axes of ``data``; channels first, if not given. With channels last they are the "
                     "last axis of ``weight``, too."),
    weight_layout=Param(str, None, choices=("first",),
                        doc="``first``: channels are the second axis of ``weight`` in any case."))
FIRST, LAST = ("NCW", "NCHW", "NCDHW"), ("NWC", "NHWC", "NDHWC")


def full(kernel, stride, dilate, pad):
    """stride, dilate and pad with the defaults filled in."""
    n = len(kernel)
    return stride or (1,) * n, dilate or (1,) * n, pad or (0,) * n


def extents(kernel, dilate):
    """How far the window reaches along each axis."""
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilate))


def check_window(name, kernel, layout=None, **axes):
    """Raise unless the parameters describe one window."""
    n = len(kernel)
    if n not in (1, 2, 3):
        raise MXNetValueError(f"{name}: kernel is {kernel}; expected 1, 2 or 3 extents")
    for key, value in axes.items():
        if value and len(value) != n:
            raise MXNetValueError(f"{name}: {key} is {value}, but kernel {kernel} has {n} axes; give {n} numbers or "
                                  "none")
    if layout not in (None, FIRST[n - 1], LAST[n - 1]):
        raise MXNetValueError(f"{name}: layout is {layout!r}; with a kernel of {n} axes it is {FIRST[n - 1]!r} or "
                              f"{LAST[n - 1]!r}")


def channel_axis(layout):
    return -1 if layout in LAST else 1


def spatial(shape, layout):
    """The extents of the spatial axes."""
    return shape[1:-1] if layout in LAST else shape[2:]


def arranged(last, first, channels, extents):
    """The shape of an array, with channels last or behind the first axis."""
    return (first, *extents, channels) if last else (first, channels, *extents)


def weights_last(layout, weight_layout):
    return layout in LAST and weight_layout != "first"


def check_data(name, data, kernel, groups, layout):
    """Raise unless data goes with the window; its channels."""
    if len(data) != len(kernel) + 2:
        raise MXNetValueError(f"{name}: data has shape {data}, but kernel {kernel} needs {len(kernel) + 2} axes: "
                              f"batch, channels and {len(kernel)} spatial")
    channels = data[channel_axis(layout)]
    if channels % groups:
        raise MXNetValueError(f"{name}: data of shape {data} has {channels} channels, which num_group={groups} does "
                              "not divide")
    return channels


def check_filters(name, num_filter, num_group):
    if num_filter % num_group:
        raise MXNetValueError(f"{name}: num_filter is {num_filter}, which num_group={num_group} does not divide")


# -- Convolution -------------------------------------------------------------------------------------------------------

convolution = Operator(
    "Convolution", "data weight bias?",
    """Cross-correlation of ``data`` (N, C, ...) with ``num_filter`` windows over 1 to 3 spatial axes.

    ``weight`` is (num_filter, C / num_group, *kernel), ``bias`` (num_filter,). Each spatial axis of the output has
    ``(n + 2 * pad - dilate * (kernel - 1) - 1) // stride + 1`` positions.""",
    aliases=("Convolution_v1", "_npx_convolution"), **WINDOW, **GROUPS,
    workspace=WORKSPACE, no_bias=Param(bool, False, doc="Leave ``bias`` out."),
    **CUDNN, **LAYOUT)


@convolution.check
def _(kernel, stride, dilate, pad, num_filter, num_group, layout):
    check_window("Convolution", kernel, layout, stride=stride, dilate=dilate, pad=pad)
    check_filters("Convolution", num_filter, num_group)


@convolution.inputs_given
def _(no_bias):
    return "data weight" if no_bias else "data weight bias"


@convolution.infer_shape
def _(data, kernel, stride, dilate, pad, num_filter, num_group, layout, weight_layout):
    channels = check_data("Convolution", data, kernel, num_group, layout)
    stride, dilate, pad = full(kernel, stride, dilate, pad)
    reach = extents(kernel, dilate)
    extents_of_data = spatial(data, layout)
    for n, k, p in zip(extents_of_data, reach, pad):
        if n + 2 * p < k:
            raise MXNetValueError(f"Convolution: the window reaches over {reach}, but data of shape {data} padded by "
                                  f"{pad} is smaller")
    out = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in zip(extents_of_data, reach, stride, pad))
    return dict(weight=arranged(weights_last(layout, weight_layout), num_filter, channels // num_group, kernel),
                bias=(num_filter,), out=arranged(layout in LAST, data[0], num_filter, out))


def undone(data, g, kernel, stride, dilate, pad, layout, **_):
    """``adj`` for the Deconvolution that leads from ``g`` back to the shape of ``data``."""
    stride, dilate, pad = full(kernel, stride, dilate, pad)
    return tuple(n - ((o - 1) * s + k - 2 * p) for n, o, k, s, p in
                 zip(spatial(data.shape, layout), spatial(g.shape, layout), extents(kernel, dilate), stride, pad))


def data_gradient(F, g, data, weight, num_group, **window):
    """The gradient of a convolution's data: the deconvolution of ``g``."""
    return F.Deconvolution(g, weight, num_filter=data.shape[channel_axis(window["layout"])], num_group=num_group,
                           no_bias=True, adj=undone(data, g, **window), **window)


def forward(F, data, weight, like, **window):
    """The convolution of the shape of ``like``: an odd target shape of a deconvolution leaves one position too many."""
    out = F.Convolution(data, weight, num_filter=like.shape[channel_axis(window["layout"])], no_bias=True, **window)
    return out if out.shape == like.shape else F.slice_like(out, like)


@convolution.gradient
def _(F, g, data, weight, kernel, stride, dilate, pad, num_group, layout, weight_layout, no_bias, workspace,
      cudnn_off, needs):
    window = dict(kernel=kernel, stride=stride, dilate=dilate, pad=pad, num_group=num_group, layout=layout,
                  weight_layout=weight_layout, workspace=workspace, cudnn_off=cudnn_off)
    return (data_gradient(F, g, data, weight, **window) if needs[0] else None,
            F._backward_Convolution_weight(data, g, **window) if needs[1] else None,
            F.sum(g, axis=channel_axis(layout), exclude=True) if not no_bias and needs[2] else None)


convolution.cpu = kernel.convolution


# -- the gradient of the weights ---------------------------------------------------------------------------------------

weight_gradient = Operator(
    "_backward_Convolution_weight", "data g",
    "The gradient of a convolution's ``weight`` from its ``data`` and the gradient ``g`` of its output.",
    **WINDOW, num_group=GROUPS["num_group"],
    workspace=WORKSPACE, **CUDNN, **LAYOUT)


@weight_gradient.infer_shape
def _(data, g, kernel, num_group, layout, weight_layout):
    axis = channel_axis(layout)
    return arranged(weights_last(layout, weight_layout), g[axis], data[axis] // num_group, kernel)


@weight_gradient.gradient
def _(F, gs, data, g, kernel, stride, dilate, pad, num_group, layout, weight_layout, workspace, cudnn_off, needs):
    window = dict(kernel=kernel, stride=stride, dilate=dilate, pad=pad, num_group=num_group, layout=layout,
                  weight_layout=weight_layout, workspace=workspace, cudnn_off=cudnn_off)
    weight = gs[0]
    return (data_gradient(F, g, data, weight, **window) if needs[0] else None,
            forward(F, data, weight, g, **window) if needs[1] else None)


weight_gradient.cpu = kernel.convolution_weight


# -- Deconvolution -----------------------------------------------------------------------------------------------------

deconvolution = Operator(
    "Deconvolution", "data weight bias?",
    """Transposed convolution: the map that takes the gradient of a convolution's output to that of its data.

    ``weight`` is (C, num_filter / num_group, *kernel), ``bias`` (num_filter,). Each spatial axis of the output has
    ``stride * (n - 1) + dilate * (kernel - 1) + 1 - 2 * pad + adj`` positions, or as many as ``target_shape`` says.""",
    aliases=("_npx_deconvolution",), **WINDOW,
    adj=Param(Shape, (), min=0, doc="Positions added at the end of each axis."),
    target_shape=Param(Shape, (), min=0, doc="Spatial shape of the output; ``pad`` and ``adj`` then follow from it."),
    **GROUPS, workspace=Param(int, 512, min=0, doc=WORKSPACE.doc),
    no_bias=Param(bool, True, doc="Leave ``bias`` out."), **CUDNN, **LAYOUT)


@deconvolution.check
def _(kernel, stride, dilate, pad, adj, target_shape, num_filter, num_group, layout):
    check_window("Deconvolution", kernel, layout, stride=stride, dilate=dilate, pad=pad, adj=adj,
                 target_shape=target_shape)
    check_filters("Deconvolution", num_filter, num_group)


@deconvolution.inputs_given
def _(no_bias):
    return "data weight" if no_bias else "data weight bias"


def fitted_pad(data, kernel, stride, dilate, pad, target_shape, layout):
    """The padding: as given, or such that the output has the target shape."""
    stride, dilate, pad = full(kernel, stride, dilate, pad)
    if not target_shape:
        return pad
    return tuple((s * (n - 1) + k - t + 1) // 2 for n, k, s, t in
                 zip(spatial(data, layout), extents(kernel, dilate), stride, target_shape))


@deconvolution.infer_shape
def _(data, kernel, stride, dilate, pad, adj, target_shape, num_filter, num_group, layout, weight_layout):
    channels = check_data("Deconvolution", data, kernel, num_group, layout)
    stride, dilate, pad = full(kernel, stride, dilate, pad)
    reach = extents(kernel, dilate)
    out = target_shape or tuple(s * (n - 1) + k - 2 * p + a for n, k, s, p, a in
                                zip(spatial(data, layout), reach, stride, pad, adj or (0,) * len(kernel)))
    if any(t > s * (n - 1) + k for n, k, s, t in zip(spatial(data, layout), reach, stride, target_shape)):
        raise MXNetValueError(f"Deconvolution: target_shape is {target_shape}; data of shape {data} gives at most "
                              f"{tuple(s * (n - 1) + k for n, k, s in zip(spatial(data, layout), reach, stride))}")
    if any(n < 1 for n in out) and 0 not in data:
        raise MXNetValueError(f"Deconvolution: data of shape {data} with kernel {kernel}, stride {stride} and pad "
                              f"{pad} gives an output of spatial shape {out}; use less padding")
    return dict(weight=arranged(weights_last(layout, weight_layout), channels, num_filter // num_group, kernel),
                bias=(num_filter,), out=arranged(layout in LAST, data[0], num_filter, out))


@deconvolution.gradient
def _(F, g, data, weight, kernel, stride, dilate, pad, target_shape, num_group, layout, weight_layout, no_bias,
      workspace, cudnn_off, needs):
    pad = fitted_pad(data.shape, kernel, stride, dilate, pad, target_shape, layout)
    window = dict(kernel=kernel, stride=stride, dilate=dilate, pad=pad, num_group=num_group, layout=layout,
                  weight_layout=weight_layout, workspace=workspace, cudnn_off=cudnn_off)
    return (forward(F, g, weight, data, **window) if needs[0] else None,
            F._backward_Convolution_weight(g, data, **window) if needs[1] else None,
            F.sum(g, axis=channel_axis(layout), exclude=True) if not no_bias and needs[2] else None)


deconvolution.cpu = kernel.deconvolution
