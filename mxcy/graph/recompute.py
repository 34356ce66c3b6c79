"""Recompute: some values of the forward phase are computed again in the backward phase instead of being kept.

The forward phase is cut into segments where few bytes cross from one to the next. What crosses is kept; what lies
between is computed again, one segment at a time, when the backward phase comes to it. With the square root of the
depth as the number of segments, memory grows like the square root of the depth, for at most one more forward
phase [1]_. All cuts are judged by what they would keep and what the largest segment then needs.

References
----------
.. [1] Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016, arXiv:1604.06174.
"""
from bisect import bisect_left, bisect_right
from itertools import accumulate

from mxcy.graph.graph import Entry, Graph
from mxcy.graph.memory import plan_memory
from mxcy.graph.schedule import changed, schedule

__all__ = ["recompute"]

#: An output this many times smaller than the inputs it was computed from is kept: it costs little.
SMALL = 16
#: Attributes of nodes that are to be computed again, and of those among them that are kept, as MXNet knows them.
FORCE, STAGE = "__force_mirroring__", "__mirror_stage__"


def recompute(graph, n_outputs, budget=None):
    """Compute values again where it saves memory.

    Results do not change: nodes that draw random numbers or change an input are never run again.

    Parameters
    ----------
    graph : Graph
        With types; its heads are the outputs and then the gradients.
    n_outputs : int
        How many of the heads are outputs.
    budget : int, optional
        Bytes that the arena should take at most: no more is computed again than that asks for. 0: as little memory as
        the square root rule can reach. If not given, only nodes with the attribute ``force_mirroring`` run again;
        those that have ``mirror_stage``, too, are kept, and what lies between them runs again at one time.

    Returns
    -------
    Graph
    """
    forward, backward = schedule(graph, n_outputs)
    if not backward:
        return graph
    forced = [node for node in forward if says(node, FORCE) and not says(node, STAGE) and is_pure(node)]
    if forced:
        graph = rewrite(graph, backward, components(forced), set())
    if budget is None or (budget and planned_bytes(graph, n_outputs) <= budget):
        return graph
    if forced:
        forward, backward = schedule(graph, n_outputs)
    cuts = Segments(graph, forward, backward, n_outputs)
    chosen = cuts.best()
    few, many = 0 if budget else len(chosen), len(chosen)       # how many segments, from the first on, run again
    while few < many:
        middle = (few + many) // 2
        if planned_bytes(cuts.apply(chosen, middle), n_outputs) <= budget:
            many = middle
        else:
            few = middle + 1
    return cuts.apply(chosen, many)


def says(node, attribute):
    """Whether an attribute of the user is true."""
    return node.attrs.get(attribute, "").lower() in ("true", "1")


def is_pure(node):
    """Whether a node may run twice."""
    return not (node.op.random or changed(node) or node.after or node.subgraphs or
                any(entry.node.op is None and entry.node.maker for entry in node.inputs))


def planned_bytes(graph, n_outputs):
    """Bytes of the arena that the graph would need."""
    forward, backward = schedule(graph, n_outputs)
    order = forward + backward
    outside = dict.fromkeys([*(Entry(node, 0) for node in graph.variables), *graph.heads])
    place = {entry: (True, slot) for slot, entry in enumerate(outside)}
    return plan_memory(order, len(forward), place, {node: node.op.kernel(node.params) for node in order}, {}).arena


def components(nodes):
    """Numbers for the connected parts of some nodes, given in order: a dict of node to number."""
    part = {}

    def root(node):
        while part[node] is not node:
            part[node] = part[part[node]]
            node = part[node]
        return node
    for node in nodes:
        part[node] = node
        for entry in node.inputs:
            if entry.node in part:
                part[root(entry.node)] = root(node)
    number = {}
    return {node: number.setdefault(root(node), len(number)) for node in nodes}


class Segments:
    """Where the forward phase can be cut, and what it costs.

    Positions are those of ``forward``; a cut at p lies behind node p.
    """

    def __init__(self, graph, forward, backward, n_outputs):
        self.graph, self.forward, self.backward = graph, forward, backward
        position = {node: i for i, node in enumerate(forward)}
        heads = set(graph.heads[:n_outputs])
        self.saved = {}                                 # entry -> bytes, of what the backward phase uses
        for node in backward:
            self.saved.update((entry, entry.nbytes) for entry in node.inputs if entry.node in position)
        last = {}                                       # entry -> position of its last use in the forward phase
        for i, node in enumerate(forward):
            last.update((entry, i) for entry in node.inputs)
        self.last = {entry: i for entry, i in last.items() if entry.node in position}
        self.kept = set(heads)
        for node in forward:
            pure, given = is_pure(node), sum(entry.nbytes for entry in node.inputs)
            self.kept.update(entry for i in range(len(node.types))
                             if (entry := Entry(node, i)).nbytes * SMALL <= given or not pure)
        interior, crossing = [0] * len(forward), [0] * (len(forward) + 1)
        for entry, size in self.saved.items():
            if entry not in self.kept:
                interior[position[entry.node]] += size
        for entry, i in self.last.items():
            if entry not in self.kept:
                crossing[position[entry.node]] += entry.nbytes
                crossing[i] -= entry.nbytes
        self.position = position
        self.crossing = list(accumulate(crossing))      # bytes that a cut there keeps
        self.total = list(accumulate(interior))         # bytes saved up to there

    def cut(self, limit):
        """Cuts between segments of at most ``limit`` bytes where that can be, each where few bytes cross."""
        cuts, start, n = [], 0, len(self.forward)
        while True:
            before = self.total[start - 1] if start else 0
            first = max(bisect_left(self.total, before + limit / 2), start)
            end = min(max(bisect_right(self.total, before + limit), first + 1), n - 1)
            if first >= n - 1 or self.total[-1] - before <= limit:
                return cuts
            best = min(range(first, end), key=lambda p: (self.crossing[p], -p), default=first)
            cuts.append(best)
            start = best + 1

    def cost(self, cuts):
        """Estimated bytes: what is kept, and the largest segment."""
        kept, largest, before = 0, 0, 0
        for p in cuts:
            kept += self.crossing[p]
            largest = max(largest, self.total[p] - before)
            before = self.total[p]
        return kept + max(largest, self.total[-1] - before)

    def best(self):
        """The cuts that cost least."""
        limit, best = self.total[-1] if self.total else 0, []
        for _ in range(60):
            limit /= 1.25
            if limit < 1:
                break
            cuts = self.cut(limit)
            if self.cost(cuts) < self.cost(best):
                best = cuts
        return best

    def apply(self, cuts, count):
        """The graph in which the first ``count`` segments are computed again; never the last one, which is at once."""
        segment, kept = {}, set(self.kept)
        ends = cuts[:count]
        for i, node in enumerate(self.forward[:ends[-1] + 1] if ends else ()):
            number = bisect_left(ends, i)
            segment[node] = number
            for k in range(len(node.types)):
                if self.last.get(Entry(node, k), -1) > ends[number]:
                    kept.add(Entry(node, k))
        return rewrite(self.graph, self.backward, segment, kept)


def rewrite(graph, backward, segment, kept):
    """Copies of nodes for the use of the backward phase.

    Parameters
    ----------
    graph : Graph
    backward : list of Node
        In order.
    segment : dict of Node to int
        The nodes of the forward phase that may run again, in order, with the number of their segment.
    kept : set of Entry
        What is not computed again all the same.

    Returns
    -------
    Graph
    """
    members = {}
    for node, number in segment.items():
        members.setdefault(number, []).append(node)
    wanted = {}                                         # segment -> nodes of it that are needed again
    for node in backward:
        for entry in node.inputs:
            if entry.node in segment and entry not in kept:
                wanted.setdefault(segment[entry.node], set()).add(entry.node)
    for number, nodes in wanted.items():
        for node in reversed(members[number]):
            if node in nodes:
                nodes.update(entry.node for entry in node.inputs if segment.get(entry.node) == number
                             and entry not in kept)
    became, again, started = {}, {}, set()

    def now(entry):
        if entry.node in again and entry not in kept:
            return Entry(again[entry.node], entry.index)
        return Entry(became.get(entry.node, entry.node), entry.index)

    after = ()                                          # a segment runs when its first user is next, not before
    for node in backward:
        for number in dict.fromkeys(segment[entry.node] for entry in node.inputs
                                    if entry.node in segment and entry not in kept):
            if number not in started:
                started.add(number)
                for member in members[number]:
                    if member in wanted[number]:
                        copy = member.replace([now(entry) for entry in member.inputs])
                        copy.name = f"{member.name}_again"
                        if not any(entry.node in again for entry in member.inputs):
                            copy.after = after
                        again[member] = copy
        became[node] = node.replace([now(entry) for entry in node.inputs])
        became[node].after = tuple(became.get(other, other) for other in node.after)
        after = (became[node],)
    return Graph([Entry(became.get(head.node, head.node), head.index) for head in graph.heads])
