"""Cases of mxcy/ops/losses.py. Gradients of output layers are no derivatives: they are cases of their own."""
import numpy as np

from tests.ops.case import Case, away_from, integers, normal, uniform


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def softmax_output(x, label, multi_output=False, preserve_shape=False, **_):
    if multi_output or preserve_shape:
        return softmax(x, 1 if multi_output else -1)
    return softmax(x.reshape(len(x), -1)).reshape(x.shape)


def softmax_gradient(y, label, grad_scale=1, ignore_label=-1, multi_output=False, use_ignore=False,
                     preserve_shape=False,
                     normalization="null", smooth_alpha=0, **_):
    if y.shape == label.shape:
        return (y - label) * grad_scale
    k = y.shape[1 if multi_output else -1]
    right = np.eye(k)[label.astype(int) % k]
    target = right * (1 - smooth_alpha) + (1 - right) * smooth_alpha / (k - 1)
    grad = y - (np.moveaxis(target, -1, 1) if multi_output else target)
    if use_ignore:
        grad *= np.expand_dims(label != ignore_label, 1 if multi_output else -1)
    places = np.prod(y.shape[2:]) if multi_output else 1
    divisor = {"null": places, "batch": places * len(y), "valid": max((label != ignore_label).sum(), 1)}[normalization]
    return grad * grad_scale / divisor


def svm_gradient(x, label, margin=1, regularization_coefficient=1, use_linear=False):
    side = np.where(np.arange(x.shape[1]) == label[:, None], 1, -1)
    short = margin - side * x
    return -side * regularization_coefficient * (short > 0) * (1 if use_linear else 2 * short)


def labels(*shape):
    return integers(0, 3, *shape, dtype=None)


def output(operator, inputs, params, oracle, **options):
    return Case(operator, inputs, params, oracle, grad=False, **options)


CASES = [
    output("SoftmaxOutput", [normal(5, 3), labels(5)], {}, softmax_output),
    output("SoftmaxOutput", [normal(5, 3), normal(5, 3)], {}, softmax_output, id="probabilities"),
    output("SoftmaxOutput", [normal(2, 5, 3), labels(2, 5)], {"preserve_shape": True}, softmax_output),
    output("SoftmaxOutput", [normal(2, 3, 4, 5), labels(2, 4, 5)], {"multi_output": True}, softmax_output),
    output("SoftmaxOutput", [normal(2, 3, 40, 50), labels(2, 2000)], {"multi_output": True}, softmax_output,
           id="large"),
    *(output("_backward_SoftmaxOutput", [uniform(0, 1, 5, 3), labels(5)], params, softmax_gradient) for params in (
        {}, {"grad_scale": .5, "normalization": "batch"}, {"use_ignore": True, "ignore_label": 1,
                                                           "normalization": "valid"},
        {"smooth_alpha": .125})),
    output("_backward_SoftmaxOutput", [uniform(0, 1, 5, 3), uniform(0, 1, 5, 3)], {}, softmax_gradient,
           id="probabilities"),
    output("_backward_SoftmaxOutput", [uniform(0, 1, 2, 5, 3), labels(2, 5)], {"preserve_shape": True},
           softmax_gradient),
    *(output("_backward_SoftmaxOutput", [uniform(0, 1, 2, 3, 4, 5), labels(2, 4, 5)],
             dict(multi_output=True, use_ignore=True, ignore_label=2, normalization=how), softmax_gradient)
      for how in ("null", "batch", "valid")),
    output("SVMOutput", [normal(5, 3), labels(5)], {}, lambda x, label: x),
    *(output("_backward_SVMOutput", [away_from(1, (5, 3)), labels(5)],
             dict(use_linear=linear, regularization_coefficient=.5), svm_gradient) for linear in (False, True)),
    output("LinearRegressionOutput", [normal(5, 3), normal(5, 3)], {}, lambda x, label: x),
    output("MAERegressionOutput", [normal(5, 1), normal(5)], {}, lambda x, label: x),
    output("LogisticRegressionOutput", [normal(5, 3), normal(5, 3)], {}, lambda x, label: 1 / (1 + np.exp(-x))),
]
