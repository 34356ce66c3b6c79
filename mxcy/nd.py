"""``mx.nd``: arrays, and every operator of the table as a function. Functions are made when first asked for."""
import types

from mxcy import autograd, random
from mxcy.base import nearest
from mxcy.imperative._function import Function
from mxcy.ndarray import arithmetic, control_flow
from mxcy.ndarray._ndarray import NDArray, install, waitall
from mxcy.ndarray.creation import (arange, array, concatenate, empty, eye, from_numpy, full, histogram, linspace,
                                   moveaxis, onehot_encode, ones, split_v2, zeros)
from mxcy.ndarray.interop import from_dlpack, to_dlpack_for_read, to_dlpack_for_write
from mxcy.ndarray.methods import METHODS
from mxcy.ndarray.serialization import load, load_frombuffer, save
from mxcy.operator import Custom
from mxcy.ops.operator import REGISTRY

__all__ = ["Custom", "NDArray", "arange", "array", "concatenate", "empty", "eye", "from_dlpack", "from_numpy", "full",
           "histogram", "linspace", "load", "load_frombuffer", "moveaxis", "onehot_encode", "ones", "random", "save",
           "split_v2", "to_dlpack_for_read", "to_dlpack_for_write", "waitall", "zeros", *arithmetic.TABLE]

#: Where an operator stands, by the start of its registered name.
PREFIXES = {"_contrib_": "contrib", "_linalg_": "linalg", "_random_": "random", "_sparse_": "sparse",
            "_image_": "image"}


class Operators(types.ModuleType):
    """A namespace of operators: those whose registered names begin with ``prefix``, without it."""

    def __init__(self, name, prefix):
        super().__init__(f"mxcy.nd.{name}", f"Operators of ``mx.nd.{name}``.")
        self.prefix = prefix

    def __getattr__(self, name):
        found = REGISTRY.get(self.prefix + name) if not name.startswith("__") else None
        if found is None:
            known = [n[len(self.prefix):] for n in REGISTRY if n.startswith(self.prefix)]
            raise AttributeError(f"{self.__name__} has no operator {name!r} in this version of "
                                 f"mxcy.{nearest(name, known)}")
        function = Function(found, name)
        setattr(self, name, function)
        return function

    def __dir__(self):
        return [n[len(self.prefix):] for n in REGISTRY if n.startswith(self.prefix)]


contrib, linalg, sparse, image = (Operators(PREFIXES[p], p) for p in ("_contrib_", "_linalg_", "_sparse_", "_image_"))
_internal = Operators("_internal", "")      # all of them, also those whose names begin with an underscore
op = _internal
contrib.foreach, contrib.while_loop, contrib.cond = (control_flow.foreach, control_flow.while_loop, control_flow.cond)
globals().update(arithmetic.functions(_internal, NDArray))


def __getattr__(name):
    found = REGISTRY.get(name)
    if found is None or name.startswith("_"):
        raise AttributeError(f"mx.nd has no {name!r} in this version of mxcy.{nearest(name, __dir__())}")
    function = globals()[name] = Function(found, name)
    return function


def __dir__():
    return sorted({*globals(), *(n for n in REGISTRY if not n.startswith("_"))})


def _methods():
    """Methods of NDArray that are operators called on the array: those whose first input is `data` or `lhs`."""
    return {name: Function(operator, name) for name, operator in REGISTRY.items()
            if not name.startswith("_") and not operator.variadic
            and operator.inputs[:1] in (("data",), ("lhs",), ("a",), ("indices",))}


install(_methods())
install(METHODS)
install(autograd.METHODS)
