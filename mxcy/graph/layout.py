"""Channels last: images stay in the layout that oneDNN, or cuDNN on tensor cores, computes in.

In a graph an array in another layout is an array of another shape: a convolution of (N, C, H, W) becomes one of
(N, H, W, C) between two transpositions, and whatever lies between two convolutions and does not care for the order of
axes follows. So a transposition is left only where images come in, and where something needs the old order. The pass
comes before the gradient pass, whose rules then give gradients in the same layout.
"""
from mxcy.graph.build import Builder, Value
from mxcy.graph.fuse_pointwise import is_pointwise
from mxcy.graph.graph import Entry, Graph
from mxcy.ops._onednn import available
from mxcy.ops.fused_convolution import preparable

__all__ = ["channels_last"]

TO_LAST, TO_FIRST = (0, 2, 3, 1), (0, 3, 1, 2)

#: Operators of images that name an axis, and the parameter that does.
AXIS = {"BatchNorm": "axis", "Concat": "dim", "SliceChannel": "axis", "slice_axis": "axis"}
#: Operators for each element that no elementwise group takes.
CASTS = ("Cast", "amp_cast")


def channels_last(graph, gpu=False):
    """Let convolutions, and what follows them, work on (N, H, W, C).

    Parameters
    ----------
    graph : Graph
        With types.
    gpu : bool
        Whether the graph is for one.

    Returns
    -------
    Graph
        With the same heads in the same layout.
    """
    dtypes = preferring(gpu)
    if not any(node.op is not None and node.op.name in CONVOLUTIONS and node.types[0][1] in dtypes
               for node in graph.nodes):
        return graph
    layouts = Layouts(dtypes, gpu)
    for node in graph.nodes:
        layouts.add(node)
    return Graph([layouts.first(head).entry for head in graph.heads])


def preferring(gpu):
    """The dtypes in which convolutions are fastest with channels last."""
    if not gpu:
        return ("float32",) if available() else ()
    from mxcy.ops.cuda.convolution import preferring_last           # what is for GPUs alone is not imported on others
    return preferring_last()


def moved(value, axes):
    """A transposed value; a reshape does where only axes of one element change their order."""
    F = Builder(value.entry.node.name, value.entry.node.attrs)
    shape = tuple(value.shape[axis] for axis in axes)
    long = [axis for axis in axes if value.shape[axis] != 1]
    return F.Reshape(value, shape=shape) if long == sorted(long) and 0 not in shape else F.transpose(value, axes=axes)


class Layouts:
    """The graph that is made, and what each entry of the old one became in it, in one layout or both."""

    def __init__(self, dtypes, gpu):
        self.dtypes, self.gpu = dtypes, gpu
        self.firsts, self.lasts = {}, {}

    def first(self, entry):
        """The Value of an entry, channels first."""
        if entry not in self.firsts:
            self.firsts[entry] = moved(self.lasts[entry], TO_FIRST)
        return self.firsts[entry]

    def last(self, entry):
        """The Value of an entry, channels last."""
        if entry not in self.lasts:
            self.lasts[entry] = moved(self.firsts[entry], TO_LAST)
        return self.lasts[entry]

    def follows(self, node):
        """Whether an image comes into the node with its channels last already."""
        return len(node.types[0][0]) == 4 and any(entry in self.lasts for entry in node.inputs)

    def add(self, node):
        """Make the node's counterpart."""
        made = None
        if node.op is not None and not node.after:
            if node.op.name in CONVOLUTIONS:
                made = self.convolution(node)
            elif self.follows(node):
                if node.op.name == "Pooling":
                    made = self.pooling(node)
                elif node.op.name in AXIS:
                    made = self.along_axis(node)
                elif (is_pointwise(node) and all(len(entry.shape) == 4 for entry in node.inputs)
                      or node.op.name in CASTS):
                    made = self.call(node, [self.last(entry) for entry in node.inputs], node.params)
        place = self.firsts if made is None else self.lasts
        if made is None:
            made = self.kept(node)
        for i in range(node.n_outputs):
            image = len(node.types[i][0]) == 4
            (place if image else self.firsts)[Entry(node, i)] = Value(Entry(made, i))

    def kept(self, node):
        """The node on inputs with channels first."""
        inputs = [self.first(entry).entry for entry in node.inputs]
        after = tuple(self.first(Entry(before, 0)).entry.node for before in node.after)
        if inputs == node.inputs and after == tuple(node.after):
            return node
        new = node.replace(inputs)
        new.after = after
        return new

    def call(self, node, inputs, params):
        """The node's operator on other Values, with other parameters."""
        F = Builder(node.name, node.attrs)
        scalar = {} if node.scalar is None else {"scalar": node.scalar}
        result = getattr(F, node.op.name)(*inputs, **params, **scalar)
        return (result[0] if isinstance(result, list) else result).entry.node

    def convolution(self, node):
        """Weights stay as they are: the libraries reorder them to a layout of their own, which costs nothing."""
        params = {**node.params, "layout": "NHWC", "weight_layout": "first"}
        data, weight, *bias = node.inputs
        shape, dtype = node.types[0]
        if len(params["kernel"]) != 2 or node.params["layout"] == "NHWC" or dtype not in self.dtypes or 0 in shape:
            return None
        if not self.gpu and node.op.name == "Convolution" and not preparable(params, turned(data.shape), turned(shape)):
            return None
        return self.call(node, [self.last(data), self.first(weight), *map(self.first, bias)], params)

    def pooling(self, node):
        if node.params["layout"] not in (None, "NCHW"):
            return None
        return self.call(node, [self.last(node.inputs[0])], {**node.params, "layout": "NHWC"})

    def along_axis(self, node):
        name = AXIS[node.op.name]
        params = {**node.params, name: TO_LAST.index(node.params[name] % 4)}
        images = [self.last(entry) if len(entry.shape) == 4 else self.first(entry) for entry in node.inputs]
        return self.call(node, images, params)


CONVOLUTIONS = ("Convolution", "Deconvolution")


def turned(shape):
    """The shape of an image, channels last."""
    return tuple(shape[axis] for axis in TO_LAST)
