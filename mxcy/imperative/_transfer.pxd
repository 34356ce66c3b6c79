# cython: language_level=3
"""Copies between the memory of the host and of GPUs, as tasks of the engine."""
from mxcy.ndarray._ndarray cimport NDArray

cdef int transfer(NDArray target, NDArray source) except -1     # same shape and dtype
