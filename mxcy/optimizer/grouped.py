"""Optimizers that update many tensors by one call."""
import os

from mxcy.dtype import dtype_name
from mxcy.optimizer.optimizer import Optimizer

__all__ = ["Grouped", "shared"]


class Grouped(Optimizer):
    """Base class: `update` also takes lists, of tensors of one dtype. A subclass defines ``_run``.

    Parameters
    ----------
    **kwargs
        See `Optimizer`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.aggregate_num = int(os.environ.get("MXNET_OPTIMIZER_AGGREGATION_SIZE", 1024))

    def update(self, index, weight, grad, state):
        self._update(index, weight, grad, state, False)

    def update_multi_precision(self, index, weight, grad, state):
        first = weight[0] if isinstance(weight, (list, tuple)) else weight
        self._update(index, weight, grad, state,
                     self.multi_precision and dtype_name(first.dtype) in ("float16", "bfloat16"))

    def _update(self, index, weight, grad, state, mixed):
        """Update one tensor, or the tensors of lists; ``mixed``: the states hold float32 copies of the weights."""
        if not isinstance(index, (list, tuple)):
            index, weight, grad, state = [index], [weight], [grad], [state]
        self._update_count(index)
        self._run(index, weight, grad, state, self._get_lrs(index), self._get_wds(index), mixed)


def shared(rates):
    """``rates``, or the one number that all of them are: fewer to check and to hand over."""
    return rates[:1] if rates.count(rates[0]) == len(rates) else rates
