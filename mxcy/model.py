"""Checkpoints, and FeedForward: a model in the manner of scikit-learn."""
import logging
import warnings

import numpy as np

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.callback import LogValidationMetricsCallback
from mxcy.context import Context, current_context
from mxcy.io import NDArrayIter, ResizeIter
from mxcy.module.base_module import UNIFORM, BatchEndParam, as_list, described
from mxcy.module.files import load_checkpoint, load_params, save_checkpoint
from mxcy.module.module import Module

__all__ = ["BatchEndParam", "FeedForward", "load_checkpoint", "load_params", "save_checkpoint"]

_LOG_VALIDATION = LogValidationMetricsCallback()


class FeedForward:
    """A symbol that is trained by `fit` and used by `predict`, on arrays or iterators. New programs use `Module`.

    Parameters
    ----------
    symbol : Symbol
    ctx : Context or list of Context, optional
    num_epoch : int, optional
        How long to train.
    epoch_size : int, optional
        Batches per epoch; by default all.
    optimizer : str or Optimizer
    initializer : Initializer
    numpy_batch_size : int
        Batch size for arrays.
    arg_params, aux_params : dict of str to NDArray, optional
        Parameters to start from.
    allow_extra_params : bool
        Whether these may have names that the symbol does not have.
    begin_epoch : int
    **kwargs
        Arguments of the optimizer.
    """

    def __init__(self, symbol, ctx=None, num_epoch=None, epoch_size=None, optimizer="sgd", initializer=UNIFORM,
                 numpy_batch_size=128, arg_params=None, aux_params=None, allow_extra_params=False, begin_epoch=0,
                 **kwargs):
        warnings.warn("FeedForward is deprecated: use mx.mod.Module", DeprecationWarning, stacklevel=2)
        self.symbol, self.num_epoch, self.epoch_size, self.optimizer = symbol, num_epoch, epoch_size, optimizer
        self.ctx = [current_context()] if ctx is None else [ctx] if isinstance(ctx, Context) else list(ctx)
        self.initializer, self.numpy_batch_size, self.begin_epoch = initializer, numpy_batch_size, begin_epoch
        self.arg_params, self.aux_params, self.allow_extra_params = arg_params, aux_params, allow_extra_params
        self.kwargs = dict(kwargs)
        self._check_extra()

    def _check_extra(self):
        if self.arg_params is None or self.allow_extra_params:
            return
        known = {*self.symbol.list_arguments(), *self.symbol.list_auxiliary_states()}
        extra = [name for name in (*self.arg_params, *(self.aux_params or ())) if name not in known]
        if extra:
            raise MXNetValueError(f"FeedForward: the symbol has no parameters {', '.join(extra)}; pass "
                                  "allow_extra_params=True to skip them")

    @property
    def _label_name(self):
        return next((name for name in self.symbol.list_arguments() if name.endswith("label")), "softmax_label")

    def _iterator(self, data, labels, train):
        """An iterator over batches of what the caller gave."""
        if hasattr(data, "provide_data"):
            return data
        if isinstance(data, (tuple, list)) and len(data) == 2 and labels is None:
            data, labels = data
        if not hasattr(data, "shape"):
            raise MXNetTypeError(f"FeedForward: data must be an array or a DataIter, got {type(data).__name__}")
        if labels is None:
            if train:
                raise MXNetValueError("FeedForward: y must be given with an array X")
            labels = np.zeros(data.shape[0], "float32")
        size = min(data.shape[0], self.numpy_batch_size)
        return NDArrayIter(data, labels, size, shuffle=train, last_batch_handle="roll_over" if train else "pad",
                           label_name=self._label_name)

    def _module(self, data, **kwargs):
        labels = [desc.name for desc in described(data.provide_label)]
        return Module(self.symbol, [desc.name for desc in described(data.provide_data)], labels, context=self.ctx,
                      **kwargs)

    def _predictor(self, data):
        """A module bound for prediction."""
        if self.arg_params is None:
            raise MXNetValueError("FeedForward: fit() the model first, or give it arg_params")
        module = self._module(data)
        module.bind(data.provide_data, data.provide_label, for_training=False)
        module.set_params(self.arg_params, self.aux_params or {})
        return module

    def fit(self, X, y=None, eval_data=None, eval_metric="acc", epoch_end_callback=None, batch_end_callback=None,
            kvstore="local", logger=None, work_load_list=None, monitor=None,
            eval_end_callback=_LOG_VALIDATION, eval_batch_end_callback=None):
        """Train; see `BaseModule.fit`.

        Parameters
        ----------
        X : DataIter or array
        y : array, optional
            Labels of an array.
        eval_data : DataIter or tuple of arrays, optional
        eval_metric : EvalMetric, str, callable or list
        epoch_end_callback, batch_end_callback : callable or list of callable, optional
        kvstore : str or KVStore
        logger : logging.Logger, optional
        work_load_list : list of number, optional
        monitor : Monitor, optional
        eval_end_callback, eval_batch_end_callback : callable or list of callable, optional
        """
        data = self._iterator(X, y, True)
        if self.epoch_size is not None:
            data = ResizeIter(data, self.epoch_size)
        if eval_data is not None:
            eval_data = self._iterator(eval_data, None, False)
        module = self._module(data, logger=logger or logging, work_load_list=work_load_list)
        module.fit(data, eval_data, eval_metric, epoch_end_callback, batch_end_callback, kvstore, self.optimizer,
                   self.kwargs, eval_end_callback, eval_batch_end_callback, self.initializer, self.arg_params,
                   self.aux_params, allow_missing=True, begin_epoch=self.begin_epoch, num_epoch=self.num_epoch,
                   monitor=monitor)
        self.arg_params, self.aux_params = module.get_params()

    def predict(self, X, num_batch=None, return_data=False, reset=True):
        """The outputs for all samples.

        Parameters
        ----------
        X : DataIter or array
        num_batch : int, optional
            At most so many batches.
        return_data : bool
            Return ``(outputs, data, labels)``.
        reset : bool
            Start the iterator again before.

        Returns
        -------
        numpy.ndarray or list of numpy.ndarray
        """
        data = self._iterator(X, None, False)
        parts = []
        for outputs, _, batch in self._predictor(data).iter_predict(data, num_batch, reset):
            rows = data.batch_size - (batch.pad or 0)
            groups = [outputs, batch.data, batch.label or []] if return_data else [outputs]
            parts.append([[array[:rows].asnumpy() for array in group] for group in groups])
        joined = [[np.concatenate(arrays) for arrays in zip(*group)] for group in zip(*parts)]
        results = [group[0] if len(group) == 1 else group for group in joined]
        return tuple(results) if return_data else results[0]

    def score(self, X, eval_metric="acc", num_batch=None, batch_end_callback=None, reset=True):
        """The value of a metric.

        Parameters
        ----------
        X : DataIter or tuple of arrays
        eval_metric : EvalMetric, str, callable or list
        num_batch : int, optional
            At most so many batches.
        batch_end_callback : callable or list of callable, optional
        reset : bool
            Start the iterator again before.
        """
        data = self._iterator(X, None, False)
        found = self._predictor(data).score(data, eval_metric, num_batch, as_list(batch_end_callback), reset=reset)
        return found[0][1] if len(found) == 1 else [value for _, value in found]

    def save(self, prefix, epoch=None, remove_amp_cast=True):
        """Write a checkpoint; see `save_checkpoint`.

        Parameters
        ----------
        prefix : str
        epoch : int, optional
            By default ``num_epoch``.
        remove_amp_cast : bool
        """
        epoch = self.num_epoch if epoch is None else epoch
        if epoch is None:
            raise MXNetValueError("FeedForward.save: epoch must be given, as num_epoch is not set")
        save_checkpoint(prefix, epoch, self.symbol, self.arg_params, self.aux_params, remove_amp_cast)

    @staticmethod
    def load(prefix, epoch, ctx=None, **kwargs):
        """A model from a checkpoint.

        Parameters
        ----------
        prefix : str
        epoch : int
        ctx : Context or list of Context, optional
        **kwargs
            Arguments of `FeedForward`.
        """
        symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
        return FeedForward(symbol, ctx, arg_params=arg_params, aux_params=aux_params, begin_epoch=epoch, **kwargs)

    @staticmethod
    def create(symbol, X, y=None, ctx=None, num_epoch=None, epoch_size=None, optimizer="sgd",
               initializer=UNIFORM, eval_data=None, eval_metric="acc", epoch_end_callback=None,
               batch_end_callback=None, kvstore="local", logger=None, work_load_list=None,
               eval_end_callback=_LOG_VALIDATION, eval_batch_end_callback=None, **kwargs):
        """Make a model and `fit` it.

        Parameters
        ----------
        symbol : Symbol
        X : DataIter or array
        y : array, optional
        ctx : Context or list of Context, optional
        num_epoch, epoch_size : int, optional
        optimizer : str or Optimizer
        initializer : Initializer
        eval_data : DataIter or tuple of arrays, optional
        eval_metric : EvalMetric, str, callable or list
        epoch_end_callback, batch_end_callback : callable or list of callable, optional
        kvstore : str or KVStore
        logger : logging.Logger, optional
        work_load_list : list of number, optional
        eval_end_callback, eval_batch_end_callback : callable or list of callable, optional
        **kwargs
            Arguments of the optimizer.

        Returns
        -------
        FeedForward
        """
        model = FeedForward(symbol, ctx, num_epoch, epoch_size, optimizer, initializer, **kwargs)
        model.fit(X, y, eval_data, eval_metric, epoch_end_callback, batch_end_callback, kvstore, logger,
                  work_load_list, None, eval_end_callback, eval_batch_end_callback)
        return model
