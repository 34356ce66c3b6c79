"""EvalMetric, the base class, and metrics made of metrics."""
import numpy

from mxcy import registry
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.nd import NDArray

__all__ = ["EvalMetric", "CompositeEvalMetric", "register", "alias", "create", "check_label_shapes"]


def check_label_shapes(labels, preds, wrap=False, shape=False):
    """Check that there are as many labels as predictions.

    Parameters
    ----------
    labels, preds : NDArray, or list of NDArray
    wrap : bool
        Put single arrays into lists.
    shape : bool
        Compare shapes, not lengths.

    Returns
    -------
    tuple
        ``labels, preds``.

    Raises
    ------
    ValueError
        If they differ.
    """
    ours, theirs = (labels.shape, preds.shape) if shape else (len(labels), len(preds))
    if ours != theirs:
        raise MXNetValueError(f"labels and predictions do not fit: {ours} against {theirs}")
    if wrap:
        labels = [labels] if isinstance(labels, NDArray) else labels
        preds = [preds] if isinstance(preds, NDArray) else preds
    return labels, preds


def as_numpy(array):
    """A NumPy array from an NDArray or anything like an array."""
    return array.asnumpy() if isinstance(array, NDArray) else numpy.asarray(array)


def pairs(labels, preds):
    """(label, prediction) as NumPy arrays, for one array each or lists of them."""
    labels, preds = check_label_shapes(labels, preds, wrap=True)
    return [(as_numpy(label), as_numpy(pred)) for label, pred in zip(labels, preds)]


class EvalMetric:
    """Base class: a sum over samples or batches, and how many there were.

    It is kept twice: since the last `reset`, and since the last `reset_local`. A subclass defines `update`, which calls
    ``self._add(sum, count)``.

    Parameters
    ----------
    name : str
    output_names, label_names : list of str, optional
        Which outputs and labels `update_dict` uses; by default all.
    **kwargs
        Kept for `get_config`.
    """

    def __init__(self, name, output_names=None, label_names=None, **kwargs):
        self.name = str(name)
        self.output_names, self.label_names = output_names, label_names
        self._kwargs = kwargs
        self.reset()

    def __str__(self):
        return f"EvalMetric: {dict(self.get_name_value())}"

    def get_config(self):
        """The class, name and arguments, for `create`."""
        return {**self._kwargs, "metric": type(self).__name__, "name": self.name, "output_names": self.output_names,
                "label_names": self.label_names}

    def reset(self):
        """Forget everything."""
        self.num_inst, self.sum_metric = 0, 0.0
        self.global_num_inst, self.global_sum_metric = 0, 0.0

    def reset_local(self):
        """Start the local sum again; the global one goes on."""
        self.num_inst, self.sum_metric = 0, 0.0

    def _add(self, value, count):
        self.sum_metric += value
        self.num_inst += count
        self.global_sum_metric += value
        self.global_num_inst += count

    def update(self, labels, preds):
        """Take in a batch.

        Parameters
        ----------
        labels, preds : NDArray, or list of NDArray
        """
        raise NotImplementedError(f"{type(self).__name__} must define update(labels, preds)")

    def update_dict(self, label, pred):
        """Take in a batch of labels and outputs given as dicts by name."""
        labels = label.values() if self.label_names is None else [label[name] for name in self.label_names]
        preds = pred.values() if self.output_names is None else [pred[name] for name in self.output_names]
        self.update(list(labels), list(preds))

    def _value(self, total, count):
        """The metric from its sum."""
        return total / count

    def get(self):
        """(name, value since the last local reset); nan before any sample."""
        value = self._value(self.sum_metric, self.num_inst) if self.num_inst else float("nan")
        return self.name, value

    def get_global(self):
        """(name, value since the last reset)."""
        value = self._value(self.global_sum_metric, self.global_num_inst) if self.global_num_inst else float("nan")
        return self.name, value

    def get_name_value(self):
        """`get` as a list of pairs."""
        return _as_pairs(*self.get())

    def get_global_name_value(self):
        """`get_global` as a list of pairs."""
        return _as_pairs(*self.get_global())


def _as_pairs(names, values):
    names = names if isinstance(names, list) else [names]
    values = values if isinstance(values, list) else [values]
    return list(zip(names, values))


_register = registry.get_register_func(EvalMetric, "metric")
_alias = registry.get_alias_func(EvalMetric, "metric")
_create = registry.get_create_func(EvalMetric, "metric")


def register(klass, name=None):
    """Register a subclass of `EvalMetric` under ``name`` or its own name in lower case; returns it."""
    return _register(klass, name)


def alias(*aliases):
    """A decorator that registers a metric under further names."""
    return _alias(*aliases)


def create(metric, *args, **kwargs):
    """A metric from a name, a function ``f(label, pred)``, a list of these, or a metric.

    Parameters
    ----------
    metric : str, callable, EvalMetric, or list
    *args, **kwargs
        Arguments of the metric.

    Examples
    --------
    >>> create("acc").name, create(["mse", "mae"]).get()
    ('accuracy', (['mse', 'mae'], [nan, nan]))
    """
    if isinstance(metric, list):
        return CompositeEvalMetric([create(child, *args, **kwargs) for child in metric])
    if isinstance(metric, type) and issubclass(metric, EvalMetric):
        return metric(*args, **kwargs)
    if callable(metric) and not isinstance(metric, EvalMetric):
        from mxcy.metric.custom import CustomMetric
        return CustomMetric(metric, *args, **kwargs)
    return _create(metric, *args, **kwargs)


@_alias("composite")
@register
class CompositeEvalMetric(EvalMetric):
    """Several metrics as one.

    Parameters
    ----------
    metrics : list, optional
        What `create` takes.
    name : str
    output_names, label_names : list of str, optional
    """

    def __init__(self, metrics=None, name="composite", output_names=None, label_names=None):
        self.metrics = [create(metric) for metric in metrics or []]
        super().__init__(name, output_names, label_names)

    def add(self, metric):
        """Add a metric."""
        self.metrics.append(create(metric))

    def get_metric(self, index):
        """The metric number ``index``."""
        if not 0 <= index < len(self.metrics):
            raise MXNetValueError(f"there is no metric {index}; there are {len(self.metrics)}")
        return self.metrics[index]

    def update_dict(self, labels, preds):
        for names, values, keep in ((self.label_names, labels, "labels"), (self.output_names, preds, "preds")):
            if names is not None:
                values = {name: values[name] for name in names}
                labels, preds = (values, preds) if keep == "labels" else (labels, values)
        for metric in self.metrics:
            metric.update_dict(labels, preds)

    def update(self, labels, preds):
        for metric in self.metrics:
            metric.update(labels, preds)

    def reset(self):
        for metric in self.metrics:
            metric.reset()

    def reset_local(self):
        for metric in self.metrics:
            metric.reset_local()

    def get(self):
        return self._joined("get_name_value")

    def get_global(self):
        return self._joined("get_global_name_value")

    def _joined(self, method):
        found = [pair for metric in self.metrics for pair in getattr(metric, method)()]
        return [name for name, _ in found], [value for _, value in found]

    def get_config(self):
        return {**super().get_config(), "metrics": [metric.get_config() for metric in self.metrics]}


def require_callable(function, what):
    """``function``, if it can be called."""
    if not callable(function):
        raise MXNetTypeError(f"{what} must be a function, got {function!r}")
    return function
