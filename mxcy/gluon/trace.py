"""Tracing: a block is called with symbols, and what it makes of them is its graph."""
import contextlib
import threading
import warnings

from mxcy import autograd
from mxcy import sym
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.context import cpu
from mxcy.dtype import dtype_name
from mxcy.gluon.structure import each, flatten
from mxcy.gluon.traced import Traced
from mxcy.gluon.utils import _brief, shape_is_known
from mxcy.graph.graph import Entry, Node
from mxcy.graph.infer import infer_types
from mxcy.imperative._function import divert_calls
from mxcy.imperative._state import Scope, is_recording, times_asked
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol

__all__ = ["Trace", "current", "single"]

_LOCAL = threading.local()


def current():
    """The trace that this thread is in, or None."""
    return getattr(_LOCAL, "trace", None)


class Trace:
    """A block's graph, and what its making depended on.

    Parameters
    ----------
    block : HybridBlock
    arrays : list of NDArray
        Those in the arguments.
    names : list of str, optional
        The variables for them; by default ``data``, or ``data0``, ``data1`` and so on.

    Attributes
    ----------
    symbol : Symbol
        The results, grouped if there are several.
    out_form : object
        Their form, as `flatten` gives it.
    params : dict of str to Parameter
        Parameters that the graph uses, by the names of their variables.
    constants : dict of str to NDArray
        Arrays that the block computed with and that are neither arguments nor parameters.
    """

    def __init__(self, block, arrays=(), names=None):
        self.block = block
        self.name = block.name or type(block).__name__
        self.names = names or (["data"] if len(arrays) == 1 else [f"data{i}" for i in range(len(arrays))])
        self.types = {name: (array.shape, array.dtype_name) for name, array in zip(self.names, arrays)}
        self.context = arrays[0].context if arrays else cpu()
        self.params, self.constants, self._constant_variables = {}, {}, []
        self.symbol = self.out_form = None
        self._reads_shapes = False
        self._training, self._reads_mode = autograd.is_training(), False

    @contextlib.contextmanager
    def active(self):
        """Make this the trace that `current` finds, in this thread."""
        before, _LOCAL.trace = current(), self
        asked = times_asked()
        try:
            with Scope(True, None):             # so that autograd.pause() within the block can be told
                yield
        finally:
            _LOCAL.trace = before
            self._reads_mode = self._reads_mode or times_asked() != asked

    # -- for other arguments -----------------------------------------------------------------------------------------

    @property
    def fits_all(self):
        """Whether the graph is right for arguments of any shape and for training and prediction."""
        return not self._reads_shapes and not self._reads_mode

    def fits(self, arrays):
        """Whether the graph is right for these arrays, of which there are as many."""
        if self._reads_mode and autograd.is_training() != self._training:
            return False
        return not self._reads_shapes or \
            [(array.shape, array.dtype_name) for array in arrays] == list(self.types.values())

    # -- what stands for arrays --------------------------------------------------------------------------------------

    def parameter(self, param):
        """The variable of a parameter."""
        if self.params.setdefault(param.name, param) is not param:
            raise MXNetValueError(f"{self.name}: two parameters are called {param.name!r}, which cannot be told "
                                  "apart in a graph. Make their blocks within name_scope(), or give them a prefix.")
        return param.var()

    def constant(self, array):
        """The variable of an array that is always the same."""
        for variable in self._constant_variables:
            if self.constants[variable.name] is array:
                return variable
        name = f"{self.block.prefix}constant{len(self.constants)}"
        self.constants[name] = array
        self._constant_variables.append(sym.var(name, shape=array.shape, dtype=array.dtype_name))
        return self._constant_variables[-1]

    def stand_in(self, value):
        """A nested ``value`` with variables in place of arrays."""
        return each(lambda item: self.constant(item) if isinstance(item, NDArray) else item, value)

    def traced(self, value):
        """A nested ``value`` with symbols that can be treated like arrays; lists of them for several outputs."""
        return each(lambda item: Traced(item, self) if isinstance(item, Symbol) and not isinstance(item, Traced)
                    else item, single(value))

    def type_of(self, symbol):
        """(shape, dtype name) of what a symbol with one output will be."""
        self._reads_shapes = True
        inputs = set(symbol.list_inputs())
        known = {name: found for name, found in self._known().items() if name in inputs}
        shapes = symbol.infer_shape_partial(**{name: shape for name, (shape, _) in known.items()})[1]
        types = symbol.infer_type(**{name: dtype for name, (_, dtype) in known.items()})[1]
        if not _complete(shapes[0]):
            raise MXNetValueError(f"{self.name}: the block looks at the shape of {symbol.name!r}, which does not "
                                  "follow from what is known. If it was called with variables, make them with their "
                                  "shapes: var(name, shape=...)")
        return tuple(shapes[0]), dtype_name(types[0])

    def _known(self):
        """(shape, dtype name) of all variables, shapes as far as known."""
        params = {name: (param.shape, dtype_name(param.dtype)) for name, param in self.params.items()
                  if param.shape is not None}
        constants = {name: (array.shape, array.dtype_name) for name, array in self.constants.items()}
        return {**params, **constants, **self.types}

    # -- the result --------------------------------------------------------------------------------------------------

    def finish(self, out):
        """Keep the results of the block."""
        outputs = []
        out_form = flatten(single(out), (Symbol, NDArray), outputs, f"the result of {self.name}")
        if not outputs:
            raise MXNetTypeError(f"{self.name}: the result has no arrays, so there is no graph")
        outputs = [self.stand_in(output) for output in outputs]
        self.keep(outputs[0] if len(outputs) == 1 else sym.Group(outputs), out_form)

    def keep(self, symbol, out_form):
        """Keep a symbol of the results; find its parameters."""
        self.symbol, self.out_form = symbol, out_form
        inputs = self.symbol.list_inputs()
        params = dict(self.block.collect_params().items())
        params.update(self.params)
        self.constants = {name: array for name, array in self.constants.items() if name in inputs}
        unknown = [name for name in inputs if name not in params and name not in self.types
                   and name not in self.constants]
        if unknown:
            raise MXNetValueError(f"{self.name}: its graph depends on {_brief(unknown)}, which are neither "
                                  "arguments nor parameters of it")
        self.params = {name: params[name] for name in inputs if name in params}

    def warn_of_unused(self):
        """Warn of arguments and parameters that no result depends on."""
        inputs = set(self.symbol.list_inputs())
        for what, names in (("arguments", self.names), ("parameters", self.block.collect_params().keys())):
            unused = [name for name in names if name not in inputs]
            if unused:
                warnings.warn(f"{self.name}: its results do not depend on the {what} {_brief(unused)}",
                              stacklevel=5)

    def infer_shapes(self):
        """Complete the shapes of the parameters from those of the arguments."""
        inputs = set(self.symbol.list_inputs())
        known = {name: shape for name, (shape, _) in self._known().items() if name in inputs}
        found, _, states = self.symbol.infer_shape_partial(**known)
        found = dict(zip([*self.symbol.list_arguments(), *self.symbol.list_auxiliary_states()], [*found, *states]))
        for name, param in self.params.items():
            if shape_is_known(param.shape):
                continue
            if not _complete(found[name]):
                given = ", ".join(str(shape) for shape, _ in self.types.values())
                user = next(node for node in self.symbol.graph.nodes if any(e.node.name == name for e in node.inputs))
                raise MXNetValueError(
                    f"{self.name}: the shape of {name}, which is {param.shape}, does not follow from arguments "
                    f"of shapes {given} and the parameters of {user.op.name} {user.name!r}. Give full shapes, or "
                    "define infer_shape(self, x) for that layer to set them.")
            param.shape = found[name]

    def infer_types(self):
        """Set the dtypes of the parameters to what follows from those of the arguments."""
        graph = self.symbol.graph.map(lambda node, inputs: [Entry(Node(None, node.name), 0)]
                                      if node.name in self.params and node.is_variable else None)
        found = infer_types(graph, {name: dtype for name, (_, dtype) in self.types.items()})
        for node in graph.variables:
            if node.name in self.params:
                self.params[node.name].cast(found[Entry(node, 0)])


def _complete(shape):
    """Whether inference found a shape: an unknown one is None or empty, an unknown size 0 or -1."""
    return bool(shape) and shape_is_known(shape)


def single(value):
    """Nested symbols in which those with several outputs are lists of them, as operators on arrays give."""
    return each(lambda item: list(item) if isinstance(item, Symbol) and len(item.heads) > 1 else item, value)


def _divert(function, args, kwargs):
    """What calls of operators of ``mx.nd`` give where symbols stand in for arrays."""
    given = [*args, *kwargs.values()]
    for value in (*args, *kwargs.values()):
        if isinstance(value, (list, tuple)):
            given += value
    found = [value for value in given if isinstance(value, Symbol)]
    traced = [value for value in found if isinstance(value, Traced)]
    trace = traced[0]._trace if traced else current()
    if not found and (trace is None or function.operator.inputs):
        return NotImplemented
    if kwargs.get("out") is not None:
        raise MXNetTypeError(f"{function.__name__}: out= cannot be followed while a block is turned into a graph; use "
                             "what the operator returns")
    call = getattr(sym._internal, function.operator.name)
    if trace is None:
        return call(*args, **kwargs)
    kwargs = {key: trace.stand_in(value) for key, value in kwargs.items() if key != "ctx"}
    result = call(*map(trace.stand_in, args), **kwargs)
    if not is_recording():                      # within autograd.pause()
        result = sym.Group([sym.BlockGrad(output) for output in result])
    return trace.traced(result)


divert_calls(Symbol, _divert)
