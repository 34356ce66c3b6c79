"""Callbacks write the lines that MXNet 1.9.1 writes, which programs read back from logs."""
import logging
import re
from types import SimpleNamespace

import pytest

import mxcy as mx
from mxcy import callback, nd


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [re.sub(r"[\d.]+(?= samples)|inf(?= samples)", "SPEED", record.getMessage())
                    for record in caplog.records]


def param(nbatch, metric=None, epoch=3):
    return SimpleNamespace(epoch=epoch, nbatch=nbatch, eval_metric=metric, locals=None)


@pytest.fixture
def metric():
    evaluate = mx.metric.create("acc")
    evaluate.update([nd.array([1, 0])], [nd.array([[.1, .9], [.8, .2]])])
    return evaluate


def test_speedometer(lines, metric):
    report = callback.Speedometer(4, 2)
    for i in range(5):
        report(param(i, metric))
    assert lines() == ["Epoch[3] Batch [0-2]\tSpeed: SPEED samples/sec\taccuracy=1.000000",
                       "Epoch[3] Batch [2-4]\tSpeed: SPEED samples/sec\taccuracy=nan"]


def test_speedometer_without_reset_or_metric(lines, metric):
    for report, evaluate in ((callback.Speedometer(4, 2, auto_reset=False), metric),
                             (callback.Speedometer(4, 2), None)):
        for i in range(3):
            report(param(i, evaluate))
    assert lines() == ["Epoch[3] Batch [0-2]\tSpeed: SPEED samples/sec\taccuracy=1.000000",
                       "Iter[3] Batch [2]\tSpeed: SPEED samples/sec"]


def test_other_lines(lines, metric):
    callback.log_train_metric(2, auto_reset=True)(param(4, metric))
    callback.log_train_metric(2)(param(3, metric))
    callback.LogValidationMetricsCallback()(param(0, metric))
    callback.ProgressBar(10, length=10)(param(3))
    assert lines() == ["Iter[3] Batch[4] Train-accuracy=1.000000", "Epoch[3] Validation-accuracy=nan",
                       "[===-------] 30%\r"]


def test_checkpoints(tmp_path):
    prefix = str(tmp_path / "net")
    save = callback.do_checkpoint(prefix, period=2)
    for epoch in range(4):
        save(epoch, None, {"w": nd.ones((1,))}, {"m": nd.zeros((1,))})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net-0002.params", "net-0004.params"]
    assert sorted(nd.load(f"{prefix}-0002.params")) == ["arg:w", "aux:m"]
    saved = []
    module = SimpleNamespace(save_checkpoint=lambda *args: saved.append(args))
    for epoch in range(3):
        callback.module_checkpoint(module, prefix, period=3, save_optimizer_states=True)(epoch)
    assert saved == [(prefix, 3, True)]
