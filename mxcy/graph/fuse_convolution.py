"""Fusion in prediction: convolution, batch norm, sum and activation become one step, ``_fused_convolution``.

Batch norm is folded into the weights and the bias by arithmetic on them; that depends on parameters alone, and so does
bringing the weights into oneDNN's layout: a plan does both once. A batch norm that follows something else becomes a
scale and a shift, which fuse with the elementwise operators around them.

On GPUs convolutions stay what they are, with other weights and a bias; it joins the elementwise operators that follow.
Where they have channels last, for tensor cores, bias, sum and rectifier are one call of cuDNN with them.
"""
from mxcy.graph.build import Builder, Value
from mxcy.graph.graph import Entry
from mxcy.graph.layout import preferring
from mxcy.ops.convolution import channel_axis
from mxcy.ops.fused_convolution import preparable

__all__ = ["fuse_convolutions"]

SUMS = ("elemwise_add", "broadcast_add", "add_n")

WINDOW = ("kernel", "stride", "dilate", "pad", "num_filter", "num_group", "layout", "weight_layout")


def fuse_convolutions(graph, gpu=False):
    """Put convolutions together with what follows them.

    Parameters
    ----------
    graph : Graph
        With types; runs in prediction, and no gradient of it is wanted.
    gpu : bool
        Whether it does so on one.

    Returns
    -------
    Graph
    """
    users = graph.users(heads=True)
    taken, chains = set(), {}
    for node in graph.nodes:
        if is_fusible(node, gpu):
            chain = kind_of(node, gpu)(node, users, taken)
            if len(chain.nodes) > 1 or not gpu:
                taken.update(chain.nodes)
                chains.update((link, chain) for link in chain.nodes)

    def rebuild(node, inputs):
        if node in chains:
            return chains[node].rebuild(node, inputs)
        if node.op is not None and node.op.name == "BatchNorm" \
                and node.types[0][1] == node.types[1][1] and not any(Entry(node, i) in users for i in (1, 2)):
            return [normalized(node, inputs)]
        return None
    return graph.map(rebuild)


def is_fusible(node, gpu):
    if node.op is None or node.op.name != "Convolution" or node.after:
        return False
    return gpu or (node.params["layout"] == "NHWC" and node.types[0][1] == "float32"
                   and preparable(node.params, node.inputs[0].shape, node.types[0][0]))


def kind_of(node, gpu):
    """What the node and those after it can become."""
    if not gpu:
        return Chain
    return Summing if node.params["layout"] == "NHWC" and node.types[0][1] in preferring(gpu) else Folding


def activation_of(node):
    """The activation that a node is, as parameters of ``_fused_convolution``; None if it is none of those."""
    name, params = node.op.name, node.params
    kind = params.get("act_type", name)
    if name in ("Activation", "relu", "sigmoid", "tanh") and kind in ("relu", "sigmoid", "tanh"):
        return {"activation": kind}
    if name == "clip":
        return {"activation": "clip", "alpha": params["a_min"], "beta": params["a_max"]}
    if name == "LeakyReLU" and kind in ("leaky", "elu"):
        return {"activation": "relu" if kind == "leaky" else "elu", "alpha": params["slope"]}
    return None


def only_user(entry, users):
    """The node that alone uses an entry, or None."""
    found = users.get(entry, ())
    return found[0][0] if len(found) == 1 else None


class Folding:
    """A convolution and the batch norm that is done with it."""

    def __init__(self, node, users, taken):
        self.nodes, self.inputs, self.norm = [node], {}, None
        after = self.next(users, taken)
        if after is not None and after.op.name == "BatchNorm" and after.inputs[0].node is node \
                and (after.params["axis"] - channel_axis(node.params["layout"])) % len(node.types[0][0]) == 0 \
                and not any(Entry(after, i) in users for i in (1, 2)):
            self.norm = after
            self.nodes.append(after)

    def next(self, users, taken):
        """The only user of what the chain computes so far, if nothing else is done with it."""
        node = only_user(Entry(self.nodes[-1], 0), users)
        return None if node is None or node.op is None or node in taken or node.after else node

    def rebuild(self, node, inputs):
        """The entries in place of a node of the chain: its last one does all."""
        self.inputs[node] = inputs
        return [self.fused().entry] if node is self.nodes[-1] else None

    def arrays(self, F):
        """Data, weights and, in a list, the bias, if there is one: the batch norm is in them."""
        data, weight, *bias = [Value(entry, F) for entry in self.inputs[self.nodes[0]]]
        if self.norm is not None:
            scale, shift = affine(F, self.norm, self.inputs[self.norm])
            wide, dtype = scale.dtype, weight.dtype                 # 16-bit convolutions have statistics in float32
            weight = F.cast(F.broadcast_mul(F.cast(weight, dtype=wide),
                                            F.Reshape(scale, shape=(-1,) + (1,) * (weight.ndim - 1))), dtype=dtype)
            shift = F.broadcast_add(F.cast(bias[0], dtype=wide) * scale, shift) if bias else shift
            bias = [F.cast(shift, dtype=dtype)]
        return data, weight, bias

    def fused(self):
        first, last = self.nodes[0], self.nodes[-1]
        data, weight, bias = self.arrays(F := Builder(last.name, last.attrs))
        return F.Convolution(data, weight, *bias, **{**first.params, "no_bias": False})


class Chain(Folding):
    """A convolution and all nodes after it that are done with it, in one step."""

    def __init__(self, node, users, taken):
        super().__init__(node, users, taken)
        self.sum = self.activation = None
        after = self.next(users, taken)
        if after is not None and after.op.name in SUMS and len(after.inputs) == 2 \
                and after.inputs[0].shape == after.inputs[1].shape:
            self.sum = after
            self.nodes.append(after)
            after = self.next(users, taken)
        if after is not None and self.takes(activation_of(after)):
            self.activation = after
            self.nodes.append(after)

    @staticmethod
    def takes(activation):
        return activation is not None

    def call(self, F, data, weight, bias, addend, params):
        weight = F._prepare_convolution_weight(weight, data_shape=data.shape, out_shape=self.nodes[0].types[0][0],
                                               **params)
        return F._fused_convolution(data, weight, bias, *addend, **params, with_addend=bool(addend),
                                    **(activation_of(self.activation) if self.activation else {}))

    def fused(self):
        first, last = self.nodes[0], self.nodes[-1]
        data, weight, bias = self.arrays(F := Builder(last.name, last.attrs))
        params = {key: first.params[key] for key in WINDOW}
        bias = bias[0] if bias else F._zeros(shape=(params["num_filter"],), dtype=weight.dtype)
        addend = []
        if self.sum is not None:
            before = self.sum.inputs[0].node in self.nodes
            addend = [Value(self.inputs[self.sum][1 if before else 0], F)]
        return self.call(F, data, weight, bias, addend, params)


class Summing(Chain):
    """A convolution and all nodes after it that cuDNN does with it."""

    @staticmethod
    def takes(activation):
        return activation == {"activation": "relu"}

    def call(self, F, data, weight, bias, addend, params):
        given = {key: self.nodes[0].params[key] for key in ("workspace", "cudnn_off")}
        return F._convolution_sum(data, weight, bias, *addend, **params, **given, with_addend=bool(addend),
                                  activation="relu" if self.activation else None)


def affine(F, norm, inputs):
    """Batch norm of moving statistics as a scale and a shift of each channel."""
    gamma, beta, mean, var = [Value(entry, F) for entry in inputs[1:]]
    scale = 1. / F.sqrt(var + norm.params["eps"])
    if not norm.params["fix_gamma"]:
        scale = scale * gamma
    return scale, beta - mean * scale


def normalized(norm, inputs):
    """Batch norm as elementwise operators."""
    F = Builder(norm.name, norm.attrs)
    data = Value(inputs[0], F)
    axis = norm.params["axis"] % data.ndim
    shape = (-1,) + (1,) * (data.ndim - 1 - axis)
    scale, shift = [F.Reshape(x, shape=shape) for x in affine(F, norm, inputs)]
    return F.broadcast_add(F.broadcast_mul(data, scale), shift).entry
