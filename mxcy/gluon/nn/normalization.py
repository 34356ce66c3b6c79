"""Normalization layers."""
from mxcy.dtype import dtype_name
from mxcy.gluon.hybrid_block import HybridBlock

__all__ = ["BatchNorm", "BatchNormReLU", "LayerNorm", "GroupNorm", "InstanceNorm"]


def _affine(layer, size, scale, center, gamma_initializer, beta_initializer):
    """Make the parameters ``gamma`` and ``beta`` of a layer; a switched-off one is there but is not learned."""
    layer.gamma = layer.params.get("gamma", grad_req="write" if scale else "null", shape=(size,),
                                   init=gamma_initializer,
                                   allow_deferred_init=True)
    layer.beta = layer.params.get("beta", grad_req="write" if center else "null", shape=(size,), init=beta_initializer,
                                  allow_deferred_init=True)


def _describe(layer, **settings):
    inside = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{type(layer).__name__}({inside})"


class BatchNorm(HybridBlock):
    """Normalize over the batch, for each index of ``axis`` [1]_; keeps moving statistics for prediction.

    Parameters
    ----------
    axis : int
        The channel axis.
    momentum : float
        Share of the old value when a moving statistic is updated.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether ``beta`` is added, ``gamma`` multiplied.
    use_global_stats : bool
        Use the moving statistics in training too.
    beta_initializer, gamma_initializer : Initializer or str
    running_mean_initializer, running_variance_initializer : Initializer or str
    in_channels : int
        Size of ``axis``; 0: learned from the data.

    References
    ----------
    .. [1] Ioffe, Szegedy, "Batch normalization", ICML 2015.
    """

    _fuse_relu = False

    def __init__(self, axis=1, momentum=0.9, epsilon=1e-5, center=True, scale=True, use_global_stats=False,
                 beta_initializer="zeros", gamma_initializer="ones", running_mean_initializer="zeros",
                 running_variance_initializer="ones", in_channels=0, **kwargs):
        super().__init__(**kwargs)
        self._axis, self._momentum, self._epsilon = axis, momentum, epsilon
        self._fix_gamma, self._use_global_stats = not scale, use_global_stats
        _affine(self, in_channels, scale, center, gamma_initializer, beta_initializer)
        self.running_mean = self.params.get("running_mean", grad_req="null", shape=(in_channels,),
                                            init=running_mean_initializer, allow_deferred_init=True,
                                            differentiable=False)
        self.running_var = self.params.get("running_var", grad_req="null", shape=(in_channels,),
                                           init=running_variance_initializer, allow_deferred_init=True,
                                           differentiable=False)

    def cast(self, dtype):
        # statistics of 16-bit data are kept in float32: they would lose too much
        super().cast("float32" if dtype_name(dtype) in ("float16", "bfloat16") else dtype)

    def hybrid_forward(self, F, x, gamma, beta, running_mean, running_var):
        out = F.BatchNorm(x, gamma, beta, running_mean, running_var, name="fwd", axis=self._axis, eps=self._epsilon,
                          momentum=self._momentum, fix_gamma=self._fix_gamma, use_global_stats=self._use_global_stats)
        return F.relu(out) if self._fuse_relu else out

    def __repr__(self):
        return _describe(self, axis=self._axis, eps=self._epsilon, momentum=self._momentum, fix_gamma=self._fix_gamma,
                         use_global_stats=self._use_global_stats, in_channels=self.gamma.shape[0] or None)


class BatchNormReLU(BatchNorm):
    """`BatchNorm` followed by ReLU; the same parameters."""

    _fuse_relu = True


class LayerNorm(HybridBlock):
    """Normalize each sample along ``axis`` [1]_.

    Parameters
    ----------
    axis : int
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether ``beta`` is added, ``gamma`` multiplied.
    beta_initializer, gamma_initializer : Initializer or str
    in_channels : int
        Size of ``axis``; 0: learned from the data.

    References
    ----------
    .. [1] Ba, Kiros, Hinton, "Layer normalization", arXiv:1607.06450.
    """

    def __init__(self, axis=-1, epsilon=1e-5, center=True, scale=True, beta_initializer="zeros",
                 gamma_initializer="ones", in_channels=0, prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._axis, self._epsilon, self._center, self._scale = axis, epsilon, center, scale
        _affine(self, in_channels, scale, center, gamma_initializer, beta_initializer)

    def hybrid_forward(self, F, x, gamma, beta):
        return F.LayerNorm(x, gamma, beta, axis=self._axis, eps=self._epsilon)

    def __repr__(self):
        return _describe(self, eps=self._epsilon, axis=self._axis, center=self._center, scale=self._scale,
                         in_channels=self.gamma.shape[0])


class GroupNorm(HybridBlock):
    """Normalize each sample over groups of channels (second axis) [1]_.

    Parameters
    ----------
    num_groups : int
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether ``beta`` is added, ``gamma`` multiplied; both have one value for each group.
    beta_initializer, gamma_initializer : Initializer or str

    References
    ----------
    .. [1] Wu, He, "Group normalization", ECCV 2018.
    """

    def __init__(self, num_groups=1, epsilon=1e-5, center=True, scale=True, beta_initializer="zeros",
                 gamma_initializer="ones", prefix=None, params=None):
        super().__init__(prefix=prefix, params=params)
        self._num_groups, self._epsilon, self._center, self._scale = num_groups, epsilon, center, scale
        _affine(self, num_groups, scale, center, gamma_initializer, beta_initializer)

    def hybrid_forward(self, F, x, gamma, beta):
        return F.GroupNorm(x, gamma, beta, num_groups=self._num_groups, eps=self._epsilon)

    def __repr__(self):
        return _describe(self, eps=self._epsilon, num_groups=self._num_groups, center=self._center, scale=self._scale)


class InstanceNorm(HybridBlock):
    """Normalize each channel of each sample [1]_.

    Parameters
    ----------
    axis : int
        The channel axis.
    epsilon : float
        Added to the variance.
    center, scale : bool
        Whether ``beta`` is added, ``gamma`` multiplied.
    beta_initializer, gamma_initializer : Initializer or str
    in_channels : int
        Size of ``axis``; 0: learned from the data.

    References
    ----------
    .. [1] Ulyanov, Vedaldi, Lempitsky, "Instance normalization", arXiv:1607.08022.
    """

    def __init__(self, axis=1, epsilon=1e-5, center=True, scale=False, beta_initializer="zeros",
                 gamma_initializer="ones", in_channels=0, **kwargs):
        super().__init__(**kwargs)
        self._axis, self._epsilon, self._center, self._scale = axis, epsilon, center, scale
        _affine(self, in_channels, scale, center, gamma_initializer, beta_initializer)

    def hybrid_forward(self, F, x, gamma, beta):
        if self._axis == 1:
            return F.InstanceNorm(x, gamma, beta, name="fwd", eps=self._epsilon)
        x = F.swapaxes(x, dim1=1, dim2=self._axis)
        return F.swapaxes(F.InstanceNorm(x, gamma, beta, name="fwd", eps=self._epsilon), dim1=1, dim2=self._axis)

    def __repr__(self):
        return _describe(self, eps=self._epsilon, axis=self._axis, center=self._center, scale=self._scale,
                         in_channels=self.gamma.shape[0])
