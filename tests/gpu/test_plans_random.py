"""Plans that draw random numbers are recorded like others: each run has numbers of its own, those that the host draws."""
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gpu import _replay
from tests.gpu.tools import CHECKOUT

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)


class Noisy(gluon.HybridBlock):
    """All of its numbers are exact, so that hosts and GPUs have the same to the bit."""

    def __init__(self, reduce=False):
        super().__init__()
        self.reduce = reduce

    def hybrid_forward(self, F, x):
        for rate in (.5, .75, .5):
            x = F.transpose(F.Dropout(F.relu(x + .25) * 2, p=rate) - x)
        return F.sum(x, axis=0) if self.reduce else x


class Sampled(gluon.HybridBlock):
    """Other random operators, which give the same bits everywhere."""

    def hybrid_forward(self, F, x):
        chosen = F.sample_multinomial(F.softmax(F.transpose(x) * 0), shape=4, dtype="float32")
        return F.concat(F.shuffle(F.transpose(x)), F.sample_uniform(chosen, chosen + 1, shape=3).reshape((0, -1)), dim=1)


def train(ctx, hybrid, seeds=None, steps=7, net=None, **flags):
    """Outputs and gradients of each step; seeds are set before some."""
    net = Noisy() if net is None else net
    if hybrid:
        net.hybridize(**flags)
    data = np.random.default_rng(1).integers(-4, 5, (6, 9)).astype(np.float32)
    x, results = nd.array(data, ctx=ctx), []
    x.attach_grad()
    for step in range(steps):
        if step in (seeds or {0: 3}):
            mx.random.seed((seeds or {0: 3})[step])
        with autograd.record():
            y = net(x)
        y.backward()
        results.append((y.asnumpy(), x.grad.asnumpy()))
    return results


def same(results, expected):
    for step, expected_step in zip(results, expected, strict=True):
        for found, wanted in zip(step, expected_step, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("static", [False, True])
def test_training_draws_what_the_host_draws(static, reduce):
    expected = train(mx.cpu(), False, net=Noisy(reduce))
    assert any((a != b).any() for a, b in zip(expected[1], expected[2]))
    same(train(gpu, False, net=Noisy(reduce)), expected)
    same(train(gpu, True, net=Noisy(reduce), static_alloc=static, static_shape=static), expected)


def test_a_seed_between_runs():
    seeds = {0: 3, 3: 3, 6: 1 << 63 | 5, 8: 1 << 63 | 5}
    found = train(gpu, True, seeds, 10)
    same(found, train(mx.cpu(), True, seeds, 10))
    same(found[3:6], found[:3])
    same(found[8:], found[6:8])


def test_other_random_operators():
    results = []
    for ctx in (gpu, mx.cpu()):
        net = Sampled()
        net.hybridize()
        mx.random.seed(2)
        x = nd.array(np.arange(54).reshape(6, 9), ctx=ctx)
        results.append([[net(x).asnumpy()] for _ in range(5)])
    same(*results)
    assert (results[0][2][0] != results[0][3][0]).any()


@pytest.mark.parametrize("budget", [None, 0])
def test_backward_again_has_the_same_mask(budget):
    """Forward runs once more for that, by its recording or not, and so do parts of it to save memory."""
    net = Noisy(True)
    net.hybridize(memory_budget=budget)
    x = nd.array(np.arange(-27, 27).reshape(6, 9), ctx=gpu)
    x.attach_grad()
    for _ in range(5):
        with autograd.record():
            y = net(x)
        y.backward(retain_graph=True)
        first = x.grad.asnumpy()
        nd.Dropout(x, mode="always").wait_to_read()
        y.backward()
        np.testing.assert_array_equal(x.grad.asnumpy(), first)


def test_plans_and_recordings_take_turns():
    """Two nets, and outputs that live on: several recordings of each plan, whose runs are in flight together."""
    results = []
    for ctx in (gpu, mx.cpu()):
        mx.random.seed(7)
        nets, kept = [Noisy(), Noisy(True)], []
        x = nd.array(np.arange(-27, 27).reshape(6, 9), ctx=ctx)
        for net in nets:
            net.hybridize()
        with autograd.train_mode():
            for i in range(24):
                kept.append([nets[i % 5 % 2](x)])
                if i % 7 == 6:
                    del kept[-4:-1]
        results.append([[y.asnumpy()] for [y] in kept])
    same(*results)


def test_recurrent_layers_and_random_slopes():
    results = []
    for ctx in (gpu, mx.cpu()):
        mx.random.seed(5)
        net = gluon.nn.HybridSequential()
        net.add(gluon.nn.Dense(8, flatten=False, activation="tanh"), gluon.rnn.LSTM(6, num_layers=2, dropout=.5),
                gluon.nn.HybridLambda(lambda F, x: F.LeakyReLU(x, act_type="rrelu")), gluon.nn.Dropout(.5))
        net.initialize(ctx=ctx)
        net.hybridize()
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .5})
        x = nd.array(np.random.default_rng(0).normal(size=(4, 3, 5)), ctx=ctx)
        outputs = []
        for _ in range(5):
            with autograd.record():
                y = net(x)
            y.backward()
            trainer.step(1)
            outputs.append(y.asnumpy())
        results.append(outputs)
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5)


def test_a_replay_takes_one_launch_more(libcuda):
    if not _replay.graphs_wanted():
        pytest.skip("MXNET_ENABLE_CUDA_GRAPHS=0")
    net, seen = Noisy(), []
    net.hybridize(static_alloc=True, static_shape=True)
    x = nd.array(np.ones((6, 9)), ctx=gpu)
    with autograd.train_mode():
        for _ in range(6):
            net(x).wait_to_read()
            seen.append([libcuda.calls(name) for name in ("cuStreamBeginCapture", "cuGraphLaunch", "cuLaunchKernel")])
    captures, replays, launches = (np.diff(counts).tolist() for counts in zip(*seen))
    assert captures == [1, 0, 0, 0, 0] and replays == [1] * 5
    assert launches[1:] == [1] * 4


def digest():
    return hashlib.sha256(b"".join(array.tobytes() for step in train(gpu, True) for array in step)).hexdigest()


def test_without_recordings():
    script = "from tests.gpu.test_plans_random import digest; print(digest())"
    for wanted in "01":
        out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=CHECKOUT, check=True,
                             env={**os.environ, "MXNET_ENABLE_CUDA_GRAPHS": wanted}).stdout
        assert out.strip() == digest()
