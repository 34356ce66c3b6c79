# cython: language_level=3
"""The state of the random number generator: a Philox key and the number of the next stream.

A call of a random operator takes one stream (``n`` of them, if it wants several). A stream is 2**64 Philox blocks: the
stream number is the upper half of the 128-bit counter, and the kernel divides the lower half among its elements as it
likes. So a number depends only on (seed, stream, element), whatever the threads, and rejection sampling cannot run out.
"""
from libc.stdint cimport uint64_t

cdef void generator_take(uint64_t n, uint64_t* seed, uint64_t* counter) noexcept nogil     # any thread
