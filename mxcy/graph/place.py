"""Placement: which device computes each node, as groups of the user say, and copies where values change devices.

Symbols made within ``AttrScope(ctx_group="name")`` belong to a group; ``group2ctx`` maps groups to devices when the
symbol is bound. A plan keeps the values of CPU devices, which share the machine's memory, in one arena, so that between
them a copy needs no step. There are no plans for several GPUs: graphs that are placed on them are interpreted.
"""
from mxcy.base import MXNetValueError, nearest
from mxcy.context import Context
from mxcy.graph.graph import Entry, Node
from mxcy.ops.operator import lookup

__all__ = ["contexts", "place"]

#: Attribute of the user: the group.
GROUP = "__ctx_group__"
#: Attribute that this pass gives to nodes: the device.
DEVICE = "__ctx__"

COPY = lookup("_CrossDeviceCopy")


def contexts(graph, group2ctx, default):
    """The device of every node.

    Parameters
    ----------
    graph : Graph
    group2ctx : dict of str to Context
    default : Context
        For nodes that no group reaches.

    Returns
    -------
    dict of Node to Context
        That of its group; else that of its first input; a variable without a group is where it is used first.

    Raises
    ------
    ValueError
        If a node's group has no device.
    """
    found = {}
    for node in graph.nodes:
        group = node.attrs.get(GROUP)
        if group is not None:
            if group not in group2ctx:
                raise MXNetValueError(f"node {node.name!r} is in group {group!r}, for which group2ctx has no device."
                                      f"{nearest(group, group2ctx)} It has {', '.join(group2ctx) or 'none'}.")
            found[node] = Context(group2ctx[group])
        elif node.op is not None:
            found[node] = next((found[entry.node] for entry in node.inputs if entry.node in found), default)
    for node in graph.nodes:
        for entry in node.inputs:
            found.setdefault(entry.node, found[node])
    return {node: found.get(node, default) for node in graph.nodes}


def place(graph, group2ctx, default):
    """Put nodes on devices.

    Parameters
    ----------
    graph : Graph
        With or without types.
    group2ctx : dict of str to Context
    default : Context

    Returns
    -------
    Graph
        Every operator's node has its device as the attribute ``__ctx__``, and values that are used on another device
        than they are computed on go through a node ``_CrossDeviceCopy``, one for each such device.
    """
    where, copies = contexts(graph, group2ctx, default), {}
    device = {}                                         # of the new nodes

    def placed(node, inputs):
        here = where[node]
        if node.op is not None:
            node = node.replace([on(here, entry) for entry in inputs])
            node.attrs = {**node.attrs, DEVICE: str(here)}
        device[node] = here
        return [Entry(node, i) for i in range(node.n_outputs)]

    def on(here, entry):
        if device[entry.node] == here:
            return entry
        if (entry, here) not in copies:
            types = entry.node.types and [entry.node.types[entry.index]]
            copy = Node(COPY, f"{entry.node.name}_to_{here}", [entry], {DEVICE: str(here)}, types=types,
                        params={"ctx": str(here), "origin": str(device[entry.node])})
            device[copy] = here
            copies[entry, here] = Entry(copy, 0)
        return copies[entry, here]

    return graph.map(placed)
