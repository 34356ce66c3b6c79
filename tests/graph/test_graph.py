"""Graphs: order, users, rebuilding; nothing recursive."""
import pytest

from mxcy.base import MXNetError
from mxcy.graph.build import F, variable
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.ops.operator import lookup


def chain(length):
    x = variable("x", (2,))
    y = x
    for _ in range(length):
        y = F.relu(y)
    return x, y


def test_inputs_come_before_users():
    x = variable("x", (2, 3))
    a = F.relu(x)
    b = F.sigmoid(x)
    graph = Graph([(a + b * a).entry])
    place = {node: i for i, node in enumerate(graph.nodes)}
    assert all(place[entry.node] < place[node] for node in graph.nodes for entry in node.inputs)
    assert graph.variables == [x.entry.node]
    assert {(node.op.name, at) for node, at in graph.users()[a.entry]} == {("elemwise_mul", 1), ("elemwise_add", 0)}


def test_a_chain_of_100_000_nodes():
    x, y = chain(100_000)
    graph = Graph([y.entry])
    assert len(graph.nodes) == 100_001
    same = graph.map(lambda node, inputs: None)
    assert same.nodes == graph.nodes


def test_a_cycle_is_found():
    a, b = (Node(lookup("relu"), name) for name in "ab")
    a.inputs, b.inputs = [Entry(b, 0)], [Entry(a, 0)]
    with pytest.raises(MXNetError, match="cycle through node 'a'"):
        Graph([Entry(a, 0)])


def test_map_replaces_a_node_and_rebuilds_its_users():
    x = variable("x", (2, 3))
    graph = Graph([F.exp(F.relu(F.tanh(x))).entry])
    without = graph.map(lambda node, inputs: [inputs[0]] if node.op and node.op.name == "relu" else None)
    assert [node.op.name for node in without.nodes[1:]] == ["tanh", "exp"]
    assert without.nodes[1] is graph.nodes[1]                   # what did not change is shared


def test_nodes_named_in_after_come_first():
    x = variable("x", (2, 3))
    first, second = F.relu(x).entry.node, F.exp(x).entry.node
    first.after = (second,)
    assert Graph([Entry(first, 0)]).nodes == [x.entry.node, second, first]


def test_types_are_inferred_as_nodes_are_made():
    x = variable("x", (4, 3), "float16")
    y = F.FullyConnected(x, variable("w", (5, 3), "float16"), num_hidden=5, no_bias=True)
    assert (y.shape, y.dtype, y.ndim) == ((4, 5), "float16", 2)
    with pytest.raises(MXNetError, match=r"weight has shape \(5, 2\)"):
        F.FullyConnected(x, variable("w", (5, 2), "float16"), num_hidden=5, no_bias=True)


def test_parameters_come_from_text():
    node = Node(lookup("_plus_scalar"), "plus", [variable("x", (2,)).entry], {"scalar": "2.5", "__ctx_group__": "a"})
    assert node.scalar == 2.5
    with pytest.raises(MXNetError, match="node 'p': Pooling: kernel"):
        assert Node(lookup("Pooling"), "p", attrs={"kernel": "round"}).params
