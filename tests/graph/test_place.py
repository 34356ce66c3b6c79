"""Placement: devices of groups, copies between them, and results that stay the same."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.graph.lower import lower
from mxcy.graph.graph import Graph
from mxcy.graph.interpret import interpret
from mxcy.graph.place import contexts, place
from mxcy.plan.compile import differentiate


def network():
    with mx.AttrScope(ctx_group="first"):
        x = mx.sym.Variable("data")
        h = mx.sym.Activation(mx.sym.FullyConnected(x, num_hidden=8, name="fc1"), act_type="tanh")
    with mx.AttrScope(ctx_group="second"):
        h = mx.sym.FullyConnected(h, num_hidden=4, name="fc2")
    return mx.sym.square(h + 1, name="out")


GROUPS = {"first": mx.cpu(1), "second": mx.cpu(2)}
TYPES = {"data": ((3, 5), "float32"), "fc1_weight": ((8, 5), "float32"), "fc1_bias": ((8,), "float32"),
         "fc2_weight": ((4, 8), "float32"), "fc2_bias": ((4,), "float32")}


def test_groups_decide():
    graph = network().graph
    found = {node.name: device for node, device in contexts(graph, GROUPS, mx.cpu()).items()}
    assert found["data"] == found["fc1"] == found["fc1_weight"] == mx.cpu(1)
    assert found["fc2"] == found["fc2_bias"] == found["out"] == mx.cpu(2)


def test_without_groups_all_is_where_the_default_says():
    graph = (mx.sym.Variable("a") + 1).graph
    assert set(contexts(graph, {}, mx.cpu(3)).values()) == {mx.cpu(3)}


def test_copies_in_both_phases():
    typed = lower(network().graph, TYPES)
    grads, given = differentiate(typed, list(TYPES), True)
    joint = Graph([*typed.heads, *grads.values()])
    after = place(joint, GROUPS, mx.cpu())
    copies = [node for node in after.nodes if node.op is not None and node.op.name == "_CrossDeviceCopy"]
    assert sorted(node.attrs["__ctx__"] for node in copies) == ["cpu(1)", "cpu(2)"]
    device = {node: node.attrs["__ctx__"] for node in after.nodes if node.op is not None}
    for node in device:
        for entry in node.inputs:
            assert node in copies or entry.node.op is None or device[entry.node] == device[node]
    rng, where = np.random.default_rng(0), contexts(joint, GROUPS, mx.cpu())
    values = {node: rng.normal(size=node.types[0][0]) for node in joint.variables}
    plain = interpret(joint, {node.name: mx.nd.array(value) for node, value in values.items()})
    placed = interpret(after, {node.name: mx.nd.array(value, ctx=where[node]) for node, value in values.items()})
    for one, other, head in zip(plain, placed, joint.heads, strict=True):
        assert other.context == where[head.node]
        np.testing.assert_array_equal(one.asnumpy(), other.asnumpy())


def test_bound_symbols():
    shapes = {"data": (3, 5)}
    plain = network().simple_bind(mx.cpu(), **shapes)
    placed = network().simple_bind(mx.cpu(), group2ctx=GROUPS, **shapes)
    assert placed.arg_dict["fc1_weight"].context == placed.grad_dict["fc1_weight"].context == mx.cpu(1)
    assert placed.arg_dict["fc2_weight"].context == placed.outputs[0].context == mx.cpu(2)
    rng = np.random.default_rng(1)
    values = {name: rng.normal(size=array.shape) for name, array in plain.arg_dict.items()}
    for executor in (plain, placed):
        executor.forward(is_train=True, **{name: mx.nd.array(value) for name, value in values.items()})
        executor.backward([mx.nd.ones((3, 4))])
    np.testing.assert_array_equal(plain.outputs[0].asnumpy(), placed.outputs[0].asnumpy())
    for name in values:
        np.testing.assert_array_equal(plain.grad_dict[name].asnumpy(), placed.grad_dict[name].asnumpy())


def test_groups_without_a_device():
    with pytest.raises(mx.base.MXNetError, match=r"'fc2.*'second'.*no device.*It has first"):
        network().simple_bind(mx.cpu(), group2ctx={"first": mx.cpu(1)}, data=(3, 5))
