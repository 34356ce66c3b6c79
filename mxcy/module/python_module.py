"""Modules whose computation is written in Python."""
import logging

from mxcy import nd
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.module.base_module import UNIFORM, BaseModule, described

__all__ = ["PythonModule", "PythonLossModule"]


class PythonModule(BaseModule):
    """Base class of modules without parameters. A subclass defines `forward`, `backward`, `get_outputs`,
    `get_input_grads` and `_compute_output_shapes`.

    Parameters
    ----------
    data_names, label_names, output_names : list of str
    logger : logging.Logger or module
    """

    def __init__(self, data_names, label_names, output_names, logger=logging):
        super().__init__(logger)
        self._data_names = list(data_names)
        self._label_names = None if label_names is None else list(label_names)
        self._output_names = list(output_names)
        self._data_shapes = self._label_shapes = self._output_shapes = None

    @property
    def data_names(self):
        """Names of the data."""
        return self._data_names

    @property
    def output_names(self):
        """Names of the outputs."""
        return self._output_names

    @property
    def data_shapes(self):
        """Descriptions of the data."""
        return self._data_shapes

    @property
    def label_shapes(self):
        """Descriptions of the labels."""
        return self._label_shapes

    @property
    def output_shapes(self):
        """(name, shape) of the outputs."""
        return self._output_shapes

    def bind(self, data_shapes, label_shapes=None, for_training=True, inputs_need_grad=False, force_rebind=False,
             shared_module=None, grad_req="write"):
        """Take note of the shapes.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        for_training, inputs_need_grad, force_rebind : bool
        shared_module : BaseModule, optional
            Has no influence.
        grad_req : str
            'write'.
        """
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        if grad_req != "write":
            raise MXNetValueError(f"{type(self).__name__}: grad_req must be 'write', got {grad_req!r}")
        data, labels = described(data_shapes), described(label_shapes) if label_shapes is not None else None
        for what, descs, names in (("data", data, self._data_names), ("label", labels, self._label_names)):
            if descs is not None and [desc.name for desc in descs] != (names or []):
                raise MXNetValueError(f"bind: {what}_shapes describe {[desc.name for desc in descs]}; the module's "
                                      f"{what} are {names}")
        self.for_training, self.inputs_need_grad = for_training, inputs_need_grad
        self._data_shapes, self._label_shapes = data, labels
        self._output_shapes = self._compute_output_shapes()
        self.binded = True

    def _compute_output_shapes(self):
        """List of (name, shape) of the outputs, from ``self.data_shapes`` and ``self.label_shapes``."""
        raise NotImplementedError(f"{type(self).__name__} must define _compute_output_shapes")

    def get_params(self):
        """No parameters: two empty dicts."""
        return {}, {}

    def init_params(self, initializer=UNIFORM, arg_params=None, aux_params=None, allow_missing=False,
                    force_init=False, allow_extra=False):
        """Nothing to be done: there are no parameters.

        Parameters
        ----------
        initializer : Initializer, optional
        arg_params, aux_params : dict, optional
        allow_missing, force_init, allow_extra : bool
        """
        self.params_initialized = True

    def init_optimizer(self, kvstore="local", optimizer="sgd", optimizer_params=(("learning_rate", 0.01),),
                       force_init=False):
        """Nothing to be done: there are no parameters.

        Parameters
        ----------
        kvstore : str or KVStore
        optimizer : str or Optimizer
        optimizer_params : dict or tuple of pairs
        force_init : bool
        """
        self.optimizer_initialized = True

    def update(self):
        """Nothing to be done: there are no parameters."""

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Let a metric see the outputs, if there are labels.

        Parameters
        ----------
        eval_metric : EvalMetric
        labels : list of NDArray
        pre_sliced : bool
            Must be False.
        """
        if self._label_shapes is None:
            return
        if pre_sliced:
            raise MXNetValueError(f"{type(self).__name__}: labels must not be cut into parts")
        eval_metric.update(labels, self.get_outputs())


class PythonLossModule(PythonModule):
    """A loss at the end of a `SequentialModule`: its output is its data, the scores.

    Parameters
    ----------
    name : str
    data_names, label_names : list of str
        One of each.
    logger : logging.Logger or module
    grad_func : callable
        ``grad_func(scores, labels)`` gives the gradient of the loss with respect to the scores, an NDArray or like a
        NumPy array. Or a subclass overrides ``_backward_impl``.
    """

    def __init__(self, name="pyloss", data_names=("data",), label_names=("softmax_label",), logger=logging,
                 grad_func=None):
        if len(data_names) != 1 or len(label_names) != 1:
            raise MXNetValueError(f"PythonLossModule takes one array of scores and one of labels, got {data_names} and "
                                  f"{label_names}")
        if grad_func is not None and not callable(grad_func):
            raise MXNetTypeError(f"PythonLossModule: grad_func must be a function, got {grad_func!r}")
        super().__init__(data_names, label_names, [f"{name}_output"], logger)
        self._name, self._grad_func = name, grad_func
        self._scores = self._labels = self._scores_grad = None

    def _compute_output_shapes(self):
        return [(f"{self._name}_output", self._data_shapes[0].shape)]

    def forward(self, data_batch, is_train=None):
        """Take the scores, and in training mode the labels.

        Parameters
        ----------
        data_batch : DataBatch
        is_train : bool, optional
        """
        self._scores = data_batch.data[0]
        if self.for_training if is_train is None else is_train:
            self._labels = data_batch.label[0]

    def get_outputs(self, merge_multi_context=True):
        """The scores."""
        return [self._scores] if merge_multi_context else [[self._scores]]

    def backward(self, out_grads=None):
        """Compute the gradient with respect to the scores.

        Parameters
        ----------
        out_grads : None
            A loss has none.
        """
        self._require("for_training")
        if out_grads is not None:
            raise MXNetValueError("PythonLossModule: a loss takes no out_grads")
        self._backward_impl()

    def _backward_impl(self):
        if self._grad_func is None:
            raise NotImplementedError(f"{type(self).__name__}: pass grad_func, or define _backward_impl")
        grad = self._grad_func(self._scores, self._labels)
        self._scores_grad = grad if isinstance(grad, nd.NDArray) else nd.array(grad)

    def get_input_grads(self, merge_multi_context=True):
        """The gradient with respect to the scores."""
        return [self._scores_grad] if merge_multi_context else [[self._scores_grad]]

    def install_monitor(self, mon):
        """There is nothing to see."""
