"""Memory planning: no two values that are needed at the same time overlap, and little is wasted."""
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mxcy.graph.build import F, variable
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph
from mxcy.graph.memory import plan_memory
from mxcy.graph.pack import ALIGNMENT, pack
from mxcy.graph.schedule import changed, schedule
from tests.graph.random_graphs import graphs


def planned(graph, n_forward_heads=None, workspace=0):
    """(order, number of forward nodes, MemoryPlan) of a graph; its variables and heads lie in arrays of the caller."""
    forward, backward = schedule(graph, len(graph.heads) if n_forward_heads is None else n_forward_heads)
    order = forward + backward
    outside = dict.fromkeys([*(Entry(node, 0) for node in graph.variables), *graph.heads])
    place = {entry: (True, slot) for slot, entry in enumerate(outside)}
    plan = plan_memory(order, len(forward), place, {node: node.op.kernel(node.params) for node in order},
                       dict.fromkeys(order, workspace))
    return order, len(forward), plan


def check(graph, order, n_forward, plan):
    """Run the plan with symbolic values: every step must find in memory what its inputs left there.

    A byte holds (buffer of the value, byte of the value): aliases stand for the value that they are.
    """
    arena, slots = {}, {}
    content = {}                                    # entry -> what its bytes hold

    def cells(entry):
        inside, at = plan.place[entry]
        return (slots.setdefault(at, {}), 0) if inside else (arena, at)

    def write(entry, what):
        memory, at = cells(entry)
        memory.update((at + i, (what, i)) for i in range(0, entry.nbytes, 4))
        content[entry] = what

    def holds(entry):
        memory, at = cells(entry)
        return all(memory.get(at + i) == (content[entry], i) for i in range(0, entry.nbytes, 4))

    for node in graph.variables:
        write(Entry(node, 0), Entry(node, 0))
    for step, node in enumerate(order):
        if node in plan.dropped:
            out, source = Entry(node, 0), node.inputs[0]
            assert plan.place[out] == plan.place[source] and out.nbytes == source.nbytes
            content[out] = content[source]
            continue
        for entry in node.inputs:
            assert holds(entry), f"{entry} is lost before {node}"
        outputs = [Entry(node, i) for i in range(len(node.types))]
        for out in outputs:
            inside, at = plan.place[out]
            assert inside or (at % ALIGNMENT == 0 and 0 <= at <= plan.arena - out.nbytes)
        if node in plan.workspace:
            begin = plan.workspace[node]
            arena.update((begin + i, "scratch") for i in range(0, 256, 4))
            assert begin + 256 <= plan.arena and all(holds(entry) for entry in node.inputs)
        for i, out in enumerate(outputs):           # not over an input, unless the kernel may do that
            write(out, out)
            over = [entry for entry in node.inputs if not holds(entry)]
            if over:
                kernel = node.op.kernel(node.params)
                assert kernel.inplace and (i == 0 or kernel.name == "fused_pointwise")
                assert all(plan.place[entry] == plan.place[out] and entry.nbytes == out.nbytes for entry in over)
        assert all(holds(out) for out in outputs), "outputs overlap"
        if step < n_forward:
            assert not any(plan.place[head] == plan.place[out] for out in outputs for head in graph.heads
                           if head.node in order[n_forward:] and plan.place[head][0]), "an array is not there yet"
    for node in graph.variables:
        assert holds(Entry(node, 0))
    assert all(holds(head) for head in graph.heads)


def check_order(graph, order):
    place = {node: i for i, node in enumerate(order)}
    assert len(place) == len(order) == sum(node.op is not None for node in graph.nodes)
    for node in order:
        assert all(place[entry.node] < place[node] for entry in node.inputs if entry.node.op is not None)


def own_heads(graph):
    """The heads without those that are variables."""
    return Graph(dict.fromkeys(head for head in graph.heads if head.node.op is not None))


@settings(deadline=None, max_examples=300)
@given(graphs(40), st.sampled_from([0, 256]))
def test_random_graphs(graph, workspace):
    graph = own_heads(graph)
    order, n_forward, plan = planned(graph, workspace=workspace)
    check_order(graph, order)
    check(graph, order, n_forward, plan)


@settings(deadline=None, max_examples=150)
@given(graphs(20))
def test_random_graphs_with_gradients(graph):
    variables = [Entry(node, 0) for node in graph.variables]
    heads = own_heads(graph).heads
    given_ = [variable(f"g{i}", head.shape).entry for i, head in enumerate(heads)]
    grads = [g for g in gradient(Graph(heads), given_, variables) if g is not None and g.node.op is not None]
    ahead = set(Graph(heads).nodes)
    joint = Graph(dict.fromkeys([*heads, *(g for g in grads if g.node not in ahead)]))
    order, n_forward, plan = planned(joint, len(heads))
    check_order(joint, order)
    check(joint, order, n_forward, plan)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 30), st.integers(0, 30)), max_size=40))
def test_pack(buffers):
    buffers = [(size, min(a, b), max(a, b)) for size, a, b in buffers]
    offsets, size, bound = pack(buffers)
    for i, (n, birth, death) in enumerate(buffers):
        assert offsets[i] % ALIGNMENT == 0 and offsets[i] + n <= size
        for j, (m, first, last) in enumerate(buffers[:i]):
            if birth <= last and first <= death and n and m:
                assert offsets[i] + n <= offsets[j] or offsets[j] + m <= offsets[i]
    alive = [sum(-(-n // ALIGNMENT) * ALIGNMENT for n, b, d in buffers if b <= step <= d) for step in range(31)]
    assert bound == max(alive) <= size


def test_pack_is_tight():
    """Networks in training: most values wait for the backward phase, and go in the opposite order."""
    rng = random.Random(0)
    for _ in range(20):
        n = rng.randint(50, 400)
        buffers = []
        for i in range(n):
            size = rng.choice([1, 2, 4, 8, 3, 7]) * 4096
            buffers.append((size, i, 2 * n - i if rng.random() < .7 else i + rng.randint(0, 3)))
            buffers.append((size, 2 * n - i, 2 * n - i + rng.randint(0, 2)))
        _, size, bound = pack(buffers)
        assert size <= 1.05 * bound


def chain(length, shape=(4, 4), step=lambda x: x + 1.):
    x = variable("x", shape)
    for _ in range(length):
        x = step(x)
    return x


def test_elementwise_chain_lies_in_the_output():
    order, _, plan = planned(Graph([chain(10).entry]))
    assert plan.arena == 0 and len(plan.inplace) == 9 and not plan.dropped


def test_chain_of_kernels_takes_turns():
    order, _, plan = planned(Graph([F.sum(chain(10, step=F.transpose), axis=0).entry]))
    assert plan.arena == plan.bound == 2 * 64 and plan.naive == 10 * 64


def test_reshapes_need_no_step():
    x = variable("x", (4, 4))
    y = F.Reshape(F.tanh(F.Flatten(F.expand_dims(F.tanh(x), axis=1))), shape=(2, 8))
    _, _, plan = planned(Graph([F.dot(y, y, transpose_b=True).entry]))
    assert len(plan.dropped) == 3 and plan.arena == 64


def test_output_that_is_a_reshaped_variable_is_a_copy():
    x = variable("x", (4, 4))
    graph = Graph([F.Flatten(F.Reshape(x, shape=(2, 8))).entry])
    order, n_forward, plan = planned(graph)
    assert len(plan.dropped) == 1
    check(graph, order, n_forward, plan)


@pytest.mark.parametrize("same", [False, True])
def test_kernels_that_may_overwrite_one_input_only(same):
    """A part of an array replaced: over the array itself, but not while it is read as the part, too."""
    x = F.transpose(variable("x", (4, 4)))
    part = F.Reshape(x, shape=(4, 4)) if same else variable("part", (4, 4))
    _, _, plan = planned(Graph([F.transpose(F._slice_assign(x, part, begin=(0, 0), end=(4, 4))).entry]))
    assert len(plan.inplace) == (not same) and len(plan.dropped) == same


def test_what_changes_is_never_shared():
    weight, grad, momentum = (variable(name, (4, 4)) for name in ("weight", "grad", "momentum"))
    before = F.Reshape(momentum, shape=(16,))
    update = F.sgd_mom_update(weight, grad, momentum, lr=.1)
    after = F.tanh(momentum)
    graph = Graph([F.tanh(before).entry, update.entry, after.entry])
    order, _, plan = planned(graph)
    place = {node: i for i, node in enumerate(order)}
    assert place[before.entry.node] < place[update.entry.node] < place[after.entry.node]
    assert changed(update.entry.node) == [2] and not plan.dropped


def test_weight_gradients_let_go_of_activations():
    """A chain of products in training: at most one gradient of an activation is alive at a time, besides the next."""
    x, activations, weights = variable("x", (64, 64)), [], []
    for i in range(20):
        weights.append(variable(f"w{i}", (64, 64)))
        x = F.tanh(F.dot(x, weights[-1]))
        activations.append(x)
    head = variable("g", x.shape)
    grads = gradient(Graph([x.entry]), [head.entry], [w.entry for w in weights])
    joint = Graph([x.entry, *grads])
    order, n_forward, plan = planned(joint, 1)
    check(joint, order, n_forward, plan)
    assert plan.arena <= (19 + 2) * 64 * 64 * 4


@pytest.mark.parametrize("step", [lambda x: x + 1., F.transpose])
def test_a_hundred_thousand_nodes(step):
    graph = Graph([F.sum(chain(100_000, (3, 3), step)).entry])
    start = time.process_time()
    order, _, plan = planned(graph)
    assert time.process_time() - start < 15
    assert plan.arena <= 2 * 64 and len(order) == 100_001


def test_a_hundred_thousand_buffers():
    rng = np.random.default_rng(0)
    births = np.sort(rng.integers(0, 200_000, 100_000))
    buffers = [(int(size), int(b), int(b + d)) for size, b, d in
               zip(rng.integers(1, 100_000, 100_000), births, rng.geometric(.01, 100_000))]
    start = time.process_time()
    _, size, bound = pack(buffers)
    assert time.process_time() - start < 10
    assert size <= 1.3 * bound
