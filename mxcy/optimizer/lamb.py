"""LAMB: Adam with a trust ratio for each layer."""
from mxcy import nd
from mxcy.optimizer.optimizer import Optimizer, register, zeros_like

__all__ = ["LAMB"]


@register
class LAMB(Optimizer):
    """Adam whose step is scaled for each layer to the length of the weight [1]_.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2, epsilon : float
    lower_bound, upper_bound : float, optional
        Limits of the length of the weight that counts.
    bias_correction : bool
        Correct the averages for their start at 0.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] You et al., "Large batch optimization for deep learning: training BERT in 76 minutes", ICLR 2020.
    """

    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-6, lower_bound=None, upper_bound=None,
                 bias_correction=True, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.lower_bound, self.upper_bound, self.bias_correction = lower_bound, upper_bound, bias_correction

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, t = self._begin(index)
        grad = self._prepare(grad)
        mean, square = state
        mean[:] = self.beta1 * mean + (1 - self.beta1) * grad
        square[:] = self.beta2 * square + (1 - self.beta2) * grad * grad
        m, v = mean, square
        if self.bias_correction:
            m, v = mean / (1 - self.beta1 ** t), square / (1 - self.beta2 ** t)
        step = m / (nd.sqrt(v) + self.epsilon) + wd * weight
        length = nd.norm(weight)
        if self.lower_bound is not None:
            length = nd.maximum(length, self.lower_bound)
        if self.upper_bound is not None:
            length = nd.minimum(length, self.upper_bound)
        other = nd.norm(step)
        # a ratio of 1 where either length is 0
        ratio = nd.where((length > 0) * (other > 0), length / other, nd.ones_like(other))
        weight[:] -= nd.broadcast_mul(lr * step, ratio.reshape((1,) * step.ndim))
