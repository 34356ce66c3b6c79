"""Callbacks of training loops: speed, progress, metrics, checkpoints.

A batch callback gets an object with ``epoch``, ``nbatch``, ``eval_metric`` and ``locals``.
"""
import logging
import math
import time

from mxcy.module.files import save_checkpoint

__all__ = ["Speedometer", "ProgressBar", "LogValidationMetricsCallback", "log_train_metric", "do_checkpoint",
           "module_checkpoint"]


class Speedometer:
    """Log samples per second and the metric every ``frequent`` batches.

    Parameters
    ----------
    batch_size : int
    frequent : int
    auto_reset : bool
        Start the metric's local sum again after each line.
    """

    def __init__(self, batch_size, frequent=50, auto_reset=True):
        self.batch_size, self.frequent, self.auto_reset = batch_size, frequent, auto_reset
        self.init, self.tic, self.last_count = False, 0., 0

    def __call__(self, param):
        if self.last_count > param.nbatch:
            self.init = False
        self.last_count = param.nbatch
        if not self.init:
            self.init, self.tic = True, time.time()
            return
        if param.nbatch % self.frequent:
            return
        seconds = time.time() - self.tic
        speed = self.frequent * self.batch_size / seconds if seconds else float("inf")
        if param.eval_metric is None:
            logging.info("Iter[%d] Batch [%d]\tSpeed: %.2f samples/sec", param.epoch, param.nbatch, speed)
        else:
            pairs = param.eval_metric.get_name_value()
            if self.auto_reset:
                param.eval_metric.reset_local()
                where = f"Epoch[{param.epoch}] Batch [{param.nbatch - self.frequent}-{param.nbatch}]"
            else:
                where = f"Epoch[{param.epoch}] Batch [0-{param.nbatch}]"
            logging.info("%s\tSpeed: %.2f samples/sec%s", where, speed, "".join(f"\t{n}={v:f}" for n, v in pairs))
        self.tic = time.time()


class ProgressBar:
    """Log a bar of how much of an epoch is done.

    Parameters
    ----------
    total : int
        Number of batches.
    length : int
        Characters.
    """

    def __init__(self, total, length=80):
        self.total, self.bar_len = total, length

    def __call__(self, param):
        done = round(self.bar_len * param.nbatch / self.total)
        logging.info("[%s] %s%%\r", "=" * done + "-" * (self.bar_len - done),
                     math.ceil(100. * param.nbatch / self.total))


class LogValidationMetricsCallback:
    """Log the metric at the end of a validation."""

    def __call__(self, param):
        if param.eval_metric is not None:
            for name, value in param.eval_metric.get_name_value():
                logging.info("Epoch[%d] Validation-%s=%f", param.epoch, name, value)


def log_train_metric(period, auto_reset=False):
    """A callback that logs the training metric every ``period`` batches; ``auto_reset`` starts its local sum again."""
    def callback(param):
        if param.nbatch % period == 0 and param.eval_metric is not None:
            for name, value in param.eval_metric.get_name_value():
                logging.info("Iter[%d] Batch[%d] Train-%s=%f", param.epoch, param.nbatch, name, value)
            if auto_reset:
                param.eval_metric.reset_local()
    return callback


def module_checkpoint(mod, prefix, period=1, save_optimizer_states=False):
    """An epoch callback that calls ``mod.save_checkpoint`` every ``period`` epochs.

    Parameters
    ----------
    mod : Module
    prefix : str
        Of the files.
    period : int
    save_optimizer_states : bool
    """
    period = max(1, int(period))

    def callback(epoch, sym=None, arg=None, aux=None):
        if (epoch + 1) % period == 0:
            mod.save_checkpoint(prefix, epoch + 1, save_optimizer_states)
    return callback


def do_checkpoint(prefix, period=1):
    """An epoch callback that saves symbol and parameters every ``period`` epochs, as ``prefix-symbol.json`` and
    ``prefix-0001.params``."""
    period = max(1, int(period))

    def callback(epoch, sym, arg, aux):
        if (epoch + 1) % period == 0:
            save_checkpoint(prefix, epoch + 1, sym, arg, aux)
    return callback
