"""Probability densities of the distributions in ``random``, where samples and parameters are both arrays.

Parameters of shape (i, j) go with samples of shape (i, j, ...): each distribution has a block of samples.
"""
import inspect
import math

from mxcy.base import MXNetValueError
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param


def spread(F, name, sample, parameter, own=0):
    """A parameter with axes added so that it broadcasts to the samples; its last ``own`` axes belong to one sample."""
    shape, split = parameter.shape, parameter.ndim - own
    if sample.shape[:split] != shape[:split] or sample.shape[sample.ndim - own:] != shape[split:]:
        raise MXNetValueError(f"_random_pdf_{name}: sample has shape {sample.shape} and a parameter {shape}; samples "
                              f"begin "
                              f"with the shape of the parameters")
    return F.reshape(parameter, shape=shape[:split] + (1,) * (sample.ndim - parameter.ndim) + shape[split:])


def density(name, what, inputs, own=0):
    """Declare an operator by the logarithm of its density: a function of F, samples and parameters that broadcast."""
    operator = Operator(f"_random_pdf_{name}", f"sample {inputs}", f"The density of {what} at ``sample``.",
                        aliases=(f"random_pdf_{name}",),
                        is_log=Param(bool, False, doc="Whether to return the logarithm of the density."))

    def declare(log_density):
        def compose(F, is_log, sample, **parameters):
            result = log_density(F, sample, *(spread(F, name, sample, p, own) for p in parameters.values()))
            return result if is_log else F.exp(result)
        named = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in ("F", "is_log", *operator.inputs)]
        compose.__signature__ = inspect.Signature(named)
        operator.compose(compose)
    return declare


@density("uniform", "the uniform distribution over [low, high)", "low high")
def _(F, x, low, high):
    return F.broadcast_sub(F.zeros_like(x), F.log(high - low))


@density("normal", "the normal distribution", "mu sigma")
def _(F, x, mu, sigma):
    z = F.broadcast_div(F.broadcast_sub(x, mu), sigma)
    return F.broadcast_sub(z * z * -.5, F.log(sigma) + .5 * math.log(2 * math.pi))


@density("gamma", "the gamma distribution of shape ``alpha`` and rate ``beta``", "alpha beta")
def _(F, x, alpha, beta):
    constant = alpha * F.log(beta) - F.gammaln(alpha)
    return F.broadcast_add(F.broadcast_mul(alpha - 1, F.log(x)) - F.broadcast_mul(beta, x), constant)


@density("exponential", "the exponential distribution of rate ``lam``", "lam")
def _(F, x, lam):
    return F.broadcast_sub(F.log(lam), F.broadcast_mul(lam, x))


@density("poisson", "the Poisson distribution of mean ``lam``", "lam")
def _(F, x, lam):
    x = F.BlockGrad(x)                                  # counts: nothing to differentiate by
    return F.broadcast_sub(F.broadcast_mul(F.log(lam), x), lam) - F.gammaln(x + 1)


def log_negative_binomial(F, x, k, p):
    x = F.BlockGrad(x)
    binomial = F.broadcast_sub(F.gammaln(F.broadcast_add(x, k)) - F.gammaln(x + 1), F.gammaln(k))
    return F.broadcast_add(binomial + F.broadcast_mul(F.log(1 - p), x), k * F.log(p))


density("negative_binomial", "the negative binomial distribution of ``k`` failures with probability ``p``",
        "k p")(log_negative_binomial)


@density("generalized_negative_binomial", "the negative binomial distribution of mean ``mu`` and dispersion ``alpha``",
         "mu alpha")
def _(F, x, mu, alpha):
    return log_negative_binomial(F, x, 1 / alpha, 1 / (mu * alpha + 1))


@density("dirichlet", "the Dirichlet distribution; a sample and its parameters are rows", "alpha", own=1)
def _(F, x, alpha):
    constant = F.gammaln(F.sum(alpha, axis=-1)) - F.sum(F.gammaln(alpha), axis=-1)
    return F.broadcast_add(F.sum(F.broadcast_mul(alpha - 1, F.log(x)), axis=-1), constant)
