# cython: language_level=3
"""Size classes of the pools: 64 bytes times 1, 2, 3, 4 and then four per doubling (5, 6, 7, 8, 10, 12, 14, 16, 20, ...).

So programs whose shapes vary meet again what they freed, and no more than a fifth of a block is unused.
"""
from libc.stdint cimport int64_t

cdef extern from * nogil:
    int __builtin_clzll(unsigned long long value) noexcept

cdef enum:
    N_CLASSES = 232             # up to 2^62 bytes


cdef inline int class_of(Py_ssize_t nbytes) noexcept nogil:
    cdef size_t units = (<size_t>nbytes + 63) >> 6
    cdef int octave
    if units <= 4:
        return <int>units - 1 if units else 0
    octave = 61 - __builtin_clzll(units - 1)
    return 4 * octave + <int>((units - 1) >> octave)


cdef inline int64_t class_size(int index) noexcept nogil:
    if index < 4:
        return <int64_t>(index + 1) << 6
    return <int64_t>((index & 3) + 5) << ((index >> 2) + 5)
