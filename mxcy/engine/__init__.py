"""The dependency engine: tasks that read and write variables, run in any order that respects them.

`docs/engine.md` tells how it works. There is little to set: ``MXCY_NUM_THREADS`` is the number of threads, and
``MXCY_ENGINE_TYPE=NaiveEngine`` runs everything in the caller, at once, which helps to find errors.
"""
from contextlib import contextmanager

__all__ = ["bulk", "set_bulk_size"]

_bulk_size = 15                 # MXNet's default


def set_bulk_size(size):
    """Set how many operations MXNet would queue together.

    Kept for programs written for MXNet, which bulks because a queued operation is expensive there. Here queueing one
    takes a fraction of a microsecond and small ones are not queued at all, so the number changes nothing.

    Parameters
    ----------
    size : int
        Number of operations.

    Returns
    -------
    int
        The previous number.
    """
    global _bulk_size
    previous, _bulk_size = _bulk_size, int(size)
    return previous


@contextmanager
def bulk(size):
    """Set the bulk size within a ``with`` block, see `set_bulk_size`.

    Parameters
    ----------
    size : int
        Number of operations.

    Examples
    --------
    >>> with mx.engine.bulk(10):
    ...     x = mx.nd.zeros((2,))
    ...     x += 1
    """
    previous = set_bulk_size(size)
    try:
        yield
    finally:
        set_bulk_size(previous)
