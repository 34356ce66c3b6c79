"""Recurrent layers on GPUs give what they give on the CPU: outputs, states and gradients."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.gluon import rnn
from mxcy.testing import assert_close

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
LAYERS = {"relu": lambda *args, **more: rnn.RNN(*args, activation="relu", **more),
          "tanh": lambda *args, **more: rnn.RNN(*args, activation="tanh", **more),
          "lstm": rnn.LSTM, "gru": rnn.GRU}


def results(layer, device, x, lengths=None):
    """Outputs, final states, gradients of the input, of the states and of all parameters."""
    layer.collect_params().reset_ctx(device)
    x = nd.array(x, ctx=device, dtype=x.dtype)
    rng = np.random.default_rng(2)
    states = [nd.array(rng.normal(size=info["shape"]), ctx=device, dtype=x.dtype)
              for info in layer.state_info(x.shape[1])]
    more = [] if lengths is None else [nd.array(lengths, ctx=device, dtype="int32")]
    for array in (x, *states):
        array.attach_grad()
    with device, autograd.record():
        mx.random.seed(5)
        out, last = layer(x, states, *more)
    heads = [nd.array(rng.normal(size=y.shape), ctx=device, dtype=x.dtype) for y in (out, *last)]
    autograd.backward([out, *last], heads)
    arrays = [out, *last, x.grad, *(state.grad for state in states),
              *(p.grad() for p in layer.collect_params().values())]
    assert all(array.context == device for array in arrays)
    return [array.asnumpy() for array in arrays]


def assert_same(layer, x, lengths=None):
    layer.initialize(mx.init.Uniform(.4))
    more = [] if lengths is None else [nd.array(lengths)]
    layer(nd.array(x), layer.begin_state(x.shape[1]), *more)        # draws the parameters, before dropout draws anything
    for here, there in zip(results(layer, mx.cpu(), x, lengths), results(layer, mx.gpu(0), x, lengths), strict=True):
        assert_close(there, here)


def normal(*shape, dtype="float32"):
    return np.random.default_rng(1).normal(size=shape).astype(dtype)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", LAYERS)
def test_layers(kind, bidirectional):
    """A batch that has no kernel for few rows, and states of more than one block."""
    assert_same(LAYERS[kind](130, 2, bidirectional=bidirectional), normal(3, 6, 9))


@pytest.mark.parametrize("kind", LAYERS)
def test_lengths(kind):
    layer = LAYERS[kind](5, 2, bidirectional=True, use_sequence_length=True)
    assert_same(layer, normal(4, 5, 3), [4, 1, 0, 3, 9])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_projection_and_clipping(bidirectional):
    layer = rnn.LSTM(7, 2, bidirectional=bidirectional, projection_size=3, use_sequence_length=True,
                     state_clip_min=-.5, state_clip_max=.3, state_clip_nan=True)
    assert_same(layer, normal(4, 3, 5), [2, 4, 0])


@pytest.mark.parametrize("kind", LAYERS)
def test_dropout_has_the_numbers_of_the_cpu(kind):
    assert_same(LAYERS[kind](21, 3, dropout=.4), normal(5, 7, 4))


def test_a_batch_whose_biases_are_summed_in_slices():
    assert_same(rnn.GRU(3), normal(40, 7, 2))


def test_no_steps():
    assert_same(rnn.LSTM(3, 2), normal(0, 2, 2))


def test_hybridized():
    """Several runs of a plan, and numbers of steps that change."""
    layer = rnn.LSTM(6, bidirectional=True)
    layer.initialize(mx.init.Uniform(.4), ctx=mx.gpu(0))
    batches = [nd.array(normal(steps, 3, 4), ctx=mx.gpu(0)) for steps in (2, 5, 2, 5, 5, 5)]
    expected = [layer(x).asnumpy() for x in batches]
    layer.hybridize()
    for x, eager in zip(batches, expected):
        np.testing.assert_allclose(layer(x).asnumpy(), eager, 1e-5, 1e-6)
