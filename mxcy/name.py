"""Automatic names: ``dense0``, ``dense1``, ... and prefixes for them."""
import threading

__all__ = ["NameManager", "Prefix"]


class _Scoped(type):
    """Metaclass of scopes: ``Class.current`` is the innermost active one of this thread."""

    @property
    def current(cls):
        stack = cls._stack()
        if not stack:
            stack.append(cls._root())
        return stack[-1]

    def _stack(cls):
        if not hasattr(cls._local, "stack"):
            cls._local.stack = []
        return cls._local.stack


class NameManager(metaclass=_Scoped):
    """Counts the names that it gave, by kind; used as a ``with`` block it replaces the current one.

    >>> with NameManager() as names:
    ...     names.get(None, "dense"), names.get(None, "dense"), names.get("mine", "dense")
    ('dense0', 'dense1', 'mine')
    """

    _local = threading.local()

    def __init__(self):
        self._counter = {}

    @staticmethod
    def _root():
        return NameManager()

    def get(self, name, hint):
        """``name``, or ``hint`` and the next number if ``name`` is None or empty."""
        if name:
            return name
        number = self._counter.get(hint, 0)
        self._counter[hint] = number + 1
        return f"{hint}{number}"

    def __enter__(self):
        type(self)._stack().append(self)
        return self

    def __exit__(self, *exc):
        type(self)._stack().pop()


class Prefix(NameManager):
    """Puts ``prefix`` before every name, given or made.

    >>> with Prefix("net_") as names:
    ...     names.get(None, "fc"), names.get("out", "fc")
    ('net_fc0', 'net_out')
    """

    def __init__(self, prefix):
        super().__init__()
        self._prefix = prefix

    def get(self, name, hint):
        return self._prefix + super().get(name, hint)
