"""Running a graph operator by operator, on the tape where it records: the reference that plans are held to."""
from contextlib import nullcontext

from mxcy.base import MXNetValueError
from mxcy.context import Context
from mxcy.graph.place import DEVICE
from mxcy.imperative._function import apply
from mxcy.ops.operator import call_rule

__all__ = ["interpret", "needs_interpreter"]


def needs_interpreter(graph, gpu=False, train=True):
    """Whether no plan can be made: an operator's course depends on data or other devices, or on a GPU needs the host.

    Operators with graphs of their own have a rule ``run``, and if they can be unrolled, ``expand``. Those whose steps
    would be the host's wherever their arrays are have a rule ``host``. Both rules compute the outputs. ``together``
    says, of the parameters, whether one waits in training for what other devices bring.
    """
    return any(node.op is not None and
               ("run" in node.op.rules and ("expand" not in node.op.rules or
                                            any(needs_interpreter(part, gpu, train) for part in node.subgraphs)) or
                train and "together" in node.op.rules and call_rule(node.op.rules["together"], node.params) or
                gpu and "host" in node.op.rules) for node in graph.nodes)


def interpret(graph, values):
    """Compute the heads of a graph with arrays for its variables.

    Parameters
    ----------
    graph : Graph
        With or without types.
    values : dict of str to NDArray
        By name of variable.

    Returns
    -------
    list of NDArray
        One for each head.
    """
    uses = {}
    for node in graph.nodes:
        for entry in node.inputs:
            uses[entry.node] = uses.get(entry.node, 0) + 1
    for entry in graph.heads:
        uses[entry.node] = uses.get(entry.node, 0) + 1
    done = {}
    for node in graph.nodes:
        if node.op is None:
            if node.maker:
                done[node] = [node.maker()]
                continue
            if node.name not in values:
                raise MXNetValueError(f"no array is given for the variable {node.name!r}")
            done[node] = [values[node.name]]
            continue
        inputs = tuple([done[entry.node][entry.index] for entry in node.inputs])
        run = node.op.rules.get("run") or node.op.rules.get("host")
        scalar = 0. if node.scalar is None else node.scalar
        placed = not inputs and DEVICE in node.attrs                # others are where their inputs are
        with Context(node.attrs[DEVICE]) if placed else nullcontext():
            done[node] = run(node, inputs) if run else apply(node.op, node.params, inputs, scalar)
        for entry in node.inputs:                       # arrays go when nothing needs them any more
            uses[entry.node] -= 1
            if not uses[entry.node]:
                del done[entry.node]
    return [done[entry.node][entry.index] for entry in graph.heads]
