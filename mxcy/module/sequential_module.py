"""SequentialModule: modules in a chain."""
import logging

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.io import DataBatch, DataDesc
from mxcy.module.base_module import UNIFORM, BaseModule, described

__all__ = ["SequentialModule"]


class SequentialModule(BaseModule):
    """Modules in a chain: the outputs of one are the data of the next.

    Parameters
    ----------
    logger : logging.Logger or module

    Examples
    --------
    >>> net = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc")
    >>> loss = mx.sym.SoftmaxOutput(mx.sym.var("data"), name="softmax")
    >>> chain = SequentialModule().add(mx.mod.Module(net, label_names=None))
    >>> chain = chain.add(mx.mod.Module(loss), take_labels=True, auto_wiring=True)
    >>> chain.bind([("data", (4, 3))], [("softmax_label", (4,))])
    >>> chain.output_shapes
    [('softmax_output', (4, 2))]
    """

    META_TAKE_LABELS = "take_labels"
    META_AUTO_WIRING = "auto_wiring"

    def __init__(self, logger=logging):
        super().__init__(logger)
        self._modules, self._metas = [], []
        self._label_shapes = []

    def add(self, module, **kwargs):
        """Add a module to the end of the chain.

        Parameters
        ----------
        module : BaseModule
        **kwargs
            ``take_labels=True``: the module gets the labels. ``auto_wiring=True``: what the module before computes is
            given to the module's data by position, whatever their names are.

        Returns
        -------
        SequentialModule
            The chain.
        """
        unknown = [key for key in kwargs if key not in (self.META_TAKE_LABELS, self.META_AUTO_WIRING)]
        if unknown:
            raise MXNetTypeError(f"SequentialModule.add: {unknown[0]!r} is not an option; expected 'take_labels' or "
                                 "'auto_wiring'")
        self._modules.append(module)
        self._metas.append(kwargs)
        self.binded = self.params_initialized = self.optimizer_initialized = False
        return self

    def _takes_labels(self, at):
        return bool(self._metas[at].get(self.META_TAKE_LABELS))

    def _ends(self):
        if not self._modules:
            raise MXNetError("SequentialModule: add() a module first")
        return self._modules[0], self._modules[-1]

    @property
    def data_names(self):
        """Names of the data."""
        return self._ends()[0].data_names

    @property
    def output_names(self):
        """Names of the outputs."""
        return self._ends()[1].output_names

    @property
    def data_shapes(self):
        """Descriptions of the data."""
        self._require("binded")
        return self._ends()[0].data_shapes

    @property
    def label_shapes(self):
        """Descriptions of the labels."""
        self._require("binded")
        return self._label_shapes

    @property
    def output_shapes(self):
        """(name, shape) of the outputs."""
        self._require("binded")
        return self._ends()[1].output_shapes

    def bind(self, data_shapes, label_shapes=None, for_training=True, inputs_need_grad=False, force_rebind=False,
             shared_module=None, grad_req="write"):
        """Bind all modules; see `Module.bind`.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        for_training, inputs_need_grad, force_rebind : bool
        shared_module : None
            Not possible here.
        grad_req : str, list of str or dict of str to str
        """
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        if shared_module is not None:
            raise MXNetValueError("SequentialModule: there is no shared_module")
        self._ends()
        self.for_training, self.inputs_need_grad = for_training, inputs_need_grad
        takes = [at for at in range(len(self._modules)) if self._takes_labels(at)]
        self._label_shapes = described(label_shapes) if takes else []
        shapes = described(data_shapes)
        for at, module in enumerate(self._modules):
            if self._metas[at].get(self.META_AUTO_WIRING):
                if len(module.data_names) != len(shapes):
                    raise MXNetValueError(f"SequentialModule: module {at} takes {module.data_names}; the module before "
                                          f"computes {[desc.name for desc in shapes]}")
                shapes = [DataDesc(name, desc.shape, desc.dtype, desc.layout)
                          for name, desc in zip(module.data_names, shapes)]
            module.bind(shapes, label_shapes if at in takes else None, for_training,
                        inputs_need_grad or (for_training and at > 0), force_rebind, grad_req=grad_req)
            shapes = described(module.output_shapes)
        self.binded = True

    def install_monitor(self, mon):
        self._require("binded")
        for module in self._modules:
            module.install_monitor(mon)

    def init_params(self, initializer=UNIFORM, arg_params=None, aux_params=None, allow_missing=False,
                    force_init=False, allow_extra=False):
        """Give parameters their first values; see `Module.init_params`.

        Parameters
        ----------
        initializer : Initializer or None
        arg_params, aux_params : dict of str to NDArray, optional
        allow_missing, force_init, allow_extra : bool
        """
        if self.params_initialized and not force_init:
            return
        self._require("binded")
        owners = {}
        for at, module in enumerate(self._modules):
            module.init_params(initializer, arg_params, aux_params, allow_missing, force_init, allow_extra)
            for names in module.get_params():
                for name in names:
                    if name in owners:
                        raise MXNetValueError(f"SequentialModule: modules {owners[name]} and {at} both have a "
                                              f"parameter {name!r}")
                    owners[name] = at
        self.params_initialized = True

    def get_params(self):
        """The parameters: (arguments, auxiliary states), dicts of copies."""
        self._require("binded", "params_initialized")
        args, aux = {}, {}
        for module in self._modules:
            own_args, own_aux = module.get_params()
            args.update(own_args)
            aux.update(own_aux)
        return args, aux

    def init_optimizer(self, kvstore="local", optimizer="sgd", optimizer_params=(("learning_rate", 0.01),),
                       force_init=False):
        """Make an optimizer for each module; see `Module.init_optimizer`.

        Parameters
        ----------
        kvstore : str or KVStore
        optimizer : str or Optimizer
        optimizer_params : dict or tuple of pairs
        force_init : bool
        """
        self._require("binded", "params_initialized")
        if self.optimizer_initialized and not force_init:
            self.logger.warning("optimizer already initialized, ignoring.")
            return
        for module in self._modules:
            module.init_optimizer(kvstore, optimizer, optimizer_params, force_init)
        self.optimizer_initialized = True

    def forward(self, data_batch, is_train=None):
        """Compute the outputs of a batch.

        Parameters
        ----------
        data_batch : DataBatch
        is_train : bool, optional
        """
        self._require("binded", "params_initialized")
        data = data_batch.data
        for at, module in enumerate(self._modules):
            module.forward(DataBatch(data, data_batch.label if self._takes_labels(at) else None, data_batch.pad,
                                     data_batch.index), is_train)
            if at + 1 < len(self._modules):
                data = module.get_outputs()

    def backward(self, out_grads=None):
        """Compute the gradients; see `Module.backward`.

        Parameters
        ----------
        out_grads : NDArray or list of NDArray, optional
        """
        self._require("binded", "params_initialized")
        for at, module in reversed(list(enumerate(self._modules))):
            module.backward(out_grads)
            if at:
                out_grads = module.get_input_grads()

    def update(self):
        """Change the parameters by the gradients of the last batch."""
        self._require("binded", "params_initialized", "optimizer_initialized")
        for module in self._modules:
            module.update()

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward; see `Module.get_outputs`."""
        self._require("binded", "params_initialized")
        return self._modules[-1].get_outputs(merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients with respect to the data; see `Module.get_input_grads`."""
        self._require("binded", "params_initialized", "inputs_need_grad")
        return self._modules[0].get_input_grads(merge_multi_context)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Let a metric see the outputs of the modules that take labels; see `Module.update_metric`."""
        self._require("binded", "params_initialized")
        for at, module in enumerate(self._modules):
            if self._takes_labels(at):
                module.update_metric(eval_metric, labels, pre_sliced)
