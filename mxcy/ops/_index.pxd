# cython: language_level=3
"""Loading arrays of indices: see ``index.h``."""

cdef extern from "mxcy/ops/index.h" namespace "mxcy_index" nogil:
    enum:
        CLIP, WRAP, RAISE, KEEP
    Py_ssize_t load(Py_ssize_t* out, const void* x, int dtype, Py_ssize_t n, Py_ssize_t limit, int mode) noexcept nogil
