"""From a symbol graph to a typed one.

Variables get their types, composed operators become what they are made of, and mixed precision its casts.
"""
from mxcy.base import MXNetError, MXNetValueError
from mxcy.graph.build import Builder, Value, compose, converted, make
from mxcy.graph.graph import Entry, Node
from mxcy.graph.infer import infer_shapes, is_complete

__all__ = ["TooLong", "lower"]

UNROLLED = 30_000               # nodes that loops may become; interpreting them is better than planning more


class TooLong(MXNetError):
    """A loop is too long to be unrolled."""


def lower(graph, types, values=None, room=None):
    """A typed copy of a graph.

    Parameters
    ----------
    graph : Graph
    types : dict of str to (tuple of int, str)
        Shape and dtype of each variable.
    values : dict of str to Entry, optional
        Entries of a typed graph in place of variables.
    room : list of int, optional
        How many nodes loops may still become, which is counted down.

    Returns
    -------
    Graph

    Raises
    ------
    ValueError
        If a variable has no type, or the inputs of a node do not go together.
    TooLong
        If loops would become too many nodes.
    """
    room = [UNROLLED] if room is None else room

    unsettled = [node for node in graph.nodes if node.op is not None and not node.inputs and
                 any(n < 1 for n in node.params.get("shape") or ())]
    settled = infer_shapes(graph, {name: shape for name, (shape, _) in types.items()}) if unsettled else {}

    def typed(node, inputs):
        user = {key: value for key, value in node.attrs.items() if key.startswith("__")}
        if node.op is None:
            if values is not None and node.name in values:
                return [values[node.name]]
            if node.name not in types:
                raise MXNetValueError(f"the shape of variable {node.name!r} is not known")
            return [Entry(Node(None, node.name, attrs=user, types=[types[node.name]]), 0)]
        rules = node.op.rules
        inputs = converted(node.op, node.params, inputs)
        if "compose" in rules or "expand" in rules:
            builder = Builder(node.name, user, mixed=True)
            given = [Value(entry, builder) for entry in inputs]
            try:
                if "expand" in rules:                   # control flow: the rule sees the node with its subgraphs
                    result = rules["expand"](builder, node, given, room)
                else:
                    result = compose(node.op, given, node.params, builder)
            except MXNetError as error:
                raise located(node, error) from error.__cause__
            result = [result] if isinstance(result, Value) else result
            return [value.entry for value in result]
        params = node.params
        if node in unsettled and is_complete(settled[Entry(node, 0)]):      # zeros of a shape that others tell
            params = {**params, "shape": settled[Entry(node, 0)]}
        try:
            made = make(node.op, inputs, params, node.scalar, node.name, user, node.subgraphs)
        except MXNetError as error:
            raise located(node, error) from error.__cause__
        return [Entry(made, i) for i in range(len(made.types))]
    return graph.map(typed)


def located(node, error):
    """The error, with the node's name in its message."""
    text = str(error)
    return error if repr(node.name) in text else type(error)(f"node {node.name!r}: {text}")
