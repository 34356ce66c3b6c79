"""Mixed precision in a symbol: the casts that plans make anyway where it is on, as nodes that can be saved."""
from mxcy.dtype import CODES
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.graph.infer import infer_types
from mxcy.ops.operator import lookup

__all__ = ["insert_casts"]


def insert_casts(graph, precision, known=None, excluded=(), cast_variables=False):
    """Put ``amp_cast`` where an operator wants another dtype than it gets.

    Parameters
    ----------
    graph : Graph
        Of a symbol.
    precision : Precision
    known : dict of str to dtype, optional
        Dtypes of variables; those that do not follow are float32.
    excluded : collection of str
        Nodes that compute in the dtypes of the graph as it is. So do loops and branches, with all that is in them.
    cast_variables : bool
        Whether a variable that is not in ``known`` and is only used in the 16-bit dtype gets that by its attribute
        ``__dtype__``, instead of a cast.

    Returns
    -------
    Graph
    """
    before = infer_types(graph, known or {})
    dtypes, casts = {}, {}              # of entries of the new graph; (entry, dtype) -> the one cast of it

    def cast(entry, dtype):
        if dtype is None or dtype == dtypes[entry]:
            return entry
        if (entry, dtype) not in casts:
            name = f"{entry.node.name}{entry.index or ''}_amp_cast_{dtype}"
            casts[entry, dtype] = Entry(Node(lookup("amp_cast"), name, [entry], {"dtype": dtype}), 0)
            dtypes[casts[entry, dtype]] = dtype
        return casts[entry, dtype]

    def convert(node, inputs):
        if node.op is None:
            dtypes[Entry(node, 0)] = before[Entry(node, 0)]
            return None
        if node.name in excluded or node.subgraphs:
            wanted = [before[entry] for entry in node.inputs]
        else:
            wanted = precision.conversions(node.op, node.params, [dtypes[entry] for entry in inputs])
        if wanted is not None:
            inputs = [cast(entry, dtype) for entry, dtype in zip(inputs, wanted)]
        new = node.replace(inputs)
        outputs = [Entry(new, i) for i in range(new.n_outputs)]
        dtypes.update(zip(outputs, results(new, [dtypes[entry] for entry in inputs])))
        return outputs

    converted = graph.map(convert)
    return with_cast_variables(converted, precision.dtype, known or {}) if cast_variables else converted


def results(node, dtypes):
    """Dtypes of a node's outputs from those of its inputs."""
    inputs = [Entry(Node(None, f"input{i}"), 0) for i in range(len(dtypes))]
    alone = node.replace(inputs)
    found = infer_types(Graph([Entry(alone, i) for i in range(alone.n_outputs)]),
                        {entry.node.name: dtype for entry, dtype in zip(inputs, dtypes)})
    return [found[Entry(alone, i)] for i in range(alone.n_outputs)]


def with_cast_variables(graph, dtype, known):
    """The graph in which variables have the dtype, if all that uses them is casts to it."""
    def is_cast(node):
        return node.op is not None and node.op.name == "amp_cast" and node.attrs["dtype"] == dtype

    users = graph.users()
    heads = {entry.node for entry in graph.heads}
    cast = {node for node in graph.variables if node.name not in known and node not in heads
            and all(is_cast(user) for user, _ in users[Entry(node, 0)])}
    became = {node: Node(None, node.name, attrs={**node.attrs, "__dtype__": str(CODES[dtype])}) for node in cast}

    def convert(node, inputs):
        if node in cast:
            return [Entry(became[node], 0)]
        return inputs if is_cast(node) and node.inputs[0].node in cast else None
    return graph.map(convert)
