"""Plans on GPUs: hybridized blocks and bound symbols give what the host gives, recorded into CUDA graphs or not."""
import gc

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gpu import _replay
from mxcy.storage import device_memory

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)


class Chain(gluon.HybridBlock):
    """Enough steps to be worth a recording: transpositions keep the others from becoming one."""

    def hybrid_forward(self, F, x):
        for _ in range(4):
            x = F.transpose(F.tanh(F.relu(x * .5 + 1)) - x)
        return x


def batches(n=6):
    rng = np.random.default_rng(1)
    return [rng.normal(size=(5, 7)).astype(np.float32) for _ in range(n)]


@pytest.mark.parametrize("static", [False, True])
def test_prediction(static):
    eager, net = Chain(), Chain()
    net.hybridize(static_alloc=static, static_shape=static)
    for x in batches():
        np.testing.assert_allclose(net(nd.array(x, ctx=gpu)).asnumpy(), eager(nd.array(x)).asnumpy(), rtol=1e-5, atol=1e-6)


def residual(seed=0):
    """A residual block with statistics and weights of all sizes."""
    class Block(gluon.nn.HybridSequential):
        def hybrid_forward(self, F, x):
            return F.relu(x + super().hybrid_forward(F, x))

    net = gluon.nn.HybridSequential()
    block = Block()
    for layer in (gluon.nn.Conv2D(8, 3, padding=1, in_channels=8), gluon.nn.BatchNorm(in_channels=8),
                  gluon.nn.Activation("relu"), gluon.nn.Conv2D(8, 3, padding=1, use_bias=False, in_channels=8),
                  gluon.nn.BatchNorm(in_channels=8, scale=False)):
        block.add(layer)
    for layer in (gluon.nn.Conv2D(8, 3, in_channels=3), block, gluon.nn.MaxPool2D(), gluon.nn.GlobalAvgPool2D(),
                  gluon.nn.Flatten()):
        net.add(layer)
    net.initialize()
    rng = np.random.default_rng(seed)
    for name, parameter in net.collect_params().items():
        low = .5 if name.endswith(("var", "gamma")) else -.5
        parameter.set_data(nd.array(rng.uniform(low, 1 if low > 0 else .5, parameter.shape)))
    return net


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float16", 5e-3), ("bfloat16", 4e-2)])
def test_convolutions_with_batch_norm(dtype, tolerance, libcuda):
    """In prediction a convolution takes two launches, itself and all that follows it, or one on tensor cores."""
    x = nd.array(np.random.default_rng(0).uniform(-1, 1, (2, 3, 10, 10)))
    net = residual()
    expected = net(x).asnumpy()
    net.cast(dtype)
    net.collect_params().reset_ctx(gpu)
    net.hybridize()
    for _ in range(3):
        result = net(x.astype(dtype).as_in_context(gpu)).astype("float32").asnumpy()
        np.testing.assert_allclose(result, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    x = x.astype(dtype).as_in_context(gpu)
    nd.waitall()
    before = libcuda.calls("cuLaunchKernel"), libcuda.calls("cuGraphLaunch")
    net(x).wait_to_read()
    if libcuda.calls("cuGraphLaunch") == before[1]:
        # What follows convolutions, which are the library's; poolings; for tensor cores the layout is changed at first.
        assert libcuda.calls("cuLaunchKernel") - before[0] == 2 + (3 if dtype == "float32" else 1)
    parameter = net[0].bias
    parameter.set_data(parameter.data() + 1)            # what was computed from it is computed again
    assert np.abs(net(x).astype("float32").asnumpy() - result).max() > .01
    with autograd.record():
        net(x).sum().backward()
    assert all(np.isfinite(p.grad().astype("float32").asnumpy()).all() for p in net.collect_params().values()
               if p.grad_req != "null")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_convolutions_in_training(dtype):
    """The same losses as on the host, in float32, where the layout is another one, too."""
    losses = []
    for ctx, kind in ((mx.cpu(), "float32"), (gpu, dtype)):
        net = residual(1)
        net.cast(kind)
        net.collect_params().reset_ctx(ctx)
        net.hybridize()
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .05, "multi_precision": kind != "float32"})
        rng = np.random.default_rng(2)
        losses.append([])
        for _ in range(4):
            x = nd.array(rng.uniform(-1, 1, (4, 3, 10, 10)), ctx=ctx, dtype=kind)
            with autograd.record():
                loss = (net(x) ** 2).mean()
            loss.backward()
            trainer.step(1)
            losses[-1].append(float(loss.astype("float32").asnumpy()[0]))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4 if dtype == "float32" else 2e-2)
    assert losses[0][-1] < losses[0][0]


def test_training():
    net, reference = Chain(), Chain()
    net.hybridize()
    for data in batches():
        grads = []
        for block, ctx in ((net, gpu), (reference, mx.cpu())):
            x = nd.array(data, ctx=ctx)
            x.attach_grad()
            with autograd.record():
                y = block(x)
            y.backward()
            grads.append(x.grad.asnumpy())
        np.testing.assert_allclose(*grads, rtol=1e-4, atol=1e-5)


def test_steps_are_recorded_once_and_replayed(libcuda):
    if not _replay.graphs_wanted():
        pytest.skip("MXNET_ENABLE_CUDA_GRAPHS=0")
    net, data = Chain(), batches(1)[0]
    net.hybridize(static_alloc=True, static_shape=True)
    expected = Chain()(nd.array(data)).asnumpy()
    x = nd.array(data, ctx=gpu)
    captures, replays, launches = [], [], []
    for _ in range(6):
        out = net(x)
        np.testing.assert_allclose(out.asnumpy(), expected, rtol=1e-5, atol=1e-6)
        del out
        captures.append(libcuda.calls("cuStreamBeginCapture_v2"))
        replays.append(libcuda.calls("cuGraphLaunch"))
        launches.append(libcuda.calls("cuLaunchKernel"))
    assert captures[-1] - captures[0] == 1 and replays[-1] - replays[0] == 5
    assert launches[-1] == launches[1], "kernels were launched one by one although there was a recording"


def test_other_memory_is_another_recording():
    net, kept = Chain(), []
    net.hybridize()
    for i, data in enumerate(batches(20)):
        kept.append((net(nd.array(data, ctx=gpu)), Chain()(nd.array(data)).asnumpy()))
        if i % 3 == 0:
            kept.append((net(kept[-1][0]), Chain()(nd.array(kept[-1][1])).asnumpy()))
    for out, expected in kept:
        np.testing.assert_allclose(out.asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_plans_give_their_memory_back():
    x = nd.array(batches(1)[0], ctx=gpu)
    x.wait_to_read()
    gc.collect()
    before = device_memory(0)["in_use"]
    net = Chain()
    net.hybridize()
    for _ in range(4):
        net(x).wait_to_read()
    del net
    gc.collect()
    assert device_memory(0)["in_use"] == before


def test_bound_symbol():
    x = mx.sym.var("x")
    y = mx.sym.tanh(x * 2) + mx.sym.exp(x)
    data = batches(1)[0]
    results = []
    for ctx in (gpu, mx.cpu()):
        executor = y.bind(ctx, {"x": nd.array(data, ctx=ctx)}, {"x": nd.zeros(data.shape, ctx=ctx)})
        out = executor.forward(is_train=True)[0]
        executor.backward(nd.ones(data.shape, ctx=ctx))
        results.append((out.asnumpy(), executor.grad_dict["x"].asnumpy()))
    for there, here in zip(*results):
        np.testing.assert_allclose(there, here, rtol=1e-5, atol=1e-6)
