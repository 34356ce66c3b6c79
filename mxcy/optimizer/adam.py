"""Adam and its relatives."""
from itertools import chain
from math import sqrt

from mxcy import nd
from mxcy.optimizer.grouped import Grouped, shared
from mxcy.optimizer.optimizer import Optimizer, register, zeros_like

__all__ = ["Adam", "Adamax", "Nadam", "FTML"]


@register
class Adam(Grouped):
    """Steps by the mean of past gradients over the root of their mean square [1]_. All tensors of a dtype are updated
    by one call.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2 : float
        Share of the old mean, and of the old mean square, in each update.
    epsilon : float
        Added to the root.
    lazy_update : bool
        Has no influence: it is about row-sparse gradients.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, lazy_update=True, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2, self.epsilon, self.lazy_update = beta1, beta2, epsilon, lazy_update

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def _run(self, index, weights, grads, states, lrs, wds, mixed):
        counts = self._index_update_count
        correction = {t: sqrt(1 - self.beta2 ** t) / (1 - self.beta1 ** t) for t in {counts[i] for i in index}}
        if len(correction) == 1:        # then the rates stay as they are from step to step, and the call is a known one
            (factor,) = correction.values()
        else:
            factor, lrs = 1.0, [lr * correction[counts[i]] for lr, i in zip(lrs, index)]
        if mixed:
            operator = nd._internal._multi_mp_adam_update
            groups = ((w, g, *moments, copy) for w, g, (copy, moments) in zip(weights, grads, states))
        else:
            operator = nd._internal._multi_adam_update
            groups = ((w, g, *moments) for w, g, moments in zip(weights, grads, states))
        operator(*chain.from_iterable(groups), scalar=factor, lrs=shared(lrs), wds=shared(wds),
                 num_weights=len(weights),
                 out=weights, beta1=self.beta1, beta2=self.beta2, epsilon=self.epsilon, **self._clipping())


@register
class Adamax(Optimizer):
    """Adam with the largest of past gradients in place of their mean square [1]_.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2 : float
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Kingma, Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 7.
    """

    def __init__(self, learning_rate=0.002, beta1=0.9, beta2=0.999, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2 = beta1, beta2

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, t = self._begin(index)
        grad = grad * self.rescale_grad + wd * weight
        if self.clip_gradient is not None:
            grad = nd.clip(grad, -self.clip_gradient, self.clip_gradient)
        mean, largest = state
        mean[:] = self.beta1 * mean + (1 - self.beta1) * grad
        largest[:] = nd.maximum(self.beta2 * largest, nd.abs(grad))
        weight[:] -= lr / (1 - self.beta1 ** t) * mean / largest


@register
class Nadam(Optimizer):
    """Adam with Nesterov's momentum [1]_.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2, epsilon : float
    schedule_decay : float
        How fast the momentum rises to ``beta1``.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.
    """

    def __init__(self, learning_rate=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8, schedule_decay=0.004, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.beta1, self.beta2, self.epsilon, self.schedule_decay = beta1, beta2, epsilon, schedule_decay
        self.m_schedule = 1.

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, t = self._begin(index)
        grad = grad * self.rescale_grad + wd * weight
        if self.clip_gradient is not None:
            grad = nd.clip(grad, -self.clip_gradient, self.clip_gradient)
        now, after = (self.beta1 * (1 - 0.5 * 0.96 ** (s * self.schedule_decay)) for s in (t, t + 1))
        # one product for all tensors, as in MXNet: it grows with every call
        self.m_schedule *= now
        mean, square = state
        mean[:] = self.beta1 * mean + (1 - self.beta1) * grad
        square[:] = self.beta2 * square + (1 - self.beta2) * grad * grad
        looked_ahead = (1 - now) / (1 - self.m_schedule) * grad + after / (1 - self.m_schedule * after) * mean
        weight[:] -= lr * looked_ahead / (nd.sqrt(square / (1 - self.beta2 ** t)) + self.epsilon)


@register
class FTML(Optimizer):
    """Follow the moving leader [1]_.

    Parameters
    ----------
    beta1, beta2, epsilon : float
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Zheng, Kwok, "Follow the moving leader in deep learning", ICML 2017.
    """

    def __init__(self, beta1=0.6, beta2=0.999, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon

    def create_state(self, index, weight):
        return zeros_like(weight), zeros_like(weight), zeros_like(weight)

    def update(self, index, weight, grad, state):
        lr, wd, t = self._begin(index)
        clip = {"clip_grad": self.clip_gradient} if self.clip_gradient else {}
        nd.ftml_update(weight, grad, *state, out=weight, lr=lr, wd=wd, t=t, beta1=self.beta1, beta2=self.beta2,
                       epsilon=self.epsilon, rescale_grad=self.rescale_grad, **clip)
