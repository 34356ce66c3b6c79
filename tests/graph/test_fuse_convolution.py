"""Fusion of convolutions in prediction: the same results, and nothing left beside them that they can do."""
import pytest

from mxcy.graph import fuse_convolution, layout
from mxcy.graph.build import F, variable
from mxcy.graph.fuse_convolution import fuse_convolutions
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret
from mxcy.graph.layout import channels_last
from tests.graph.networks import NETWORKS, Network, arrays, count
from tests.graph.test_layout import close, needs_onednn


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("arrange", [channels_last, lambda graph: graph], ids=["last", "first"])
def test_same_results(name, arrange):
    graph = NETWORKS[name]()
    values = arrays(graph)
    close(interpret(graph, values), interpret(fuse_convolutions(arrange(graph)), values))


@needs_onednn
@pytest.mark.parametrize(("name", "activations"), [("residual", 0), ("preactivated", 3), ("inception", 0), ("depthwise", 0)])
def test_everything_is_folded(name, activations):
    graph = NETWORKS[name]()
    made = fuse_convolutions(channels_last(graph))
    assert count(made, "_fused_convolution") == count(graph, "Convolution")
    assert count(made, "Convolution", "BatchNorm", "elemwise_add", "clip") == 0
    assert count(made, "Activation", "LeakyReLU") == activations        # those before convolutions


@needs_onednn
def test_what_others_use_stays():
    net = Network()
    x = net.conv(net.variable("data", (2, 4, 8, 8)), 16)
    y = F.Activation(x, act_type="relu")
    made = fuse_convolutions(channels_last(Graph([(x * y).entry])))
    assert count(made, "_fused_convolution") == count(made, "Activation") == 1
    twice = fuse_convolutions(channels_last(Graph([(x + x).entry])))
    assert count(twice, "elemwise_add") == 1
    one = net.conv(variable("data", (2, 4, 8, 8)), 16)
    both = Graph([F.Activation(x + one, act_type="relu").entry])
    made = fuse_convolutions(channels_last(both))
    assert count(made, "_fused_convolution") == 2 and count(made, "elemwise_add", "Activation") == 0


@pytest.mark.parametrize("name", NETWORKS)
def test_on_gpus_batch_norm_goes_into_the_weights(name):
    graph = NETWORKS[name]()
    made = fuse_convolutions(graph, gpu=True)
    assert count(made, "Convolution") == count(graph, "Convolution") and count(made, "BatchNorm") == 0
    values = arrays(graph)
    close(interpret(graph, values), interpret(made, values))


@pytest.mark.parametrize("order", ["NCW", "NWC"])
def test_other_layouts_on_gpus(order):
    axis = order.index("C")
    shape, window = ((2, 5, 9), (4, 5, 3)) if axis == 1 else ((2, 9, 5), (4, 3, 5))
    net = Network()
    x = F.Convolution(net.variable("data", shape), net.variable("weight", window), net.variable("bias", (4,)), kernel=(3,),
                      num_filter=4, layout=order)
    statistics = [net.variable(kind, (4,)) for kind in ("gamma", "beta", "mean", "var")]
    graph = Graph([F.BatchNorm(x, *statistics, axis=axis - 3, fix_gamma=False).entry])
    made = fuse_convolutions(graph, gpu=True)
    assert count(made, "BatchNorm") == 0
    values = arrays(graph)
    close(interpret(graph, values), interpret(made, values))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_call_on_tensor_cores(name, monkeypatch):
    for module in (layout, fuse_convolution):
        monkeypatch.setattr(module, "preferring", lambda gpu: ("float32",))
    graph = NETWORKS[name]()
    made = fuse_convolutions(channels_last(graph, gpu=True), gpu=True)
    assert count(made, "BatchNorm", "elemwise_add") == 0
    if name == "residual":
        assert count(made, "_convolution_sum") == count(graph, "Convolution") and count(made, "Activation") == 0
    values = arrays(graph)
    close(interpret(graph, values), interpret(made, values))
