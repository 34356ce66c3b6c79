"""The gradient pass gives what the tape gives."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError
from mxcy.graph.build import F, variable
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph
from mxcy.graph.interpret import interpret


def both_ways(head, inputs, train=True):
    """(gradients by the pass, gradients by the tape) with respect to every variable."""
    graph = Graph([head.entry])
    given = variable("given", head.shape, head.dtype)
    wrt = list(graph.variables)
    entries = gradient(graph, [given.entry], [graph_entry(node) for node in wrt], train)
    values = {**inputs, "given": mx.nd.random.normal(shape=head.shape)}
    with mx.autograd.record(train_mode=train), mx.autograd.pause(train_mode=train):
        ours = interpret(Graph(entries), values)
    for array in inputs.values():
        array.attach_grad()
    with mx.autograd.record(train_mode=train):
        out = interpret(graph, inputs)[0]
    out.backward(values["given"])
    return [a.asnumpy() for a in ours], [inputs[node.name].grad.asnumpy() for node in wrt]


def graph_entry(node):
    return Entry(node, 0)


def drawn(**shapes):
    mx.random.seed(3)
    return {name: mx.nd.random.normal(shape=shape) for name, shape in shapes.items()}


def test_a_network_with_shared_values():
    x, w, b = variable("x", (4, 3)), variable("w", (5, 3)), variable("b", (5,))
    y = F.FullyConnected(x, w, b, num_hidden=5)
    z = F.softmax(F.Activation(y, act_type="relu") * 2.0 + 1.0)
    ours, tape = both_ways(F.broadcast_mul(z * z, F.sum(y, axis=1, keepdims=True)), drawn(x=(4, 3), w=(5, 3), b=(5,)))
    for a, b in zip(ours, tape):
        np.testing.assert_array_equal(a, b)


def test_batch_norm_in_training():
    x = variable("x", (4, 3, 2))
    names = "gamma", "beta", "mean", "var"
    y = F.BatchNorm(x, *(variable(name, (3,)) for name in names), fix_gamma=False)
    y = y[0] if isinstance(y, list) else y
    inputs = drawn(x=(4, 3, 2), gamma=(3,), beta=(3,), mean=(3,), var=(3,))
    graph = Graph([y.entry])
    given = variable("given", y.shape)
    entries = gradient(graph, [given.entry], [graph_entry(node) for node in graph.variables[:3]])
    with mx.autograd.train_mode():
        moved = {name: array.copy() for name, array in inputs.items()}
        ours = interpret(Graph(entries), {**moved, "given": mx.nd.ones(y.shape)})
    for array in list(inputs.values())[:3]:
        array.attach_grad()
    with mx.autograd.record():
        out = interpret(graph, inputs)[0]
    out.backward()
    for a, b in zip(ours, list(inputs.values())[:3]):
        np.testing.assert_array_equal(a.asnumpy(), b.grad.asnumpy())
    np.testing.assert_array_equal(moved["mean"].asnumpy(), inputs["mean"].asnumpy())


def test_no_path_gives_none_and_a_wrong_shape_raises():
    x, y = variable("x", (3,)), variable("y", (3,))
    graph = Graph([F.relu(x).entry])
    assert gradient(graph, [variable("g", (3,)).entry], [y.entry]) == [None]
    wrong = variable("g", (4,))
    with pytest.raises(MXNetError, match=r"has shape \(4,\); its output has \(3,\)"):
        gradient(Graph([F.relu(x).entry]), [wrong.entry], [x.entry])
