"""Transforms of pictures: blocks, so that they chain."""
import numpy as np

from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn import Sequential

__all__ = ["Compose", "Cast", "ToTensor", "Normalize"]


class Compose(Sequential):
    """Several transforms, one after another.

    Parameters
    ----------
    transforms : list of Block
    """

    def __init__(self, transforms):
        super().__init__()
        with self.name_scope():
            self.add(*transforms)


class Cast(HybridBlock):
    """Convert to ``dtype``.

    Parameters
    ----------
    dtype : str
    """

    def __init__(self, dtype="float32"):
        super().__init__()
        self._dtype = dtype

    def hybrid_forward(self, F, x):
        return F.cast(x, dtype=self._dtype)


class ToTensor(HybridBlock):
    """Turn pictures (H, W, C), or batches of them (N, H, W, C), of 0 to 255 into float32 (C, H, W) in [0, 1]."""

    def hybrid_forward(self, F, x):
        if x.ndim not in (3, 4):
            raise MXNetValueError(f"ToTensor: expected a picture (H, W, C) or a batch (N, H, W, C), got shape "
                                  f"{x.shape}")
        return F.transpose(F.cast(x, dtype="float32") / 255, axes=(2, 0, 1) if x.ndim == 3 else (0, 3, 1, 2))


class Normalize(HybridBlock):
    """``(x - mean) / std`` for each channel of a picture (C, H, W) or a batch.

    Parameters
    ----------
    mean, std : float or sequence of float
        One for all channels, or one for each.
    """

    def __init__(self, mean=0.0, std=1.0):
        super().__init__()
        self._mean, self._std = (nd.array(np.reshape(v, (-1, 1, 1)), dtype="float32") for v in (mean, std))

    def hybrid_forward(self, F, x):
        return F.broadcast_div(F.broadcast_sub(x, self._mean), self._std)
