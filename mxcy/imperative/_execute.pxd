# cython: language_level=3
"""Running a kernel on arrays: at once, or as a task of the engine."""
from mxcy.imperative._bound cimport Bound, Signature
from mxcy.ndarray._ndarray cimport NDArray

cdef int execute(Bound bound, Signature signature, tuple inputs, list outputs, double scalar, bint fresh) except -1
cdef int assign(NDArray target, NDArray source) except -1
cdef int assign_number(NDArray target, double value) except -1
cdef Bound copying()
