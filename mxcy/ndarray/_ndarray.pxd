# cython: language_level=3
"""NDArray as other compiled modules see it: a dense piece of a Chunk. The GIL is held wherever objects appear."""
from mxcy._types cimport MAX_NDIM, Tensor
from mxcy.engine._engine cimport Var
from mxcy.storage._storage cimport Chunk

cdef enum:
    SHORT_NDIM = 6

cdef class NDArray:
    cdef Chunk* chunk               # owned reference
    cdef char* data                 # first element, inside chunk.data
    cdef Py_ssize_t* dims           # `short`, or an allocation of its own above SHORT_NDIM axes
    cdef Py_ssize_t nelem
    cdef int code                   # dtype number
    cdef int rank
    cdef Py_ssize_t short[SHORT_NDIM]
    cdef bint shared                # another array may lie over the same memory
    cdef int node_index             # which output of the node it is
    cdef object node                # where autograd knows the array from: None, a Variable or a Node
    cdef object __weakref__

# landing: what is done first with the array is a copy from the host, see chunk_get
cdef NDArray empty(int code, int rank, const Py_ssize_t* dims, int device_type, int device_id, bint landing=*)
cdef NDArray view(NDArray base, char* data, int code, int rank, const Py_ssize_t* dims)
cdef int set_dims(NDArray array, int rank, const Py_ssize_t* dims) except -1
cdef object dims_tuple(int rank, const Py_ssize_t* dims)
cdef int wait_read(NDArray array) except -1

cdef inline void as_tensor(NDArray array, Tensor* tensor) noexcept:
    tensor.data, tensor.dtype, tensor.ndim = array.data, array.code, array.rank
    tensor.size, tensor.shape = array.nelem, array.dims

# What the layer above (imperative) plugs in, so that the operators of the class reach it without a Python call.
ctypedef object (*binary_hook)(int operation, object left, object right)
ctypedef object (*inplace_hook)(int operation, NDArray left, object right)

ctypedef int (*assign_hook)(NDArray target, object number) except -1

cdef struct Hooks:
    binary_hook binary              # one of the Arithmetic codes
    inplace_hook inplace
    assign_hook assign              # every element becomes the number

cdef enum Arithmetic:
    ADD
    SUB
    MUL
    DIV
    MOD
    POW
    EQ
    NE
    GT
    GE
    LT
    LE

cdef Hooks hooks
