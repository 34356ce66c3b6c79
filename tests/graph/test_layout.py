"""Channels last: the same results and gradients, and transpositions only at the edges."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.graph.gradient import gradient
from mxcy.graph import layout
from mxcy.graph.interpret import interpret
from mxcy.graph.layout import channels_last
from mxcy.ops._onednn import available
from tests.graph.networks import NETWORKS, Network, arrays, count, residual

needs_onednn = pytest.mark.skipif(not available(), reason="oneDNN is not there")


def close(xs, ys, tolerance=2e-5):
    for x, y in zip(xs, ys, strict=True):
        x, y = x.asnumpy(), y.asnumpy()
        assert x.shape == y.shape and x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * max(1, np.abs(x).max()))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_results(name):
    graph = NETWORKS[name]()
    values = arrays(graph)
    close(interpret(graph, values), interpret(channels_last(graph), values))


@pytest.mark.parametrize("name", NETWORKS)
def test_same_results_as_for_gpus(name, monkeypatch):
    monkeypatch.setattr(layout, "preferring", lambda gpu: ("float32",))
    graph = NETWORKS[name]()
    made = channels_last(graph, gpu=True)
    assert all(node.params["layout"] == "NHWC" for node in made.nodes
               if node.op is not None and node.op.name == "Convolution")
    values = arrays(graph)
    close(interpret(graph, values), interpret(made, values))


def test_casts_follow(monkeypatch):
    """Mixed precision casts between convolutions and what is computed in float32."""
    monkeypatch.setattr(layout, "preferring", lambda gpu: ("float16",))
    net = Network("float16")
    x = F.amp_cast(net.conv(net.variable("data", (2, 4, 8, 8)), 8), dtype="float32")
    x = net.conv(F.Cast(F.relu(x), dtype="float16"), 8)
    graph = channels_last(Graph([x.entry]), gpu=True)
    assert len(moves(graph)) == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_same_gradients(name):
    graph = NETWORKS[name]()
    values = arrays(graph)

    def gradients(graph):
        heads = Graph(graph.heads[:1])
        given = Entry(Node(None, "given", types=[heads.heads[0].node.types[heads.heads[0].index]]), 0)
        wrt = [Entry(node, 0) for node in heads.variables if not node.name.startswith(("mean", "var"))]
        wrt.sort(key=lambda entry: entry.node.name)
        result = Graph([g for g in gradient(heads, [given], wrt) if g is not None])
        with mx.autograd.train_mode():
            return interpret(result, {**values, "given": mx.nd.ones(given.shape)})
    close(gradients(graph), gradients(channels_last(graph)), 2e-4)


def moves(graph):
    """The transpositions."""
    return [node for node in graph.nodes if node.op is not None and node.op.name == "transpose"]


@needs_onednn
def test_one_transposition_in_none_out():
    graph = channels_last(residual())
    assert len(moves(graph)) == 1             # what comes out of the global pooling is reshaped
    assert all(node.params["layout"] == "NHWC" for node in graph.nodes
               if node.op is not None and node.op.name in ("Convolution", "Pooling"))
    assert all(node.params["axis"] == 3 for node in graph.nodes if node.op is not None and node.op.name == "BatchNorm")


@needs_onednn
def test_what_needs_the_old_order_gets_it():
    x, w = variable("data", (2, 3, 8, 8)), variable("weight", (16, 3, 3, 3))
    y = F.Convolution(x, w, kernel=(3, 3), num_filter=16, no_bias=True)
    graph = Graph([F.SwapAxis(y, dim1=1, dim2=2).entry, y.entry])
    made = channels_last(graph)
    assert [node.params["axes"] for node in moves(made)] == [(0, 2, 3, 1), (0, 3, 1, 2)]
    values = arrays(graph)
    close(interpret(graph, values), interpret(made, values))


def test_double_precision_is_left_alone():
    x, w = variable("data", (2, 3, 8, 8), "float64"), variable("weight", (16, 3, 3, 3), "float64")
    graph = Graph([F.Convolution(x, w, kernel=(3, 3), num_filter=16, no_bias=True).entry])
    assert count(channels_last(graph), "transpose", "Reshape") == 0


def test_graph_without_images_is_the_same():
    graph = Graph([F.tanh(variable("x", (3, 4))).entry])
    assert channels_last(graph) is graph
