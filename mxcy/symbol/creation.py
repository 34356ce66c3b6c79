"""Symbols that are made of numbers: constants, ranges, random ones; and functions of symbols and numbers."""
import types

from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ndarray.arithmetic import NUMBER
from mxcy.ops.operator import REGISTRY
from mxcy.symbol.compose import SymbolFunction, apply
from mxcy.symbol.symbol import Symbol, one

__all__ = ["arange", "eye", "full", "hypot", "linspace", "maximum", "minimum", "ones", "pow", "power", "random",
           "split_v2", "zeros"]


def made(operator, /, inputs=(), **params):
    """A symbol of an operator by registered name."""
    names = {key: params.pop(key, None) for key in ("name", "attr")}
    return Symbol.of_node(apply(REGISTRY[operator], operator.lower(), list(inputs), params, **names))


def zeros(shape, dtype=None, **kwargs):
    """Zeros; a size of 0 is found by shape inference."""
    return made("_zeros", shape=shape, dtype=dtype or "float32", **kwargs)


def ones(shape, dtype=None, **kwargs):
    """Ones."""
    return made("_ones", shape=shape, dtype=dtype or "float32", **kwargs)


def full(shape, val, dtype=None, **kwargs):
    """The number ``val``."""
    return made("_full", shape=shape, dtype=dtype or "float32", value=float(val), **kwargs)


def eye(N, M=0, k=0, dtype=None, **kwargs):
    """Ones on a diagonal."""
    return made("_eye", N=N, M=M, k=k, dtype=dtype or "float32", **kwargs)


def arange(start, stop=None, step=1.0, repeat=1, infer_range=False, name=None, dtype=None):
    """Evenly spaced numbers."""
    return made("_arange", start=start, stop=stop, step=step, repeat=repeat, infer_range=infer_range, name=name,
                dtype=dtype or "float32")


def linspace(start, stop, num, endpoint=True, name=None, dtype=None):
    """``num`` evenly spaced numbers from ``start`` to ``stop``."""
    return made("_linspace", start=start, stop=stop, num=num, endpoint=endpoint, name=name, dtype=dtype or "float32")


def split_v2(ary, indices_or_sections, axis=0, squeeze_axis=False):
    """Parts of a symbol along an axis: so many equal ones, or between the indices given."""
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise MXNetValueError(f"split_v2: {indices_or_sections} sections; expected 1 or more")
        indices, sections = [], indices_or_sections
    else:
        indices, sections = [0, *indices_or_sections], 0
    return made("_split_v2", [one(ary)], indices=indices, axis=axis, squeeze_axis=squeeze_axis, sections=sections)


def pair(name, same, number, mirror, python):
    """A function of two symbols, of a symbol and a number, or of two numbers."""
    def function(left, right):
        if isinstance(left, Symbol) and isinstance(right, Symbol):
            return Symbol.of_node(apply(REGISTRY[same], same, [one(left), one(right)], {}))
        if isinstance(left, Symbol) and isinstance(right, NUMBER):
            return Symbol.of_node(apply(REGISTRY[number], number.replace("_scalar", "scalar"), [one(left)],
                                        {"scalar": right}))
        if isinstance(left, NUMBER) and isinstance(right, Symbol):
            return Symbol.of_node(apply(REGISTRY[mirror], mirror.replace("_scalar", "scalar"), [one(right)],
                                        {"scalar": left}))
        if isinstance(left, NUMBER) and isinstance(right, NUMBER):
            return python(left, right)
        raise MXNetTypeError(f"{name}: given {type(left).__name__} and {type(right).__name__}; expected symbols and "
                             f"numbers")
    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``{name}`` of symbols and numbers in any combination."
    return function


maximum = pair("maximum", "_maximum", "_maximum_scalar", "_maximum_scalar", max)
minimum = pair("minimum", "_minimum", "_minimum_scalar", "_minimum_scalar", min)
power = pow = pair("power", "_power", "_power_scalar", "_rpower_scalar", lambda a, b: a ** b)
hypot = pair("hypot", "_hypot", "_hypot_scalar", "_hypot_scalar", lambda a, b: (a * a + b * b) ** .5)

#: Distributions with the names and defaults of their parameters.
DISTRIBUTIONS = {"uniform": {"low": 0, "high": 1}, "normal": {"loc": 0, "scale": 1}, "poisson": {"lam": 1},
                 "exponential": {"scale": 1}, "gamma": {"alpha": 1, "beta": 1}, "negative_binomial": {"k": 1, "p": 1},
                 "generalized_negative_binomial": {"mu": 1, "alpha": 1}}


def distribution(name, defaults):
    def draw(*args, shape=(), dtype=None, **kwargs):
        given = {**defaults, **dict(zip(defaults, args)), **{k: kwargs.pop(k) for k in list(kwargs) if k in defaults}}
        if len(args) > len(defaults):
            shape = args[len(defaults)]
        if name == "exponential":                       # the operator takes the rate
            given = {"lam": 1 / given["scale"]}
        dtype = {} if dtype in (None, "None") else {"dtype": dtype}
        kwargs.pop("ctx", None)
        if any(isinstance(value, Symbol) for value in given.values()):
            if not all(isinstance(value, Symbol) for value in given.values()):
                raise MXNetTypeError(f"{name}: parameters must be all numbers or all symbols")
            return made(f"_sample_{name}", [one(value) for value in given.values()], shape=shape, **dtype, **kwargs)
        return made(f"_random_{name}", **given, shape=shape or (1,), **dtype, **kwargs)
    draw.__name__ = draw.__qualname__ = name
    draw.__doc__ = f"Numbers from the {name.replace('_', ' ')} distribution; parameters are numbers, or symbols."
    return draw


class Random(types.ModuleType):
    """``mx.sym.random``."""

    def __getattr__(self, name):
        for registered in (f"_random_{name}", f"_sample_{name}", f"_{name}", name):
            if registered in REGISTRY and not name.startswith("__"):
                return SymbolFunction(REGISTRY[registered], name)
        raise AttributeError(f"mx.sym.random has no {name!r}")


random = Random("mxcy.sym.random", "Symbols of random numbers.")
for _name, _defaults in DISTRIBUTIONS.items():
    setattr(random, _name, distribution(_name, _defaults))


def randint(low, high, shape=(), dtype=None, **kwargs):
    """Random integers in [low, high)."""
    kwargs.pop("ctx", None)
    return made("_random_randint", low=low, high=high, shape=shape or (1,), dtype=dtype or "int32", **kwargs)


def randn(*shape, loc=0, scale=1, dtype=None, **kwargs):
    """Random numbers from the normal distribution."""
    return random.normal(loc, scale, shape=shape, dtype=dtype, **kwargs)


random.randint, random.randn = randint, randn
