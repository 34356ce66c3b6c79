"""The store within one process: devices push gradients and pull weights."""
from mxcy import nd
from mxcy.base import MXNetValueError
from mxcy.kvstore.base import KVStoreBase
from mxcy.ndarray.serialization import replacing
from mxcy.optimizer import get_updater

__all__ = ["KVStore"]


class KVStore(KVStoreBase):
    """Values by key, in this process.

    Parameters
    ----------
    kind : str
        'local' or 'device': where sums are made, which for CPUs is the same.

    Examples
    --------
    >>> store = KVStore("local")
    >>> store.init(3, nd.ones((2,)))
    >>> store.push(3, [nd.ones((2,)) * 2, nd.ones((2,))])
    >>> out = nd.zeros((2,))
    >>> store.pull(3, out=out)
    >>> out.asnumpy().tolist()
    [3.0, 3.0]
    """

    KINDS = ("local", "device", "local_update_cpu", "local_allreduce_cpu", "local_allreduce_device")

    def __init__(self, kind="local"):
        self._kind = kind
        self._values = {}
        self._updater = None

    @property
    def type(self):
        return self._kind

    @property
    def rank(self):
        return 0

    @property
    def num_workers(self):
        return 1

    @staticmethod
    def is_capable(capability):
        return capability == KVStoreBase.OPTIMIZER

    def init(self, key, value):
        """Give one or several keys their first values."""
        for k, values in _pairs(key, value):
            if k in self._values:
                raise MXNetValueError(f"key {k!r} has a value already")
            self._values[k] = values[0].copy()

    def _stored(self, key):
        if key not in self._values:
            raise MXNetValueError(f"key {key!r} has no value: init it first")
        return self._values[key]

    def push(self, key, value, priority=0):
        """Add up what devices give for a key; the sum replaces its value, or updates it (`set_optimizer`)."""
        for k, values in _pairs(key, value):
            stored = self._stored(k)
            parts = [v.as_in_context(stored.context) for v in values]
            total = parts[0] if len(parts) == 1 else nd.add_n(*parts)
            if self._updater is not None:
                self._updater(k, total, stored)
            else:
                stored[:] = total

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Copy the value of a key to one or several arrays."""
        for k, outs in _pairs(key, out):
            stored = self._stored(k)
            for array in outs:
                stored.copyto(array)

    def pushpull(self, key, value, out=None, priority=0):
        """Add up the arrays of a key and copy the sum, or the updated value, to ``out`` (by default to ``value``)."""
        self.push(key, value, priority)
        self.pull(key, value if out is None else out, priority)

    def broadcast(self, key, value, out, priority=0):
        """Give a key its first value and copy it to ``out``."""
        self.init(key, value)
        self.pull(key, out, priority)

    def set_optimizer(self, optimizer):
        """Update values with what is pushed, taken as gradients."""
        self._updater = get_updater(optimizer)

    def set_updater(self, updater):
        """Call ``updater(key, pushed sum, value)`` at each push."""
        self._updater = updater

    def save_optimizer_states(self, fname, dump_optimizer=False):
        """Write the states of the optimizer to a file."""
        with replacing(fname) as file:
            file.write(self._states_updater().get_states(dump_optimizer))

    def load_optimizer_states(self, fname):
        """Read the states of the optimizer."""
        with open(fname, "rb") as file:
            self._states_updater().set_states(file.read())

    def _states_updater(self):
        if self._updater is None:
            raise MXNetValueError("the store has no optimizer: call set_optimizer first")
        return self._updater


def _pairs(key, value):
    """(key, list of arrays) for one key with one or several arrays, or for lists of keys and of these."""
    if isinstance(key, (list, tuple)):
        if len(key) != len(value):
            raise MXNetValueError(f"{len(key)} keys for {len(value)} values")
        for one, values in zip(key, value):
            yield from _pairs(one, values)
    else:
        yield key, list(value) if isinstance(value, (list, tuple)) else [value]
