"""Fusion of elementwise operators: what becomes one step, and that results stay the same, bit by bit."""
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy.graph import fuse_pointwise as module
from mxcy.graph.build import F, Value, variable
from mxcy.graph.fuse_pointwise import fuse_pointwise
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph
from mxcy.ops.fused import MAX_STEPS, parse
from tests.graph.random_graphs import graphs, inputs, same_result


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """The arrays of these tests are small: fuse them all the same."""
    monkeypatch.setattr(module, "LARGE", 1)


def operators(graph):
    return [node.op.name for node in graph.nodes if node.op is not None]


def programs(graph):
    return [parse(node.params["program"]) for node in graph.nodes
            if node.op is not None and node.op.name == "_fused_pointwise"]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs())
def test_same_result(graph):
    fused = fuse_pointwise(graph)
    same_result(graph, fused)
    same_result(graph, fuse_pointwise(graph, set(Graph(graph.heads[:1]).nodes)))
    assert len(fused.nodes) <= len(graph.nodes)


def test_a_chain_is_one_step():
    x = variable("a", (4, 3))
    y = .5 * x * (1. + F.tanh(.8 * (x + .04 * x ** 3.)))
    fused = fuse_pointwise(Graph([y.entry]))
    assert operators(fused) == ["_fused_pointwise"]
    assert len(programs(fused)[0].steps) == 8 and programs(fused)[0].inputs == 1
    same_result(Graph([y.entry]), fused)


def test_what_others_need_is_an_output_too():
    a, b = variable("a", (4, 3)), variable("b", (4, 3))
    c = F.sigmoid(a) * b + F.tanh(b)
    h = F.tanh(c) * a
    graph = Graph([h.entry, c.entry, F.sum(c).entry])
    fused = fuse_pointwise(graph)
    assert sorted(operators(fused)) == ["_fused_pointwise", "sum"]
    assert len(programs(fused)[0].outputs) == 2
    same_result(graph, fused)


def test_no_cycle_through_what_is_not_elementwise():
    a = variable("a", (4, 3))
    x = F.tanh(a)
    total = F.sum(x, axis=1, keepdims=True)
    y = F.broadcast_sub(x, total) * 2.
    z = F.relu(y) + x
    graph = Graph([z.entry])
    fused = fuse_pointwise(graph)
    assert operators(fused) == ["tanh", "sum", "_fused_pointwise"]
    same_result(graph, fused)


def test_sums_of_gradients_join():
    a, b = variable("a", (4, 3)), variable("b", (4, 3))
    graph = Graph([(F.add_n(a, b, a, b) * 2.).entry])
    fused = fuse_pointwise(graph)
    assert [step.op.name for step in programs(fused)[0].steps] == ["elemwise_add"] * 3 + ["_mul_scalar"]
    same_result(graph, fused)


def test_rows_join_the_full_shape_but_not_each_other():
    a, c = variable("a", (4, 3)), variable("c", (3,))
    row = F.tanh(c * 2.)
    graph = Graph([F.relu(F.broadcast_add(F.broadcast_mul(a, row), c)).entry])
    fused = fuse_pointwise(graph)
    assert [len(p.steps) for p in programs(fused)] == [2, 3]
    same_result(graph, fused)


def test_forward_and_backward_stay_apart():
    a, b = variable("a", (4, 3)), variable("b", (4, 3))
    y = F.tanh(a * b) * a
    given_ = variable("c", (4, 3))
    grads = gradient(Graph([y.entry]), [given_.entry], [a.entry, b.entry])
    graph = Graph([y.entry, *grads])
    forward = set(Graph(graph.heads[:1]).nodes)
    fused = fuse_pointwise(graph, forward)
    assert operators(fused) == ["_fused_pointwise"] * 2
    assert "c" not in {node.name for node in Graph(fused.heads[:1]).variables}
    values = inputs()
    values["c"] = mx.nd.random.normal(shape=(4, 3))
    same_result(graph, fused, values)


def test_groups_keep_within_limits():
    value = variable("a", (4, 3))
    for i in range(3 * MAX_STEPS):
        value = value + float(i)
    many = F.add_n(*[F.tanh(variable(f"v{i}", (4, 3))) for i in range(60)])
    heads = [F.relu(value * float(i)).entry for i in range(20)]
    graph = Graph([value.entry, many.entry, *heads])
    fused = fuse_pointwise(graph)
    assert len(operators(fused)) < 25
    values = {f"v{i}": mx.nd.random.normal(shape=(4, 3)) for i in range(60)}
    same_result(graph, fused, {**inputs(), **values})


def test_devices_stay_apart():
    def on(value, group):
        value.entry.node.attrs["__ctx_group__"] = group
        return value

    a = variable("a", (4, 3))
    x = on(F.tanh(on(a * 2., "one")), "one")
    y = on(F.tanh(on(x + 1., "two")), "two")
    graph = Graph([y.entry])
    fused = fuse_pointwise(graph)
    assert [node.attrs.get("__ctx_group__") for node in fused.nodes] == [None, "one", "two", "two"]


def test_order_asked_for_is_kept():
    a, b = variable("a", (4, 3)), variable("b", (4, 3))
    first = F.tanh(a * 2.)
    last = F.sum(b)
    last.entry.node.after = (first.entry.node,)
    fused = fuse_pointwise(Graph([last.entry]))
    assert operators(fused) == ["_fused_pointwise", "sum"]


def test_mixed_dtypes_do_not_fuse():
    a = variable("a", (4, 3))
    y = F.Cast(F.tanh(a * 2.), dtype="float64") * 3.
    assert operators(fuse_pointwise(Graph([y.entry]))) == ["_fused_pointwise", "Cast", "_mul_scalar"]


def test_a_long_chain():
    value = variable("a", (4, 3))
    for _ in range(20_000):
        value = F.relu(F.sum(value + 1., axis=0, keepdims=True)) if len(value.shape) > 5 else value + 1.
    fused = fuse_pointwise(Graph([value.entry]))
    assert len(fused.nodes) - 1 <= 20_000 // MAX_STEPS * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(4)))
def test_order_of_heads(order):
    a = variable("a", (4, 3))
    values = [F.tanh(a), a * 2., F.tanh(a) + a, a]
    graph = Graph([values[i].entry for i in order])
    same_result(graph, fuse_pointwise(graph))


def test_small_pairs_are_left_alone(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 4096)
    a = variable("a", (4, 3))
    assert operators(fuse_pointwise(Graph([F.tanh(a * 2.).entry]))) == ["_mul_scalar", "tanh"]
    assert operators(fuse_pointwise(Graph([F.tanh(a * 2. + 1.).entry]))) == ["_fused_pointwise"]


def test_choices_join():
    a = variable("a", (4, 3))
    graph = Graph([F.where(a > 0., a * 2., F.tanh(a)).entry])
    assert operators(fuse_pointwise(graph)) == ["_fused_pointwise"]
    same_result(graph, fuse_pointwise(graph))


def test_entries_are_those_of_the_new_graph():
    a = variable("a", (4, 3))
    graph = Graph([(F.tanh(a) + 1.).entry])
    fused = fuse_pointwise(graph)
    assert isinstance(fused.heads[0], Entry) and fused.heads[0].shape == (4, 3)
    assert isinstance(Value(fused.heads[0]), Value)
