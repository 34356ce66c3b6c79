"""Attributes that symbols made within a ``with`` block receive."""
import threading

from mxcy.base import MXNetTypeError
from mxcy.name import _Scoped

__all__ = ["AttrScope"]


class AttrScope(metaclass=_Scoped):
    """Attributes for everything created inside the block; inner scopes add to outer ones.

    >>> with AttrScope(ctx_group="dev1"), AttrScope(lr_mult="0.1") as scope:
    ...     scope.get({"lr_mult": "2"})
    {'ctx_group': 'dev1', 'lr_mult': '2'}
    """

    _local = threading.local()

    def __init__(self, **kwargs):
        for key, value in kwargs.items():
            if not isinstance(value, str):
                raise MXNetTypeError(f"AttrScope: attributes are text, got {key}={value!r}; pass {key}={str(value)!r}")
        self._attr = kwargs

    @staticmethod
    def _root():
        return AttrScope()

    def get(self, attr):
        """The attributes in force with those of the dict ``attr`` (or None) on top."""
        return {**self._attr, **(attr or {})}

    def __enter__(self):
        self._own = self._attr
        self._attr = {**type(self).current._attr, **self._attr}
        type(self)._stack().append(self)
        return self

    def __exit__(self, *exc):
        self._attr = self._own
        type(self)._stack().pop()
