"""Bytes on a device: pooled, reference counted, each with the engine's variable."""
from mxcy.storage._device_pool import device_memory, empty_device_cache, locked_memory
from mxcy.storage._storage import empty_cache, memory

__all__ = ["device_memory", "empty_cache", "empty_device_cache", "locked_memory", "memory"]
