"""Trainer: applies an optimizer to a set of parameters."""
import os

from mxcy import kvstore as stores
from mxcy import optimizer as opt
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.gluon.parameter import Parameter
from mxcy.gluon.parameter_dict import ParameterDict
from mxcy.ndarray.serialization import replacing

__all__ = ["Trainer"]


class Trainer:
    """Updates parameters with their gradients; to be called between ``backward`` and the next forward.

    Parameters
    ----------
    params : ParameterDict, or dict or list of Parameter
        What to train. A dict is taken in the order of its keys.
    optimizer : str or Optimizer
    optimizer_params : dict, optional
        Arguments of the optimizer, if that is given by name.
    kvstore : str or KVStore, optional
        How gradients of several devices are added up. Not used with one device.
    compression_params : dict, optional
        Must be None: there is no gradient compression.
    update_on_kvstore : bool, optional
        Whether the store updates the weights and devices fetch them, rather than each device updating its own copy.
        By default True with several devices (environment variable ``MXNET_UPDATE_ON_KVSTORE``).

    Examples
    --------
    >>> net = gluon.nn.Dense(1, in_units=2)
    >>> net.initialize()
    >>> trainer = Trainer(net.collect_params(), "sgd", {"learning_rate": .1})
    >>> with autograd.record():
    ...     loss = (net(nd.ones((4, 2))) ** 2).sum()
    >>> loss.backward()
    >>> trainer.step(batch_size=4)
    """

    def __init__(self, params, optimizer, optimizer_params=None, kvstore="device", compression_params=None,
                 update_on_kvstore=None):
        if isinstance(params, (dict, ParameterDict)):
            params = [params[name] for name in sorted(params.keys())]
        if not isinstance(params, (list, tuple)):
            raise MXNetTypeError(f"Trainer: params must be a ParameterDict, or a dict or list of Parameters, got "
                                 f"{params!r}")
        for param in params:
            if not isinstance(param, Parameter):
                raise MXNetTypeError(f"Trainer: params holds a {type(param).__name__}, expected Parameters")
        if compression_params:
            raise MXNetValueError("Trainer: there is no gradient compression; leave compression_params out")
        self._params = list(params)
        self._param2idx = {param.name: i for i, param in enumerate(self._params)}
        for param in self._params:
            param._trainer = self
        self._optimizer = self._make_optimizer(optimizer, dict(optimizer_params or {}))
        self._scale = float((optimizer_params or {}).get("rescale_grad", 1.))
        self._kvstore_wanted, self._update_on_kvstore_wanted = kvstore, update_on_kvstore
        self._kvstore = None
        self._update_on_kvstore = False
        self._kv_initialized = False
        self._updaters = []
        self._calls = self._calls_of = None
        self._amp_loss_scaler = None            # of mixed precision, see contrib.amp.init_trainer
        self._amp_original_scale = self._scale

    def _make_optimizer(self, optimizer, arguments):
        params = dict(enumerate(self._params))
        if not isinstance(optimizer, opt.Optimizer):
            return opt.create(optimizer, param_dict=params, **arguments)
        if arguments:
            raise MXNetValueError("Trainer: optimizer_params are for an optimizer given by name; this one is an "
                                  "instance")
        optimizer.param_dict = params
        return optimizer

    # -- devices -----------------------------------------------------------------------------------------------------

    def _contexts(self):
        """The devices, which all parameters share."""
        contexts = None
        for param in self._params:
            own = param.list_ctx()
            if contexts is not None and own != contexts:
                raise MXNetValueError(f"Trainer: all parameters must live on the same devices, but {param.name!r} is "
                                      f"on {own} and others are on {contexts}")
            contexts = own
        return contexts or []

    def _connect(self):
        """Make the updaters, and the store if there are several devices."""
        contexts = self._contexts()
        self._updaters = [opt.get_updater(self._optimizer) for _ in contexts]
        store = self._kvstore_wanted
        several = len(contexts) > 1
        if isinstance(store, str):
            store = stores.create(store) if several or "dist" in store else None
        self._kvstore = store
        wanted = self._update_on_kvstore_wanted
        if wanted is None:
            wanted = store is not None and os.environ.get("MXNET_UPDATE_ON_KVSTORE", "1") != "0"
        self._update_on_kvstore = bool(wanted) and store is not None and store.is_capable(stores.KVStoreBase.OPTIMIZER)
        if store is not None:
            for i, param in enumerate(self._params):
                store.broadcast(i, param.list_data()[0], param.list_data())
            if self._update_on_kvstore:
                store.set_optimizer(self._optimizer)
        self._kv_initialized = True

    def _parameter_set(self, param):
        """A parameter was given a value by hand: the store's copies are old."""
        if self._kv_initialized and self._update_on_kvstore:
            if self._kvstore._updater.states:
                raise MXNetError(f"Parameter {param.name!r} cannot be set after the first step, because the store "
                                 "updates it: pass update_on_kvstore=False to the Trainer")
            self._kv_initialized = False

    # -- the optimizer -----------------------------------------------------------------------------------------------

    @property
    def optimizer(self):
        """The optimizer."""
        return self._optimizer

    @property
    def learning_rate(self):
        """The learning rate now."""
        return self._optimizer.learning_rate

    def set_learning_rate(self, lr):
        """Set the learning rate; an error if the optimizer follows a schedule."""
        self._optimizer.set_learning_rate(lr)

    # -- steps -------------------------------------------------------------------------------------------------------

    def step(self, batch_size, ignore_stale_grad=False):
        """Add up the gradients of all devices and update the parameters.

        Parameters
        ----------
        batch_size : int
            Gradients are divided by it.
        ignore_stale_grad : bool
            Skip parameters that ``backward`` did not reach since the last step, rather than raise.

        Raises
        ------
        UserWarning
            If a gradient is stale and ``ignore_stale_grad`` is False.
        """
        self._prepare(batch_size)
        if self._kvstore is not None:
            self._add_up(self._reached(ignore_stale_grad))
        self._update(ignore_stale_grad)

    def allreduce_grads(self):
        """Add up the gradients of all devices, to work with the sums before `update`."""
        if not self._kv_initialized:
            self._connect()
        self._refuse_on_kvstore("allreduce_grads")
        if self._kvstore is not None:
            self._add_up([i for i, param in enumerate(self._params) if param.grad_req != "null"])

    def update(self, batch_size, ignore_stale_grad=False):
        """Update the parameters; like `step`, but without adding up gradients."""
        self._prepare(batch_size)
        self._refuse_on_kvstore("update")
        self._update(ignore_stale_grad)

    def _refuse_on_kvstore(self, method):
        if self._update_on_kvstore:
            raise MXNetError(f"{method}() cannot be used when the store updates the parameters: pass "
                             "update_on_kvstore=False to the Trainer")

    def _prepare(self, batch_size):
        self._optimizer.rescale_grad = self._scale / batch_size
        if not self._kv_initialized:
            self._connect()

    def _reached(self, ignore):
        """Numbers of the parameters that ``backward`` reached. Where it did so on some devices only, which is an error
        unless ``ignore``, the gradients of the others become 0."""
        reached = []
        for i, param in enumerate(self._params):
            if param.grad_req == "null":
                continue
            weights = param.list_data()
            stale = [k for k, weight in enumerate(weights) if not weight._fresh_grad]
            if stale and not ignore:
                self._raise_stale(weights[stale[0]])
            if len(stale) < len(weights):
                reached.append(i)
                for k in stale:
                    param.list_grad()[k][:] = 0
                    weights[k]._fresh_grad = True
        return reached

    def _add_up(self, indices):
        """Push the gradients of parameters; the store updates with them, or gives their sums back."""
        grads = [self._params[i].list_grad() for i in indices]
        method = self._kvstore.push if self._update_on_kvstore else self._kvstore.pushpull
        if isinstance(self._kvstore, stores.KVStore):
            method(indices, grads)
            return
        for i, arrays in zip(indices, grads):           # other stores need not take lists of keys
            method(i, arrays, priority=-i)

    def _update(self, ignore_stale_grad):
        calls = self._current_calls()
        stale = [weight for _, _, weights in calls for weight in weights if not weight._fresh_grad]
        if stale and not ignore_stale_grad:
            self._raise_stale(stale[0])
        if self._amp_loss_scaler is not None and self._amp_loss_scaler.has_overflow(
                [grad for _, grads, weights in calls for grad, weight in zip(grads, weights) if weight._fresh_grad]):
            pass                                # the step is skipped
        elif self._update_on_kvstore:
            indices = calls[0][0]
            self._kvstore.pull(indices, [self._params[i].list_data() for i in indices])
        else:
            for update, call in zip(self._updaters, calls):
                update(*(_fresh(*call) if stale else call))
        for _, _, weights in calls:
            for weight in weights:
                weight._fresh_grad = False

    def _current_calls(self):
        """For each device (indices, gradients, weights) of what is trained; made again only if a parameter changed."""
        if self._calls_of != Parameter._changes:
            trained = [(i, param) for i, param in enumerate(self._params) if param.grad_req != "null"]
            pairs = [(i, param.list_grad(), param.list_data()) for i, param in trained]
            self._calls = [([i for i, _, _ in pairs], [grads[d] for _, grads, _ in pairs],
                            [data[d] for _, _, data in pairs])
                           for d in range(len(self._updaters))]
            self._calls_of = Parameter._changes
        return self._calls

    def _raise_stale(self, weight):
        name = next(p.name for p in self._params if p.grad_req != "null" and any(w is weight for w in p.list_data()))
        raise UserWarning(
            f"the gradient of Parameter {name!r} on {weight.context} has not been computed since the last step. Either "
            "the model does not use it, or backward was not called. If that is meant, pass ignore_stale_grad=True: "
            "such parameters are then left alone.")

    # -- files -------------------------------------------------------------------------------------------------------

    def save_states(self, fname):
        """Write the optimizer, with its states, to a file. Nothing in it is ever executed."""
        if not self._kv_initialized:
            self._connect()
        if self._update_on_kvstore:
            self._kvstore.save_optimizer_states(fname, dump_optimizer=True)
            return
        with replacing(fname) as file:
            file.write(self._updaters[0].get_states(dump_optimizer=True))

    def load_states(self, fname):
        """Read the optimizer and its states from a file that `save_states`, or MXNet, wrote."""
        if not self._kv_initialized:
            self._connect()
        if self._update_on_kvstore:
            self._kvstore.load_optimizer_states(fname)
            self._optimizer = self._kvstore._updater.optimizer
            return
        with open(fname, "rb") as file:
            content = file.read()
        for updater in self._updaters:
            updater.set_states(content)
            updater.optimizer = self._updaters[0].optimizer
        self._optimizer = self._updaters[0].optimizer


def _fresh(indices, grads, weights):
    """The entries whose gradients are new."""
    kept = [entry for entry in zip(indices, grads, weights) if entry[2]._fresh_grad]
    return tuple(map(list, zip(*kept))) or ((), (), ())
