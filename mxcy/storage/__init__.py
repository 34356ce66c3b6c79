"""Bytes on a device: pooled, reference counted, each with the engine's variable."""
