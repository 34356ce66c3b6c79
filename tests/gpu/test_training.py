"""Training on a GPU gives what training on the host gives: the classic LeNet script, a Module, a recurrent network."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
CONTEXTS = [mx.cpu(), mx.gpu()]


def lenet():
    net = gluon.nn.Sequential()
    with net.name_scope():
        net.add(gluon.nn.Conv2D(channels=20, kernel_size=5, activation="relu"))
        net.add(gluon.nn.MaxPool2D(pool_size=2, strides=2))
        net.add(gluon.nn.Conv2D(channels=50, kernel_size=5, activation="relu"))
        net.add(gluon.nn.MaxPool2D(pool_size=2, strides=2))
        net.add(gluon.nn.Flatten())
        net.add(gluon.nn.Dense(500, activation="relu"))
        net.add(gluon.nn.Dense(10))
    return net


def batches(count, *shape):
    """Images that can be told apart, and their labels."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        label = rng.integers(0, 10, shape[0])
        data = rng.normal(size=shape).astype(np.float32) * .3
        data[np.arange(shape[0]), 0, label] += 1
        yield data, label.astype(np.float32)


def train(net, ctx, data, optimizer, **settings):
    """Losses of each batch, accuracy on the last one, and the parameters afterwards."""
    mx.random.seed(3)
    net.initialize(mx.init.Xavier(magnitude=2.24), ctx=ctx)
    trainer = gluon.Trainer(net.collect_params(), optimizer, settings)
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    losses = []
    for x, y in data:
        x, y = nd.array(x, ctx=ctx), nd.array(y, ctx=ctx)
        with autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        trainer.step(len(x))
        losses.append(loss.asnumpy())
    right = (nd.argmax(net(x), axis=1) == y).sum().asscalar()
    return losses, right, [p.data(ctx).asnumpy() for p in net.collect_params().values()]


def same(results, rtol=1e-4, atol=1e-5):
    (losses, right, weights), (losses_there, right_there, weights_there) = results
    assert right == right_there
    for here, there in zip([*losses, *weights], [*losses_there, *weights_there], strict=True):
        np.testing.assert_allclose(there, here, rtol=rtol, atol=atol)


def test_the_classic_script():
    same([train(lenet(), ctx, batches(3, 6, 1, 28, 28), "sgd", learning_rate=.1) for ctx in CONTEXTS])


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "nag"])
def test_batch_norm_dropout_and_other_optimizers(optimizer):
    def net():
        net = gluon.nn.HybridSequential()
        net.add(gluon.nn.Conv2D(8, 3, use_bias=False), gluon.nn.BatchNorm(), gluon.nn.Activation("relu"), gluon.nn.GlobalAvgPool2D(),
                gluon.nn.Dense(16, activation="tanh"), gluon.nn.Dropout(.5), gluon.nn.LayerNorm(), gluon.nn.Dense(10))
        return net
    same([train(net(), ctx, batches(4, 5, 1, 12, 12), optimizer, learning_rate=.01) for ctx in CONTEXTS], atol=1e-4)


@pytest.mark.parametrize("static", [False, True])
def test_hybridized(static):
    def net():
        net = gluon.nn.HybridSequential()
        net.add(gluon.nn.Conv2D(4, 3, activation="relu"), gluon.nn.BatchNorm(), gluon.nn.MaxPool2D(),
                gluon.nn.Dense(12, activation="sigmoid"), gluon.nn.Dense(10))
        net.hybridize(static_alloc=static, static_shape=static)
        return net
    same([train(net(), ctx, batches(5, 4, 1, 10, 10), "sgd", learning_rate=.1, momentum=.9) for ctx in CONTEXTS])


def test_module():
    data = mx.sym.var("data")
    net = mx.sym.Activation(mx.sym.FullyConnected(data, num_hidden=16, name="hidden"), act_type="tanh")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=10, name="scores"), name="softmax")
    images, labels = zip(*batches(6, 8, 1, 10, 10))
    images, labels = np.concatenate(images), np.concatenate(labels)
    found = []
    for ctx in CONTEXTS:
        mx.random.seed(5)
        np.random.seed(5)
        module = mx.mod.Module(net, context=ctx)
        train = mx.io.NDArrayIter(images, labels, 8, label_name="softmax_label")
        module.fit(train, num_epoch=2, optimizer_params={"learning_rate": .2}, initializer=mx.init.Xavier())
        train.reset()
        arguments, _ = module.get_params()
        found.append((module.predict(train).asnumpy(), *(arguments[name].asnumpy() for name in sorted(arguments))))
    for here, there in zip(*found):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_saved_on_one_device_loaded_on_the_other(tmp_path):
    net = gluon.nn.Dense(3)
    net.initialize(ctx=mx.gpu())
    x = np.ones((2, 5), np.float32)
    expected = net(nd.array(x, ctx=mx.gpu())).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    other = gluon.nn.Dense(3)
    other.load_parameters(str(tmp_path / "net.params"), ctx=mx.cpu())
    np.testing.assert_allclose(other(nd.array(x)).asnumpy(), expected, rtol=1e-6)
    other.collect_params().reset_ctx(mx.gpu())
    np.testing.assert_allclose(other(nd.array(x, ctx=mx.gpu())).asnumpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(("mode", "moving", "launches"), [
    (autograd.train_mode, False, 3), (autograd.predict_mode, False, 2), (autograd.train_mode, True, 2)])
def test_moments_are_found_where_they_are_used(libcuda, mode, moving, launches):
    x = nd.random.normal(shape=(8, 4, 6, 6), ctx=mx.gpu())
    weights = [nd.ones(4, ctx=mx.gpu()) for _ in range(4)]
    nd.waitall()
    before = libcuda.calls("cuLaunchKernel")
    with mode():
        nd.BatchNorm(x, *weights, use_global_stats=moving)
    assert libcuda.calls("cuLaunchKernel") - before == launches
