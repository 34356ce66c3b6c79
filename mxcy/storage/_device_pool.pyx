# cython: language_level=3
"""A pool of GPU memory for each device, and one of page-locked memory of the host.

A block is freed when the host drops it, while kernels that use it may still be queued. Whoever gets it next uses it on
the same stream, behind them; so nothing waits. Giving memory back to the driver waits for the whole device, and is done
only when there is no other way, or when the user asks.

Blocks that are uploaded to first ("landing") are kept apart: the stream of the uploads is another one. Each has an event
behind what was issued before it was freed, and uploads to it wait for that. In a loop the block of the batch before last
comes next, so a batch is uploaded while kernels compute with the one before. Had kernels used the block meanwhile, the
upload would wait for them. Kernels get landing blocks where many are unused, as when parameters were loaded.
"""
from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from mxcy.engine._thread cimport pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock
from mxcy.gpu._device cimport (MAX_DEVICES, device_start, devices, enter, event_free, failed, follow, leave, mark)
from mxcy.gpu._driver cimport address_t, check, cu, handle_t
from mxcy.storage._classes cimport N_CLASSES, class_of, class_size

from mxcy.base import MXNetError
from mxcy.gpu._device import memory_info

cdef enum:
    SLAB = 1 << 21              # bytes that small blocks are cut from: the driver gives no less
    LARGE = 1 << 20             # from this size on a block is the driver's own
    NEAR = 3                    # a large request also takes a block up to so many classes larger: less than double
    PORTABLE = 1                # of page-locked memory: for all devices
    KEPT = 8                    # landing blocks of a class that kernels get only when there is no other memory

cdef enum:                      # lists of a pool
    PLAIN
    LANDING

cdef extern from *:
    """
    #include <vector>
    struct mxcy_freed { unsigned long long at; void* after; };
    static std::vector<mxcy_freed>* mxcy_new_lists(void) { return new std::vector<mxcy_freed>[232]; }
    """
    ctypedef struct Freed "mxcy_freed":
        address_t at
        handle_t after          # of landing blocks: an event behind their last use
    vector[Freed]* new_lists "mxcy_new_lists"() noexcept nogil

cdef struct Pool:
    pthread_mutex_t mutex       # also held while the driver is asked, which can take long
    bint on_host
    int device                  # whose context makes the memory
    int64_t in_use, cached, peak
    vector[Freed]* lists[2]     # each one for every class; never destroyed, for tasks may outlive this module

cdef Pool[MAX_DEVICES] pools, locked_pools


# -- blocks; the mutex is held -----------------------------------------------------------------------------------------

cdef int64_t shrink(Pool* pool) noexcept nogil:
    """Give all large cached blocks back to the driver; returns how many bytes."""
    cdef int64_t given = 0
    cdef int i, kind
    for kind in range(2):
        for i in range(class_of(LARGE), N_CLASSES):
            while not pool.lists[kind][i].empty():
                if pool.on_host:
                    cu.host_free(<void*>pool.lists[kind][i].back().at)
                else:
                    cu.free(pool.lists[kind][i].back().at)
                event_free(pool.device, pool.lists[kind][i].back().after)
                pool.lists[kind][i].pop_back()
                given += class_size(i)
    pool.cached -= given
    return given


cdef bint take(Pool* pool, int kind, size_t rest, int* index, Freed* block) noexcept nogil:
    """A cached block of the class, or of one a little larger, where there are more than ``rest``."""
    cdef int wanted = index[0], i
    for i in range(wanted, min(wanted + NEAR + 1, N_CLASSES) if class_size(wanted) >= LARGE else wanted + 1):
        if pool.lists[kind][i].size() > rest:
            block[0] = pool.lists[kind][i].back()
            pool.lists[kind][i].pop_back()
            pool.cached -= class_size(i)
            index[0] = i
            return True
    return False


cdef int allocate(Pool* pool, int64_t nbytes, Freed* block) noexcept nogil:
    block.after = NULL
    return cu.host_malloc(<void**>&block.at, nbytes, PORTABLE) if pool.on_host else cu.malloc(&block.at, nbytes)


cdef bint ask(Pool* pool, int index, Freed* block) noexcept nogil:
    """A block from the driver; of a small one's slab the rest is cached."""
    cdef int64_t size = class_size(index), at = size
    cdef int64_t nbytes = size if size >= LARGE else <int64_t>SLAB
    cdef bint made
    cdef Freed rest
    cdef handle_t before
    if enter(pool.device, &before):
        return False
    made = allocate(pool, nbytes, block) == 0 or (shrink(pool) and allocate(pool, nbytes, block) == 0)
    leave(pool.device, before)
    while made and at + size <= nbytes:
        rest.at, rest.after = block.at + at, NULL
        pool.lists[PLAIN][index].push_back(rest)
        pool.cached += size
        at += size
    return made


cdef bint open_pool(Pool* pool, Py_ssize_t nbytes, int* index) noexcept nogil:
    """Take the mutex for a request; without it if none so large can be served."""
    if nbytes < 0 or nbytes > <Py_ssize_t>1 << 62:
        return False
    index[0] = class_of(nbytes)
    pthread_mutex_lock(&pool.mutex)
    if pool.lists[PLAIN] == NULL:
        pool.lists[PLAIN], pool.lists[LANDING] = new_lists(), new_lists()
    return True


cdef void* hand_out(Pool* pool, int index, const Freed* block, bint made) noexcept nogil:
    """Count the block, if one was made, and give the mutex back."""
    if made:
        pool.in_use += class_size(index)
        pool.peak = max(pool.peak, pool.in_use)
    pthread_mutex_unlock(&pool.mutex)
    return <void*>block.at if made else NULL


cdef void put_back(Pool* pool, void* data, int index, handle_t after) noexcept nogil:
    cdef Freed block
    block.at, block.after = <address_t>data, after
    pthread_mutex_lock(&pool.mutex)
    pool.lists[PLAIN if after == NULL else LANDING][index].push_back(block)
    pool.in_use -= class_size(index)
    pool.cached += class_size(index)
    pthread_mutex_unlock(&pool.mutex)


# -- what others see ---------------------------------------------------------------------------------------------------

cdef void* device_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil:
    cdef Pool* pool = &pools[number]
    cdef Freed block
    cdef bint made
    if not open_pool(pool, nbytes, index):
        return NULL
    made = (take(pool, PLAIN, 0, index, &block) or take(pool, LANDING, KEPT, index, &block)
            or ask(pool, index[0], &block) or take(pool, LANDING, 0, index, &block))
    if made:
        event_free(number, block.after)
    return hand_out(pool, index[0], &block, made)


cdef void device_free(int number, void* data, int index) noexcept nogil:
    if not devices[number].failed:      # else the context is gone, or belongs to the parent process
        put_back(&pools[number], data, index, NULL)


cdef void* landing_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil:
    cdef Pool* pool = &pools[number]
    cdef handle_t before
    cdef Freed block
    cdef bint used = True, made = True
    cdef int status
    cdef void* data
    cdef char text[600]
    if not open_pool(pool, nbytes, index):
        return NULL
    if not take(pool, LANDING, 0, index, &block) and not take(pool, PLAIN, 0, index, &block):
        used, made = False, ask(pool, index[0], &block)
    data = hand_out(pool, index[0], &block, made)
    if made and used:
        status = enter(number, &before)
        if status == 0:
            if block.after != NULL:
                status = cu.stream_wait(devices[number].uploads, block.after, 0)
            else:                       # kernels had it
                status = follow(number, devices[number].uploads, devices[number].compute)
            event_free(number, block.after)
            leave(number, before)
        if status:
            failed(number, status, b"waiting for memory to be free", text, sizeof(text))
            device_free(number, data, index[0])
            return NULL
    return data


cdef void landing_free(int number, void* data, int index) noexcept nogil:
    cdef handle_t before, after = NULL
    if enter(number, &before) == 0:
        mark(number, devices[number].compute, &after)           # without an event it is a plain block
        leave(number, before)
        put_back(&pools[number], data, index, after)


cdef void* locked_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil:
    cdef Pool* pool
    cdef Freed block
    cdef bint made
    if not 0 <= number < MAX_DEVICES or not devices[number].started or devices[number].failed:
        return NULL
    pool = &locked_pools[number]
    if not open_pool(pool, nbytes, index):
        return NULL
    made = take(pool, PLAIN, 0, index, &block) or ask(pool, index[0], &block)
    return hand_out(pool, index[0], &block, made)


cdef void locked_free(int number, void* data, int index) noexcept nogil:
    if not devices[number].failed:
        put_back(&locked_pools[number], data, index, NULL)


cdef set unusable = set()       # devices that could not be started for page-locked memory


cdef void device_start_if_any(int number) noexcept:
    if not (0 <= number < MAX_DEVICES and devices[number].started) and number not in unusable:
        try:
            device_start(number)
        except MXNetError:
            unusable.add(number)


cdef int raise_out_of_device_memory(int number, Py_ssize_t nbytes) except -1:
    cdef Pool* pool = &pools[number]
    cdef char text[600]
    if devices[number].failed:
        failed(number, devices[number].failed, b"asking for memory on a device that failed before", text, sizeof(text))
        raise MXNetError(text.decode("utf-8", "replace"))
    free, total = memory_info(number)
    raise MXNetError(f"gpu({number}) is out of memory: {nbytes:,} bytes were asked for; {pool.in_use:,} are in use, "
                     f"{pool.cached:,} cached, and {free:,} of {total:,} free on the device. Use smaller batches, or let "
                     "arrays go that are not needed.")


def device_memory(int number):
    """Bytes of a GPU's memory that arrays take: ``in_use``, ``cached`` and ``peak``, as `memory` tells for the host."""
    device_start(number)
    return {"in_use": pools[number].in_use, "cached": pools[number].cached, "peak": pools[number].peak}


def locked_memory(int number):
    """Bytes of page-locked memory of the host that arrays on ``mx.cpu_pinned(number)`` take, as `device_memory` tells."""
    cdef Pool* pool = &locked_pools[number] if 0 <= number < MAX_DEVICES else <Pool*>NULL
    if pool == NULL:
        raise MXNetError(f"cpu_pinned({number}): there are at most {MAX_DEVICES} devices")
    return {"in_use": pool.in_use, "cached": pool.cached, "peak": pool.peak}


def empty_device_cache(int number):
    """Give cached memory of a GPU, and what is page-locked for it, back to the driver, but for the small blocks.

    Waits for the device.
    """
    cdef handle_t before
    cdef Pool* pool
    cdef int i
    device_start(number)
    check(enter(number, &before), b"giving memory back")
    with nogil:
        for i in range(2):
            pool = &locked_pools[number] if i else &pools[number]
            pthread_mutex_lock(&pool.mutex)
            if pool.lists[PLAIN] != NULL:
                shrink(pool)
            pthread_mutex_unlock(&pool.mutex)
    leave(number, before)


cdef int _number
for _number in range(MAX_DEVICES):
    pthread_mutex_init(&pools[_number].mutex, NULL)
    pthread_mutex_init(&locked_pools[_number].mutex, NULL)
    pools[_number].device = locked_pools[_number].device = _number
    locked_pools[_number].on_host = True
