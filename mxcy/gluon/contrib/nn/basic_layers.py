"""Concurrent, Identity and PixelShuffle."""
from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn import HybridSequential, Sequential

__all__ = ["Concurrent", "HybridConcurrent", "Identity", "PixelShuffle1D", "PixelShuffle2D", "PixelShuffle3D"]


class Concurrent(Sequential):
    """Blocks side by side: each gets the input, and their outputs are joined along ``axis``.

    Parameters
    ----------
    axis : int
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, axis=-1, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self.axis = axis

    def forward(self, x):
        return nd.concat(*(block(x) for block in self._children.values()), dim=self.axis)


class HybridConcurrent(HybridSequential):
    """Hybrid blocks side by side; see `Concurrent`.

    Parameters
    ----------
    axis : int
    prefix : str, optional
    params : ParameterDict, optional
    """

    def __init__(self, axis=-1, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self.axis = axis

    def forward(self, x):
        return nd.concat(*(block(x) for block in self._children.values()), dim=self.axis)


class Identity(HybridBlock):
    """Gives its input."""

    def hybrid_forward(self, F, x):
        return x


class _PixelShuffle(HybridBlock):
    """Moves channels into space: (N, C f1 f2 .., D1, D2, ..) becomes (N, C, D1 f1, D2 f2, ..)."""

    _ndim = 0

    def __init__(self, factor):
        super().__init__()
        self._factors = (int(factor),) * self._ndim if isinstance(factor, (int, float)) else tuple(map(int, factor))
        if len(self._factors) != self._ndim:
            raise MXNetValueError(f"{type(self).__name__}: factor must be an int or {self._ndim} of them, got {factor}")

    def hybrid_forward(self, F, x):
        n = self._ndim
        batch, channels, *sizes = x.shape
        # (N, C, f1, .., fn, D1, .., Dn) -> (N, C, D1, f1, .., Dn, fn)
        x = F.reshape(x, shape=(batch, -1, *self._factors, *sizes))
        x = F.transpose(x, axes=(0, 1, *(axis for i in range(n) for axis in (2 + n + i, 2 + i))))
        return F.reshape(x, shape=(batch, -1, *(size * factor for size, factor in zip(sizes, self._factors))))

    def __repr__(self):
        return f"{type(self).__name__}({self._factors if self._ndim > 1 else self._factors[0]})"


class PixelShuffle1D(_PixelShuffle):
    """(N, C f, W) becomes (N, C, W f).

    Parameters
    ----------
    factor : int
    """

    _ndim = 1


class PixelShuffle2D(_PixelShuffle):
    """(N, C f1 f2, H, W) becomes (N, C, H f1, W f2) [1]_.

    Parameters
    ----------
    factor : int or pair of int

    References
    ----------
    .. [1] Shi et al., "Real-time single image and video super-resolution", CVPR 2016.
    """

    _ndim = 2


class PixelShuffle3D(_PixelShuffle):
    """(N, C f1 f2 f3, D, H, W) becomes (N, C, D f1, H f2, W f3).

    Parameters
    ----------
    factor : int or triple of int
    """

    _ndim = 3
