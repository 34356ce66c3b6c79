"""Random numbers: ``mx.random`` and ``mx.nd.random``.

The parameters of a distribution are numbers or NDArrays of one shape. With arrays each element is a distribution of its
own, and ``shape`` is what is drawn from each. A seed gives the same numbers whatever the number of threads; a new
process starts with seed 0.
"""
from mxcy.base import MXNetTypeError, nearest
from mxcy.imperative._function import F, Function
from mxcy.ndarray._ndarray import NDArray
from mxcy.ops import _generator
from mxcy.ops.operator import REGISTRY

__all__ = ["exponential", "gamma", "generalized_negative_binomial", "multinomial", "negative_binomial", "normal",
           "poisson", "randint", "randn", "seed", "shuffle", "uniform"]


def seed(seed_state, ctx="all"):
    """Start the generator over.

    Parameters
    ----------
    seed_state : int
        The same one gives the same numbers.
    ctx : Context or "all"
        Accepted for MXNet's sake: all devices share one generator.
    """
    if not isinstance(seed_state, int):
        try:
            seed_state = seed_state.__index__()
        except AttributeError:
            raise MXNetTypeError(f"seed: seed_state is {seed_state!r}; expected an int") from None
    _generator.set_state(seed_state)


def __getattr__(name):
    """Operators of random numbers that have no function here, such as ``normal_like``."""
    operator = REGISTRY.get(f"_random_{name}")
    if operator is None or name.startswith("_"):
        raise AttributeError(f"mx.random has no {name!r}.{nearest(name, __all__)}")
    return Function(operator, name)


def draw(name, parameters, shape, dtype, ctx, out):
    """Numbers from the distribution ``name``; ``parameters`` by the names that ``_random_<name>`` has for them."""
    arrays = [value for value in parameters.values() if isinstance(value, NDArray)]
    dtype = None if dtype in (None, "None") else dtype
    if out is not None:
        dtype = dtype or out.dtype
        shape = shape or (out.shape if not arrays else out.shape[arrays[0].ndim:])
    if not arrays:
        ctx = {} if ctx is None else {"ctx": str(ctx)}
        return getattr(F, f"_random_{name}")(**parameters, shape=shape or (1,), dtype=dtype, out=out, **ctx)
    if len(arrays) < len(parameters):
        given = ", ".join(f"{key} is {type(value).__name__}" for key, value in parameters.items())
        raise MXNetTypeError(f"{name}: {given}; the parameters must be all numbers or all NDArrays")
    return getattr(F, f"_sample_{name}")(*arrays, shape=shape or (), dtype=dtype or arrays[0].dtype, out=out)


def uniform(low=0, high=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Numbers from the uniform distribution over [low, high).

    Parameters
    ----------
    low, high : float or NDArray
        The bounds.
    shape : int or tuple of int, optional
        Shape of the result; with arrays, of what is drawn from each distribution.
    dtype : {'float16', 'float32', 'float64'}, optional
        float32, or that of the arrays.
    ctx : Context, optional
        Device of the result.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
        Random numbers.

    >>> mx.random.uniform(0, 1, shape=(2, 3)).shape
    (2, 3)
    """
    return draw("uniform", dict(low=low, high=high), shape, dtype, ctx, out)


def normal(loc=0, scale=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Numbers from the normal distribution of mean ``loc`` and standard deviation ``scale``; see `uniform`."""
    return draw("normal", dict(loc=loc, scale=scale), shape, dtype, ctx, out)


def randn(*shape, loc=0, scale=1, dtype=None, ctx=None, out=None, **kwargs):
    """Normal numbers of the given shape: ``randn(2, 3)``. Parameters: see `normal`."""
    return draw("normal", dict(loc=loc, scale=scale), shape or None, dtype, ctx, out)


def exponential(scale=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Numbers from the exponential distribution of mean ``scale``. Parameters: see `uniform`."""
    return draw("exponential", dict(lam=1.0 / scale), shape, dtype, ctx, out)


def poisson(lam=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Counts from the Poisson distribution of mean ``lam``. Parameters: see `uniform`."""
    return draw("poisson", dict(lam=lam), shape, dtype, ctx, out)


def gamma(alpha=1, beta=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Numbers from the gamma distribution of shape ``alpha`` and scale ``beta``. Parameters: see `uniform`."""
    return draw("gamma", dict(alpha=alpha, beta=beta), shape, dtype, ctx, out)


def negative_binomial(k=1, p=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Counts of successes before ``k`` failures of probability ``p`` each. Parameters: see `uniform`."""
    return draw("negative_binomial", dict(k=k, p=p), shape, dtype, ctx, out)


def generalized_negative_binomial(mu=1, alpha=1, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Negative binomial counts of mean ``mu`` and dispersion ``alpha``. Parameters: see `uniform`."""
    return draw("generalized_negative_binomial", dict(mu=mu, alpha=alpha), shape, dtype, ctx, out)


def randint(low, high, shape=None, dtype=None, ctx=None, out=None, **kwargs):
    """Integers in [low, high), of dtype int32 or int64. Parameters: see `uniform`."""
    dtype = out.dtype if dtype is None and out is not None else dtype
    shape = out.shape if shape is None and out is not None else shape
    ctx = {} if ctx is None else {"ctx": str(ctx)}
    return F._random_randint(low=low, high=high, shape=shape or (1,), dtype=dtype or "int32", out=out, **ctx)


def multinomial(data, shape=None, get_prob=False, out=None, dtype="int32", **kwargs):
    """Categories, by probabilities along the last axis of ``data``.

    Parameters
    ----------
    data : NDArray
        Probabilities; each row sums to 1.
    shape : int or tuple of int, optional
        Shape of what is drawn for each row.
    get_prob : bool
        Whether to return the logarithms of their probabilities too.
    out : NDArray, optional
        Where to write the result.
    dtype : str
        dtype of the categories.

    Returns
    -------
    NDArray, or a list of two
        Categories, and log-probabilities if asked for.
    """
    return F._sample_multinomial(data, shape=shape or (), get_prob=get_prob, dtype=dtype, out=out)


def shuffle(data, out=None, **kwargs):
    """``data`` with its first axis in a random order.

    Parameters
    ----------
    data : NDArray
        Any shape and dtype.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
        The rows of ``data``, each once.
    """
    return F._shuffle(data, out=out)
