"""``mx.sym.random``: symbols of random numbers. Parameters of distributions are numbers, or symbols."""
from mxcy.base import MXNetTypeError, nearest
from mxcy.ops.operator import REGISTRY
from mxcy.symbol.compose import SymbolFunction
from mxcy.symbol.creation import made
from mxcy.symbol.symbol import Symbol, one

__all__ = ["exponential", "gamma", "generalized_negative_binomial", "multinomial", "negative_binomial", "normal",
           "poisson", "randint", "randn", "shuffle", "uniform"]

#: Distributions with the names and defaults of their parameters.
DISTRIBUTIONS = {"uniform": {"low": 0, "high": 1}, "normal": {"loc": 0, "scale": 1}, "poisson": {"lam": 1},
                 "exponential": {"scale": 1}, "gamma": {"alpha": 1, "beta": 1}, "negative_binomial": {"k": 1, "p": 1},
                 "generalized_negative_binomial": {"mu": 1, "alpha": 1}}


def settings(shape, dtype):
    """Shape and dtype as parameters, if they are given."""
    return {key: value for key, value in (("shape", shape), ("dtype", dtype)) if value not in (None, "None", ())}


def distribution(name, defaults):
    def draw(*args, shape=None, dtype=None, **kwargs):
        given = {**defaults, **dict(zip(defaults, args)), **{k: kwargs.pop(k) for k in list(kwargs) if k in defaults}}
        if len(args) > len(defaults):
            shape = args[len(defaults)]
        if name == "exponential":                       # the operator takes the rate
            given = {"lam": 1.0 / given["scale"]}
        kwargs.update(settings(shape, dtype))
        kwargs.pop("ctx", None)
        if any(isinstance(value, Symbol) for value in given.values()):
            if not all(isinstance(value, Symbol) for value in given.values()):
                raise MXNetTypeError(f"{name}: parameters must be all numbers or all symbols")
            return made(f"_sample_{name}", [one(value) for value in given.values()], **kwargs)
        return made(f"_random_{name}", **given, **kwargs)
    draw.__name__ = draw.__qualname__ = name
    draw.__doc__ = f"Numbers from the {name.replace('_', ' ')} distribution; parameters are numbers, or symbols."
    return draw


def randint(low, high, shape=None, dtype=None, **kwargs):
    """Random integers in [low, high).

    Parameters
    ----------
    low, high : int
    shape : int or tuple of int, optional
        Of the result, ``(1,)`` if not given.
    dtype : {'int32', 'int64'}, optional
    **kwargs
        ``name`` and ``attr``.

    Returns
    -------
    Symbol
    """
    kwargs.pop("ctx", None)
    return made("_random_randint", low=low, high=high, **settings(shape, dtype), **kwargs)


def randn(*shape, loc=0, scale=1, dtype=None, **kwargs):
    """Random numbers from the normal distribution.

    Parameters
    ----------
    *shape : int
        Of the result.
    loc, scale : float or Symbol
        Mean and standard deviation.
    dtype : str, optional
    **kwargs
        ``name`` and ``attr``.

    Returns
    -------
    Symbol
    """
    return normal(loc, scale, shape=shape, dtype=dtype, **kwargs)


def multinomial(data, shape=None, get_prob=True, dtype="int32", **kwargs):
    """Indices drawn with the probabilities in the last axis of ``data``.

    Parameters
    ----------
    data : Symbol
    shape : int or tuple of int, optional
        How many to draw from each distribution; one if not given.
    get_prob : bool
        Whether the logarithms of the probabilities of what was drawn are a second output.
    dtype : str
    **kwargs
        ``name`` and ``attr``.

    Returns
    -------
    Symbol
    """
    return made("_sample_multinomial", [one(data)], get_prob=get_prob, **settings(shape, dtype), **kwargs)


def shuffle(data, **kwargs):
    """The slices of ``data`` along the first axis in random order.

    Parameters
    ----------
    data : Symbol
    **kwargs
        ``name`` and ``attr``.

    Returns
    -------
    Symbol
    """
    return made("_shuffle", [one(data)], **kwargs)


exponential, gamma, generalized_negative_binomial, negative_binomial, normal, poisson, uniform = (
    distribution(name, DISTRIBUTIONS[name]) for name in sorted(DISTRIBUTIONS))


def __getattr__(name):
    """Operators of random numbers that have no function here, such as ``normal_like``."""
    operator = REGISTRY.get(f"_random_{name}")
    if operator is None or name.startswith("_"):
        raise AttributeError(f"mx.sym.random has no {name!r}.{nearest(name, __all__)}")
    return SymbolFunction(operator, name)
