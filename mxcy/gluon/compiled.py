"""A block's graph, ready to be called with arrays."""
import threading

from mxcy.base import MXNetValueError
from mxcy.gluon.parameter import DeferredInitializationError, Parameter
from mxcy.gluon.structure import ARRAY, regroup
from mxcy.graph.graph import Entry, Graph
from mxcy.graph.interpret import interpret
from mxcy.plan._cached import CachedOp
from mxcy.symbol.symbol import output_name

__all__ = ["Compiled"]

#: Held while parameters get their shapes and first values: several threads may make the first call.
_COMPLETING = threading.Lock()


class Compiled:
    """What a hybridized block calls.

    Parameters
    ----------
    trace : Trace
    **options
        Of the plans, see `compile_plan`.
    """

    def __init__(self, trace, **options):
        self.trace = trace
        self._params = list(trace.params.values())
        self._constants = list(trace.constants.values())
        self._out_form = trace.out_form
        names = [*trace.names, *trace.params, *trace.constants]
        self._op = CachedOp(merged(Graph(trace.symbol.heads)), names, parameters=[*trace.params, *trace.constants],
                            **options)
        self._fixed = {}                # the arrays of parameters and constants by context
        self._changes = None            # Parameter._changes when they were fetched

    def __call__(self, arrays):
        """The result for the arrays in the arguments."""
        changes, context = Parameter._changes, arrays[0].context
        if changes != self._changes:
            self._fixed, self._changes = {}, changes
        fixed = self._fixed.get(context)
        if fixed is None:
            fixed = self._fixed[context] = self.fetch(arrays)
        out = self._op(arrays + fixed)
        if self._out_form is ARRAY:
            return out
        return regroup(self._out_form, iter(out if isinstance(out, list) else [out]))

    def watched(self, arrays, callback, everything):
        """The same, operator by operator: ``callback(name, operator, array)`` sees the values in between."""
        graph = self._op.graph
        seen = [Entry(node, i) for node in graph.nodes if everything or not node.is_variable
                for i in range(node.n_visible)]
        found = interpret(Graph([*graph.heads, *seen]), dict(zip(self._op.names, arrays + self.fetch(arrays))))
        for entry, array in zip(seen, found[len(graph.heads):]):
            callback(output_name(entry), "null" if entry.node.is_variable else entry.node.op.name, array)
        return regroup(self._out_form, iter(found))

    def fetch(self, arrays):
        """The arrays of parameters and constants where those of the arguments are; completes and initializes them."""
        context = arrays[0].context
        for array in arrays:
            if array.context != context:
                raise MXNetValueError(f"{self.trace.name}: arguments are on {context} and on {array.context}; a "
                                      "hybridized block wants them on one device")
        try:
            fixed = [param._on(param._data, context) for param in self._params]
        except DeferredInitializationError:
            with _COMPLETING:
                self.trace.infer_shapes()
                for param in self._params:
                    param._finish_deferred_init()
            fixed = [param._on(param._data, context) for param in self._params]
            self._changes = Parameter._changes
        return fixed + [array.as_in_context(context) for array in self._constants]

    @property
    def plans(self):
        """The compiled programs, one for each signature that was met."""
        return self._op.plans


def merged(graph):
    """A graph in which variables of one name are one: symbols that were composed have copies of them."""
    first = {}
    return graph.map(lambda node, inputs: [Entry(first.setdefault(node.name, node), 0)] if node.is_variable else None)
