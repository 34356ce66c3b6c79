# cython: language_level=3
"""POSIX threads as the engine uses them, and a place where threads sleep until there is work."""
from posix.types cimport sigset_t
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from mxcy.engine._atomic cimport SEQ_CST, add, load

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    ctypedef struct pthread_condattr_t:
        pass
    int pthread_create(pthread_t* thread, const void* attributes, void* (*main)(void*) noexcept nogil, void* argument)
    int pthread_join(pthread_t thread, void** result)
    int pthread_detach(pthread_t thread)
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)
    int pthread_mutex_init(pthread_mutex_t* mutex, const void* attributes)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)
    int pthread_cond_init(pthread_cond_t* cond, pthread_condattr_t* attributes)
    int pthread_cond_wait(pthread_cond_t* cond, pthread_mutex_t* mutex)
    int pthread_cond_timedwait(pthread_cond_t* cond, pthread_mutex_t* mutex, const timespec* until)
    int pthread_cond_signal(pthread_cond_t* cond)
    int pthread_cond_broadcast(pthread_cond_t* cond)
    int pthread_condattr_init(pthread_condattr_t* attributes)
    int pthread_condattr_setclock(pthread_condattr_t* attributes, int clock)

cdef extern from "<signal.h>" nogil:
    int pthread_sigmask(int how, const sigset_t* set, sigset_t* old)

cdef struct Bed:                    # where threads of one kind sleep
    pthread_cond_t cond
    int asleep                      # sleepers nobody has woken yet; read without the mutex
    int woken                       # of those who were, how many have not got up yet


cdef inline void bed_make(Bed* bed) noexcept nogil:
    pthread_cond_init(&bed.cond, NULL)
    bed.asleep = bed.woken = 0


cdef inline void bed_sleep(Bed* bed, pthread_mutex_t* mutex) noexcept nogil:
    """Sleep until woken. The mutex is held and ``asleep`` counts the caller already."""
    while bed.woken == 0:
        pthread_cond_wait(&bed.cond, mutex)
    bed.woken -= 1


cdef inline bint bed_wake(Bed* bed, pthread_mutex_t* mutex) noexcept nogil:
    """Wake one sleeper, if there is one. A sleeper is counted out by its waker, so that one is not woken twice."""
    cdef bint found = 0
    if load(&bed.asleep, SEQ_CST):
        pthread_mutex_lock(mutex)
        found = bed.asleep > 0
        if found:
            add(&bed.asleep, -1, SEQ_CST)
            bed.woken += 1
        pthread_mutex_unlock(mutex)
        if found:
            pthread_cond_signal(&bed.cond)      # after the unlock, for the sleeper needs the mutex to get up
    return found


cdef inline void bed_wake_all(Bed* bed) noexcept nogil:
    """Wake everybody. The mutex is held."""
    bed.woken += bed.asleep
    add(&bed.asleep, -bed.asleep, SEQ_CST)
    pthread_cond_broadcast(&bed.cond)


cdef inline timespec in_nanoseconds(long ns) noexcept nogil:
    """The time ``ns`` (under a second) from now, on the clock that waiting uses."""
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    at.tv_nsec += ns
    if at.tv_nsec >= 1000000000:
        at.tv_nsec -= 1000000000
        at.tv_sec += 1
    return at


cdef inline bint is_past(timespec at) noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec > at.tv_sec or (now.tv_sec == at.tv_sec and now.tv_nsec >= at.tv_nsec)
