"""From a graph to a Plan: the passes in their order, and the steps that are left."""
import os

from mxcy.graph.build import F, Value
from mxcy.graph.fuse_batch_norm import fuse_batch_norms
from mxcy.graph.fuse_convolution import fuse_convolutions
from mxcy.graph.fuse_pointwise import fuse_pointwise
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.graph.layout import channels_last
from mxcy.graph.lower import lower
from mxcy.graph.memory import plan_memory
from mxcy.graph.place import place
from mxcy.graph.recompute import recompute
from mxcy.graph.schedule import schedule
from mxcy.graph.simplify import simplify
from mxcy.graph.split_bias import split_bias
from mxcy.imperative._function import bound
from mxcy.ops.operator import lookup
from mxcy.plan._plan import Plan, workspace
from mxcy.plan.summary import summarize

__all__ = ["Program", "compile_plan", "gradient_graph"]

HOST = -1                       # a device number: none


class Program:
    """A plan and how its slots are laid out.

    The slots are, one after the other: the variables, the outputs, the gradients given for the outputs, the gradients
    of variables.

    Attributes
    ----------
    plan : Plan
    variables : list of str
        Names of the variables whose arrays the plan wants, in the order of the slots.
    n_outputs : int
    given : list of int
        For which outputs a gradient is to be given.
    needed : set of int
        Those of them that make a difference; a loss takes no gradient.
    grads : list of (str, bool)
        The variables whose gradients the plan computes; and whether it adds to what the array holds.
    prepare : Program or None
        What to compute from parameters beforehand; its outputs are the last of the variables.
    """

    def __init__(self, plan, variables, n_outputs, given, grads, prepare=None, needed=None):
        self.plan, self.variables, self.n_outputs, self.given, self.grads = plan, variables, n_outputs, given, grads
        self.prepare = prepare
        self.needed = set(given) if needed is None else needed
        self.first_output = len(variables)
        self.first_given = self.first_output + n_outputs
        self.first_grad = self.first_given + len(given)

    def summary(self):
        """A table of the steps, their shapes and places, what is fused, and the memory with and without sharing."""
        return summarize(self)


def compile_plan(graph, types, *, train=False, grads=(), n_heads=None, parameters=(), memory_budget=None,
                 group2ctx=None, ctx=None):
    """Make a graph ready to run.

    Parameters
    ----------
    graph : Graph
        Of a symbol.
    types : dict of str to (tuple of int, str)
        Shape and dtype of each variable.
    train : bool
        Whether kernels run in training mode.
    grads : sequence of (str, bool)
        Variables whose gradients are wanted; and whether to add them to what their arrays hold.
    n_heads : int, optional
        How many of the outputs take a gradient; the others are there to be looked at. All, if not given.
    parameters : collection of str
        Variables that seldom change: in prediction, what follows from them alone is computed when they do.
    memory_budget : int, optional
        Bytes that values between the two phases may take; parts of the forward phase run again in the backward phase
        so as to keep within them. 0: as few bytes as can be, which the environment variable
        ``MXNET_BACKWARD_DO_MIRROR=1`` asks for, too.
    group2ctx : dict of str to Context, optional
        Devices of the groups that the attribute ``ctx_group`` makes.
    ctx : Context, optional
        Where the plan runs, but for those groups; the host, if not given.

    Returns
    -------
    Program
    """
    typed = lower(graph, types)
    predicts = not grads and not train
    gpu = ctx is not None and ctx.device_type == "gpu"
    device = ctx.device_id if gpu else HOST
    if predicts:
        typed = fuse_convolutions(channels_last(simplify(typed, train), gpu), gpu)
    else:
        typed = channels_last(typed, gpu)
    n_outputs = len(typed.heads)
    heads, given, wanted = list(typed.heads), {}, []
    if grads:
        adds = dict(grads)
        found, given = differentiate(typed, [name for name, _ in grads], train, n_heads)
        for name, entry in found.items():
            if adds[name]:
                old = Value(Entry(Node(None, f"_old_{name}", types=[(entry.shape, entry.dtype)]), 0))
                entry = (old + Value(entry)).entry
            wanted.append((name, adds[name]))
            heads.append(entry)
    joint = simplify(Graph(heads), train)
    if group2ctx:
        joint = place(joint, group2ctx, ctx)
    joint = Graph(own_arrays(joint.heads, n_outputs))
    if gpu:
        joint = fuse_batch_norms(joint)
    if grads:
        if memory_budget is None and os.environ.get("MXNET_BACKWARD_DO_MIRROR", "0") == "1":
            memory_budget = 0
        joint = recompute(joint, n_outputs, memory_budget)
    prepare = None
    variables = list(types)
    if predicts:
        before, joint = split_constant(joint, frozenset(parameters))
        if before is not None:
            before = fuse_pointwise(before, gpu=gpu)
            prepare = build(before, variables, len(before.heads), [], [], False, device)
            variables += [f"_prepared{i}" for i in range(len(before.heads))]
    joint = split_bias(joint, gpu)
    joint = fuse_pointwise(joint, set(Graph(joint.heads[:n_outputs]).nodes), gpu)
    program = build(joint, variables, n_outputs, list(given), wanted, train, device)
    program.prepare = prepare
    return program


def differentiate(typed, names, train, n_heads=None):
    """Gradients of a typed graph's outputs.

    Returns
    -------
    found : dict of str to Entry
        The gradient of each variable in the graph; zeros where none reaches it.
    given : dict of int to Entry
        The variable that holds the gradient of each output, where they are given.
    """
    given, head_grads = {}, []
    leaves = {node.name: Entry(node, 0) for node in typed.variables}
    for i, head in enumerate(typed.heads):
        if not head.dtype.startswith(("float", "bfloat")) or (n_heads is not None and i >= n_heads):
            head_grads.append(None)
        else:
            given[i] = Entry(Node(None, f"_given{i}", types=[(head.shape, head.dtype)]), 0)
            head_grads.append(given[i])
    names = [name for name in names if name in leaves]
    found = gradient(typed, head_grads, [leaves[name] for name in names], train)
    for i, name in enumerate(names):
        if found[i] is None:
            found[i] = F._zeros(shape=leaves[name].shape, dtype=leaves[name].dtype).entry
    return dict(zip(names, found)), given


def gradient_graph(graph, types, names, train):
    """What a recorded gradient computes: entries of the gradients by name's order, and `differentiate`'s ``given``."""
    found, given = differentiate(lower(graph, types), names, train)
    return [found[name] for name in names], given


def split_constant(graph, parameters):
    """(what to compute beforehand or None, the rest) of a graph in prediction.

    Beforehand: all that depends on the variables ``parameters`` alone. Its heads are the variables ``_prepared0``,
    ``_prepared1``, ... of the rest.
    """
    fixed = set()
    for node in graph.nodes:
        if node.op is None:
            if node.name in parameters:
                fixed.add(node)
        elif not node.op.random and not node.op.changed_inputs(node.params, node.input_names) \
                and all(entry.node in fixed for entry in node.inputs):
            fixed.add(node)
    heads = {}

    def cut(entry):
        if entry.node not in fixed or entry.node.op is None:
            return entry
        if entry not in heads:
            heads[entry] = Entry(Node(None, f"_prepared{len(heads)}", types=[(entry.shape, entry.dtype)]), 0)
        return heads[entry]

    rest = graph.map(lambda node, inputs: None if node.op is None or node in fixed else
                     replaced(node, [cut(entry) if entry.node in fixed else new
                                     for entry, new in zip(node.inputs, inputs)]))
    if not heads:
        return None, graph
    return Graph(list(heads)), rest


def replaced(node, inputs):
    """The outputs of a node on other inputs."""
    node = node.replace(inputs)
    return [Entry(node, i) for i in range(node.n_outputs)]


def own_arrays(heads, n_outputs):
    """The heads, copied where one is a variable, stands there twice, or is a gradient that the forward pass computes.

    So every head has an array of its own, and those of gradients are written by the backward phase.
    """
    forward = set(Graph(heads[:n_outputs]).nodes)
    copy = lookup("_copy")
    seen, result = set(), []
    for i, head in enumerate(heads):
        if head.node.op is None or head in seen or (i >= n_outputs and head.node in forward):
            node = Node(copy, f"{head.node.name}_copy", [head], params={}, types=[(head.shape, head.dtype)])
            head = Entry(node, 0)
        seen.add(head)
        result.append(head)
    return result


def build(graph, variables, n_outputs, given, grads, train, device):
    """Order, memory and steps of a typed graph."""
    used = {node.name: node for node in graph.variables}
    names = [name for name in variables if name in used]
    slots = [used[name].types[0] for name in names]
    place = {Entry(used[name], 0): (True, i) for i, name in enumerate(names)}
    for head in graph.heads[:n_outputs]:
        place[head] = True, len(slots)
        slots.append((head.shape, head.dtype))
    for i in given:
        head = graph.heads[i]
        if f"_given{i}" in used:
            place[Entry(used[f"_given{i}"], 0)] = True, len(slots)
        slots.append((head.shape, head.dtype))
    for (name, add), head in zip(grads, graph.heads[n_outputs:]):
        place[head] = True, len(slots)
        if add:
            place[Entry(used[f"_old_{name}"], 0)] = True, len(slots)
        slots.append((head.shape, head.dtype))
    makers = {}
    for node in graph.variables:
        if node.maker:
            place[Entry(node, 0)] = True, len(slots)
            makers[len(slots)] = node.maker
            slots.append(node.types[0])
    forward, backward = schedule(graph, n_outputs)
    order = forward + backward
    calls = {node: bound(node.op, node.params) for node in order}
    scratch = {node: workspace(call, [(entry.shape, entry.dtype) for entry in node.inputs], node.types, device)
               for node, call in calls.items()}
    memory = plan_memory(order, len(forward), place, {node: call.kernel for node, call in calls.items()}, scratch)
    place = memory.place
    steps = []
    order = [node for node in order if node not in memory.dropped]
    for node in order:
        scalar = 0. if node.scalar is None else node.scalar
        steps.append((calls[node], scalar, [(*place[entry], entry.shape, entry.dtype) for entry in node.inputs],
                      [(*place[Entry(node, i)], *types) for i, types in enumerate(node.types)], node.name,
                      memory.workspace.get(node, -1)))
    n_forward = sum(node not in memory.dropped for node in forward)
    report = {"order": order, "n_forward": n_forward, "memory": memory}
    needed = {i for i in given if f"_given{i}" in used}
    plan = Plan(slots, steps, n_forward, memory.arena, train, report, makers, device)
    return Program(plan, names, n_outputs, given, grads, needed=needed)
