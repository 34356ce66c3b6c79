"""Optimizers that divide by a record of past gradients: AdaGrad, AdaDelta, RMSProp, Ftrl."""
from mxcy import nd
from mxcy.optimizer.optimizer import Optimizer, register, zeros_like

__all__ = ["AdaGrad", "GroupAdaGrad", "AdaDelta", "RMSProp", "Ftrl"]


@register
class AdaGrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients [1]_.

    Parameters
    ----------
    eps : float
        Added to that sum.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Duchi, Hazan, Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """

    def __init__(self, eps=1e-7, **kwargs):
        super().__init__(**kwargs)
        self.float_stable_eps = eps

    def create_state(self, index, weight):
        return zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        grad = self._prepare(grad)
        state[:] += grad * grad
        weight[:] -= lr * (grad / nd.sqrt(state + self.float_stable_eps) + wd * weight)


@register
class GroupAdaGrad(Optimizer):
    """AdaGrad with one record for each row of a matrix; without weight decay.

    Parameters
    ----------
    eps : float
        Added to the root.
    **kwargs
        See `Optimizer`.
    """

    def __init__(self, eps=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.float_stable_eps = eps

    def create_state(self, index, weight):
        return nd.zeros((weight.shape[0], 1), ctx=weight.context)

    def update(self, index, weight, grad, state):
        lr, _, _ = self._begin(index)
        grad = self._prepare(grad)
        state[:] += nd.mean(nd.square(grad), axis=1, keepdims=True)
        weight[:] -= lr * grad / nd.sqrt(state + self.float_stable_eps)


@register
class AdaDelta(Optimizer):
    """Steps scaled by the ratio of past steps to past gradients; there is no learning rate [1]_.

    Parameters
    ----------
    rho : float
        Share of the old averages in each update.
    epsilon : float
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701.
    """

    def __init__(self, rho=0.90, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.rho, self.epsilon = rho, epsilon

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        _, wd, _ = self._begin(index)
        grad = self._prepare(grad)
        grads, steps = state
        grads[:] = self.rho * grads + (1 - self.rho) * grad * grad
        step = nd.sqrt(steps + self.epsilon) / nd.sqrt(grads + self.epsilon) * grad
        steps[:] = self.rho * steps + (1 - self.rho) * step * step
        weight[:] -= step + wd * weight


@register
class RMSProp(Optimizer):
    """Steps divided by the root of a moving mean of squared gradients.

    Parameters
    ----------
    learning_rate : float
    gamma1 : float
        Share of the old mean in each update.
    gamma2 : float
        Momentum, if ``centered``.
    epsilon : float
    centered : bool
        Subtract the square of the mean gradient: Graves' form [1]_, with momentum; otherwise Tieleman and Hinton's.
    clip_weights : float, optional
        Cut weights to ``[-clip_weights, clip_weights]`` after the update.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Graves, "Generating sequences with recurrent neural networks", arXiv:1308.0850, equations 38 to 45.
    """

    def __init__(self, learning_rate=0.001, gamma1=0.9, gamma2=0.9, epsilon=1e-8, centered=False, clip_weights=None,
                 **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.gamma1, self.gamma2, self.epsilon = gamma1, gamma2, epsilon
        self.centered, self.clip_weights = centered, clip_weights

    def create_state(self, index, weight):
        return tuple(zeros_like(weight) for _ in range(3 if self.centered else 1))

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        kwargs = {"lr": lr, "wd": wd, "gamma1": self.gamma1, "epsilon": self.epsilon, **self._clipping()}
        if self.clip_weights:
            kwargs["clip_weights"] = self.clip_weights
        if self.centered:
            nd.rmspropalex_update(weight, grad, *state, out=weight, gamma2=self.gamma2, **kwargs)
        else:
            nd.rmsprop_update(weight, grad, *state, out=weight, **kwargs)


@register
class Ftrl(Optimizer):
    """Follow the regularized leader [1]_: sparse weights for sparse features.

    Parameters
    ----------
    lamda1 : float
        L1 regularization.
    learning_rate : float
    beta : float
        Added to the root of summed squared gradients.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013.
    """

    def __init__(self, lamda1=0.01, learning_rate=0.1, beta=1, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.lamda1, self.beta = lamda1, beta

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        nd.ftrl_update(weight, grad, *state, out=weight, lr=lr, wd=wd, lamda1=self.lamda1, beta=self.beta,
                       **self._clipping())
