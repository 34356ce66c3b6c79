"""The order of nodes: one that keeps little memory alive.

The least memory is a hard problem in general [1]_. Two ideas go far for networks: depth first, so that a branch is
finished before the next begins; and whatever frees at least as much as it needs runs at once, so that gradients of
weights let go of activations early. A few such orders are tried and the best is kept.

References
----------
.. [1] Sethi, "Complete Register Allocation Problems", SIAM J. Comput. 4, 1975.
"""
from mxcy.graph.graph import Entry, Graph

__all__ = ["schedule"]


def schedule(graph, n_forward_heads):
    """The nodes in the order in which they are to run.

    Parameters
    ----------
    graph : Graph
        With types.
    n_forward_heads : int
        How many of the heads, the first ones, the forward phase computes; the others are gradients.

    Returns
    -------
    forward, backward : list of Node
        Without variables. Nodes that change an input stay where they are among those that use it; random ones keep
        their order, as they draw from one sequence of numbers.
    """
    ahead = set(Graph(graph.heads[:n_forward_heads]).nodes)
    live = Liveness(graph)
    phases = []
    for nodes in ([n for n in graph.nodes if n in ahead], [n for n in graph.nodes if n not in ahead]):
        nodes = [node for node in nodes if node.op is not None]
        phases.append(live.best(nodes, predecessors(nodes)))
    return phases


def predecessors(nodes):
    """What must come before each of the nodes, among them: a dict of node to a list."""
    among = set(nodes)
    before = {node: [n for n in dict.fromkeys([*(e.node for e in node.inputs), *node.after]) if n in among]
              for node in nodes}
    readers, changers, drawn = {}, {}, None
    for node in nodes:
        if node.op.random:
            if drawn is not None:
                before[node].append(drawn)
            drawn = node
        for position in changed(node):
            changers[node.inputs[position]] = None
    if not changers:
        return before
    for node in nodes:
        changes = {node.inputs[position] for position in changed(node)}
        for entry in dict.fromkeys(node.inputs):
            if entry not in changers:
                continue
            if changers[entry] is not None:
                before[node].append(changers[entry])
            if entry in changes:
                before[node] += readers.pop(entry, ())
                changers[entry] = node
            else:
                readers.setdefault(entry, []).append(node)
    return before


def changed(node):
    """Positions of the inputs that a node changes."""
    op = node.op
    if not (op.mutates or op.aux or "changes_given" in op.rules):
        return ()
    return op.changed_inputs(node.params, node.input_names)


def depth_first(roots, before):
    """The nodes in post order from the roots, without recursion."""
    order, seen = [], set()
    for root in roots:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(before[root]))]
        while stack:
            node, left = stack[-1]
            for other in left:
                if other not in seen:
                    seen.add(other)
                    stack.append((other, iter(before[other])))
                    break
            else:
                stack.pop()
                order.append(node)
    return order


class Liveness:
    """Which values are needed how often: what an order is judged by."""

    def __init__(self, graph):
        outside = set(graph.heads)
        self.size, self.users, self.inputs, self.outputs = {}, {}, {}, {}
        for node in graph.nodes:
            outputs = self.outputs[node] = [Entry(node, i) for i in range(len(node.types))]
            inputs = self.inputs[node] = list(dict.fromkeys(node.inputs))
            for entry in outputs:
                self.size[entry] = 0 if node.op is None or entry in outside else entry.nbytes
            for entry in inputs:
                self.users.setdefault(entry, []).append(node)
        #: By how many nodes a value is still to be used, after the phases that are done.
        self.uses = {entry: len(nodes) + (entry in outside) for entry, nodes in self.users.items()}

    def best(self, nodes, before):
        """The order of a phase that keeps the least memory alive, of those that are tried."""
        among = set(nodes)
        last = [node for node in nodes
                if not any(user in among for entry in self.outputs[node] for user in self.users.get(entry, ()))]
        orders = [depth_first(last[::-1], before), depth_first(last, before)]
        orders = [*(self.eager(order, before) for order in orders), *orders]
        peaks = [self.run(order, dict(self.uses)) for order in orders]
        best = orders[peaks.index(min(peaks))]
        self.run(best, self.uses)
        return best

    def run(self, order, uses):
        """The most bytes alive at a time, above those at the start; ``uses`` becomes what it is at the end."""
        alive = peak = 0
        for node in order:
            for entry in self.outputs[node]:
                alive += self.size[entry]
            peak = max(peak, alive)
            for entry in self.outputs[node]:
                if entry not in uses:
                    alive -= self.size[entry]
            for entry in self.inputs[node]:
                uses[entry] -= 1
                if not uses[entry]:
                    alive -= self.size[entry]
        return peak

    def net(self, node, uses):
        """Bytes that running a node adds to the live ones."""
        return sum(self.size[entry] for entry in self.outputs[node] if entry in uses) \
            - sum(self.size[entry] for entry in self.inputs[node] if uses[entry] == 1)

    def eager(self, order, before):
        """An order changed so that nodes which free as much as they need run as soon as they can."""
        uses, result, done, followers = dict(self.uses), [], set(), {}
        waits = {node: len(before[node]) for node in order}
        for node in order:
            for other in before[node]:
                followers.setdefault(other, []).append(node)
        for start in order:
            stack = [start]
            while stack:
                node = stack.pop()
                if node in done:
                    continue
                done.add(node)
                result.append(node)
                ready = []
                for other in followers.get(node, ()):
                    waits[other] -= 1
                    if not waits[other]:
                        ready.append(other)
                for entry in self.inputs[node]:
                    uses[entry] -= 1
                    if uses[entry] == 1:            # whoever is left frees it
                        ready += [n for n in self.users[entry] if n not in done and waits.get(n) == 0]
                stack += [n for n in reversed(ready) if self.net(n, uses) <= 0]
        return result
