"""How tests run: on which device, how often, with which environment."""
import functools
import os

import numpy as np

from mxcy import context, nd

__all__ = ["default_context", "set_default_context", "default_dtype", "list_gpus", "environment", "EnvManager", "retry",
           "assert_exception"]

_default = []


def default_context():
    """The device to test on: see `set_default_context`; else that of the environment variable
    ``MXNET_TEST_DEFAULT_CONTEXT``, such as ``cpu(0)``; else the current one."""
    if _default:
        return _default[0]
    named = os.environ.get("MXNET_TEST_DEFAULT_CONTEXT")
    return context.Context(named) if named else context.current_context()


def set_default_context(ctx):
    """Set the device to test on."""
    _default[:] = [ctx]


def default_dtype():
    """The dtype to test with: numpy.float32."""
    return np.float32


def list_gpus():
    """Numbers of the GPUs."""
    return range(context.num_gpus())


class environment:
    """A ``with`` block with other environment variables.

    Parameters
    ----------
    *args : str, str or None, or a dict of these
        Name and value, or several in a dict; None removes a variable.

    Examples
    --------
    >>> with environment("MXCY_EXAMPLE", "1"):
    ...     os.environ["MXCY_EXAMPLE"]
    '1'
    """

    def __init__(self, *args):
        self._wanted = args[0] if len(args) == 1 else dict([args])

    def __enter__(self):
        self._before = {name: os.environ.get(name) for name in self._wanted}
        _set_environment(self._wanted)
        return self

    def __exit__(self, *exc):
        _set_environment(self._before)


def _set_environment(values):
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = str(value)


class EnvManager(environment):
    """A ``with`` block with one other environment variable.

    Parameters
    ----------
    key, val : str
    """

    def __init__(self, key, val):
        super().__init__(key, val)


def retry(n):
    """A decorator that runs a random test up to ``n`` times, until it passes."""
    def decorate(test):
        @functools.wraps(test)
        def run(*args, **kwargs):
            for left in reversed(range(n)):
                try:
                    return test(*args, **kwargs)
                except AssertionError:
                    if not left:
                        raise
            return None
        return run
    return decorate


def assert_exception(f, exception_type, *args, **kwargs):
    """Raise ``AssertionError`` unless ``f(*args, **kwargs)`` raises ``exception_type``."""
    try:
        f(*args, **kwargs)
        nd.waitall()
    except exception_type:
        return
    raise AssertionError(f"{getattr(f, '__name__', f)} did not raise {exception_type.__name__}")
