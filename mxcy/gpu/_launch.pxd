# cython: language_level=3
"""Recipes: launches that are ready to be issued, as a kernel of the operator table."""
from libc.stdint cimport uint8_t, uint64_t

from mxcy._types cimport Call, Tensor
from mxcy.gpu._driver cimport handle_t

cdef enum Source:                       # of a patch
    FROM_TENSOR
    FROM_WORKSPACE
    FROM_SCALAR
    FROM_RANDOM
    FROM_TRAIN
    FROM_NOTICE

cdef struct Patch:                      # what a call puts into a parameter buffer
    Source source
    int tensor
    int at                              # in the buffer
    Py_ssize_t offset                   # from the tensor's address

cdef struct Routine:                    # of a library, for one device: the head of a struct of whoever prepares it
    long refs
    # Issue to the stream, with packed arguments. 0, or 1 with what went wrong in text.
    int (*run)(Routine* routine, handle_t stream, const void* buffer, char* text, size_t room) noexcept nogil
    void (*free)(Routine* routine) noexcept nogil

cdef struct Issue:                      # a launch, or a call of a library; with neither, a fill
    handle_t function
    Routine* routine
    unsigned grid[3]
    unsigned block[3]
    unsigned shared
    char* buffer
    size_t size                         # of the buffer; of a fill, the bytes to fill
    Patch* patches
    int n_patches
    uint8_t value
    uint8_t training                    # for calls in training mode only

cdef struct Issues:
    long refs
    int device
    int count
    Issue* items
    Py_ssize_t workspace                # bytes

cdef class Prepared:                    # holds one reference
    cdef Routine* routine

cdef class Recipe:
    cdef Issues* issues

cdef void issues_release(Issues* issues) noexcept nogil     # gives one reference back

# From here on kernels that this thread issues look in device memory for what they draw: seed and counter are two uint64_t
# at `run`, and a call with the counter first + i draws from that counter + i, in other runs of a recording, too. NULL:
# calls tell.
cdef void draw_from(const void* run, uint64_t first) noexcept nogil

# A kernel_t; call.info is the Issues. It only issues.
cdef int run_recipe(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil
