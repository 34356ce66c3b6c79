"""Batch norm with a rectifier: the same results, gradients and moving statistics, and nothing left beside it."""
import pytest

import mxcy as mx
from mxcy.graph.build import F, variable
from mxcy.graph.fuse_batch_norm import fuse_batch_norms
from mxcy.graph.gradient import gradient
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.graph.interpret import interpret
from tests.graph.networks import NETWORKS, Network, arrays, count
from tests.graph.test_layout import close


def joint(graph):
    """A graph with its gradients."""
    head = graph.heads[0]
    given = Entry(Node(None, "given", types=[(head.shape, head.dtype)]), 0)
    wrt = sorted((Entry(node, 0) for node in graph.variables if not node.name.startswith(("mean", "var"))),
                 key=lambda entry: entry.node.name)
    return Graph([head, *(g for g in gradient(Graph([head]), [given], wrt, True) if g is not None)])


def run(graph, values):
    """Outputs, and what the moving statistics are afterwards."""
    values = {name: value.copy() for name, value in values.items()}
    with mx.autograd.train_mode():
        outputs = interpret(graph, values)
    return [*outputs, *(values[name] for name in sorted(values) if name.startswith(("mean", "var")))]


def check(graph):
    """The graph after the pass, which does the same."""
    made, values = fuse_batch_norms(graph), arrays(graph)
    close(run(graph, values), run(made, values), 2e-4)
    return made


@pytest.mark.parametrize("name", NETWORKS)
def test_same_results(name):
    check(joint(Graph(NETWORKS[name]().heads[:1])))


def test_residual():
    """Rectifiers join their batch norms, sums those batch norms that come last."""
    made = check(joint(Graph(NETWORKS["residual"]().heads[:1])))
    assert count(made, "_batch_norm_relu") == 5 and count(made, "Activation") == 0
    assert count(made, "_backward_batch_norm_relu") == 3 and count(made, "_backward_relu") == 2
    assert count(made, "BatchNorm") == 1            # of the shortcut, which is a summand


def test_what_others_use_stays():
    net = Network()
    x = net.norm(net.variable("data", (3, 4, 5, 5)), fix_gamma=False)
    y = F.Activation(x, act_type="relu")
    assert count(check(Graph([(x * y).entry])), "_batch_norm_relu") == 0
    assert count(check(Graph([F.Activation(x, act_type="tanh").entry])), "_batch_norm_relu") == 0
    assert count(check(Graph([x.entry, y.entry])), "_batch_norm_relu") == 0
    assert count(check(Graph([y.entry])), "_batch_norm_relu") == 1


def test_the_other_summand_must_be_there():
    """What comes later, or needs the batch norm, cannot be part of it."""
    net = Network()
    x = net.variable("data", (3, 4, 5, 5))
    norm = net.norm(x)
    late = F.exp(x)
    made = check(Graph([F.relu(norm + late).entry]))
    assert count(made, "_batch_norm_relu") == 0
    norm = net.norm(x)
    assert count(check(Graph([F.relu(norm + norm).entry])), "_batch_norm_relu") == 0
    early = variable("early", (3, 4, 5, 5))
    assert count(check(Graph([F.relu(early + net.norm(x)).entry])), "_batch_norm_relu") == 1
