# cython: language_level=3
"""Atomic operations and a spin lock, as thin as the compiler gives them. Orders are C++'s."""
from libc.stdint cimport int64_t

cdef extern from * nogil:
    """
    #include <sched.h>
    #if defined(__x86_64__)
    #define mxcy_pause() __builtin_ia32_pause()
    #elif defined(__aarch64__)
    #define mxcy_pause() __asm__ __volatile__("yield")
    #else
    #define mxcy_pause() ((void)0)
    #endif
    """
    enum:
        RELAXED "__ATOMIC_RELAXED"
        ACQUIRE "__ATOMIC_ACQUIRE"
        RELEASE "__ATOMIC_RELEASE"
        ACQ_REL "__ATOMIC_ACQ_REL"
        SEQ_CST "__ATOMIC_SEQ_CST"
    int load "__atomic_load_n"(int* at, int order) noexcept
    int64_t load64 "__atomic_load_n"(int64_t* at, int order) noexcept
    void store "__atomic_store_n"(int* at, int value, int order) noexcept
    void store64 "__atomic_store_n"(int64_t* at, int64_t value, int order) noexcept
    void* load_pointer "__atomic_load_n"(void** at, int order) noexcept
    void store_pointer "__atomic_store_n"(void** at, void* value, int order) noexcept
    int exchange "__atomic_exchange_n"(int* at, int value, int order) noexcept
    int add "__atomic_add_fetch"(int* at, int value, int order) noexcept            # the new value
    int64_t add64 "__atomic_add_fetch"(int64_t* at, int64_t value, int order) noexcept
    long add_long "__atomic_add_fetch"(long* at, long value, int order) noexcept
    void pause "mxcy_pause"() noexcept
    int sched_yield() noexcept


cdef inline void spin_lock(int* word) noexcept nogil:
    """Take a lock that is held for nanoseconds. Its holder may have lost its core, so give ours away soon."""
    cdef int tries = 0
    while exchange(word, 1, ACQUIRE):
        while load(word, RELAXED):
            tries += 1
            if tries & 63:
                pause()
            else:
                sched_yield()


cdef inline void spin_unlock(int* word) noexcept nogil:
    store(word, 0, RELEASE)
