"""Typed parameters of operators: one line each gives the signature, parsing, checks, messages and documentation."""
import ast
import math
import numbers

import numpy as np

from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.dtype import CODES, dtype_name

__all__ = ["REQUIRED", "Bounds", "Dtype", "Floats", "Param", "Shape"]


class _Required:
    def __repr__(self):
        return "required"


REQUIRED = _Required()


class Shape:
    """Kind of a parameter: a tuple of integers; a single integer counts as a tuple of one."""


class Bounds:
    """Kind of a parameter: a tuple of integers and Nones, the open ends of slices."""


class Floats:
    """Kind of a parameter: a tuple of floats; a single number counts as a tuple of one."""


class Dtype:
    """Kind of a parameter: the name of a data type."""


def literal(text):
    """The Python value that ``text`` spells, as parameters stand in symbol files; else ``text`` itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {"true": True, "false": False, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}.get(text, text)


class Param:
    """One parameter of an operator.

    Parameters
    ----------
    kind : type
        ``int``, ``float``, ``bool``, ``str``, `Shape`, `Bounds`, `Floats` or `Dtype`.
    default : object
        The value when none is given. Without one the parameter is required. With ``None`` as the default,
        ``None`` may be passed.
    min, max : number, optional
        Bounds (included) of a number, or of each number of a tuple.
    choices : sequence of str, optional
        What a ``str`` may be.
    optional : bool
        Whether ``None`` may be passed although the default is something else.
    doc : str
        One sentence for the documentation.
    """

    def __init__(self, kind, default=REQUIRED, *, min=None, max=None, choices=None, optional=False, doc=""):
        self.kind, self.default, self.min, self.max = kind, default, min, max
        self.choices, self.doc = choices, doc
        self.optional = optional or default is None

    @property
    def required(self):
        return self.default is REQUIRED

    def parse(self, value, where):
        """``value`` checked and converted; ``where`` ("sum: axis") opens the message if it is wrong."""
        if isinstance(value, str) and self.kind not in (str, Dtype):
            value = literal(value)
        if isinstance(value, str) and value == "None" and self.optional:
            value = None
        if value is None:
            if self.optional:
                return None
            raise MXNetTypeError(f"{where} is None; expected {self.describe()}")
        try:
            parsed = PARSERS[self.kind](value)
        except (TypeError, ValueError, OverflowError):
            raise MXNetTypeError(f"{where} is {value!r}; expected {self.describe()}") from None
        self.check(parsed, where)
        return parsed

    def check(self, value, where):
        """Raise if a parsed value is out of bounds or none of the choices."""
        if self.choices is not None and value not in self.choices:
            raise MXNetValueError(f"{where} is {value!r}; expected {self.describe()}.{nearest(value, self.choices)}")
        for number in value if isinstance(value, tuple) else (value,):
            low, high = self.min is not None and number < self.min, self.max is not None and number > self.max
            if low or high:
                raise MXNetValueError(f"{where} is {value!r}; expected {self.describe()}")

    def describe(self):
        """What the parameter may be, for messages and documentation: ``int, >= 1``."""
        if self.choices is not None:
            text = "one of " + ", ".join(map(repr, self.choices))
        else:
            text = {Shape: "tuple of int", Bounds: "tuple of int or None", Floats: "tuple of float",
                    Dtype: "dtype"}.get(self.kind) \
                or self.kind.__name__
        if self.min is not None:
            text += f", >= {self.min}"
        if self.max is not None:
            text += f", <= {self.max}"
        return text + (" or None" if self.optional else "")


def _integer(value):
    if isinstance(value, (bool, np.bool_, numbers.Integral)) or (isinstance(value, float) and value.is_integer()):
        if -1 << 63 <= value < 1 << 63:                 # what kernels can take
            return int(value)
    raise TypeError


def _number(value):
    if isinstance(value, numbers.Real) or getattr(value, "shape", None) == ():
        return float(value)
    raise TypeError


def _boolean(value):
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, numbers.Integral) and value in (0, 1)):
        return bool(value)
    raise TypeError


def _string(value):
    if isinstance(value, str):
        return value
    raise TypeError


def _tuple(item):
    def parse(value):
        if isinstance(value, (tuple, list)):
            return tuple(map(item, value))
        if isinstance(value, np.ndarray) and value.ndim == 1:
            return tuple(map(item, value.tolist()))
        return (item(value),)
    return parse


def _end(value):
    return None if value is None else _integer(value)


def _dtype(value):
    if isinstance(value, str) and value not in CODES:
        raise TypeError
    return dtype_name(value)


PARSERS = {int: _integer, float: _number, bool: _boolean, str: _string, Shape: _tuple(_integer), Bounds: _tuple(_end),
           Floats: _tuple(_number), Dtype: _dtype}
