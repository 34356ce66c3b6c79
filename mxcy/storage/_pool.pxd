# cython: language_level=3
"""Blocks of memory by size class: HEADER bytes for whoever owns the block, then at least the bytes asked for."""

from libc.stdint cimport int64_t

cdef enum:
    HEADER = 128

cdef char* block_new(Py_ssize_t nbytes, int* index) noexcept nogil      # aligned to 64 bytes; NULL: no memory
cdef void block_free(char* block, int index) noexcept nogil
cdef void pool_empty() noexcept nogil                                   # cached blocks go back to the system
cdef int64_t pool_in_use() noexcept nogil                               # bytes in blocks, roughly while others work
cdef object pool_statistics()
