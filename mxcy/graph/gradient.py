"""The gradient pass: the same rules as the tape's, applied to nodes."""
import inspect

from mxcy.base import MXNetError, MXNetValueError
from mxcy.graph.build import Builder, Value
from mxcy.graph.graph import Entry

__all__ = ["gradient"]


def gradient(graph, head_grads, wrt, train=True):
    """Gradients of a graph's heads, as values that extend the graph.

    Reverse-mode differentiation: every node's rule is applied once, when the gradients of all its uses are there.

    Parameters
    ----------
    graph : Graph
        With types.
    head_grads : list of Entry or None
        The gradient given for each head; None: it takes no part.
    wrt : list of Entry
        What to differentiate with respect to.
    train : bool
        Whether the graph runs in training mode, which some rules ask for.

    Returns
    -------
    list of Entry or None
        The gradient of each entry of ``wrt``; None where the heads do not depend on it.

    Raises
    ------
    MXNetError
        If an operator on the way is not differentiable.
    """
    wanted = {entry.node for entry in wrt}
    for node in graph.nodes:                            # everything that depends on what is wanted
        if any(entry.node in wanted for entry in node.inputs):
            wanted.add(node)
    grads = {}                                          # entry -> Value
    for head, given in zip(graph.heads, head_grads):
        if given is None:
            continue
        if given.shape != head.shape:
            raise MXNetValueError(f"the gradient given for {head.node.name!r} has shape {given.shape}; its output has "
                                  f"{head.shape}")
        accumulate(grads, head, Value(given))
    for node in reversed(graph.nodes):
        if node.op is None or node not in wanted:
            continue
        outputs = [grads.get(Entry(node, i)) for i in range(node.n_visible)]
        if all(g is None for g in outputs):
            continue
        for entry, grad in zip(node.inputs, apply_rule(node, outputs, wanted, train)):
            if grad is not None and entry.node in wanted:
                accumulate(grads, entry, grad)
    return [grads[entry].entry if entry in grads else None for entry in wrt]


def accumulate(grads, entry, grad):
    """Add a contribution to the gradient of an entry."""
    if grad.shape != entry.shape:
        raise MXNetError(f"the gradient of {entry.node.name!r} has shape {grad.shape}, its value {entry.shape}: "
                         f"a fault in a gradient rule")
    if entry in grads:
        grad = Builder(grad.entry.node.name, grad.entry.node.attrs).elemwise_add(grads[entry], grad)
    grads[entry] = grad


def apply_rule(node, gs, wanted, train):
    """The gradients of a node's inputs, Values and Nones."""
    op = node.op
    rule = op.rules.get("gradient")
    if rule is None:
        raise MXNetError(f"{op.name} (node {node.name!r}) is not differentiable; put BlockGrad behind it")
    user = {key: value for key, value in node.attrs.items() if key.startswith("__")}
    F = Builder(f"{node.name}_backward", user)
    inputs = [Value(entry, F) for entry in node.inputs]
    gs = [None if g is None else Value(g.entry, F) for g in gs]
    values = {**node.params, **dict.fromkeys(op.inputs), **dict.fromkeys(op.outputs)}
    if op.variadic:
        values[op.inputs[0]] = inputs
    else:
        values.update(zip(node.input_names, inputs))
    values.update((name, Value(Entry(node, i), F)) for i, name in enumerate(op.outputs[:node.n_outputs]))
    values.update(F=F, gs=tuple(gs), scalar=node.scalar, train=train,
                  needs=tuple(entry.node in wanted for entry in node.inputs))
    args, constants = [], {}
    for name, argument in inspect.signature(rule).parameters.items():
        if name == "g":
            value = gs[0] if gs[0] is not None else F._zeros(shape=node.types[0][0], dtype=node.types[0][1])
        else:
            value = values[name]
        if argument.kind is argument.KEYWORD_ONLY:
            constants[name] = value
        else:
            args.append(value)
    result = rule(*args, **constants)
    if result is None:
        return [None] * len(inputs)
    result = [result] if isinstance(result, Value) else list(result)
    return result + [None] * (len(inputs) - len(result))
