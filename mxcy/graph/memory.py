"""Memory: a place for every value, shared by values that are not needed at the same time.

Three things save bytes, in this order. A node whose kernel only copies its first input, such as Reshape, needs no step:
its output *is* the input. A node whose kernel works in place writes over an input that nobody needs afterwards. What
is left are buffers, each needed from one step to another, packed into one arena as rectangles of time and bytes.

Packing is a hard problem (dynamic storage allocation); the greedy orders tried here come within a few per cent of the
lower bound, the most bytes alive at a time [1]_.

References
----------
.. [1] Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference", 2020, arXiv:2001.03288.
.. [2] Chen et al., "MXNet: A Flexible and Efficient Machine Learning Library for Heterogeneous Distributed Systems",
   2015, arXiv:1512.01274: in-place and co-share, section 3.1.
"""
from mxcy.graph.graph import Entry
from mxcy.graph.pack import ALIGNMENT, pack
from mxcy.graph.schedule import changed
from mxcy.ops.operator import call_rule

__all__ = ["MemoryPlan", "plan_memory"]

#: Kernels of which every output, not only the first, may lie where an input of its size did.
ALL_IN_PLACE = "fused_pointwise"


class MemoryPlan:
    """Where the values of a graph lie.

    Attributes
    ----------
    place : dict of Entry to (bool, int)
        (True, slot) in an array of the caller, or (False, offset) in the arena.
    workspace : dict of Node to int
        Offset of a node's scratch memory.
    dropped : set of Node
        Nodes that need no step: their output is their first input.
    inplace : dict of Entry to Entry
        Outputs that lie where an input did.
    arena, bound, naive : int
        Bytes: of the arena; that no plan without other in-place decisions can go below; of all values side by side.
    """

    __slots__ = ("place", "workspace", "dropped", "inplace", "arena", "bound", "naive")


class Buffer:
    """Bytes that one or more values occupy, one after the other or as aliases.

    Attributes
    ----------
    birth, death : int
        The first and the last step that needs it; the death of what the caller sees is after the last step.
    slot : int or None
        The array of the caller that it lies in.
    fixed : bool
        It must stay as it is: a variable, or a value that a kernel changes.
    """

    __slots__ = ("size", "birth", "death", "slot", "fixed")

    def __init__(self, size, birth, death, slot=None, fixed=False):
        self.size, self.birth, self.death, self.slot, self.fixed = size, birth, death, slot, fixed


def plan_memory(order, n_forward, place, kernels, workspace):
    """Find a place for every value.

    Parameters
    ----------
    order : list of Node
        All nodes but variables as they run: forward, then backward.
    n_forward : int
        How many of them are the forward phase; what both phases use stays in the arena between them.
    place : dict of Entry to (bool, int)
        (True, slot) for the values that lie in the caller's arrays: variables and heads.
    kernels : dict of Node to Kernel
    workspace : dict of Node to int
        Bytes of scratch memory that nodes need; 0 may be left out.

    Returns
    -------
    MemoryPlan
    """
    return Planner(order, n_forward, place, kernels, workspace).plan()


def written_over(node, kernel):
    """The inputs that the kernel may write its first output over."""
    rule = node.op.rules.get("inplace")
    if rule is not None:
        return [node.inputs[i] for i in call_rule(rule, node.params)]
    return node.inputs if kernel.inplace else ()


class Planner:
    """One run of the pass."""

    def __init__(self, order, n_forward, place, kernels, workspace):
        self.order, self.n_forward, self.kernels, self.workspace = order, n_forward, kernels, workspace
        self.given = {entry: slot for entry, (_, slot) in place.items()}
        self.last, self.changed = {}, set()
        for step, node in enumerate(order):
            self.last.update(dict.fromkeys(node.inputs, step))
            self.changed.update(node.inputs[i] for i in changed(node))
        self.of = {entry: Buffer(entry.nbytes, -1, len(order), slot, True)
                   for entry, slot in self.given.items() if entry.node.op is None}
        self.taken = {buffer.slot for buffer in self.of.values()}       # slots that hold something from the start
        self.dropped, self.inplace = set(), {}

    def plan(self):
        """The MemoryPlan."""
        for step, node in enumerate(self.order):
            if self.is_alias(node, step):
                self.dropped.add(node)
            else:
                self.assign(node, step)
        scratch = {node: Buffer(size, step, step) for step, node in enumerate(self.order)
                   if (size := self.workspace.get(node)) and node not in self.dropped}
        values = {id(buffer): buffer for buffer in self.of.values() if buffer.slot is None}
        packed = [*values.values(), *scratch.values()]
        offsets, arena, bound = pack([(buffer.size, buffer.birth, buffer.death) for buffer in packed])
        offset = {id(buffer): at for buffer, at in zip(packed, offsets)}
        result = MemoryPlan()
        result.place = {entry: (False, offset[id(buffer)]) if buffer.slot is None else (True, buffer.slot)
                        for entry, buffer in self.of.items()}
        result.workspace = {node: offset[id(buffer)] for node, buffer in scratch.items()}
        result.dropped, result.inplace = self.dropped, self.inplace
        result.arena, result.bound = arena, bound
        result.naive = max((buffer.size for buffer in scratch.values()), default=0) + sum(
            -(-entry.nbytes // ALIGNMENT) * ALIGNMENT for entry in self.of
            if entry.node.op is not None and entry not in self.given)
        return result

    def is_alias(self, node, step):
        """Let the output of a node be its input, if the node only copies."""
        kernel = self.kernels[node]
        if kernel.name != "copy" or len(node.types) != 1:
            return False
        source, out = node.inputs[0], Entry(node, 0)
        buffer = self.of[source]
        if source.dtype != out.dtype or source.nbytes != out.nbytes or out in self.changed or source in self.changed:
            return False
        if out in self.given and not self.may_move(buffer, out, step):
            return False
        self.join(out, buffer)
        return True

    def assign(self, node, step):
        """Buffers for the outputs of a node."""
        kernel, free = self.kernels[node], {}
        kept = {node.inputs[i] for i in changed(node)}
        alone = "inplace" in node.op.rules          # no other input may lie there
        for entry in written_over(node, kernel):
            buffer = self.of[entry]
            if alone and sum(self.of[other] is buffer for other in node.inputs) > 1:
                continue
            if buffer.death == step and not buffer.fixed and entry not in kept:
                free[id(buffer)] = entry, buffer
        for i in range(len(node.types)):
            out = Entry(node, i)
            if i == 0 or kernel.name == ALL_IN_PLACE:
                found = next((key for key, (_, buffer) in free.items() if buffer.size == out.nbytes and
                              (out not in self.given or self.may_move(buffer, out, step))), None)
                if found is not None:
                    self.inplace[out], buffer = free.pop(found)
                    self.join(out, buffer)
                    continue
            death = len(self.order) if out in self.given else self.last.get(out, step)
            self.of[out] = Buffer(out.nbytes, step, death, self.given.get(out))

    def written_over(self, node, kernel):
        """The inputs that the kernel may write its first output over."""
        rule = node.op.rules.get("inplace")
        if rule is None:
            return node.inputs if kernel.inplace else ()
        buffers = [self.of[entry] for entry in node.inputs]         # other inputs are read while the output is written
        return [node.inputs[i] for i in call_rule(rule, node.params) if buffers.count(buffers[i]) == 1]

    def may_move(self, buffer, out, step):
        """Whether a buffer may lie in the caller's array for an output of a step, from its birth on."""
        same_phase = (buffer.birth < self.n_forward) == (step < self.n_forward)
        return buffer.slot is None and not buffer.fixed and same_phase and self.given[out] not in self.taken

    def join(self, out, buffer):
        """One more value in a buffer."""
        self.of[out] = buffer
        buffer.death = max(buffer.death, self.last.get(out, -1))
        if out in self.given:
            buffer.slot, buffer.death = self.given[out], len(self.order)
