"""Metrics of numbers: errors, correlation, and losses."""
import math

import numpy

from mxcy.base import MXNetValueError
from mxcy.metric.base import EvalMetric, alias, as_numpy, pairs, register
from mxcy.nd import NDArray

__all__ = ["MAE", "MSE", "RMSE", "PearsonCorrelation", "Loss", "Torch", "Caffe"]

_PARAMETERS = """

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
    """


class _Error(EvalMetric):
    """The mean over batches of an error of each batch."""

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            label, pred = (a.reshape(-1, 1) if a.ndim == 1 else a for a in (label, pred))
            self._add(float(self._error(label, pred)), 1)


@register
class MAE(_Error):
    __doc__ = "Mean absolute error." + _PARAMETERS

    def __init__(self, name="mae", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _error(self, label, pred):
        return numpy.abs(label - pred).mean()


@register
class MSE(_Error):
    __doc__ = "Mean squared error." + _PARAMETERS

    def __init__(self, name="mse", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _error(self, label, pred):
        return numpy.square(label - pred).mean()


@register
class RMSE(_Error):
    __doc__ = "Root of the mean squared error of a batch; the mean over batches." + _PARAMETERS

    def __init__(self, name="rmse", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def _error(self, label, pred):
        return numpy.sqrt(numpy.square(label - pred).mean())


@alias("pearsonr")
@register
class PearsonCorrelation(EvalMetric):
    """Correlation coefficient of labels and predictions of the same shape.

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
    average : {'macro', 'micro'}
        Mean over batches, or the coefficient of all samples.
    """

    def __init__(self, name="pearsonr", output_names=None, label_names=None, average="macro"):
        if average not in ("macro", "micro"):
            raise MXNetValueError(f"PearsonCorrelation: average must be 'macro' or 'micro', got {average!r}")
        self.average = average
        super().__init__(name, output_names, label_names, average=average)

    def reset(self):
        super().reset()
        self._local, self._global = _Moments(), _Moments()

    def reset_local(self):
        super().reset_local()
        self._local = _Moments()

    def update(self, labels, preds):
        for label, pred in pairs(labels, preds):
            if label.shape != pred.shape:
                raise MXNetValueError(f"{self.name}: labels of shape {label.shape} for predictions of shape "
                                      f"{pred.shape}")
            label, pred = label.ravel().astype("float64"), pred.ravel().astype("float64")
            if self.average == "macro":
                self._add(float(numpy.corrcoef(pred, label)[0, 1]), 1)
                continue
            for moments in (self._local, self._global):
                moments.add(label, pred)
            self.num_inst = self.global_num_inst = 1
            self.sum_metric, self.global_sum_metric = self._local.correlation(), self._global.correlation()


class _Moments:
    """Means and central second moments of two sequences, piece by piece (Chan, Golub, LeVeque 1979)."""

    def __init__(self):
        self.count, self.mean, self.moment = 0, numpy.zeros(2), numpy.zeros((2, 2))

    def add(self, x, y):
        data = numpy.stack([x, y])
        n, mean = data.shape[1], data.mean(axis=1)
        away = mean - self.mean
        centred = data - mean[:, None]
        total = self.count + n
        self.moment += centred @ centred.T + numpy.outer(away, away) * (self.count * n / total)
        self.mean += away * (n / total)
        self.count = total

    def correlation(self):
        (xx, xy), (_, yy) = self.moment
        return float(xy / math.sqrt(xx * yy)) if xx * yy else float("nan")


@register
class Loss(EvalMetric):
    __doc__ = "Mean of all values of the outputs, taken as losses; labels have no influence." + _PARAMETERS

    def __init__(self, name="loss", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)

    def update(self, _, preds):
        for pred in [preds] if isinstance(preds, NDArray) else preds:
            values = as_numpy(pred)
            self._add(float(values.sum()), values.size)


@register
class Torch(Loss):
    __doc__ = "`Loss`, for outputs of Torch criterions." + _PARAMETERS

    def __init__(self, name="torch", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)


@register
class Caffe(Loss):
    __doc__ = "`Loss`, for outputs of Caffe criterions." + _PARAMETERS

    def __init__(self, name="caffe", output_names=None, label_names=None):
        super().__init__(name, output_names, label_names)
