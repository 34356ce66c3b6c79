"""Parameters: named arrays that layers share, initialize, train and save."""
import warnings

import numpy as np

from mxcy import autograd, initializer, nd
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.context import Context, cpu, current_context
from mxcy.dtype import dtype_name
from mxcy.gluon.trace import current
from mxcy.gluon.utils import shape_is_known
from mxcy.ndarray._zeros import zeros_on_demand
from mxcy.symbol.symbol import var

__all__ = ["DeferredInitializationError", "Parameter", "Constant"]


class DeferredInitializationError(MXNetError):
    """The parameter's shape is not known yet: the first batch of data will tell it."""


class ParameterError(MXNetValueError, AssertionError):
    """A parameter does not fit what is asked of it. (MXNet raises AssertionError here.)"""


class Parameter:
    """An array that is learned, with one copy for each device.

    Parameters
    ----------
    name : str
    grad_req : {'write', 'add', 'null'}
        How ``backward`` stores the gradient: replace, add up, or not at all.
    shape : int or tuple of int, optional
        Unknown sizes are 0 or -1.
    dtype : str or numpy dtype
    lr_mult, wd_mult : float
        Factors on the trainer's learning rate and weight decay.
    init : Initializer or str, optional
        Overrides the initializer given to `initialize`.
    allow_deferred_init : bool
        Wait for the first batch where the shape is unknown.
    differentiable : bool
        False: ``grad_req`` is always 'null'.
    stype, grad_stype : str
        Storage types; only 'default' (dense) exists here.
    """

    #: Counts changes of any parameter's arrays or ``grad_req``; the Trainer compares it to reuse prepared updates.
    _changes = 0

    def __init__(self, name, grad_req="write", shape=None, dtype=np.float32, lr_mult=1.0, wd_mult=1.0, init=None,
                 allow_deferred_init=False, differentiable=True, stype="default", grad_stype="default"):
        for what, storage in (("stype", stype), ("grad_stype", grad_stype)):
            if storage != "default":
                raise MXNetValueError(f"Parameter {name!r}: {what} must be 'default', got {storage!r}")
        self.name = name
        self._shape = (shape,) if isinstance(shape, int) else None if shape is None else tuple(shape)
        self._dtype = dtype
        self._data = self._grad = self._ctx_list = None
        self._deferred_init = ()
        self._differentiable = differentiable
        self._allow_deferred_init = allow_deferred_init
        self._grad_req = None
        self._trainer = None
        self._var = None
        self.lr_mult, self.wd_mult, self.init = lr_mult, wd_mult, init
        self.grad_req = grad_req

    def __repr__(self):
        return f"{self._kind} {self.name} (shape={self._shape}, dtype={self._dtype})"

    _kind = "Parameter"

    # -- properties ----------------------------------------------------------------------------------------------

    @property
    def grad_req(self):
        """'write', 'add' or 'null'."""
        return self._grad_req

    @grad_req.setter
    def grad_req(self, req):
        if req not in ("write", "add", "null"):
            raise MXNetValueError(f"Parameter {self.name!r}: grad_req must be 'write', 'add' or 'null', got {req!r}")
        if not self._differentiable:
            req = "null"
        if req == self._grad_req:
            return
        self._grad_req = req
        if self._data is not None:
            self._init_grad()

    @property
    def dtype(self):
        """The data type; setting it casts."""
        return self._dtype

    @dtype.setter
    def dtype(self, dtype):
        self.cast(dtype)

    @property
    def shape(self):
        """The shape, or None. Setting it may only fill in unknown sizes."""
        return self._shape

    @shape.setter
    def shape(self, shape):
        shape = tuple(shape)
        known = self._shape
        if known is not None and not (len(known) == len(shape) and
                                      all(old in (new, 0, -1) for old, new in zip(known, shape))):
            raise ParameterError(f"Parameter {self.name!r} has shape {known}, which does not allow shape {shape}")
        self._shape = shape

    # -- initialization --------------------------------------------------------------------------------------------

    def initialize(self, init=None, ctx=None, default_init=None, force_reinit=False):
        """Make the arrays on each device, and those for gradients.

        Parameters
        ----------
        init : Initializer or str, optional
            Initializer for this parameter; by default its own ``init``, else ``default_init``.
        ctx : Context or list of Context, optional
            Devices; by default the current one.
        default_init : Initializer or str, optional
            By default ``Uniform()``.
        force_reinit : bool
            Initialize again what has values.

        Raises
        ------
        ValueError
            If the shape has unknown sizes and the parameter may not wait for them.
        """
        if self._data is not None and not force_reinit:
            warnings.warn(f"Parameter {self.name!r} has been initialized already and keeps its values; "
                          "pass force_reinit=True to initialize it again", stacklevel=2)
            return
        self._data = self._grad = None
        default_init = initializer.Uniform() if default_init is None else initializer.create(default_init)
        init = init or self.init or default_init
        self._deferred_init = (init, _contexts(ctx), default_init, None)
        if shape_is_known(self._shape):
            self._finish_deferred_init()
        elif not self._allow_deferred_init:
            self._deferred_init = ()
            raise MXNetValueError(f"cannot initialize Parameter {self.name!r}: its shape {self._shape} has unknown "
                                  "sizes. Give them, or allow_deferred_init=True to learn them from the data.")

    def _finish_deferred_init(self):
        """Make the arrays, now that the shape is known."""
        if not self._deferred_init:
            return
        init, ctx, default_init, data = self._deferred_init
        if not shape_is_known(self._shape):
            raise MXNetValueError(f"cannot initialize Parameter {self.name!r}: its shape {self._shape} has unknown "
                                  "sizes. Give in_units, in_channels or the like, or let the layer see data first.")
        self._deferred_init = ()
        with autograd.pause():
            if data is None:
                data = nd.zeros(self._shape, dtype=self._dtype, ctx=cpu())
                desc = initializer.InitDesc(self.name, {"__init__": init})
                if isinstance(default_init, initializer.Initializer):
                    default_init(desc, data)            # it looks at __init__ first
                else:
                    initializer.create(init)._init_weight(desc, data)
            self._init_impl(data, ctx)

    def _init_impl(self, data, contexts):
        self._data = [data.copyto(ctx if isinstance(ctx, Context) else Context(ctx)) for ctx in contexts]
        self._ctx_list = [array.context for array in self._data]
        self._init_grad()

    def _init_grad(self):
        """Make the gradient arrays that ``grad_req`` asks for and tell autograd."""
        Parameter._changes += 1
        if self._grad_req == "null":
            self._grad = None
            self._data = [d.detach() for d in self._data]       # autograd forgets a gradient from before
            return
        self._grad = [zeros_on_demand(d.shape, d.dtype, d.context) for d in self._data]     # it may never be trained
        self._grad = [nd.zeros_like(d) if g is None else g for d, g in zip(self._data, self._grad)]
        autograd.mark_variables(self._data, self._grad, self._grad_req)

    def _load_init(self, data, ctx, cast_dtype=False, dtype_source="current"):
        """Take values that were read from a file; devices as in `initialize`."""
        saved = tuple(data.shape)
        if self._shape and (len(self._shape) != len(saved) or
                            any(old not in (new, 0, -1) for old, new in zip(self._shape, saved))):
            raise ParameterError(f"loading Parameter {self.name!r}: expected shape {self._shape}, but the file has "
                                 f"{saved}")
        self._shape = saved
        if self._dtype is not None and dtype_name(self._dtype) != dtype_name(data.dtype):
            if not cast_dtype:
                raise ParameterError(f"loading Parameter {self.name!r}: expected dtype {dtype_name(self._dtype)}, but "
                                     f"the file has {dtype_name(data.dtype)}. Pass cast_dtype=True to convert.")
            if dtype_source == "current":
                data = data.astype(self._dtype)
            elif dtype_source == "saved":
                self.cast(data.dtype)
            else:
                raise MXNetValueError(f"dtype_source must be 'current' or 'saved', got {dtype_source!r}")
        contexts = None if ctx is None else _contexts(ctx)
        present = self._ctx_list if self._data is not None else self._deferred_init[1] if self._deferred_init else None
        if contexts is not None and present is not None and set(contexts) != set(present):
            raise ParameterError(f"loading Parameter {self.name!r} on {contexts}: it lives on {present} already; "
                                 "use reset_ctx to move it")
        if self._data is None:
            self._init_impl(data, present or contexts or [cpu()])
        else:
            self.set_data(data)
        self._deferred_init = ()

    # -- values ----------------------------------------------------------------------------------------------------

    def var(self):
        """The variable for this parameter in symbols."""
        if self._var is None:
            self._var = var(self.name, shape=self._shape, dtype=self._dtype, lr_mult=self.lr_mult, wd_mult=self.wd_mult,
                            init=self.init, stype="default")
        return self._var

    def _on(self, arrays, ctx):
        """The array of ``arrays`` on ``ctx`` (None: the only one, or that on the current device)."""
        if arrays is None:
            self._raise_uninitialized()
        if ctx is None:
            if len(arrays) == 1:
                return arrays[0]
            ctx = current_context()
        for own, array in zip(self._ctx_list, arrays):
            if own is ctx or own == ctx:            # contexts of arrays are the same objects: no call is needed
                return array
        raise MXNetError(f"Parameter {self.name!r} was not initialized on context {ctx}: it lives on {self._ctx_list}")

    def _raise_uninitialized(self):
        if self._deferred_init:
            raise DeferredInitializationError(
                f"Parameter {self.name!r} has not been initialized yet: its shape {self._shape} is completed by the "
                "first batch of data. Pass one through the network, or give in_units, in_channels and the like.")
        raise MXNetError(
            f"Parameter {self.name!r} has not been initialized. Call initialize() first, and use collect_params(), "
            "which includes the parameters of child blocks, rather than params.")

    def data(self, ctx=None):
        """The array on ``ctx`` (by default the only one, or that on the current device).

        While a block is turned into a graph: a symbol that can be treated like it.
        """
        trace = current()
        if trace is not None:
            return trace.traced(trace.parameter(self))
        return self._on(self._data, ctx)

    def list_data(self):
        """The arrays on all devices."""
        if self._data is None:
            self._raise_uninitialized()
        return list(self._data)

    def _gradients(self):
        if self._data is None:
            self._raise_uninitialized()
        if self._grad is None:
            raise MXNetError(f"Parameter {self.name!r} has no gradient, because grad_req='null'")
        return self._grad

    def grad(self, ctx=None):
        """The gradient on ``ctx``."""
        return self._on(self._gradients(), ctx)

    def list_grad(self):
        """The gradients on all devices."""
        return list(self._gradients())

    def list_ctx(self):
        """The devices."""
        if self._data is not None:
            return list(self._ctx_list)
        if self._deferred_init:
            return list(self._deferred_init[1])
        self._raise_uninitialized()

    def zero_grad(self):
        """Set the gradients to 0."""
        for grad in self._grad or ():
            grad[:] = 0

    def set_data(self, data):
        """Set the value on every device."""
        self.shape = data.shape
        if self._data is None:
            if not self._deferred_init:
                self._raise_uninitialized()
            self._deferred_init = (*self._deferred_init[:3], data if isinstance(data, nd.NDArray) else nd.array(data))
            return
        if self._trainer is not None:
            self._trainer._parameter_set(self)
        with autograd.pause():
            for array in self._data:
                array[:] = data

    def reset_ctx(self, ctx):
        """Move to other devices."""
        contexts = _contexts(ctx)
        if self._data is not None:
            with autograd.pause():
                self._init_impl(self._reduce(), contexts)
        elif self._deferred_init:
            init, _, default_init, data = self._deferred_init
            self._deferred_init = (init, contexts, default_init, data)
        else:
            raise MXNetValueError(f"cannot move Parameter {self.name!r}: it has not been initialized")

    def cast(self, dtype):
        """Convert values and gradients to ``dtype``."""
        self._dtype = dtype
        if self._data is None:
            return
        with autograd.pause():
            self._data = [d.astype(dtype) for d in self._data]
            grads = self._grad
            self._init_grad()
            for new, old in zip(self._grad or (), grads or ()):
                new[:] = old.astype(dtype)

    def _reduce(self):
        """The value to save: the mean over devices, on the CPU."""
        if self._data is None:
            self._raise_uninitialized()
        if len(self._data) == 1:
            return self._data[0].as_in_context(cpu())
        return nd.add_n(*(d.as_in_context(cpu()) for d in self._data)) / len(self._data)


class Constant(Parameter):
    """A parameter that no training changes.

    Parameters
    ----------
    name : str
    value : array-like
    """

    _kind = "Constant"

    def __init__(self, name, value):
        if not isinstance(value, nd.NDArray):
            value = nd.array(value)
        self.value = value
        super().__init__(name, grad_req="null", shape=value.shape, dtype=value.dtype, init=initializer.Constant(value))

    @property
    def grad_req(self):
        """Always 'null'."""
        return "null"

    @grad_req.setter
    def grad_req(self, req):
        if req != "null":
            raise MXNetTypeError(f"Constant {self.name!r} takes no gradient: grad_req must be 'null', got {req!r}")
        self._grad_req = req


def _contexts(ctx):
    """A list of contexts from one, several or None (the current one)."""
    if ctx is None:
        return [current_context()]
    return [ctx] if isinstance(ctx, (Context, str)) else list(ctx)
