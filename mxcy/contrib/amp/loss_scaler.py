"""The factor that keeps the gradients of a loss within float16."""
import logging

from mxcy import autograd, nd
from mxcy.dtype import dtype_name

__all__ = ["LossScaler"]

_LARGEST = 2. ** 24


class LossScaler:
    """A factor for losses: as large as it can be without gradients that overflow.

    It is doubled after 2000 steps without overflow, and halved after one with.

    Parameters
    ----------
    init_scale : float
    scale_seq_len : int
        How many steps must have gone well before it is doubled.

    Attributes
    ----------
    loss_scale : float
    """

    def __init__(self, init_scale=2. ** 16, scale_seq_len=2000):
        self.loss_scale, self._scale_seq_len = float(init_scale), scale_seq_len
        self._unskipped = 0             # good steps since the scale changed or a step was skipped

    def has_overflow(self, grads):
        """Whether a gradient is infinite or NaN; the scale of the next step follows from it.

        Parameters
        ----------
        grads : list of NDArray
            On any devices.
        """
        overflow = not _all_finite(grads)
        if overflow:
            self.loss_scale /= 2
            self._unskipped = 0
            logging.info("AMP: a gradient overflowed; the loss scale is %g from now on", self.loss_scale)
            return True
        self._unskipped += 1
        if self._unskipped == self._scale_seq_len:
            self._unskipped = 0
            self.loss_scale = min(_LARGEST, self.loss_scale * 2)
            logging.info("AMP: the loss scale is %g from now on", self.loss_scale)
        return False


def _all_finite(arrays):
    """One operator for each device and dtype; all are queued before the first result is waited for."""
    groups = {}
    for array in arrays:
        groups.setdefault((array.context, dtype_name(array.dtype)), []).append(array)
    with autograd.pause():
        results = [nd.multi_all_finite(*group, num_arrays=len(group)) for group in groups.values()]
    return all(result.asscalar() for result in results)
