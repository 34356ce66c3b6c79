"""fit, score and predict: what is called when, what is logged, what is learned."""
import logging
import re

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd, sym
from tests.module.test_module import dense


@pytest.fixture
def data():
    random = np.random.RandomState(3)
    x = random.uniform(-1, 1, (120, 5)).astype("float32")
    return x, x[:, :3].argmax(1).astype("float32")


def test_fit_learns(data):
    train = mx.io.NDArrayIter(*data, 20, shuffle=True)
    module = mx.mod.Module(dense())
    module.fit(train, num_epoch=40, optimizer_params={"learning_rate": 2.})
    assert module.score(train, "acc")[0][1] > .95


def test_lines_that_are_logged(data, caplog):
    train, test = mx.io.NDArrayIter(*data, 20), mx.io.NDArrayIter(*data, 60)
    with caplog.at_level(logging.INFO):
        mx.mod.Module(dense()).fit(train, test, eval_metric=["acc", "ce"], num_epoch=4, begin_epoch=3)
    lines = [re.sub(r"\d\.\d+", "N", line) for line in caplog.messages]
    assert lines == ["Epoch[3] Train-accuracy=N", "Epoch[3] Train-cross-entropy=N", "Epoch[3] Time cost=N",
                     "Epoch[3] Validation-accuracy=N", "Epoch[3] Validation-cross-entropy=N"]


def test_callbacks(data):
    seen = []
    train, test = mx.io.NDArrayIter(*data, 60), mx.io.NDArrayIter(*data, 40)

    def note(what):
        return lambda param: seen.append((what, param.epoch, param.nbatch))

    def epoch_end(epoch, symbol, args, aux):
        seen.append(("epoch", epoch, symbol.list_outputs(), sorted(args), aux))

    def has_locals(param):
        assert param.locals["self"] is module

    module = mx.mod.Module(dense())
    module.fit(train, test, num_epoch=1, epoch_end_callback=epoch_end, batch_end_callback=[note("batch"), has_locals],
               eval_end_callback=note("end"), eval_batch_end_callback=note("eval"))
    assert seen == [("batch", 0, 0), ("batch", 0, 1), ("epoch", 0, ["softmax_output"], ["fc_bias", "fc_weight"], {}),
                    ("eval", 0, 0), ("eval", 0, 1), ("eval", 0, 2), ("end", 0, 3)]


def test_fit_needs_num_epoch(data):
    with pytest.raises(ValueError, match="num_epoch must be given"):
        mx.mod.Module(dense()).fit(mx.io.NDArrayIter(*data, 20))


def test_predict(data):
    x, y = data
    module = mx.mod.Module(dense())
    batches = mx.io.NDArrayIter(x, y, 50)               # the last one is padded
    module.bind(batches.provide_data, batches.provide_label, for_training=False)
    module.init_params(mx.init.Uniform(1))
    whole = module.predict(batches)
    assert whole.shape == (120, 3)
    np.testing.assert_allclose(whole.asnumpy(), module.predict(x).asnumpy(), rtol=1e-5)
    assert module.predict(batches, num_batch=1).shape == (50, 3)
    assert [len(outs) for outs in module.predict(batches, merge_batches=False)] == [1, 1, 1]
    assert isinstance(module.predict(batches, always_output_list=True), list)
    sizes = [(number, outs[0].shape[0], batch.pad) for outs, number, batch in module.iter_predict(batches)]
    assert sizes == [(0, 50, 0), (1, 50, 0), (2, 20, 30)]
    with pytest.raises(TypeError, match="DataIter or an array, got list"):
        module.predict([1])


def test_score(data):
    module = mx.mod.Module(dense())
    batches = mx.io.NDArrayIter(*data, 40)
    module.bind(batches.provide_data, batches.provide_label)
    module.init_params(mx.init.One())
    names = [name for name, _ in module.score(batches, ["acc", mx.metric.CrossEntropy()], num_batch=2)]
    assert names == ["accuracy", "cross-entropy"]


def test_monitor(data, caplog):
    module = mx.mod.Module(dense())
    monitor = mx.mon.Monitor(2, pattern=".*weight|.*output", sort=True)
    with caplog.at_level(logging.INFO):
        module.fit(mx.io.NDArrayIter(*data, 40), num_epoch=1, monitor=monitor)
    lines = [line.split()[:3] for line in caplog.messages if line.startswith("Batch:")]
    assert lines == [["Batch:", step, name] for step in "13" for name in ("fc_output", "fc_weight", "softmax_output")]


def test_monitor_sees_inputs_too(data):
    module = mx.mod.Module(dense())
    batches = mx.io.NDArrayIter(*data, 40)
    module.bind(batches.provide_data, batches.provide_label)
    module.init_params()
    monitor = mx.mon.Monitor(1, stat_func=lambda x: [nd.max(x), nd.min(x)], monitor_all=True)
    module.install_monitor(monitor)
    monitor.tic()
    module.forward(next(batches))
    found = monitor.toc()
    assert {name for _, name, _ in found} >= {"data", "fc_weight", "fc_output", "softmax_output"}
    assert all(text.count("\t") == 2 for _, _, text in found)
    assert monitor.toc() == []


def test_feed_forward(data, tmp_path):
    x, y = data
    with pytest.warns(DeprecationWarning):
        model = mx.model.FeedForward.create(dense(), x, y, num_epoch=40, learning_rate=2., numpy_batch_size=20)
    assert model.score((x, y)) > .9
    outputs, seen, labels = model.predict(mx.io.NDArrayIter(x, y, 50), return_data=True)
    np.testing.assert_array_equal(seen, x)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_allclose(outputs, model.predict(x), rtol=1e-5)
    model.save(str(tmp_path / "model"))
    with pytest.warns(DeprecationWarning):
        again = mx.model.FeedForward.load(str(tmp_path / "model"), 40)
    np.testing.assert_array_equal(again.predict(x), model.predict(x))
    with pytest.raises(ValueError, match="y must be given"), pytest.warns(DeprecationWarning):
        mx.model.FeedForward(dense(), num_epoch=1).fit(x)
    with pytest.raises(ValueError, match="no parameters zz"), pytest.warns(DeprecationWarning):
        mx.model.FeedForward(dense(), arg_params={"zz": nd.ones((1,))}, aux_params={})


def test_training_goes_on_from_a_checkpoint(data, tmp_path):
    prefix = str(tmp_path / "model")
    train = mx.io.NDArrayIter(*data, 20)
    options = dict(optimizer="adam", optimizer_params={"learning_rate": .1})
    module = mx.mod.Module(dense())
    module.fit(train, num_epoch=2, **options, initializer=mx.init.One(),
               epoch_end_callback=mx.callback.module_checkpoint(module, prefix, save_optimizer_states=True))
    # states files have no counts of steps, so Adam corrects its means anew: only SGD goes on as if it had not stopped
    resumed = mx.mod.Module.load(prefix, 2, load_optimizer_states=True)
    resumed.fit(train, num_epoch=4, begin_epoch=2, **options)
    assert resumed.score(train, "acc")[0][1] > .9
    with pytest.raises(ValueError, match="train_data gives no batch"):
        resumed.fit(train, num_epoch=1)

    train.reset()
    options = dict(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
    module = mx.mod.Module(dense())
    module.fit(train, num_epoch=2, **options, initializer=mx.init.One(),
               epoch_end_callback=mx.callback.module_checkpoint(module, prefix, save_optimizer_states=True))
    straight = mx.mod.Module(dense())
    straight.fit(train, num_epoch=4, initializer=mx.init.One(), **options)
    resumed = mx.mod.Module.load(prefix, 2, load_optimizer_states=True)
    resumed.fit(train, num_epoch=4, begin_epoch=2, **options)
    for name, array in straight.get_params()[0].items():
        np.testing.assert_array_equal(array.asnumpy(), resumed.get_params()[0][name].asnumpy())


def test_states_of_the_store(data, tmp_path):
    train = mx.io.NDArrayIter(*data, 20)
    module = mx.mod.Module(dense(), context=[mx.cpu(0), mx.cpu(1)])
    module.fit(train, num_epoch=1, optimizer_params={"learning_rate": .1, "momentum": .9})
    module.save_checkpoint(str(tmp_path / "model"), 1, save_optimizer_states=True)
    again = mx.mod.Module.load(str(tmp_path / "model"), 1, True, context=[mx.cpu(0), mx.cpu(1)])
    again.fit(train, num_epoch=1, optimizer_params={"learning_rate": .1, "momentum": .9})


def test_parameters_file_of_something_else(tmp_path):
    nd.save(str(tmp_path / "x.params"), {"weight": nd.ones((1,))})
    module = mx.mod.Module(sym.var("data") * 2, label_names=None)
    module.bind([("data", (1,))])
    module.init_params()
    with pytest.raises(ValueError, match="not a file of parameters: it has 'weight'"):
        module.load_params(str(tmp_path / "x.params"))
