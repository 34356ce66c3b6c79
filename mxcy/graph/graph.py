"""Node, Entry, Graph: operators applied to each other's outputs."""
from math import prod
from typing import NamedTuple

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.dtype import NUMPY

__all__ = ["Entry", "Graph", "Node"]


class Node:
    """A variable, or an operator applied to entries.

    Parameters
    ----------
    op : Operator or None
        None for a variable.
    name : str
    inputs : sequence of Entry
    attrs : dict of str to str, optional
        As in symbol files: the operator's parameters as they were given, and attributes of the user, whose names stand
        between double underscores.
    params : dict, optional
        Parsed parameters; by default they are parsed from ``attrs`` when first asked for.
    scalar : float, optional
        The number of an operator that takes one; by default from ``attrs``.
    types : list of (tuple of int, str), optional
        Shape and dtype of every output, hidden ones too, in graphs where they are known.
    subgraphs : sequence of Graph
        The bodies of a control flow operator.
    """

    __slots__ = ("op", "name", "inputs", "attrs", "types", "subgraphs", "after", "_params", "_scalar", "__weakref__")

    def __init__(self, op, name, inputs=(), attrs=None, *, params=None, scalar=None, types=None, subgraphs=()):
        self.op, self.name, self.inputs = op, name, list(inputs)
        self.attrs = {} if attrs is None else attrs
        self.types, self.subgraphs = types, subgraphs
        self.after = ()                     # nodes that must come first although nothing of theirs is used
        self._params, self._scalar = params, scalar

    def __repr__(self):
        return f"<Node {self.name}: {self.op.name}>" if self.op else f"<Node {self.name}>"

    @property
    def is_variable(self):
        """Whether this is an input of the graph."""
        return self.op is None

    @property
    def maker(self):
        """Makes the array of a variable that every execution has for itself; None for one that the caller gives."""
        return self._params["maker"] if self.op is None and self._params else None

    @property
    def params(self):
        """The operator's parsed parameters."""
        if self._params is None:
            given = {k: v for k, v in self.attrs.items() if not k.startswith("__") and
                     (k != "scalar" or self.op.scalar is None) and
                     (k != "num_args" or k in self.op.params or not self.op.variadic)}
            try:
                self._params = self.op.parse(given)
            except (MXNetValueError, MXNetTypeError) as error:
                raise type(error)(f"node {self.name!r}: {error}") from None
        return self._params

    @property
    def scalar(self):
        """The number of an operator such as ``_plus_scalar``; None for others."""
        if self._scalar is None and self.op.scalar is not None:
            text = self.attrs.get("scalar", self.op.scalar)
            try:
                self._scalar = float(text)
            except ValueError:
                raise MXNetTypeError(f"node {self.name!r}: scalar is {text!r}; expected a number") from None
        return self._scalar

    @property
    def input_names(self):
        """The operator's names of the inputs."""
        return self.op.input_names(self.params, len(self.inputs))

    @property
    def n_outputs(self):
        """Number of outputs, with those that serve the gradient only."""
        if self.op is None:
            return 1
        return len(self.types) if self.types is not None else self.op.output_counts(self.params, len(self.inputs))[0]

    @property
    def n_visible(self):
        """Number of outputs that users see."""
        return 1 if self.op is None else self.op.output_counts(self.params, len(self.inputs))[1]

    def replace(self, inputs, types=None):
        """The same operator on other inputs; ``types`` are this node's own if not given."""
        node = Node(self.op, self.name, inputs, self.attrs, params=self._params, scalar=self._scalar,
                    types=self.types if types is None else types, subgraphs=self.subgraphs)
        node.after = self.after
        return node


class Entry(NamedTuple):
    """One output of a node."""
    node: Node
    index: int

    @property
    def shape(self):
        """Its shape, where types are known."""
        return self.node.types[self.index][0]

    @property
    def dtype(self):
        """The name of its dtype, where types are known."""
        return self.node.types[self.index][1]

    @property
    def nbytes(self):
        """Bytes of its elements, where types are known."""
        shape, dtype = self.node.types[self.index]
        return prod(shape) * NUMPY[dtype].itemsize


class Graph:
    """What some entries depend on.

    Parameters
    ----------
    heads : iterable of Entry
        The outputs, in order.

    Attributes
    ----------
    heads : list of Entry
    nodes : list of Node
        In depth-first post order from the heads: inputs before users. Nodes named in `Node.after` come first too.
    """

    def __init__(self, heads):
        self.heads = list(heads)
        self.nodes = post_order([entry.node for entry in self.heads])

    def __repr__(self):
        return f"<Graph of {len(self.nodes)} nodes with {len(self.heads)} outputs>"

    @property
    def variables(self):
        """The variables, in the order in which they are met."""
        return [node for node in self.nodes if node.op is None]

    def users(self, heads=False):
        """Who uses each entry: a dict of entry to a list of (node, position among its inputs).

        With ``heads``, those of the graph are used by (None, 0), too.
        """
        found = {}
        for head in self.heads if heads else ():
            found.setdefault(head, []).append((None, 0))
        for node in self.nodes:
            for position, entry in enumerate(node.inputs):
                found.setdefault(entry, []).append((node, position))
        return found

    def map(self, function):
        """Rebuild the graph from the inputs up.

        Parameters
        ----------
        function : callable
            Of a node and the entries that its inputs became; returns a list of entries in place of the node's outputs,
            or None to keep the node (a copy, where its inputs changed).

        Returns
        -------
        Graph
        """
        became = {}
        for node in self.nodes:
            inputs = [became[entry.node][entry.index] for entry in node.inputs]
            outputs = function(node, inputs)
            if outputs is None:
                kept = node
                if inputs != node.inputs or any(became[n][0].node is not n for n in node.after):
                    kept = node.replace(inputs)
                    kept.after = tuple(became[n][0].node for n in node.after)
                outputs = [Entry(kept, i) for i in range(kept.n_outputs)]
            became[node] = outputs
        return Graph([became[entry.node][entry.index] for entry in self.heads])


def post_order(roots):
    """All nodes that the roots depend on, inputs before users, without recursion.

    Raises
    ------
    ValueError
        If the graph has a cycle.
    """
    order, done, open_ = [], set(), set()
    for root in roots:
        if root in done:
            continue
        stack = [(root, iter(links(root)))]
        open_.add(root)
        while stack:
            node, left = stack[-1]
            for before, _ in left:
                if before in done:
                    continue
                if before in open_:
                    raise MXNetValueError(f"the graph has a cycle through node {before.name!r}")
                open_.add(before)
                stack.append((before, iter(links(before))))
                break
            else:
                stack.pop()
                open_.discard(node)
                done.add(node)
                order.append(node)
    return order


def links(node):
    """What must come before a node, as pairs of a node and an output: no list is made for most."""
    return [*node.inputs, *((before, 0) for before in node.after)] if node.after else node.inputs


def preceding(node):
    """The nodes that must come before a node."""
    return [before for before, _ in links(node)]
