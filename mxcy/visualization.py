"""Symbols as tables and pictures: ``mx.viz.print_summary`` and ``mx.viz.plot_network``."""
from math import prod

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.graph.graph import Entry
from mxcy.graph.infer import infer_shapes, is_complete
from mxcy.symbol.symbol import Symbol

__all__ = ["plot_network", "print_summary"]

HEADINGS = ("Layer (type)", "Output Shape", "Param #", "Previous Layer")

#: Fill colours by kind of node.
COLOURS = {"variable": "#8dd3c7", "weighted": "#fb8072", "normal": "#bebada", "activation": "#ffffb3",
           "pooling": "#80b1d3", "shape": "#fdb462", "other": "#fccde5"}
KINDS = {"Convolution": "weighted", "Deconvolution": "weighted", "FullyConnected": "weighted", "Embedding": "weighted",
         "RNN": "weighted", "BatchNorm": "normal", "LayerNorm": "normal", "GroupNorm": "normal",
         "InstanceNorm": "normal", "LRN": "normal", "Activation": "activation", "LeakyReLU": "activation",
         "relu": "activation", "sigmoid": "activation", "tanh": "activation", "Pooling": "pooling", "Concat": "shape",
         "Flatten": "shape", "Reshape": "shape", "transpose": "shape", "SliceChannel": "shape"}


class Picture:
    """What is to be seen of a symbol: its graph, shapes as far as known, and which variables are parameters."""

    def __init__(self, what, symbol, shape):
        if not isinstance(symbol, Symbol):
            raise MXNetTypeError(f"{what}: symbol is {type(symbol).__name__}; expected a Symbol")
        self.graph = symbol.graph
        unknown = [name for name in shape or () if name not in symbol.list_inputs()]
        if unknown:
            raise MXNetValueError(f"{what}: {unknown[0]!r} is not an argument; they are "
                                  f"{', '.join(symbol.list_arguments())}")
        self.shapes = infer_shapes(self.graph, shape) if shape else {}
        self.states = set(symbol.list_auxiliary_states())
        data = {node.inputs[0].node for node in self.graph.nodes if node.inputs and not node.op.variadic}
        data |= {entry.node for node in self.graph.nodes if node.op and node.op.variadic for entry in node.inputs}
        self.parameters = {node for node in self.graph.variables if node not in data and node.name not in (shape or ())}

    def shape(self, entry):
        """The shape of a value less its batch, as text; empty, if not known."""
        shape = self.shapes.get(Entry(*entry))
        return "x".join(map(str, shape[1:] or shape)) if is_complete(shape) else ""

    def count(self, node):
        """How many numbers are learned in the parameters of a node, as far as their shapes are known."""
        found = 0
        for name, entry in zip(node.input_names, node.inputs):
            learned = entry.node in self.parameters and entry.node.name not in self.states and name != "label"
            if learned and is_complete(self.shapes.get(entry)):
                found += prod(self.shapes[entry])
        return found


def print_summary(symbol, shape=None, line_length=120, positions=(.44, .64, .74, 1.)):
    """Print a table of the layers of a symbol: output shapes, numbers of parameters, and where inputs come from.

    Parameters
    ----------
    symbol : Symbol
    shape : dict of str to tuple of int, optional
        Shapes of the inputs. Without them no shapes and no numbers of parameters are shown.
    line_length : int
        Characters in a line.
    positions : sequence of float
        Where each of the four columns ends: fractions of a line, or, above 1, characters.
    """
    picture = Picture("print_summary", symbol, shape)
    ends = [int(line_length * at) if positions[-1] <= 1 else int(at) for at in positions]
    total, lines = 0, [row(HEADINGS, ends), "=" * line_length]
    for node in picture.graph.nodes:
        if node in picture.parameters:
            continue
        count = picture.count(node) if node.op else 0
        total += count
        kind = node.op.name if node.op else "null"
        before = list(dict.fromkeys(e.node.name for e in node.inputs if e.node not in picture.parameters)) or [""]
        lines.append(row((f"{node.name}({kind})", picture.shape((node, 0)), count, before[0]), ends))
        lines += [row(("", "", "", name), ends) for name in before[1:]]
        lines.append("_" * line_length)
    lines[-1] = "=" * line_length
    print("\n".join(["_" * line_length, *lines, f"Total params: {total}", "_" * line_length]))


def row(cells, ends):
    """One line of a table whose columns end at ``ends``."""
    line = ""
    for cell, end in zip(cells, ends):
        line = (line + str(cell))[:end].ljust(end)
    return line


def plot_network(symbol, title="plot", save_format="pdf", shape=None, dtype=None, node_attrs=None, hide_weights=True):
    """A picture of a symbol, made with graphviz.

    Parameters
    ----------
    symbol : Symbol
    title : str
        Name of the picture, and of its file.
    save_format : str
        Format of the file that the result's ``render()`` makes, such as pdf or png.
    shape : dict of str to tuple of int, optional
        Shapes of the inputs; with them the edges show shapes.
    dtype : dict of str to dtype, optional
        Accepted for MXNet's sake: shapes do not depend on it.
    node_attrs : dict of str to str, optional
        Graphviz attributes of all nodes.
    hide_weights : bool
        Whether parameters are left out.

    Returns
    -------
    graphviz.Digraph
    """
    try:
        from graphviz import Digraph
    except ImportError:
        raise ImportError("plot_network draws with graphviz: install it with 'pip install graphviz', and the graphviz "
                          "programs to render files; print_summary needs neither") from None
    picture = Picture("plot_network", symbol, shape)
    dot = Digraph(name=title, format=save_format)
    style = {"shape": "box", "fixedsize": "true", "width": "1.3", "height": "0.8034", "style": "filled",
             **(node_attrs or {})}
    hidden = {node for node in picture.parameters if not node.name.endswith("label")} if hide_weights else ()
    for node in picture.graph.nodes:
        if node in hidden:
            continue
        if node.op is None:
            dot.node(node.name, node.name, **{**style, "shape": "oval", "fillcolor": COLOURS["variable"]})
            continue
        dot.node(node.name, label(node), **{**style, "fillcolor": COLOURS[KINDS.get(node.op.name, "other")]})
        for entry in node.inputs:
            if entry.node not in hidden:
                dot.edge(node.name, entry.node.name, dir="back", arrowtail="open", label=picture.shape(entry))
    return dot


def label(node):
    """What stands in a node's box: its kind and its main parameters, or its name."""
    params = node.params
    if "kernel" in params:
        window = "x".join(map(str, params["kernel"]))
        steps = "x".join(map(str, params["stride"] or (1,)))
        main = f"{params['pool_type']}, {window}/{steps}" if "pool_type" in params else \
            f"{window}/{steps}, {params.get('num_filter')}"
        return f"{node.op.name}\n{main}"
    for key in ("num_hidden", "act_type"):
        if key in params:
            return f"{node.op.name}\n{params[key]}"
    return node.name
