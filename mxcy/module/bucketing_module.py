"""BucketingModule: symbols of several lengths with the same parameters."""
import logging
import warnings

from mxcy import nd, sym
from mxcy.base import MXNetError, MXNetValueError
from mxcy.module.base_module import CPU, UNIFORM, BaseModule
from mxcy.module.files import load_params
from mxcy.module.module import Module

__all__ = ["BucketingModule"]


class BucketingModule(BaseModule):
    """A symbol for each bucket, such as each length of sequences; they share parameters and optimizer.

    Parameters
    ----------
    sym_gen : callable
        ``sym_gen(bucket_key)`` gives ``symbol, data_names, label_names``.
    default_bucket_key : object
        The bucket that is bound first, which must have all parameters: the longest.
    logger : logging.Logger or module
    context : Context or list of Context
    work_load_list : list of number, optional
    fixed_param_names, state_names : list of str, optional
    group2ctxs, compression_params : dict, optional
        These and the above are for `Module`.
    """

    def __init__(self, sym_gen, default_bucket_key=None, logger=logging, context=CPU, work_load_list=None,
                 fixed_param_names=None, state_names=None, group2ctxs=None, compression_params=None):
        super().__init__(logger)
        if default_bucket_key is None:
            raise MXNetValueError("BucketingModule: default_bucket_key must be given")
        self._sym_gen, self._default_bucket_key = sym_gen, default_bucket_key
        self._options = dict(logger=logger, context=context, work_load_list=work_load_list,
                             fixed_param_names=fixed_param_names, state_names=state_names, group2ctxs=group2ctxs,
                             compression_params=compression_params)
        self._loaded = None                 # parameters from a file, until the module is bound
        self._generated = {}                # what sym_gen gave, by bucket
        self._forget()
        self._symbol_of(default_bucket_key)
        self._make(default_bucket_key)      # checks the names

    def _forget(self):
        self._buckets = {}
        self._current = self._current_key = None
        self._monitor = None
        self._grad_req = None
        self.binded = False

    def _symbol_of(self, bucket_key):
        if bucket_key not in self._generated:
            self._generated[bucket_key] = self._sym_gen(bucket_key)
        return self._generated[bucket_key]

    def _make(self, bucket_key):
        symbol, data_names, label_names = self._symbol_of(bucket_key)
        return Module(symbol, data_names, label_names, **self._options)

    def _like(self, convert, arg_params, aux_params):
        """A module, not bound yet, with other symbols and other parameters."""
        def sym_gen(bucket_key):
            symbol, data_names, label_names = self._symbol_of(bucket_key)
            return convert(symbol), data_names, label_names
        return BucketingModule.load_dict(None, sym_gen, self._default_bucket_key, arg_params, aux_params,
                                         **self._options)

    @property
    def _default(self):
        """The module that owns the parameters."""
        return self._buckets[self._default_bucket_key]

    # -- names and shapes --------------------------------------------------------------------------------------------

    @property
    def symbol(self):
        """The symbol of the bucket in use."""
        self._require("binded")
        return self._current.symbol

    @property
    def data_names(self):
        """Names of the data."""
        return self._current.data_names if self.binded else self._symbol_of(self._default_bucket_key)[1]

    @property
    def output_names(self):
        """Names of the outputs."""
        if self.binded:
            return self._current.output_names
        return self._symbol_of(self._default_bucket_key)[0].list_outputs()

    @property
    def data_shapes(self):
        """Descriptions of the data."""
        self._require("binded")
        return self._current.data_shapes

    @property
    def label_shapes(self):
        """Descriptions of the labels."""
        self._require("binded")
        return self._current.label_shapes

    @property
    def output_shapes(self):
        """(name, shape) of the outputs."""
        self._require("binded")
        return self._current.output_shapes

    # -- binding -----------------------------------------------------------------------------------------------------

    def bind(self, data_shapes, label_shapes=None, for_training=True, inputs_need_grad=False, force_rebind=False,
             shared_module=None, grad_req="write"):
        """Bind the default bucket; others are bound when they come. See `Module.bind`.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        for_training, inputs_need_grad, force_rebind : bool
        shared_module : None
            Not possible here.
        grad_req : str, list of str or dict of str to str
        """
        if shared_module is not None:
            raise MXNetValueError("BucketingModule: there is no shared_module")
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        params = self.get_params() if self.binded and self.params_initialized else self._loaded
        self._forget()
        self.for_training, self.inputs_need_grad, self._grad_req = for_training, inputs_need_grad, grad_req
        module = self._make(self._default_bucket_key)
        module.bind(data_shapes, label_shapes, for_training, inputs_need_grad, grad_req=grad_req)
        self._buckets[self._default_bucket_key] = self._current = module
        self._current_key, self.binded = self._default_bucket_key, True
        if params is not None:
            self.set_params(*params)

    def switch_bucket(self, bucket_key, data_shapes, label_shapes=None):
        """Use the symbol of a bucket, bound with these shapes if it comes for the first time.

        Parameters
        ----------
        bucket_key : object
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        """
        self._require("binded")
        if bucket_key not in self._buckets:
            module = self._make(bucket_key)
            unknown = [name for name in module._param_names if name not in self._default._param_names]
            if unknown:
                raise MXNetValueError(f"bucket {bucket_key!r} has parameters that the default bucket "
                                      f"{self._default_bucket_key!r} does not have: {', '.join(unknown)}")
            module.bind(data_shapes, label_shapes, self.for_training, self.inputs_need_grad,
                        shared_module=self._default, grad_req=self._grad_req)
            if self._monitor is not None:
                module.install_monitor(self._monitor)
            self._buckets[bucket_key] = module
        self._current, self._current_key = self._buckets[bucket_key], bucket_key
        if self.optimizer_initialized and not self._current.optimizer_initialized:
            self._current.borrow_optimizer(self._default)

    def _switch_to(self, batch):
        key = self._default_bucket_key if batch.bucket_key is None else batch.bucket_key
        self.switch_bucket(key, batch.provide_data or self._default.data_shapes,
                           batch.provide_label if batch.provide_data else self._default.label_shapes)

    def install_monitor(self, mon):
        self._require("binded")
        self._monitor = mon
        for module in self._buckets.values():
            module.install_monitor(mon)

    # -- parameters --------------------------------------------------------------------------------------------------

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
        self._default.init_params(initializer, arg_params, aux_params, allow_missing, force_init, allow_extra)
        self.params_initialized = True

    def get_params(self):
        """The parameters: (arguments, auxiliary states), dicts of copies."""
        self._require("binded", "params_initialized")
        return self._default.get_params()

    def set_params(self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False):
        if self.params_initialized and not force_init:
            warnings.warn("Parameters already initialized and force_init=False. set_params call ignored.",
                          stacklevel=2)
            return
        self._require("binded")
        self._default.set_params(arg_params, aux_params, allow_missing, True, allow_extra)
        self.params_initialized = True

    def init_optimizer(self, kvstore="local", optimizer="sgd", optimizer_params=(("learning_rate", 0.01),),
                       force_init=False):
        """Make the optimizer that all buckets share; see `Module.init_optimizer`.

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
        self._default.init_optimizer(kvstore, optimizer, optimizer_params, force_init)
        for module in self._buckets.values():
            if module is not self._default:
                module.borrow_optimizer(self._default)
        self.optimizer_initialized = True

    # -- batches -----------------------------------------------------------------------------------------------------

    def prepare(self, data_batch, sparse_row_id_fn=None):
        self._require("binded", "params_initialized")
        current = self._current, self._current_key
        self._switch_to(data_batch)
        self._current, self._current_key = current

    def forward(self, data_batch, is_train=None):
        """Compute the outputs of a batch, in its bucket.

        Parameters
        ----------
        data_batch : DataBatch
            With its ``bucket_key``.
        is_train : bool, optional
        """
        self._require("binded", "params_initialized")
        self._switch_to(data_batch)
        self._current.forward(data_batch, is_train)

    def forward_backward(self, data_batch):
        self._require("binded", "params_initialized")
        self._switch_to(data_batch)
        self._current.forward_backward(data_batch)

    def backward(self, out_grads=None):
        """Compute the gradients; see `Module.backward`.

        Parameters
        ----------
        out_grads : NDArray or list of NDArray, optional
        """
        self._require("binded", "params_initialized")
        self._current.backward(out_grads)

    def update(self):
        """Change the parameters by the gradients of the last batch."""
        self._require("binded", "params_initialized", "optimizer_initialized")
        self._current.update()
        self._default._params_dirty = True

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward; see `Module.get_outputs`."""
        self._require("binded", "params_initialized")
        return self._current.get_outputs(merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients with respect to the data; see `Module.get_input_grads`."""
        self._require("binded", "params_initialized", "inputs_need_grad")
        return self._current.get_input_grads(merge_multi_context)

    def get_states(self, merge_multi_context=True):
        self._require("binded", "params_initialized")
        return self._current.get_states(merge_multi_context)

    def set_states(self, states=None, value=None):
        self._require("binded", "params_initialized")
        self._current.set_states(states, value)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Let a metric see the outputs of the last forward; see `Module.update_metric`."""
        self._require("binded", "params_initialized")
        self._current.update_metric(eval_metric, labels, pre_sliced)

    # -- files -------------------------------------------------------------------------------------------------------

    def save_checkpoint(self, prefix, epoch, remove_amp_cast=False):
        """Write the symbol of each bucket, ``prefix-<key>-symbol.json``, and ``prefix-0001.params``.

        Parameters
        ----------
        prefix : str
        epoch : int
            The number in the name.
        remove_amp_cast : bool
            Leave casts for mixed precision out of the symbols.
        """
        self._require("binded", "params_initialized")
        for key, module in self._buckets.items():
            module.symbol.save(f"{prefix}-{key}-symbol.json", remove_amp_cast=remove_amp_cast)
        nd.save(f"{prefix}.buckets", nd.array(list(self._buckets), dtype="int32"))
        self.save_params(f"{prefix}-{epoch:04d}.params")

    @staticmethod
    def load(prefix, epoch, sym_gen=None, default_bucket_key=None, **kwargs):
        """A module from a checkpoint of `save_checkpoint`.

        Parameters
        ----------
        prefix : str
        epoch : int
        sym_gen : callable, optional
            By default the symbols are read from their files.
        default_bucket_key : object
        **kwargs
            Arguments of `BucketingModule`; those of ``sym_gen``'s symbols have data and labels of the default names.
        """
        symbols = None
        if sym_gen is None:
            keys = nd.load(f"{prefix}.buckets")[0].asnumpy().tolist()
            symbols = {key: sym.load(f"{prefix}-{key}-symbol.json") for key in keys}
        return BucketingModule.load_dict(symbols, sym_gen, default_bucket_key, *load_params(prefix, epoch), **kwargs)

    @staticmethod
    def load_dict(sym_dict=None, sym_gen=None, default_bucket_key=None, arg_params=None, aux_params=None, **kwargs):
        """A module from symbols by bucket, or a function that gives them, and parameters.

        Parameters
        ----------
        sym_dict : dict of object to Symbol, optional
        sym_gen : callable, optional
        default_bucket_key : object
        arg_params, aux_params : dict of str to NDArray
        **kwargs
            Arguments of `BucketingModule`, and ``data_names`` and ``label_names`` for ``sym_dict``.
        """
        if (sym_dict is None) == (sym_gen is None):
            raise MXNetValueError("load_dict: give either sym_dict or sym_gen")
        if sym_dict is not None:
            names = kwargs.pop("data_names", ("data",)), kwargs.pop("label_names", ("softmax_label",))

            def sym_gen(key):
                if key not in sym_dict:
                    raise MXNetError(f"there is no symbol for bucket {key!r}; there are {list(sym_dict)}")
                return sym_dict[key], *names
        module = BucketingModule(sym_gen, default_bucket_key, **kwargs)
        module._loaded, module.params_initialized = (arg_params, aux_params or {}), True
        return module
