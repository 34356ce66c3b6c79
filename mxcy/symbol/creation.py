"""Symbols that are made of numbers: constants, ranges; and functions of symbols and numbers."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ndarray.arithmetic import NUMBER
from mxcy.ops.operator import REGISTRY
from mxcy.symbol.compose import apply
from mxcy.symbol.symbol import Symbol, one

__all__ = ["arange", "eye", "full", "histogram", "hypot", "linspace", "made", "maximum", "minimum", "ones", "pow",
           "power", "split_v2", "zeros"]


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


def histogram(a, bins=10, range=None, **kwargs):
    """How many numbers of ``a`` lie in each bin, and the edges of the bins.

    Parameters
    ----------
    a : Symbol
    bins : int or Symbol
        So many of equal width between the ends of ``range``; or their edges.
    range : tuple of float, optional
        The lowest and the highest edge, if ``bins`` is a number.
    **kwargs
        ``name`` and ``attr``.

    Returns
    -------
    Symbol
        With two outputs.
    """
    if isinstance(bins, Symbol):
        return made("_histogram", [one(a), one(bins)], **kwargs)
    if not isinstance(bins, int) or range is None:
        raise MXNetTypeError(f"histogram: bins is {bins!r} and range is {range!r}; expected a number of bins and a "
                             "range, or the edges as a symbol")
    return made("_histogram", [one(a)], bin_cnt=bins, range=range, **kwargs)


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
