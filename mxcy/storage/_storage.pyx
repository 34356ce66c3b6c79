# cython: language_level=3
"""Chunks: pooled bytes with a reference count and the engine's variable in front of them."""
from libc.stdint cimport int64_t

from mxcy.engine._atomic cimport ACQ_REL, RELAXED, add64, add_long, store64
from mxcy.engine._engine cimport var_drop, var_init, wait_all, wait_some
from mxcy.storage._device_pool cimport (device_free, device_new, device_start_if_any, landing_free, landing_new,
                                        locked_free, locked_new, raise_out_of_device_memory)
from mxcy.storage._pool cimport HEADER, block_free, block_new, pool_empty, pool_statistics

from mxcy.base import MXNetError

# A program asks for memory when it pushes, and frees it when what it pushed is done. So after each RUN_AHEAD bytes in
# large arrays it waits for some of that: the queue stays short where arrays are large, and memory is used again while
# it is still in the caches.
cdef enum:
    LARGE = 1 << 20
    RUN_AHEAD = 1 << 25

cdef int64_t ahead              # bytes asked for since the last wait


cdef Chunk* chunk_new(Py_ssize_t nbytes, int device_type, int device_id) noexcept nogil:
    cdef int index
    cdef Chunk* chunk
    if device_type == GPU:
        return chunk_of(&DEVICE, nbytes, GPU, device_id)
    if device_type == PINNED:
        chunk = chunk_of(&LOCKED, nbytes, PINNED, device_id)
        if chunk != NULL:               # else any memory will do
            return chunk
    chunk = <Chunk*>block_new(nbytes, &index)
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


# Chunks whose data are not behind them: those of the device's pools.
cdef struct Source:
    void* (*get)(int number, Py_ssize_t nbytes, int* index) noexcept nogil
    void (*give_back)(int number, void* data, int index) noexcept nogil
    free_t free

cdef Source DEVICE = Source(device_new, device_free, free_device)
cdef Source LANDING = Source(landing_new, landing_free, free_landing)
cdef Source LOCKED = Source(locked_new, locked_free, free_locked)


cdef void free_device(void* owner) noexcept nogil:
    cdef Chunk* chunk = <Chunk*>owner
    device_free(chunk.device_id, chunk.data, chunk.device_class)


cdef void free_landing(void* owner) noexcept nogil:
    cdef Chunk* chunk = <Chunk*>owner
    landing_free(chunk.device_id, chunk.data, chunk.device_class)


cdef void free_locked(void* owner) noexcept nogil:
    cdef Chunk* chunk = <Chunk*>owner
    locked_free(chunk.device_id, chunk.data, chunk.device_class)


cdef bint chunk_locked(const Chunk* chunk) noexcept nogil:
    return chunk.free == free_locked


cdef Chunk* chunk_of(const Source* source, Py_ssize_t nbytes, int device_type, int device_id) noexcept nogil:
    cdef int index
    cdef void* data = source.get(device_id, nbytes, &index)
    cdef Chunk* chunk = NULL
    if data != NULL:
        chunk = chunk_wrap(data, nbytes, device_type, device_id, source.free, NULL)
        if chunk == NULL:
            source.give_back(device_id, data, index)
        else:
            chunk.owner, chunk.device_class = chunk, index
    return chunk


cdef Chunk* chunk_wrap(void* data, Py_ssize_t nbytes, int device_type, int device_id,
                       free_t free, void* owner) noexcept nogil:
    cdef Chunk* chunk = chunk_new(0, 1, 0)
    if chunk != NULL:
        chunk.device_type, chunk.device_id = device_type, device_id
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
    block_free(<char*>chunk, chunk.size_class)


cdef inline Chunk* chunk_try(Py_ssize_t nbytes, int device_type, int device_id, bint landing) noexcept nogil:
    if landing and device_type == GPU:
        return chunk_of(&LANDING, nbytes, GPU, device_id)
    return chunk_new(nbytes, device_type, device_id)


cdef Chunk* chunk_get(Py_ssize_t nbytes, int device_type, int device_id, bint landing=False) except NULL:
    cdef Chunk* chunk
    if device_type == PINNED:
        device_start_if_any(device_id)
    if nbytes >= LARGE and device_type != GPU and add64(&ahead, nbytes, RELAXED) > RUN_AHEAD:
        store64(&ahead, 0, RELAXED)
        wait_some()
    chunk = chunk_try(nbytes, device_type, device_id, landing)
    if chunk == NULL and nbytes >= 0:
        wait_all()                      # queued operations hold memory
        chunk = chunk_try(nbytes, device_type, device_id, landing)
    if chunk == NULL and device_type == GPU:
        raise_out_of_device_memory(device_id, nbytes)
    if chunk == NULL:
        raise_out_of_memory(nbytes)
    return chunk


cdef void* scratch_new(Py_ssize_t nbytes) noexcept nogil:
    cdef int index
    cdef char* block = block_new(nbytes, &index)
    if block == NULL:
        return NULL
    (<int*>block)[0] = index
    return block + HEADER


cdef void scratch_free(void* data) noexcept nogil:
    cdef char* block = <char*>data - HEADER
    if data != NULL:
        block_free(block, (<int*>block)[0])


cdef int raise_out_of_memory(Py_ssize_t nbytes) except -1:
    held = pool_statistics()
    raise MXNetError(f"out of memory: {nbytes:,} bytes were asked for; {held['in_use']:,} are in use and "
                     f"{held['cached']:,} cached. Use smaller batches, or let arrays go that are not needed.")


def memory():
    """Host memory that arrays take.

    Returns
    -------
    dict
        ``in_use``: bytes in arrays and scratch space, in the sizes that the pool hands out. ``cached``: freed bytes
        that wait for the next request. ``peak``: the most that was in use.
    """
    return pool_statistics()


def empty_cache():
    """Give cached memory back to the system."""
    with nogil:
        pool_empty()
