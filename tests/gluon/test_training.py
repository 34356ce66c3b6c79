"""Networks that learn: linear regression, and LeNet by the classic script."""
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn

MNIST = Path(__file__).parents[2].parent / "shared" / "data" / "mnist"


def test_linear_regression():
    mx.random.seed(1)
    x, y = nd.array([[1, 2], [3, 4], [5, 6]]), nd.array([3, 7, 11])
    net, loss = nn.Dense(1), gluon.loss.L2Loss()
    net.initialize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .03, "momentum": .5})
    for _ in range(500):
        with autograd.record():
            error = loss(net(x), y)
        error.backward()
        trainer.step(3)
    np.testing.assert_allclose(net(x).asnumpy().ravel(), [3, 7, 11], atol=.01)


def test_threads_train_and_predict_side_by_side():
    shared, x = nn.HybridSequential(), nd.ones((4, 5))
    shared.add(nn.Dense(8, activation="relu"), nn.Dense(3))
    shared.initialize()
    expected = shared(x).asnumpy()

    def predict(_):
        return all((shared(x).asnumpy() == expected).all() for _ in range(100))

    def train(seed):
        net = nn.Dense(1, in_units=3)
        net.initialize()
        trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": .05})
        data = nd.array(np.random.RandomState(seed).randn(64, 3))
        for _ in range(300):
            with autograd.record():
                loss = ((net(data).reshape((-1,)) - data.sum(axis=1)) ** 2).mean()
            loss.backward()
            trainer.step(1)
        return loss.asscalar() < .05

    with ThreadPoolExecutor(6) as pool:
        runs = [pool.submit(work, seed) for seed in range(3) for work in (predict, train)]
        assert all(run.result() for run in runs)


def classic(mnist, epochs):
    """MXNet's tutorial on handwritten digits, as it stands but for the import; accuracies on the test set."""
    batch_size = 64
    train_data = mx.io.NDArrayIter(mnist["train_data"], mnist["train_label"], batch_size, shuffle=True)
    val_data = mx.io.NDArrayIter(mnist["test_data"], mnist["test_label"], batch_size)
    net = nn.Sequential()
    with net.name_scope():
        net.add(nn.Conv2D(channels=20, kernel_size=5, activation="relu"))
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Conv2D(channels=50, kernel_size=5, activation="relu"))
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Flatten())
        net.add(nn.Dense(500, activation="relu"))
        net.add(nn.Dense(10))
    ctx = mx.cpu()
    net.collect_params().initialize(mx.init.Xavier(magnitude=2.24), ctx=ctx)
    softmax_cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .1})

    def evaluate_accuracy(data_iterator):
        data_iterator.reset()
        right = count = 0
        for batch in data_iterator:
            data = batch.data[0].as_in_context(ctx)
            predictions = nd.argmax(net(data), axis=1)
            real = data.shape[0] - batch.pad
            right += (predictions[:real] == batch.label[0][:real]).sum().asscalar()
            count += real
        return right / count

    accuracies = []
    for _ in range(epochs):
        train_data.reset()
        for batch in train_data:
            data, label = batch.data[0].as_in_context(ctx), batch.label[0].as_in_context(ctx)
            with autograd.record():
                loss = softmax_cross_entropy(net(data), label)
            loss.backward()
            trainer.step(data.shape[0])
        accuracies.append(evaluate_accuracy(val_data))
    return accuracies


@pytest.fixture(autouse=True)
def seeds():
    mx.random.seed(42)
    np.random.seed(42)


def test_lenet_learns_digits():
    accuracies = classic(mx.datasets.digits(), epochs=8)
    assert accuracies[-1] > .9, accuracies


@pytest.mark.slow
@pytest.mark.skipif(not MNIST.is_dir(), reason="needs ../shared/data/mnist")
def test_lenet_on_mnist(monkeypatch):
    monkeypatch.chdir(MNIST)
    accuracies = classic(mx.test_utils.get_mnist(), epochs=10)
    # at this constant rate single epochs vary by .0015 (the published run has one at .9892): the median is the level
    assert accuracies[0] >= .96 and accuracies[2] >= .985, accuracies
    assert np.median(accuracies[5:]) >= .989, accuracies


def test_get_mnist_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="train-images-idx3-ubyte.gz"):
        mx.test_utils.get_mnist(os.curdir)
