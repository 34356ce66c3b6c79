"""Recurrent layers and cells: against each other, step by step, hybridized, and their states and names."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import rnn

LAYERS = [rnn.RNN, rnn.LSTM, rnn.GRU]
CELLS = [rnn.RNNCell, rnn.LSTMCell, rnn.GRUCell]


def normal(*shape):
    return nd.random.normal(shape=shape)


def close(a, b):
    np.testing.assert_allclose(a.asnumpy(), b.asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_is_its_cells(kind, bidirectional):
    layer = kind(5, 2, layout="NTC", bidirectional=bidirectional)
    layer.initialize(mx.init.Uniform(.5))
    x = normal(3, 4, 6)
    grads = []
    for run in (layer, lambda x: layer.unfuse().unroll(4, x, layout="NTC", merge_outputs=True)[0]):
        x.attach_grad()
        with autograd.record():
            out = run(x)
        out.backward()
        grads.append([out, x.grad, *[p.grad().copy() for p in layer.collect_params().values()]])
    for a, b in zip(*grads):
        close(a, b)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_sequence_in_two_parts(kind):
    layer = kind(4, 2)
    layer.initialize()
    x = normal(6, 2, 3)
    whole, last = layer(x, layer.begin_state(2))
    first, states = layer(x[:2], layer.begin_state(2))
    second, states = layer(x[2:], states)
    close(whole, nd.concat(first, second, dim=0))
    for a, b in zip(last, states):
        close(a, b)


@pytest.mark.parametrize("kind", LAYERS)
def test_hybridized_layers(kind):
    layer = kind(5, 2, bidirectional=True)
    layer.initialize()
    x = normal(4, 3, 6)
    eager = layer(x)
    layer.hybridize()
    close(eager, layer(x))
    net = gluon.nn.HybridSequential()
    net.add(layer, gluon.nn.Dense(3, flatten=False))
    net[1].initialize()
    eager = net(x)
    net.hybridize()
    close(eager, net(x))
    close(net(nd.concat(x, x, dim=1))[:, 3:], eager)


def test_lengths_of_samples():
    layer = rnn.LSTM(3, bidirectional=True, use_sequence_length=True)
    layer.initialize()
    x = normal(4, 2, 5)
    out, (h, c) = layer(x, layer.begin_state(2), nd.array([4, 2]))
    assert not out[2:, 1].asnumpy().any()
    alone, (h1, c1) = layer(x[:2, 1:], layer.begin_state(1), nd.array([2]))
    close(out[:2, 1:], alone)
    close(h[:, 1:], h1)
    close(c[:, 1:], c1)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("merge", [True, False])
def test_cells_with_valid_length(kind, merge):
    cell = kind(5)
    cell.initialize()
    x = normal(2, 4, 3)
    out, states = cell.unroll(4, x, merge_outputs=merge, valid_length=nd.array([4, 2]))
    out = out if merge else nd.stack(*out, axis=1)
    assert not out[1, 2:].asnumpy().any()
    short, ends = cell.unroll(2, x[1:, :2], merge_outputs=True)
    close(out[1:, :2], short)
    for a, b in zip(states, ends):
        close(a[1:], b)


@pytest.mark.parametrize("kind", CELLS)
def test_symbols_of_cells(kind):
    cell = kind(5, prefix="c_")
    out, states = cell.unroll(3, mx.sym.var("data"), merge_outputs=True)
    assert {"c_i2h_weight", "c_i2h_bias", "c_h2h_weight", "c_h2h_bias", "data"} == set(out.list_arguments())
    assert out.infer_shape(data=(2, 3, 4))[1] == [(2, 3, 5)]
    cell.initialize()
    x = normal(2, 3, 4)
    expected, _ = cell.unroll(3, x, merge_outputs=True)
    params = {p.name: p.data() for p in cell.collect_params().values()}
    close(out.eval(data=x, **params)[0], expected)


@pytest.mark.parametrize("kind", CELLS)
def test_second_derivatives_of_cells(kind):
    cell = kind(3)
    cell.initialize(mx.init.Uniform(.5))
    x = normal(2, 2, 3)
    x.attach_grad()
    with autograd.record():
        out, _ = cell.unroll(2, x, merge_outputs=True)
        first = autograd.grad((out * out).sum(), [x], create_graph=True)[0]
        total = (first * first).sum()
    total.backward()
    assert np.abs(x.grad.asnumpy()).max() > 0


def test_the_layer_has_no_second_derivative():
    layer = rnn.LSTM(3)
    layer.initialize()
    x = normal(2, 2, 3)
    x.attach_grad()
    with autograd.record():
        first = autograd.grad(layer(x).sum(), [x], create_graph=True)[0]
        total = first.sum()
    with pytest.raises(mx.MXNetError, match="no second derivative"):
        total.backward()


def test_names_and_representations():
    layer = rnn.LSTM(3, 2, bidirectional=True, prefix="p_")
    assert list(layer.collect_params())[:5] == ["p_l0_i2h_weight", "p_l0_h2h_weight", "p_l0_i2h_bias", "p_l0_h2h_bias",
                                                "p_r0_i2h_weight"]
    assert repr(layer) == "LSTM(None -> 3, TNC, num_layers=2, bidirectional)"
    assert repr(rnn.GRU(3, dropout=.3, input_size=4)) == "GRU(4 -> 3, TNC, dropout=0.3)"
    assert repr(rnn.RNNCell(3)) == "RNNCell(None -> 3, tanh)"
    assert repr(rnn.LSTMCell(3)) == "LSTMCell(None -> 12)"
    assert repr(rnn.ZoneoutCell(rnn.GRUCell(3), .2, .1)) == "ZoneoutCell(p_out=0.2, p_state=0.1, GRUCell(None -> 9))"
    assert [info["shape"] for info in layer.state_info(2)] == [(4, 2, 3)] * 2


def test_dropout_between_layers():
    layer = rnn.GRU(50, 2, dropout=.5)
    layer.initialize()
    x = normal(3, 4, 5)
    x.attach_grad()
    close(layer(x), layer(x))
    with autograd.record():
        a, b = layer(x), layer(x)
    assert np.abs(a.asnumpy() - b.asnumpy()).max() > 1e-4
    a.backward()
    analytic, eps = x.grad.asnumpy()[1, 2, 3], 1e-2
    values = []
    for sign in (1, -1):
        moved = x.asnumpy()
        moved[1, 2, 3] += sign * eps
        mx.random.seed(3)
        with autograd.record():
            values.append(layer(nd.array(moved)).sum().item())
    mx.random.seed(3)
    with autograd.record():
        a = layer(x)
    a.backward()
    analytic = x.grad.asnumpy()[1, 2, 3]
    assert (values[0] - values[1]) / (2 * eps) == pytest.approx(analytic, rel=5e-2, abs=5e-4)


def test_stack_zoneout_and_residual():
    stack = rnn.SequentialRNNCell()
    with stack.name_scope():
        stack.add(rnn.LSTMCell(5))
        stack.add(rnn.ResidualCell(rnn.GRUCell(5)))
        stack.add(rnn.DropoutCell(.5))
        stack.add(rnn.ZoneoutCell(rnn.RNNCell(5), .5, .5))
    stack.initialize()
    x = normal(2, 3, 4)
    outputs, states = stack.unroll(3, x)
    assert len(outputs) == 3 and len(states) == 4
    output, states = stack(x[:, 0], stack.begin_state(2))
    close(output, outputs[0])
    with autograd.record():
        outputs, _ = stack.unroll(3, x, merge_outputs=True)
    outputs.backward()
    assert all(np.isfinite(p.grad().asnumpy()).all() for p in stack.collect_params().values())


def test_wrong_use():
    layer = rnn.LSTM(3)
    layer.initialize()
    with pytest.raises(ValueError, match=r"states have shapes .* need"):
        layer(normal(2, 4, 3), layer.begin_state(5))
    with pytest.raises(ValueError, match="three axes"):
        layer(normal(2, 4))
    with pytest.raises(ValueError, match="layout is 'CTN'"):
        rnn.GRU(3, layout="CTN")
    with pytest.raises(ValueError, match="length is 5"):
        rnn.RNNCell(3).unroll(5, normal(2, 4, 3))
    cell = rnn.RNNCell(3)
    rnn.ZoneoutCell(cell)
    with pytest.raises(mx.MXNetError, match="inside of another cell"):
        cell.begin_state(2)
    with pytest.raises(NotImplementedError, match="unroll"):
        rnn.BidirectionalCell(rnn.RNNCell(3), rnn.RNNCell(3))(normal(2, 3), [])
