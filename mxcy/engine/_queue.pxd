# cython: language_level=3
"""The rules of a variable: who may read or write it now, and who next.

Many readers or one writer at a time, in the order of asking: a reader that asks after a waiting writer waits too.
Pure decisions on one variable; whoever calls holds its lock (``Var.lock``) and does what follows from the answer.
"""
from mxcy.engine._atomic cimport RELAXED, RELEASE, store64
from mxcy.engine._engine cimport Task, Var

cdef struct Link:               # one task's place in one variable's queue
    Task* task
    Link* next
    int write


cdef inline bint free_to_read(const Var* var) noexcept nogil:
    return not var.writing and var.head == NULL


cdef inline bint free_to_write(const Var* var) noexcept nogil:
    return not var.writing and var.reads == 0 and var.head == NULL


cdef inline bint ask(Var* var, Link* link, bint write) noexcept nogil:
    """1: granted at once. 0: ``link`` waits in the queue, and ``end_read`` or ``end_write`` will return it."""
    if write:
        store64(&var.writes, var.writes + 1, RELAXED)
    if free_to_write(var) if write else free_to_read(var):
        if write:
            var.writing = 1
        else:
            var.reads += 1
        return 1
    link.write = write
    link.next = NULL
    if var.head == NULL:
        var.head = link
    else:
        (<Link*>var.tail).next = link
    var.tail = link
    return 0


cdef inline Link* grant(Var* var) noexcept nogil:
    """Those who may begin now that the variable is freer, as a chain: one writer, or readers up to the next one."""
    cdef Link* first = <Link*>var.head
    cdef Link* last = first
    if first == NULL or var.writing or (first.write and var.reads):
        return NULL
    if first.write:
        var.writing = 1
    else:
        var.reads += 1
        while last.next != NULL and not last.next.write:
            last = last.next
            var.reads += 1
    var.head = last.next
    last.next = NULL
    return first


cdef inline Link* end_read(Var* var) noexcept nogil:
    var.reads -= 1
    return grant(var)


cdef inline Link* end_write(Var* var) noexcept nogil:
    var.writing = 0
    store64(&var.version, var.version + 1, RELEASE)     # who waits looks at it without the lock
    return grant(var)


cdef inline Link* take_back(Var* var, bint write) noexcept nogil:
    """Undo a grant that was not used: no write has happened."""
    if write:
        var.writing = 0
        store64(&var.writes, var.writes - 1, RELAXED)
        return grant(var)
    return end_read(var)
