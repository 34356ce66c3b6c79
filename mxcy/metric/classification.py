"""Metrics of class predictions: accuracy and likelihood."""
import math

import numpy

from mxcy.base import MXNetValueError
from mxcy.metric.base import EvalMetric, alias, pairs, register

__all__ = ["Accuracy", "TopKAccuracy", "Perplexity", "CrossEntropy", "NegativeLogLikelihood"]


@alias("acc")
@register
class Accuracy(EvalMetric):
    """Share of labels that were predicted.

    Parameters
    ----------
    axis : int
        The axis of classes: the largest value along it is the prediction. Predictions of the labels' shape are classes.
    name : str
    output_names, label_names : list of str, optional

    Examples
    --------
    >>> acc = Accuracy()
    >>> acc.update([nd.array([0, 1])], [nd.array([[.7, .3], [.6, .4]])])
    >>> acc.get()
    ('accuracy', 0.5)
    """

    def __init__(self, axis=1, name="accuracy", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names, axis=axis)
        self.axis = axis

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            if pred.shape != label.shape:
                pred = pred.argmax(axis=self.axis)
            label, pred = label.astype("int32").ravel(), pred.astype("int32").ravel()
            if label.size != pred.size:
                raise MXNetValueError(f"{self.name}: {label.size} labels for {pred.size} predictions")
            self._add(float((label == pred).sum()), label.size)


@alias("top_k_accuracy", "top_k_acc")
@register
class TopKAccuracy(EvalMetric):
    """Share of labels among the ``top_k`` classes with the largest values, shape (batch, classes).

    Parameters
    ----------
    top_k : int
        At least 2.
    name : str
        ``_<top_k>`` is added.
    output_names, label_names : list of str, optional
    """

    def __init__(self, top_k=1, name="top_k_accuracy", output_names=None, label_names=None):
        if top_k <= 1:
            raise MXNetValueError(f"TopKAccuracy: top_k must be at least 2, got {top_k}; for 1 use Accuracy")
        super().__init__(f"{name}_{top_k}", output_names, label_names, top_k=top_k)
        self.top_k = top_k

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            if pred.ndim > 2 or label.shape[0] != pred.shape[0]:
                raise MXNetValueError(f"{self.name}: predictions must have shape ({label.shape[0]}, classes), got "
                                      f"{pred.shape}")
            label = label.astype("int32").reshape(-1, 1)
            if pred.ndim == 1:
                hits = pred.astype("int32").reshape(-1, 1) == label
            else:
                top = min(self.top_k, pred.shape[1])
                hits = numpy.argpartition(-pred.astype("float32"), top - 1, axis=1)[:, :top] == label
            self._add(float(hits.sum()), label.size)


@register
class Perplexity(EvalMetric):
    """``exp`` of the mean negative log likelihood of the labels.

    Parameters
    ----------
    ignore_label : int or None
        A label that does not count, such as padding.
    axis : int
        The axis of classes.
    name : str
    output_names, label_names : list of str, optional
    """

    def __init__(self, ignore_label, axis=-1, name="perplexity", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names, ignore_label=ignore_label, axis=axis)
        self.ignore_label, self.axis = ignore_label, axis

    def update(self, labels, preds):
        loss, count = 0., 0
        for label, pred in pairs(labels, preds):
            pred = numpy.moveaxis(pred, self.axis, -1)
            if label.size != pred.size // pred.shape[-1]:
                raise MXNetValueError(f"{self.name}: labels of shape {label.shape} do not fit predictions of shape "
                                      f"{pred.shape}")
            label = label.astype("int32").ravel()
            likelihood = _likelihood(pred.reshape(-1, pred.shape[-1]), label)
            if self.ignore_label is not None:
                ignored = label == self.ignore_label
                likelihood = numpy.where(ignored, 1, likelihood)
                count -= int(ignored.sum())
            loss -= float(numpy.log(numpy.maximum(1e-10, likelihood)).sum())
            count += label.size
        self._add(loss, count)

    def _value(self, total, count):
        return math.exp(total / count)


def _likelihood(probabilities, label):
    """The predicted probability of each label."""
    return probabilities[numpy.arange(label.size), label]


@alias("ce")
@register
class CrossEntropy(EvalMetric):
    """Mean negative logarithm of the predicted probability of the labels, shape (batch, classes).

    Parameters
    ----------
    eps : float
        Added to probabilities, to keep the logarithm finite.
    name : str
    output_names, label_names : list of str, optional
    """

    def __init__(self, eps=1e-12, name="cross-entropy", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names, eps=eps)
        self.eps = eps

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            label = label.ravel()
            if label.shape[0] != pred.shape[0]:
                raise MXNetValueError(f"{self.name}: {label.shape[0]} labels for {pred.shape[0]} predictions")
            self._add(float(-numpy.log(_likelihood(pred, label.astype("int64")) + self.eps).sum()), label.shape[0])


@alias("nll_loss")
@register
class NegativeLogLikelihood(CrossEntropy):
    """The same as `CrossEntropy`, under another name.

    Parameters
    ----------
    eps : float
        Added to probabilities, to keep the logarithm finite.
    name : str
    output_names, label_names : list of str, optional
    """

    def __init__(self, eps=1e-12, name="nll-loss", output_names=None, label_names=None):
        super().__init__(eps, name, output_names, label_names)
