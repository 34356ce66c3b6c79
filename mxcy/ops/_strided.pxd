# cython: language_level=3
"""The strided copy behind every operator that only moves data. Nothing here allocates or needs the GIL."""
from mxcy._types cimport MAX_NDIM, Tensor

cdef enum:
    MAX_AXES = 2 * MAX_NDIM             # tile and repeat see one axis as two

cdef struct Region:                     # part of an array: where it starts, in items, and how it steps
    Py_ssize_t offset
    Py_ssize_t stride[MAX_NDIM]

# Strides are in items; 0 and negative ones are allowed in src, negative ones in dst. No item of dst may stand for two.
cdef void strided_copy(void* dst, const Py_ssize_t* dst_stride, const void* src, const Py_ssize_t* src_stride,
                       const Py_ssize_t* shape, int ndim, Py_ssize_t itemsize, int threads) noexcept nogil
cdef void copy_region(void* dst, const Region* to, const void* src, const Region* source, const Py_ssize_t* shape,
                      int ndim, Py_ssize_t itemsize, int threads) noexcept nogil
cdef void copy_bytes(void* dst, const void* src, Py_ssize_t nbytes, int threads) noexcept nogil
cdef void clear(Tensor* x, int threads) noexcept nogil                      # fill with zeros
cdef void write_number(void* out, double value, int dtype) noexcept nogil    # one item, as a C cast gives it
cdef void dense_strides(const Py_ssize_t* shape, int ndim, Py_ssize_t* stride) noexcept nogil
cdef void whole(const Tensor* x, Region* region) noexcept nogil             # all of a dense array

cdef inline Py_ssize_t product(const Py_ssize_t* shape, int begin, int end) noexcept nogil:
    cdef Py_ssize_t n = 1
    cdef int i
    for i in range(begin, end):
        n *= shape[i]
    return n
