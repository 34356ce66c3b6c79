# cython: language_level=3
"""Kernel: a compiled function per dtype, with what the caller must know about it. Owned by the operator table."""
from mxcy._types cimport N_DTYPES, Call, Tensor, kernel_t, tile_t, workspace_t

ctypedef double (*flops_t)(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil

cdef struct KernelInfo:             # plain C, reachable from Call.info without the GIL
    kernel_t table[N_DTYPES]
    tile_t tiles[N_DTYPES]
    workspace_t workspace
    flops_t flops                   # or NULL
    int dispatch                    # the input whose dtype picks the table entry; -1: output 0
    int arity                       # elementwise: number of tile inputs
    int scalar_slot                 # elementwise: tile input that is Call.scalar, or -1
    double cost                     # ns per element of the largest tensor, one thread

cdef class Kernel:
    cdef KernelInfo info
    cdef readonly str name
    cdef readonly bint inplace      # outputs[0] may share memory with any input of its size
    cdef readonly bint parallel     # uses call.threads
    cdef public object cuda         # what to launch on a GPU: see ops/cuda; or None
    cdef readonly object functor    # (header, class template) of an elementwise kernel, or None
    cdef readonly object pack       # dict of parameters -> bytes, or None

cdef int through_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil    # 16-bit floats as float32
