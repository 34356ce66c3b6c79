"""Blocks made of blocks, and of functions."""
import warnings

from mxcy import nd
from mxcy.base import MXNetTypeError, MXNetValueError, nearest
from mxcy.gluon.block import Block
from mxcy.gluon.hybrid_block import HybridBlock

__all__ = ["Sequential", "HybridSequential", "Lambda", "HybridLambda"]


class _Chain:
    """What `Sequential` and `HybridSequential` share: children called one after another."""

    def add(self, *blocks):
        """Append blocks."""
        for block in blocks:
            self.register_child(block)

    def _through(self, x, *args):
        """Feed ``x`` (and ``args``, to the first block) through the children."""
        for block in self._children.values():
            x = block(x, *args)
            args = ()
            if isinstance(x, (tuple, list)):
                x, args = x[0], x[1:]
        return (x, *args) if args else x

    def __repr__(self):
        return self._tree(self._children.items())

    def __getitem__(self, key):
        blocks = list(self._children.values())[key]
        if isinstance(key, slice):
            part = type(self)(prefix=self._prefix)
            with part.name_scope():
                part.add(*blocks)
            return part
        return blocks

    def __len__(self):
        return len(self._children)

    def __iter__(self):
        return iter(self._children.values())


class Sequential(_Chain, Block):
    """Blocks in sequence; the output of one is the input of the next.

    Examples
    --------
    >>> net = Sequential()
    >>> with net.name_scope():
    ...     net.add(gluon.nn.Dense(10, activation="relu"), gluon.nn.Dense(20))
    """

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix, params)

    def forward(self, x, *args):
        """Feed ``x`` (and ``args``, to the first block) through the children."""
        return self._through(x, *args)

    def hybridize(self, active=True, **kwargs):
        if self._children and all(isinstance(child, HybridBlock) for child in self._children.values()):
            warnings.warn(f"all layers of {self.prefix or 'this Sequential'} are HybridBlocks: HybridSequential would "
                          "run them as one graph", stacklevel=2)
        super().hybridize(active, **kwargs)


class HybridSequential(_Chain, HybridBlock):
    """Hybrid blocks in sequence; like `Sequential`."""

    def __init__(self, prefix=None, params=None):
        super().__init__(prefix, params)

    def hybrid_forward(self, F, x, *args):
        return self._through(x, *args)


class Lambda(Block):
    """A function of arrays as a block.

    Parameters
    ----------
    function : str or callable
        The name of an operator in ``nd``, or a function of the arrays.
    prefix : str, optional
    """

    def __init__(self, function, prefix=None):
        super().__init__(prefix=prefix)
        self._function, self._function_name = _operator(function)

    def forward(self, *args):
        return self._function(*args)

    def __repr__(self):
        return f"{type(self).__name__}({self._function_name})"


class HybridLambda(HybridBlock):
    """A function ``f(F, *arrays)``, or an operator by name, as a hybrid block."""

    def __init__(self, function, prefix=None):
        super().__init__(prefix=prefix)
        self._by_name = isinstance(function, str)
        self._function, self._function_name = _operator(function)

    def hybrid_forward(self, F, x, *args):
        if self._by_name:
            return getattr(F, self._function_name)(x, *args)
        return self._function(F, x, *args)

    def __repr__(self):
        return f"{type(self).__name__}({self._function_name})"


def _operator(function):
    """(function, its name) from a function or the name of an operator."""
    if isinstance(function, str):
        if not hasattr(nd, function):
            raise MXNetValueError(f"nd has no operator {function!r}.{nearest(function, dir(nd))}")
        return getattr(nd, function), function
    if callable(function):
        return function, getattr(function, "__name__", type(function).__name__)
    raise MXNetTypeError(f"expected a function or the name of an operator, got {function!r}")
