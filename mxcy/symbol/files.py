"""Symbol files: JSON as MXNet wrote it from its first version on, read and written."""
import json
import logging
from json.encoder import encode_basestring as quoted

from mxcy.base import MXNetValueError, nearest
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.ops.operator import REGISTRY
from mxcy.symbol.compose import HIDDEN, INITIAL

__all__ = ["dumps", "loads"]

VERSION = 10901                 # MXNet 1.9.1, whose form is written
#: Operators that have other numbers of outputs, with the hidden ones, in MXNet than here.
OUTPUTS = {"L2Normalization": 2, "LRN": 2, "sort": 2}
DEEP = 32                       # subgraphs within subgraphs that a file may have
MANY = 100_000                  # outputs of one node
LONG = 10                       # items that a list has on one line at most


# -- writing -----------------------------------------------------------------------------------------------------------

def dumps(heads):
    """The JSON text of a graph, byte for byte as MXNet 1.9.1 writes it."""
    return write({**plain(Graph(heads)), "attrs": {"mxnet_version": ["int", VERSION]}}, 0)


def plain(graph):
    """A graph as dicts and lists."""
    number = {node: i for i, node in enumerate(graph.nodes)}
    pointers = [0]
    nodes = []
    for node in graph.nodes:
        pointers.append(pointers[-1] + outputs_in_mxnet(node))
        item = {"op": node.op.name if node.op else "null", "name": node.name}
        if node.attrs:
            item["attrs"] = dict(sorted(node.attrs.items()))
        states = auxiliary_positions(node)
        item["inputs"] = [[number[entry.node], entry.index, int(i in states)] for i, entry in enumerate(node.inputs)]
        if node.subgraphs:
            item["subgraphs"] = [plain(subgraph) for subgraph in node.subgraphs]
        nodes.append(item)
    return {"nodes": nodes, "arg_nodes": [i for i, node in enumerate(graph.nodes) if node.op is None],
            "node_row_ptr": pointers, "heads": [[number[entry.node], entry.index, 0] for entry in graph.heads]}


def outputs_in_mxnet(node):
    """How many outputs a node has in MXNet, with the hidden ones."""
    if node.op is not None and node.op.name == "RNN":
        return node.n_visible
    return (node.op and OUTPUTS.get(node.op.name)) or node.n_outputs


def auxiliary_positions(node):
    """Positions of the inputs that are states of the operator."""
    if node.op is None:
        return ()
    op, names = node.op, node.input_names
    changed = set(op.changed_inputs(node.params, names))
    return changed | {i for i, name in enumerate(names) if name in op.aux}


def write(value, depth):
    """JSON with MXNet's line breaks."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, int):
        return str(value)
    pad = "  " * (depth + 1)
    if isinstance(value, dict):
        items = [f"{quoted(key)}: {write(item, depth + 1)}" for key, item in value.items()]
        if len(items) <= 1 and not any(isinstance(item, (dict, list)) and item for item in value.values()) or \
                (len(items) == 1 and "mxnet_version" in value):
            return "{" + ", ".join(items) + "}"
        return "{\n" + ", \n".join(pad + item for item in items) + "\n" + "  " * depth + "}"
    items = [write(item, depth + 1) for item in value]
    if len(value) <= LONG and not any(isinstance(item, dict) for item in value):
        return "[" + ", ".join(items) + "]"
    return "[\n" + ", \n".join(pad + item for item in items) + "\n" + "  " * depth + "]"


# -- reading -----------------------------------------------------------------------------------------------------------

def loads(text):
    """The heads of the graph that a JSON text describes.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Entry

    Raises
    ------
    MXNetError
        If the text is not a symbol file, or uses operators that do not exist.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MXNetValueError(f"not a symbol file: {type(error).__name__}: {error}") from None
    heads = read_graph(data, version_of(data)).heads
    if not heads:
        raise MXNetValueError("symbol file: there are no heads, that is no outputs")
    return heads


def version_of(data):
    if not isinstance(data, dict):
        raise MXNetValueError(f"not a symbol file: the JSON is a {type(data).__name__}, expected an object")
    try:
        version = data["attrs"]["mxnet_version"][1]
        version = int(version)
    except (KeyError, TypeError, IndexError, ValueError, OverflowError):
        version = 800
    if version < VERSION // 100 * 100:
        logging.info("Loading symbol saved by version %d.%d.%d", version // 10000, version // 100 % 100, version % 100)
    return version


def read_graph(data, version, depth=0):
    if depth > DEEP:
        raise MXNetValueError(f"symbol file: graphs within graphs are nested more than {DEEP} deep")
    nodes = []
    for number, item in enumerate(field(data, "nodes", list, "the file")):
        where = f"node {number}"
        if not isinstance(item, dict):
            raise MXNetValueError(f"symbol file: {where} is a {type(item).__name__}, expected an object")
        name, kind = field(item, "name", str, where), field(item, "op", str, where)
        node = Node(None if kind == "null" else operator_of(kind, name), name, (), {})
        entries = [entry_of(pair, nodes, f"an input of {where} ({name!r})")
                   for pair in field(item, "inputs", list, where)]
        for key in ("param", "attr", "attrs"):
            given = item.get(key) or {}
            if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
                raise MXNetValueError(f"symbol file: {key} of {where} ({name!r}) must map names to text")
            node.attrs.update(given)
        node.inputs = entries
        node.subgraphs = tuple(read_graph(subgraph, version, depth + 1)
                               for subgraph in field({"subgraphs": [], **item}, "subgraphs", list, where))
        upgrade(node, version)
        check(node)
        nodes.append(node)
    return Graph([entry_of(pair, nodes, "a head") for pair in field(data, "heads", list, "the file")])


def field(item, key, kind, where):
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, kind):
        raise MXNetValueError(f"symbol file: {key!r} of {where} is "
                              f"{'missing' if value is None else type(value).__name__}; expected a {kind.__name__}")
    return value


def operator_of(kind, name):
    if kind not in REGISTRY:
        raise MXNetValueError(f"symbol file: node {name!r} uses operator {kind!r}, which does not exist."
                              f"{nearest(kind, REGISTRY)}")
    return REGISTRY[kind]


def entry_of(pair, nodes, what):
    """An Entry from [node, output] or [node, output, version]; only earlier nodes may be named: no cycle can form."""
    if not (isinstance(pair, list) and len(pair) in (2, 3) and all(type(n) is int for n in pair)):
        raise MXNetValueError(f"symbol file: {what} is {str(pair)[:60]}; expected [node, output]")
    node, index = pair[:2]
    if not 0 <= node < len(nodes):
        raise MXNetValueError(f"symbol file: {what} is node {node}, which does not come before it")
    if not 0 <= index < max(nodes[node].n_outputs, 1):
        raise MXNetValueError(f"symbol file: {what} is output {index} of {nodes[node].name!r}, which has "
                              f"{nodes[node].n_outputs}")
    return Entry(nodes[node], index)


def check(node):
    """Parameters and number of inputs must be right."""
    if node.op is None:
        return
    if node.n_outputs > MANY:
        raise MXNetValueError(f"symbol file: node {node.name!r} ({node.op.name}) has {node.n_outputs} outputs; at most "
                              f"{MANY} are possible")
    if "check_node" in node.op.rules:                   # operators with graphs of their own
        node.op.rules["check_node"](node)
    expected = node.op.input_names(node.params, len(node.inputs)) if not node.op.variadic else node.inputs
    optional = len(node.op.optional_inputs) if "inputs_given" not in node.op.rules else 0
    least = max(auxiliary_positions(node), default=-1) + 1
    if len(node.inputs) < least:
        raise MXNetValueError(f"symbol file: node {node.name!r} ({node.op.name}) has {len(node.inputs)} inputs; "
                              f"expected {least} or more")
    if not len(expected) - optional <= len(node.inputs) <= len(expected):
        raise MXNetValueError(f"symbol file: node {node.name!r} ({node.op.name}) has {len(node.inputs)} inputs; "
                              f"expected {len(expected)}: {', '.join(map(str, expected))}")


def upgrade(node, version):
    """Bring a node of an older version to the current form."""
    if version < VERSION:
        for key in HIDDEN:
            if key in node.attrs:
                node.attrs[f"__{key}__"] = node.attrs.pop(key)
        if node.op is not None:
            move_to_inputs(node)
    if node.op is None:
        return
    if version < 905 and node.op.name in ("argmax", "argmin") and node.attrs.get("axis") == "-1":
        del node.attrs["axis"]
    if version < 900 and not node.op.variadic:
        names = node.op.input_names(node.params)
        for name in names[len(node.inputs):]:
            initial = INITIAL.get(node.op.name, {}).get(name)
            attrs = {**node.attrs, **({"__init__": initial} if initial else {})}
            node.inputs.append(Entry(Node(None, f"{node.name}_{name}", (), attrs), 0))


def move_to_inputs(node):
    """What a node says as ``weight_lr_mult`` is ``__lr_mult__`` of its weight."""
    said = [(key, hidden) for key in node.attrs for hidden in HIDDEN if key.endswith(f"_{hidden}")]
    values = [node.attrs.pop(key) for key, _ in said]
    names = node.input_names if said and not node.op.variadic else ()
    for (key, hidden), value in zip(said, values):
        name = key[:-len(hidden) - 1]
        position = names.index(name) if name in names else len(node.inputs)
        if position < len(node.inputs) and node.inputs[position].node.op is None:
            node.inputs[position].node.attrs[f"__{hidden}__"] = value
