"""Batch normalisation."""
from mxcy.base import MXNetTypeError
from mxcy.ops import _batch_norm as kernel
from mxcy.ops.norm import EPS, positive_axis, second_order
from mxcy.ops.operator import Operator, call_rule
from mxcy.ops.param import Param


batch_norm = Operator(
    "BatchNorm", "data gamma beta moving_mean moving_var",
    """Normalise each channel by its mean and variance, then scale by ``gamma`` and shift by ``beta`` [1]_.

    In training they are those of the batch, and backward moves the moving averages towards them; otherwise, and with
    ``use_global_stats``, they are the moving averages. 16-bit data go with float32 weights.

    References
    ----------
    .. [1] Ioffe, Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
       Shift", ICML 2015.""",
    outputs="out mean var", visible=1, aux=("moving_mean", "moving_var"), aliases=("BatchNorm_v1", "_npx_batch_norm"),
    eps=Param(float, 1e-3, min=0, doc=EPS),
    momentum=Param(float, .9, doc="What the moving averages keep of their values at a step."),
    fix_gamma=Param(bool, True, doc="Take ``gamma`` as 1; its gradient is 0."),
    use_global_stats=Param(bool, False, doc="Use the moving averages in training too."),
    output_mean_var=Param(bool, False, doc="Also return the mean and 1 / sqrt(variance + eps)."),
    axis=Param(int, 1, doc="The axis of the channels."),
    cudnn_off=Param(bool, False, doc="Ignored."),
    min_calib_range=Param(float, None, doc="Ignored."),
    max_calib_range=Param(float, None, doc="Ignored."))


@batch_norm.outputs_given
def _(output_mean_var):
    return 3, 3 if output_mean_var else 1


# Only backward moves the averages.
batch_norm.changes_given(lambda: ())


@batch_norm.infer_shape
def _(data, axis):
    channels = (data[positive_axis("BatchNorm", axis, data)],)
    return dict(gamma=channels, beta=channels, moving_mean=channels, moving_var=channels, out=data, mean=channels,
                var=channels)


@batch_norm.infer_type
def _(data):
    if not data.startswith(("float", "bfloat")):
        raise MXNetTypeError(f"BatchNorm: data is {data}; expected a floating point type. Convert it with astype().")
    other = "float32" if data in ("float16", "bfloat16") else data
    return dict(gamma=other, beta=other, moving_mean=other, moving_var=other, out=data, mean=other, var=other)


@batch_norm.gradient
def _(F, g, data, gamma, moving_mean, moving_var, mean, var, eps, momentum, fix_gamma, use_global_stats, axis, train):
    return F._backward_BatchNorm(g, data, gamma, mean, var, moving_mean, moving_var, eps=eps, momentum=momentum,
                                 fix_gamma=fix_gamma, axis=axis, batch=train and not use_global_stats)


batch_norm.cpu = kernel.forward

batch_norm_gradient = Operator(
    "_backward_BatchNorm", "g data gamma mean var moving_mean moving_var",
    "Gradients of BatchNorm; with ``batch`` it moves the moving averages.",
    outputs="data_grad gamma_grad beta_grad", mutates=("moving_mean", "moving_var"),
    **{key: batch_norm.params[key] for key in ("eps", "momentum", "fix_gamma", "axis")},
    batch=Param(bool, doc="The statistics were those of the batch."))


@batch_norm_gradient.infer_shape
def _(data, gamma):
    return [data, gamma, gamma]


@batch_norm_gradient.infer_type
def _(data, gamma):
    return [data, gamma, gamma]


@batch_norm_gradient.gradient
def _(F, gs, g, data, gamma, mean, var, eps, fix_gamma, axis, batch):
    weight_shape = tuple(n if i == axis % data.ndim else 1 for i, n in enumerate(data.shape))
    axes = tuple(i for i in range(data.ndim) if i != axis % data.ndim)
    if fix_gamma:
        gamma, gs = F.ones_like(gamma), (gs[0], None, gs[2])
    if batch:
        to_g, to_data, to_gamma = second_order(F, gs, g, data, gamma, axes, weight_shape, eps)
        return to_g, to_data, None if fix_gamma else to_gamma
    r = F.reshape(var, shape=weight_shape)          # fixed statistics: all is linear in g and data
    back = F.broadcast_mul(gs[0] if gs[0] is not None else F.zeros_like(data), r)
    to_g = F.broadcast_mul(back, F.reshape(gamma, shape=weight_shape))
    to_gamma = None if fix_gamma else F.sum(back * g, axis=axes)
    to_data = None
    if gs[1] is not None:
        slope = F.broadcast_mul(r, F.reshape(gs[1], shape=weight_shape))
        to_g = to_g + F.broadcast_mul(F.broadcast_sub(data, F.reshape(mean, shape=weight_shape)), slope)
        to_data = F.broadcast_mul(g, slope)
    if gs[2] is not None:
        to_g = F.broadcast_add(to_g, F.reshape(gs[2], shape=weight_shape))
    return to_g, to_data, to_gamma


batch_norm_gradient.cpu = kernel.backward


# -- with a rectifier, for plans on GPUs: made by a pass, not by users -------------------------------------------------

batch_norm_relu = Operator(
    "_batch_norm_relu", "data gamma beta moving_mean moving_var addend?",
    "``relu(BatchNorm(data, ...) + addend)`` in one pass over the data; and the statistics, as those of BatchNorm.",
    outputs="out mean var", visible=1,
    **{key: batch_norm.params[key] for key in ("eps", "momentum", "fix_gamma", "use_global_stats", "axis")},
    with_addend=Param(bool, False, doc="There is an addend."))
batch_norm_relu.rules.update({key: batch_norm.rules[key] for key in ("infer_shape", "infer_type")})


@batch_norm_relu.inputs_given
def _(with_addend):
    return "data gamma beta moving_mean moving_var" + " addend" * with_addend


batch_norm_relu.cpu = kernel.forward_relu

batch_norm_relu_gradient = Operator(
    "_backward_batch_norm_relu", "g data gamma beta mean var moving_mean moving_var",
    "Gradients of ``relu(BatchNorm(data, ...))``: where that is positive is found again.",
    outputs="data_grad gamma_grad beta_grad", mutates=("moving_mean", "moving_var"),
    **{key: batch_norm_gradient.params[key] for key in ("eps", "momentum", "fix_gamma", "axis", "batch")})
batch_norm_relu_gradient.rules.update({key: batch_norm_gradient.rules[key] for key in ("infer_shape", "infer_type")})
batch_norm_relu_gradient.cpu = kernel.backward_relu


sync_batch_norm = Operator(
    "_contrib_SyncBatchNorm", "data gamma beta moving_mean moving_var",
    """`BatchNorm` over axis 1 with statistics of all the devices that share a batch.

    In training each device waits for the others, and the gradient is that of all together. The thread may bring one
    device after the other: what follows is queued until the last one has come.""",
    outputs="out mean var", visible=1, aux=("moving_mean", "moving_var"),
    **{key: batch_norm.params[key] for key in ("eps", "momentum", "fix_gamma", "use_global_stats", "output_mean_var")},
    ndev=Param(int, 1, min=1, doc="Number of devices."),
    key=Param(str, doc="What the devices know a layer by."))
sync_batch_norm.rules.update({key: batch_norm.rules[key] for key in ("outputs_given", "changes_given", "infer_type")})
sync_batch_norm.infer_shape(lambda data: call_rule(batch_norm.rules["infer_shape"], {"data": data, "axis": 1}))
sync_batch_norm.rule("together", lambda ndev, use_global_stats: ndev > 1 and not use_global_stats)


@sync_batch_norm.compose
def _(F, data, gamma, beta, moving_mean, moving_var, eps, momentum, fix_gamma, use_global_stats, output_mean_var, ndev,
      key):
    if ndev > 1 and not use_global_stats and hasattr(data, "asnumpy"):      # a plan with ndev > 1 is for prediction
        outputs = sync_batch_norm.rules["meet"](data, gamma, beta, moving_mean, moving_var, eps, momentum, fix_gamma,
                                                ndev, key)
        if outputs is not None:
            return outputs if output_mean_var else outputs[0]
    return F.BatchNorm(data, gamma, beta, moving_mean, moving_var, eps=eps, momentum=momentum, fix_gamma=fix_gamma,
                       use_global_stats=use_global_stats, output_mean_var=output_mean_var)
