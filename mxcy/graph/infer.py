"""Shapes and dtypes of symbol graphs, from what is known of some values to all others, in both directions.

An unknown size is 0 or -1, an unknown shape is None. The operators' own rules lead from inputs to outputs, and tell
what shapes other inputs must have; families whose values all have one shape, or one dtype, are followed backwards too.
"""
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.dtype import NAMES, dtype_name
from mxcy.graph.graph import Entry
from mxcy.ops.family import elementwise_shape, same_shape
from mxcy.ops.infer import by_name
from mxcy.ops.operator import call_rule
from mxcy.ops.param import literal

__all__ = ["infer_shapes", "infer_types", "is_complete"]

ROUNDS = 8          # passes over the graph; each direction needs one, loops of unrolled cells some more


def is_complete(shape):
    """Whether a shape is known with all its sizes."""
    return shape is not None and all(n > 0 for n in shape)


def infer_shapes(graph, known):
    """Shapes of all values.

    Parameters
    ----------
    graph : Graph
    known : dict of str to tuple of int
        Shapes of variables by name; those in their attribute ``__shape__`` count too.

    Returns
    -------
    dict of Entry to tuple of int or None

    Raises
    ------
    ValueError
        If two shapes of one value differ; the message shows both, and the nodes they come from.
    """
    table = Table(graph, "shape", merge_shapes)
    for node in graph.variables:
        shape = literal(node.attrs["__shape__"]) if "__shape__" in node.attrs else None
        if node.name in known:
            shape = known[node.name]
        if isinstance(shape, (tuple, list)) and shape:
            table.put(Entry(node, 0), tuple(shape), "given")
    operators = [node for node in graph.nodes if node.op is not None]
    for _ in range(ROUNDS):
        before = table.changes
        for node in operators:
            shapes_of(node, table)
        if table.changes == before:
            break
        before = table.changes
        for node in reversed(operators):
            shapes_of(node, table)
        if table.changes == before:
            break
    return table.values


class Table:
    """What is known of every value so far, and where it comes from."""

    def __init__(self, graph, what, merge):
        self.values = {Entry(node, i): None for node in graph.nodes for i in range(node.n_outputs)}
        self.origins, self.what, self.merge, self.changes = {}, what, merge, 0

    def put(self, entry, value, origin):
        """Add what ``origin``, a node or a word, says of a value."""
        old = self.values[entry]
        if value is None or value == old:
            return
        merged = value if old is None else self.merge(old, value)
        if merged is None:
            raise MXNetValueError(
                f"{entry.node.name!r} has {self.what} {old} ({self.said(entry, self.origins.get(entry))}), but "
                f"{self.said(entry, origin)} needs {self.what} {value}")
        if merged != old:
            self.values[entry] = merged
            self.origins.setdefault(entry, origin)
            self.changes += 1

    def said(self, entry, origin):
        """Who says so, for messages."""
        return origin if isinstance(origin, str) else f"node {origin.name!r}, {origin.op.name}"


def merge_shapes(old, new):
    """One shape from two that may have unknown sizes; None if they differ."""
    if len(old) != len(new):
        return None
    sizes = []
    for a, b in zip(old, new):
        if a > 0 and b > 0 and a != b:
            return None
        sizes.append(a if a > 0 else b)
    return tuple(sizes)


def shapes_of(node, table):
    """Apply a node's rule to what is known."""
    op, rule = node.op, node.op.rules.get("infer_shape")
    outputs = [Entry(node, i) for i in range(node.n_outputs)]
    if "infer_shapes" in op.rules:                      # operators with graphs of their own
        op.rules["infer_shapes"](node, table)
        return
    if "compose" in op.rules and rule is None:
        composed_shapes(node, table, outputs)
        return
    if rule in (same_shape, elementwise_shape):
        entries = [*node.inputs, *outputs]
        for entry in entries:
            shape = table.values[entry]
            if shape is not None:
                for other in entries:
                    table.put(other, shape, node)
        return
    inputs = [table.values[entry] for entry in node.inputs]
    complete = all(is_complete(shape) for shape in inputs)
    if op.name in FOLLOWED:
        inputs = FOLLOWED[op.name](node, inputs, [table.values[entry] for entry in outputs], table)
    shapes = [shape if is_complete(shape) or op.name in FOLLOWED else None for shape in inputs]
    given = by_name(op, node.params, node.input_names, shapes)
    try:
        result = call_rule(rule, given)
    except MXNetError as error:
        if complete:
            raise located(node, error, inputs) from None
        return
    except (TypeError, ValueError, IndexError, ZeroDivisionError, AttributeError):
        if complete:
            raise
        return                                          # the rule needs more than is known
    if isinstance(result, dict):
        for name, entry in zip(node.input_names, node.inputs) if not op.variadic else ():
            if result.get(name) is not None:
                table.put(entry, tuple(result[name]), node)
        named = len(op.outputs) >= len(outputs)
        result = [result.get(name) for name in op.outputs[:len(outputs)]] if named else result.get("out")
    elif isinstance(result, tuple):
        result = [result]
    for entry, shape in zip(outputs, result or ()):
        if shape is not None and all(n is not None for n in shape):
            table.put(entry, tuple(max(n, 0) for n in shape), node)


def composed_shapes(node, table, outputs):
    """An operator that is an expression of others: its shapes are those of the expression."""
    from mxcy.graph.build import Builder, Value, compose
    inputs = [table.values[entry] for entry in node.inputs]
    if not all(is_complete(shape) for shape in inputs):
        return
    values = [Value(Entry(type(node)(None, name, types=[(shape, "float32")]), 0))
              for name, shape in zip(node.input_names, inputs)]
    try:
        result = compose(node.op, values, node.params, Builder(node.name))
    except MXNetError as error:
        raise located(node, error, inputs) from None
    for entry, value in zip(outputs, result if isinstance(result, (list, tuple)) else [result]):
        table.put(entry, value.shape, node)


def follow_dense(node, inputs, outputs, table):
    """FullyConnected: the rows of the data are those of the output."""
    data, out = inputs[0], outputs[0]
    if data is not None and out is not None and len(data) == len(out) and out[0] > 0:
        table.put(node.inputs[0], (out[0], *data[1:]), node)
        return [table.values[node.inputs[0]], *inputs[1:]]
    return inputs


#: Operators whose rules take shapes with unknown sizes, and what follows backwards from their outputs.
FOLLOWED = {
    "FullyConnected": follow_dense,
    "SliceChannel": lambda node, inputs, outputs, table: inputs,
}


def located(node, error, shapes):
    """The error, with the node and its inputs in the message."""
    inputs = ", ".join(f"{entry.node.name} {shape}" for entry, shape in zip(node.inputs, shapes))
    return type(error)(f"node {node.name!r} ({inputs}): {error}")


# -- dtypes ------------------------------------------------------------------------------------------------------------

def infer_types(graph, known, default="float32"):
    """Names of the dtypes of all values.

    Parameters
    ----------
    graph : Graph
    known : dict of str to dtype
        Dtypes of variables by name; those in their attribute ``__dtype__`` count too.
    default : str or None
        What a variable has where nothing else follows; None leaves it unknown.

    Returns
    -------
    dict of Entry to str or None
    """
    table = Table(graph, "dtype", lambda old, new: None)
    for node in graph.variables:
        if node.name in known and known[node.name] is not None:
            table.put(Entry(node, 0), dtype_name(known[node.name]), "given")
        elif node.attrs.get("__dtype__", "-1").lstrip("-").isdigit() and int(node.attrs.get("__dtype__", -1)) in NAMES:
            table.put(Entry(node, 0), NAMES[int(node.attrs["__dtype__"])], "given")
    settle(graph, table)
    if default is not None:
        for node in graph.variables:
            if table.values[Entry(node, 0)] is None:
                table.put(Entry(node, 0), default, "given")
                settle(graph, table)
    return table.values


def settle(graph, table):
    """Apply all rules until nothing changes."""
    operators = [node for node in graph.nodes if node.op is not None]
    for _ in range(ROUNDS):
        before = table.changes
        for nodes in (operators, reversed(operators)):
            for node in nodes:
                types_of(node, table)
        if table.changes == before or None not in table.values.values():
            return


def types_of(node, table):
    op, rule = node.op, node.op.rules.get("infer_type")
    outputs = [Entry(node, i) for i in range(node.n_outputs)]
    if "infer_types" in op.rules:
        op.rules["infer_types"](node, table)
        return
    known = [table.values[entry] for entry in node.inputs]
    if rule is None and "compose" in op.rules:          # as a rule it is the dtype of the first input that counts
        for entry in outputs:
            table.put(entry, known[0], node)
        return
    if rule is None:
        found = next((dtype for dtype in [*known, *(table.values[entry] for entry in outputs)] if dtype), None)
        if not node.inputs:
            found = node.params.get("dtype") or "float32"
        if found is not None:
            for entry in (*node.inputs, *outputs):
                table.put(entry, found, node)
        return
    try:
        result = call_rule(rule, by_name(op, node.params, node.input_names, known))
    except MXNetTypeError as error:
        if None not in known:
            raise located(node, error, known) from None
        return
    except (TypeError, AttributeError, KeyError):
        if None not in known:
            raise
        return
    if isinstance(result, dict):
        for name, entry in zip(node.input_names, node.inputs) if not op.variadic else ():
            if result.get(name) is not None:
                table.put(entry, result[name], node)
        result = [result.get(name) for name in op.outputs[:len(outputs)]]
    elif isinstance(result, str) or result is None:
        result = [result] * len(outputs)
    for entry, dtype in zip(outputs, result):
        if dtype is not None:
            table.put(entry, dtype, node)
