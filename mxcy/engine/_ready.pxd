# cython: language_level=3
"""Tasks that may run now, by priority and then by age. Whoever calls holds the lock that guards the queue."""
from libc.limits cimport INT_MIN
from libc.stdint cimport int64_t
from libcpp.pair cimport pair
from libcpp.queue cimport priority_queue

from mxcy.engine._atomic cimport RELAXED, SEQ_CST, add, load, store
from mxcy.engine._engine cimport Task

ctypedef pair[pair[int, int64_t], Task*] Ranked         # priority, minus the arrival number, task

cdef enum:
    LONG = 50000000                 # ns: with more, a thread that waits could not look for signals for too long

cdef struct Chain:                  # tasks in order, linked by their ``next``
    Task* head
    Task* tail

cdef struct Ready:
    int count                       # may be read without the lock, and so may best
    int best                        # priority of the first task; INT_MIN when empty
    int long_first                  # whether the first task is one that waiting threads leave to workers
    Chain plain                     # priority 0: nearly all
    priority_queue[Ranked]* ranked  # the others; never freed, for a thread may outlive the module
    int64_t arrivals


cdef inline void chain_add(Chain* chain, Task* task) noexcept nogil:
    task.next = NULL
    if chain.head == NULL:
        chain.head = task
    else:
        chain.tail.next = task
    chain.tail = task


cdef inline Task* chain_pop(Chain* chain) noexcept nogil:
    cdef Task* task = chain.head
    if task != NULL:
        chain.head = task.next
        task.next = NULL
    return task


cdef inline Task* ready_first(Ready* ready) noexcept nogil:
    if ready.ranked.empty() or (ready.plain.head != NULL and ready.ranked.top().first.first < 0):
        return ready.plain.head
    return ready.ranked.top().second


cdef inline void ready_note(Ready* ready) noexcept nogil:
    """Keep what others read without the lock."""
    cdef Task* first = ready_first(ready)
    store(&ready.best, INT_MIN if first == NULL else first.priority, RELAXED)
    store(&ready.long_first, first != NULL and first.cost > LONG, RELAXED)


cdef inline void ready_add(Ready* ready, Task* task) noexcept nogil:
    if task.priority == 0:
        chain_add(&ready.plain, task)
    else:
        ready.arrivals += 1
        ready.ranked.push(Ranked(pair[int, int64_t](task.priority, -ready.arrivals), task))
    if task.priority > load(&ready.best, RELAXED):
        ready_note(ready)
    add(&ready.count, 1, SEQ_CST)


cdef inline Task* ready_pop(Ready* ready) noexcept nogil:
    cdef Task* task = ready_first(ready)
    if task != NULL:
        if task == ready.plain.head:
            chain_pop(&ready.plain)
        else:
            ready.ranked.pop()
        add(&ready.count, -1, SEQ_CST)
        ready_note(ready)
    return task
