"""Concurrent, Identity, PixelShuffle and variants of basic layers."""
from math import prod

from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.context import num_gpus
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.nn import BatchNorm, Embedding, HybridSequential, Sequential

__all__ = ["Concurrent", "HybridConcurrent", "Identity", "PixelShuffle1D", "PixelShuffle2D", "PixelShuffle3D",
           "SparseEmbedding", "SyncBatchNorm"]


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

    def hybrid_forward(self, F, x):
        return F.concat(*(block(x) for block in self._children.values()), dim=self.axis)


class Identity(HybridBlock):
    """Gives its input."""

    def hybrid_forward(self, F, x):
        return x


class SyncBatchNorm(BatchNorm):
    """Batch normalization of the second axis with statistics of all devices that share a batch [1]_.

    In training call it, or the network it is part of, on all devices before reading a result. It may be one thread
    that does so: what a device has to do is queued until the others have brought their parts.

    Parameters
    ----------
    in_channels : int
        Number of channels; 0: learned from the data.
    num_devices : int, optional
        How many devices share a batch; by default the GPUs that there are, at least one.
    momentum, epsilon, center, scale, use_global_stats
        As in `BatchNorm`, as are those that follow.
    beta_initializer, gamma_initializer : Initializer or str
    running_mean_initializer, running_variance_initializer : Initializer or str
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Zhang et al., "Context encoding for semantic segmentation", CVPR 2018.
    """

    def __init__(self, in_channels=0, num_devices=None, momentum=0.9, epsilon=1e-5, center=True, scale=True,
                 use_global_stats=False, beta_initializer="zeros", gamma_initializer="ones",
                 running_mean_initializer="zeros", running_variance_initializer="ones", **kwargs):
        super().__init__(1, momentum, epsilon, center, scale, use_global_stats, beta_initializer, gamma_initializer,
                         running_mean_initializer, running_variance_initializer, in_channels, **kwargs)
        self._devices = num_devices or max(num_gpus(), 1)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        return F.contrib.SyncBatchNorm(x, gamma, beta, running_mean, running_var, name="fwd", eps=self._epsilon,
                                       momentum=self._momentum, fix_gamma=self._fix_gamma,
                                       use_global_stats=self._use_global_stats, ndev=self._devices, key=self.prefix)


class SparseEmbedding(Embedding):
    """`Embedding`; the name is MXNet's for one whose gradient is row-sparse, which is dense here.

    Parameters
    ----------
    input_dim : int
        Number of rows.
    output_dim : int
        Length of a vector.
    dtype : str or numpy dtype
    weight_initializer : Initializer or str, optional
    **kwargs
        ``prefix`` and ``params``.
    """

    def __init__(self, input_dim, output_dim, dtype="float32", weight_initializer=None, **kwargs):
        super().__init__(input_dim, output_dim, dtype, weight_initializer, **kwargs)


class _PixelShuffle(HybridBlock):
    """Moves channels into space: (N, C f1 f2 .., D1, D2, ..) becomes (N, C, D1 f1, D2 f2, ..)."""

    _ndim = 0

    def __init__(self, factor):
        super().__init__()
        self._factors = (int(factor),) * self._ndim if isinstance(factor, (int, float)) else tuple(map(int, factor))
        if len(self._factors) != self._ndim:
            raise MXNetValueError(f"{type(self).__name__}: factor must be an int or {self._ndim} of them, got {factor}")

    def hybrid_forward(self, F, x):
        n, factors = self._ndim, self._factors
        # special sizes of reshape: 0 keeps an axis, -4 parts one, -3 joins two; so it holds for any batch and picture
        x = F.reshape(x, shape=(0, -4, -1, prod(factors), *[0] * n))
        for i in range(n - 1):
            x = F.reshape(x, shape=(*[0] * (2 + i), -4, factors[i], -1, *[0] * n))
        # (N, C, f1, .., fn, D1, .., Dn) -> (N, C, D1, f1, .., Dn, fn)
        x = F.transpose(x, axes=(0, 1, *(axis for i in range(n) for axis in (2 + n + i, 2 + i))))
        return F.reshape(x, shape=(0, 0, *[-3] * n))

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
