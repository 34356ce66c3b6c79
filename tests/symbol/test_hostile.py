"""Files that lie: whatever stands in a symbol or parameter file, there is a result or a clear error, soon and in little memory."""
import json
import os
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy.base import MXNetError


@pytest.fixture(autouse=True)
def soon():
    """Nothing here may take long."""
    def late(*_):
        raise AssertionError("it hangs")
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(600)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def network():
    """A small symbol with most of what files have: parameters, states, several outputs, a loop, attributes."""
    x = mx.sym.var("x", shape=(0, 3, 8, 8), lr_mult=2)
    y = mx.sym.Convolution(x, num_filter=4, kernel=(3, 3), name="conv")
    y = mx.sym.BatchNorm(y, fix_gamma=False, name="bn")
    y = mx.sym.Activation(y, act_type="relu")
    y = mx.sym.Pooling(y, kernel=(2, 2), pool_type="max", stride=(2, 2))
    a, b = mx.sym.split(mx.sym.Flatten(y), num_outputs=2)
    with mx.AttrScope(ctx_group="dev1"):
        y = mx.sym.FullyConnected(a + 2 * b, num_hidden=5, name="fc")
    rows, last = mx.sym.contrib.foreach(lambda d, s: (d + s, d * s), y, mx.sym.sum(y, axis=0))
    return mx.sym.SoftmaxOutput(mx.sym.concat(rows, y, dim=1), name="softmax")


TEXT = network().tojson()


def use(text):
    """What a program does with a file."""
    symbol = mx.sym.load_json(text)
    symbol.list_arguments(), symbol.list_outputs(), symbol.list_auxiliary_states(), symbol.attr_dict()
    assert mx.sym.load_json(symbol.tojson()).tojson() == symbol.tojson()
    shapes = {"x": (2, 3, 8, 8)} if "x" in symbol.list_arguments() else {}
    symbol.infer_type_partial()
    arguments, outputs, states = symbol.infer_shape_partial(**shapes)
    sizes = [np.prod([float(n) for n in shape]) for shape in (*arguments, *outputs, *states)]
    if max(sizes, default=0) < 1e6:
        executor = symbol.simple_bind(mx.cpu(), grad_req="null", **shapes)
        executor.forward()
        mx.nd.waitall()


def survives(text):
    """Use a file; only errors of ours may come."""
    try:
        use(text)
    except Exception as error:
        assert isinstance(error, MXNetError), f"{type(error).__name__}: {error}"


def values_within(value, path=()):
    """Paths to all values of a JSON object."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from values_within(item, (*path, key))


PATHS = list(values_within(json.loads(TEXT)))[1:]
ATTRIBUTES = [path for path in PATHS if "attrs" in path and isinstance(path[-1], str)]
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just([]), st.just({}), st.just([[]]),
    st.sampled_from([-1, 0, 1, 2, 10 ** 9, 2 ** 63, -2 ** 63, "null", "_foreach", "RNN", "Custom", "_copy", "dot"]))
ODD_TEXT = st.one_of(st.text(max_size=10), st.sampled_from(
    ["", "()", "(0,)", "(-1, -1)", "(1, 1, 1, 1, 1)", "9" * 50, "-5", "1e400", "nan", "None", "True", "(1, 'a')", "[" * 500,
     "9**9**9", "(1000000000, 1000000000)", "2147483648", "float64", "int8", "\ud800", "\0"]))


def changed(path, value):
    data = json.loads(TEXT)
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(data)


FEW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(st.sampled_from(PATHS), ODD)
def test_any_value_replaced(path, value):
    survives(changed(path, value))


@FEW
@given(st.sampled_from(ATTRIBUTES), ODD_TEXT)
def test_any_attribute_replaced(path, value):
    survives(changed(path, value))


@FEW
@given(st.sampled_from(PATHS))
def test_any_value_missing(path):
    data = json.loads(TEXT)
    at = data
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    survives(json.dumps(data))


@FEW
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 30), st.text(max_size=3))
def test_any_text_cut_or_replaced(begin, length, by):
    survives(TEXT[:begin] + by + TEXT[begin + length:])


@FEW
@given(st.text(max_size=200))
def test_any_text(text):
    survives(text)


@FEW
@given(st.data())
def test_any_graph(data):
    """Random operators applied to random earlier values."""
    names = sorted(mx.operator.get_all_registered_operators())
    nodes = [{"op": "null", "name": "x", "inputs": []}]
    for i in range(data.draw(st.integers(1, 6))):
        count = data.draw(st.integers(0, 4))
        inputs = [[data.draw(st.integers(0, len(nodes) - 1)), 0, 0] for _ in range(count)]
        attrs = data.draw(st.dictionaries(st.sampled_from(["axis", "num_outputs", "shape", "dtype", "num_hidden", "kernel",
                                                           "num_args", "scalar"]),
                                          st.sampled_from(["0", "1", "3", "(1, 2)", "float32", "-7"]), max_size=2))
        nodes.append({"op": data.draw(st.sampled_from(names)), "name": f"n{i}", "inputs": inputs, "attrs": attrs})
    survives(json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}))


# -- single cases ------------------------------------------------------------------------------------------------------

def text_of(nodes, heads, **more):
    return json.dumps({"nodes": nodes, "heads": heads, **more})


def variable(name="x", **attrs):
    return {"op": "null", "name": name, "inputs": [], "attrs": attrs}


def one(op, **attrs):
    return text_of([variable(), {"op": op, "name": "a", "attrs": attrs, "inputs": [[0, 0, 0]]}], [[1, 0, 0]])


def loop_within(depth):
    """foreach within foreach, so deep."""
    text = text_of([variable(), {"op": "_copy", "name": "c", "inputs": [[0, 0, 0]]}], [[1, 0, 0]])
    for _ in range(depth):
        text = ('{"nodes": [{"op": "null", "name": "x", "inputs": []}, {"op": "_foreach", "name": "f", "inputs": '
                '[[0, 0, 0]], "attrs": {"in_data_locs": "[0]", "in_state_locs": "[]", "remain_locs": "[]", '
                '"num_outputs": "1", "num_out_data": "1"}, "subgraphs": [' + text + ']}], "heads": [[1, 0, 0]]}')
    return text


@pytest.mark.parametrize("text, words", [
    (text_of([{"op": "relu", "name": "a", "inputs": [[1, 0, 0]]}, {"op": "relu", "name": "b", "inputs": [[0, 0, 0]]}],
             [[1, 0, 0]]), "node 1, which does not come before"),
    (text_of([{"op": "relu", "name": "a", "inputs": [[0, 0, 0]]}], [[0, 0, 0]]), "does not come before"),
    (text_of([variable()], [[0, 10 ** 30, 0]]), "has 1"),
    ("[" * 100_000, "not a symbol file"),
    (loop_within(40), "nested more than 32 deep"),
    (loop_within(3000), "not a symbol file"),
    (one("SliceChannel", num_outputs="1000000000"), "at most 100000"),
    (one("_custom_backward", needs="1"), "parameter prop is missing"),
    (one("_custom_forward", prop="1"), "made in plans only"),
    (text_of([{**variable(), "subgraphs": 7}], [[0, 0, 0]]), "'subgraphs' of node 0 is int"),
    ('{"nodes": [], "heads": [[0, 0]], "attrs": {"mxnet_version": ["int", Infinity]}}', "a head is node 0"),
    (one("tile", reps="(" * 100_000), "reps"),
    (one("tile", reps="9" * 100_000), "reps"),
])
def test_refusals(text, words):
    with pytest.raises(MXNetError, match=words):
        mx.sym.load_json(text)


def test_loops_within_loops_are_inferred_once_a_level():
    symbol = mx.sym.load_json(loop_within(25))
    assert symbol.infer_shape(x=(1,) * 26)[1] == [(1,) * 26]
    assert symbol.eval(x=mx.nd.ones((1,) * 26))[0].shape == (1,) * 26


def test_too_many_axes():
    symbol = mx.sym.load_json(one("tile", reps="(" + "1," * 1000 + ")"))
    with pytest.raises(MXNetError, match="1000 axes"):
        symbol.infer_shape(x=(2,))


def test_names_given_twice():
    symbol = mx.sym.load_json(text_of([variable(), variable(), {"op": "elemwise_add", "name": "a", "inputs":
                                                                [[0, 0, 0], [1, 0, 0]]}], [[2, 0, 0]]))
    assert symbol.list_arguments() == ["x", "x"]
    with pytest.raises(MXNetError, match="several variables named 'x'"):
        symbol.eval(x=mx.nd.ones((2,)))


def test_results_that_no_memory_holds():
    with pytest.raises(MXNetError, match="out of memory|bytes"):
        mx.sym.load_json(one("tile", reps="(1000000, 1000000)")).eval(x=mx.nd.ones((1000, 1)))[0].wait_to_read()


@pytest.mark.slow
def test_a_chain_of_100_000_nodes():
    """It loads, infers, runs, and is differentiated."""
    n = 100_000
    nodes = [variable()] + [{"op": "_plus_scalar", "name": f"n{i}", "attrs": {"scalar": "1"}, "inputs": [[i, 0, 0]]}
                            for i in range(n)]
    symbol = mx.sym.load_json(text_of(nodes, [[n, 0, 0]]))
    assert symbol.infer_shape(x=(2,))[1] == [(2,)]
    executor = symbol.simple_bind(mx.cpu(), x=(2,))
    executor.forward(is_train=True, x=mx.nd.array([1, 2]))
    executor.backward(mx.nd.array([3, 4]))
    assert executor.outputs[0].asnumpy().tolist() == [n + 1, n + 2]
    assert executor.grad_dict["x"].asnumpy().tolist() == [3, 4]


# -- parameters --------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("hostile") / "a.params")
    mx.nd.save(path, {"arg:w": mx.nd.ones((3, 4)), "aux:m": mx.nd.zeros((2,), dtype="int8"), "arg:s": mx.nd.ones((1,))})
    with open(path, "rb") as file:
        return file.read()


def load(data):
    try:
        return mx.nd.load_frombuffer(bytes(data))
    except Exception as error:
        assert isinstance(error, MXNetError), f"{type(error).__name__}: {error}"


@FEW
@given(position=st.integers(0, 10 ** 6), value=st.sampled_from([0, 1, 0x7f, 0x80, 0xff]), width=st.sampled_from([1, 4, 8]))
def test_any_bytes_of_a_parameter_file_replaced(params, position, value, width):
    data = bytearray(params)
    position %= len(data)
    data[position:position + width] = bytes([value] * width)[:len(data) - position]
    load(data)


@FEW
@given(st.integers(0, 10 ** 6), st.binary(max_size=16))
def test_any_parameter_file_cut_or_longer(params, length, tail):
    load(params[:length % len(params)] + tail)


def test_parameters_that_do_not_fit(tmp_path):
    net = mx.gluon.nn.Dense(3, in_units=4)
    path = os.path.join(tmp_path, "p.params")
    mx.nd.save(path, {"weight": mx.nd.ones((3, 5)), "bias": mx.nd.ones((3,))})
    with pytest.raises(MXNetError, match=r"\(3, 4\)|\(3, 5\)"):
        net.load_parameters(path)
    mx.nd.save(path, {"weight": mx.nd.ones((3, 4))})
    with pytest.raises(MXNetError, match="bias"):
        net.load_parameters(path)
    mx.nd.save(path, {"weight": mx.nd.ones((3, 4)), "bias": mx.nd.ones((3,)), "more": mx.nd.ones((3,))})
    with pytest.raises(MXNetError, match="more"):
        net.load_parameters(path)


def test_two_spellings_of_an_unknown_size_do_not_take_turns():
    a, b = mx.sym.var("a", shape=(-1, 3)), mx.sym.var("b", shape=(0, 3))
    assert (a + b).infer_shape_partial()[1] == [(0, 3)]
    assert (a + b).infer_shape(a=(2, 3))[0] == [(2, 3)] * 2
