"""Small networks for pictures through plans: as operator by operator, in prediction and training, from many threads."""
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd
from mxcy.graph.build import F
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret
from mxcy.plan._cached import CachedOp
from tests.graph.networks import NETWORKS, Network, arrays
from tests.graph.test_layout import close


def cached(graph):
    names = [node.name for node in graph.variables]
    return CachedOp(graph, names, parameters=[name for name in names if not name.startswith("data")]), names


def outputs(result):
    return list(result) if isinstance(result, (list, tuple)) else [result]


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction(name):
    graph = NETWORKS[name]()
    values = arrays(graph)
    op, names = cached(graph)
    for _ in range(2):
        close(interpret(graph, values), outputs(op(*[values[n] for n in names])))
    weight = next(n for n in names if n.startswith("weight"))
    values[weight][:] = values[weight] * 2                     # what was prepared from it is computed again
    close(interpret(graph, values), outputs(op(*[values[n] for n in names])))


@pytest.mark.parametrize("name", NETWORKS)
def test_training(name):
    graph = Graph(NETWORKS[name]().heads[:1])
    results = []
    for run in (lambda values: interpret(graph, values), None):
        values = arrays(graph)
        op, names = cached(graph)
        learned = [n for n in names if not n.startswith(("mean", "var"))]
        for n in learned:
            values[n].attach_grad()
        with autograd.record():
            out = outputs(run(values) if run else op(*[values[n] for n in names]))
        out[0].backward()
        results.append([*out, *(values[n].grad for n in learned),
                        *(values[n] for n in names if n.startswith(("mean", "var")))])
    close(*results, 2e-4)


def test_sum_with_what_is_convolved():
    net = Network()
    x = F.tanh(net.variable("data", (2, 16, 8, 8)))
    y = net.conv(x, 16) + x                                     # not in place: the convolution still reads x
    z = F.tanh(net.conv(y, 16, 1)) + net.conv(y, 16)            # in place
    graph = Graph([z.entry])
    values = arrays(graph)
    op, names = cached(graph)
    close(interpret(graph, values), outputs(op(*[values[n] for n in names])))


def test_many_threads_predict_through_one_plan():
    graph = NETWORKS["residual"]()
    values = arrays(graph)
    op, names = cached(graph)
    rng = np.random.default_rng(1)
    inputs = [mx.nd.array(rng.normal(size=(2, 3, 32, 32))) for _ in range(8)]
    expected = [interpret(graph, {**values, "data1": x})[0].asnumpy() for x in inputs]
    failures = []

    def work(i):
        for _ in range(10):
            got = outputs(op(*[inputs[i] if n == "data1" else values[n] for n in names]))[0].asnumpy()
            if np.abs(got - expected[i]).max() > 1e-5 * np.abs(expected[i]).max():
                failures.append(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
