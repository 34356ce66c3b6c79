# cython: language_level=3
"""An operator with its parameters, ready to be called, and what follows from the shapes of its inputs."""
from mxcy._types cimport Tensor, kernel_t
from mxcy.gpu._launch cimport Issues, Recipe
from mxcy.ops._kernel cimport Kernel

cdef struct Packed:                     # parameters as the kernel reads them; outlives its Bound while tasks need it
    long refs                           # the parameters start 16 bytes in

cdef extern from *:
    """
    static inline void mxcy_packed_retain(long* refs) { __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED); }
    static inline int mxcy_packed_last(long* refs) { return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0; }
    """
    void packed_retain "mxcy_packed_retain"(long* refs) noexcept nogil
    bint packed_last "mxcy_packed_last"(long* refs) noexcept nogil

cdef class Signature:                   # what follows from the shapes and dtypes of the inputs
    cdef bytes key                      # those shapes and dtypes
    cdef int count                      # outputs
    cdef int* codes
    cdef int* ranks
    cdef Py_ssize_t** dims
    cdef kernel_t run
    cdef const void* info               # what the kernel finds at Call.info
    cdef Recipe recipe                  # on a GPU, else None
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
    cdef Py_ssize_t leading             # number of inputs, if they are the operator's first ones; else -1
    cdef bint random
    cdef bint crosses                   # copies to the device that its parameter ``ctx`` names
    cdef object compose
    cdef Signature last                 # the one used last
    cdef dict signatures
    cdef object needed                  # names of the inputs that may not be absent; None until somebody asks
    cdef tuple conversions              # (precision_changes(), what is wanted by the dtypes of inputs), or None
    cdef object rule                    # its gradient, a Rule; made when first recorded

cdef Signature signature_of(Bound bound, tuple inputs)
cdef enum:
    HOST = -1                           # a device number: none

cdef Signature make_signature(Bound bound, list inputs, list outputs, int device)
cdef Signature dimensions(list outputs)
cdef void describe_tensor(Tensor* tensor, Signature types, int i) noexcept
cdef void* bound_params(Bound bound) noexcept
