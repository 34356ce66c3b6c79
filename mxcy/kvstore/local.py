"""The store within one process: devices push gradients and pull weights."""
from mxcy.base import MXNetError, MXNetValueError
from mxcy.context import cpu
from mxcy.kvstore import _nccl
from mxcy.kvstore.base import KVStoreBase
from mxcy.kvstore.devices import add_up, all_add_up, copy_out
from mxcy.ndarray.serialization import replacing
from mxcy.optimizer import Updater, get_updater

__all__ = ["KVStore"]


class KVStore(KVStoreBase):
    """Values by key, in this process.

    All methods that take a key also take a list of keys, with lists of their values; for many small arrays on GPUs that
    is faster. A key that is named twice gets the arrays of both.

    Parameters
    ----------
    kind : str
        Where values lie and sums are made. 'local': on the host. 'device': on the GPUs that push, each for a like share
        of the keys; by NCCL where that is installed, else by copies between devices. 'nccl': the same, but an error
        where NCCL is missing. For arrays on the host all kinds are the same.

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

    KINDS = ("local", "device", "nccl", "local_update_cpu", "local_allreduce_cpu", "local_allreduce_device")
    _ON_DEVICES = ("device", "nccl", "local_allreduce_device")

    def __init__(self, kind="local"):
        if kind == "nccl" and not _nccl.available():
            raise MXNetError("the store 'nccl' needs NCCL, which cannot be opened. Install it (pip install "
                             "nvidia-nccl-cu13), or use the store 'device', which works without.")
        self._kind = kind
        self._values = {}
        self._settled = set()           # keys whose values have found a device
        self._shares = {}               # elements of these on each
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
        for k, values in _by_key(key, value).items():
            if k in self._values:
                raise MXNetValueError(f"key {k!r} has a value already")
            place = values[0].context if self._kind in self._ON_DEVICES else cpu()
            self._values[k] = values[0].copyto(place)

    def _stored(self, key):
        if key not in self._values:
            raise MXNetValueError(f"key {key!r} has no value: init it first")
        return self._values[key]

    def _place(self, key, arrays):
        """Where the value of a key lies, now that these arrays are pushed or pulled: on one of their GPUs."""
        stored = self._stored(key)
        gpus = [array.context for array in arrays if array.context.device_type == "gpu"]
        if key in self._settled or not gpus or self._kind not in self._ON_DEVICES:
            return stored.context
        place = min(gpus, key=lambda gpu: self._shares.get(gpu, 0))
        self._shares[place] = self._shares.get(place, 0) + stored.size
        self._settled.add(key)
        self._values[key] = stored.as_in_context(place)
        return place

    def push(self, key, value, priority=0):
        """Add up what devices give for a key; the sum replaces its value, or updates it (`set_optimizer`)."""
        pushed = _by_key(key, value)
        places = [self._place(k, arrays) for k, arrays in pushed.items()]
        totals = add_up(list(pushed.values()), places)
        if isinstance(self._updater, Updater):
            calls = {}
            for k, place, total in zip(pushed, places, totals):
                for column, entry in zip(calls.setdefault(place, ([], [], [])), (k, total, self._values[k])):
                    column.append(entry)
            for call in calls.values():
                self._updater(*call)
            return
        for k, total in zip(pushed, totals):
            if self._updater is not None:
                self._updater(k, total, self._values[k])
            else:
                self._values[k][:] = total

    def pull(self, key, out=None, priority=0, ignore_sparse=True):
        """Copy the value of a key to one or several arrays."""
        pulled = _by_key(key, out)
        for k, outs in pulled.items():
            self._place(k, outs)
        copy_out([self._values[k] for k in pulled], list(pulled.values()))

    def pushpull(self, key, value, out=None, priority=0):
        """Add up the arrays of a key and copy the sum, or the updated value, to ``out`` (by default to ``value``)."""
        pushed, pulled = _by_key(key, value), _by_key(key, value if out is None else out)
        if self._updater is None and self._kind in self._ON_DEVICES:
            done = all_add_up(list(pushed.values()), [pulled[k] for k in pushed])
            for k, all_done in zip(list(pushed), done):
                if all_done:
                    place = self._place(k, pulled[k])
                    self._values[k][:] = next(array for array in pulled[k] if array.context == place)
                    del pushed[k], pulled[k]
        self.push(list(pushed), list(pushed.values()), priority)
        self.pull(list(pulled), list(pulled.values()), priority)

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


def _by_key(key, value):
    """The arrays of each key: for one key with one or several arrays, or for lists of keys and of these."""
    if not isinstance(key, (list, tuple)):
        key, value = [key], [value]
    elif len(key) != len(value):
        raise MXNetValueError(f"{len(key)} keys for {len(value)} values")
    found = {}
    for k, arrays in zip(key, value):
        found.setdefault(k, []).extend(arrays if isinstance(arrays, (list, tuple)) else [arrays])
    return found
