# cython: language_level=3
"""Tasks that may run now, by priority and then by age. Whoever calls holds the lock that guards the queue."""
from libc.limits cimport INT_MIN
from libc.stdint cimport int64_t
from libcpp.pair cimport pair
from libcpp.queue cimport priority_queue

from mxcy.engine._atomic cimport RELAXED, SEQ_CST, add, load, store
from mxcy.engine._engine cimport Task

ctypedef pair[pair[int, int64_t], Task*] Ranked         # priority, minus the arrival number, task

cdef struct Chain:                  # tasks in order, linked by their ``next``
    Task* head
    Task* tail

cdef struct Ready:
    int count                       # may be read without the lock, and so may best
    int best                        # priority of the first task; INT_MIN when empty
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


cdef inline void ready_rank(Ready* ready) noexcept nogil:
    cdef int best = INT_MIN if ready.plain.head == NULL else 0
    if not ready.ranked.empty():
        best = max(best, ready.ranked.top().first.first)
    store(&ready.best, best, RELAXED)


cdef inline void ready_add(Ready* ready, Task* task) noexcept nogil:
    if task.priority == 0:
        chain_add(&ready.plain, task)
    else:
        ready.arrivals += 1
        ready.ranked.push(Ranked(pair[int, int64_t](task.priority, -ready.arrivals), task))
    if task.priority > load(&ready.best, RELAXED):
        store(&ready.best, task.priority, RELAXED)
    add(&ready.count, 1, SEQ_CST)


cdef inline Task* ready_pop(Ready* ready) noexcept nogil:
    cdef Task* task
    if ready.ranked.empty() or (ready.plain.head != NULL and ready.ranked.top().first.first < 0):
        task = chain_pop(&ready.plain)
    else:
        task = ready.ranked.top().second
        ready.ranked.pop()
    if task != NULL:
        add(&ready.count, -1, SEQ_CST)
        ready_rank(ready)
    return task
