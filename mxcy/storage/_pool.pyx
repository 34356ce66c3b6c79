# cython: language_level=3
"""A pool of host memory: blocks that were freed wait, by size class, for the next request of their size.

Small blocks come from malloc. Large ones are mapped, with huge pages: the first touch of a mapped page costs far more
than computing what is written there, which is why the pool exists.

What is kept is bounded: before it maps more, the pool gives back what was not used for longest, so that all it holds
stays near the most that was ever in use; and it never caches more than ``MXCY_POOL_LIMIT`` bytes.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free
from libc.string cimport memset
from posix.mman cimport (MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, madvise, mmap,
                         munmap)

from mxcy.engine._atomic cimport spin_lock, spin_unlock
from mxcy.engine._thread cimport pthread_atfork
from mxcy.storage._classes cimport N_CLASSES, class_of, class_size

import os

from mxcy.base import MXNetValueError

cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size) noexcept

cdef enum:
    LARGE = 52                  # the first class of mapped blocks: 1.25 MiB
    NEAR = 3                    # a large request also takes a block up to so many classes larger: less than double

cdef struct Class:
    int lock                    # of a small class; large ones have one lock together
    char* head                  # free blocks, linked through their first bytes
    int64_t in_use              # blocks
    int64_t cached
    int64_t total               # most blocks that there ever were
    int64_t last                # when a large one was last asked for or freed

cdef Class[N_CLASSES] classes
cdef int large_lock             # guards the large classes and what follows
cdef int64_t clock
cdef int64_t large_in_use, large_cached, large_peak      # bytes
cdef int64_t limit              # of cached bytes


# --- small blocks ---------------------------------------------------------------------------------------------------

cdef char* block_new(Py_ssize_t nbytes, int* index) noexcept nogil:
    cdef Class* slot
    cdef char* block
    if nbytes < 0 or nbytes > <Py_ssize_t>1 << 62:
        return NULL
    index[0] = class_of(nbytes)
    if index[0] >= LARGE:
        return large_new(nbytes, index)
    slot = &classes[index[0]]
    spin_lock(&slot.lock)
    block = slot.head
    if block != NULL:
        slot.head = (<char**>block)[0]
        slot.cached -= 1
    slot.in_use += 1
    spin_unlock(&slot.lock)
    if block == NULL:
        block = <char*>aligned_alloc(64, HEADER + class_size(index[0]))
        if block == NULL:
            pool_empty()
            block = <char*>aligned_alloc(64, HEADER + class_size(index[0]))
        spin_lock(&slot.lock)
        slot.total = max(slot.total, slot.in_use + slot.cached)
        slot.in_use -= block == NULL
        spin_unlock(&slot.lock)
    return block


cdef void block_free(char* block, int index) noexcept nogil:
    cdef Class* slot = &classes[index]
    if index >= LARGE:
        large_free(block, index)
        return
    spin_lock(&slot.lock)
    slot.in_use -= 1
    if (slot.cached + 1) * class_size(index) <= limit >> 4:
        (<char**>block)[0] = slot.head
        slot.head = block
        slot.cached += 1
        block = NULL
    spin_unlock(&slot.lock)
    free(block)


# --- large blocks ---------------------------------------------------------------------------------------------------

cdef inline size_t mapped_size(int index) noexcept nogil:
    return (HEADER + class_size(index) + 4095) & ~<size_t>4095


cdef char* large_pop(int index) noexcept nogil:
    """A cached block of this class. The lock is held."""
    global large_cached
    cdef Class* slot = &classes[index]
    cdef char* block = slot.head
    if block != NULL:
        slot.head = (<char**>block)[0]
        slot.cached -= 1
        large_cached -= class_size(index)
    return block


cdef void shrink(int64_t most) noexcept nogil:
    """Give back blocks of the classes that were not used for longest until at most so many bytes are cached."""
    cdef int i, oldest
    cdef char* block
    while True:
        spin_lock(&large_lock)
        oldest = -1
        if large_cached > most:
            for i in range(LARGE, N_CLASSES):
                if classes[i].cached and (oldest < 0 or classes[i].last < classes[oldest].last):
                    oldest = i
        block = large_pop(oldest) if oldest >= 0 else NULL
        spin_unlock(&large_lock)
        if block == NULL:
            return
        munmap(block, mapped_size(oldest))


cdef char* map_block(size_t nbytes, size_t used) noexcept nogil:
    """Fresh memory that begins where a huge page does; no huge page lies beyond what is used."""
    cdef size_t huge = 1 << 21, skip
    cdef char* block
    if nbytes < 2 * huge:
        block = <char*>mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        return block if block != <char*>MAP_FAILED else <char*>NULL
    block = <char*>mmap(NULL, nbytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if block == <char*>MAP_FAILED:
        return NULL
    skip = (huge - <size_t>block % huge) % huge
    if skip:
        munmap(block, skip)
    if huge - skip:
        munmap(block + skip + nbytes, huge - skip)
    madvise(block + skip, used // huge * huge, MADV_HUGEPAGE)       # advice only: without huge pages nothing is lost
    return block + skip


cdef char* large_new(Py_ssize_t nbytes, int* index) noexcept nogil:
    global clock, large_in_use, large_peak
    cdef int wanted = index[0], i
    cdef char* block = NULL
    cdef int64_t room
    spin_lock(&large_lock)
    clock += 1
    classes[wanted].last = clock
    for i in range(wanted, min(wanted + NEAR + 1, N_CLASSES)):
        block = large_pop(i)
        if block != NULL:
            index[0] = i
            break
    classes[index[0]].in_use += 1
    large_in_use += class_size(index[0])
    room = max(large_peak, large_in_use)            # kept above that: a quarter, which one large block may fill
    room += max(room // 4 - class_size(wanted), 0) - large_in_use
    if block != NULL:
        large_peak = max(large_peak, large_in_use)
    spin_unlock(&large_lock)
    if block != NULL:
        return block
    shrink(room)
    block = map_block(mapped_size(wanted), HEADER + nbytes)
    if block == NULL:
        pool_empty()
        block = map_block(mapped_size(wanted), HEADER + nbytes)
    spin_lock(&large_lock)
    if block != NULL:
        large_peak = max(large_peak, large_in_use)
    else:
        classes[wanted].in_use -= 1
        large_in_use -= class_size(wanted)
    spin_unlock(&large_lock)
    return block


cdef void large_free(char* block, int index) noexcept nogil:
    global clock, large_in_use, large_cached
    cdef bint over
    spin_lock(&large_lock)
    clock += 1
    classes[index].last = clock
    classes[index].in_use -= 1
    classes[index].cached += 1
    large_in_use -= class_size(index)
    large_cached += class_size(index)
    (<char**>block)[0] = classes[index].head
    classes[index].head = block
    over = large_cached > limit
    spin_unlock(&large_lock)
    if over:
        shrink(limit)


# --- the whole pool -------------------------------------------------------------------------------------------------

cdef void pool_empty() noexcept nogil:
    cdef int i
    cdef char* block
    cdef char* after
    for i in range(LARGE):
        spin_lock(&classes[i].lock)
        block = classes[i].head
        classes[i].head = NULL
        classes[i].cached = 0
        spin_unlock(&classes[i].lock)
        while block != NULL:
            after = (<char**>block)[0]
            free(block)
            block = after
    shrink(0)


cdef int64_t pool_in_use() noexcept nogil:
    cdef int64_t in_use = large_in_use
    cdef int i
    for i in range(LARGE):
        in_use += classes[i].in_use * class_size(i)
    return in_use


cdef object pool_statistics():
    cdef int64_t in_use = 0, cached = 0, peak = 0
    cdef int i
    for i in range(LARGE):
        spin_lock(&classes[i].lock)
        in_use += classes[i].in_use * class_size(i)
        cached += classes[i].cached * class_size(i)
        peak += classes[i].total * class_size(i)
        spin_unlock(&classes[i].lock)
    spin_lock(&large_lock)
    in_use += large_in_use
    cached += large_cached
    peak += large_peak
    spin_unlock(&large_lock)
    return {"in_use": in_use, "cached": cached, "peak": peak}


cdef void before_fork() noexcept nogil:
    cdef int i
    for i in range(LARGE):
        spin_lock(&classes[i].lock)
    spin_lock(&large_lock)


cdef void after_fork() noexcept nogil:
    cdef int i
    spin_unlock(&large_lock)
    for i in range(LARGE):
        spin_unlock(&classes[i].lock)


def limit_from_environment():
    """Bytes that may be cached: ``MXCY_POOL_LIMIT``, such as 2000000000 or 2G, else half of the machine's memory."""
    text = os.environ.get("MXCY_POOL_LIMIT", "").strip().upper()
    if not text:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    number, unit = (text[:-1], text[-1]) if text[-1] in "KMG" else (text, "")
    if not number.isdecimal():
        raise MXNetValueError(f"MXCY_POOL_LIMIT={text}: expected a number of bytes, such as 2000000000, 500M or 2G")
    return int(number) << {"": 0, "K": 10, "M": 20, "G": 30}[unit]


limit = limit_from_environment()
memset(classes, 0, sizeof(classes))
pthread_atfork(before_fork, after_fork, after_fork)
