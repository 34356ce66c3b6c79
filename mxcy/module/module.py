"""Module: one symbol on one or several devices."""
import logging
import warnings

from mxcy import kvstore as stores
from mxcy import nd
from mxcy import optimizer as opt
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError, nearest
from mxcy.context import Context, cpu
from mxcy.dtype import dtype_name
from mxcy.initializer import InitDesc
from mxcy.io import DataDesc
from mxcy.module.base_module import CPU, UNIFORM, BaseModule, described
from mxcy.module.executor_group import ExecutorGroup
from mxcy.module.files import load_checkpoint
from mxcy.ndarray._zeros import zeros_on_demand
from mxcy.ndarray.serialization import replacing

__all__ = ["Module"]

LARGE = 16 * 2 ** 20                    # elements: weights this large are updated on the devices, not by the store


class Module(BaseModule):
    """A symbol with its parameters, on one or several devices.

    Parameters
    ----------
    symbol : Symbol
    data_names, label_names : list of str
        The arguments that batches give.
    logger : logging.Logger or module
    context : Context or list of Context
        Each device works on a part of every batch.
    work_load_list : list of number, optional
        How much of a batch each device gets, in proportion.
    fixed_param_names : list of str, optional
        Parameters that are not trained.
    state_names : list of str, optional
        The arguments that `set_states` gives. All others are parameters.
    group2ctxs : dict or list of dict, optional
        Devices by group of the symbol's nodes; a list, or a list of devices for a group, has one for each context.
    compression_params : dict, optional
        Must be empty: there is no gradient compression.

    Examples
    --------
    >>> net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc"), name="softmax")
    >>> x = np.random.uniform(-1, 1, (200, 2))
    >>> batches = mx.io.NDArrayIter(x, x[:, 0] > x[:, 1], batch_size=20)
    >>> module = Module(net)
    >>> module.fit(batches, num_epoch=10, optimizer_params={"learning_rate": 1})
    >>> module.score(batches, "acc")[0][1] > 0.9
    True
    """

    def __init__(self, symbol, data_names=("data",), label_names=("softmax_label",), logger=logging, context=CPU,
                 work_load_list=None, fixed_param_names=None, state_names=None, group2ctxs=None,
                 compression_params=None):
        super().__init__(logger)
        if compression_params:
            raise MXNetValueError("Module: there is no gradient compression; leave compression_params out")
        self._context = [context] if isinstance(context, Context) else list(context)
        self._work_load_list = list(work_load_list or [1] * len(self._context))
        if len(self._work_load_list) != len(self._context):
            raise MXNetValueError(f"Module: work_load_list has {len(self._work_load_list)} entries for "
                                  f"{len(self._context)} devices")
        self._group2ctxs = _for_each(group2ctxs, len(self._context))
        self._symbol = symbol
        self._data_names, self._label_names = list(data_names or ()), list(label_names or ())
        self._state_names, self._fixed_param_names = list(state_names or ()), list(fixed_param_names or ())
        arguments = symbol.list_arguments()
        for names, what, needed in ((self._data_names, "data_names", True), (self._state_names, "state_names", True),
                                    (self._fixed_param_names, "fixed_param_names", True),
                                    (self._label_names, "label_names", False)):
            _check_arguments(names, what, arguments, needed)
        inputs = {*self._data_names, *self._label_names, *self._state_names}
        self._param_names = [name for name in arguments if name not in inputs]
        self._aux_names = symbol.list_auxiliary_states()
        self._arg_params = self._aux_params = None
        self._params_dirty = False              # whether the devices have newer values than _arg_params, _aux_params
        self._optimizer = self._updater = self._kvstore = None
        self._update_on_kvstore = False
        self._preload_opt_states = None
        self._number = {}                       # of each parameter, for the optimizer
        self._updates = []                      # (numbers, gradients, weights) of each call of the updater
        self._group = None

    # -- files -------------------------------------------------------------------------------------------------------

    @staticmethod
    def load(prefix, epoch, load_optimizer_states=False, **kwargs):
        """A module from a checkpoint.

        Parameters
        ----------
        prefix : str
        epoch : int
        load_optimizer_states : bool
            Read ``prefix-0001.states`` too, when the optimizer is made.
        **kwargs
            Arguments of `Module`.
        """
        symbol, arg_params, aux_params = load_checkpoint(prefix, epoch)
        module = Module(symbol, **kwargs)
        module._arg_params, module._aux_params, module.params_initialized = arg_params, aux_params, True
        if load_optimizer_states:
            module._preload_opt_states = f"{prefix}-{epoch:04d}.states"
        return module

    def save_checkpoint(self, prefix, epoch, save_optimizer_states=False, remove_amp_cast=True):
        """Write the symbol to ``prefix-symbol.json`` and the parameters to ``prefix-0001.params``.

        Parameters
        ----------
        prefix : str
        epoch : int
            The number in the name.
        save_optimizer_states : bool
            Write ``prefix-0001.states`` too.
        remove_amp_cast : bool
            Leave casts for mixed precision out of the symbol.
        """
        self._symbol.save(f"{prefix}-symbol.json", remove_amp_cast=remove_amp_cast)
        name = f"{prefix}-{epoch:04d}.params"
        self.save_params(name)
        logging.info('Saved checkpoint to "%s"', name)
        if save_optimizer_states:
            name = f"{prefix}-{epoch:04d}.states"
            self.save_optimizer_states(name)
            logging.info('Saved optimizer state to "%s"', name)

    def save_optimizer_states(self, fname):
        """Write the optimizer's states to a file."""
        self._require("optimizer_initialized")
        if self._update_on_kvstore:
            self._kvstore.save_optimizer_states(fname)
            return
        with replacing(fname) as file:
            file.write(self._updater.get_states())

    def load_optimizer_states(self, fname):
        """Read the optimizer's states from a file that `save_optimizer_states`, or MXNet, wrote."""
        self._require("optimizer_initialized")
        if self._update_on_kvstore:
            self._kvstore.load_optimizer_states(fname)
            return
        with open(fname, "rb") as file:
            self._updater.set_states(file.read())

    # -- names and shapes --------------------------------------------------------------------------------------------

    @property
    def data_names(self):
        """Names of the data."""
        return self._data_names

    @property
    def label_names(self):
        """Names of the labels."""
        return self._label_names

    @property
    def output_names(self):
        """Names of the outputs."""
        return self._symbol.list_outputs()

    @property
    def data_shapes(self):
        """Descriptions of the data."""
        self._require("binded")
        return self._group.data

    @property
    def label_shapes(self):
        """Descriptions of the labels."""
        self._require("binded")
        return self._group.labels

    @property
    def output_shapes(self):
        """(name, shape) of the outputs."""
        self._require("binded")
        return self._group.output_shapes()

    # -- binding -----------------------------------------------------------------------------------------------------

    def bind(self, data_shapes, label_shapes=None, for_training=True, inputs_need_grad=False, force_rebind=False,
             shared_module=None, grad_req="write"):
        """Make the executors for batches of these shapes. Batches of other shapes have it done again by themselves.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        for_training : bool
            Whether there will be gradients.
        inputs_need_grad : bool
            Whether to compute the gradients of the data too.
        force_rebind : bool
            Also if the module is bound.
        shared_module : Module, optional
            Use its parameters.
        grad_req : str, list of str or dict of str to str
            'write', 'add' or 'null', for all arguments or each of them.
        """
        if self.binded and not force_rebind:
            self.logger.warning("Already bound, ignoring bind()")
            return
        if inputs_need_grad and not for_training:
            raise MXNetValueError("bind: inputs_need_grad needs for_training")
        if force_rebind and self.binded and self.params_initialized:
            self.get_params()                       # what was trained goes on
        data, labels = described(data_shapes), described(label_shapes)
        _check_names(self._data_names, data, "data", needed=True)
        _check_names(self._label_names, labels, "label", needed=False)
        shared = None
        if shared_module is not None:
            shared_module._require("binded", "params_initialized")
            shared = shared_module._group
            if shared.contexts != self._context:
                raise MXNetValueError(f"bind: shared_module lives on {shared.contexts}, this module on {self._context}")
        self.for_training, self.inputs_need_grad = for_training, inputs_need_grad
        self._group = ExecutorGroup(self._symbol, self._context, self._work_load_list, self._param_names,
                                    self._state_names, self._requests(grad_req), data, labels, shared,
                                    self._group2ctxs)
        self.binded = True
        if shared_module is not None:
            self.params_initialized = True
            self._arg_params, self._aux_params = shared_module._arg_params, shared_module._aux_params
            self._params_dirty = shared_module._params_dirty
            if shared_module.optimizer_initialized:
                self.borrow_optimizer(shared_module)
        elif self.params_initialized:
            self._group.set_params(self._arg_params, self._aux_params, allow_extra=True)
            if self.optimizer_initialized:
                self._updates = self._calls_of_updater()

    def _requests(self, grad_req):
        """The grad_req of each argument."""
        names = self._symbol.list_arguments()
        if isinstance(grad_req, str):
            wanted = dict.fromkeys(names, grad_req)
        elif isinstance(grad_req, dict):
            wanted = {name: grad_req.get(name, "null") for name in names}
        elif len(grad_req) == len(names):
            wanted = dict(zip(names, grad_req))
        else:
            raise MXNetValueError(f"bind: grad_req has {len(grad_req)} entries for {len(names)} arguments")
        trained = {*self._param_names} - {*self._fixed_param_names} if self.for_training else set()
        if self.inputs_need_grad:
            trained |= {*self._data_names}
        return {name: req if name in trained else "null" for name, req in wanted.items()}

    def reshape(self, data_shapes, label_shapes=None):
        """Take batches of other shapes from now on.

        Parameters
        ----------
        data_shapes, label_shapes : list of DataDesc or (str, tuple)
        """
        self._require("binded")
        self._group.bind(described(data_shapes), described(label_shapes))

    def install_monitor(self, mon):
        self._require("binded")
        self._group.install_monitor(mon)

    # -- parameters --------------------------------------------------------------------------------------------------

    def init_params(self, initializer=UNIFORM, arg_params=None, aux_params=None, allow_missing=False,
                    force_init=False, allow_extra=False):
        """Give parameters their first values.

        Parameters
        ----------
        initializer : Initializer or None
            For what is not given.
        arg_params, aux_params : dict of str to NDArray, optional
            Values; names that the symbol does not have are skipped.
        allow_missing : bool
            Whether these may lack parameters.
        force_init : bool
            Also if they have values.
        allow_extra : bool
            Has no influence here: see `set_params`.
        """
        if self.params_initialized and not force_init:
            warnings.warn("Parameters already initialized and force_init=False. init_params call ignored.",
                          stacklevel=2)
            return
        self._require("binded")
        attributes = self._symbol.attr_dict()
        if self._arg_params is None:
            args, _, aux = self._group.shared[0]
            self._arg_params, self._aux_params = (
                {name: nd.zeros(arrays[name].shape, cpu(), arrays[name].dtype) for name in names}
                for arrays, names in ((args, self._param_names), (aux, self._aux_names)))
        for own, given in ((self._arg_params, arg_params), (self._aux_params, aux_params)):
            for name, array in sorted(own.items()):
                if given is not None and name in given:
                    _assign(name, array, given[name])
                elif given is not None and not allow_missing:
                    raise MXNetError(f"init_params: {name!r} is missing.{nearest(name, given)} Pass allow_missing=True "
                                     "to have it initialized")
                elif initializer is not None:
                    initializer(InitDesc(name, attributes.get(name)), array)
        self.params_initialized = True
        self._group.set_params(self._arg_params, self._aux_params, allow_extra=True)
        self._let_go()

    def _let_go(self):
        """Keep the values on the devices alone: arrays that hold nothing, until `get_params` fills them."""
        self._params_dirty = True
        for params in (self._arg_params, self._aux_params):
            for name, array in params.items():
                empty = zeros_on_demand(array.shape, dtype_name(array.dtype), array.context)
                params[name] = nd.zeros_like(array) if empty is None else empty

    def get_params(self):
        """The parameters: (arguments, auxiliary states), dicts of copies.

        Returns
        -------
        tuple of dict
        """
        self._require("params_initialized")
        if self.binded and self._params_dirty:
            self._group.get_params(self._arg_params, self._aux_params)
            self._params_dirty = False
        return dict(self._arg_params), dict(self._aux_params)

    def set_params(self, arg_params, aux_params, allow_missing=False, force_init=True, allow_extra=False):
        if not allow_missing:
            self.init_params(None, arg_params, aux_params, force_init=force_init)
        elif self.params_initialized and not force_init:
            warnings.warn("Parameters already initialized and force_init=False. set_params call ignored.",
                          stacklevel=2)
        else:
            self._require("binded")
            if self._arg_params is None:
                self.init_params(None)
            self._group.set_params(arg_params or {}, aux_params or {}, allow_extra=allow_extra)
            self.params_initialized = self._params_dirty = True

    # -- the optimizer -----------------------------------------------------------------------------------------------

    def init_optimizer(self, kvstore="local", optimizer="sgd", optimizer_params=(("learning_rate", 0.01),),
                       force_init=False):
        """Make the optimizer, and the store by which several devices exchange gradients.

        Parameters
        ----------
        kvstore : str or KVStore
        optimizer : str or Optimizer
        optimizer_params : dict or tuple of pairs
            Arguments of an optimizer that is given by name. ``rescale_grad`` is 1 / batch size unless given.
        force_init : bool
            Also if there is an optimizer.
        """
        self._require("binded", "params_initialized")
        if self.optimizer_initialized and not force_init:
            self.logger.warning("optimizer already initialized, ignoring...")
            return
        several = len(self._context) > 1
        store = kvstore
        if isinstance(store, str):
            store = stores.create(store) if several or "dist" in store else None
        largest = max((array.size for array in self._arg_params.values()), default=0)
        on_store = store is not None and (kvstore != "local" or largest < LARGE)
        names = self._param_names
        copies = 1 if on_store else len(self._context)
        idx2name = {i * copies + k: name for i, name in enumerate(names) for k in range(copies)}
        scale = 1. / (self._group.batch_size * (store.num_workers if store is not None else 1))
        self._optimizer = self._make_optimizer(optimizer, dict(optimizer_params), idx2name, scale)
        self._kvstore, self._update_on_kvstore = store, on_store
        self._updater = None if on_store else opt.get_updater(self._optimizer)
        if store is not None:
            self._fill_store()
            if on_store:
                store.set_optimizer(self._optimizer)
        self._number = {name: i for i, name in enumerate(names)}
        self._updates = self._calls_of_updater()
        self.optimizer_initialized = True
        if self._preload_opt_states is not None:
            self.load_optimizer_states(self._preload_opt_states)
            self._preload_opt_states = None

    def _make_optimizer(self, optimizer, arguments, idx2name, scale):
        if not isinstance(optimizer, opt.Optimizer):
            arguments.setdefault("rescale_grad", scale)
            return opt.create(optimizer, sym=self._symbol, param_idx2name=idx2name, **arguments)
        if optimizer.rescale_grad != scale:
            warnings.warn(f"the optimizer has rescale_grad={optimizer.rescale_grad}, not 1 / batch size = {scale}. Is "
                          "this intended?", stacklevel=3)
        if not optimizer.idx2name:
            optimizer.idx2name = dict(idx2name)
        return optimizer

    def _fill_store(self):
        params, _ = self.get_params()
        for name in self._param_names:
            self._kvstore.init(name, params[name])
            if self._update_on_kvstore:
                self._kvstore.pull(name, [args[name] for args, _, _ in self._group.shared])
        self._let_go()

    def borrow_optimizer(self, shared_module):
        """Use the optimizer, its states and the store of another module.

        Parameters
        ----------
        shared_module : Module
        """
        shared_module._require("optimizer_initialized")
        self._optimizer, self._updater = shared_module._optimizer, shared_module._updater
        self._kvstore, self._update_on_kvstore = shared_module._kvstore, shared_module._update_on_kvstore
        self._number = shared_module._number
        self._updates = self._calls_of_updater()
        self.optimizer_initialized = True

    def _calls_of_updater(self):
        """The numbers, gradients and weights of all that is trained, device by device."""
        found = {}
        for k, (names, grads, weights) in enumerate(self._group.calls):
            for name, grad, weight in zip(names, grads, weights):
                call = found.setdefault((k, str(weight.context)), ([], [], []))
                for part, value in zip(call, (self._number[name] * len(self._context) + k, grad, weight)):
                    part.append(value)
        return list(found.values())

    def update(self):
        """Change the parameters by the gradients of the last batch."""
        self._require("binded", "params_initialized", "optimizer_initialized")
        if not self._params_dirty:
            self._let_go()
        calls = self._group.calls
        names = calls[0][0]
        if self._kvstore is not None:
            self._kvstore.push(names, [[grads[at] for _, grads, _ in calls] for at in range(len(names))])
            place = 2 if self._update_on_kvstore else 1
            self._kvstore.pull(names, [[call[place][at] for call in calls] for at in range(len(names))])
        if not self._update_on_kvstore:
            for update in self._updates:
                self._updater(*update)

    # -- batches -----------------------------------------------------------------------------------------------------

    def forward(self, data_batch, is_train=None):
        """Compute the outputs of a batch.

        Parameters
        ----------
        data_batch : DataBatch, or list of DataBatch
            A list has the part of each device. The shapes may differ from those that were bound.
        is_train : bool, optional
            Training mode; by default what was bound.
        """
        train = self.for_training if is_train is None else is_train
        self._forward(data_batch, train, borrow=not train)

    def forward_backward(self, data_batch):
        self._forward(data_batch, True, borrow=True)
        self.backward()

    def _forward(self, batch, is_train, borrow):
        self._require("binded", "params_initialized")
        if isinstance(batch, list):
            if len(batch) != len(self._context):
                raise MXNetValueError(f"forward: {len(batch)} batches for {len(self._context)} devices")
        else:
            self._check_batch(batch)
        self._group.forward(batch, is_train, borrow)

    def _check_batch(self, batch):
        """Bind anew if a batch has other shapes than the last."""
        group = self._group
        for arrays, descs, what in ((batch.data, group.data, "data"), (batch.label, group.labels, "labels")):
            if len(arrays or ()) != len(descs) and (what == "data" or arrays and descs):
                raise MXNetValueError(f"forward: the batch has {len(arrays or ())} {what}; the module has "
                                      f"{len(descs)}: {', '.join(desc.name for desc in descs)}")
        if all(array.shape == desc.shape for array, desc in zip(batch.data, group.data)):
            if all(array.shape == desc.shape for array, desc in zip(batch.label or (), group.labels)):
                return
        self.reshape(getattr(batch, "provide_data", None) or _like(group.data, batch.data),
                     getattr(batch, "provide_label", None) or _like(group.labels, batch.label or ()))

    def backward(self, out_grads=None):
        """Compute the gradients, after a forward in training mode.

        Parameters
        ----------
        out_grads : NDArray or list of NDArray, optional
            Gradients with respect to the outputs; not needed where these are losses.
        """
        self._require("binded", "params_initialized", "for_training")
        self._group.backward(out_grads)

    def get_outputs(self, merge_multi_context=True):
        """The outputs of the last forward; the next one writes to the same arrays.

        Parameters
        ----------
        merge_multi_context : bool
            Join what several devices computed; else for each output a list of arrays is returned.

        Returns
        -------
        list of NDArray or list of list of NDArray
        """
        self._require("binded", "params_initialized")
        return self._gathered(self._group.outputs(), self._group.output_axes, merge_multi_context)

    def get_input_grads(self, merge_multi_context=True):
        """The gradients with respect to the data.

        Parameters
        ----------
        merge_multi_context : bool
            As for `get_outputs`.

        Returns
        -------
        list of NDArray or list of list of NDArray
        """
        self._require("binded", "params_initialized", "inputs_need_grad")
        return self._gathered(self._group.input_grads(), self._group.data_axes, merge_multi_context)

    def get_states(self, merge_multi_context=True):
        """The state arrays.

        Parameters
        ----------
        merge_multi_context : bool
            As for `get_outputs`.

        Returns
        -------
        list of NDArray or list of list of NDArray
        """
        self._require("binded", "params_initialized")
        return self._gathered(self._group.states(), [0] * len(self._state_names), merge_multi_context)

    def _gathered(self, lists, axes, merge):
        return self._group.merged(lists, axes) if merge else [list(parts) for parts in zip(*lists)]

    def set_states(self, states=None, value=None):
        """Set the state arrays.

        Parameters
        ----------
        states : list of list of NDArray, optional
            For each state the arrays of the devices, as `get_states` gives them with ``merge_multi_context=False``; or
            one array for each.
        value : number, optional
            For all elements.
        """
        self._require("binded", "params_initialized")
        if (states is None) == (value is None):
            raise MXNetValueError("set_states: give either states or value")
        for k, arrays in enumerate(self._group.states()):
            for i, array in enumerate(arrays):
                if states is None:
                    array[:] = value
                    continue
                given = states[i]
                array[:] = given[k] if isinstance(given, (list, tuple)) else self._group._part(given, 0, k)

    def update_metric(self, eval_metric, labels, pre_sliced=False):
        """Let a metric see the outputs of the last forward.

        Parameters
        ----------
        eval_metric : EvalMetric
        labels : list of NDArray
        pre_sliced : bool
            Whether ``labels`` has a list for each device.
        """
        self._group.update_metric(eval_metric, labels or [], pre_sliced)


def _for_each(group2ctxs, count):
    """A dict of devices by group, or None, for each of ``count`` devices."""
    if isinstance(group2ctxs, (list, tuple)):
        if len(group2ctxs) != count:
            raise MXNetValueError(f"Module: group2ctxs has {len(group2ctxs)} entries for {count} devices")
        return list(group2ctxs)
    return [group2ctxs and {group: where if isinstance(where, (Context, str)) else where[k if len(where) > 1 else 0]
                            for group, where in group2ctxs.items()} for k in range(count)]


def _check_arguments(names, what, arguments, needed):
    """Check that names are arguments of the symbol."""
    for name in names:
        if name in arguments:
            continue
        inputs = [other for other in arguments if not other.endswith(("_weight", "_bias", "_gamma", "_beta"))]
        message = (f"Module: {what} has {name!r}, which is not an argument of the symbol.{nearest(name, arguments)} "
                   f"Its inputs may be: {', '.join(inputs)}")
        if needed:
            raise MXNetValueError(message)
        warnings.warn(message, stacklevel=4)


def _check_names(names, descs, what, needed):
    """Check that descriptions are of the module's data or labels."""
    given = [desc.name for desc in descs]
    if sorted(names) == sorted(given):
        return
    message = f"bind: {what}_shapes describe {given}; the module's {what}_names are {names}"
    if needed:
        raise MXNetValueError(message)
    if names and given:
        warnings.warn(message, stacklevel=4)


def _like(descs, arrays):
    """Descriptions of arrays that take the place of others."""
    return [DataDesc(desc.name, array.shape, desc.dtype, desc.layout) for desc, array in zip(descs, arrays)]


def _assign(name, array, value):
    if not isinstance(value, nd.NDArray):
        raise MXNetTypeError(f"parameter {name!r} is given as {type(value).__name__}; expected an NDArray")
    if value.shape != array.shape:
        raise MXNetValueError(f"parameter {name!r} is given with shape {value.shape}; the symbol and the bound shapes "
                              f"make it {array.shape}")
    if value is not array:
        array[:] = value.as_in_context(array.context)
