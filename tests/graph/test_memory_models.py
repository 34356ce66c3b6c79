"""What sharing memory saves in networks: at least what is published for MXNet (arXiv:1512.01274, figure 7)."""
import pytest

import mxcy as mx
from mxcy.gluon.model_zoo import vision
from mxcy.graph.graph import Graph
from mxcy.graph.lower import lower
from mxcy.graph.simplify import simplify
from mxcy.plan.compile import compile_plan, differentiate
from tests.graph.test_memory import planned

#: Bytes of all values over bytes of the arena: in training, in prediction.
PUBLISHED = {"alexnet": (1.8, 3.4), "inception_v3": (2.2, 4.5), "vgg16": (1.7, 4.0)}


def network(name, batch=4):
    """(symbol, types of its variables) of a network of the zoo with a softmax loss."""
    size = 299 if name == "inception_v3" else 224
    out = mx.sym.SoftmaxOutput(getattr(vision, name)()(mx.sym.Variable("data")), name="softmax")
    arguments, _, aux = out.infer_shape(data=(batch, 3, size, size))
    shapes = dict(zip([*out.list_arguments(), *out.list_auxiliary_states()], [*arguments, *aux]))
    return out, {key: (shape, "float32") for key, shape in shapes.items()}


def parameters(symbol):
    return [name for name in symbol.list_arguments() if name not in ("data", "softmax_label")]


@pytest.mark.parametrize("train", [True, False], ids=["training", "prediction"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_sharing(name, train):
    """The operators as they stand: no fusion."""
    symbol, types = network(name)
    typed = lower(symbol.graph, types)
    grads = differentiate(typed, parameters(symbol), train)[0].values() if train else ()
    graph = simplify(Graph([*typed.heads, *grads]), train)
    _, _, plan = planned(graph, 1)
    assert plan.naive >= PUBLISHED[name][not train] * plan.arena
    assert plan.arena <= 1.05 * plan.bound


@pytest.mark.parametrize("train", [True, False], ids=["training", "prediction"])
@pytest.mark.parametrize("name", ["resnet50_v1", "densenet121", "mobilenet_v2_1_0"])
def test_arena_is_near_the_bound(name, train):
    """Whole plans, fused and with channels last."""
    symbol, types = network(name, 2)
    names = parameters(symbol)
    program = compile_plan(symbol.graph, types, train=train, grads=[(n, False) for n in names] if train else (),
                           parameters=() if train else names)
    memory = program.plan.report["memory"]
    assert program.plan.arena_bytes == memory.arena <= 1.05 * memory.bound


def test_resnet_of_a_thousand_layers():
    """arXiv:1604.06174 figure 6: the square root rule takes a ResNet of 1,000 layers from 48 to 7 GB."""
    x = mx.sym.Variable("data")
    x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=4, name="first")
    for i in range(333):
        h = x
        for k in range(3):
            h = mx.sym.Activation(mx.sym.BatchNorm(h, fix_gamma=False, name=f"bn{i}_{k}"), act_type="relu")
            h = mx.sym.Convolution(h, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, name=f"conv{i}_{k}")
        x = x + h
    out = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x, num_hidden=10, name="fc"), name="softmax")
    arguments, _, aux = out.infer_shape(data=(4, 3, 16, 16))
    shapes = dict(zip([*out.list_arguments(), *out.list_auxiliary_states()], [*arguments, *aux]))
    types = {key: (shape, "float32") for key, shape in shapes.items()}
    grads = [(name, False) for name in parameters(out)]
    usual, small = (compile_plan(out.graph, types, train=True, grads=grads, memory_budget=budget)
                    for budget in (None, 0))
    assert usual.plan.arena_bytes >= 6 * small.plan.arena_bytes
    count = [sum(node.op.name == "Convolution" for node in program.plan.report["order"]) for program in (usual, small)]
    assert count[1] <= 2 * count[0]                     # a step is the forward phase and twice as much backward: 4 / 3
