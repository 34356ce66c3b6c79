"""Cells of symbols: fused against unfused, weights packed and unpacked, names, checkpoints."""
import numpy as np
import pytest

import mxcy as mx

MODES = ["rnn_relu", "rnn_tanh", "lstm", "gru"]


def evaluate(symbol, args, **data):
    inputs = {**args, **data}
    return symbol.eval(**{name: inputs[name] for name in symbol.list_inputs()})[0].asnumpy()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_fused_is_unfused(mode, bidirectional):
    fused = mx.rnn.FusedRNNCell(5, 2, mode, bidirectional=bidirectional, prefix="f_")
    out, _ = fused.unroll(3, mx.sym.var("data"), merge_outputs=True)
    shapes = dict(zip(out.list_arguments(), out.infer_shape(data=(2, 3, 4))[0]))
    packed = {"f_parameters": mx.nd.random.normal(shape=shapes["f_parameters"]) * .5}
    data = mx.nd.random.normal(shape=(2, 3, 4))
    stack = fused.unfuse()
    unfused, _ = stack.unroll(3, mx.sym.var("data"), merge_outputs=True)
    weights = stack.pack_weights(fused.unpack_weights(packed))
    np.testing.assert_allclose(evaluate(out, packed, data=data), evaluate(unfused, weights, data=data), rtol=1e-4,
                               atol=1e-5)
    again = fused.pack_weights(stack.unpack_weights(weights))
    np.testing.assert_array_equal(again["f_parameters"].asnumpy(), packed["f_parameters"].asnumpy())


def test_names():
    cell = mx.rnn.LSTMCell(3)
    outputs, states = cell.unroll(2, mx.sym.var("data"))
    assert [o.name for o in outputs] == ["lstm_t0_out", "lstm_t1_out"]
    assert states[1].name == "lstm_t1_state"
    assert set(mx.sym.Group(outputs).list_arguments()) == {"data", "lstm_i2h_weight", "lstm_i2h_bias", "lstm_h2h_weight",
                                                           "lstm_h2h_bias"}
    assert cell.state_shape == [(0, 3), (0, 3)]
    outputs, _ = mx.rnn.GRUCell(3).unroll(2, mx.sym.var("data"))
    assert "gru_t0__i2h_output" in outputs[0].get_internals().list_outputs()
    assert mx.rnn.FusedRNNCell(3, mode="gru").unroll(2, mx.sym.var("data"))[0].list_arguments()[1] == "gru_parameters"


def test_forget_gates_begin_open():
    out, _ = mx.rnn.LSTMCell(2, forget_bias=3.).unroll(1, [mx.sym.var("data")])
    module = mx.mod.Module(out[0], data_names=["data"], label_names=None)
    module.bind([("data", (1, 4))], for_training=False)
    module.init_params()
    assert module.get_params()[0]["lstm_i2h_bias"].asnumpy().tolist() == [0, 0, 3, 3, 0, 0, 0, 0]


def test_stacks_and_modifiers():
    stack = mx.rnn.SequentialRNNCell()
    stack.add(mx.rnn.ResidualCell(mx.rnn.RNNCell(4, prefix="a_")))
    stack.add(mx.rnn.DropoutCell(.5))
    stack.add(mx.rnn.ZoneoutCell(mx.rnn.GRUCell(4, prefix="b_"), .3, .3))
    outputs, states = stack.unroll(3, mx.sym.var("data"), merge_outputs=True)
    assert outputs.infer_shape(data=(2, 3, 4))[1] == [(2, 3, 4)]
    assert len(states) == 2
    executor = outputs.simple_bind(mx.cpu(), data=(2, 3, 4))
    for array in executor.arg_arrays:
        array[:] = .1
    executor.forward(is_train=True)
    executor.backward(mx.nd.ones((2, 3, 4)))
    assert np.abs(executor.grad_dict["a_i2h_weight"].asnumpy()).max() > 0
    with pytest.raises(mx.MXNetError, match="inside of another"):
        stack._cells[0].base_cell.begin_state()


def test_shared_variables():
    first = mx.rnn.RNNCell(3, prefix="s_")
    second = mx.rnn.RNNCell(3, prefix="s_", params=first.params)
    a, _ = first.unroll(1, [mx.sym.var("x")])
    b, _ = second.unroll(1, [mx.sym.var("y")])
    assert len(mx.sym.Group([a[0], b[0]]).list_arguments()) == 6


def test_checkpoints_have_unpacked_weights(tmp_path):
    fused = mx.rnn.FusedRNNCell(3, mode="gru", prefix="g_")
    out, _ = fused.unroll(2, mx.sym.var("data"))
    args = {"g_parameters": mx.nd.random.normal(shape=(9 * (4 + 3) + 18,))}
    save = mx.rnn.do_rnn_checkpoint(fused, str(tmp_path / "net"), period=2)
    save(0, out, args, {})
    assert not list(tmp_path.iterdir())
    save(1, out, args, {})
    assert "g_l0_i2h_r_weight" in mx.model.load_checkpoint(str(tmp_path / "net"), 2)[1]
    _, loaded, _ = mx.rnn.load_rnn_checkpoint(fused, str(tmp_path / "net"), 2)
    np.testing.assert_array_equal(loaded["g_parameters"].asnumpy(), args["g_parameters"].asnumpy())


def test_wrong_use():
    with pytest.raises(ValueError, match="mode is 'lstn'"):
        mx.rnn.FusedRNNCell(3, mode="lstn")
    with pytest.raises(ValueError, match="lstm_i2h_weight.* is missing"):
        mx.rnn.LSTMCell(3).unpack_weights({})
    with pytest.raises(NotImplementedError, match="unroll"):
        mx.rnn.FusedRNNCell(3)(mx.sym.var("x"), [])
