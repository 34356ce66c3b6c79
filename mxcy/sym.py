"""``mx.sym``: symbols, and every operator of the table as a function of them, made when first asked for."""
import types

from mxcy.base import nearest
from mxcy.nd import PREFIXES
from mxcy.ops.operator import REGISTRY
from mxcy.symbol import control_flow, random
from mxcy.symbol.compose import SymbolFunction
from mxcy.symbol.creation import (arange, eye, full, histogram, hypot, linspace, maximum, minimum, ones, pow, power,
                                  split_v2, zeros)
from mxcy.symbol.custom import Custom
from mxcy.symbol.symbol import Group, Symbol, fromjson, load, load_json, var

Variable = var

__all__ = ["Custom", "Group", "Symbol", "Variable", "arange", "eye", "fromjson", "full", "histogram", "hypot",
           "linspace", "load", "load_json", "maximum", "minimum", "ones", "pow", "power", "random", "split_v2", "var",
           "zeros"]


class Operators(types.ModuleType):
    """A namespace of operators: those whose registered names begin with ``prefix``, without it."""

    def __init__(self, name, prefix):
        super().__init__(f"mxcy.sym.{name}", f"Operators of ``mx.sym.{name}``.")
        self.prefix = prefix

    def __getattr__(self, name):
        found = REGISTRY.get(self.prefix + name) if not name.startswith("__") else None
        if found is None:
            raise AttributeError(f"{self.__name__} has no operator {name!r} in this version of "
                                 f"mxcy.{nearest(name, dir(self))}")
        function = SymbolFunction(found, name)
        setattr(self, name, function)
        return function

    def __dir__(self):
        return [n[len(self.prefix):] for n in REGISTRY if n.startswith(self.prefix)]


contrib, linalg, sparse, image = (Operators(PREFIXES[p], p) for p in ("_contrib_", "_linalg_", "_sparse_", "_image_"))
_internal = Operators("_internal", "")
op = _internal
contrib.foreach, contrib.while_loop, contrib.cond = (control_flow.foreach, control_flow.while_loop, control_flow.cond)


def __getattr__(name):
    found = REGISTRY.get(name)
    if found is None or name.startswith("_"):
        raise AttributeError(f"mx.sym has no {name!r} in this version of mxcy.{nearest(name, __dir__())}")
    function = globals()[name] = SymbolFunction(found, name)
    return function


def _methods():
    """Methods of Symbol: the operators whose first input is the array, as of NDArray."""
    for name, operator in REGISTRY.items():
        if not name.startswith("_") and not operator.variadic and not hasattr(Symbol, name) \
                and operator.inputs[:1] in (("data",), ("lhs",), ("a",), ("indices",)):
            setattr(Symbol, name, SymbolFunction(operator, name))


def _astype(self, dtype, copy=True):
    """The symbol converted to another dtype.

    Parameters
    ----------
    dtype : str or numpy dtype
    copy : bool
        Accepted.
    """
    return SymbolFunction(REGISTRY["Cast"], "cast")(self, dtype=dtype)


def _reshape(self, *shape, **kwargs):
    """The symbol in another shape, given as a tuple or as numbers; see the operator ``reshape``."""
    if len(shape) == 1 and isinstance(shape[0], (list, tuple)):
        shape = shape[0]
    kwargs.setdefault("shape", tuple(shape))
    return SymbolFunction(REGISTRY["Reshape"], "reshape")(self, **kwargs)


Symbol.astype, Symbol.reshape, Symbol.split_v2 = _astype, _reshape, split_v2
_methods()


def __dir__():
    return sorted({*globals(), *(n for n in REGISTRY if not n.startswith("_"))})
