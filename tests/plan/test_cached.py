"""CachedOp: a graph as a function gives what the graph gives operator by operator; values, gradients, caches."""
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError
from mxcy.graph.build import F, variable
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret
from mxcy.plan._cached import CachedOp

SHAPES = {"x": (8, 12), "w1": (16, 12), "b1": (16,), "w2": (5, 16), "b2": (5,)}


def network(dropout=0.):
    """A graph of two dense layers, its variables' names and arrays."""
    mx.random.seed(11)
    v = {name: variable(name, shape) for name, shape in SHAPES.items()}
    y = F.Activation(F.FullyConnected(v["x"], v["w1"], v["b1"], num_hidden=16), act_type="relu")
    y = F.Dropout(y, p=dropout)
    y = F.log_softmax(F.FullyConnected(y, v["w2"], v["b2"], num_hidden=5))
    return Graph([y.entry]), {name: mx.nd.random.normal(shape=shape) for name, shape in SHAPES.items()}


def gradients(function, arrays, *out_grads):
    for array in arrays.values():
        array.attach_grad()
    mx.random.seed(5)
    with mx.autograd.record():
        out = function()
    out.backward(*out_grads)
    return out.asnumpy(), {name: array.grad.asnumpy() for name, array in arrays.items()}


@pytest.mark.parametrize("dropout", [0., .5])
def test_values_and_gradients_are_bitwise_those_of_the_operators(dropout):
    graph, arrays = network(dropout)
    net = CachedOp(graph, list(arrays), {"w1", "b1", "w2", "b2"})
    expected = gradients(lambda: interpret(graph, arrays)[0], arrays)
    for _ in range(3):
        found = gradients(lambda: net(*arrays.values()), arrays)
        np.testing.assert_array_equal(found[0], expected[0])
        for name in arrays:
            np.testing.assert_array_equal(found[1][name], expected[1][name], err_msg=name)
    np.testing.assert_array_equal(net(*arrays.values()).asnumpy(), interpret(graph, arrays)[0].asnumpy())


def test_backward_twice_repeats_the_forward_phase():
    graph, arrays = network(.5)
    net = CachedOp(graph, list(arrays))
    for array in arrays.values():
        array.attach_grad()
    with mx.autograd.record():
        out = net(*arrays.values())
    out.backward(retain_graph=True)
    first = arrays["w1"].grad.asnumpy()
    out[:] = 7                                          # what the user does to his output is his affair
    arrays["w1"].grad[:] = 0
    out.backward()
    np.testing.assert_array_equal(arrays["w1"].grad.asnumpy(), first)


def test_two_calls_before_one_backward():
    graph, arrays = network()
    net = CachedOp(graph, list(arrays))
    other = mx.nd.random.normal(shape=SHAPES["x"])

    def twice(function):
        return function(arrays["x"]) + 2 * function(other)

    rest = list(arrays.values())[1:]
    expected = gradients(lambda: twice(lambda x: interpret(graph, {**arrays, "x": x})[0]), arrays)
    found = gradients(lambda: twice(lambda x: net(x, *rest)), arrays)
    for name in arrays:
        np.testing.assert_allclose(found[1][name], expected[1][name], rtol=1e-5, atol=1e-6)


def test_a_second_gradient():
    x = variable("x", (3,))
    net = CachedOp(Graph([(F.exp(x) * x).entry]), ["x"])
    a = mx.nd.array([1., 2., 3.])
    a.attach_grad()
    with mx.autograd.record():
        grad = mx.autograd.grad(net(a), [a], create_graph=True)[0]
        total = (grad * grad).sum()
    total.backward()
    e, n = np.exp(a.asnumpy()), a.asnumpy()
    np.testing.assert_allclose(a.grad.asnumpy(), 2 * e * (1 + n) * e * (2 + n), rtol=1e-5)


def test_what_follows_from_parameters_is_computed_once_until_they_change():
    x, w = variable("x", (4, 3)), variable("w", (3, 5))
    net = CachedOp(Graph([F.dot(x, F.exp(w) * 2.).entry]), ["x", "w"], {"w"})
    a, b = mx.nd.random.normal(shape=(4, 3)), mx.nd.random.normal(shape=(3, 5))
    for change in (lambda: None, lambda: b.__iadd__(1), lambda: b.__setitem__(0, 3), lambda: None):
        change()
        np.testing.assert_array_equal(net(a, b).asnumpy(), mx.nd.dot(a, mx.nd.exp(b) * 2).asnumpy())
    assert net.plans[0].prepare.n_outputs == 1


def test_signatures_have_plans_of_their_own():
    x = variable("x", (4, 3))
    net = CachedOp(Graph([F.relu(x).entry]), ["x"])
    for shape, dtype in [((4, 3), "float32"), ((2, 3), "float32"), ((4, 3), "float16"), ((4, 3), "float32")]:
        out = net(mx.nd.ones(shape, dtype=dtype))
        assert out.shape == shape and out.dtype == np.dtype(dtype)
    assert len(net.plans) == 3
    for n in range(1, 200):
        net(mx.nd.ones((n,)))
    assert len(net.plans) == 64


def test_outputs_that_are_inputs_or_equal():
    x = variable("x", (3,))
    y = F.relu(x)
    net = CachedOp(Graph([x.entry, y.entry, y.entry]), ["x"])
    a = mx.nd.array([-1., 2., 3.])
    same, one, two = net(a)
    one[:] = 5
    np.testing.assert_array_equal(same.asnumpy(), a.asnumpy())
    np.testing.assert_array_equal(two.asnumpy(), [0, 2, 3])


def test_threads_share_a_plan():
    graph, arrays = network()
    net = CachedOp(graph, list(arrays), {"w1", "b1", "w2", "b2"})
    inputs = [mx.nd.random.normal(shape=SHAPES["x"]) for _ in range(8)]
    rest = list(arrays.values())[1:]
    expected = [interpret(graph, {**arrays, "x": x})[0].asnumpy() for x in inputs]
    wrong = []

    def predict(i):
        for _ in range(200):
            if not np.array_equal(net(inputs[i], *rest).asnumpy(), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=predict, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_errors_name_the_node_and_what_was_given():
    x, y = variable("x", (3,)), variable("index", (2,))
    net = CachedOp(Graph([F.take(F.relu(x), y, mode="raise").entry]), ["x", "index"])
    with pytest.raises(MXNetError, match="take"):
        net(mx.nd.ones((3,)), mx.nd.array([1., 9.])).asnumpy()
    with pytest.raises(MXNetError, match="1 arrays given; expected 2"):
        net(mx.nd.ones((3,)))
    with pytest.raises(MXNetError, match="an input is list; expected an NDArray"):
        net(mx.nd.ones((3,)), [1])
    with pytest.raises(MXNetError, match=r"not among the inputs: \['index'\]"):
        CachedOp(net.graph, ["x"])


def test_gradients_are_written_to_their_arrays_unless_they_add_up():
    x, y = variable("x", (4, 3)), variable("y", (4, 3))
    net = CachedOp(Graph([(x * y).entry]), ["x", "y"])
    a, b = mx.nd.random.normal(shape=(4, 3)), mx.nd.random.normal(shape=(4, 3))
    for array in (a, b):
        array.attach_grad()
    seen = a.grad[1]                                    # a view of the gradient sees what is written
    with mx.autograd.record():
        out = net(a, b)
    out.backward()
    np.testing.assert_array_equal(seen.asnumpy(), b.asnumpy()[1])
    with mx.autograd.record():                          # the same array twice, and again outside of the plan
        out = net(a, a) + a * 3
    out.backward()
    np.testing.assert_allclose(a.grad.asnumpy(), 2 * a.asnumpy() + 3, rtol=1e-6)
    a.attach_grad("add")
    for _ in range(2):
        with mx.autograd.record():
            out = net(a, b)
        out.backward()
    np.testing.assert_allclose(a.grad.asnumpy(), 2 * b.asnumpy(), rtol=1e-6)
