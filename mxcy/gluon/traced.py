"""Symbols that can be treated like arrays: what a plain `forward` is called with while it is turned into a graph.

They know their shape, index and slice like arrays, broadcast, and operators of ``mx.nd`` take them. So a `forward` that
was written for arrays makes a graph, as long as it does not ask for values.
"""
import math
import types

import numpy as np

from mxcy.base import MXNetTypeError
from mxcy.imperative._function import F, Function
from mxcy.ndarray import indexing
from mxcy.ndarray.arithmetic import TABLE
from mxcy.nd import NDArray
from mxcy.symbol.symbol import Symbol


class Traced(Symbol):
    """A symbol with one output that stands for an array.

    Parameters
    ----------
    symbol : Symbol
    trace : Trace
    """

    __slots__ = ("_trace", "_type")

    def __init__(self, symbol, trace):
        super().__init__(symbol.heads)
        self._trace, self._type = trace, None

    def __repr__(self):
        return f"<{type(self).__name__} {self.name}>"

    # -- what an array knows -----------------------------------------------------------------------------------------

    @property
    def _known_type(self):
        if self._type is None:
            self._type = self._trace.type_of(self)
        return self._type

    @property
    def shape(self):
        """The shape that the array will have."""
        return self._known_type[0]

    @property
    def dtype_name(self):
        """The name of the dtype that the array will have."""
        return self._known_type[1]

    @property
    def dtype(self):
        """The type that the array will have."""
        return np.dtype(self._known_type[1]).type

    @property
    def ndim(self):
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self):
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def context(self):
        """The device of the arguments."""
        return self._trace.context

    ctx = context

    @staticmethod
    def binary(name, lhs, rhs):
        """What the function ``name`` of two arguments gives, by the table of arithmetic."""
        forms = TABLE[name]
        if not isinstance(lhs, (Symbol, NDArray)):
            return getattr(F, forms.left)(rhs, lhs)
        if not isinstance(rhs, (Symbol, NDArray)):
            return getattr(F, forms.right)(lhs, rhs)
        return getattr(F, forms.broadcast)(lhs, rhs)

    def __len__(self):
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def as_in_context(self, context):
        """The array itself: a graph runs on one device."""
        return self

    as_in_ctx = as_in_context

    def detach(self):
        """The same values, through which no gradient flows."""
        return F.BlockGrad(self)

    def view(self, offset, shape):
        """The elements from ``offset`` on in another shape."""
        flat = self if offset == 0 and math.prod(shape) == self.size else \
            F.slice_axis(F.Reshape(self, shape=(-1,)), axis=0, begin=offset, end=offset + math.prod(shape))
        return flat if flat.shape == tuple(shape) else F.Reshape(flat, shape=shape)

    def __getitem__(self, key):
        if isinstance(key, Traced):
            return F.take(self, key, axis=0, mode="clip")
        return indexing.getitem(self, key)


def _unfollowed(what):
    """A method that says why it cannot be followed."""
    def method(self, *args, **kwargs):
        raise MXNetTypeError(f"{what} needs the values of an array, but while a block is turned into a graph there are "
                             "none")
    method.__name__ = what
    return method


for _name in ("asnumpy", "asscalar", "item", "wait_to_read", "attach_grad", "backward", "copyto", "__setitem__",
              "__bool__", "__float__", "__int__", "__index__", "__array__", "__contains__"):
    setattr(Traced, _name, _unfollowed(_name))


def _arithmetic(name, reverse=False):
    """The method behind a Python operator: broadcasts, and takes arrays."""
    def method(self, other):
        return self.binary(name, other, self) if reverse else self.binary(name, self, other)
    return method


for _name, _python in {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "modulo": "mod",
                       "power": "pow"}.items():
    setattr(Traced, f"__{_python}__", _arithmetic(_name))
    setattr(Traced, f"__r{_python}__", _arithmetic(_name, reverse=True))
    setattr(Traced, f"__i{_python}__", _arithmetic(_name))
for _name, _python in {"equal": "eq", "not_equal": "ne", "greater": "gt", "greater_equal": "ge", "lesser": "lt",
                       "lesser_equal": "le"}.items():
    setattr(Traced, f"__{_python}__", _arithmetic(_name))
Traced.__hash__ = Symbol.__hash__
Traced.__neg__ = lambda self: F.negative(self)


#: Methods of arrays that are operators, or made of them, do for these as well.
for _name in dir(NDArray):
    _method = getattr(NDArray, _name)
    if not _name.startswith("_") and _name not in Traced.__dict__ and \
            isinstance(_method, (Function, types.FunctionType, property)):
        setattr(Traced, _name, _method)
