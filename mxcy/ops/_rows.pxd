# cython: language_level=3
"""How arrays broadcast to the shape of an output: as rows, along which each of them moves or stands still."""
from mxcy._types cimport MAX_NDIM, Tensor

cdef enum:
    MAX_OPERANDS = 24

cdef struct Rows:
    Py_ssize_t run                              # elements of a row
    int ndim                                    # axes outside the rows; axis 0 is the innermost of them
    Py_ssize_t dims[MAX_NDIM]
    Py_ssize_t strides[MAX_OPERANDS][MAX_NDIM]  # of the outer axes, in elements
    bint constant[MAX_OPERANDS]                 # the operand does not move along a row

# An operand that is NULL stands still everywhere.
cdef void make_rows(Rows* rows, const Tensor** operands, int count, const Tensor* out) noexcept nogil
