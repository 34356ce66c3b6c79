"""Digits are learned by Module.fit."""
import logging
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import sym

MNIST = Path(__file__).parents[3] / "shared/data/mnist"


def mlp():
    net = sym.var("data")
    for i, size in enumerate((128, 64)):
        net = sym.FullyConnected(net, num_hidden=size, name=f"fc{i}")
        net = sym.Activation(net, act_type="relu", name=f"relu{i}")
    return sym.SoftmaxOutput(sym.FullyConnected(net, num_hidden=10, name="scores"), name="softmax")


def lenet():
    net = sym.var("data")
    for i, channels in enumerate((20, 50)):
        net = sym.Convolution(net, kernel=(5, 5), num_filter=channels, name=f"conv{i}")
        net = sym.Activation(net, act_type="tanh", name=f"tanh{i}")
        net = sym.Pooling(net, pool_type="max", kernel=(2, 2), stride=(2, 2), name=f"pool{i}")
    net = sym.Activation(sym.FullyConnected(net, num_hidden=500, name="fc0"), act_type="tanh", name="tanh2")
    return sym.SoftmaxOutput(sym.FullyConnected(net, num_hidden=10, name="scores"), name="softmax")


def fitted(network, train, test, epochs, rate, batch=100):
    """The accuracy on ``test``."""
    mx.random.seed(1)
    np.random.seed(1)
    module = mx.mod.Module(network)
    module.fit(mx.io.NDArrayIter(*train, batch, shuffle=True), num_epoch=epochs, initializer=mx.init.Xavier(),
               optimizer_params={"momentum": .9, "wd": 5e-4, "learning_rate": rate,
                                 "lr_scheduler": mx.lr_scheduler.FactorScheduler(1200, .6, base_lr=rate)})
    return module.score(mx.io.NDArrayIter(*test, batch), "acc")[0][1]


@pytest.mark.parametrize("network", [mlp, lenet])
def test_digits_that_ship_with_the_package(network):
    data = mx.datasets.digits()
    train, test = ((data[f"{part}_data"], data[f"{part}_label"]) for part in ("train", "test"))
    assert fitted(network(), train, test, 10, .1) > .93


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
@pytest.mark.parametrize("network, epochs", [(mlp, 15), (lenet, 3)])
def test_mnist(network, epochs):
    data = mx.test_utils.get_mnist(str(MNIST))
    train, test = ((data[f"{part}_data"], data[f"{part}_label"]) for part in ("train", "test"))
    accuracy = fitted(network(), train, test, epochs, .1)
    logging.getLogger(__name__).info("%s: %.4f", network.__name__, accuracy)
    assert accuracy > .98
