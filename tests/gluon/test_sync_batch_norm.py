"""SyncBatchNorm over several devices computes what BatchNorm does with the whole batch."""
import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn
from mxcy.operator import together

ON_CPU = [mx.cpu(i) for i in range(3)]
DEVICES = [pytest.param(ON_CPU, id="cpu"),
           pytest.param([mx.gpu(0), mx.gpu(1)], id="gpu",
                        marks=[pytest.mark.gpu, pytest.mark.skipif(mx.num_gpus() < 2, reason="fewer than two GPUs")])]
SIZES = (2, 4, 3)                       # of the devices' parts


class Net(gluon.HybridBlock):
    def __init__(self, norm):
        super().__init__(prefix="net_")
        with self.name_scope():
            self.first, self.norm, self.last = nn.Conv2D(4, 3, in_channels=2), norm(), nn.Dense(3, in_units=64)

    def hybrid_forward(self, F, x):
        return self.last(F.relu(self.norm(self.first(x))))


def nets(devices, **params):
    """A network with SyncBatchNorm on the devices, and one with BatchNorm and the same parameters on the first."""
    sync = Net(lambda: gluon.contrib.nn.SyncBatchNorm(4, num_devices=len(devices), prefix="norm_", **params))
    alone = Net(lambda: nn.BatchNorm(in_channels=4, prefix="norm_", **params))
    sync.initialize(mx.init.Xavier(), ctx=devices)
    alone.initialize(ctx=devices[:1])
    for name, param in alone.collect_params().items():
        param.set_data(sync.collect_params()[name].data(devices[0]))
    return sync, alone


def batch(devices):
    rng, sizes = np.random.default_rng(0), SIZES[:len(devices)]
    x, weight = rng.normal(size=(sum(sizes), 2, 6, 6)) * 2 + 5, rng.normal(size=(sum(sizes), 3))
    at = np.cumsum(sizes)[:-1]
    whole = [nd.array(array, ctx=devices[0]) for array in (x, weight)]
    return whole, [[nd.array(part, ctx=ctx) for ctx, part in zip(devices, np.split(array, at))] for array in (x, weight)]


def assert_same(sync, alone, outputs, expected, devices):
    """Outputs, the sums of the gradients, moving averages."""
    assert_allclose(np.concatenate([out.asnumpy() for out in outputs]), expected.asnumpy(), 1e-4, 1e-4)
    for name, param in alone.collect_params().items():
        other = sync.collect_params()[name]
        if param.grad_req == "null":
            for ctx in devices:
                assert_allclose(other.data(ctx).asnumpy(), param.data().asnumpy(), 1e-5, 1e-5, err_msg=name)
        else:
            assert_allclose(sum(grad.asnumpy() for grad in other.list_grad()), param.grad().asnumpy(), 1e-3, 1e-3,
                            err_msg=name)


@pytest.mark.parametrize("hybridize", [False, True])
@pytest.mark.parametrize("params", [{}, dict(scale=False)], ids=str)
@pytest.mark.parametrize("devices", DEVICES)
def test_training(devices, hybridize, params):
    """Several steps; backward of all devices together, and of one after the other before the next one's forward."""
    (x, weight), (xs, weights) = batch(devices)
    sync, alone = nets(devices, **params)
    if hybridize:
        sync.hybridize()
    for each in (False, True, False):
        losses, outputs = [], []
        for part, w in zip(xs, weights):
            with autograd.record():
                outputs.append(sync(part))
                losses.append((outputs[-1] * w).sum())
            if each:
                losses[-1].backward()
        if not each:
            autograd.backward(losses)
        with autograd.record():
            expected = alone(x)
            (expected * weight).sum().backward()
        assert_same(sync, alone, outputs, expected, devices)
    found = np.concatenate([sync(part).asnumpy() for part in xs])                   # prediction, by moving averages
    assert_allclose(found, alone(x).asnumpy(), 1e-4, 1e-4)


@pytest.mark.parametrize("devices", DEVICES)
def test_gradient_of_data(devices):
    (x, weight), (xs, weights) = batch(devices)
    sync = gluon.contrib.nn.SyncBatchNorm(2, num_devices=len(devices))
    alone = nn.BatchNorm(in_channels=2)
    sync.initialize(ctx=devices)
    alone.initialize(ctx=devices[:1])
    for array in (x, *xs):
        array.attach_grad()
    with autograd.record():
        losses = [(sync(part) ** 3 * (i + 1)).sum() for i, part in enumerate(xs)]
        scale = nd.array(np.repeat(range(1, len(xs) + 1), SIZES[:len(xs)]), ctx=devices[0]).reshape((-1, 1, 1, 1))
        whole = (alone(x) ** 3 * scale).sum()
    autograd.backward(losses)
    whole.backward()
    assert_allclose(np.concatenate([part.grad.asnumpy() for part in xs]), x.grad.asnumpy(), 1e-3, 1e-3)


@pytest.mark.parametrize("devices", DEVICES)
def test_module(devices):
    data = mx.sym.var("data")
    out = mx.sym.contrib.SyncBatchNorm(data, name="norm", key="module", ndev=len(devices), fix_gamma=False, eps=1e-5)
    symbol = mx.sym.MakeLoss(mx.sym.sum(out ** 3, axis=(1, 2, 3)))
    module = mx.mod.Module(symbol, label_names=None, context=devices)
    module.bind([("data", (6, 2, 3, 3))], inputs_need_grad=True)
    module.init_params()
    x = nd.random.uniform(shape=(6, 2, 3, 3))
    module.forward_backward(mx.io.DataBatch([x]))
    norm = nn.BatchNorm(in_channels=2)
    norm.initialize()
    x.attach_grad()
    with autograd.record():
        want = (norm(x) ** 3).sum(axis=(1, 2, 3))
    want.backward()
    assert_allclose(module.get_outputs()[0].asnumpy(), want.asnumpy(), 1e-4, 1e-4)
    assert_allclose(module.get_input_grads()[0].asnumpy(), x.grad.asnumpy(), 1e-3, 1e-3)
    assert_allclose(module.get_params()[1]["norm_moving_mean"].asnumpy(), norm.running_mean.data().asnumpy(), 1e-5)


def test_a_layer_that_is_used_twice():
    net = gluon.contrib.nn.SyncBatchNorm(2, num_devices=2)
    net.initialize(ctx=ON_CPU[:2])
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    with autograd.train_mode():
        outputs = [net(net(nd.array(x[i::2], ctx=ON_CPU[i])) ** 3).asnumpy() if i else
                   net(net(nd.array(x[i::2], ctx=ON_CPU[i])) ** 3) for i in range(2)]
        alone = nn.BatchNorm(in_channels=2)
        alone.initialize()
        want = alone(alone(nd.array(x)) ** 3).asnumpy()
    assert_allclose(outputs[1], want[1::2], 1e-4, 1e-4)
    assert_allclose(outputs[0].asnumpy(), want[0::2], 1e-4, 1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats(dtype):
    """Statistics are float32."""
    parts = [nd.array(np.random.default_rng(i).normal(size=(3, 2, 5)), ctx=ON_CPU[i], dtype=dtype) for i in range(2)]
    net, alone = gluon.contrib.nn.SyncBatchNorm(2, num_devices=2), nn.BatchNorm(in_channels=2)
    net.initialize(ctx=ON_CPU[:2])
    alone.initialize()
    whole = nd.concat(*[part.as_in_context(mx.cpu()) for part in parts], dim=0)
    for array in (whole, *parts):
        array.attach_grad()
    with autograd.record():
        losses = [(net(part) ** 2).sum() for part in parts]
        want = (alone(whole) ** 2).sum()
    autograd.backward([*losses, want])
    found = np.concatenate([part.grad.astype("float32").asnumpy() for part in parts])
    assert parts[0].grad.dtype == whole.grad.dtype
    assert_allclose(found, whole.grad.astype("float32").asnumpy(), atol=.05)


def test_threads_that_bring_a_device_each():
    net = gluon.contrib.nn.SyncBatchNorm(2, num_devices=3)
    net.initialize(ctx=ON_CPU)
    x = np.random.default_rng(0).normal(size=(6, 2, 3))
    found = {}

    def bring(i):
        with autograd.train_mode():
            found[i] = net(nd.array(x[2 * i:2 * i + 2], ctx=ON_CPU[i])).asnumpy()

    threads = [threading.Thread(target=bring, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mean, deviation = x.mean((0, 2), keepdims=True), np.sqrt(x.var((0, 2), keepdims=True) + 1e-5)
    assert_allclose(np.concatenate([found[i] for i in range(3)]), (x - mean) / deviation, 1e-4, 1e-4)


@pytest.mark.parametrize("devices", DEVICES)
def test_a_device_that_does_not_come(devices, monkeypatch):
    """The wait raises; other arrays can be waited for before, and the layer can be used again."""
    monkeypatch.setattr(together, "PATIENCE", 0)
    net = gluon.contrib.nn.SyncBatchNorm(2, num_devices=3)
    net.initialize(ctx=devices)
    _, (xs, _) = batch(devices)
    with autograd.train_mode():
        first = net(xs[0])
        assert (xs[1] + 1).asnumpy().shape == xs[1].shape
        second = net(xs[1])
        kind = devices[0].device_type
        with pytest.raises(mx.MXNetError, match=rf"3 devices share a batch, but only {kind}\(0\) and {kind}\(1\) came"):
            (second * 2).asnumpy()
        with pytest.raises(mx.MXNetError, match="Call the layer on all of them first"):
            first.asnumpy()
        if len(devices) == 3:
            assert abs(np.concatenate([out.asnumpy() for out in [net(x) for x in xs]]).mean()) < 1e-5
        net(xs[0])
    with pytest.raises(mx.MXNetError, match="came before the program waited"):
        nd.waitall()


def test_parts_that_do_not_fit():
    with autograd.train_mode():
        params = [[nd.ones(n, ctx=ctx) for _ in range(4)] for n, ctx in zip((2, 3), ON_CPU)]
        first = nd.contrib.SyncBatchNorm(nd.ones((2, 2, 3), ctx=ON_CPU[0]), *params[0], key="other", ndev=2)
        with pytest.raises(mx.MXNetError):
            nd.contrib.SyncBatchNorm(nd.ones((2, 3, 3), ctx=ON_CPU[1]), *params[1], key="other", ndev=2)
    with pytest.raises(mx.MXNetError, match="SyncBatchNorm 'other'"):
        first.asnumpy()


def test_much_memory_while_a_device_waits():
    """A program that has run far ahead does not wait for what cannot come."""
    net = gluon.contrib.nn.SyncBatchNorm(2, num_devices=2)
    net.initialize(ctx=ON_CPU[:2])
    with autograd.train_mode():
        first = net(nd.ones((4, 2), ctx=ON_CPU[0])).sum()
        for _ in range(6):
            large = nd.zeros((4 << 20,)) + first.reshape((1,))
        net(nd.ones((4, 2), ctx=ON_CPU[1]))
    assert large[0].asscalar() == 0
