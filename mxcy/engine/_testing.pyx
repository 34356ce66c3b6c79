# cython: language_level=3
"""What the engine's tests and benchmarks need from compiled code: numbers behind variables, and tasks on them."""
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport usleep

from mxcy.engine._atomic cimport ACQ_REL, RELAXED, add, add_long, load
from mxcy.engine._engine cimport (TASK_ERROR_SIZE, Error, Task, Var, error_drop, error_new, is_serial, lane_threads,
                                  site_here, task_new, task_push, var_drop, var_init, var_release, var_take, var_try,
                                  var_wait_idle, wait_all)
from mxcy.engine._queue cimport Link, ask, end_read, end_write

cdef enum:
    WRITER = 1000               # what a writer adds to Cell.inside; a reader adds 1

cdef struct Cell:
    Var var                     # first: a Var* of a task is its Cell*
    uint64_t value
    int inside                  # who is in a task on it right now
    long refs

cdef struct Work:
    long microseconds
    int busy                    # compute instead of sleeping
    int fails
    PyObject* call

cdef int overlaps               # times that two tasks were in a variable that should not have been


cdef double now() noexcept nogil:
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return at.tv_sec + at.tv_nsec * 1e-9


cdef void cell_drop(Cell* cell) noexcept nogil:
    if add_long(&cell.refs, -1, ACQ_REL) == 0:
        var_drop(&cell.var)
        free(cell)


cdef void enter(Var** vars, int n_reads, int n_writes) noexcept nogil:
    cdef int i
    for i in range(n_reads):
        if add(&(<Cell*>vars[i]).inside, 1, ACQ_REL) >= WRITER:
            add(&overlaps, 1, RELAXED)
    for i in range(n_reads, n_reads + n_writes):
        if add(&(<Cell*>vars[i]).inside, WRITER, ACQ_REL) != WRITER:
            add(&overlaps, 1, RELAXED)


cdef void leave(Var** vars, int n_reads, int n_writes) noexcept nogil:
    cdef int i
    for i in range(n_reads + n_writes):
        add(&(<Cell*>vars[i]).inside, -1 if i < n_reads else -WRITER, ACQ_REL)


cdef void compute(Var** vars, int n_reads, int n_writes, int n_updates) noexcept nogil:
    """Numbers that come out the same only if every task saw what it should have seen."""
    cdef uint64_t total = 1
    cdef int i
    for i in range(n_reads + n_updates):
        total = total * <uint64_t>6364136223846793005 + (<Cell*>vars[i]).value
    for i in range(n_writes):
        (<Cell*>vars[n_reads + i]).value = total + i


cdef int run(Task* task) noexcept nogil:
    cdef Work* work = <Work*>task.payload
    cdef double until
    cdef int failed = work.fails
    enter(task.vars, task.n_reads, task.n_writes)
    if work.busy:
        until = now() + work.microseconds * 1e-6
        while now() < until:
            pass
    elif work.microseconds:
        usleep(work.microseconds)
    if work.call != NULL:
        failed |= call_python(task)
    else:
        compute(task.vars, task.n_reads, task.n_writes, task.n_updates)
    if work.fails:
        snprintf(task.error, TASK_ERROR_SIZE, b"failing on purpose")
    leave(task.vars, task.n_reads, task.n_writes)
    return failed


cdef int call_python(Task* task) noexcept with gil:
    try:
        (<object>(<Work*>task.payload).call)(task.threads)
        return 0
    except BaseException as error:
        text = repr(error).encode()
        snprintf(task.error, TASK_ERROR_SIZE, b"%s", <const char*>text)
        return 1


cdef void drop_python(PyObject* call) noexcept with gil:
    Py_DECREF(<object>call)


cdef void destroy(Task* task) noexcept nogil:
    cdef int i
    for i in range(task.n_reads + task.n_writes):
        cell_drop(<Cell*>task.vars[i])
    if (<Work*>task.payload).call != NULL:
        drop_python((<Work*>task.payload).call)


cdef class Number:
    """A number that tasks read and write."""
    cdef Cell* cell

    def __cinit__(self, value=0):
        self.cell = <Cell*>calloc(1, sizeof(Cell))
        var_init(&self.cell.var)
        self.cell.refs = 1
        self.cell.value = value

    def __dealloc__(self):
        cell_drop(self.cell)

    @property
    def version(self):
        return self.cell.var.version

    @property
    def value(self):
        """The number as it is, without waiting."""
        return self.cell.value

    def wait(self):
        cdef Var* var = &self.cell.var
        var_take(var, 0)
        value = self.cell.value
        var_release(&var, 1, 0, NULL)
        return value

    def wait_idle(self):
        var_wait_idle(&self.cell.var)
        return self.wait()


def push(reads=(), writes=(), *, updates=(), microseconds=0, busy=False, fails=False, kind=0, call=None, priority=0,
         lane=False):
    """Push a task that waits, then computes new values for ``updates`` and ``writes``, calls ``call`` or fails."""
    cdef Task* task = task_new(len(reads), len(updates) + len(writes), sizeof(Work))
    cdef Work* work = <Work*>task.payload
    cdef Number number
    for i, number in enumerate((*reads, *updates, *writes)):
        add_long(&number.cell.refs, 1, RELAXED)
        task.vars[i] = &number.cell.var
    work.microseconds = microseconds
    work.busy = busy
    work.fails = fails
    work.call = NULL
    if call is not None:
        Py_INCREF(call)
        work.call = <PyObject*>call
    task.run = run
    task.destroy = destroy
    task.n_updates = len(updates)
    task.priority = priority
    task.lane = lane
    task.cost = microseconds * 1000
    task.error_kind = kind
    task.site = site_here()
    with nogil:
        task_push(task)


def now_or_never(reads=(), writes=(), *, updates=(), fails=False):
    """Compute at once if every variable is free; what ``var_try`` answered."""
    cdef Var *vars[64]
    cdef Number number
    cdef Error* error
    cdef int n_reads = len(reads), n_writes = len(updates) + len(writes)
    for i, number in enumerate((*reads, *updates, *writes)):
        vars[i] = &number.cell.var
    cdef int taken = var_try(vars, n_reads, n_writes, len(updates))
    if taken == 1:
        enter(vars, n_reads, n_writes)
        compute(vars, n_reads, n_writes, len(updates))
        leave(vars, n_reads, n_writes)
        error = error_new(0, b"failing inline", 0) if fails else NULL
        var_release(vars, n_reads, n_writes, error)
        if error != NULL:
            error_drop(error)
    return taken


def wait_for_all():
    wait_all()


def state():
    """What the engine is set to, and how often it let two tasks meet that should not have."""
    return dict(serial=bool(is_serial()), threads=lane_threads(), overlaps=load(&overlaps, RELAXED))


cdef class Rules:
    """The queue rules of one variable, step by step and without a thread."""
    cdef Var var
    cdef list names, links

    def __cinit__(self):
        var_init(&self.var)
        self.names = []

    def ask(self, name, write):
        """Whether ``name`` may begin at once."""
        cdef Link* link = <Link*>calloc(1, sizeof(Link))
        self.names.append(name)
        link.task = <Task*><size_t>len(self.names)
        cdef bint granted = ask(&self.var, link, write)
        if granted:
            free(link)
        return granted

    def end(self, write):
        """The names of those that may begin when a reader or the writer is done."""
        cdef Link* link = end_write(&self.var) if write else end_read(&self.var)
        cdef Link* after
        names = []
        while link != NULL:
            after = link.next
            names.append(self.names[<size_t>link.task - 1])
            free(link)
            link = after
        return names


def time_inline(Number a, Number b, Number out, long n):
    """Seconds for n times taking and giving back two variables to read and one to write."""
    cdef Var *vars[3]
    cdef long _i
    vars[0], vars[1], vars[2] = &a.cell.var, &b.cell.var, &out.cell.var
    cdef double start = now()
    for _i in range(n):
        if var_try(vars, 2, 1) == 1:
            var_release(vars, 2, 1, NULL)
    return now() - start


cdef int nothing(Task* task) noexcept nogil:
    return 0


def time_push(list numbers, long n):
    """Seconds to push n empty tasks, round robin over the numbers, and seconds until all have ended."""
    cdef Task* task
    cdef long i
    cdef int k, count = len(numbers)
    cdef Var *vars[1024]
    for k in range(count):
        vars[k] = &(<Number>numbers[k]).cell.var
    cdef double start = now(), pushed
    with nogil:
        for i in range(n):
            task = task_new(0, 1, 0)
            task.run = nothing
            task.vars[0] = vars[i % count]
            task_push(task)
        pushed = now()
    wait_all()
    return pushed - start, now() - start
