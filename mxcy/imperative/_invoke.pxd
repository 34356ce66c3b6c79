# cython: language_level=3
"""The call of an operator."""
from libc.stdint cimport int64_t

from mxcy.imperative._bound cimport Bound

cdef object invoke(Bound bound, tuple inputs, object out, double scalar)
cdef double number(name, value) except? -1      # what an operator takes as `scalar`; other things raise
cdef list invoke_all(Bound bound, tuple inputs, double scalar)
cdef int64_t precision_changes() noexcept       # how often mixed precision was turned on or off
