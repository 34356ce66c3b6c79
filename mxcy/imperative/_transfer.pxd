# cython: language_level=3
"""Copies between the memory of the host and of GPUs, as tasks of the engine."""
from mxcy.ndarray._ndarray cimport NDArray

# Same shape and dtype. fresh: the target was made for this, as landing memory if it is on a GPU.
cdef int transfer(NDArray target, NDArray source, bint fresh) except -1
