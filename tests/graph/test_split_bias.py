"""Biases that join the elementwise operators behind a dense layer."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.fuse_pointwise import fuse_pointwise
from mxcy.graph.graph import Graph
from mxcy.graph.split_bias import split_bias
from tests.graph.random_graphs import same_result


def dense(dtype="float32"):
    return F.FullyConnected(variable("x", (70, 5), dtype), variable("w", (60, 5), dtype), variable("b", (60,), dtype),
                            num_hidden=60)


def operators(graph):
    return [node.op.name for node in graph.nodes if node.op is not None]


def values(dtype="float32"):
    rng = np.random.default_rng(0)
    shapes = {"x": (70, 5), "w": (60, 5), "b": (60,), "r": (70, 60)}
    return {name: mx.nd.array(rng.normal(size=shape), dtype=dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bias_activation_and_sum_are_one_step(dtype):
    graph = Graph([(F.Activation(dense(dtype), act_type="relu") + variable("r", (70, 60), dtype)).entry])
    after = fuse_pointwise(split_bias(graph))
    assert operators(after) == ["FullyConnected", "_fused_pointwise"]
    same_result(graph, after, values(dtype))


def test_a_bias_that_nothing_follows_stays():
    for graph in (Graph([dense().entry]), Graph([F.softmax(dense()).entry]),
                  Graph([F.relu(y).entry for y in [dense()]] + [F.sum(F.Flatten(dense())).entry])):
        after = split_bias(graph)
        assert operators(after).count("broadcast_add") == operators(graph).count("relu")
        same_result(graph, after, values())


def test_a_product_of_16_bits_is_not_rounded_first():
    graph = Graph([F.relu(dense("float16")).entry])
    assert operators(split_bias(graph)) == ["FullyConnected", "relu"]
