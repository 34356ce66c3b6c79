# cython: language_level=3
"""Chunks: pooled bytes with a reference count and the engine's variable in front of them."""
from libc.stdlib cimport free, malloc

from mxcy.base import MXNetError

from mxcy.engine._atomic cimport ACQ_REL, RELAXED, add64, add_long, load64, spin_lock, spin_unlock
from mxcy.engine._engine cimport var_drop, var_init

from libc.stdint cimport int64_t

cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size) noexcept

cdef enum:
    HEADER = 128                        # a Chunk before its data, in one block
    PREFIX = 64                         # the class of a scratch block before its data
    N_CLASSES = 256

cdef struct Free:
    int lock
    void* head

cdef Free[N_CLASSES] pool
cdef int64_t in_use, cached


cdef inline int class_of(size_t nbytes) noexcept nogil:
    """Sizes are 64 bytes times 1, 2, 3, 4, then four per doubling: 5, 6, 7, 8, 10, 12, 14, 16, 20, ..."""
    cdef size_t units = (nbytes + 63) >> 6
    cdef int k
    if units <= 4:
        return <int>units - 1 if units else 0
    k = 61 - __builtin_clzll(units - 1)
    return 4 + 4 * k + <int>((units - 1) >> k) - 4


cdef inline size_t class_size(int index) noexcept nogil:
    if index < 4:
        return (<size_t>index + 1) << 6
    return (<size_t>(index & 3) + 5) << ((index >> 2) - 1 + 6)


cdef extern from *:
    int __builtin_clzll(unsigned long long value) nogil


cdef void* block_new(size_t nbytes, int* index) noexcept nogil:
    cdef Free* slot
    cdef void* block
    if nbytes > (<size_t>1 << 62):
        return NULL
    index[0] = class_of(nbytes)
    slot = &pool[index[0]]
    spin_lock(&slot.lock)
    block = slot.head
    if block != NULL:
        slot.head = (<void**>block)[0]
    spin_unlock(&slot.lock)
    if block == NULL:
        block = aligned_alloc(64, class_size(index[0]))
        if block == NULL:
            return NULL
    else:
        add64(&cached, -<int64_t>class_size(index[0]), RELAXED)
    add64(&in_use, class_size(index[0]), RELAXED)
    return block


cdef void block_free(void* block, int index) noexcept nogil:
    cdef Free* slot = &pool[index]
    add64(&in_use, -<int64_t>class_size(index), RELAXED)
    if load64(&cached, RELAXED) > (<int64_t>1 << 30):
        free(block)
        return
    add64(&cached, class_size(index), RELAXED)
    spin_lock(&slot.lock)
    (<void**>block)[0] = slot.head
    slot.head = block
    spin_unlock(&slot.lock)


cdef Chunk* chunk_new(Py_ssize_t nbytes, int device_type, int device_id) noexcept nogil:
    cdef int index
    cdef Chunk* chunk
    if nbytes < 0:
        return NULL
    chunk = <Chunk*>block_new(<size_t>nbytes + HEADER, &index)
    if chunk == NULL:
        return NULL
    var_init(&chunk.var)
    chunk.data = <char*>chunk + HEADER
    chunk.nbytes = nbytes
    chunk.refs = 1
    chunk.device_type = device_type
    chunk.device_id = device_id
    chunk.size_class = index
    chunk.free = NULL
    chunk.owner = NULL
    return chunk


cdef Chunk* chunk_wrap(void* data, Py_ssize_t nbytes, int device_type, int device_id,
                       free_t free, void* owner) noexcept nogil:
    cdef Chunk* chunk = chunk_new(0, device_type, device_id)
    if chunk != NULL:
        chunk.data = data
        chunk.nbytes = nbytes
        chunk.free = free
        chunk.owner = owner
    return chunk


cdef void chunk_retain(Chunk* chunk) noexcept nogil:
    add_long(&chunk.refs, 1, RELAXED)


cdef void chunk_release(Chunk* chunk) noexcept nogil:
    if add_long(&chunk.refs, -1, ACQ_REL):
        return
    var_drop(&chunk.var)
    if chunk.free != NULL:
        chunk.free(chunk.owner)
    block_free(chunk, chunk.size_class)


cdef void* scratch_new(Py_ssize_t nbytes) noexcept nogil:
    cdef int index
    cdef char* block
    if nbytes < 0:
        return NULL
    block = <char*>block_new(<size_t>nbytes + PREFIX, &index)
    if block == NULL:
        return NULL
    (<int*>block)[0] = index
    return block + PREFIX


cdef void scratch_free(void* data) noexcept nogil:
    cdef char* block = <char*>data - PREFIX
    if data != NULL:
        block_free(block, (<int*>block)[0])


cdef int raise_out_of_memory(Py_ssize_t nbytes) except -1:
    raise MXNetError(f"out of memory: {nbytes} bytes asked for, {load64(&in_use, RELAXED)} in use, "
                     f"{load64(&cached, RELAXED)} cached")
