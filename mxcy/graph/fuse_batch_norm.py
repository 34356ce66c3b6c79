"""Batch norm with the sum and the rectifier behind it in one pass, on GPUs: they are bound by memory.

Backward finds again which elements the rectifier let through: that costs less than to read its result and to write what
it makes of the gradient.
"""
from mxcy.graph.build import Builder, Value
from mxcy.graph.fuse_convolution import SUMS, activation_of, only_user
from mxcy.graph.graph import Entry, Graph

__all__ = ["fuse_batch_norms"]

KEPT = ("eps", "momentum", "fix_gamma", "use_global_stats", "axis")
KEPT_BACKWARD = ("eps", "momentum", "fix_gamma", "axis", "batch")


def fuse_batch_norms(graph):
    """Put batch norms together with what follows them, and their gradients with those of rectifiers.

    Parameters
    ----------
    graph : Graph
        With types, of both phases.

    Returns
    -------
    Graph
    """
    users = graph.users(heads=True)
    place = {node: i for i, node in enumerate(graph.nodes)}
    chains, became = {}, {}
    for node in graph.nodes:
        if node.op is not None and node.op.name == "BatchNorm":
            chain = Chain(node, users, place)
            if chain.last is not node:
                chains.update(dict.fromkeys(chain.nodes, chain))
    backward = {}
    for chain in dict.fromkeys(chains.values()):
        found = chain.backward(users)
        if found is not None:
            backward[found[0]] = chain, found[1]

    def now(entry):
        return became[entry.node][entry.index]

    for node in graph.nodes:
        inputs = [now(entry) for entry in node.inputs]
        after = tuple(dict.fromkeys(became[other][0].node for other in node.after))
        if node in chains:
            chain = chains[node]
            if node is chain.norm:
                became[node] = chain.fused(inputs, [now(chain.addend)] if chain.addend else [], after)
            else:
                became[node] = became[chain.norm][:1]
        elif node in backward:
            chain, g = backward[node]
            became[node] = chain.fused_backward(node, inputs, now(g), now(chain.norm.inputs[2]), after)
        else:
            kept = node
            if inputs != node.inputs or after != tuple(node.after):
                kept = node.replace(inputs)
                kept.after = after
            became[node] = [Entry(kept, i) for i in range(kept.n_outputs)]
    return Graph([now(entry) for entry in graph.heads])


class Chain:
    """A batch norm; the sum and the rectifier, or the rectifier, that alone use what it computes."""

    def __init__(self, norm, users, place):
        self.norm = self.last = norm
        self.nodes, self.addend = [norm], None
        after = only_user(Entry(norm, 0), users)
        added = other = None
        if after is not None and after.op.name in SUMS and len(after.inputs) == 2 and not after.after \
                and after.inputs[0].shape == after.inputs[1].shape:
            other = after.inputs[after.inputs[0].node is norm]
            if place[other.node] > place[norm] or other.node is norm:
                return                          # the other summand is not there yet; a batch norm joins it instead
            added, after = after, only_user(Entry(after, 0), users)
        if after is None or after.after or activation_of(after) != {"activation": "relu"}:
            return
        self.nodes += [added, after] if added is not None else [after]
        self.last, self.addend = after, other

    def fused(self, inputs, addend, after):
        F = Builder(self.last.name, self.last.attrs)
        made = F._batch_norm_relu(*[Value(entry, F) for entry in (*inputs, *addend)], with_addend=bool(addend),
                                  **{key: self.norm.params[key] for key in KEPT}).entry.node
        made.after = after
        return [Entry(made, i) for i in range(3)]

    def backward(self, users):
        """The gradient that passes rectifier and batch norm alone: (node, gradient of the result); or None."""
        if self.addend is not None:             # which needs what passes the rectifier, too
            return None
        masked = [user for user, position in users.get(Entry(self.last, 0), ())
                  if user is not None and user.op.name == "_backward_relu" and position == 1]
        node = only_user(Entry(masked[0], 0), users) if len(masked) == 1 else None
        if node is None or node.op.name != "_backward_BatchNorm" or node.inputs[0].node is not masked[0] \
                or node.inputs[1] != self.norm.inputs[0] \
                or node.inputs[3:5] != [Entry(self.norm, 1), Entry(self.norm, 2)]:
            return None
        return node, masked[0].inputs[0]

    def fused_backward(self, node, inputs, g, beta, after):
        F = Builder(node.name, node.attrs)
        _, data, gamma, *rest = [Value(entry, F) for entry in inputs]
        made = F._backward_batch_norm_relu(Value(g, F), data, gamma, Value(beta, F), *rest,
                                           **{key: node.params[key] for key in KEPT_BACKWARD})
        made[0].entry.node.after = after
        return [value.entry for value in made]
