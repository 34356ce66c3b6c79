"""Learning rates as functions of the number of updates done."""
from math import cos, pi

from mxcy.base import MXNetTypeError, MXNetValueError

__all__ = ["LRScheduler", "FactorScheduler", "MultiFactorScheduler", "PolyScheduler", "CosineScheduler"]


class LRScheduler:
    """Base class: a callable from the number of updates to the learning rate, with an optional warm-up.

    Parameters
    ----------
    base_lr : float
        The rate after the warm-up.
    warmup_steps : int
        Number of updates in the warm-up.
    warmup_begin_lr : float
        Rate at the first update of the warm-up.
    warmup_mode : {'linear', 'constant'}
        Rise linearly to ``base_lr``, or stay at ``warmup_begin_lr``.
    """

    def __init__(self, base_lr=0.01, warmup_steps=0, warmup_begin_lr=0, warmup_mode="linear"):
        if not isinstance(warmup_steps, int) or warmup_steps < 0:
            raise MXNetValueError(f"warmup_steps must be an int of at least 0, got {warmup_steps!r}")
        if warmup_mode not in ("linear", "constant"):
            raise MXNetValueError(f"warmup_mode must be 'linear' or 'constant', got {warmup_mode!r}")
        if warmup_begin_lr > base_lr:
            raise MXNetValueError(f"warmup_begin_lr must be at most base_lr {base_lr}, got {warmup_begin_lr}")
        self.base_lr = base_lr
        self.warmup_steps = warmup_steps
        self.warmup_begin_lr = warmup_begin_lr
        self.warmup_final_lr = base_lr
        self.warmup_mode = warmup_mode

    def get_warmup_lr(self, num_update):
        """The rate at ``num_update`` updates, less than ``warmup_steps``."""
        if self.warmup_mode == "constant":
            return self.warmup_begin_lr
        rise = (self.warmup_final_lr - self.warmup_begin_lr) * num_update / self.warmup_steps
        return self.warmup_begin_lr + rise

    def __call__(self, num_update):
        """The learning rate after ``num_update`` updates."""
        raise NotImplementedError("an LRScheduler defines __call__(num_update)")


class FactorScheduler(LRScheduler):
    """Multiply the rate by ``factor`` every ``step`` updates, but never below ``stop_factor_lr``.

    >>> schedule = FactorScheduler(step=10, factor=.5, base_lr=1.)
    >>> [schedule(n) for n in (1, 10, 11, 21)]
    [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, step, factor=1, stop_factor_lr=1e-8, base_lr=0.01, warmup_steps=0, warmup_begin_lr=0,
                 warmup_mode="linear"):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if step < 1:
            raise MXNetValueError(f"step must be at least 1, got {step}")
        if factor > 1:
            raise MXNetValueError(f"factor must be at most 1, so that the rate falls, got {factor}")
        self.step, self.factor, self.stop_factor_lr = step, factor, stop_factor_lr
        self.count = 0

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        while num_update > self.count + self.step:
            self.count += self.step
            self.base_lr = max(self.base_lr * self.factor, self.stop_factor_lr)
        return self.base_lr


class MultiFactorScheduler(LRScheduler):
    """Multiply the rate by ``factor`` after each number of updates in the increasing list ``step``."""

    def __init__(self, step, factor=1, base_lr=0.01, warmup_steps=0, warmup_begin_lr=0, warmup_mode="linear"):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if not isinstance(step, list) or not step:
            raise MXNetTypeError(f"step must be a list of at least one number of updates, got {step!r}")
        if step[0] < 1 or any(a >= b for a, b in zip(step, step[1:])):
            raise MXNetValueError(f"step must increase and start at 1 or more, got {step}")
        if factor > 1:
            raise MXNetValueError(f"factor must be at most 1, so that the rate falls, got {factor}")
        self.step, self.factor = step, factor
        self.cur_step_ind = self.count = 0

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        while self.cur_step_ind < len(self.step) and num_update > self.step[self.cur_step_ind]:
            self.count = self.step[self.cur_step_ind]
            self.cur_step_ind += 1
            self.base_lr *= self.factor
        return self.base_lr


class _Decay(LRScheduler):
    """From ``base_lr`` after the warm-up to ``final_lr`` at ``max_update``, and constant from there."""

    def __init__(self, max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode):
        super().__init__(base_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        if not isinstance(max_update, int) or max_update < 1:
            raise MXNetValueError(f"max_update must be an int of at least 1, got {max_update!r}")
        self.base_lr_orig, self.final_lr, self.max_update = base_lr, final_lr, max_update
        self.max_steps = max_update - warmup_steps

    def __call__(self, num_update):
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        if num_update <= self.max_update:
            share = self._share((num_update - self.warmup_steps) / self.max_steps)
            self.base_lr = self.final_lr + (self.base_lr_orig - self.final_lr) * share
        return self.base_lr


class PolyScheduler(_Decay):
    """Fall to ``final_lr`` at ``max_update`` as ``(1 - t)**pwr``, ``t`` from 0 to 1."""

    def __init__(self, max_update, base_lr=0.01, pwr=2, final_lr=0, warmup_steps=0, warmup_begin_lr=0,
                 warmup_mode="linear"):
        super().__init__(max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode)
        self.power = pwr

    def _share(self, t):
        return (1 - t) ** self.power


class CosineScheduler(_Decay):
    """Fall to ``final_lr`` at ``max_update`` along half a cosine wave [1]_.

    References
    ----------
    .. [1] Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.
    """

    def __init__(self, max_update, base_lr=0.01, final_lr=0, warmup_steps=0, warmup_begin_lr=0, warmup_mode="linear"):
        super().__init__(max_update, base_lr, final_lr, warmup_steps, warmup_begin_lr, warmup_mode)

    def _share(self, t):
        return (1 + cos(pi * t)) / 2
