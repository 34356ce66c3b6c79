"""Metrics from functions."""
from mxcy.metric.base import EvalMetric, check_label_shapes, pairs, register, require_callable

__all__ = ["CustomMetric", "np"]


@register
class CustomMetric(EvalMetric):
    """A metric from a function of NumPy arrays.

    Parameters
    ----------
    feval : callable
        ``feval(label, pred)`` returns a value, which is averaged over batches, or a pair (sum, number of samples).
    name : str, optional
        By default the function's.
    allow_extra_outputs : bool
        Whether there may be more outputs than labels.
    output_names, label_names : list of str, optional
    """

    def __init__(self, feval, name=None, allow_extra_outputs=False, output_names=None, label_names=None):
        require_callable(feval, "CustomMetric: feval")
        if name is None:
            name = feval.__name__
            name = f"custom({name})" if "<" in name else name
        super().__init__(name, output_names, label_names)
        self._feval, self._allow_extra_outputs = feval, allow_extra_outputs

    def update(self, labels, preds):
        if not self._allow_extra_outputs:
            check_label_shapes(labels, preds)
        for label, pred in pairs(*_shortest(labels, preds)):
            found = self._feval(label, pred)
            self._add(*(found if isinstance(found, tuple) else (found, 1)))

    def get_config(self):
        raise NotImplementedError("a CustomMetric is a function, which has no configuration to save")


def _shortest(labels, preds):
    """Lists cut to the same length: outputs that have no label are left out."""
    if isinstance(labels, (list, tuple)) and isinstance(preds, (list, tuple)):
        return labels[:len(preds)], preds[:len(labels)]
    return labels, preds


def np(numpy_feval, name=None, allow_extra_outputs=False):
    """A `CustomMetric` from a function of NumPy arrays, named after it.

    Parameters
    ----------
    numpy_feval : callable
        ``numpy_feval(label, pred)``; see `CustomMetric`.
    name : str, optional
    allow_extra_outputs : bool

    Returns
    -------
    CustomMetric
    """
    def feval(label, pred):
        return numpy_feval(label, pred)

    feval.__name__ = require_callable(numpy_feval, "np: numpy_feval").__name__
    return CustomMetric(feval, name, allow_extra_outputs)
