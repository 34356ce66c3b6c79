"""Stochastic gradient descent and its relatives."""
from itertools import chain
from math import sqrt

from mxcy import nd, random
from mxcy.base import MXNetValueError
from mxcy.dtype import dtype_name
from mxcy.optimizer.grouped import Grouped, shared
from mxcy.optimizer.optimizer import Optimizer, register, zeros_like

__all__ = ["SGD", "ccSGD", "NAG", "LARS", "SGLD", "DCASGD", "Signum"]


@register
class SGD(Grouped):
    """Stochastic gradient descent with momentum.

    ``state = momentum * state + lr * (rescale_grad * clip(grad) + wd * weight)``; ``weight -= state``. All tensors of a
    dtype are updated by one call.

    Parameters
    ----------
    momentum : float
    lazy_update : bool
        Has no influence: it is about row-sparse gradients.
    **kwargs
        See `Optimizer`.
    """

    def __init__(self, momentum=0.0, lazy_update=True, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.lazy_update = momentum, lazy_update

    def create_state(self, index, weight):
        return zeros_like(weight) if self.momentum else None

    def create_state_multi_precision(self, index, weight):
        if not self._needs_copy(weight):
            return self.create_state(index, weight)
        copy = weight.astype("float32")
        return self.create_state(index, copy), copy

    def _run(self, index, weights, grads, states, lrs, wds, mixed):
        self._call("", weights, grads, states, mixed, lrs=shared(lrs), wds=shared(wds))

    def _call(self, prefix, weights, grads, states, mixed, *rates, **kwargs):
        """Call the operator for these states; rates are arrays behind all others, or numbers among the parameters."""
        if self.momentum:
            kwargs["momentum"] = self.momentum
            groups = zip(weights, grads, *zip(*states)) if mixed else zip(weights, grads, states)
        else:
            groups = zip(weights, grads, (copy for _, copy in states)) if mixed else zip(weights, grads)
        operator = getattr(nd, f"{prefix}multi_{'mp_' * mixed}sgd_{'mom_' * bool(self.momentum)}update")
        operator(*chain.from_iterable(groups), *rates, num_weights=len(weights), out=weights, **kwargs,
                 **self._clipping())


@register
class ccSGD(SGD):
    """`SGD` under an old name."""


@register
class NAG(Optimizer):
    """Nesterov's accelerated gradient.

    Parameters
    ----------
    momentum : float
    **kwargs
        See `Optimizer`.
    """

    def __init__(self, momentum=0.0, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum

    def create_state(self, index, weight):
        return zeros_like(weight) if self.momentum else None

    def create_state_multi_precision(self, index, weight):
        if not self._needs_copy(weight):
            return self.create_state(index, weight)
        copy = weight.astype("float32")
        return self.create_state(index, copy), copy

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        if state is None:
            nd.sgd_update(weight, grad, out=weight, lr=lr, wd=wd, **self._clipping())
        else:
            nd.nag_mom_update(weight, grad, state, out=weight, lr=lr, wd=wd, momentum=self.momentum, **self._clipping())

    def update_multi_precision(self, index, weight, grad, state):
        if not (self.multi_precision and dtype_name(weight.dtype) in ("float16", "bfloat16")):
            self.update(index, weight, grad, state)
            return
        lr, wd, _ = self._begin(index)
        momentum, copy = state
        if momentum is None:
            nd.mp_sgd_update(weight, grad, copy, out=weight, lr=lr, wd=wd, **self._clipping())
        else:
            nd.mp_nag_mom_update(weight, grad, momentum, copy, out=weight, lr=lr, wd=wd, momentum=self.momentum,
                                 **self._clipping())


@register
class LARS(SGD):
    """SGD whose learning rate is scaled for each layer [1]_, by ``eta * |weight| / (|grad| + wd * |weight| + eps)``.

    Biases, betas and gammas are updated without scaling.

    Parameters
    ----------
    momentum : float
    lazy_update : bool
        Has no influence.
    eta : float
    eps : float
    momentum_correction : bool
        Scale the momentum by the change of the learning rate since the last update.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] You, Gitman, Ginsburg, "Large batch training of convolutional networks", arXiv:1708.03888.
    """

    def __init__(self, momentum=0.0, lazy_update=True, eta=0.001, eps=0, momentum_correction=True, **kwargs):
        super().__init__(momentum, lazy_update, **kwargs)
        self.eta, self.eps, self.momentum_correction = eta, eps, momentum_correction
        self.last_lr = None

    def _run(self, index, weights, grads, states, lrs, wds, mixed):
        ctx, count = weights[0].context, len(weights)
        lrs, wds = nd.array(lrs, ctx=ctx), nd.array(wds, ctx=ctx)
        squares = [nd.multi_sum_sq(*arrays, num_arrays=count) for arrays in (weights, grads)]
        scaled = nd.multi_lars(lrs, *squares, wds, eta=self.eta, eps=self.eps, rescale_grad=self.rescale_grad)
        plain = nd.array([self._name(i).endswith(("gamma", "beta", "bias")) for i in index], ctx=ctx)
        momentum, lr = self.momentum, self.learning_rate
        if self.momentum_correction and self.last_lr:
            self.momentum = momentum * lr / self.last_lr
        self.last_lr = lr
        try:
            self._call("preloaded_", weights, grads, states, mixed, nd.where(plain, lrs, scaled), wds)
        finally:
            self.momentum = momentum

    def _name(self, index):
        return self.param_dict[index].name if index in self.param_dict else self.idx2name.get(index, str(index))


@register
class SGLD(Optimizer):
    """Stochastic gradient Langevin dynamics [1]_: half a gradient step, and noise of variance ``lr``.

    The parameters are those of `Optimizer`.

    References
    ----------
    .. [1] Welling, Teh, "Bayesian learning via stochastic gradient Langevin dynamics", ICML 2011.
    """

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        noise = random.normal(0, sqrt(lr), shape=weight.shape, dtype=dtype_name(weight.dtype), ctx=weight.context)
        weight[:] += noise - lr / 2 * (self._prepare(grad) + wd * weight)


@register
class DCASGD(Optimizer):
    """Delay-compensated asynchronous SGD [1]_.

    Parameters
    ----------
    momentum : float
    lamda : float
        Strength of the compensation.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Zheng et al., "Asynchronous stochastic gradient descent with delay compensation", ICML 2017.
    """

    def __init__(self, momentum=0.0, lamda=0.04, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.lamda = momentum, lamda

    def create_state(self, index, weight):
        return zeros_like(weight) if self.momentum else None, weight.copy()

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        momentum, previous = state
        grad = self._prepare(grad)
        step = -lr * (grad + wd * weight + self.lamda * grad * grad * (weight - previous))
        if momentum is not None:
            step = momentum * self.momentum + step
            momentum[:] = step
        previous[:] = weight
        weight[:] += step


@register
class Signum(Optimizer):
    """Steps of ``lr`` in the direction of the sign of the momentum [1]_, or of the gradient if ``momentum`` is 0.

    Parameters
    ----------
    learning_rate : float
    momentum : float
    wd_lh : float
        Weight decay apart from the gradient: ``weight *= 1 - lr * wd_lh``.
    **kwargs
        See `Optimizer`.

    References
    ----------
    .. [1] Bernstein, Wang, Azizzadenesheli, Anandkumar, "signSGD", ICML 2018.
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, wd_lh=0.0, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        if momentum < 0:
            raise MXNetValueError(f"Signum: momentum must be at least 0, got {momentum}")
        self.momentum, self.wd_lh = momentum, wd_lh

    def create_state(self, index, weight):
        return zeros_like(weight) if self.momentum else None

    def update(self, index, weight, grad, state):
        lr, wd, _ = self._begin(index)
        if state is None:
            nd.signsgd_update(weight, grad, out=weight, lr=lr, wd=wd, **self._clipping())
        else:
            nd.signum_update(weight, grad, state, out=weight, lr=lr, wd=wd, momentum=self.momentum, wd_lh=self.wd_lh,
                             **self._clipping())
