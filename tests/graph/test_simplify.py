"""Simplification: what goes, and that results stay the same, bit by bit."""
import numpy as np
import pytest
from hypothesis import given, settings

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Graph
from mxcy.graph.simplify import simplify
from tests.graph.random_graphs import graphs, inputs, same_result


def operators(graph):
    return [node.op.name for node in graph.nodes if node.op is not None]


def simplified(value, train=True):
    """Names of the operators that are left of a value; the result is checked."""
    graph = Graph([v.entry for v in (value if isinstance(value, (list, tuple)) else [value])])
    after = simplify(graph, train)
    same_result(graph, after)
    return operators(after)


@settings(deadline=None, max_examples=400)
@given(graphs())
def test_same_result(graph):
    after = simplify(graph)
    same_result(graph, after)
    assert len(after.nodes) <= len(graph.nodes) + 4
    assert len(simplify(after).nodes) == len(after.nodes)


def a():
    return variable("a", (4, 3))


@pytest.mark.parametrize("same", [
    lambda x: F._copy(x), lambda x: F.BlockGrad(x), lambda x: F.make_loss(x), lambda x: x * 1., lambda x: x / 1.,
    lambda x: x - 0., lambda x: x + -0., lambda x: F.negative(F.negative(x)), lambda x: F.Cast(x, dtype="float32"),
    lambda x: F.Cast(F.Cast(x, dtype="float64"), dtype="float32"), lambda x: F.Reshape(x, shape=(4, 3)),
    lambda x: F.Reshape(F.Flatten(F.expand_dims(F.Reshape(x, shape=(2, 6)), axis=1)), shape=(4, 3)),
    lambda x: F.transpose(F.transpose(x)), lambda x: F.transpose(F.SwapAxis(x, dim1=0, dim2=1)),
    lambda x: F.squeeze(F.transpose(F.expand_dims(x, axis=0), axes=(1, 0, 2))), lambda x: F.add_n(x),
    lambda x: F.broadcast_to(x, shape=(4, 3)), lambda x: F.broadcast_like(x, F.tanh(x)), lambda x: F.tile(x, reps=(1, 1)),
    lambda x: F.slice(x, begin=(0, None), end=(4, None)), lambda x: F.slice_axis(x, axis=1, begin=0, end=3),
    lambda x: F.Concat(x, dim=0), lambda x: F.slice_axis(F.Concat(F.tanh(x), x, dim=0), axis=0, begin=-4, end=None),
    lambda x: F.Concat(*F.SliceChannel(x, num_outputs=3, axis=1), dim=-1),
    lambda x: F.SliceChannel(F.Concat(x, F.tanh(x), dim=1), num_outputs=2, axis=1)[0],
    lambda x: x * F.ones_like(x), lambda x: F._ones(shape=(4, 3)) * x, lambda x: x - F.zeros_like(x),
    lambda x: F.broadcast_mul(x, F._ones(shape=(1, 3))), lambda x: F.Dropout(x, p=0.),
    lambda x: F.reshape_like(F.Reshape(x, shape=(12,)), F.tanh(x)),
])
def test_nothing_is_left(same):
    assert simplified(same(a())) == []


def test_signed_zeros_are_kept():
    assert simplified(a() + 0.) == ["_plus_scalar"]
    assert simplified(a() - (-0.)) == ["_minus_scalar"]
    assert simplified(a() + F.zeros_like(a())) == ["_zeros", "elemwise_add"]
    assert simplified(a() * -1.) == ["_mul_scalar"]


def test_equal_nodes_become_one():
    x = a()
    assert simplified(F.tanh(x) * F.tanh(x)) == ["tanh", "elemwise_mul"]
    assert simplified((x * 2.) + (x * 3.)) == ["_mul_scalar", "_mul_scalar", "elemwise_add"]
    assert simplified(F.sum(x, axis=0) + F.sum(x, axis=(0,))) == ["sum", "elemwise_add"]
    assert simplified([F.clip(x, a_min=-1., a_max=1.), F.clip(x, a_min=-1., a_max=2.)]) == ["clip", "clip"]


def test_random_nodes_stay_apart():
    graph = Graph([(F._random_uniform(shape=(3,)) + F._random_uniform(shape=(3,))).entry])
    assert len(simplify(graph).nodes) == 3
    x = a()
    graph = Graph([(F.Dropout(x, p=.5) + F.Dropout(x, p=.5)).entry])
    assert operators(simplify(graph)) == ["Dropout", "Dropout", "elemwise_add"]


def test_nodes_with_effects_stay():
    weight, grad, momentum = a(), variable("b", (4, 3)), variable("momentum", (4, 3))
    once, twice = (F.sgd_mom_update(weight, grad, momentum, lr=.1) for _ in range(2))
    graph = Graph([(once + twice).entry])
    assert operators(simplify(graph)) == ["sgd_mom_update", "sgd_mom_update", "elemwise_add"]


def test_copies_of_what_changes_stay():
    momentum = variable("momentum", (4, 3))
    before = F._copy(momentum)
    out = F.sgd_mom_update(a(), variable("b", (4, 3)), momentum, lr=.1)
    out.entry.node.after = (before.entry.node,)
    after = simplify(Graph([out.entry, before.entry]))
    assert sorted(operators(after)) == ["_copy", "sgd_mom_update"]
    assert after.heads[0].node.after == (after.heads[1].node,)


def test_constants():
    x = a()
    one = F._ones(shape=(4, 3))
    assert simplified(x * (one * .5 + one)) == ["_full", "elemwise_mul"]
    assert simplified(x + F.Reshape(F._zeros(shape=(12,)), shape=(4, 3))) == ["_zeros", "elemwise_add"]
    assert simplified(F.broadcast_add(x, F.transpose(F._full(shape=(3, 1), value=2.)))) == ["_full", "broadcast_add"]
    assert simplified(F.exp(F._full(shape=(2,), value=1., dtype="float64"))) == ["_full"]
    assert simplified(F._zeros(shape=(2,)) * -1.) == ["_full"]


def test_products_with_numbers():
    x = a()
    assert simplified(x * 2. * 3.) == ["_mul_scalar"]
    assert simplified(x * -1. * .3) == ["_mul_scalar"]
    assert simplified(x * .5 * 3.) == ["_mul_scalar"] * 2           # subnormal numbers lose a digit
    assert simplified(x * 3. * 3.) == ["_mul_scalar"] * 2
    assert simplified(x * 2. * .5) == ["_mul_scalar"] * 2           # may become infinite on the way


def test_transposes_join():
    x = variable("a", (4, 3))
    y = F.transpose(F.transpose(F.Reshape(x, shape=(2, 2, 3)), axes=(1, 2, 0)), axes=(2, 1, 0))
    assert simplified(y) == ["Reshape", "transpose"]
    assert simplified(F.transpose(F.Reshape(x, shape=(1, 12)))) == ["Reshape"]


def test_shapes_alone_keep_nothing_alive():
    x, y = variable("a", (4, 3)), F.tanh(variable("b", (4, 3)))
    assert simplified(F.reshape_like(F.Flatten(F.relu(x) * 2.), y)) == ["relu", "_mul_scalar"]
    assert simplified(F.broadcast_like(F.sum(x, axis=0, keepdims=True), y)) == ["sum", "broadcast_to"]
    assert simplified(F.slice_like(x, F.slice_axis(y, axis=0, begin=0, end=2))) == ["slice"]


def test_dropout_in_prediction():
    x = a()
    y = F.Dropout(F.tanh(x), p=.5)
    graph = Graph([y.entry])
    assert operators(simplify(graph, train=False)) == ["tanh"]
    assert operators(simplify(graph, train=True)) == ["tanh", "Dropout"]
    assert operators(simplify(Graph([F.Dropout(x, p=.5, mode="always").entry]), train=False)) == ["Dropout"]
    grads = gradient(graph, [variable("b", (4, 3)).entry], [x.entry], train=False)
    assert operators(simplify(Graph(grads), train=False)) == ["tanh", "_backward_tanh"]
    same_result(Graph(grads), simplify(Graph(grads), train=False))


def test_gradients_given_as_ones():
    x = a()
    y = F.tanh(x) * x
    ones = F._ones(shape=(4, 3))
    grads = gradient(Graph([y.entry]), [ones.entry], [x.entry])
    after = simplify(Graph([y.entry, *grads]))
    assert "_ones" not in operators(after)
    same_result(Graph([y.entry, *grads]), after)


@pytest.mark.parametrize("rows", [(5,), (2, 3)])
@pytest.mark.parametrize("classes", [10, 1000])
@pytest.mark.parametrize("keepdims", [False, True])
def test_gradient_of_the_cross_entropy(rows, classes, keepdims):
    x, label = variable("x", (*rows, classes)), variable("label", rows, "int32")
    loss = F.negative(F.pick(F.log_softmax(x, temperature=2.), label, keepdims=keepdims, mode="wrap"))
    given_ = variable("given", loss.shape)
    grads = gradient(Graph([loss.entry]), [given_.entry], [x.entry])
    graph = Graph([loss.entry, *grads])
    after = simplify(graph)
    assert operators(after)[-1] == "_backward_picked_log_softmax" and "_backward_pick" not in operators(after)
    rng = np.random.default_rng(0)
    same_result(graph, after, {"x": mx.nd.array(rng.normal(size=x.shape)), "given": mx.nd.array(rng.normal(size=loss.shape)),
                               "label": mx.nd.array(rng.integers(-classes, classes, rows), dtype="int32")})


def test_reversed_slices_stay():
    assert simplified(F.slice(a(), begin=(None,), end=(None,), step=(-1,))) == ["slice"]


def test_half_precision():
    x = variable("h", (2000,), "float16")
    graph = Graph([(F.Cast(F.Cast(x * 1., dtype="float32"), dtype="float16") - 0.).entry])
    after = simplify(graph)
    assert operators(after) == []
    every = np.arange(63488, dtype=np.uint16).view(np.float16)[:2000]
    same_result(graph, after, {"h": mx.nd.array(every, dtype="float16")})


def test_a_long_chain():
    value = variable("a", (4, 3))
    for _ in range(30_000):
        value = F.negative(F.negative(F.Reshape(value, shape=(4, 3) if value.ndim == 1 else (12,))))
    assert len(simplify(Graph([value.entry])).nodes) == 1


def test_inputs_of_tests_hold_zeros_of_both_signs():
    x = inputs()["a"].asnumpy()
    assert (np.signbit(x) & (x == 0)).any() and (~np.signbit(x) & (x == 0)).any()
