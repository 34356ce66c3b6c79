# cython: language_level=3
"""An array seen around one of its axes. Declarations only: there is no module of this name."""
from libc.stdint cimport int64_t

from mxcy._types cimport Tensor

cdef struct View:                       # data as (outer, n, inner)
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner

cdef inline View around(const Tensor* data, int64_t axis) noexcept nogil:
    """``axis`` may be counted from the end."""
    cdef View v
    cdef int i
    axis = axis + data.ndim if axis < 0 else axis
    v.outer, v.n, v.inner = 1, data.shape[axis], 1
    for i in range(data.ndim):
        if i < axis:
            v.outer *= data.shape[i]
        elif i > axis:
            v.inner *= data.shape[i]
    return v
