"""Turning mixed precision on, and loss scaling with a Trainer."""
import contextlib
import logging

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.contrib.amp.loss_scaler import LossScaler
from mxcy.gluon.trainer import Trainer
from mxcy.imperative._invoke import get_precision, set_precision
from mxcy.ops.precision import Precision

__all__ = ["init", "init_trainer", "scale_loss", "unscale"]


def init(target_dtype="float16", target_precision_ops=None, conditional_fp32_ops=None, fp32_ops=None,
         layout_optimization=False):
    """Let operators compute in mixed precision from now on: eager calls, symbols and hybridized blocks.

    Products compute in ``target_dtype``; exponentials, sums, norms and losses in float32; operators whose inputs must
    have one dtype in the widest that they get; all others in what they get. Parameters stay float32.

    Parameters
    ----------
    target_dtype : {'float16', 'bfloat16'}
    target_precision_ops : list of str, optional
        The operators that compute in ``target_dtype``, instead of `list_lp16_ops`.
    conditional_fp32_ops : list of (str, str, list of str), optional
        Operator, parameter, and the values with which it computes in float32; instead of `list_conditional_fp32_ops`.
    fp32_ops : list of str, optional
        The operators that compute in float32, instead of `list_fp32_ops`.
    layout_optimization : bool
        Accepted: plans choose the layout of convolutions by themselves.

    Raises
    ------
    MXNetError
        If it was called before and asks for something else now.
    """
    wanted = Precision(target_dtype, target_precision_ops, fp32_ops, conditional_fp32_ops)
    active = get_precision()
    if active is None:
        set_precision(wanted)
        logging.info("AMP: operators compute in mixed precision, %s and float32", wanted.dtype)
    elif active.dtype != wanted.dtype:
        raise MXNetError(f"amp.init: mixed precision with {active.dtype} is on already; it cannot be changed to "
                         f"{wanted.dtype} in this process")
    elif active != wanted:
        raise MXNetError("amp.init: mixed precision is on already, with other lists of operators; call it once")


def init_trainer(optimizer_or_trainer):
    """Let a Trainer work with scaled losses: see `scale_loss`.

    Parameters
    ----------
    optimizer_or_trainer : Trainer
    """
    trainer = _trainer("init_trainer", optimizer_or_trainer)
    precision = get_precision()
    if precision is None:
        raise MXNetError("amp.init_trainer: mixed precision is off; call amp.init() first")
    if trainer._update_on_kvstore or trainer._update_on_kvstore_wanted:
        raise MXNetValueError("amp.init_trainer: the store updates the weights of this Trainer, so no step can be "
                              "skipped; make the Trainer with update_on_kvstore=False")
    trainer._update_on_kvstore_wanted = False
    trainer._amp_loss_scaler = LossScaler()
    trainer._amp_original_scale = trainer._scale
    if not precision.scales_loss:
        precision.scales_loss = True
        set_precision(precision)                # calls that were made before must warn, too


@contextlib.contextmanager
def scale_loss(loss, optimizer_or_trainer):
    """The loss times the trainer's loss scale, which its next step takes out again.

    A step whose gradients overflowed is skipped, and halves the scale.

    Parameters
    ----------
    loss : NDArray or list of NDArray
    optimizer_or_trainer : Trainer
        After `init_trainer`.

    Yields
    ------
    NDArray or list of NDArray
        To call ``backward`` on.

    Examples
    --------
    >>> with autograd.record():                                                         # doctest: +SKIP
    ...     loss = loss_function(net(data), label)
    ...     with amp.scale_loss(loss, trainer) as scaled:
    ...         scaled.backward()
    >>> trainer.step(batch_size)                                                        # doctest: +SKIP
    """
    trainer = _with_scaler("scale_loss", optimizer_or_trainer)
    scale = trainer._amp_loss_scaler.loss_scale
    trainer._scale = trainer._amp_original_scale / scale
    yield [_scaled(item, scale) for item in loss] if isinstance(loss, (list, tuple)) else _scaled(loss, scale)


def unscale(optimizer_or_trainer):
    """Take the loss scale out of the gradients now, in order to look at them or to clip them.

    Parameters
    ----------
    optimizer_or_trainer : Trainer
        After `init_trainer`, within or after `scale_loss`.
    """
    trainer = _with_scaler("unscale", optimizer_or_trainer)
    for param in trainer._params:
        if param.grad_req != "null":
            for grad in param.list_grad():
                grad *= trainer._scale
    trainer._scale = 1.


def _scaled(loss, scale):
    return (loss.astype("float32") if loss.dtype_name in ("float16", "bfloat16") else loss) * scale


def _trainer(function, given):
    if not isinstance(given, Trainer):
        raise MXNetTypeError(f"amp.{function}: expected a gluon.Trainer, got {type(given).__name__}")
    return given


def _with_scaler(function, given):
    trainer = _trainer(function, given)
    if trainer._amp_loss_scaler is None:
        raise MXNetError(f"amp.{function}: this Trainer has no loss scale; call amp.init_trainer(trainer) once, before "
                         "the first step")
    return trainer
