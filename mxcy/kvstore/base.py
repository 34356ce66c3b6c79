"""The face of a key-value store, and the register of its kinds."""
from mxcy.base import MXNetTypeError, MXNetValueError, nearest

__all__ = ["KVStoreBase", "create"]


class KVStoreBase:
    """What a store does: hold a value for each key, add up what devices push, and give the result back.

    Subclasses register with `register` and are found by their lower-case name.
    """

    OPTIMIZER = "optimizer"
    kv_registry = {}

    @staticmethod
    def register(klass):
        """Register a subclass; returns it."""
        KVStoreBase.kv_registry[klass.__name__.lower()] = klass
        return klass

    def broadcast(self, key, value, out, priority=0):
        """Set ``key`` to ``value`` and copy it to the arrays ``out``."""
        raise NotImplementedError(f"{type(self).__name__} must define broadcast")

    def pushpull(self, key, value, out=None, priority=0):
        """Add up the arrays ``value`` and copy the sum to ``out`` (by default to ``value``)."""
        raise NotImplementedError(f"{type(self).__name__} must define pushpull")

    def set_optimizer(self, optimizer):
        """Let the store update the values of its keys with what is pushed, taken as gradients."""
        raise NotImplementedError(f"{type(self).__name__} must define set_optimizer")

    @staticmethod
    def is_capable(capability):
        """Whether the store can do ``capability``, such as ``KVStoreBase.OPTIMIZER``."""
        raise NotImplementedError("a store must define is_capable")

    @property
    def type(self):
        """The kind of store."""
        return type(self).__name__.lower()

    @property
    def rank(self):
        """Number of this worker."""
        raise NotImplementedError(f"{type(self).__name__} must define rank")

    @property
    def num_workers(self):
        """Number of workers."""
        raise NotImplementedError(f"{type(self).__name__} must define num_workers")


def create(name="local"):
    """Make a store of a kind of `KVStore`, such as 'device', or of a registered subclass of `KVStoreBase`."""
    from mxcy.kvstore.local import KVStore
    if not isinstance(name, str):
        raise MXNetTypeError(f"the kind of a store is text such as 'local', got {name!r}")
    if name in KVStore.KINDS:
        return KVStore(name)
    if name.lower() in KVStoreBase.kv_registry:
        return KVStoreBase.kv_registry[name.lower()]()
    known = [*KVStore.KINDS, *KVStoreBase.kv_registry]
    raise MXNetValueError(f"there is no store {name!r}.{nearest(name, known)} Known: {', '.join(known)}.")
