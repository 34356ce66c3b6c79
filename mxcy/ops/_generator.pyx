# cython: language_level=3
"""The state of the random number generator, shared by all threads without a lock."""
from libc.stdint cimport uint64_t

cdef extern from *:
    """
    #include <atomic>
    #include <cstdint>
    static std::atomic<uint64_t> generator_seed{0}, generator_counter{0};
    static inline void generator_next(uint64_t n, uint64_t *seed, uint64_t *counter) {
        *seed = generator_seed.load(std::memory_order_relaxed);
        *counter = generator_counter.fetch_add(n, std::memory_order_relaxed);
    }
    static inline void generator_store(uint64_t seed, uint64_t counter) {
        generator_seed.store(seed, std::memory_order_relaxed);
        generator_counter.store(counter, std::memory_order_relaxed);
    }
    """
    void generator_next(uint64_t n, uint64_t* seed, uint64_t* counter) noexcept nogil
    void generator_store(uint64_t seed, uint64_t counter) noexcept nogil


cdef void generator_take(uint64_t n, uint64_t* seed, uint64_t* counter) noexcept nogil:
    generator_next(n, seed, counter)


def get_state():
    """(seed, number of the next stream)."""
    cdef uint64_t seed = 0, counter = 0
    generator_next(0, &seed, &counter)
    return seed, counter


def set_state(seed, counter=0):
    """Start over from ``seed``, or go back to a state that `get_state` returned."""
    generator_store(<uint64_t>(seed & 0xFFFFFFFFFFFFFFFF), <uint64_t>counter)
