# cython: language_level=3
"""Zeros that take no memory until something is written there: gradients of networks that may never be trained."""
from libc.stdlib cimport free, malloc
from posix.mman cimport (MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
                         munmap)

from mxcy._types cimport MAX_NDIM, itemsize
from mxcy.ndarray._ndarray cimport NDArray, set_dims
from mxcy.storage._storage cimport GPU, chunk_wrap, raise_out_of_memory

from mxcy.ndarray._ndarray import new

cdef enum:
    SMALLEST = 1 << 18              # bytes from which on mapping is worth a call of the system

cdef struct Mapping:
    void* data
    size_t nbytes


cdef void unmap(void* owner) noexcept nogil:
    cdef Mapping* mapping = <Mapping*>owner
    munmap(mapping.data, mapping.nbytes)
    free(mapping)


def zeros_on_demand(tuple shape, dtype, ctx):
    """An array of zeros whose pages the system makes when they are first touched; None if small, or not on the host.

    Parameters
    ----------
    shape : tuple of int
    dtype : str
    ctx : Context
    """
    cdef NDArray like = new((0,), dtype, ctx), array
    cdef Py_ssize_t dims[MAX_NDIM]
    cdef Py_ssize_t nbytes = itemsize(like.code)
    cdef int axis
    for axis in range(len(shape)):
        dims[axis] = shape[axis]
        nbytes *= dims[axis]
    if nbytes < SMALLEST or like.chunk.device_type == GPU:
        return None
    cdef Mapping* mapping = <Mapping*>malloc(sizeof(Mapping))
    if mapping == NULL:
        raise MemoryError
    mapping.nbytes = nbytes
    mapping.data = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if mapping.data == MAP_FAILED:
        free(mapping)
        raise_out_of_memory(nbytes)
    madvise(mapping.data, nbytes, MADV_HUGEPAGE)        # advice only
    array = NDArray.__new__(NDArray)
    array.code, array.data = like.code, <char*>mapping.data
    array.chunk = chunk_wrap(mapping.data, nbytes, like.chunk.device_type, like.chunk.device_id, unmap, mapping)
    if array.chunk == NULL:
        unmap(mapping)
        raise_out_of_memory(nbytes)
    set_dims(array, <int>len(shape), dims)
    return array
