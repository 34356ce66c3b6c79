"""Small graphs of the kinds that networks for pictures are made of."""
import numpy as np

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.graph import Graph


class Network:
    """Layers that make their own variables."""

    def __init__(self, dtype="float32"):
        self.dtype, self.count = dtype, 0

    def variable(self, kind, shape):
        self.count += 1
        return variable(f"{kind}{self.count}", shape, self.dtype)

    def conv(self, x, filters, kernel=3, stride=1, groups=1, bias=False):
        weight = self.variable("weight", (filters, x.shape[1] // groups, kernel, kernel))
        inputs = [x, weight, *([self.variable("bias", (filters,))] if bias else [])]
        return F.Convolution(*inputs, kernel=(kernel, kernel), stride=(stride, stride), num_filter=filters,
                             pad=(kernel // 2, kernel // 2), num_group=groups, no_bias=not bias)

    def norm(self, x, **params):
        return F.BatchNorm(x, *[self.variable(kind, x.shape[1:2]) for kind in ("gamma", "beta", "mean", "var")],
                           **params)

    def unit(self, x, filters, kernel=3, stride=1, groups=1, activation="relu"):
        """Convolution, batch norm and activation."""
        x = self.norm(self.conv(x, filters, kernel, stride, groups), fix_gamma=False)
        return F.clip(x, a_min=0, a_max=6) if activation == "relu6" else F.Activation(x, act_type=activation)


def residual():
    """Two residual blocks, the second with a stride; a classifier."""
    net = Network()
    x = net.unit(net.variable("data", (2, 3, 32, 32)), 16, 7, 2)
    x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type="max")
    for filters, stride in ((16, 1), (32, 2)):
        body = net.norm(net.conv(net.unit(x, filters, stride=stride), filters))
        short = x if stride == 1 else net.norm(net.conv(x, filters, 1, stride))
        x = F.Activation(body + short, act_type="relu")
    x = F.Flatten(F.Pooling(x, global_pool=True, kernel=(1, 1), pool_type="avg"))
    return Graph([F.FullyConnected(x, net.variable("weight", (10, 32)), net.variable("bias", (10,)), num_hidden=10).entry])


def preactivated():
    """Batch norm and activation before each convolution."""
    net = Network()
    x = net.conv(net.variable("data", (2, 3, 16, 16)), 16)
    for _ in range(2):
        y = F.Activation(net.norm(x), act_type="relu")
        x = x + net.conv(net.unit(y, 16), 16)
    return Graph([F.Activation(net.norm(x), act_type="relu").entry])


def inception():
    """Branches that are joined, with poolings of both kinds; biases, other activations."""
    net = Network()
    x = F.tanh(net.conv(net.variable("data", (2, 3, 17, 17)), 20, bias=True))
    branches = [net.unit(x, 8, 1), net.unit(net.unit(x, 8, 1), 12, activation="sigmoid"),
                F.LeakyReLU(net.conv(F.Pooling(x, kernel=(3, 3), pad=(1, 1), pool_type="avg"), 4, bias=True), slope=.1),
                F.Pooling(x, kernel=(3, 3), pad=(1, 1), pool_type="max")]
    x = F.Concat(*branches, dim=1)
    left, right = F.SliceChannel(x, num_outputs=2, axis=1)
    return Graph([F.LeakyReLU(net.conv(left * right, 7), act_type="elu").entry, F.Dropout(x, p=.5).entry])


def depthwise():
    """Inverted residual blocks."""
    net = Network()
    x = net.unit(net.variable("data", (2, 3, 16, 16)), 16, stride=2, activation="relu6")
    for filters in (16, 24):
        y = net.unit(net.unit(x, 32, 1, activation="relu6"), 32, groups=32, activation="relu6")
        y = net.norm(net.conv(y, filters, 1), fix_gamma=False)
        x = x + y if filters == 16 else y
    return Graph([F.mean(x, axis=(2, 3)).entry])


NETWORKS = {function.__name__: function for function in (residual, preactivated, inception, depthwise)}


def arrays(graph, seed=0):
    """Arrays for the variables; variances are positive."""
    rng = np.random.default_rng(seed)
    values = {}
    for node in graph.variables:
        (shape, dtype), = node.types
        x = rng.normal(size=shape) / (np.prod(shape[1:]) ** .5 if node.name.startswith("weight") else 1)
        values[node.name] = mx.nd.array(np.abs(x) + .5 if node.name.startswith("var") else x, dtype=dtype)
    return values


def count(graph, *names):
    """How many nodes of these operators there are."""
    return sum(node.op is not None and node.op.name in names for node in graph.nodes)
