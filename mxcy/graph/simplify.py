"""Simplification: nodes that change nothing go, equal ones become one, constants are computed. Values stay, to the bit.

The pass goes through the graph once, from the inputs up. Rules look at one node and at what its inputs became; they
stand by operator in mxcy/graph/simplify_rules.py. What no rule can replace is looked up among the nodes that are there
already.
"""
from mxcy.graph.build import make
from mxcy.graph.graph import Entry
from mxcy.graph.simplify_rules import ANY, RULES
from mxcy.ops.operator import lookup

__all__ = ["simplify"]


def simplify(graph, train=True):
    """An equal graph with fewer nodes.

    Parameters
    ----------
    graph : Graph
        With types, and with its gradient if it is to have one: what only matters to the gradient goes.
    train : bool
        Whether kernels will run in training mode.

    Returns
    -------
    Graph
        Its heads may be variables, and several of them the same entry.
    """
    return graph.map(Simplifier(graph, train).visit)


class Simplifier:
    """One run of the pass. Rules get it to make nodes with."""

    def __init__(self, graph, train):
        self.train = train
        self.known = {}                         # what a node computes -> the node
        self.changed = {node.inputs[i] for node in graph.nodes if node.op is not None
                        for i in node.op.changed_inputs(node.params, node.input_names)}

    def visit(self, node, inputs):
        """What replaces a node of the old graph; None: itself."""
        if node.op is None or not is_pure(node) or any(entry in self.changed for entry in node.inputs):
            return None
        return self.settle(node, inputs)

    def settle(self, node, inputs):
        """The entries that a node becomes on new inputs."""
        for rule in (*RULES.get(node.op.name, ()), *ANY):
            found = rule(self, node, inputs)
            if found is not None:
                return [found] if isinstance(found, Entry) else found
        if inputs != node.inputs:
            node = node.replace(inputs)
        key = (node.op, tuple(inputs), repr(node.params), repr(node.scalar), node.attrs.get("__ctx_group__"))
        node = self.known.setdefault(key, node)
        return [Entry(node, i) for i in range(node.n_outputs)]

    def make(self, like, name, *inputs, scalar=None, **params):
        """The first output of an operator in place of the node ``like``, simplified in turn."""
        op = lookup(name)
        user = {key: value for key, value in like.attrs.items() if key.startswith("__")}
        node = make(op, list(inputs), op.parse(params), scalar, like.name, user)
        return self.settle(node, node.inputs)[0]


def is_pure(node):
    """Whether a node's outputs follow from its inputs and parameters alone, and nothing else happens."""
    op = node.op
    return not ((op.random and op.name not in RULES) or node.after or node.subgraphs
                or op.changed_inputs(node.params, node.input_names))
