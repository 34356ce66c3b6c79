"""Dropout."""
from mxcy.base import MXNetValueError
from mxcy.ops import _random
from mxcy.ops.family import as_output, same_shape
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param, Shape

P = Param(float, .5, min=0, max=1, doc="Probability of an element to become 0.")

dropout = Operator(
    "Dropout", "data", """Zeros in place of random elements; the others are divided by ``1 - p``.

    Only in training, unless ``mode`` is ``always``; else the output is ``data``.

    References
    ----------
    .. [1] Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: a simple way to prevent neural networks
       from overfitting", JMLR 15, 2014.""",
    outputs="out mask", visible=1, aliases=("_npx_dropout",), random=True, p=P,
    mode=Param(str, "training", choices=("training", "always"), doc="When to drop elements."),
    axes=Param(Shape, (), optional=True, doc="Axes along which all elements share one fate."),
    cudnn_off=Param(bool, False, optional=True, doc="Accepted for MXNet's sake; without effect."))
dropout.infer_type(lambda data: [data, "uint8"])
dropout.infer_inputs(as_output)
dropout.cpu = _random.dropout


@dropout.infer_shape
def _(data, axes):
    for axis in axes or ():
        if not -len(data) <= axis < len(data):
            raise MXNetValueError(f"Dropout: axes is {axes}, but data has shape {data}")
    shared = {axis % len(data) for axis in axes or ()}
    return [data, tuple(1 if i in shared else n for i, n in enumerate(data))]


@dropout.gradient
def _(F, g, mask, p):
    return F._backward_Dropout(g, mask, p=p)


dropout_backward = Operator("_backward_Dropout", "data mask", "``data`` under the mask of a `Dropout`.", p=P)
dropout_backward.infer_shape(lambda data: same_shape(data))
dropout_backward.infer_type(lambda data: data)
dropout_backward.cpu = _random.dropout_backward


@dropout_backward.gradient
def _(F, g, mask, p):
    return F._backward_Dropout(g, mask, p=p), None
