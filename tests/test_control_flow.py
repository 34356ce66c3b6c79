"""foreach, while_loop and cond: on arrays, in symbols and in plans the same values and gradients; MXNet's files."""
import json

import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetTypeError, MXNetValueError


def with_gradients(function, arrays):
    """Values of the results and gradients of their sum of squares, of an imperative function."""
    for array in arrays.values():
        array.attach_grad()
    with mx.autograd.record():
        outputs = function(**arrays)
        total = sum((out * out).sum() for out in outputs)
    total.backward()
    return [out.asnumpy() for out in outputs], {name: array.grad.asnumpy() for name, array in arrays.items()}


def bound(symbol, arrays):
    """The same of a bound symbol; a second forward and backward must give the same."""
    executor = symbol.bind(mx.cpu(), arrays, {name: mx.nd.zeros(array.shape) for name, array in arrays.items()})
    for _ in range(2):
        outputs = executor.forward(is_train=True)
        executor.backward([2 * out for out in outputs])
    return [out.asnumpy() for out in outputs], {name: grad.asnumpy() for name, grad in executor.grad_dict.items()}


def agree(found, expected):
    assert len(found[0]) == len(expected[0])
    for left, right in zip(found[0], expected[0]):
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    for name, right in expected[1].items():
        np.testing.assert_allclose(found[1][name], right, rtol=1e-4, atol=1e-5, err_msg=name)


def normal(**shapes):
    mx.random.seed(1)
    return {name: mx.nd.random.normal(shape=shape) for name, shape in shapes.items()}


def cumulative(F, x, s, w):
    out, last = F.contrib.foreach(lambda row, state: (row * w + state, state + F.tanh(row)), x, s)
    return [out, last]


def several(F, x, y, s, w):
    def body(rows, states):
        a, b = rows
        (c,), d = states
        return [a + d, [b * w, c]], [[c + a], d * 2]
    (first, (second, third)), ((c,), d) = F.contrib.foreach(body, [x, y], [[s], w])
    return [first, second, third, c, d]


def nested(F, x, s, w):
    def outer(block, state):
        inner, state = F.contrib.foreach(lambda row, t: (row * w + t, t + row), block, state)
        return F.sum(inner, axis=0), state
    out, last = F.contrib.foreach(outer, x, s)
    return [out, last]


def powers(F, x, i, w):
    out, (x, i) = F.contrib.while_loop(lambda x, i: i < 3, lambda x, i: (x * i, [x * w, i + 1]), [x, i],
                                       max_iterations=5)
    return [out, x, i]


def branch(F, x, w):
    return [F.contrib.cond(F.sum(x) > 0, lambda: x * w, lambda: x - w)]


def mixed(F, x, s, w):
    """A branch and a loop of unknown length within a loop over slices."""
    def body(row, state):
        out, _ = F.contrib.while_loop(lambda i: F.sum(i) < 2, lambda i: (i * row, i + w * w + 1), state,
                                      max_iterations=3)
        return F.sum(out, axis=0), F.contrib.cond(F.sum(row) > 0, lambda: state + row, lambda: state * .5)
    out, last = F.contrib.foreach(body, x, s)
    return [out, last]


CASES = {
    "cumulative": (cumulative, dict(x=(4, 3), s=(3,), w=(3,))),
    "one slice": (cumulative, dict(x=(1, 3), s=(3,), w=(3,))),
    "one axis": (cumulative, dict(x=(4,), s=(1,), w=(1,))),
    "several": (several, dict(x=(3, 2), y=(3, 2), s=(2,), w=(2,))),
    "nested": (nested, dict(x=(2, 3, 4), s=(4,), w=(4,))),
    "while": (powers, dict(x=(1,), i=(1,), w=(1,))),
    "cond": (branch, dict(x=(3,), w=(3,))),
    "mixed": (mixed, dict(x=(3, 2), s=(2,), w=(2,))),
}


@pytest.mark.parametrize("name", CASES)
def test_arrays_and_symbols_agree(name):
    function, shapes = CASES[name]
    arrays = normal(**shapes)
    if "i" in arrays:
        arrays["i"] = mx.nd.zeros((1,))
    expected = with_gradients(lambda **a: function(mx.nd, **a), arrays)
    symbol = mx.sym.Group(function(mx.sym, **{key: mx.sym.var(key) for key in shapes}))
    found = bound(symbol, arrays)
    agree(found, expected)
    again = mx.sym.load_json(symbol.tojson())
    assert again.tojson() == symbol.tojson() and again.list_arguments() == symbol.list_arguments()
    agree(bound(again, arrays), expected)
    outputs = symbol.infer_shape(**shapes)[1]
    assert [tuple(shape) for shape in outputs] == [out.shape for out in expected[0]]


def test_the_other_branch():
    x, w = mx.nd.array([-1, -2.]), mx.nd.array([3, 4.])
    symbol = mx.sym.Group(branch(mx.sym, mx.sym.var("x"), mx.sym.var("w")))
    agree(bound(symbol, dict(x=x, w=w)), with_gradients(lambda **a: branch(mx.nd, **a), dict(x=x, w=w)))


def test_values():
    x = mx.nd.array([[1.], [2.], [3.]])
    out, last = mx.nd.contrib.foreach(lambda d, s: (d + s, d + s), x, mx.nd.array([1.]))
    assert out.asnumpy().tolist() == [[2], [4], [7]] and last.asscalar() == 7
    out, states = mx.nd.contrib.foreach(lambda d, s: ([], s), x, [])
    assert out == [] and states == []
    out, (i, s) = mx.nd.contrib.while_loop(lambda i, s: i < 3, lambda i, s: ([i * 2, s], [i + 1, s + i]),
                                           [mx.nd.array([0.]), mx.nd.array([1.])], max_iterations=5)
    assert out[0].asnumpy().ravel().tolist() == [0, 2, 4, 0, 0]
    assert out[1].asnumpy().ravel().tolist() == [1, 1, 2, 0, 0]
    assert i.asscalar() == 3 and s.asscalar() == 4
    out, i = mx.nd.contrib.while_loop(lambda i: i < 0, lambda i: (i, i + 1), mx.nd.array([0.]), max_iterations=4)
    assert out == [] and i.asscalar() == 0
    out, i = mx.nd.contrib.while_loop(lambda i: i < 20, lambda i: (i, i + 1), mx.nd.array([0.]), max_iterations=2)
    assert out.shape == (2, 1) and i.asscalar() == 2


def test_a_loop_of_no_iterations_gives_zeros_in_symbols():
    i = mx.sym.var("i")
    out, last = mx.sym.contrib.while_loop(lambda i: i < 0, lambda i: (i * 2, i + 1), i, max_iterations=4)
    values = mx.sym.Group([out, last]).eval(i=mx.nd.array([7.]))
    assert values[0].asnumpy().tolist() == [[0]] * 4 and values[1].asscalar() == 7


def test_layers_within_a_loop_become_arguments():
    def body(row, state):
        return mx.sym.FullyConnected(row + state, num_hidden=3, name="fc"), state + 1
    out, _ = mx.sym.contrib.foreach(body, mx.sym.var("x"), mx.sym.var("s"))
    assert out.list_arguments() == ["x", "s", "fc_weight", "fc_bias"]
    shapes = out.infer_shape(x=(5, 2, 4), s=(2, 4))
    assert shapes[0] == [(5, 2, 4), (2, 4), (3, 4), (3,)] and shapes[1] == [(5, 2, 3)]
    executor = out.simple_bind(mx.cpu(), x=(5, 2, 4), s=(2, 4))
    assert executor.forward()[0].shape == (5, 2, 3)


def test_state_shapes_follow_from_the_body():
    out, _ = mx.sym.contrib.foreach(lambda row, s: (row + s, row * 2 + s), mx.sym.var("x"), mx.sym.var("s"))
    assert out.infer_shape(x=(5, 4))[0] == [(5, 4), (4,)]


def test_computed_values_of_the_outside_become_inputs():
    x = mx.sym.var("x")
    y, (a, b) = x * 2, mx.sym.split(mx.sym.var("z"), num_outputs=2)
    out, last = mx.sym.contrib.foreach(lambda d, s: (d * a + b, s + d), y, mx.sym.var("s"))
    node = json.loads(mx.sym.Group([out, last]).tojson())["nodes"][-1]
    assert node["op"] == "_foreach" and len(node["inputs"]) == 4
    names = [item["name"] for item in node["subgraphs"][0]["nodes"] if item["op"] == "null"]
    assert [n for n in names if n.startswith("split")] and all("output" in n for n in names if n.startswith("split"))
    values = out.eval(x=mx.nd.ones((2, 1, 1)), z=mx.nd.array([[3, 4]]), s=mx.nd.zeros((1, 1)))[0]
    assert values.asnumpy().ravel().tolist() == [10, 10]


# Written by MXNet 1.9.1 for foreach(lambda d, s: (d * w + s, s + 1), x, st), shortened in its line breaks only.
STORED = """{"nodes": [{"op": "null", "name": "x", "inputs": []}, {"op": "null", "name": "st", "inputs": []},
{"op": "null", "name": "w", "inputs": []}, {"op": "_foreach", "name": "_foreach0", "attrs": {"in_data_locs": "[0]",
"in_state_locs": "[2]", "num_args": "4", "num_out_data": "1", "num_outputs": "2", "remain_locs": "[1]"},
"inputs": [[0, 0, 0], [1, 0, 0], [2, 0, 0]], "subgraphs": [{"nodes": [{"op": "null", "name": "x-0", "attrs":
{"__subgraph_name__": "foreach0"}, "inputs": []}, {"op": "null", "name": "w", "inputs": []}, {"op": "elemwise_mul",
"name": "_mul0", "attrs": {"__subgraph_name__": "foreach0"}, "inputs": [[0, 0, 0], [1, 0, 0]]}, {"op": "null",
"name": "st-0", "attrs": {"__subgraph_name__": "foreach0"}, "inputs": []}, {"op": "elemwise_add", "name": "_plus0",
"attrs": {"__subgraph_name__": "foreach0"}, "inputs": [[2, 0, 0], [3, 0, 0]]}, {"op": "_plus_scalar", "name":
"_plusscalar0", "attrs": {"__subgraph_name__": "foreach0", "scalar": "1"}, "inputs": [[3, 0, 0]]}],
"arg_nodes": [0, 1, 3], "node_row_ptr": [0, 1, 2, 3, 4, 5, 6], "heads": [[4, 0, 0], [5, 0, 0]]}]}],
"arg_nodes": [0, 1, 2], "node_row_ptr": [0, 1, 2, 3, 5], "heads": [[3, 0, 0], [3, 1, 0]],
"attrs": {"mxnet_version": ["int", 10901]}}"""


def test_what_we_write_is_what_mxnet_writes():
    from mxcy.symbol import control_flow
    control_flow._names._counter.clear()
    with mx.name.NameManager():
        x, st, w = (mx.sym.var(name) for name in ("x", "st", "w"))
        out, last = mx.sym.contrib.foreach(lambda d, s: (d * w + s, s + 1), x, st)
        assert json.loads(mx.sym.Group([out, last]).tojson()) == json.loads(STORED)


@pytest.mark.parametrize("change, words", [
    (("[0]", "[7]"), "must name each of the graph's 3 inputs once"),
    (('"in_data_locs": "[0]"', '"in_data_locs": "[]"'), "do not go together"),
    (('"num_outputs": "2"', '"num_outputs": "3"'), "a subgraph has 2 outputs; expected 3"),
    (('"num_out_data": "1"', '"num_out_data": "2"'), "do not go together"),
    (('"in_data_locs": "[0]"', '"in_data_locs": "nonsense"'), "in_data_locs is 'nonsense'"),
    (('"remain_locs": "[1]"', '"remain_locs": "[1, 1]"'), "places for 4"),
])
def test_files_that_contradict_themselves(change, words):
    assert change[0] in STORED
    with pytest.raises((MXNetValueError, MXNetTypeError), match=words):
        mx.sym.load_json(STORED.replace(*change))


class Net(mx.gluon.HybridBlock):
    def hybrid_forward(self, F, x, s):
        out, last = F.contrib.foreach(lambda row, t: (row + t, F.relu(t + row)), x, s)
        return out, last


def test_in_a_hybrid_block():
    arrays = normal(x=(4, 3), s=(3,))
    net = Net()
    expected = with_gradients(lambda x, s: net(x, s), arrays)
    net.hybridize()
    agree(with_gradients(lambda x, s: net(x, s), arrays), expected)


@pytest.mark.parametrize("call, error, words", [
    (lambda c, x: c.foreach(lambda d, s: (d, s), 3, []), MXNetTypeError, "data: expected .* not int"),
    (lambda c, x: c.foreach(lambda d, s: d, x, []), MXNetTypeError, "must return a pair"),
    (lambda c, x: c.foreach(lambda d, s: (5, s), x, []), MXNetTypeError, "outputs.*not int"),
    (lambda c, x: c.while_loop(lambda i: i < 3, lambda i: (i, i), x), MXNetValueError, "max_iterations is missing"),
    (lambda c, x: c.while_loop(lambda: 1, lambda: ([], []), [], 3), MXNetValueError, "loop_vars is empty"),
    (lambda c, x: c.while_loop(lambda i: i.sum(), lambda i: (i, []), x, 3), MXNetValueError, "as many loop_vars"),
    (lambda c, x: c.cond(x.sum(), lambda: 3, lambda: x), MXNetTypeError, "result.*not int"),
])
@pytest.mark.parametrize("F", ["nd", "sym"])
def test_refusals(F, call, error, words):
    with pytest.raises(error, match=words):
        call(getattr(mx, F).contrib, mx.nd.ones((2, 3)) if F == "nd" else mx.sym.var("x"))


@pytest.mark.parametrize("call, error, words", [
    (lambda c, x: c.foreach(lambda d, s: (d[0], s), [x, mx.nd.ones((3, 1))], []), MXNetValueError, "one length"),
    (lambda c, x: c.cond(x, lambda: x, lambda: x), MXNetValueError, "expected an array of one element"),
    (lambda c, x: c.foreach(lambda d, s: (d, s), mx.nd.zeros((0, 2)), []), MXNetValueError, "1 or more"),
])
def test_refusals_of_arrays(call, error, words):
    with pytest.raises(error, match=words):
        call(mx.nd.contrib, mx.nd.ones((2, 3)))


@pytest.mark.parametrize("call, words", [
    (lambda c, x: c.foreach(lambda d, s: (s, s), x, mx.sym.var("s")), "data 'x' is not used"),
    (lambda c, x: c.foreach(lambda d, s: (d, d), x, mx.sym.var("s")), "state 's' is not used"),
    (lambda c, x: c.foreach(lambda d, s: (d, [s, s]), x, mx.sym.var("s")), "in the form"),
    (lambda c, x: c.cond(x.sum(), lambda: [x, x], lambda: x), "then gives 2 outputs and else 1"),
    (lambda c, x: c.foreach(lambda d, s: (d, s), mx.sym.split(x, num_outputs=2), []), "has 2 outputs"),
])
def test_refusals_of_symbols(call, words):
    with pytest.raises(MXNetValueError, match=words):
        call(mx.sym.contrib, mx.sym.var("x"))


def test_a_loop_over_a_cell_in_a_hybrid_block(tmp_path):
    class Unrolled(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.cell = mx.gluon.rnn.LSTMCell(6, input_size=4)

        def hybrid_forward(self, F, x, h, c):
            outputs, states = F.contrib.foreach(self.cell, x, [h, c])
            return outputs, states[0]

    net = Unrolled()
    net.initialize()
    inputs = mx.nd.random.normal(shape=(5, 3, 4)), mx.nd.zeros((3, 6)), mx.nd.zeros((3, 6))
    results = []
    for hybrid in (False, True):
        net.hybridize(hybrid)
        with mx.autograd.record():
            outputs, last = net(*inputs)
            total = (outputs * outputs).sum() + last.sum()
        total.backward()
        results.append([outputs.asnumpy(), last.asnumpy(), net.cell.i2h_weight.grad().asnumpy()])
    for left, right in zip(*results):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
    path = str(tmp_path / "net")
    net.export(path)
    again = mx.gluon.SymbolBlock.imports(f"{path}-symbol.json", ["data0", "data1", "data2"], f"{path}-0000.params")
    np.testing.assert_allclose(again(*inputs)[0].asnumpy(), results[0][0], rtol=1e-5, atol=1e-6)


def test_a_loop_too_long_to_unroll_is_interpreted():
    x, s = mx.sym.var("x"), mx.sym.var("s")
    out, last = mx.sym.contrib.foreach(lambda d, s: (mx.sym.tanh(d * s), s + d), x, s)
    names = ["x", "s"]
    symbol = mx.sym.Group([out, last])
    long = mx.nd.random.normal(shape=(9000, 1))
    executor = symbol.bind(mx.cpu(), dict(zip(names, (long, mx.nd.ones((1,))))))
    executor.forward()
    assert executor._interpreted
    expected = mx.nd.contrib.foreach(lambda d, s: (mx.nd.tanh(d * s), s + d), long, mx.nd.ones((1,)))
    np.testing.assert_allclose(executor.outputs[0].asnumpy(), expected[0].asnumpy(), rtol=1e-5, atol=1e-6)
