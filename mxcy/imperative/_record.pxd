# cython: language_level=3
"""The tape: where arrays come from, as far as autograd is concerned."""
from libc.stdint cimport int64_t

from mxcy.imperative._bound cimport Bound, Signature
from mxcy.ndarray._ndarray cimport NDArray

cdef enum Want:                         # what a gradient rule can ask for
    WANT_F
    WANT_G
    WANT_GS
    WANT_INPUT
    WANT_INPUTS
    WANT_OUTPUT
    WANT_VALUE
    WANT_NEEDS
    WANT_TRAIN
    WANT_SCALAR

cdef class Rule:                        # a gradient rule and what it wants to receive
    cdef object function                # None: the operator has no gradient
    cdef Py_ssize_t count               # inputs of the call
    cdef list wants                     # (kind, position or value) of each positional argument
    cdef dict constants                 # keyword-only arguments, parameters all
    cdef bint all_inputs                # the rule names every input
    cdef frozenset inputs               # positions of the inputs that it names
    cdef frozenset outputs              # positions of the outputs that it names

cdef class Origin:                      # where an array comes from, for autograd
    cdef int64_t visit                  # number of the backward pass that saw it last
    cdef Py_ssize_t pending             # consumers in that pass that have not delivered yet
    cdef list grads                     # gradients of its outputs so far, in that pass

cdef class Variable(Origin):            # an array that wants a gradient
    cdef public NDArray grad
    cdef public str req                 # "write" or "add"
    cdef bint fresh                     # written since the user last looked

cdef class Node(Origin):                # a recorded call
    cdef Bound bound                    # None: a custom function
    cdef Rule rule
    cdef Signature signature
    cdef object function                # of a custom function: gradients of the outputs -> gradients of the inputs
    cdef bint direct                    # the function also takes arrays to write the gradients to
    cdef tuple parents                  # Origin of each input, or None
    cdef tuple indices                  # which output of the parent each input is
    cdef tuple inputs                   # arrays that the rule names, else None
    cdef tuple outputs                  # detached views of the outputs that the rule names, else None
    cdef readonly int count             # visible outputs
    cdef double scalar
    cdef bint train, released

cdef NDArray detached(NDArray array)
cdef int record(Bound bound, Signature signature, tuple inputs, list outputs, double scalar) except -1
