"""Words that everyone uses: the error type, and helpers for messages."""
__all__ = ["MXNetError", "MXNetValueError", "MXNetTypeError", "MXNetIndexError",
           "MXNetNotImplementedError", "nearest"]


class MXNetError(RuntimeError):
    """Any error that mxcy raises on purpose. The name is what users of MXNet 1.x catch."""


class MXNetValueError(MXNetError, ValueError):
    """A bad value: a shape, a size, an axis, an unknown choice."""


class MXNetTypeError(MXNetError, TypeError):
    """A bad type, or a call with wrong arguments."""


class MXNetIndexError(MXNetError, IndexError):
    """An index out of range."""


class MXNetNotImplementedError(MXNetError, NotImplementedError):
    """A part of MXNet 1.x that mxcy does not have."""


def nearest(word, words):
    """``". Did you mean 'x'?"`` for the word most like ``word``, or an empty string."""
    import difflib                          # errors only: importing mxcy should be quick
    found = difflib.get_close_matches(str(word), list(words), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""
