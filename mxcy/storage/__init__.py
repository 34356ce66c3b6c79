"""Bytes on a device: pooled, reference counted, each with the engine's variable."""
from mxcy.storage._storage import empty_cache, memory

__all__ = ["empty_cache", "memory"]
