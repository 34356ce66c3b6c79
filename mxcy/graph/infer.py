"""Shapes and dtypes of symbol graphs, from what is known of some values to all others, in both directions.

An unknown size is -1, or 0 too unless arrays without elements are meant; an unknown shape is None. The operators' rules
lead from inputs to outputs, and say what shapes other inputs must have; `infer_inputs` rules lead backwards. Each rule
is applied again when one of its values becomes better known, until nothing does.
"""
from collections import deque

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.dtype import NAMES, dtype_name
from mxcy.graph.build import Builder, Value, compose
from mxcy.graph.graph import Entry, Node
from mxcy.ops.family import elementwise_shape, same_shape
from mxcy.ops.infer import by_name
from mxcy.ops.operator import call_rule, rule_names
from mxcy.ops.param import literal

__all__ = ["infer_shapes", "infer_types", "is_complete"]

#: Rules by which all values of an operator have one shape.
ALIKE = (same_shape, elementwise_shape)
#: What stands for an unknown size when a rule is tried: sizes of the result that do not depend on it are known. The
#: first two divide well; with 1, which is left out where it does not fit, ends of slices do not count as sizes.
TRIED = (5040, 10080, 1)
MAX_NDIM = 32                           # as in _types.pxd
#: Dtypes as the attribute ``__dtype__`` has them.
BY_FLAG = {str(flag): name for flag, name in NAMES.items()}


def is_complete(shape, least=1):
    """Whether a shape is known with all its sizes, of which the smallest possible is ``least``."""
    return shape is not None and all(n >= least for n in shape)


class Table:
    """What is known of every value so far, where it comes from, and which nodes have to look again.

    Parameters
    ----------
    graph : Graph
    what : str
        "shape" or "dtype", for messages.
    merge : callable
        One value from two, or None if they contradict each other.
    """

    def __init__(self, graph, what, merge):
        self.values = {Entry(node, i): None for node in graph.nodes for i in range(node.n_outputs)}
        self.what, self.merge, self.origins, self.least = what, merge, {}, 1
        self.users = graph.users()
        self.waiting = deque(node for node in graph.nodes if node.op is not None)
        self.queued = set(self.waiting)

    def put(self, entry, value, origin):
        """Add what ``origin``, a node or a word, says of a value."""
        old = self.values[entry]
        if value is None or value == old:
            return
        if len(value) > MAX_NDIM and isinstance(value, tuple):
            raise MXNetValueError(f"{entry.node.name!r} has {len(value)} axes ({self.said(origin)}); at most "
                                  f"{MAX_NDIM} are possible")
        merged = value if old is None else self.merge(old, value)
        if merged is None:
            raise MXNetValueError(f"{entry.node.name!r} has {self.what} {old} ({self.said(self.origins[entry])}), but "
                                  f"{self.said(origin)} needs {self.what} {value}{self.inputs_of(origin)}")
        if merged != old:
            self.values[entry] = merged
            self.origins[entry] = origin
            for node in (entry.node, *(user for user, _ in self.users.get(entry, ()))):
                if node.op is not None and node not in self.queued:
                    self.queued.add(node)
                    self.waiting.append(node)

    def settle(self, rule):
        """Apply ``rule(node, table)`` until nothing changes."""
        while self.waiting:
            node = self.waiting.popleft()
            self.queued.discard(node)
            rule(node, self)

    def said(self, origin):
        """Who says so, for messages."""
        return origin if isinstance(origin, str) else f"node {origin.name!r}, {origin.op.name}"

    def inputs_of(self, origin):
        """What else the node that says so was given, for messages."""
        if isinstance(origin, str) or not origin.inputs:
            return ""
        return f"; its inputs are {self.listed(origin)}"

    def listed(self, node):
        """The inputs of a node with what is known of them, for messages."""
        return ", ".join(f"{entry.node.name} {self.values[entry] or 'unknown'}" for entry in node.inputs)

    def located(self, node, error):
        """The error of a rule, with the node and its inputs in the message."""
        return type(error)(f"node {node.name!r} ({self.listed(node)}): {error}")


# -- shapes ------------------------------------------------------------------------------------------------------------

def infer_shapes(graph, known, zero_is_size=False):
    """Shapes of all values.

    Parameters
    ----------
    graph : Graph
    known : dict of str to tuple of int
        Shapes of variables by name; those in their attribute ``__shape__`` count where none is given.
    zero_is_size : bool
        Whether 0 is the size of an axis of arrays without elements. Only what follows from inputs is inferred then.

    Returns
    -------
    dict of Entry to tuple of int or None

    Raises
    ------
    ValueError
        If two shapes of one value differ; the message shows both, and the nodes they come from.
    """
    least = 0 if zero_is_size else 1
    table = Table(graph, "shape", lambda old, new: merge_shapes(old, new, least))
    table.least = least
    for node in graph.variables:
        shape = known.get(node.name)
        if shape is None and "__shape__" in node.attrs:
            shape = literal(node.attrs["__shape__"])
        if isinstance(shape, (tuple, list)) and shape:
            if not all(isinstance(n, int) for n in shape):
                raise MXNetTypeError(f"the shape of {node.name!r} is {shape}; expected integers")
            table.put(Entry(node, 0), tuple(shape), "given")
    table.settle(shapes_of)
    return table.values


def merge_shapes(old, new, least):
    """One shape from two, in which sizes below ``least`` are unknown; None if they differ."""
    if len(old) != len(new):
        return None
    sizes = []
    for a, b in zip(old, new):
        if a >= least and b >= least and a != b:
            return None
        sizes.append(a if a >= least or b < least else b)       # of two unknown ones the old: no endless exchange
    return tuple(sizes)


def shapes_of(node, table):
    """Apply a node's rules to what is known."""
    rules = node.op.rules
    if "infer_shapes" in rules:                         # operators with graphs of their own
        rules["infer_shapes"](node, table)
        return
    if "run" in rules:                                  # known when it has run
        return
    outputs = [Entry(node, i) for i in range(node.n_outputs)]
    if rules.get("infer_shape") in ALIKE:
        entries = [*node.inputs, *outputs]
        for shape in [table.values[entry] for entry in entries]:
            if shape is not None:
                for other in entries:
                    table.put(other, shape, node)
        return
    if "infer_inputs" in rules and table.least:
        backwards(node, table, outputs)
    inputs = [table.values[entry] for entry in node.inputs]
    by_input, found, certain = forwards(node, inputs, len(outputs), table)
    for name, entry, old in zip(node.input_names, node.inputs, inputs) if by_input else ():
        shape = by_input.get(name)
        if certain or shape is None or old is None or table.merge(old, shape) is not None:
            table.put(entry, shape, node)
    for entry, shape in zip(outputs, found):
        table.put(entry, shape, node)


def backwards(node, table, outputs):
    """Apply the rule ``infer_inputs``: what follows for the inputs from outputs and other inputs."""
    shapes = [shape and tuple(max(n, 0) for n in shape)
              for shape in (table.values[entry] for entry in (*node.inputs, outputs[0]))]
    given = by_name(node.op, node.params, node.input_names, shapes[:-1])
    given["out"] = shapes[-1]
    result = call_rule(node.op.rules["infer_inputs"], given)
    if isinstance(result, dict):
        result = [result.get(name) for name in node.input_names]
    for entry, shape in zip(node.inputs, result or ()):
        table.put(entry, shape and tuple(shape), node)


def forwards(node, inputs, count, table):
    """({input name: shape it must have}, shapes of the outputs, whether nothing was guessed), as far as they follow."""
    rule = node.op.rules.get("infer_shape")
    named = rule_names(rule) if rule and not node.op.variadic else node.input_names
    if all(is_complete(shape, table.least) for name, shape in zip(node.input_names, inputs) if name in named):
        try:
            return *apply_rule(node, inputs, count), True
        except MXNetError as error:
            raise table.located(node, error) from None
        except LookupError:                             # a file may leave inputs, or axes of them, out
            raise table.located(node, MXNetValueError("it has too few inputs, or they have too few axes")) from None
    tries = []
    for size in TRIED:
        tried = [shape and tuple(n if n >= table.least else size for n in shape) for shape in inputs]
        try:
            tries.append(apply_rule(node, tried, count))
        except (MXNetError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            if size != 1:
                return {}, [], False                    # the rule needs more than is known
    by_input = {name: common([by_name_[name] for by_name_, _ in tries]) for name in tries[0][0]}
    return by_input, [common(shapes) for shapes in zip(*(found for _, found in tries))], False


def common(shapes):
    """What several shapes of one rank have in common; other sizes are -1."""
    if None in shapes or len(set(map(len, shapes))) != 1:
        return None
    return tuple(sizes[0] if len(set(sizes)) == 1 else -1 for sizes in zip(*shapes))


def apply_rule(node, shapes, count):
    """The result of a node's rule ``infer_shape`` as ({input name: shape}, shapes of the outputs)."""
    op = node.op
    if "infer_shape" not in op.rules:
        return {}, composed_shapes(node, shapes)
    result = call_rule(op.rules["infer_shape"], by_name(op, node.params, node.input_names, shapes))
    if isinstance(result, dict):
        names = () if op.variadic else node.input_names
        outputs = [result.get(name) for name in op.outputs[:count]] if len(op.outputs) >= count else result.get("out")
        return {name: sizes(result[name]) for name in names if name in result}, [sizes(shape) for shape in outputs]
    return {}, [sizes(shape) for shape in ([result] if isinstance(result, tuple) else result or ())]


def sizes(shape):
    """A shape that a rule gave, as it is kept; None if the rule does not know it."""
    return None if shape is None or None in shape else tuple(shape)


def composed_shapes(node, shapes):
    """An operator that is an expression of others: its shapes are those of the expression."""
    values = [Value(Entry(Node(None, name, types=[(shape, "float32")]), 0))
              for name, shape in zip(node.input_names, shapes)]
    result = compose(node.op, values, node.params, Builder(node.name))
    return [value.shape for value in (result if isinstance(result, (list, tuple)) else [result])]


# -- dtypes ------------------------------------------------------------------------------------------------------------

def infer_types(graph, known, default="float32"):
    """Names of the dtypes of all values.

    Parameters
    ----------
    graph : Graph
    known : dict of str to dtype
        Dtypes of variables by name; those in their attribute ``__dtype__`` count where none is given.
    default : str or None
        What a variable has where nothing else follows; None leaves it unknown.

    Returns
    -------
    dict of Entry to str or None
    """
    table = Table(graph, "dtype", lambda old, new: None)
    for node in graph.variables:
        if known.get(node.name) is not None:
            table.put(Entry(node, 0), dtype_name(known[node.name]), "given")
        else:
            table.put(Entry(node, 0), BY_FLAG.get(node.attrs.get("__dtype__")), "given")
    table.settle(types_of)
    if default is not None:
        for node in graph.variables:
            if table.values[Entry(node, 0)] is None:
                table.put(Entry(node, 0), default, "given")
                table.settle(types_of)
    return table.values


def types_of(node, table):
    """Apply a node's rule to what is known."""
    op, rule = node.op, node.op.rules.get("infer_type")
    outputs = [Entry(node, i) for i in range(node.n_outputs)]
    if "infer_types" in op.rules:                       # operators with graphs of their own
        op.rules["infer_types"](node, table)
        return
    known = [table.values[entry] for entry in node.inputs]
    if rule is None and "compose" in op.rules:          # as a rule it is the dtype asked for, or of the first input
        for entry in outputs:
            table.put(entry, node.params.get("dtype") or known[0], node)
        return
    if rule is None:
        found = next((dtype for dtype in [*known, *(table.values[entry] for entry in outputs)] if dtype), None)
        if not node.inputs:
            found = node.params.get("dtype") or "float32"
        for entry in (*node.inputs, *outputs):
            table.put(entry, found, node)
        return
    try:
        result = call_rule(rule, by_name(op, node.params, node.input_names, known))
    except MXNetTypeError as error:
        if None not in known:
            raise table.located(node, error) from None
        return
    except (AttributeError, LookupError, TypeError):
        if None not in known:
            raise
        return                                          # the rule needs more than is known
    if isinstance(result, dict):
        for name, entry in zip(node.input_names, node.inputs) if not op.variadic else ():
            table.put(entry, result.get(name), node)
        result = [result.get(name) for name in op.outputs[:len(outputs)]]
    elif isinstance(result, str) or result is None:
        result = [result] * len(outputs)
    for entry, dtype in zip(outputs, result):
        table.put(entry, dtype, node)
