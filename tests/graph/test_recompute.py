"""Recompute: the same bits for fewer bytes."""
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy.graph.build import Builder, F, variable
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph
from mxcy.graph.interpret import interpret
from mxcy.graph.recompute import planned_bytes, recompute
from mxcy.graph.schedule import schedule
from mxcy.plan._cached import CachedOp
from tests.graph.random_graphs import graphs, inputs
from tests.graph.test_memory import check, check_order, own_heads, planned


def joint(graph, names):
    """(a graph with the gradients of its heads that the backward phase computes, number of heads)."""
    heads = own_heads(graph).heads
    ahead = set(Graph(heads).nodes)
    wrt = [Entry(node, 0) for node in graph.variables if node.name in names]
    given_ = [variable(f"g{i}", head.shape).entry for i, head in enumerate(heads)]
    found = gradient(Graph(heads), given_, wrt)
    grads = dict.fromkeys(g for g in found if g is not None and g.node.op is not None and g.node not in ahead)
    return Graph([*heads, *grads]), len(heads)


def unit(x, i, norm=True, dropout=False):
    """A residual unit."""
    width = x.shape[1]
    h = F.dot(x, variable(f"w{i}", (width, width)))
    if norm:
        h = F.BatchNorm(h, *(variable(f"{name}{i}", (width,)) for name in ("gamma", "beta", "mean", "var")))
    if dropout:
        h = F.Dropout(h, p=.5)
    return x + F.relu(h)


def network(depth, shape=(32, 8), **options):
    """(joint graph, number of outputs) of residual units."""
    x = variable("x", shape)
    for i in range(depth):
        x = unit(x, i, **options)
    return joint(Graph([x.entry]), [f"{name}{i}" for name in ("w", "gamma", "beta") for i in range(depth)])


def values(graph, seed=0):
    rng = np.random.default_rng(seed)
    return {node.name: mx.nd.array(rng.normal(size=node.types[0][0]) * .3 + node.name.startswith("var"))
            for node in graph.variables}


def assert_same(before, after, give):
    """The same bits; and variables are changed in the same way."""
    results = []
    for graph in (before, after):
        arrays = give()
        mx.random.seed(1)
        with mx.autograd.train_mode():
            results.append([a.asnumpy() for a in [*interpret(graph, arrays), *arrays.values()]])
    for x, y in zip(*results, strict=True):
        np.testing.assert_array_equal(x, y)


def forward_again(graph):
    return [node for node in graph.nodes if node.name.endswith("_again")]


@settings(deadline=None, max_examples=150)
@given(graphs(25), st.integers(0, 400))
def test_random_graphs(graph, budget):
    before, n = joint(graph, ["a", "b", "c"])
    after = recompute(before, n, budget)
    def give():
        return {**inputs(), **{node.name: mx.nd.ones(node.types[0][0]) for node in before.variables
                               if node.name.startswith("g")}}
    assert_same(before, after, give)
    order, n_forward, plan = planned(after, n)
    check_order(after, order)
    check(after, order, n_forward, plan)
    forward, backward = schedule(after, n)
    assert not set(forward_again(after)) & set(forward)
    place = {node: i for i, node in enumerate(backward)}
    assert all(place[before] < place[node] for node in backward for before in node.after)


@pytest.mark.parametrize("options", [{}, {"dropout": True}, {"norm": False}])
@pytest.mark.parametrize("budget", [0, 60_000])
def test_networks(options, budget):
    before, n = network(30, **options)
    after = recompute(before, n, budget)
    assert forward_again(after) and not any(node.op.random for node in forward_again(after))
    assert_same(before, after, lambda: values(before))
    order, n_forward, plan = planned(after, n)
    check(after, order, n_forward, plan)
    assert plan.arena < planned_bytes(before, n)
    assert not budget or plan.arena <= budget


def test_budget_decides_how_much_runs_again():
    before, n = network(60)
    full = planned_bytes(before, n)
    counts = []
    for budget in (full, .9 * full, .6 * full, .4 * full):
        after = recompute(before, n, int(budget))
        assert planned_bytes(after, n) <= budget
        counts.append(len(forward_again(after)))
    assert counts[0] == 0 and counts == sorted(counts) and counts[1] < counts[-1]


def test_memory_grows_like_the_square_root():
    planned_ = {}
    for depth in (64, 256, 1024):
        before, n = network(depth, shape=(256, 4))
        after = recompute(before, n, 0)
        planned_[depth] = planned_bytes(after, n)
        if depth == 1024:
            assert planned_bytes(before, n) >= 6 * planned_[depth]
            products = [node for node in before.nodes if node.op is not None and node.op.name == "dot"]
            again = [node for node in forward_again(after) if node.op.name == "dot"]
            assert len(again) <= .35 * len(products)
    assert planned_[256] <= 2.6 * planned_[64] and planned_[1024] <= 2.6 * planned_[256]


def test_nodes_that_are_forced():
    x = variable("x", (4, 4))
    h = Builder("cheap", {"__force_mirroring__": "True"}).tanh(F.dot(x, variable("w", (4, 4))))
    y = F.dot(h, variable("v", (4, 4)))
    before, n = joint(Graph([y.entry]), ["w", "v"])
    after = recompute(before, n)
    assert [node.op.name for node in forward_again(after)] == ["tanh"]
    assert_same(before, after, lambda: values(before))


def test_stages_are_kept():
    def chain(stages):
        x = variable("x", (64, 64))
        for i in range(20):
            h = Builder("inner", {"__force_mirroring__": "True"}).tanh(F.dot(x, variable(f"w{i}", (64, 64))))
            stage = {"__mirror_stage__": "True"} if stages and i % 5 == 4 else {}
            x = Builder("outer", {"__force_mirroring__": "True", **stage}).exp(F.sin(F.cos(h)))
        return joint(Graph([x.entry]), [f"w{i}" for i in range(20)])
    sizes = []
    for stages in (False, True):
        before, n = chain(stages)
        after = recompute(before, n)
        assert_same(before, after, lambda graph=before: values(graph))
        again = [node for node in forward_again(after) if node.op.name == "exp"]
        assert not any("__mirror_stage__" in node.attrs for node in again)
        sizes.append(planned_bytes(after, n))
    assert sizes[1] <= sizes[0]


def test_plans_honour_it(monkeypatch):
    def symbol(depth):
        x = mx.sym.Variable("x")
        for i in range(depth):
            h = mx.sym.BatchNorm(mx.sym.FullyConnected(x, num_hidden=16, name=f"fc{i}"), name=f"bn{i}")
            h = mx.sym.Activation(h, act_type="relu")
            x = x + (h if i % 10 else mx.sym.Dropout(h, p=.2))
        return x
    net = symbol(100)
    names = net.list_inputs()
    arguments, _, aux = net.infer_shape(x=(64, 16))
    shapes = dict(zip([*net.list_arguments(), *net.list_auxiliary_states()], [*arguments, *aux]))

    def run(**options):
        rng = np.random.default_rng(0)
        arrays = [mx.nd.array(rng.normal(size=shapes[name]) * .2 + name.endswith("var")) for name in names]
        for array, name in zip(arrays, names):
            if not name.endswith(("mean", "var")):
                array.attach_grad()
        op = CachedOp(net.graph, names, **options)
        mx.random.seed(3)
        with mx.autograd.record():
            out = op(arrays)
        out.backward()
        results = [a.asnumpy() for a in (out, *arrays, *(a.grad for a in arrays if a.grad is not None))]
        start = time.process_time()
        for _ in range(5):
            with mx.autograd.record():
                out = op(arrays)
            out.backward()
            mx.nd.waitall()
        return results, op.plans[0].plan.arena_bytes, time.process_time() - start

    results, nbytes, seconds = run()
    for options, environment in (({"memory_budget": 0}, "0"), ({}, "1")):
        monkeypatch.setenv("MXNET_BACKWARD_DO_MIRROR", environment)
        again, fewer, longer = run(**options)
        assert 3 * fewer < nbytes
        assert longer < 2 * seconds
        for x, y in zip(results, again, strict=True):
            np.testing.assert_array_equal(x, y)
