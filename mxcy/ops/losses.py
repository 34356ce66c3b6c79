"""Output layers: they pass the prediction on; their gradient is that of a loss, whatever comes from behind."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.ops import _losses as kernel
from mxcy.ops import _shape, _unary
from mxcy.ops.family import as_output
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

GRAD_SCALE = dict(grad_scale=Param(float, 1.0, doc="Factor of the gradient."))

# -- classification ----------------------------------------------------------------------------------------------------


def softmax_params():
    return dict(
        **GRAD_SCALE,
        ignore_label=Param(float, -1.0, doc="The label that stands for none, if ``use_ignore`` is set."),
        multi_output=Param(bool, False, doc="The classes are axis 1, and there is a label for every place of the "
                                            "others."),
        use_ignore=Param(bool, False, doc="Give no gradient where the label is ``ignore_label``."),
        preserve_shape=Param(bool, False, doc="The classes are the last axis."),
        normalization=Param(str, "null", choices=("batch", "null", "valid"),
                            doc="What the gradient is divided by: nothing, the batch size, or the number of labels "
                                "that "
                                "are not ``ignore_label``."),
        out_grad=Param(bool, False, doc="Multiply the gradient with the one that comes from behind."),
        smooth_alpha=Param(float, 0.0, doc="How much of the right class's probability is spread over the others; has "
                                           "no influence with ``multi_output``."))


def label_shape(data, label, multi_output):
    """The shape that the label must have; one that is given is kept if it will do."""
    if label == data:                   # probabilities
        return data
    if not multi_output:
        return data[:-1]
    places = data[0], prod(data[2:])
    return label if label in (places, (data[0], 1, *data[2:]), (data[0], *data[2:])) else (data[0], *data[2:])


softmax_output = Operator(
    "SoftmaxOutput", "data label",
    """Softmax, with the gradient of the cross entropy between it and ``label``: softmax less the one-hot label.

    ``data`` is (N, K, ...). The classes are all axes but the first, or axis 1 with ``multi_output``, or the last one
    with ``preserve_shape``. ``label`` holds the number of the right class, or probabilities if its shape is that of
    ``data``.
    """,
    aliases=("Softmax",), **softmax_params())


@softmax_output.infer_shape
def softmax_output_shape(data, label, multi_output):
    if len(data) < 2:
        raise MXNetValueError(f"SoftmaxOutput: data has shape {data}; expected two axes or more, (N, K, ...)")
    return dict(label=label_shape(data, label, multi_output), out=data)


softmax_output.infer_inputs(as_output)


@softmax_output.gradient
def softmax_output_gradient(F, g, label, out, grad_scale, ignore_label, multi_output, use_ignore, preserve_shape,
                            normalization, out_grad, smooth_alpha):
    loss = F._backward_SoftmaxOutput(out, label, grad_scale=grad_scale, ignore_label=ignore_label,
                                     multi_output=multi_output, use_ignore=use_ignore, preserve_shape=preserve_shape,
                                     normalization=normalization, out_grad=out_grad, smooth_alpha=smooth_alpha)
    return loss * g if out_grad else loss, None


softmax_output.cpu = kernel.softmax

softmax_backward = Operator("_backward_SoftmaxOutput", "out label", "The gradient that SoftmaxOutput starts from.",
                            outputs="grad", **softmax_params())
softmax_backward.infer_shape(lambda out: out)
softmax_backward.cpu = kernel.softmax_backward


def svm_params():
    return dict(margin=Param(float, 1.0, doc="How far on the right side a value must be to cost nothing."),
                regularization_coefficient=Param(float, 1.0, doc="Factor of the loss."),
                use_linear=Param(bool, False, doc="Use the hinge loss instead of its square."))


svm_output = Operator(
    "SVMOutput", "data label",
    """A copy of ``data`` (N, K), with the gradient of a support vector machine's loss against ``label`` (N,).

    The loss is the sum over the classes of ``max(0, margin - s * data)``, or of its square, where s is 1 for the class
    that ``label`` names and -1 for the others.
    """, **svm_params())


@svm_output.infer_shape
def svm_output_shape(data):
    return dict(label=data[:-1], out=data)


@svm_output.gradient
def svm_output_gradient(F, g, data, label, margin, regularization_coefficient, use_linear):
    return F._backward_SVMOutput(data, label, margin=margin, regularization_coefficient=regularization_coefficient,
                                 use_linear=use_linear), None


svm_output.cpu = _shape.copy

svm_backward = Operator("_backward_SVMOutput", "data label", "The gradient that SVMOutput starts from.", outputs="grad",
                        **svm_params())
svm_backward.infer_shape(lambda data: data)
svm_backward.cpu = kernel.svm_backward

# -- regression --------------------------------------------------------------------------------------------------------


def regression(name, doc, cpu, difference):
    """An output layer whose gradient is ``difference(F, out, label)``, averaged over what a row predicts."""
    operator = Operator(name, "data label", f"{doc} ``label`` has as many items as ``data``.",
                        aliases=(f"_sparse_{name}",), **GRAD_SCALE)

    @operator.infer_shape
    def regression_shape(data, label):
        same = label is not None and label[:1] == data[:1] and prod(label) == prod(data)
        return dict(label=label if same else data[:1] if data[1:] == (1,) else data, out=data)

    @operator.gradient
    def regression_gradient(F, g, label, out, grad_scale):
        label = label if label.shape == out.shape else F.reshape_like(label, out)
        return difference(F, out, label) * (grad_scale / max(prod(out.shape[1:]), 1)), None

    operator.cpu = cpu
    return operator


regression("LinearRegressionOutput", "A copy of ``data``, with the gradient of half the squared error.", _shape.copy,
           lambda F, out, label: out - label)
regression("MAERegressionOutput", "A copy of ``data``, with the gradient of the absolute error.", _shape.copy,
           lambda F, out, label: F.sign(out - label))
regression("LogisticRegressionOutput",
           "``1 / (1 + exp(-data))``, with the gradient of the cross entropy with ``label``.",
           _unary.sigmoid, lambda F, out, label: out - label)
