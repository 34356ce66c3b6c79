"""HybridBlock: a block whose computation is the same for arrays and for symbols, so that it can run as one graph."""
import threading

from mxcy import nd
from mxcy import sym
from mxcy.base import MXNetError, MXNetTypeError
from mxcy.gluon.block import Block
from mxcy.gluon.compiled import Compiled
from mxcy.gluon.parameter import DeferredInitializationError
from mxcy.gluon.structure import ARRAY, flatten, regroup
from mxcy.gluon.trace import Trace, current
from mxcy.gluon.traced import Traced
from mxcy.gluon.utils import shape_is_known
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol

__all__ = ["HybridBlock"]

#: Held while a graph is made.
_TRACING = threading.RLock()
#: Graphs that a block keeps: of other arguments, shapes that it looked at, and modes.
_GRAPHS = 16


class HybridBlock(Block):
    """A block that can run as one graph, compiled for speed: see `hybridize`.

    A subclass defines ``hybrid_forward(F, x, **params)``; its parameters arrive by their attribute names, and ``F`` is
    ``mx.nd`` or ``mx.sym``. Or it defines `forward` like any Block, with arrays and operators of ``mx.nd``.

    Examples
    --------
    >>> class Scale(HybridBlock):
    ...     def __init__(self, **kwargs):
    ...         super().__init__(**kwargs)
    ...         with self.name_scope():
    ...             self.factor = self.params.get("factor", shape=(1,), init="ones")
    ...
    ...     def hybrid_forward(self, F, x, factor):
    ...         return F.broadcast_mul(x, factor)
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix, params)
        self._active = False
        self._flags = {}
        self._compiled = {}             # tuples of Compiled by the form of the arguments
        self._last = None               # one of them that is right for any single array
        self._monitor = None            # what register_op_hook was given

    def __getstate__(self):
        return {**self.__dict__, "_compiled": {}, "_last": None}

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if isinstance(value, HybridBlock):
            self._clear()

    def register_child(self, block, name=None):
        if not isinstance(block, HybridBlock):
            raise MXNetTypeError(f"children of a HybridBlock must be HybridBlocks, got {type(block).__name__}. "
                                 "Derive it from HybridBlock, or use a plain Block (such as Sequential) around it.")
        super().register_child(block, name)
        self._clear()

    def _clear(self):
        """Forget the graphs."""
        self._compiled, self._last = {}, None

    def hybridize(self, active=True, backend=None, clear=True, static_alloc=False, static_shape=False, inline_limit=2,
                  forward_bulk_size=None, backward_bulk_size=None, memory_budget=None, **kwargs):
        """Run this block, with all that it contains, as one graph that is compiled for the shapes it meets.

        The first call makes the graph: the block is called with symbols. What Python does meanwhile is done once and
        for all. Hooks of the blocks within do not run any more.

        Parameters
        ----------
        active : bool
            False: run operator by operator again.
        backend : str, optional
            Accepted for MXNet's sake, as are the flags that follow: plans are always static and fused.
        clear : bool
            Forget the graph made before.
        static_alloc, static_shape : bool
        inline_limit : int
        forward_bulk_size, backward_bulk_size : int, optional
        memory_budget : int, optional
            Bytes that training may keep from forward to backward; what does not fit is computed again. 0: as few as
            can be, about the square root of the depth.
        **kwargs
            Further flags.
        """
        self._active = active
        self._flags = {"static_alloc": static_alloc, "static_shape": static_shape, "inline_limit": inline_limit,
                       "forward_bulk_size": forward_bulk_size, "backward_bulk_size": backward_bulk_size,
                       "memory_budget": memory_budget, **kwargs}
        if clear:
            self._clear()
        super().hybridize(active, backend=backend, clear=clear, **self._flags)

    def cast(self, dtype):
        self._clear()
        super().cast(dtype)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def __call__(self, *args):
        """Compute the output: `forward` or the graph, with the hooks around it."""
        if current() is not None or not (args and isinstance(args[0], NDArray)) and _has(Symbol, args):
            return self._compose(args)
        if self._forward_pre_hooks:
            for hook in list(self._forward_pre_hooks.values()):
                hook(self, args)
        out = self._run(args) if self._active else self.forward(*args)
        if self._forward_hooks:
            for hook in list(self._forward_hooks.values()):
                hook(self, args, out)
        return out

    def _run(self, args):
        """The result of the graph for arrays."""
        last = self._last
        if last is not None and len(args) == 1 and isinstance(args[0], NDArray):
            return last([args[0]])
        arrays = []
        form = flatten(args, NDArray, arrays, f"the arguments of {self.name}")
        compiled = self._compiled_for(form, arrays)
        return compiled(arrays) if self._monitor is None else compiled.watched(arrays, *self._monitor)

    def forward(self, x, *args):
        """Run `hybrid_forward`: on arrays, with the parameters that live where they are; or on symbols."""
        if isinstance(x, NDArray):
            context = x.context
        elif _has(Symbol, (x, *args)):
            return self._forward_symbols(x, *args)
        else:
            context = _context_of((x, *args), self)
        params = self._reg_params
        if not params:
            return self.hybrid_forward(nd, x, *args)
        try:
            arrays = {name: param._on(param._data, context) for name, param in params.items()}
        except DeferredInitializationError:
            self._complete(x, *args)
            arrays = {name: param.data(context) for name, param in params.items()}
        return self.hybrid_forward(nd, x, *args, **arrays)

    def hybrid_forward(self, F, x, *args, **kwargs):
        """The computation, in operators of ``F``; each hybrid block defines its own, or `forward`."""
        raise NotImplementedError(f"{type(self).__name__} must define hybrid_forward or forward")

    def _complete(self, *args):
        """Initialize the parameters that waited for the first batch."""
        if not all(shape_is_known(param.shape) for param in self._reg_params.values()):
            self.infer_shape(*args)
        for param in self._reg_params.values():
            param._finish_deferred_init()

    # -- graphs --------------------------------------------------------------------------------------------------------

    def _forward_symbols(self, *args):
        trace = current()
        params = {name: param.var() if trace is None else trace.parameter(param)
                  for name, param in self._reg_params.items()}
        with self.name_scope():
            out = self.hybrid_forward(sym, *args, **params)
        return trace.traced(out) if _has(Traced, args) else out

    def _compose(self, args):
        """The results for symbols, as symbols; for `Traced` ones, as such."""
        trace = current()
        if trace is None:
            trace = Trace(self)
            with trace.active():
                return self._compose(args)
        args = trace.stand_in(args)
        from_arrays = _has(Traced, args)
        try:
            if type(self).infer_shape is not HybridBlock.infer_shape and \
                    not all(shape_is_known(param.shape) for param in self._reg_params.values()):
                self.infer_shape(*trace.traced(args))
            if type(self).forward is HybridBlock.forward:
                out = self.forward(*args)
            else:
                with self.name_scope():
                    out = self.forward(*trace.traced(args))
        except Exception as error:
            if not getattr(error, "__notes__", None):           # the innermost block tells
                error.add_note(_NOTE.format(kind=type(self).__name__, name=self.name))
            raise
        return trace.traced(out) if from_arrays else out

    def _trace(self, form, arrays):
        """A new Trace for arguments."""
        trace = Trace(self, arrays)
        with _TRACING, trace.active():
            trace.finish(self._compose(regroup(form, map(sym.var, trace.names))))
        return trace

    def _compiled_for(self, form, arrays):
        """The Compiled for arguments, made now if there is none that fits."""
        known = self._compiled.get(form, ())
        for compiled in known:
            if compiled.trace.fits(arrays):
                return compiled
        trace = self._trace(form, arrays)
        trace.warn_of_unused()
        compiled = Compiled(trace, memory_budget=self._flags.get("memory_budget"))
        if len(self._compiled) >= _GRAPHS:
            self._compiled = {}
        self._compiled[form] = (compiled, *known[:_GRAPHS])
        if form == (tuple, ARRAY) and trace.fits_all and self._monitor is None:
            self._last = compiled
        return compiled

    @property
    def plans(self):
        """The compiled programs, one for each signature that was met; ``plans[0].summary()`` shows the first."""
        return [plan for made in self._compiled.values() for compiled in made for plan in compiled.plans]

    def infer_shape(self, *args):
        """Complete the unknown shapes of the parameters from the inputs ``args``.

        They follow from the operators that use the parameters. A layer where they do not defines this itself.
        """
        arrays = []
        form = flatten(args, NDArray, arrays, f"the arguments of {self.name}")
        self._trace(form, arrays).infer_shapes()

    def infer_type(self, *args):
        """Set the dtypes of the parameters to what follows from those of the inputs ``args``."""
        arrays = []
        form = flatten(args, NDArray, arrays, f"the arguments of {self.name}")
        self._trace(form, arrays).infer_types()


    # -- files ---------------------------------------------------------------------------------------------------------

    def export(self, path, epoch=0, remove_amp_cast=True):
        """Write the graph and the parameters: ``<path>-symbol.json`` and ``<path>-0000.params``.

        `SymbolBlock.imports` and MXNet read them. The block must be hybridized and have been called; of several graphs
        the last one is written.

        Parameters
        ----------
        path : str
        epoch : int
            The number in the second file's name.
        remove_amp_cast : bool
            Leave out the casts that automatic mixed precision put in.
        """
        trace = self._last_trace("export")
        trace.symbol.save(f"{path}-symbol.json", remove_amp_cast=remove_amp_cast)
        auxiliary = set(trace.symbol.list_auxiliary_states())
        values = {name: param._reduce() for name, param in trace.params.items()}
        values.update(trace.constants)
        nd.save(f"{path}-{epoch:04d}.params",
                {f"{'aux' if name in auxiliary else 'arg'}:{name}": value for name, value in values.items()})

    def _last_trace(self, purpose):
        """The Trace of the graph that was made last."""
        if not self._compiled:
            raise MXNetError(f"{purpose}: {self.name} has no graph yet. Call hybridize() and then the block, once.")
        return list(self._compiled.values())[-1][0].trace

    def register_op_hook(self, callback, monitor_all=False):
        """Call ``callback(name, operator, array)`` with each value in the graph, at every call from now on.

        The graph is run operator by operator for it.

        Parameters
        ----------
        callback : callable
            Receives the value's name, such as ``dense0_fwd_output``, the operator's, and the NDArray.
        monitor_all : bool
            Whether variables are reported as well.
        """
        self._monitor, self._last = (callback, monitor_all), None
        super().register_op_hook(callback, monitor_all)

    def optimize_for(self, x, *args, backend=None, clear=False, **kwargs):
        """Hybridize, and make the graph for the arguments ``x`` and ``args`` without running it.

        Parameters
        ----------
        x, *args
            As in a call.
        backend : str, optional
            Accepted for MXNet's sake: plans are fused and laid out for the device anyway.
        clear : bool
            Forget graphs made before.
        **kwargs
            Flags of `hybridize`.
        """
        self.hybridize(True, backend, clear, **kwargs)
        arrays = []
        form = flatten((x, *args), NDArray, arrays, f"the arguments of {self.name}")
        self._compiled_for(form, arrays).fetch(arrays)


_NOTE = ("while {kind} {name!r} was turned into a graph: it was called with symbols, which have no values, so Python "
         "cannot decide by them. Use operators, such as where() or contrib.cond(), or leave it as it is: hybridize() "
         "only its children, or hybridize(False).")


def _has(kind, args):
    """Whether there is an instance of ``kind`` among nested arguments."""
    return any(isinstance(arg, kind) or isinstance(arg, (list, tuple)) and _has(kind, arg) for arg in args)


def _context_of(args, block):
    """The device of the first array among nested arguments."""
    arrays = []
    flatten(args, NDArray, arrays, f"the arguments of {block.name}")
    if not arrays:
        raise MXNetTypeError(f"{type(block).__name__} expects an NDArray or a Symbol, got {type(args[0]).__name__}")
    return arrays[0].context
