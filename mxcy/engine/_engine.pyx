# cython: language_level=3
"""Variables and tasks: how they are taken, given back and waited for."""
from cpython.exc cimport PyErr_CheckSignals
from cpython.ref cimport PyObject
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from mxcy.engine._atomic cimport (ACQ_REL, ACQUIRE, RELAXED, RELEASE, add_long, load, load64, sched_yield, spin_lock,
                                  spin_unlock, store)
from mxcy.engine._queue cimport Link, end_read, end_write, free_to_read, free_to_write

import os

from mxcy.base import MXNetError, MXNetIndexError, MXNetTypeError, MXNetValueError


cdef void var_init(Var* var) noexcept nogil:
    memset(var, 0, sizeof(Var))


cdef void var_drop(Var* var) noexcept nogil:
    if var.error != NULL:
        error_drop(var.error)
        var.error = NULL


# --- errors ---------------------------------------------------------------------------------------------------------

cdef Error* error_new(int kind, const char* message, int site) noexcept nogil:
    cdef Error* error = <Error*>malloc(sizeof(Error))
    if error != NULL:
        error.refs = 1
        error.kind = kind
        error.site = site
        error.raised = 0
        snprintf(error.message, TASK_ERROR_SIZE, b"%s", message)
    return error


cdef void error_drop(Error* error) noexcept nogil:
    if add_long(&error.refs, -1, ACQ_REL) == 0:
        free(error)


cdef void error_set(Var* var, Error* error) noexcept nogil:
    """Leave ``error`` (or NULL) in a variable that the caller may write."""
    if var.error == error:
        return
    if error != NULL:
        add_long(&error.refs, 1, RELAXED)
    if var.error != NULL:
        error_drop(var.error)
    var.error = error


KINDS = (MXNetValueError, MXNetTypeError, MXNetError, MXNetIndexError, MXNetError)


cdef int raise_error(Error* error) except -1:
    cdef str message = error.message.decode("utf-8", "replace")
    store(&error.raised, 1, RELAXED)
    raise KINDS[error.kind](message)


cdef int site_here() except -1:
    return 0


# --- the inline path ------------------------------------------------------------------------------------------------

cdef int var_try(Var** vars, int n_reads, int n_writes, int n_updates=0) noexcept nogil:
    cdef int i, taken = 1
    cdef Var* var
    for i in range(n_reads + n_writes):
        var = vars[i]
        spin_lock(&var.lock)
        if not (free_to_read(var) if i < n_reads else free_to_write(var)):
            taken = 0
        elif var.error != NULL and i < n_reads + n_updates:
            taken = -1
        elif i < n_reads:
            var.reads += 1
        else:
            var.writing = 1
            var.writes += 1
        spin_unlock(&var.lock)
        if taken != 1:
            break
    else:
        return 1
    while i > 0:
        i -= 1
        var = vars[i]
        spin_lock(&var.lock)
        if i < n_reads:
            end_read(var)
        else:
            var.writes -= 1
            var.version -= 1
            end_write(var)
        spin_unlock(&var.lock)
    return taken


cdef void var_release(Var** vars, int n_reads, int n_writes, Error* error) noexcept nogil:
    cdef int i
    cdef Var* var
    for i in range(n_reads + n_writes):
        var = vars[i]
        if i >= n_reads:
            error_set(var, error)
        spin_lock(&var.lock)
        if i < n_reads:
            end_read(var)
        else:
            end_write(var)
        spin_unlock(&var.lock)


# --- tasks ----------------------------------------------------------------------------------------------------------

cdef Task* task_new(int n_reads, int n_writes, Py_ssize_t payload) noexcept nogil:
    cdef int n = n_reads + n_writes
    cdef Py_ssize_t head = (sizeof(Task) + 15) & ~15
    cdef Py_ssize_t links = n * <Py_ssize_t>(sizeof(Link) + sizeof(void*))
    cdef Task* task = <Task*>malloc(head + ((payload + 15) & ~15) + links)
    if task == NULL:
        return NULL
    task.run = NULL
    task.destroy = NULL
    task.payload = <char*>task + head
    task.links = <char*>task.payload + ((payload + 15) & ~15)
    task.vars = <Var**>(<char*>task.links + n * sizeof(Link))
    task.n_reads, task.n_writes, task.n_updates = n_reads, n_writes, 0
    task.priority = task.lane = task.site = task.error_kind = task.wait = 0
    task.threads = 1
    task.error[0] = 0
    task.next = NULL
    return task


cdef void run(Task* task) noexcept nogil:
    """Run a task that holds all its variables."""
    cdef Error* error = NULL
    cdef int i
    for i in range(task.n_reads + task.n_updates):
        if task.vars[i].error != NULL:
            error = task.vars[i].error
            add_long(&error.refs, 1, RELAXED)
            break
    if error == NULL and task.run(task):
        error = error_new(task.error_kind, task.error, task.site)
    var_release(task.vars, task.n_reads, task.n_writes, error)
    if error != NULL:
        error_drop(error)
    if task.destroy != NULL:
        task.destroy(task)
    free(task)


cdef void task_push(Task* task) noexcept nogil:
    cdef int taken = 0
    task.threads = lane_threads() if task.lane else 1
    while not taken:
        taken = var_try(task.vars, task.n_reads, task.n_writes)
        if not taken:
            sched_yield()
        elif taken < 0:                  # run() passes the error on
            for i in range(task.n_reads + task.n_writes):
                spin_lock(&task.vars[i].lock)
                if i < task.n_reads:
                    task.vars[i].reads += 1
                else:
                    task.vars[i].writing = 1
                    task.vars[i].writes += 1
                spin_unlock(&task.vars[i].lock)
    run(task)


# --- waiting --------------------------------------------------------------------------------------------------------

cdef int var_wait(Var* var) except -1:
    while load64(&var.version, ACQUIRE) < load64(&var.writes, RELAXED):
        with nogil:
            sched_yield()
        PyErr_CheckSignals()
    if var.error != NULL:
        raise_error(var.error)
    return 0


cdef int var_wait_idle(Var* var) except -1:
    while load(&var.reads, ACQUIRE):
        with nogil:
            sched_yield()
        PyErr_CheckSignals()
    return var_wait(var)


cdef int wait_all() except -1:
    return 0


cdef bint is_serial() noexcept nogil:
    return 1


cdef int threads = len(os.sched_getaffinity(0))

cdef int lane_threads() noexcept nogil:
    return threads
