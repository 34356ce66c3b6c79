"""Trainer: steps, multipliers, devices, stale gradients, files."""
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn

TWO = [mx.cpu(0), mx.cpu(1)]
GOLDEN = Path(__file__).parents[2].parent / "shared" / "data" / "golden-files"


def parameter(name, ctx=None, **kwargs):
    param = gluon.Parameter(name, shape=(2,), **kwargs)
    param.initialize("ones", ctx=ctx)
    return param


def backward(*params):
    """Gradients of 3 for every value of every copy."""
    with autograd.record():
        losses = [(3 * data).sum() for param in params for data in param.list_data()]
    autograd.backward(losses)


def test_a_step_divides_by_the_batch_size():
    param = parameter("w")
    trainer = gluon.Trainer([param], "sgd", {"learning_rate": 1., "wd": .1})
    backward(param)
    trainer.step(3)
    np.testing.assert_allclose(param.data().asnumpy(), 1 - (1 + .1), rtol=1e-6, atol=1e-7)


def test_multipliers():
    one, two = parameter("a", lr_mult=.5), parameter("b", wd_mult=0.)
    trainer = gluon.Trainer({"a": one, "b": two}, "sgd", {"learning_rate": 1., "wd": .1, "rescale_grad": 2.})
    for _ in range(2):
        backward(one, two)
        trainer.step(6)
        one.lr_mult = 0.
    np.testing.assert_allclose(one.data().asnumpy(), 1 - .5 * (1 + .1), rtol=1e-6)
    np.testing.assert_allclose(two.data().asnumpy(), -1, rtol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"update_on_kvstore": False}, {"kvstore": "local"},
                                    {"kvstore": mx.kv.create()}],
                         ids=["default", "on devices", "local", "store"])
def test_several_devices_add_up(kwargs):
    param = parameter("w", ctx=TWO)
    trainer = gluon.Trainer([param], "sgd", {"learning_rate": .5, "momentum": .5}, **kwargs)
    for expected in (-2, -6.5):
        backward(param)
        trainer.step(1)
        for data in param.list_data():
            np.testing.assert_allclose(data.asnumpy(), expected)


def test_own_store():
    @mx.kv.KVStoreBase.register
    class Averaging(mx.kv.KVStoreBase):
        rank, num_workers = 0, 1

        @staticmethod
        def is_capable(capability):
            return False

        def broadcast(self, key, value, out, priority=0):
            for array in out:
                array[:] = value.as_in_context(array.context)

        def pushpull(self, key, value, out=None, priority=0):
            mean = sum(v.as_in_context(value[0].context) for v in value) / len(value)
            self.broadcast(key, mean, value if out is None else out)

    param = parameter("w", ctx=TWO)
    trainer = gluon.Trainer([param], "sgd", {"learning_rate": 1.}, kvstore="averaging")
    for value in (1, 2):
        param.set_data(nd.full((2,), value))
        backward(param)
        trainer.step(1)
        assert all((d.asnumpy() == value - 3).all() for d in param.list_data())


def test_allreduce_and_update_apart():
    param = parameter("w", ctx=TWO)
    trainer = gluon.Trainer([param], "sgd", {"learning_rate": 1.}, update_on_kvstore=False)
    backward(param)
    trainer.allreduce_grads()
    assert all((g.asnumpy() == 6).all() for g in param.list_grad())
    trainer.update(6)
    assert all((d.asnumpy() == 0).all() for d in param.list_data())
    on_store = gluon.Trainer([param], "sgd")
    with pytest.raises(RuntimeError, match="update_on_kvstore=False"):
        on_store.allreduce_grads()


def test_stale_gradients():
    one, two = parameter("a"), parameter("b")
    trainer = gluon.Trainer([one, two], "sgd", {"learning_rate": 1.})
    backward(one)
    with pytest.raises(UserWarning, match="'b'.*ignore_stale_grad"):
        trainer.step(1)
    trainer.step(1, ignore_stale_grad=True)
    assert (one.data().asnumpy() == -2).all() and (two.data().asnumpy() == 1).all()
    trainer.step(1, ignore_stale_grad=True)
    assert (one.data().asnumpy() == -2).all()


def test_frozen_and_thawed_parameters():
    one, two = parameter("a"), parameter("b")
    trainer = gluon.Trainer([one, two], "sgd", {"learning_rate": 1.})
    for req, expected in (("write", 1), ("null", 1), ("write", -2)):
        two.grad_req = req
        two.set_data(nd.ones((2,)))
        one.set_data(nd.ones((2,)))
        backward(one, *([two] if req == "write" else []))
        trainer.step(1)
        expected = -2 if req == "write" else 1
        assert (two.data().asnumpy() == expected).all() and (one.data().asnumpy() == -2).all()


def test_parameters_that_move_and_change_dtype():
    param = parameter("w")
    trainer = gluon.Trainer([param], "sgd", {"learning_rate": 1.})
    backward(param)
    trainer.step(1)
    param.cast("float64")
    backward(param)
    trainer.step(1)
    assert param.data().dtype == np.float64 and (param.data().asnumpy() == -5).all()


def test_learning_rate():
    trainer = gluon.Trainer([parameter("w")], "sgd", {"learning_rate": .5})
    trainer.set_learning_rate(.25)
    assert trainer.learning_rate == .25
    schedule = mx.lr_scheduler.FactorScheduler(1, .5, base_lr=1.)
    param = parameter("w")
    trainer = gluon.Trainer([param], "sgd", {"lr_scheduler": schedule})
    for expected in (1, .5, .25):
        backward(param)
        trainer.step(1)
        assert trainer.learning_rate == expected


@pytest.mark.parametrize("ctx", [None, TWO], ids=["one device", "two devices"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "nag"])
def test_saved_states_go_on(optimizer, ctx, tmp_path):
    path, ends = str(tmp_path / "states"), []
    param = parameter("w", ctx=ctx)
    arguments = {"learning_rate": .1, **({} if optimizer == "adam" else {"momentum": .9})}
    trainer = gluon.Trainer([param], optimizer, arguments)
    for _ in range(2):
        backward(param)
        trainer.step(1)
    trainer.save_states(path)
    value = param.data(mx.cpu(0)).copy()
    for resume in (False, True):
        if resume:
            param = parameter("w", ctx=ctx)
            param.set_data(value)
            trainer = gluon.Trainer([param], optimizer)
            trainer.load_states(path)
        backward(param)
        trainer.step(1)
        ends.append(param.data(mx.cpu(0)).asnumpy())
    assert (ends[0] == ends[1]).all() and (ends[0] != value.asnumpy()).all()


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/data/golden-files")
def test_reads_the_states_of_mxnet():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dense(3))
    net.load_parameters(str(GOLDEN / "gluon-net.params"))
    trainer = gluon.Trainer(net.collect_params(), "sgd")
    trainer.load_states(str(GOLDEN / "gluon-trainer.states"))
    assert isinstance(trainer.optimizer, mx.optimizer.Adam) and trainer.optimizer.rescale_grad == .5
    assert trainer.learning_rate == .001


def test_bad_arguments():
    for make in (lambda: gluon.Trainer(3, "sgd"), lambda: gluon.Trainer([3], "sgd"),
                 lambda: gluon.Trainer([parameter("w")], mx.optimizer.SGD(), {"wd": 1}),
                 lambda: gluon.Trainer([parameter("w")], "sgd", compression_params={"type": "2bit"})):
        with pytest.raises((ValueError, TypeError)):
            make()
    net = nn.Dense(2)
    with pytest.raises(RuntimeError, match="initialize"):
        gluon.Trainer(net.collect_params(), "sgd").step(1)
