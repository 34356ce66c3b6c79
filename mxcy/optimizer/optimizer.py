"""Optimizer: the base class, with the bookkeeping of learning rates, weight decay and update counts."""
import warnings

from mxcy import nd
from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.dtype import dtype_name

__all__ = ["Optimizer", "Test", "create", "register"]


class Optimizer:
    """Base class. A subclass defines `create_state` and `update`.

    Parameters
    ----------
    rescale_grad : float
        Factor on gradients, such as 1 / batch size.
    param_idx2name : dict of int to str, optional
        Names of the parameters by index, for `set_lr_mult` and `set_wd_mult`.
    wd : float
        Weight decay (L2 regularization); not applied to named parameters that do not end in ``_weight`` or ``_gamma``.
    clip_gradient : float, optional
        Cut gradients to ``[-clip_gradient, clip_gradient]``, after ``rescale_grad``.
    learning_rate : float, optional
        By default 0.01, or the base rate of ``lr_scheduler``.
    lr_scheduler : LRScheduler, optional
        The learning rate as a function of the number of updates.
    sym : Symbol, optional
        Where ``__lr_mult__`` and ``__wd_mult__`` of parameters are read.
    begin_num_update : int
        The number of updates that count as done at the start.
    multi_precision : bool
        Keep a float32 copy of float16 weights, and compute with it.
    param_dict : dict of int to gluon.Parameter, optional
        Parameters by index, with their ``lr_mult`` and ``wd_mult``.
    """

    #: Optimizer classes by lower-case name.
    opt_registry = {}
    #: How many tensors one call may update; 0: one at a time, with plain arguments.
    aggregate_num = 0

    def __init__(self, rescale_grad=1., param_idx2name=None, wd=0., clip_gradient=None, learning_rate=None,
                 lr_scheduler=None, sym=None, begin_num_update=0, multi_precision=False, param_dict=None):
        if param_idx2name is not None and not isinstance(param_idx2name, dict):
            raise MXNetTypeError(f"param_idx2name must be a dict of indices to names, got "
                                 f"{type(param_idx2name).__name__}")
        self.rescale_grad = rescale_grad
        self.lr_scheduler = lr_scheduler
        if lr_scheduler is not None and learning_rate is not None:
            if lr_scheduler.base_lr != learning_rate:
                warnings.warn(f"learning_rate={learning_rate} replaces base_lr={lr_scheduler.base_lr} of the "
                              "lr_scheduler",
                              stacklevel=3)
            lr_scheduler.base_lr = learning_rate
        self.lr = learning_rate if learning_rate is not None else lr_scheduler.base_lr if lr_scheduler else 0.01
        self.wd = wd
        self.clip_gradient = clip_gradient
        self.multi_precision = multi_precision
        self.begin_num_update = self.num_update = begin_num_update
        self._all_index_update_counts = {0: {}}
        self._index_update_count = self._all_index_update_counts[0]
        self.idx2name = dict(param_idx2name or {})
        self.param_dict = dict(param_dict or {})
        self.sym_info = (sym.attr_dict(), sym.list_arguments()) if sym is not None else ()
        self.set_lr_mult({})
        self.set_wd_mult({})

    @staticmethod
    def register(klass):
        """Register a subclass under its name in lower case; returns it."""
        name = klass.__name__.lower()
        if name in Optimizer.opt_registry and Optimizer.opt_registry[name].__module__ != klass.__module__:
            warnings.warn(f"optimizer {name!r} is replaced by {klass.__module__}.{klass.__qualname__}", stacklevel=2)
        Optimizer.opt_registry[name] = klass
        return klass

    @staticmethod
    def create_optimizer(name, **kwargs):
        """Make an optimizer from its registered name; see `create`."""
        if isinstance(name, Optimizer):
            return name
        if name.lower() not in Optimizer.opt_registry:
            raise MXNetValueError(f"there is no optimizer {name!r}.{nearest(name.lower(), Optimizer.opt_registry)} "
                                  f"Known: {', '.join(sorted(Optimizer.opt_registry))}.")
        return Optimizer.opt_registry[name.lower()](**kwargs)

    # -- to be defined -----------------------------------------------------------------------------------------------

    def create_state(self, index, weight):
        """What the optimizer keeps for ``weight`` between updates: None, an array, or a tuple of these."""
        return None

    def update(self, index, weight, grad, state):
        """Change ``weight`` and ``state`` in place."""
        raise NotImplementedError(f"{type(self).__name__} must define update(index, weight, grad, state)")

    # -- mixed precision ---------------------------------------------------------------------------------------------

    def _needs_copy(self, weight):
        """Whether ``weight`` is updated through a float32 copy."""
        if dtype_name(weight.dtype) not in ("float16", "bfloat16"):
            return False
        if not self.multi_precision:
            warnings.warn(f"{type(self).__name__} adds up small steps in {dtype_name(weight.dtype)}, which may lose "
                          "them: consider multi_precision=True", stacklevel=4)
        return self.multi_precision

    def create_state_multi_precision(self, index, weight):
        """State of ``weight``, for `update_multi_precision`: with a float32 copy if that is wanted."""
        if not self._needs_copy(weight):
            return self.create_state(index, weight)
        copy = weight.astype("float32")
        return copy, self.create_state(index, copy)

    def update_multi_precision(self, index, weight, grad, state):
        """Like `update`, in float32 where the state has a copy of the weight."""
        if not (self.multi_precision and dtype_name(weight.dtype) in ("float16", "bfloat16")):
            self.update(index, weight, grad, state)
            return
        copy, inner = state
        self.update(index, copy, grad.astype("float32"), inner)
        weight[:] = copy

    # -- rates -------------------------------------------------------------------------------------------------------

    @property
    def learning_rate(self):
        """The learning rate now."""
        return self.lr if self.lr_scheduler is None else self.lr_scheduler(self.num_update)

    def set_learning_rate(self, lr):
        """Set the learning rate; not if there is a schedule."""
        if self.lr_scheduler is not None:
            raise UserWarning("the learning rate follows lr_scheduler and cannot be set; change lr_scheduler.base_lr "
                              "instead")
        self.lr = lr

    def set_lr_mult(self, args_lr_mult):
        """Set factors on the learning rate, by parameter name or index."""
        self.lr_mult = {**self._from_symbol("__lr_mult__"), **args_lr_mult}

    def set_wd_mult(self, args_wd_mult):
        """Set factors on weight decay, by parameter name or index; 0 for named ones but weights and gammas."""
        plain = {name: 0. for name in self.idx2name.values() if not name.endswith(("_weight", "_gamma"))}
        self.wd_mult = {**plain, **self._from_symbol("__wd_mult__"), **args_wd_mult}

    def _from_symbol(self, key):
        if not self.sym_info:
            return {}
        attributes, arguments = self.sym_info
        return {name: float(attributes[name][key]) for name in arguments if key in attributes.get(name, ())}

    def _get_lrs(self, indices):
        lr = self.learning_rate
        params = self.param_dict
        if not self.lr_mult and len(params) >= len(indices):
            return [lr * params[i].lr_mult for i in indices]
        return [lr * self._multiplier(i, "lr_mult") for i in indices]

    def _get_wds(self, indices):
        wd = self.wd
        params = self.param_dict
        if not self.wd_mult and len(params) >= len(indices):
            return [wd * params[i].wd_mult for i in indices]
        return [wd * self._multiplier(i, "wd_mult") for i in indices]

    def _multiplier(self, index, kind):
        if index in self.param_dict:
            return getattr(self.param_dict[index], kind)
        factors = getattr(self, kind)
        return factors[index] if index in factors else factors.get(self.idx2name.get(index), 1.)

    def _get_lr(self, index):
        return self._get_lrs([index])[0]

    def _get_wd(self, index):
        return self._get_wds([index])[0]

    # -- counts ------------------------------------------------------------------------------------------------------

    def _set_current_context(self, device_id):
        """Count the updates of this device: each has its own copy of the weights."""
        self._index_update_count = self._all_index_update_counts.setdefault(device_id, {})

    def _update_count(self, index):
        counts, most = self._index_update_count, self.num_update
        for i in index if isinstance(index, (list, tuple)) else (index,):
            count = counts[i] = counts.get(i, self.begin_num_update) + 1
            if count > most:
                most = count
        self.num_update = most

    def _begin(self, index):
        """Count an update of parameter ``index``; (its learning rate, its weight decay, its number of updates)."""
        self._update_count(index)
        return self._get_lr(index), self._get_wd(index), self._index_update_count[index]

    def _prepare(self, grad):
        """``grad`` rescaled and clipped, a new array."""
        grad = grad * self.rescale_grad
        return grad if self.clip_gradient is None else nd.clip(grad, -self.clip_gradient, self.clip_gradient)

    def _clipping(self):
        """Keyword arguments of an update operator that rescales and clips by itself."""
        kwargs = {"rescale_grad": self.rescale_grad}
        if self.clip_gradient:
            kwargs["clip_gradient"] = self.clip_gradient
        return kwargs

    def __getstate__(self):
        return {key: value for key, value in self.__dict__.items() if key != "param_dict"}

    def __setstate__(self, state):
        self.__dict__.update(state, param_dict={})


register = Optimizer.register
create = Optimizer.create_optimizer


def zeros_like(weight):
    """A new array of zeros on the device of ``weight``."""
    return nd.zeros(weight.shape, ctx=weight.context, dtype=dtype_name(weight.dtype))


@register
class Test(Optimizer):
    """Adds the rescaled gradient, and keeps a copy of the weight: for tests of machinery."""

    def create_state(self, index, weight):
        return zeros_like(weight)

    def update(self, index, weight, grad, state):
        weight += grad * self.rescale_grad
        state[:] = weight
