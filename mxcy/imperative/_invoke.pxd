# cython: language_level=3
"""An operator with its parameters, ready to be called; and the call itself."""
from libc.stdint cimport int64_t

from mxcy._types cimport kernel_t
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.ops._kernel cimport Kernel

cdef struct Packed:                     # parameters as the kernel reads them; outlives its Bound while tasks need it
    long refs                           # the parameters start 16 bytes in

cdef class Signature:                   # what follows from the shapes and dtypes of the inputs
    cdef bytes key                      # those shapes and dtypes
    cdef int count                      # outputs
    cdef int* codes
    cdef int* ranks
    cdef Py_ssize_t** dims
    cdef kernel_t run
    cdef char* writes                   # per input: whether the kernel changes it; NULL: none
    cdef int visible                    # outputs that users see
    cdef Py_ssize_t workspace           # bytes of scratch
    cdef double cost                    # ns on one thread, estimated

cdef class Bound:                       # an operator and its parsed parameters
    cdef readonly object operator
    cdef readonly dict params
    cdef readonly Kernel kernel
    cdef Packed* packed
    cdef const char* name
    cdef bint random
    cdef object compose
    cdef Signature last                 # the one used last
    cdef dict signatures
    cdef Rule rule                      # its gradient; made when first recorded

cdef class Rule:                        # a gradient rule and what it wants to receive
    cdef object function                # None: the operator has no gradient
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
    cdef Signature signature
    cdef object function                # of a custom function: gradients of the outputs -> gradients of the inputs
    cdef tuple parents                  # Origin of each input, or None
    cdef tuple indices                  # which output of the parent each input is
    cdef tuple inputs                   # arrays that the rule names, else None
    cdef tuple outputs                  # detached views of the outputs that the rule names, else None
    cdef readonly int count             # visible outputs
    cdef double scalar
    cdef bint train, released

cdef Signature signature_of(Bound bound, tuple inputs)
cdef NDArray detached(NDArray array)
cdef object arithmetic(int code, object left, object right, object out)
cdef int assign(NDArray target, NDArray source) except -1
cdef object invoke(Bound bound, tuple inputs, object out, double scalar)
cdef int execute(Bound bound, Signature signature, tuple inputs, list outputs, double scalar, bint fresh) except -1
