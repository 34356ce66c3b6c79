"""Normalisation: layer, group, instance, L2 and local response; batch normalisation has its own file."""
from mxcy.base import MXNetValueError
from mxcy.ops import _norm as kernel
from mxcy.ops.family import as_output
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

EPS = "Added to the variance."
MEAN_VAR = Param(bool, False, doc="Also return the mean and the deviation.")


def positive_axis(name, axis, shape):
    """``axis`` counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise MXNetValueError(f"{name}: axis is {axis}, but data has shape {shape}; expected {-len(shape)} to "
                              f"{len(shape) - 1}")
    return axis % len(shape)


def second_order(F, us, g, data, gamma, axes, weight_shape, eps):
    """Gradients of the gradients of a normalisation, with respect to g, data and gamma.

    With x = (data - mean) r, r = (variance + eps) ** -1/2 and h = gamma g, the data's gradient is r P h, where
    P w = w - mean(w) - x mean(x w) is symmetric; those of gamma and beta are sums of g x and of g.

    Parameters
    ----------
    us : tuple
        The directions: gradients with respect to the gradients of data, gamma and beta, or None.
    axes : tuple of int
        Axes that mean and variance run over.
    weight_shape : tuple of int
        Shape in which gamma and beta broadcast against data.
    """
    def mean(w):
        return F.mean(w, axis=axes, keepdims=True)

    def weight(w):
        return F.reshape(w, shape=weight_shape)

    def total(w):
        return F.reshape(F._reduce_like(w, weight(gamma)), shape=gamma.shape)

    u = us[0] if us[0] is not None else F.zeros_like(data)
    distance = F.broadcast_sub(data, mean(data))
    r = F.rsqrt(mean(distance * distance) + eps)
    x = F.broadcast_mul(distance, r)

    def project(w):
        return F.broadcast_sub(w, mean(w)) - F.broadcast_mul(x, mean(x * w))

    h = F.broadcast_mul(g, weight(gamma))
    back_u, back_h = F.broadcast_mul(project(u), r), F.broadcast_mul(project(h), r)
    to_g = F.broadcast_mul(back_u, weight(gamma))
    to_gamma = total(g * back_u)
    to_data = -F.broadcast_mul(F.broadcast_mul(x, mean(u * back_h)) + F.broadcast_mul(back_u, mean(h * x))
                               + F.broadcast_mul(back_h, mean(u * x)), r)
    if us[1] is not None:
        to_g = to_g + F.broadcast_mul(x, weight(us[1]))
        to_data = to_data + F.broadcast_mul(project(F.broadcast_mul(g, weight(us[1]))), r)
    if us[2] is not None:
        to_g = F.broadcast_add(to_g, weight(us[2]))
    return to_g, to_data, to_gamma


# -- LayerNorm ---------------------------------------------------------------------------------------------------------

layer_norm = Operator(
    "LayerNorm", "data gamma beta",
    """Normalise along one axis by its mean and variance, then scale by ``gamma`` and shift by ``beta`` [1]_.

    References
    ----------
    .. [1] Ba, Kiros, Hinton, "Layer Normalization", arXiv:1607.06450, 2016.""",
    outputs="out mean std", visible=1, aliases=("_npx_layer_norm",),
    axis=Param(int, -1, doc="The axis to normalise along."), eps=Param(float, 1e-5, min=0, doc=EPS),
    output_mean_var=MEAN_VAR)


@layer_norm.outputs_given
def _(output_mean_var):
    return 3, 3 if output_mean_var else 1


@layer_norm.infer_shape
def _(data, axis):
    axis = positive_axis("LayerNorm", axis, data)
    small = tuple(1 if i == axis else n for i, n in enumerate(data))
    return dict(gamma=(data[axis],), beta=(data[axis],), out=data, mean=small, std=small)


@layer_norm.gradient
def _(F, g, data, gamma, mean, std, axis, eps):
    return F._backward_LayerNorm(g, data, gamma, mean, std, axis=axis, eps=eps)


layer_norm.infer_inputs(as_output)
layer_norm.cpu = kernel.layer_norm

layer_norm_gradient = Operator(
    "_backward_LayerNorm", "g data gamma mean std", "Gradients of LayerNorm.",
    outputs="data_grad gamma_grad beta_grad", axis=layer_norm.params["axis"], eps=layer_norm.params["eps"])
layer_norm_gradient.infer_shape(lambda data, gamma: [data, gamma, gamma])
layer_norm_gradient.cpu = kernel.layer_norm_backward


@layer_norm_gradient.gradient
def _(F, gs, g, data, gamma, axis, eps):
    axis %= data.ndim
    weight_shape = tuple(n if i == axis else 1 for i, n in enumerate(data.shape))
    return second_order(F, gs, g, data, gamma, (axis,), weight_shape, eps)


# -- GroupNorm and InstanceNorm ----------------------------------------------------------------------------------------

group_norm = Operator(
    "GroupNorm", "data gamma beta",
    """Normalise groups of channels of each sample by their mean and variance; ``gamma`` and ``beta`` have one number
    per group [1]_.

    References
    ----------
    .. [1] Wu, He, "Group Normalization", ECCV 2018.""",
    outputs="out mean std", visible=1,
    num_groups=Param(int, 1, min=1, doc="Number of groups; divides the channels, axis 1."),
    eps=Param(float, 1e-5, min=0, doc=EPS), output_mean_var=MEAN_VAR)


@group_norm.outputs_given
def _(output_mean_var):
    return 3, 3 if output_mean_var else 1


@group_norm.infer_shape
def _(data, num_groups):
    if len(data) < 3:
        raise MXNetValueError(f"GroupNorm: data has shape {data}; expected at least 3 axes: batch, channels, space")
    if data[1] % num_groups:
        raise MXNetValueError(f"GroupNorm: data of shape {data} has {data[1]} channels, which num_groups={num_groups} "
                              f"does not divide")
    return dict(gamma=(num_groups,), beta=(num_groups,), out=data, mean=(data[0], num_groups),
                std=(data[0], num_groups))


@group_norm.gradient
def _(F, g, data, gamma, mean, std, num_groups, eps):
    return F._backward_GroupNorm(g, data, gamma, mean, std, num_groups=num_groups, eps=eps)


group_norm.infer_inputs(as_output)
group_norm.cpu = kernel.group_norm

instance_norm = Operator(
    "InstanceNorm", "data gamma beta",
    """Normalise each channel of each sample by its mean and variance [1]_.

    References
    ----------
    .. [1] Ulyanov, Vedaldi, Lempitsky, "Instance Normalization: The Missing Ingredient for Fast Stylization",
       arXiv:1607.08022, 2016.""",
    outputs="out mean std", visible=1, eps=Param(float, 1e-3, min=0, doc=EPS))


@instance_norm.infer_shape
def _(data):
    if len(data) < 3:
        raise MXNetValueError(f"InstanceNorm: data has shape {data}; expected at least 3 axes: batch, channels, space")
    return dict(gamma=(data[1],), beta=(data[1],), out=data, mean=data[:2], std=data[:2])


@instance_norm.gradient
def _(F, g, data, gamma, mean, std, eps):
    return F._backward_GroupNorm(g, data, gamma, mean, std, num_groups=data.shape[1], eps=eps)


instance_norm.cpu = kernel.group_norm

group_norm_gradient = Operator(
    "_backward_GroupNorm", "g data gamma mean std", "Gradients of GroupNorm.",
    outputs="data_grad gamma_grad beta_grad", num_groups=group_norm.params["num_groups"], eps=group_norm.params["eps"])
group_norm_gradient.infer_shape(lambda data, gamma: [data, gamma, gamma])
group_norm_gradient.cpu = kernel.group_norm_backward


@group_norm_gradient.gradient
def _(F, gs, g, data, gamma, num_groups, eps):
    def runs(x):
        return F.reshape(x, shape=(data.shape[0], num_groups, -1))
    us = (None if gs[0] is None else runs(gs[0]), gs[1], gs[2])
    to_g, to_data, to_gamma = second_order(F, us, runs(g), runs(data), gamma, (2,), (1, num_groups, 1), eps)
    return F.reshape(to_g, shape=data.shape), F.reshape(to_data, shape=data.shape), to_gamma


# -- by composition ----------------------------------------------------------------------------------------------------

l2_normalization = Operator(
    "L2Normalization", "data",
    "Divide by the 2-norm of each sample, of the channels at each position, or of each channel.",
    eps=Param(float, 1e-10, min=0, doc="Added to the sum of squares."),
    mode=Param(str, "instance", choices=("channel", "instance", "spatial"),
               doc="What has norm 1: all of a sample, axis 1, or the axes from 2 on."))


@l2_normalization.compose
def _(F, data, eps, mode):
    if mode != "instance" and data.ndim < 3:
        raise MXNetValueError(f"L2Normalization: data has shape {data.shape}; mode {mode!r} needs at least 3 axes")
    axes = {"instance": tuple(range(1, data.ndim)), "channel": (1,), "spatial": tuple(range(2, data.ndim))}[mode]
    return F.broadcast_mul(data, F.rsqrt(F.sum(data * data, axis=axes, keepdims=True) + eps))


lrn = Operator(
    "LRN", "data",
    """Local response normalisation: ``data * (knorm + alpha / nsize * s) ** -beta`` with ``s`` the sum of squares over
    ``nsize`` neighbouring channels [1]_.

    References
    ----------
    .. [1] Krizhevsky, Sutskever, Hinton, "ImageNet Classification with Deep Convolutional Neural Networks",
       NIPS 2012.""",
    alpha=Param(float, 1e-4, doc="Weight of the squares."), beta=Param(float, .75, doc="The exponent."),
    knorm=Param(float, 2., doc="What is added to the squares."),
    nsize=Param(int, min=1, doc="Number of channels; odd."))


@lrn.compose
def _(F, data, alpha, beta, knorm, nsize):
    if nsize % 2 == 0:
        raise MXNetValueError(f"LRN: nsize is {nsize}; expected an odd number of channels")
    if data.ndim < 2:
        raise MXNetValueError(f"LRN: data has shape {data.shape}; expected at least two axes, samples and channels")
    squares = F.Pooling(F.reshape(data * data, shape=(data.shape[0], 1, data.shape[1], -1)), pool_type="sum",
                        kernel=(nsize, 1), pad=(nsize // 2, 0))
    return data * F.reshape(squares * (alpha / nsize) + knorm, shape=data.shape) ** -beta
