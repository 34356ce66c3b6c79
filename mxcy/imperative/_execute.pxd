# cython: language_level=3
"""Running a kernel on arrays: at once, or as a task of the engine."""
from mxcy._types cimport Tensor
from mxcy.engine._engine cimport Var
from mxcy.imperative._bound cimport Bound, Signature
from mxcy.ndarray._ndarray cimport NDArray

cdef int execute(Bound bound, Signature signature, tuple inputs, list outputs, double scalar, bint fresh) except -1
cdef int assign(NDArray target, NDArray source, bint fresh=*) except -1     # fresh: nobody has used the target yet
cdef bint apart(NDArray a, NDArray b) noexcept
cdef int assign_number(NDArray target, double value) except -1
cdef Bound copying()

# ``name: message [float32 (2, 3), ...]`` into text
cdef void describe_failure(char* text, Py_ssize_t room, const char* name, const char* message, const Tensor* tensors,
                           int n) noexcept nogil

cdef struct Seen:                       # a set of variables; without a table the list itself is searched
    Var** table
    int mask


cdef inline bint add_var(Var** vars, int n, Var* var, Seen seen) noexcept nogil:
    """Append a variable unless it is there already."""
    cdef int i
    if seen.table == NULL:
        for i in range(n):
            if vars[i] == var:
                return False
    else:
        i = <int>((<size_t>var >> 6) * 0x9E3779B1u) & seen.mask
        while seen.table[i] != NULL:
            if seen.table[i] == var:
                return False
            i = (i + 1) & seen.mask
        seen.table[i] = var
    vars[n] = var
    return True
