import math

import pytest

from mxcy.lr_scheduler import CosineScheduler, FactorScheduler, LRScheduler, MultiFactorScheduler, PolyScheduler


@pytest.mark.parametrize("schedule, updates, rates", [
    (FactorScheduler(10, 0.5, base_lr=1., warmup_steps=5), (0, 1, 4, 5, 10, 11, 20, 21),
     (0, .2, .8, 1, 1, .5, .5, .25)),
    (FactorScheduler(1, 0.1, stop_factor_lr=0.05, base_lr=1.), (1, 2, 3, 9), (1, .1, .05, .05)),
    (MultiFactorScheduler([5, 8], 0.5, base_lr=1.), (5, 6, 8, 9, 99), (1, .5, .5, .25, .25)),
    (PolyScheduler(10, base_lr=1., final_lr=.1, warmup_steps=2, warmup_begin_lr=.2, warmup_mode="constant"),
     (0, 1, 2, 6, 10, 11), (.2, .2, 1, .325, .1, .1)),
    (CosineScheduler(10, base_lr=1., final_lr=.1, warmup_steps=2), (0, 1, 2, 6, 10, 99), (0, .5, 1, .55, .1, .1)),
], ids=lambda value: type(value).__name__)
def test_rates(schedule, updates, rates):
    assert all(math.isclose(schedule(n), rate, abs_tol=1e-12) for n, rate in zip(updates, rates))


@pytest.mark.parametrize("make", [
    lambda: LRScheduler(warmup_mode="fast"), lambda: LRScheduler(warmup_steps=-1),
    lambda: LRScheduler(warmup_begin_lr=9),
    lambda: FactorScheduler(0), lambda: FactorScheduler(1, 2), lambda: MultiFactorScheduler([5, 5]),
    lambda: MultiFactorScheduler((1, 2)), lambda: PolyScheduler(0), lambda: CosineScheduler(1.5)])
def test_bad_arguments(make):
    with pytest.raises((ValueError, TypeError)):
        make()
