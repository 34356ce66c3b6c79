"""Metrics of counts of labels against predictions: F1, MCC, PCC."""
import math

import numpy

from mxcy.base import MXNetValueError
from mxcy.metric.base import EvalMetric, pairs, register

__all__ = ["F1", "MCC", "PCC"]


class _Counts:
    """True and false positives and negatives of two classes, 0 and 1."""

    def __init__(self):
        self.tp = self.fp = self.tn = self.fn = 0

    @property
    def total(self):
        return self.tp + self.fp + self.tn + self.fn

    def update(self, label, pred):
        """Count predictions of shape (batch, 2) against labels."""
        label = label.astype("int32")
        if label.max(initial=0) > 1 or label.min(initial=0) < 0:
            raise MXNetValueError("this metric is for labels 0 and 1; got others")
        if pred.ndim < 2 or pred.shape[-1] != 2 or label.size != pred.shape[0]:
            raise MXNetValueError(f"this metric needs predictions of shape ({label.size}, 2), got {pred.shape}")
        said, true = pred.argmax(axis=1) == 1, label.ravel() == 1
        self.tp += int((said & true).sum())
        self.fp += int((said & ~true).sum())
        self.fn += int((~said & true).sum())
        self.tn += int((~said & ~true).sum())

    def f1(self):
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.

    def mcc(self):
        if not self.total:
            return 0.
        # a factor of 0 counts as 1: the numerator is 0 then
        terms = [(self.tp + self.fp), (self.tp + self.fn), (self.tn + self.fp), (self.tn + self.fn)]
        return (self.tp * self.tn - self.fp * self.fn) / math.sqrt(math.prod(term or 1 for term in terms))


class _Binary(EvalMetric):
    """A number from `_Counts`: averaged over batches ('macro'), or of all samples ('micro')."""

    def __init__(self, name, output_names, label_names, average):
        if average not in ("macro", "micro"):
            raise MXNetValueError(f"{type(self).__name__}: average must be 'macro' or 'micro', got {average!r}")
        self.average = average
        super().__init__(name, output_names, label_names, average=average)

    def reset(self):
        super().reset()
        self._local, self._global = _Counts(), _Counts()

    def reset_local(self):
        super().reset_local()
        self._local = _Counts()

    def update(self, labels, preds):
        if self.average == "macro":
            batch = _Counts()
            for label, pred in pairs(labels, preds):
                batch.update(label, pred)
            self._add(self._of(batch), 1)
            return
        for label, pred in pairs(labels, preds):
            self._local.update(label, pred)
            self._global.update(label, pred)
        for prefix, counts in (("", self._local), ("global_", self._global)):
            setattr(self, f"{prefix}sum_metric", self._of(counts) * counts.total)
            setattr(self, f"{prefix}num_inst", counts.total)


@register
class F1(_Binary):
    """F1 score of two classes: harmonic mean of precision and recall.

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}
        Mean over batches, or the score of all samples.
    """

    def __init__(self, name="f1", output_names=None, label_names=None, average="macro"):
        super().__init__(name, output_names, label_names, average)

    def _of(self, counts):
        return counts.f1()


@register
class MCC(_Binary):
    """Matthews correlation coefficient of two classes [1]_.

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}
        Mean over batches, or the coefficient of all samples.

    References
    ----------
    .. [1] Matthews, "Comparison of the predicted and observed secondary structure of T4 phage lysozyme", Biochimica et
       Biophysica Acta 405, 1975.
    """

    def __init__(self, name="mcc", output_names=None, label_names=None, average="macro"):
        super().__init__(name, output_names, label_names, average)

    def _of(self, counts):
        return counts.mcc()


@register
class PCC(EvalMetric):
    """Pearson correlation of classes: `MCC` for any number of classes [1]_, over all samples.

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
    has_global_stats : bool
        Has no influence.

    References
    ----------
    .. [1] Gorodkin, "Comparing two K-category assignments by a K-category correlation coefficient", Computational
       Biology and Chemistry 28, 2004.
    """

    def __init__(self, name="pcc", output_names=None, label_names=None, has_global_stats=True):
        super().__init__(name, output_names, label_names)

    def reset(self):
        super().reset()
        self._local = self._global = numpy.zeros((2, 2))

    def reset_local(self):
        super().reset_local()
        self._local = numpy.zeros((2, 2))

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            label = label.astype("int32").ravel()
            pred = (pred.argmax(axis=1) if pred.shape != label.shape else pred).astype("int32").ravel()
            if label.size != pred.size:
                raise MXNetValueError(f"{self.name}: {label.size} labels for {pred.size} predictions")
            classes = max(int(label.max(initial=0)), int(pred.max(initial=0))) + 1
            table = numpy.zeros((classes, classes))
            numpy.add.at(table, (pred, label), 1)
            self._local, self._global = _add_tables(self._local, table), _add_tables(self._global, table)
            self.num_inst = self.global_num_inst = 1
            self.sum_metric, self.global_sum_metric = _correlation(self._local), _correlation(self._global)


def _add_tables(a, b):
    size = max(len(a), len(b))
    return sum(numpy.pad(table, (0, size - len(table))) for table in (a, b))


def _correlation(table):
    """Correlation of predictions (rows) and labels (columns) from the table of their counts."""
    total, predicted, true = table.sum(), table.sum(axis=1), table.sum(axis=0)
    covariance = numpy.trace(table) * total - predicted @ true
    spread = (total ** 2 - predicted @ predicted) * (total ** 2 - true @ true)
    return float(covariance / math.sqrt(spread)) if spread else float("nan")
