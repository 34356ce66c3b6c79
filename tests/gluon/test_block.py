"""Names, structure and hooks of blocks. Expected texts are what Apache MXNet 1.9.1 gives."""
import warnings

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn


@pytest.fixture(autouse=True)
def fresh_names():
    with mx.name.NameManager():
        yield


class Net(gluon.Block):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.hidden = nn.Dense(3)
            self.scale = self.params.get("scale", shape=(2, 2))
            self.fixed = self.params.get_constant("fixed", nd.ones((2,)))

    def forward(self, x):
        return self.hidden(x)


def names(block, select=None):
    return list(block.collect_params(select).keys())


def test_names_count_by_kind():
    assert [nn.Dense(1).name, nn.Dense(1).name, nn.Conv2D(1, 1).name, nn.MaxPool2D().name, nn.Activation("relu").name,
            gluon.loss.L2Loss().name, Net().name] == ["dense0", "dense1", "conv0", "pool0", "relu0", "l2loss0", "net0"]


def test_names_in_scopes():
    net = Net()
    assert names(net) == ["net0_scale", "net0_fixed", "net0_dense0_weight", "net0_dense0_bias"]
    assert names(net, ".*weight|.*scale") == ["net0_scale", "net0_dense0_weight"]
    assert Net(prefix="mine_").hidden.prefix == "mine_dense0_"


def test_empty_prefix_is_transparent():
    net = nn.HybridSequential(prefix="")
    with net.name_scope():
        inner = nn.HybridSequential(prefix="in_")
        with inner.name_scope():
            inner.add(nn.Dense(1))
        net.add(nn.Dense(1), inner)
    assert names(net) == ["dense0_weight", "dense0_bias", "in_dense0_weight", "in_dense0_bias"]


def test_shared_parameters():
    one = nn.Dense(2, in_units=3)
    two = nn.Dense(2, in_units=3, params=one.params)
    assert two.weight is one.weight and two.prefix == "dense1_" and names(two) == names(one)
    with pytest.raises(AssertionError, match="shape"):
        nn.Dense(5, in_units=3, params=one.params)


def test_repr():
    net = nn.HybridSequential()
    with net.name_scope():
        net.add(nn.Conv2D(20, 5, activation="relu"), nn.MaxPool2D(2), nn.BatchNorm(), nn.Dense(10, in_units=3),
                nn.ELU())
    assert repr(net) == """HybridSequential(
  (0): Conv2D(None -> 20, kernel_size=(5, 5), stride=(1, 1), Activation(relu))
  (1): MaxPool2D(size=(2, 2), stride=(2, 2), padding=(0, 0), ceil_mode=False, global_pool=False, pool_type=max, \
layout=NCHW)
  (2): BatchNorm(axis=1, eps=1e-05, momentum=0.9, fix_gamma=False, use_global_stats=False, in_channels=None)
  (3): Dense(3 -> 10, linear)
  (4): ELU(
  \n  )
)"""
    assert repr(Net()) == "Net(\n  (hidden): Dense(None -> 3, linear)\n)"
    assert repr(nn.Dense(2).params) == """dense0_ (
  Parameter dense0_weight (shape=(2, 0), dtype=float32)
  Parameter dense0_bias (shape=(2,), dtype=float32)
)"""


@pytest.mark.parametrize("layer, text", [
    (lambda: nn.Conv2DTranspose(3, 2, strides=2, use_bias=False, in_channels=4),
     "Conv2DTranspose(3 -> 4, kernel_size=(2, 2), stride=(2, 2), bias=False)"),
    (lambda: nn.Conv1D(2, 3, padding=1, dilation=2, in_channels=2),
     "Conv1D(2 -> 2, kernel_size=(3,), stride=(1,), padding=(1,), dilation=(2,))"),
    (lambda: nn.Conv2D(4, 3, groups=2, in_channels=2), "Conv2D(1 -> 4, kernel_size=(3, 3), stride=(1, 1), groups=2)"),
    (lambda: nn.Dropout(0.5, axes=(1,)), "Dropout(p = 0.5, axes=(1,))"),
    (lambda: nn.Embedding(3, 4), "Embedding(3 -> 4, float32)"),
    (lambda: nn.LayerNorm(), "LayerNorm(eps=1e-05, axis=-1, center=True, scale=True, in_channels=0)"),
    (lambda: nn.GroupNorm(2), "GroupNorm(eps=1e-05, num_groups=2, center=True, scale=True)"),
    (lambda: nn.HybridLambda("relu"), "HybridLambda(relu)"), (lambda: nn.Lambda(lambda x: x), "Lambda(<lambda>)"),
    (lambda: nn.LeakyReLU(.1), "LeakyReLU(0.1)"), (lambda: nn.Flatten(), "Flatten"),
    (lambda: gluon.loss.L2Loss(), "L2Loss(batch_axis=0, w=1.0)")])
def test_repr_of_layers(layer, text):
    assert repr(layer()) == text


def test_sequential_is_a_sequence():
    net = nn.Sequential()
    net.add(nn.Dense(1), nn.Dense(2), nn.Dense(3))
    assert len(net) == 3 and net[-1]._units == 3 and [d._units for d in net] == [1, 2, 3]
    assert isinstance(net[1:], nn.Sequential) and len(net[1:]) == 2 and net[1:][0] is net[1]


def test_sequential_hands_tuples_on():
    net = nn.Sequential()
    net.add(nn.Lambda(lambda x: (x, 2 * x)), nn.Lambda(lambda x, y: x + y))
    assert net(nd.ones((1,))).asscalar() == 3


def test_attributes_keep_their_kind():
    net = Net()
    with pytest.raises(TypeError, match="cannot become"):
        net.hidden = 3
    net.hidden = nn.Dense(7)
    assert net._children["hidden"]._units == 7
    with pytest.raises(AssertionError):
        net.scale = gluon.Parameter("other")


def test_hybrid_blocks_have_hybrid_children():
    with pytest.raises(TypeError, match="HybridBlock"):
        nn.HybridSequential().add(nn.Lambda("relu"))


def test_blocks_in_lists_are_warned_of():
    class Hidden(gluon.Block):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Dense(1)]

    with pytest.warns(UserWarning, match="Hidden.layers"):
        Hidden().collect_params()

    class Registered(Hidden):
        def __init__(self):
            super().__init__()
            self.register_child(self.layers[0])

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(Registered().collect_params()) == 2


def test_hooks_and_apply():
    net = nn.Sequential()
    net.add(nn.Flatten(), nn.Flatten())
    seen = []
    before = net[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0].shape))
    with net[0].register_forward_hook(lambda block, inputs, output: seen.append(output.shape)):
        net(nd.ones((2, 3, 4)))
    before.detach()
    net(nd.ones((2, 3, 4)))
    assert seen == [(2, 3, 4), (2, 12)]
    visited = []
    assert net.apply(lambda block: visited.append(type(block).__name__)) is net
    assert visited == ["Flatten", "Flatten", "Sequential"]


def test_hybridize_keeps_the_result():
    net = nn.HybridSequential()
    net.add(nn.Dense(3, activation="tanh"), nn.Dense(2))
    net.initialize()
    x = nd.ones((2, 4))
    before = net(x).asnumpy()
    net.hybridize(static_alloc=True)
    assert (net(x).asnumpy() == before).all()
    plain = nn.Sequential()
    plain.add(nn.Dense(1))
    with pytest.warns(UserWarning, match="HybridSequential"):
        plain.hybridize()


class Custom(gluon.HybridBlock):
    """A layer of one's own: ``function(F, x, weight, bias)``, with parameters of the given shapes."""

    def __init__(self, function, weight, bias=(3,)):
        super().__init__()
        self.function = function
        with self.name_scope():
            self.weight = self.params.get("weight", shape=weight, init="ones", allow_deferred_init=True)
            self.bias = self.params.get("bias", shape=bias, init="zeros", allow_deferred_init=True)

    def hybrid_forward(self, F, x, weight, bias):
        return self.function(F, x, weight, bias)


@pytest.mark.parametrize("function, given, weight, bias", [
    (lambda F, x, w, b: F.FullyConnected(x, w, b, num_hidden=3), [(3, 0), (3,)], (3, 12), (3,)),
    (lambda F, x, w, b: F.FullyConnected(data=x * 2, weight=w, bias=b, num_hidden=3, flatten=False), [(0, 0), (0,)],
     (3, 4), (3,)),
    (lambda F, x, w, b: F.relu(F.FullyConnected(F.Flatten(x), w, b, 3)), [None, None], (3, 12), (3,)),
    (lambda F, x, w, b: F.Convolution(F.expand_dims(x, axis=0), w, b, kernel=(2, 2), num_filter=3),
     [(3, 0, 2, 2), (3,)], (3, 2, 2, 2), (3,)),
    (lambda F, x, w, b: F.LayerNorm(x, w, b), [(0,), (0,)], (4,), (4,))])
def test_own_layers_learn_their_shapes_from_operators(function, given, weight, bias):
    layer = Custom(function, *given)
    layer.initialize()
    with autograd.record():
        out = layer(nd.ones((2, 3, 4)))
    out.backward()
    assert layer.weight.shape == weight and layer.bias.shape == bias and layer.weight.grad().shape == weight


def test_own_layers_that_tell_their_shapes():
    class Scale(Custom):
        def infer_shape(self, x):
            self.weight.shape = x.shape[1:]

    scale = Scale(lambda F, x, w, b: F.broadcast_mul(x, w), (0,))
    scale.initialize()
    assert scale(nd.ones((2, 3))).shape == (2, 3) and scale.weight.shape == (3,)


@pytest.mark.parametrize("function", [lambda F, x, w, b: F.broadcast_mul(x, w), lambda F, x, w, b: x * w,
                                      lambda F, x, w, b: F.dot(x, w), lambda F, x, w, b: F.concat(x, w, dim=0)])
def test_own_layers_whose_shapes_stay_unknown(function):
    layer = Custom(function, (0,))
    layer.initialize()
    with pytest.raises(ValueError, match="or define infer_shape|needs shape"):
        layer(nd.ones((2, 3)))


def test_bad_inputs_of_layers_that_wait_for_them():
    layer = nn.Conv2D(3, 3)
    layer.initialize()
    with pytest.raises(mx.MXNetError, match="Convolution: data has shape"):
        layer(nd.ones((2, 3)))
    assert layer(nd.ones((1, 2, 4, 4))).shape == (1, 3, 2, 2)


def test_cast():
    net = nn.HybridSequential()
    net.add(nn.Dense(2, in_units=3))
    net.initialize()
    net.cast("float64")
    assert net(nd.ones((1, 3), dtype="float64")).dtype == net[0].weight.grad().dtype == np.float64


def test_summary(capsys):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3), nn.MaxPool2D(), nn.Dense(3))
    net.initialize()
    net.summary(nd.ones((2, 3, 8, 8)))
    assert capsys.readouterr().out == """\
--------------------------------------------------------------------------------
        Layer (type)                                Output Shape         Param #
================================================================================
               Input                                (2, 3, 8, 8)               0
            Conv2D-1                                (2, 4, 6, 6)             112
         MaxPool2D-2                                (2, 4, 3, 3)               0
             Dense-3                                      (2, 3)             111
================================================================================
Parameters in forward computation graph, duplicate included
   Total params: 223
   Trainable params: 223
   Non-trainable params: 0
Shared params in forward computation graph: 0
Unique parameters in model: 223
--------------------------------------------------------------------------------
"""
