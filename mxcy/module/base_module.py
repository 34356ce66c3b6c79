"""BaseModule: what all modules do with what each of them defines - training, scoring, predicting."""
import logging
import time
from collections import namedtuple

import numpy as np

from mxcy import nd
from mxcy import metric as metrics
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.context import cpu
from mxcy.initializer import Uniform
from mxcy.io import DataBatch, DataDesc

__all__ = ["BaseModule", "BatchEndParam"]

UNIFORM = Uniform(0.01)                 # what parameters are initialized with by default
CPU = cpu()

#: What to do if a state is not reached.
_FIRST = {"binded": "call bind() first", "params_initialized": "call init_params() first",
          "optimizer_initialized": "call init_optimizer() first", "for_training": "bind it with for_training=True",
          "inputs_need_grad": "bind it with inputs_need_grad=True"}


class BatchEndParam(namedtuple("BatchEndParam", ["epoch", "nbatch", "eval_metric", "locals"])):
    """What a batch callback gets.

    Parameters
    ----------
    epoch, nbatch : int
    eval_metric : EvalMetric
    locals : dict
        The variables of the loop.
    """


class BaseModule:
    """A network with parameters, data shapes and an optimizer: the loops that use it.

    A subclass defines `bind`, `init_params`, `init_optimizer`, `get_params`, `forward`, `backward`, `update`,
    `get_outputs`, `get_input_grads`, `update_metric`, and the properties `data_names`, `output_names`, `data_shapes`,
    `label_shapes` and `output_shapes`.

    Parameters
    ----------
    logger : logging.Logger or module
        Where progress goes.

    Attributes
    ----------
    binded, for_training, inputs_need_grad, params_initialized, optimizer_initialized : bool
        How far the module has come.
    """

    def __init__(self, logger=logging):
        self.logger = logger
        self.binded = self.for_training = self.inputs_need_grad = False
        self.params_initialized = self.optimizer_initialized = False
        self._symbol = None

    @property
    def symbol(self):
        """The symbol, or None where there is none."""
        return self._symbol

    def _require(self, *states):
        """Raise an error that says what to do unless the module has reached ``states``."""
        for state in states:
            if not getattr(self, state):
                raise MXNetError(f"{type(self).__name__}: {_FIRST[state]}")

    # -- one batch ---------------------------------------------------------------------------------------------------

    def forward_backward(self, data_batch):
        """Compute outputs and gradients of a batch."""
        self.forward(data_batch, is_train=True)
        self.backward()

    def prepare(self, data_batch, sparse_row_id_fn=None):
        """Make ready for a batch that comes next.

        Parameters
        ----------
        data_batch : DataBatch
        sparse_row_id_fn : callable, optional
            Not used: parameters are dense.
        """

    def get_states(self, merge_multi_context=True):
        """The state arrays; a module without them has none."""
        self._require("binded", "params_initialized")
        return []

    def set_states(self, states=None, value=None):
        """Set the state arrays; a module without them takes none."""
        self._require("binded", "params_initialized")
        if states or value:
            raise MXNetValueError(f"{type(self).__name__} has no states")

    def install_monitor(self, mon):
        """Have a `Monitor` see what is computed."""
        raise NotImplementedError(f"{type(self).__name__} must define install_monitor")

    # -- many batches ------------------------------------------------------------------------------------------------

    def score(self, eval_data, eval_metric, num_batch=None, batch_end_callback=None, score_end_callback=None,
              reset=True, epoch=0, sparse_row_id_fn=None):
        """Evaluate predictions.

        Parameters
        ----------
        eval_data : DataIter
        eval_metric : EvalMetric, str, callable or list
        num_batch : int, optional
            At most so many batches.
        batch_end_callback, score_end_callback : callable or list of callable, optional
            Called with a `BatchEndParam` after each batch, and at the end.
        reset : bool
            Start the iterator again before.
        epoch : int
            For the callbacks.
        sparse_row_id_fn : callable, optional
            For `prepare`.

        Returns
        -------
        list of tuple
            Names and values of the metric.
        """
        self._require("binded", "params_initialized")
        eval_metric = metrics.create(eval_metric)
        eval_metric.reset()
        seen = 0
        for nbatch, eval_batch in self._batches(eval_data, num_batch, reset, sparse_row_id_fn):
            self._update_metric_of(eval_metric, eval_batch)
            call(batch_end_callback, epoch, nbatch, eval_metric, locals())
            seen = nbatch + 1
        call(score_end_callback, epoch, seen, eval_metric, locals())
        return eval_metric.get_name_value()

    def iter_predict(self, eval_data, num_batch=None, reset=True, sparse_row_id_fn=None):
        """Yield (outputs, number of the batch, batch) for each batch.

        Parameters
        ----------
        eval_data : DataIter
        num_batch : int, optional
            At most so many batches.
        reset : bool
            Start the iterator again before.
        sparse_row_id_fn : callable, optional
            For `prepare`.
        """
        self._require("binded", "params_initialized")
        for nbatch, eval_batch in self._batches(eval_data, num_batch, reset, sparse_row_id_fn):
            pad = eval_batch.pad or 0
            yield [out[:out.shape[0] - pad] for out in self.get_outputs()], nbatch, eval_batch

    def predict(self, eval_data, num_batch=None, merge_batches=True, reset=True, always_output_list=False,
                sparse_row_id_fn=None):
        """The outputs for all batches.

        Parameters
        ----------
        eval_data : DataIter, NDArray or numpy.ndarray
            An array is one batch.
        num_batch : int, optional
            At most so many batches.
        merge_batches : bool
            Join the batches; else a list for each batch is returned.
        reset : bool
            Start the iterator again before.
        always_output_list : bool
            Return a list even if there is one output.
        sparse_row_id_fn : callable, optional
            For `prepare`.

        Returns
        -------
        NDArray, or list of NDArray, or list of list of NDArray
        """
        self._require("binded", "params_initialized")
        if isinstance(eval_data, (nd.NDArray, np.ndarray)):
            data = eval_data if isinstance(eval_data, nd.NDArray) else nd.array(eval_data)
            self.forward(DataBatch([data]), is_train=False)
            return self.get_outputs()[0].copy()
        if not hasattr(eval_data, "provide_data"):
            raise MXNetTypeError(f"predict: eval_data must be a DataIter or an array, got {type(eval_data).__name__}")
        batches = [[out.copy() for out in outputs]          # the next batch is written to the same arrays
                   for outputs, _, _ in self.iter_predict(eval_data, num_batch, reset, sparse_row_id_fn)]
        if not batches or not merge_batches:
            return batches
        if len({len(outputs) for outputs in batches}) > 1:
            raise MXNetValueError("predict: batches have different numbers of outputs, as buckets may: pass "
                                  "merge_batches=False")
        merged = [parts[0] if len(parts) == 1 else nd.concat(*parts, dim=0) for parts in zip(*batches)]
        return merged[0] if len(merged) == 1 and not always_output_list else merged

    def _batches(self, data, num_batch, reset, sparse_row_id_fn):
        """Yield (number, batch) when the batch has been predicted."""
        if reset:
            data.reset()
        for nbatch, batch in enumerate(data):
            if nbatch == num_batch:
                return
            self.prepare(batch, sparse_row_id_fn=sparse_row_id_fn)
            self.forward(batch, is_train=False)
            yield nbatch, batch

    def _update_metric_of(self, eval_metric, batch):
        if isinstance(batch, list):
            self.update_metric(eval_metric, [part.label for part in batch], pre_sliced=True)
        else:
            self.update_metric(eval_metric, batch.label)

    def fit(self, train_data, eval_data=None, eval_metric="acc", epoch_end_callback=None, batch_end_callback=None,
            kvstore="local", optimizer="sgd", optimizer_params=(("learning_rate", 0.01),), eval_end_callback=None,
            eval_batch_end_callback=None, initializer=UNIFORM, arg_params=None, aux_params=None,
            allow_missing=False, force_rebind=False, force_init=False, begin_epoch=0, num_epoch=None,
            validation_metric=None, monitor=None, sparse_row_id_fn=None):
        """Train: bind, initialize what is not yet, and go through the data ``num_epoch`` times.

        Parameters
        ----------
        train_data : DataIter
        eval_data : DataIter, optional
            Evaluated after each epoch.
        eval_metric : EvalMetric, str, callable or list
        epoch_end_callback : callable or list of callable, optional
            Called with ``epoch, symbol, arg_params, aux_params``.
        batch_end_callback : callable or list of callable, optional
            Called with a `BatchEndParam`.
        kvstore : str or KVStore
            How several devices exchange gradients.
        optimizer : str or Optimizer
        optimizer_params : dict or tuple of pairs
            Arguments of the optimizer.
        eval_end_callback, eval_batch_end_callback : callable or list of callable, optional
            For `score`.
        initializer : Initializer
            For parameters that have no value yet.
        arg_params, aux_params : dict of str to NDArray, optional
            Values to start from.
        allow_missing : bool
            Initialize what ``arg_params`` and ``aux_params`` lack.
        force_rebind, force_init : bool
            Bind, and initialize, although that has been done.
        begin_epoch, num_epoch : int
            The first epoch's number, and where to stop.
        validation_metric : EvalMetric, str, callable or list
            For ``eval_data``, by default ``eval_metric``.
        monitor : Monitor, optional
        sparse_row_id_fn : callable, optional
            For `prepare`.
        """
        if num_epoch is None:
            raise MXNetValueError("fit: num_epoch must be given")
        self.bind(data_shapes=train_data.provide_data, label_shapes=train_data.provide_label, for_training=True,
                  force_rebind=force_rebind)
        if monitor is not None:
            self.install_monitor(monitor)
        if not self.params_initialized or force_init or arg_params or aux_params:
            self.init_params(initializer=initializer, arg_params=arg_params, aux_params=aux_params,
                             allow_missing=allow_missing, force_init=force_init)
        self.init_optimizer(kvstore=kvstore, optimizer=optimizer, optimizer_params=optimizer_params)
        eval_metric = metrics.create(eval_metric)
        if validation_metric is None:
            validation_metric = eval_metric
        for epoch in range(begin_epoch, num_epoch):
            start = time.time()
            for name, value in self._fit_epoch(epoch, train_data, eval_metric, batch_end_callback, monitor,
                                               sparse_row_id_fn):
                self.logger.info("Epoch[%d] Train-%s=%f", epoch, name, value)
            self.logger.info("Epoch[%d] Time cost=%.3f", epoch, time.time() - start)
            arg_params, aux_params = self.get_params()
            self.set_params(arg_params, aux_params)             # devices may differ in their moving statistics
            for callback in as_list(epoch_end_callback):
                callback(epoch, self.symbol, arg_params, aux_params)
            if eval_data is not None:
                for name, value in self.score(eval_data, validation_metric, score_end_callback=eval_end_callback,
                                              batch_end_callback=eval_batch_end_callback, epoch=epoch):
                    self.logger.info("Epoch[%d] Validation-%s=%f", epoch, name, value)
            train_data.reset()

    def _fit_epoch(self, epoch, train_data, eval_metric, batch_end_callback, monitor, sparse_row_id_fn):
        """Train with all batches; names and values of the metric."""
        eval_metric.reset()
        found = []
        batches = iter(train_data)
        data_batch, nbatch = next(batches, None), 0
        if data_batch is None:
            raise MXNetValueError("fit: train_data gives no batch. If it has been used before, reset() it")
        while data_batch is not None:
            if monitor is not None:
                monitor.tic()
            self.forward_backward(data_batch)
            self.update()
            self._update_metric_of(eval_metric, data_batch)
            following = next(batches, None)                     # while the engine still works on this one
            if following is not None:
                self.prepare(following, sparse_row_id_fn=sparse_row_id_fn)
            else:
                found = eval_metric.get_global_name_value()     # before a callback resets the metric
            if monitor is not None:
                monitor.toc_print()
            call(batch_end_callback, epoch, nbatch, eval_metric, locals())
            data_batch, nbatch = following, nbatch + 1
        return found

    # -- parameters --------------------------------------------------------------------------------------------------

    def set_params(self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False):
        """Give parameters values.

        Parameters
        ----------
        arg_params, aux_params : dict of str to NDArray
        allow_missing : bool
            Leave parameters that are not given as they are.
        force_init : bool
            Also if they have values.
        allow_extra : bool
            Skip what is given and the module does not have.
        """
        self.init_params(initializer=None, arg_params=arg_params, aux_params=aux_params, allow_missing=allow_missing,
                         force_init=force_init, allow_extra=allow_extra)

    def save_params(self, fname):
        """Write the parameters to a file."""
        arg_params, aux_params = self.get_params()
        nd.save(fname, {f"{kind}:{name}": array.as_in_context(cpu())
                        for kind, params in (("arg", arg_params), ("aux", aux_params))
                        for name, array in params.items()})

    def load_params(self, fname):
        """Read the parameters from a file."""
        self.set_params(*split_params(nd.load(fname), fname))


def split_params(arrays, fname):
    """(arguments, auxiliary states) of what was read from a file of parameters."""
    params = {"arg": {}, "aux": {}}
    for key, array in arrays.items() if isinstance(arrays, dict) else [("", None)] * len(arrays):
        kind, _, name = key.partition(":")
        if kind not in params:
            raise MXNetValueError(f"{fname} is not a file of parameters: it has {key!r}, expected names such as "
                                  "'arg:fc1_weight' and 'aux:bn_moving_mean'")
        params[kind][name] = array
    return params["arg"], params["aux"]


def as_list(values):
    """A list of what may be one value, several, or None."""
    if values is None:
        return []
    return list(values) if isinstance(values, (list, tuple)) else [values]


def call(callbacks, epoch, nbatch, eval_metric, variables):
    """Call batch callbacks."""
    if callbacks is not None:
        param = BatchEndParam(epoch, nbatch, eval_metric, variables)
        for callback in as_list(callbacks):
            callback(param)


def described(shapes):
    """A list of DataDesc from those, or from tuples of their arguments; None is an empty list."""
    descs = [desc if isinstance(desc, DataDesc) else DataDesc(*desc) for desc in shapes or ()]
    return [DataDesc(desc.name, tuple(map(int, desc.shape)), desc.dtype, desc.layout) for desc in descs]
