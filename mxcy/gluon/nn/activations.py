"""Activation layers."""
from mxcy import initializer
from mxcy.base import MXNetValueError
from mxcy.gluon.hybrid_block import HybridBlock

__all__ = ["Activation", "LeakyReLU", "PReLU", "ELU", "SELU", "Swish", "GELU"]


class Activation(HybridBlock):
    """An elementwise function by name: 'relu', 'sigmoid', 'tanh', 'softrelu' or 'softsign'."""

    def __init__(self, activation, **kwargs):
        self._act_type = activation
        super().__init__(**kwargs)

    def _alias(self):
        return self._act_type

    def hybrid_forward(self, F, x):
        return F.Activation(x, act_type=self._act_type, name="fwd")

    def __repr__(self):
        return f"{type(self).__name__}({self._act_type})"


class LeakyReLU(HybridBlock):
    """``x`` where positive, else ``alpha * x``."""

    def __init__(self, alpha, **kwargs):
        if alpha < 0:
            raise MXNetValueError(f"LeakyReLU: alpha must be at least 0, got {alpha}")
        super().__init__(**kwargs)
        self._alpha = alpha

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="leaky", slope=self._alpha, name="fwd")

    def __repr__(self):
        return f"{type(self).__name__}({self._alpha})"


class PReLU(HybridBlock):
    """Leaky ReLU whose slope is learned [1]_.

    Parameters
    ----------
    alpha_initializer : Initializer
    in_channels : int
        Number of slopes: 1, or one for each channel (second axis).

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    def __init__(self, alpha_initializer=None, in_channels=1, **kwargs):
        super().__init__(**kwargs)
        init = initializer.Constant(0.25) if alpha_initializer is None else alpha_initializer
        with self.name_scope():
            self.alpha = self.params.get("alpha", shape=(in_channels,), init=init)

    def hybrid_forward(self, F, x, alpha):
        return F.LeakyReLU(x, gamma=alpha, act_type="prelu", name="fwd")


class ELU(HybridBlock):
    """``x`` where positive, else ``alpha * (exp(x) - 1)`` [1]_.

    References
    ----------
    .. [1] Clevert, Unterthiner, Hochreiter, "Fast and accurate deep network learning by exponential linear units",
       ICLR 2016.
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self._alpha = alpha

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="elu", slope=self._alpha)


class SELU(HybridBlock):
    """Scaled ELU [1]_.

    References
    ----------
    .. [1] Klambauer, Unterthiner, Mayr, Hochreiter, "Self-normalizing neural networks", NeurIPS 2017.
    """

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="selu", name="fwd")


class GELU(HybridBlock):
    """``x * Phi(x)`` with the normal distribution function ``Phi`` [1]_.

    References
    ----------
    .. [1] Hendrycks, Gimpel, "Gaussian error linear units", arXiv:1606.08415.
    """

    def hybrid_forward(self, F, x):
        return F.LeakyReLU(x, act_type="gelu", name="fwd")


class Swish(HybridBlock):
    """``x * sigmoid(beta * x)`` [1]_.

    References
    ----------
    .. [1] Ramachandran, Zoph, Le, "Searching for activation functions", arXiv:1710.05941.
    """

    def __init__(self, beta=1.0, **kwargs):
        super().__init__(**kwargs)
        self._beta = beta

    def hybrid_forward(self, F, x):
        return x * F.sigmoid(self._beta * x, name="fwd")
