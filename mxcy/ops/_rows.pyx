# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""How arrays broadcast to the shape of an output."""
from mxcy._types cimport Tensor


cdef void make_rows(Rows* rows, const Tensor** operands, int count, const Tensor* out) noexcept nogil:
    """Merge axes along which every operand either moves as the output does or stands still."""
    cdef Py_ssize_t moving[MAX_OPERANDS]        # elements of the operand inside the current axis
    cdef bint here[MAX_OPERANDS]                # whether it moves along the current axis
    cdef bint before[MAX_OPERANDS]
    cdef int axis, i, slot, top = 0
    cdef bint same
    for i in range(count):
        moving[i], before[i] = 1, False
    # Walk from the last axis to the first; axis 0 of rows.dims is the innermost until the end.
    for axis in range(out.ndim - 1, -1, -1):
        if out.shape[axis] == 1:
            continue
        same = top > 0
        for i in range(count):
            here[i] = False
            if operands[i] != NULL:
                slot = axis - (out.ndim - operands[i].ndim)
                here[i] = slot >= 0 and operands[i].shape[slot] != 1
            same = same and here[i] == before[i]
        if same:
            rows.dims[top - 1] *= out.shape[axis]
        else:
            for i in range(count):
                rows.strides[i][top] = moving[i] if here[i] else 0
                before[i] = here[i]
            rows.dims[top] = out.shape[axis]
            top += 1
        for i in range(count):
            if here[i]:
                moving[i] *= out.shape[axis]
    if top == 0:
        rows.dims[0], top = 1, 1
        for i in range(count):
            rows.strides[i][0] = 0
    rows.run = rows.dims[0]
    for i in range(count):
        rows.constant[i] = rows.strides[i][0] == 0
        for axis in range(1, top):
            rows.strides[i][axis - 1] = rows.strides[i][axis]
    for axis in range(1, top):
        rows.dims[axis - 1] = rows.dims[axis]
    rows.ndim = top - 1
