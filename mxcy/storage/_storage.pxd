# cython: language_level=3
"""Storage: bytes on a device, pooled, reference counted, with the engine's variable in the same allocation."""
from mxcy.engine._engine cimport Var

ctypedef void (*free_t)(void* owner) noexcept nogil

cdef enum:
    GPU = 2                             # of Chunk.device_type
    PINNED = 3

cdef struct Chunk:
    Var var
    void* data                          # 64-byte aligned when pooled
    Py_ssize_t nbytes                   # bytes usable at data
    long refs                           # atomic
    int device_type                     # MXNet's: 1 cpu, 2 gpu, 3 cpu_pinned, 5 cpu_shared
    int device_id
    int size_class                      # the pool's own ...
    int device_class                    # ... and the device pool's
    free_t free                         # foreign memory: called with owner when the last reference goes, else NULL
    void* owner

# With one reference; NULL: no memory.
cdef Chunk* chunk_new(Py_ssize_t nbytes, int device_type, int device_id) noexcept nogil
cdef Chunk* chunk_wrap(void* data, Py_ssize_t nbytes, int device_type, int device_id,
                       free_t free, void* owner) noexcept nogil
# GIL held: the same, but waits for memory that queued operations hold, before it raises. landing: on a GPU, the first
# that is done with it is a copy from the host, which is told that it is fresh.
cdef Chunk* chunk_get(Py_ssize_t nbytes, int device_type, int device_id, bint landing=*) except NULL
cdef bint chunk_locked(const Chunk* chunk) noexcept nogil       # whether its memory is page-locked
cdef void chunk_retain(Chunk* chunk) noexcept nogil
cdef void chunk_release(Chunk* chunk) noexcept nogil

cdef void* scratch_new(Py_ssize_t nbytes) noexcept nogil        # pooled host bytes without a variable; NULL: no memory
cdef void scratch_free(void* data) noexcept nogil
cdef int raise_out_of_memory(Py_ssize_t nbytes) except -1       # GIL held: MXNetError naming request, in use and cached
