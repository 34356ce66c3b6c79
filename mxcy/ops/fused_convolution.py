"""Convolution with what follows it in one pass over the result, for plans in prediction; made by a pass, not by users.

Channels are last. The weights come in oneDNN's own layout, which an operator of its own puts them into beforehand.
"""
from mxcy.ops import _convolution as kernels
from mxcy.ops.convolution import CUDNN, GROUPS, LAYOUT, WINDOW, WORKSPACE
from mxcy.ops.operator import Operator, lookup
from mxcy.ops.param import Param, Shape

__all__ = ["preparable"]

prepare = Operator(
    "_prepare_convolution_weight", "weight",
    "The weights of a convolution in the layout that oneDNN computes fastest with, as an opaque row of numbers.",
    **WINDOW, **GROUPS, **LAYOUT,
    data_shape=Param(Shape, doc="Shape of the convolution's data."),
    out_shape=Param(Shape, doc="Shape of its output."))

fused = Operator(
    "_fused_convolution", "data weight bias addend?",
    """``activation(Convolution(data, weight, bias) + addend)``, with ``weight`` from ``_prepare_convolution_weight``.

    The activations: ``relu`` (``alpha`` times what is negative), ``clip`` (to ``alpha`` .. ``beta``), ``sigmoid``,
    ``tanh`` and ``elu`` (``alpha`` times exp(x) - 1 of what is negative).""",
    **WINDOW, **GROUPS, **LAYOUT,
    activation=Param(str, None, choices=("relu", "clip", "sigmoid", "tanh", "elu"), doc="What follows."),
    alpha=Param(float, 0., doc="Of the activation."), beta=Param(float, 0., doc="Of the activation."),
    with_addend=Param(bool, False, doc="There is an addend."))

summed = Operator(
    "_convolution_sum", "data weight bias addend?",
    """``activation(Convolution(data, weight, bias) + addend)``, one call of cuDNN on a GPU; for plans there.""",
    **WINDOW, **GROUPS, **LAYOUT, workspace=WORKSPACE, **CUDNN,
    activation=Param(str, None, choices=("relu",), doc="What follows."),
    with_addend=Param(bool, False, doc="There is an addend."))


def preparable(params, data_shape, out_shape):
    """Whether oneDNN has a good implementation of a convolution of float32 with channels last."""
    return kernels.prepared_size({**params, "data_shape": data_shape, "out_shape": out_shape}) > 0


@prepare.infer_shape
def _(kernel, stride, dilate, pad, num_group, layout, data_shape, out_shape):
    return (kernels.prepared_size(dict(kernel=kernel, stride=stride, dilate=dilate, pad=pad, num_group=num_group,
                                       layout=layout, data_shape=data_shape, out_shape=out_shape)),)


prepare.cpu = kernels.prepare


@fused.inputs_given
@summed.inputs_given
def _(with_addend):
    return "data weight bias addend" if with_addend else "data weight bias"


fused.inplace(lambda with_addend: (3,) if with_addend else ())     # oneDNN adds to what is there
convolution_shape = lookup("Convolution").rules["infer_shape"]


@fused.infer_shape
@summed.infer_shape
def _(data, kernel, stride, dilate, pad, num_filter, num_group, layout, weight_layout):
    return convolution_shape(data, kernel, stride, dilate, pad, num_filter, num_group, layout, weight_layout)["out"]


fused.cpu = kernels.fused
summed.cpu = kernels.convolution_sum
