"""Symbols: composition, names, attributes, parts, inference, running. What MXNet 1.9.1 does was looked up there."""
import copy
import json
import pickle

import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError


@pytest.fixture(autouse=True)
def names():
    with mx.name.NameManager():
        yield


def classifier():
    x = mx.sym.var("data")
    y = mx.sym.Convolution(x, kernel=(3, 3), num_filter=8, name="c1")
    y = mx.sym.BatchNorm(y, name="bn", fix_gamma=False)
    y = mx.sym.Activation(y, act_type="relu")
    y = mx.sym.FullyConnected(y, num_hidden=10, name="fc")
    return mx.sym.SoftmaxOutput(y, name="softmax")


def test_variables_that_operators_create():
    net = classifier()
    assert net.list_arguments() == ["data", "c1_weight", "c1_bias", "bn_gamma", "bn_beta", "fc_weight", "fc_bias",
                                    "softmax_label"]
    assert net.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    assert net.list_outputs() == ["softmax_output"]
    assert net.get_internals().list_outputs()[:4] == ["data", "c1_weight", "c1_bias", "c1_output"]
    assert net.name == "softmax" and repr(net) == "<Symbol softmax>"


def test_arithmetic_makes_the_nodes_of_mxnet():
    x, y = mx.sym.var("x"), mx.sym.var("y")
    made = [(s.heads[0].node.op.name, s.name, s.heads[0].node.attrs.get("scalar")) for s in (
        x + y, x - y, 1 - x, x * 2, 2 / x, x ** y, 2 ** x, -x, x == y, x > 2, mx.sym.maximum(x, 2), mx.sym.maximum(x, y))]
    assert made == [
        ("elemwise_add", "_plus0", None), ("elemwise_sub", "_minus0", None), ("_rminus_scalar", "_rminusscalar0", "1"),
        ("_mul_scalar", "_mulscalar0", "2"), ("_rdiv_scalar", "_rdivscalar0", "2"), ("_power", "_power0", None),
        ("_rpower_scalar", "_rpower_scalar0", "2"), ("_mul_scalar", "_mulscalar1", "-1.0"), ("_equal", "_equal0", None),
        ("_greater_scalar", "_greater_scalar0", "2"), ("_maximum_scalar", "_maximumscalar0", "2"),
        ("_maximum", "_maximum0", None)]


def test_attributes_go_to_the_node_and_its_variables():
    with mx.AttrScope(ctx_group="dev1", __foo__="bar"):
        y = mx.sym.FullyConnected(mx.sym.var("x"), num_hidden=3, name="fc", attr={"lr_mult": "3"})
    assert y.attr("lr_mult") == y.attr("__lr_mult__") == "3"
    assert y.attr_dict()["fc_weight"] == {"num_hidden": "3", "__lr_mult__": "3", "lr_mult": "3", "__foo__": "bar",
                                          "__ctx_group__": "dev1", "ctx_group": "dev1"}
    x = mx.sym.var("x", shape=(2, 3), dtype="float16", init=mx.init.Zero(), wd_mult=2)
    assert x.list_attr() == {"__shape__": "(2, 3)", "__wd_mult__": "2", "wd_mult": "2", "__dtype__": "2",
                             "__init__": '["zero", {}]'}
    with pytest.raises(MXNetError, match="begin and end with double underscores"):
        mx.sym.var("x", foo="1")


def test_json_comes_back_and_is_stable():
    net = classifier()
    text = net.tojson()
    again = mx.sym.load_json(text)
    assert again.tojson() == text
    assert json.loads(text)["attrs"] == {"mxnet_version": ["int", 10901]}
    for other in (copy.deepcopy(net), copy.copy(net), pickle.loads(pickle.dumps(net))):
        assert other.tojson() == text and other.heads[0].node is not net.heads[0].node


def test_save_and_load(tmp_path):
    net = classifier()
    net.save(str(tmp_path / "net.json"))
    assert mx.sym.load(str(tmp_path / "net.json")).tojson() == net.tojson()
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]


def test_parts():
    parts = mx.sym.SliceChannel(mx.sym.var("x"), num_outputs=3, name="split")
    assert len(parts) == 3 and parts.list_outputs() == ["split_output0", "split_output1", "split_output2"]
    assert [part.list_outputs() for part in parts] == [["split_output0"], ["split_output1"], ["split_output2"]]
    assert parts["split_output1"].heads == parts[1].heads == parts[-2].heads
    assert parts[1:].list_outputs() == ["split_output1", "split_output2"]
    group = mx.sym.Group([parts, mx.sym.var("y")])
    assert group.name is None and len(group) == 4
    assert parts.get_children().list_outputs() == ["x"] and mx.sym.var("x").get_children() is None
    with pytest.raises(MXNetError, match="there is no output 'split_output9'. Did you mean"):
        parts["split_output9"]
    with pytest.raises(IndexError):
        parts[3]
    with pytest.raises(MXNetError, match="data has 3 outputs; choose one of them"):
        mx.sym.relu(parts)


def test_composition():
    inner = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="a")
    outer = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=4, name="b")
    both = outer(data=inner, name="c")
    assert both.list_arguments() == ["data", "a_weight", "a_bias", "b_weight", "b_bias"]
    assert both.list_outputs() == ["c_output"] and outer.list_outputs() == ["b_output"]
    with pytest.raises(MXNetError, match="'date' is not an argument. Did you mean 'data'"):
        outer(date=inner)


def test_shapes_are_inferred_in_both_directions():
    net = classifier()
    arg, out, aux = net.infer_shape(data=(2, 3, 8, 8))
    assert arg == [(2, 3, 8, 8), (8, 3, 3, 3), (8,), (8,), (8,), (10, 288), (10,), (2,)]
    assert out == [(2, 10)] and aux == [(8,), (8,)]
    assert net.infer_shape() == (None, None, None)
    x, y = mx.sym.var("x"), mx.sym.var("y", shape=(3, 4))
    assert (x + y).infer_shape() == ([(3, 4), (3, 4)], [(3, 4)], [])
    dense = mx.sym.FullyConnected(x, num_hidden=2, name="fc")
    assert dense.infer_shape_partial(x=(0, 4)) == ([(0, 4), (2, 4), (2,)], [(0, 2)], [])
    state = mx.sym.zeros((0, 2)) + dense                # the batch of the zeros follows from the data
    assert state.eval(x=mx.nd.ones((3, 4)), fc_weight=mx.nd.ones((2, 4)), fc_bias=mx.nd.zeros((2,)))[0].shape == (3, 2)


def test_a_conflict_shows_both_shapes_and_who_says_so():
    dense = mx.sym.FullyConnected(mx.sym.var("x"), num_hidden=2, name="fc")
    with pytest.raises(MXNetError, match=r"'fc_weight' has shape \(2, 5\) \(given\), but node 'fc', FullyConnected needs "
                                         r"shape \(2, 4\)"):
        dense.infer_shape(x=(3, 4), fc_weight=(2, 5))
    with pytest.raises(MXNetError, match="'z' is not an argument"):
        dense.infer_shape(z=(3,))


def test_dtypes():
    net = classifier()
    arg, out, aux = net.infer_type(data="float16")
    assert arg[1] is np.float16 and arg[3] is np.float32 and out == [np.float16] and aux == [np.float32] * 2
    assert mx.sym.Cast(mx.sym.var("x"), dtype="int32").infer_type() == ([np.float32], [np.int32], [])
    assert (mx.sym.var("x") + mx.sym.var("y", dtype="float64")).infer_type()[0] == [np.float64] * 2


def test_bind_forward_backward():
    x, w = mx.sym.var("x"), mx.sym.var("w")
    y = mx.sym.dot(x, w)
    a, b = mx.nd.array([[1., 2.], [3., 4.]]), mx.nd.array([[1., 0.], [2., 1.]])
    ga, gb = mx.nd.zeros((2, 2)), mx.nd.ones((2, 2))
    run = y.bind(mx.cpu(), [a, b], args_grad={"x": ga, "w": gb}, grad_req={"x": "write", "w": "add"})
    np.testing.assert_array_equal(run.forward(is_train=True)[0].asnumpy(), a.asnumpy() @ b.asnumpy())
    with pytest.raises(MXNetError, match="output 'dot0_output' is not a loss"):
        run.backward()
    run.backward(mx.nd.ones((2, 2)))
    np.testing.assert_array_equal(ga.asnumpy(), np.ones((2, 2)) @ b.asnumpy().T)
    np.testing.assert_array_equal(gb.asnumpy(), a.asnumpy().T @ np.ones((2, 2)) + 1)
    run.forward(x=mx.nd.zeros((2, 2)))
    assert not a.asnumpy().any() and not run.outputs[0].asnumpy().any()


def test_simple_bind_reshape_and_parameters():
    net = classifier()
    run = net.simple_bind(mx.cpu(), data=(4, 3, 8, 8))
    assert run.grad_dict["c1_weight"].shape == (8, 3, 3, 3) and run.output_dict["softmax_output"].shape == (4, 10)
    smaller = run.reshape(data=(2, 3, 8, 8), softmax_label=(2,))
    assert smaller.arg_dict["c1_weight"] is run.arg_dict["c1_weight"] and smaller.outputs[0].shape == (2, 10)
    with pytest.raises(MXNetError, match="allow_up_sizing"):
        run.reshape(data=(8, 3, 8, 8), softmax_label=(8,))
    run.copy_params_from({"fc_bias": mx.nd.ones((10,))}, {"bn_moving_var": mx.nd.ones((8,))})
    assert run.arg_dict["fc_bias"].asnumpy().all()
    with pytest.raises(MXNetError, match="'fc_bia' is not an argument of the symbol. Did you mean 'fc_bias'"):
        run.copy_params_from({"fc_bia": mx.nd.ones((10,))})
    seen = []
    run.set_monitor_callback(lambda name, array: seen.append((name, array.shape)))
    run.forward(is_train=True)
    assert seen[0] == ("c1_output", (4, 8, 6, 6)) and seen[-1] == ("softmax_output", (4, 10))
    assert "MB allocated" in run.debug_str()


def test_what_symbols_cannot_do_says_so():
    x = mx.sym.var("x")
    for what in (lambda: bool(x), lambda: x.asnumpy(), lambda: float(x), lambda: x.wait_to_read()):
        with pytest.raises(NotImplementedError, match="has no values until it is bound"):
            what()
    for what in (lambda: x + np.ones(2), lambda: np.ones(2) + x, lambda: mx.nd.ones((2,)) * x):
        with pytest.raises(MXNetError, match="make the array an argument"):
            what()
    assert (np.float32(2) * x).heads[0].node.attrs == {"scalar": "2.0"}
    with pytest.raises(MXNetError, match="unknown parameter 'num_hiden'. Did you mean 'num_hidden'"):
        mx.sym.FullyConnected(x, num_hidden=3, num_hiden=3)
    with pytest.raises(MXNetError, match="data is int; expected a Symbol"):
        mx.sym.FullyConnected(3, num_hidden=3)


def test_a_chain_of_100_000_nodes():
    y = mx.sym.var("x")
    for _ in range(100_000):
        y = -y
    again = mx.sym.load_json(y.tojson())
    assert again.infer_shape(x=(3,))[1] == [(3,)]
    np.testing.assert_array_equal(again.eval(x=mx.nd.ones((3,)))[0].asnumpy(), np.ones(3))


@pytest.mark.parametrize("text, message", [
    ("{", "not a symbol file"), ("[]", "the JSON is a list"), ("[" * 100_000, "not a symbol file"), ("{}", "'nodes'"),
    ('{"nodes": [{"op": "relu", "name": "a", "inputs": [[0, 0]]}], "heads": [[0, 0]]}', "does not come before"),
    ('{"nodes": [{"op": "rellu", "name": "a", "inputs": []}], "heads": [[0, 0]]}', "operator 'rellu', which does not"),
    ('{"nodes": [{"op": "null", "name": "a", "inputs": []}], "heads": [[0, 5]]}', "output 5 of 'a', which has 1"),
    ('{"nodes": [{"op": "null", "name": 3, "inputs": []}], "heads": [[0, 0]]}', "'name' of node 0 is int"),
])
def test_hostile_json(text, message):
    with pytest.raises(MXNetError, match=message):
        mx.sym.load_json(text)
