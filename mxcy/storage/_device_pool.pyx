# cython: language_level=3
"""A pool of GPU memory for each device.

A block is freed when the host drops it, while kernels that use it may still be queued. Whoever gets it next uses it on
the same stream, behind them; so nothing waits. Giving memory back to the driver waits for the whole device, and is done
only when there is no other way, or when the user asks.
"""
from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from mxcy.engine._thread cimport pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock
from mxcy.gpu._device cimport MAX_DEVICES, device_start, devices, enter, leave
from mxcy.gpu._driver cimport address_t, check, cu, handle_t
from mxcy.storage._classes cimport N_CLASSES, class_of, class_size

from mxcy.base import MXNetError
from mxcy.gpu._device import memory_info

cdef enum:
    SLAB = 1 << 21              # bytes that small blocks are cut from: the driver gives no less
    LARGE = 1 << 20             # from this size on a block is the driver's own
    NEAR = 3                    # a large request also takes a block up to so many classes larger: less than double

cdef struct Pool:
    pthread_mutex_t mutex       # also held while the driver is asked, which can take long
    int64_t in_use, cached, peak
    vector[address_t]* free     # one list for each class; never destroyed, for tasks may outlive this module

cdef Pool[MAX_DEVICES] pools

cdef extern from *:
    """
    #include <vector>
    static std::vector<unsigned long long>* mxcy_new_lists(void) { return new std::vector<unsigned long long>[232]; }
    """
    vector[address_t]* new_lists "mxcy_new_lists"() noexcept nogil


cdef int64_t shrink(int number) noexcept nogil:
    """Give all large cached blocks back to the driver; returns how many bytes. The mutex is held."""
    cdef Pool* pool = &pools[number]
    cdef int64_t given = 0
    cdef int i
    for i in range(class_of(LARGE), N_CLASSES):
        while not pool.free[i].empty():
            cu.free(pool.free[i].back())
            pool.free[i].pop_back()
            given += class_size(i)
    pool.cached -= given
    return given


cdef void* device_new(int number, Py_ssize_t nbytes, int* index) noexcept nogil:
    cdef Pool* pool = &pools[number]
    cdef int wanted = class_of(nbytes), i
    cdef int64_t size, at
    cdef address_t block = 0
    cdef handle_t before
    if nbytes < 0 or nbytes > <Py_ssize_t>1 << 62:
        return NULL
    pthread_mutex_lock(&pool.mutex)
    if pool.free == NULL:
        pool.free = new_lists()
    for i in range(wanted, min(wanted + NEAR + 1, N_CLASSES) if class_size(wanted) >= LARGE else wanted + 1):
        if not pool.free[i].empty():
            block = pool.free[i].back()
            pool.free[i].pop_back()
            pool.cached -= class_size(i)
            wanted = i
            break
    if block == 0 and enter(number, &before) == 0:
        size = class_size(wanted)
        if size < LARGE:
            if cu.malloc(&block, SLAB) == 0 or (shrink(number) and cu.malloc(&block, SLAB) == 0):
                at = size
                while at + size <= SLAB:
                    pool.free[wanted].push_back(block + at)
                    pool.cached += size
                    at += size
            else:
                block = 0
        elif cu.malloc(&block, size) != 0 and not (shrink(number) and cu.malloc(&block, size) == 0):
            block = 0
        leave(number, before)
    if block != 0:
        pool.in_use += class_size(wanted)
        pool.peak = max(pool.peak, pool.in_use)
    pthread_mutex_unlock(&pool.mutex)
    index[0] = wanted
    return <void*>block


cdef void device_free(int number, void* data, int index) noexcept nogil:
    cdef Pool* pool = &pools[number]
    if devices[number].failed:
        return                  # the context is gone, or belongs to the parent process
    pthread_mutex_lock(&pool.mutex)
    pool.free[index].push_back(<address_t>data)
    pool.in_use -= class_size(index)
    pool.cached += class_size(index)
    pthread_mutex_unlock(&pool.mutex)


cdef int raise_out_of_device_memory(int number, Py_ssize_t nbytes) except -1:
    cdef Pool* pool = &pools[number]
    if devices[number].failed:
        check(devices[number].failed, b"asking for memory on a device that failed before")
    free, total = memory_info(number)
    raise MXNetError(f"gpu({number}) is out of memory: {nbytes:,} bytes were asked for; {pool.in_use:,} are in use, "
                     f"{pool.cached:,} cached, and {free:,} of {total:,} free on the device. Use smaller batches, or let "
                     "arrays go that are not needed.")


def device_memory(int number):
    """Bytes of a GPU's memory that arrays take: ``in_use``, ``cached`` and ``peak``, as `memory` tells for the host."""
    device_start(number)
    return {"in_use": pools[number].in_use, "cached": pools[number].cached, "peak": pools[number].peak}


def empty_device_cache(int number):
    """Give cached memory of a GPU back to the driver, but for the small blocks. Waits for the device."""
    cdef handle_t before
    device_start(number)
    if pools[number].free == NULL:
        return
    check(enter(number, &before), b"giving memory back")
    with nogil:
        pthread_mutex_lock(&pools[number].mutex)
        shrink(number)
        pthread_mutex_unlock(&pools[number].mutex)
    leave(number, before)


for _number in range(MAX_DEVICES):
    pthread_mutex_init(&pools[<int>_number].mutex, NULL)
