"""Switches of MXNet's NumPy mode as far as programs for ``mx.nd`` read them, environment variables, GPUs."""
import functools
import os
import threading

from mxcy.base import MXNetNotImplementedError
from mxcy.context import gpu_memory_info, num_gpus

__all__ = ["get_gpu_count", "get_gpu_memory", "getenv", "is_np_array", "is_np_shape", "np_array", "np_shape", "set_np",
           "set_np_shape", "reset_np", "setenv", "use_np_shape"]

_modes = threading.local()


def is_np_shape():
    """Whether NumPy shapes are switched on in this thread.

    Returns
    -------
    bool
        What `set_np_shape` or `np_shape` said last. Arrays without axes or elements are possible either way.
    """
    return getattr(_modes, "shape", False)


def set_np_shape(active):
    """Switch NumPy shapes on or off in this thread.

    Parameters
    ----------
    active : bool
        The new state.

    Returns
    -------
    bool
        The state before.
    """
    before, _modes.shape = is_np_shape(), bool(active)
    return before


class np_shape:
    """Context manager that switches NumPy shapes on or off within.

    Parameters
    ----------
    active : bool
        The state within.
    """

    def __init__(self, active=True):
        self.active = active

    def __enter__(self):
        self.before = set_np_shape(self.active)

    def __exit__(self, *error):
        set_np_shape(self.before)


def use_np_shape(func):
    """Decorator: ``func`` runs with NumPy shapes switched on.

    Parameters
    ----------
    func : callable
        What to run so.

    Returns
    -------
    callable
    """
    @functools.wraps(func)
    def run(*args, **kwargs):
        with np_shape(True):
            return func(*args, **kwargs)
    return run


def is_np_array():
    """Whether operators give arrays of ``mx.np``, which this version does not have.

    Returns
    -------
    bool
        False.
    """
    return False


class np_array:
    """Context manager that switches to arrays of ``mx.np``; only ``active=False`` is possible in this version.

    Parameters
    ----------
    active : bool
        The state within.
    """

    def __init__(self, active=True):
        if active:
            raise MXNetNotImplementedError("mx.np is not part of this version of mxcy; np_array(False) is possible")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


def set_np(shape=True, array=True):
    """Switch NumPy mode on.

    Parameters
    ----------
    shape : bool
        Whether NumPy shapes are on.
    array : bool
        Whether operators give arrays of ``mx.np``: not possible in this version.
    """
    np_array(array)
    set_np_shape(shape)


def reset_np():
    """Switch NumPy mode off."""
    set_np(shape=False, array=False)


def getenv(name):
    """The value of an environment variable.

    Parameters
    ----------
    name : str
        Which.

    Returns
    -------
    str or None
        None if it is not set.
    """
    return os.environ.get(name)


def setenv(name, value):
    """Set an environment variable of this process.

    Parameters
    ----------
    name : str
        Which.
    value : str or None
        Its new value; None removes it.
    """
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def get_gpu_count():
    """The number of GPUs that mxcy can use.

    Returns
    -------
    int
    """
    return num_gpus()


def get_gpu_memory(gpu_dev_id):
    """Free and total bytes of a GPU's memory.

    Parameters
    ----------
    gpu_dev_id : int
        Which GPU.

    Returns
    -------
    tuple of int
        (free, total)
    """
    return gpu_memory_info(gpu_dev_id)
