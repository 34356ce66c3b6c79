import math

import numpy as np
import pytest

import mxcy as mx
from mxcy import init, nd


def filled(initializer, shape, name="a_weight", **attrs):
    array = nd.full(shape, 7.)
    initializer(init.InitDesc(name, attrs), array)
    return array.asnumpy()


@pytest.mark.parametrize("name, value", [("fc_weight", 5), ("fc_bias", 0), ("bn_gamma", 1), ("bn_beta", 0),
                                         ("bn_moving_mean", 0), ("bn_running_var", 1), ("q_min", 0), ("q_max", 1)])
def test_the_end_of_the_name_decides(name, value):
    assert (filled(init.Constant(5), (4,), name) == value).all()


def test_an_attribute_overrides_the_name():
    assert (filled(init.Constant(5), (4,), "fc_bias", __init__="ones") == 1).all()
    assert (filled(init.Constant(5), (4,), "anything", __init__='["constant", {"value": 3}]') == 3).all()


def test_unknown_name():
    with pytest.raises(ValueError, match="cannot tell from its name"):
        filled(init.One(), (2,), "thing")


@pytest.mark.parametrize("initializer, low, high, deviation", [
    (init.Uniform(0.5), -.5, .5, .5 / math.sqrt(3)),
    (init.Normal(0.1), -1, 1, .1),
    (init.Xavier(), -math.sqrt(3 / 150), math.sqrt(3 / 150), math.sqrt(1 / 150)),
    (init.Xavier("gaussian", "in", 2), -2, 2, math.sqrt(2 / 200)),
    (init.Xavier(factor_type="out", magnitude=2.24), -1, 1, math.sqrt(2.24 / 3 / 100)),
    (init.MSRAPrelu("out", 0.), -2, 2, math.sqrt(2 / 100))])
def test_distribution(initializer, low, high, deviation):
    mx.random.seed(1)
    values = filled(initializer, (100, 200))
    assert low <= values.min() and values.max() <= high
    np.testing.assert_allclose(values.std(), deviation, rtol=.05)


def test_seed_repeats():
    draws = []
    for _ in range(2):
        mx.random.seed(5)
        draws.append(filled(init.Xavier(), (3, 4)))
    assert (draws[0] == draws[1]).all()


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (3, 2, 2)])
@pytest.mark.parametrize("rand_type", ["uniform", "normal"])
def test_orthogonal(shape, rand_type):
    matrix = filled(init.Orthogonal(2., rand_type), shape).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_xavier_needs_a_matrix():
    with pytest.raises(ValueError, match="two axes"):
        filled(init.Xavier(), (3,))


def test_bilinear():
    expected = [.25, .75, .75, .25]
    np.testing.assert_allclose(filled(init.Bilinear(), (2, 1, 4, 4))[1, 0], np.outer(expected, expected))


def test_lstm_bias():
    array = nd.ones((8,))
    init.LSTMBias(2.)._init_weight(init.InitDesc("b"), array)
    assert array.asnumpy().tolist() == [0, 0, 2, 2, 0, 0, 0, 0]


def test_fused_rnn():
    size = sum(4 * 5 * (inputs + 5 + 2) * 2 for inputs in (7, 10))
    array = nd.zeros((size,))
    init.FusedRNN(init.Constant(3), 5, 2, "lstm", True, forget_bias=2.)._init_weight(init.InitDesc("rnn"), array)
    values, counts = np.unique(array.asnumpy(), return_counts=True)
    biases = 2 * 2 * 2 * 20
    assert dict(zip(values, counts)) == {0: biases * 3 // 4, 2: biases // 4, 3: size - biases}
    with pytest.raises(ValueError, match="do not fit"):
        init.FusedRNN("one", 5, 2, "gru")._init_weight(init.InitDesc("rnn"), nd.zeros((11,)))


def test_mixed_and_load(tmp_path):
    mixed = init.Mixed([".*bias", ".*"], ["ones", init.Constant(3)])
    assert (filled(mixed, (2,), "x_weight") == 3).all()
    with pytest.raises(ValueError, match="no pattern"):
        init.Mixed(["a"], ["one"])("b", nd.zeros((1,)))
    nd.save(str(tmp_path / "p"), {"arg:x_weight": nd.array([1., 2.])})
    load = init.Load(str(tmp_path / "p"), init.One())
    assert filled(load, (2,), "x_weight").tolist() == [1, 2]
    assert filled(load, (2,), "y_weight").tolist() == [1, 1]
    with pytest.raises(ValueError, match="shape"):
        filled(load, (3,), "x_weight")


@pytest.mark.parametrize("make", [
    lambda: mx.gluon.nn.Dense(2, in_units=2),
    lambda: mx.gluon.nn.Dense(2)])
def test_mixed_initializes_a_network(make):
    net = make()
    net.initialize(init.Mixed([".*bias", ".*"], [init.One(), init.Constant(3)]))
    net(nd.ones((1, 2)))
    assert (net.weight.data().asnumpy() == 3).all() and (net.bias.data().asnumpy() == 0).all()


@pytest.mark.parametrize("initializer", [
    init.Zero(), init.Constant(3), init.Constant([1, 2]), init.Xavier("gaussian", "in", 2),
    init.Orthogonal(), init.MSRAPrelu(),
    init.FusedRNN(init.Normal(2.), 3, 1, "gru")])
def test_dumps_makes_an_equal_one(initializer):
    assert init.create(initializer.dumps()) == initializer


def test_own_initializer():
    @init.register
    class Sevens(init.Initializer):
        def _init_weight(self, name, arr):
            arr[:] = 7

    assert (filled(init.create("sevens"), (2,)) == 7).all()
    with pytest.raises(ValueError, match="Did you mean 'sevens'"):
        init.create("seven")
