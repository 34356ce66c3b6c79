"""Fusion of elementwise operators: chains and small trees of them become one step each, ``_fused_pointwise``.

Elementwise nodes wait until something else needs them. All that a node needs then can be grouped freely without making
a cycle: whatever lies between two of the waiting nodes is waiting, too. So no search for paths is needed, and the pass
is linear in the size of the graph.
"""
from math import prod

from mxcy.dtype import CODES
from mxcy.graph.build import make
from mxcy.graph.graph import Entry, Graph, preceding
from mxcy.ops.fused import MAX_INPUTS, MAX_OUTPUTS, MAX_STEPS, Program, Step
from mxcy.ops.operator import lookup

__all__ = ["fuse_pointwise"]

FUSED = lookup("_fused_pointwise")

#: Elements from which on a pass for two steps is faster than two calls; from three steps on it always is.
LARGE = 4096


def fuse_pointwise(graph, boundary=frozenset(), gpu=False):
    """Put elementwise nodes together.

    Parameters
    ----------
    graph : Graph
        With types.
    boundary : set of Node
        The nodes of the forward pass: what the first outputs depend on. No group has nodes on both sides.
    gpu : bool
        Whether the graph is for one.

    Returns
    -------
    Graph
    """
    return Fusion(graph, boundary, gpu).run()


def is_pointwise(node):
    """Whether a step of a program can do what the node does."""
    op = node.op
    if op is None or op.cpu is None or len(node.types) != 1 or node.after or node.subgraphs or 0 in node.types[0][0]:
        return False
    (shape, dtype), inputs, device = node.types[0], node.inputs, node.attrs.get("__ctx_group__")
    if not inputs or any(entry.dtype != dtype for entry in inputs):
        return False
    if any(entry.node.op is not None and entry.node.attrs.get("__ctx_group__") != device for entry in inputs):
        return False
    if "pairwise" in op.rules:
        return len(inputs) > 1 and all(entry.shape == shape for entry in inputs)
    kernel = op.kernel(node.params)
    return kernel.arrays == len(inputs) and CODES[dtype] in kernel.tiles \
        and (kernel.broadcasts or all(entry.shape == shape for entry in inputs))


def order_of(node):
    """Groups in the order of this come after what they need: broadcasting only adds axes and elements."""
    shape, _ = node.types[0]
    return prod(shape), len(shape)


class Fusion:
    """One run of the pass."""

    def __init__(self, graph, boundary, gpu):
        self.graph, self.boundary, self.gpu = graph, boundary, gpu
        self.users = graph.users()
        for entry in (*graph.heads, *(Entry(before, 0) for node in graph.nodes for before in node.after)):
            self.users.setdefault(entry, []).append((None, 0))
        self.place = {node: i for i, node in enumerate(graph.nodes)}
        self.waiting = set()
        self.became = {}                        # node -> entries in the new graph

    def run(self):
        """The new graph."""
        for side in (True, False):              # the whole forward pass first, so that backward cannot tear it apart
            nodes = [node for node in self.graph.nodes if (node in self.boundary) == side]
            self.waiting = {node for node in nodes if is_pointwise(node)}
            others = [node for node in nodes if node not in self.waiting]
            for node in others:
                self.release(preceding(node))
                self.keep(node)
            self.release(nodes)
        return Graph([self.became[entry.node][entry.index] for entry in self.graph.heads])

    def release(self, roots):
        """Emit the waiting nodes that some nodes depend on."""
        batch, stack = set(), [node for node in roots if node in self.waiting]
        while stack:
            node = stack.pop()
            if node not in batch:
                batch.add(node)
                stack.extend(entry.node for entry in node.inputs if entry.node in self.waiting)
        if not batch:
            return
        self.extend(batch)
        self.waiting -= batch
        for group in sorted(components(sorted(batch, key=self.place.get)), key=lambda group: order_of(group[0])):
            for piece in self.pieces(group):
                self.emit(piece)

    def extend(self, batch):
        """Add nodes that nobody asks for yet, but that need nothing else of full size than the batch has at hand."""
        read = {entry for node in batch for entry in node.inputs}
        stack = list(batch)
        while stack:
            node = stack.pop()
            for user, _ in self.users.get(Entry(node, 0), ()):
                if user in self.waiting and user not in batch and user.types == node.types and all(
                        entry.node in batch or (entry.node in self.became
                                                and (entry in read or entry.shape != node.types[0][0]))
                        for entry in user.inputs):
                    batch.add(user)
                    stack.append(user)

    def keep(self, node):
        """A node as it is, on the inputs of the new graph."""
        inputs = [self.became[entry.node][entry.index] for entry in node.inputs]
        if inputs != node.inputs or any(self.became[n][0].node is not n for n in node.after):
            new = node.replace(inputs)
            new.after = tuple(dict.fromkeys(self.became[n][0].node for n in node.after))
        else:
            new = node
        self.became[node] = [Entry(new, i) for i in range(new.n_outputs)]

    def pieces(self, group):
        """A group cut, along its order, into as few parts as the limits of a program ask for."""
        inputs, outputs = self.ends(group)
        if len(group) == 1 or (len(inputs) <= MAX_INPUTS and len(outputs) <= MAX_OUTPUTS
                               and sum(map(length, group)) <= MAX_STEPS):
            return [group]
        half = len(group) // 2
        return [*self.pieces(group[:half]), *self.pieces(group[half:])]

    def ends(self, group):
        """(entries that a group reads, entries that others read of it)."""
        inside = set(group)
        inputs = dict.fromkeys(entry for node in group for entry in node.inputs if entry.node not in inside)
        outputs = [Entry(node, 0) for node in group
                   if any(user not in inside for user, _ in self.users[Entry(node, 0)])]
        return list(inputs), outputs

    def emit(self, group):
        """The nodes of a group, as one if that is worth it."""
        if not pays(group, self.gpu):
            for node in group:
                self.keep(node)
            return
        inputs, outputs = self.ends(group)
        value = {entry: number for number, entry in enumerate(inputs)}
        steps = []
        for node in group:
            operands = [value[entry] for entry in node.inputs]
            if "pairwise" in node.op.rules:
                op = lookup(node.op.rules["pairwise"]())
                for operand in operands[1:]:
                    steps.append(Step(op, (operands[0], operand), 0., {}))
                    operands[0] = len(inputs) + len(steps) - 1
            else:
                scalar = 0. if node.scalar is None else node.scalar
                steps.append(Step(node.op, tuple(operands), scalar, node.params))
            value[Entry(node, 0)] = len(inputs) + len(steps) - 1
        program = Program(len(inputs), tuple(steps), tuple(value[entry] for entry in outputs))
        attrs = {key: text for key, text in group[-1].attrs.items()
                 if key.startswith("__") and all(node.attrs.get(key) == text for node in group)}
        fused = make(FUSED, [self.became[entry.node][entry.index] for entry in inputs], {"program": program.text},
                     name=group[-1].name, attrs=attrs)
        for i, entry in enumerate(outputs):
            self.became[entry.node] = [Entry(fused, i)]


def length(node):
    """Number of steps that a node takes."""
    return len(node.inputs) - 1 if "pairwise" in node.op.rules else 1


def pays(group, gpu):
    """Whether one pass is faster than one for each node; on a GPU a launch costs more than most passes."""
    return len(group) > 2 or (len(group) == 2 and (gpu or prod(group[0].types[0][0]) >= LARGE))


def components(batch):
    """The nodes, in their order, by groups of one shape and dtype that use each other's values or the same ones."""
    parent = {node: node for node in batch}

    def root(node):
        while parent[node] is not node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    reader = {}                                 # entry -> a node that reads or makes it
    for node in batch:
        for entry in (Entry(node, 0), *node.inputs):
            if entry.shape == node.types[0][0]:
                parent[root(node)] = root(reader.setdefault(entry, node))
    groups = {}
    for node in batch:
        groups.setdefault(root(node), []).append(node)
    return list(groups.values())
