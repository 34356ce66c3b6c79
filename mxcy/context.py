"""Contexts: the devices that arrays live on, and which one is the default."""
import re
import threading

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError, nearest

__all__ = ["Context", "cpu", "cpu_pinned", "current_context", "gpu", "gpu_memory_info", "num_gpus"]

_DEVICES = {1: "cpu", 2: "gpu", 3: "cpu_pinned", 5: "cpu_shared"}
_SPELLING = re.compile(r"(\w+)(?:\((\d+)\))?")
_scopes = threading.local()


class Context:
    """A device. In a ``with`` statement it becomes the one that new arrays are made on.

    Parameters
    ----------
    device_type : str or Context
        ``"cpu"``, ``"gpu"``, ``"cpu_pinned"`` or ``"cpu_shared"``; or with the number, such as ``"cpu(1)"``.
    device_id : int
        Which device of that type. CPU numbers are names only: all mean the memory of this machine.

    Attributes
    ----------
    device_type : str
    device_typeid : int
        The number of the device type in files: 1, 2, 3, 5 in the order above.
    device_id : int

    Examples
    --------
    >>> Context("gpu", 1), Context("cpu(0)"), Context(cpu(2))
    (gpu(1), cpu(0), cpu(2))
    >>> with cpu(1):
    ...     current_context()
    cpu(1)
    """

    __slots__ = ("device_id", "device_type", "device_typeid")

    #: Names of the device types by number, and the reverse.
    devtype2str = dict(_DEVICES)
    devstr2type = {name: number for number, name in _DEVICES.items()}

    def __init__(self, device_type, device_id=0):
        if isinstance(device_type, Context):
            device_type, device_id = device_type.device_type, device_type.device_id
        elif not isinstance(device_type, str):
            raise MXNetTypeError(f"{device_type!r} is not a context; expected a Context, such as mx.cpu(), "
                                 "or a string such as 'cpu(0)'")
        elif spelled := _SPELLING.fullmatch(device_type):
            device_type, device_id = spelled[1], int(spelled[2] or device_id)
        if device_type not in self.devstr2type:
            raise MXNetValueError(f"there is no device type {device_type!r}; expected one of "
                                  f"{', '.join(self.devstr2type)}.{nearest(device_type, self.devstr2type)}")
        try:
            self.device_id = int(device_id)
        except (TypeError, ValueError):
            raise MXNetTypeError(f"device_id is {device_id!r}; expected int") from None
        self.device_type, self.device_typeid = device_type, self.devstr2type[device_type]

    def __repr__(self):
        return f"{self.device_type}({self.device_id})"

    def __eq__(self, other):
        return (isinstance(other, Context) and self.device_typeid == other.device_typeid
                and self.device_id == other.device_id)

    def __hash__(self):
        return hash((self.device_typeid, self.device_id))

    def __reduce__(self):
        return Context, (self.device_type, self.device_id)

    def __enter__(self):
        _stack().append(self)
        return self

    def __exit__(self, *exception):
        _stack().pop()

    def empty_cache(self):
        """Give the memory that the pool of this device holds unused back to the system."""
        from mxcy.storage import empty_cache, empty_device_cache    # above this module, and most programs never ask
        if self.device_type == "gpu":           # and what is page-locked for it
            empty_device_cache(self.device_id)
        else:
            empty_cache()


_DEFAULT = Context("cpu", 0)


def _stack():
    """The contexts entered by this thread, outermost first."""
    try:
        return _scopes.stack
    except AttributeError:
        _scopes.stack = [_DEFAULT]
        return _scopes.stack


def cpu(device_id=0):
    """The memory of this machine, as a Context."""
    return Context("cpu", device_id)


def cpu_pinned(device_id=0):
    """Memory of this machine that a GPU copies from and to by itself, and faster: it is page-locked.

    Where GPU ``device_id`` cannot be used, or no more memory can be locked, it is memory as that of `cpu`.
    """
    return Context("cpu_pinned", device_id)


def gpu(device_id=0):
    """A GPU, as a Context. Arrays cannot be made on one that does not exist: see `num_gpus`."""
    return Context("gpu", device_id)


def current_context():
    """The Context that arrays are made on if none is given: the innermost ``with``, else ``cpu(0)``."""
    return _stack()[-1]


def num_gpus():
    """The number of GPUs that mxcy can use: 0 where there is no driver, or one that is too old."""
    from mxcy.gpu._driver import device_count
    try:
        return device_count()
    except MXNetError:
        return 0


def gpu_memory_info(device_id=0):
    """Free and total bytes of a GPU's memory.

    Parameters
    ----------
    device_id : int
        Which GPU.

    Returns
    -------
    tuple of int
        (free, total)

    Raises
    ------
    MXNetError
        If there is no such GPU.
    """
    from mxcy.gpu._device import memory_info
    return memory_info(device_id)
