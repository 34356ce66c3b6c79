# cython: language_level=3
"""Rings of events, one per thread. A thread writes its own without locks; the one who reads has the GIL."""
from libc.stdlib cimport calloc
from libc.string cimport strncpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from mxcy.engine._atomic cimport ACQUIRE, RELEASE, load64, spin_lock, spin_unlock, store64
from mxcy.engine._workers cimport worker_number

cdef enum:
    ROOM = 1 << 16                      # events that a ring holds; then the oldest go
    NAME = 72

cdef struct Event:
    int64_t queued
    int64_t start
    int64_t end
    int64_t nbytes
    int64_t in_use
    int kind
    char name[NAME]

cdef struct Ring:
    Ring* next
    int64_t thread                      # the system's number of it
    int worker                          # number of the engine's worker, -1: another thread
    int64_t count                       # events that were written, ever
    int64_t seen                        # of these, how many were cleared
    Event events[ROOM]                  # pages of it exist once they are written

cdef extern from *:
    """
    #include <pthread.h>
    #include <unistd.h>
    #include <sys/syscall.h>
    static thread_local void* mxcy_ring = NULL;
    static long long mxcy_thread_id(void) {         /* as Python's threading.get_native_id() */
    #if defined(__APPLE__)
        uint64_t id;
        pthread_threadid_np(NULL, &id);
        return (long long)id;
    #else
        return (long long)syscall(SYS_gettid);
    #endif
    }
    """
    void* own "mxcy_ring"
    int64_t thread_id "mxcy_thread_id"() noexcept nogil

cdef Ring* rings = NULL
cdef int rings_lock = 0

KINDS = ("operator", "step", "plan", "wait")


cdef int64_t profile_now() noexcept nogil:
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return <int64_t>at.tv_sec * 1000000000 + at.tv_nsec


cdef Ring* make_ring() noexcept nogil:
    global rings
    cdef Ring* ring = <Ring*>calloc(1, sizeof(Ring))
    if ring != NULL:
        ring.thread, ring.worker = thread_id(), worker_number()
        spin_lock(&rings_lock)
        ring.next = rings
        rings = ring
        spin_unlock(&rings_lock)
    return ring


cdef void profile_event(int kind, const char* name, int64_t queued, int64_t start, int64_t bytes_,
                        int64_t in_use) noexcept nogil:
    global own
    cdef Ring* ring = <Ring*>own
    cdef Event* event
    if ring == NULL:
        own = ring = make_ring()
        if ring == NULL:
            return
    event = &ring.events[ring.count % ROOM]
    event.kind, event.queued, event.start, event.nbytes, event.in_use = kind, queued, start, bytes_, in_use
    strncpy(event.name, name, NAME - 1)
    event.end = profile_now()
    store64(&ring.count, ring.count + 1, RELEASE)


def switch(int bits):
    """Record what the bits say; returns what they were."""
    global profile_on
    before, profile_on = profile_on, bits
    return before


def now():
    """Nanoseconds on the clock of events."""
    return profile_now()


def events():
    """What was recorded: tuples (thread, worker or -1, kind, name, queued, start, end, bytes, bytes in use)."""
    cdef Ring* ring = rings
    cdef Event* event
    cdef int64_t count, i
    found = []
    while ring != NULL:
        count = load64(&ring.count, ACQUIRE)
        mine = []
        for i in range(max(ring.seen, count - ROOM), count):
            event = &ring.events[i % ROOM]
            mine.append((ring.thread, ring.worker, KINDS[event.kind], event.name.decode("utf-8", "replace"), event.queued,
                         event.start, event.end, event.nbytes, event.in_use))
        # What the thread has overwritten meanwhile may be half of one event and half of another.
        found += mine[max(0, load64(&ring.count, ACQUIRE) - count + len(mine) - ROOM):]
        ring = ring.next
    return found


def dropped():
    """How many events were overwritten before anybody looked."""
    cdef Ring* ring = rings
    cdef int64_t total = 0
    while ring != NULL:
        total += max(0, load64(&ring.count, ACQUIRE) - ring.seen - ROOM)
        ring = ring.next
    return total


def clear():
    """Forget what was recorded."""
    cdef Ring* ring = rings
    while ring != NULL:
        ring.seen = load64(&ring.count, ACQUIRE)
        ring = ring.next
