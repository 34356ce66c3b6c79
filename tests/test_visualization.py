"""Tables and pictures of symbols."""
import builtins
import sys
import types

import pytest

import mxcy as mx


@pytest.fixture
def network():
    with mx.name.NameManager():
        y = mx.sym.Convolution(mx.sym.var("data"), kernel=(3, 3), num_filter=8, name="conv")
        y = mx.sym.Activation(mx.sym.BatchNorm(y, name="bn"), act_type="relu", name="act")
        y = mx.sym.Concat(y, mx.sym.Pooling(y, kernel=(1, 1), pool_type="max", name="pool"), name="cat")
        return mx.sym.SoftmaxOutput(mx.sym.FullyConnected(y, num_hidden=10, name="fc"), name="softmax")


def test_print_summary(network, capsys):
    mx.viz.print_summary(network, shape={"data": (1, 3, 10, 10)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[3 + 1] == "_" * 120 and lines[2] == "=" * 120
    rows = [[line[:52].strip(), line[52:76].strip(), line[76:88].strip(), line[88:].strip()] for line in lines]
    assert [row for row in rows if "_" not in row[0] and "=" not in row[0]][1:-1] == [
        ["data(null)", "3x10x10", "0", ""], ["conv(Convolution)", "8x8x8", "224", "data"],
        ["bn(BatchNorm)", "8x8x8", "16", "conv"], ["act(Activation)", "8x8x8", "0", "bn"],
        ["pool(Pooling)", "8x8x8", "0", "act"], ["cat(Concat)", "16x8x8", "0", "act"], ["", "", "", "pool"],
        ["fc(FullyConnected)", "10", "10250", "cat"], ["softmax(SoftmaxOutput)", "10", "0", "fc"]]
    assert "Total params: 10490" in lines
    mx.viz.print_summary(network)                          # without shapes
    assert "fc(FullyConnected)" in capsys.readouterr().out


class Digraph:
    """Stands in for graphviz, which need not be installed."""

    def __init__(self, **kwargs):
        self.nodes, self.edges = {}, {}

    def node(self, name, label, **attrs):
        self.nodes[name] = label, attrs

    def edge(self, tail, head, **attrs):
        self.edges[tail, head] = attrs["label"]


def test_plot_network(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "graphviz", types.SimpleNamespace(Digraph=Digraph))
    dot = mx.visualization.plot_network(network, shape={"data": (1, 3, 10, 10)}, node_attrs={"fixedsize": "false"})
    assert list(dot.nodes) == ["data", "conv", "bn", "act", "pool", "cat", "fc", "softmax_label", "softmax"]
    assert dot.nodes["conv"][0] == "Convolution\n3x3/1, 8" and dot.nodes["pool"][0] == "Pooling\nmax, 1x1/1"
    assert dot.nodes["act"][1]["fixedsize"] == "false" and dot.nodes["data"][1]["shape"] == "oval"
    assert dot.edges["conv", "data"] == "3x10x10" and dot.edges["cat", "pool"] == "8x8x8"
    assert "conv_weight" in mx.viz.plot_network(network, hide_weights=False).nodes


def test_what_is_wrong_is_said(network, monkeypatch):
    with pytest.raises(TypeError, match="symbol is int; expected a Symbol"):
        mx.viz.print_summary(3)
    with pytest.raises(ValueError, match="'date' is not an argument"):
        mx.viz.print_summary(network, shape={"date": (1, 3)})
    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", lambda name, *rest: real("no_" + name if name == "graphviz" else name, *rest))
    with pytest.raises(ImportError, match="pip install graphviz"):
        mx.viz.plot_network(network)
