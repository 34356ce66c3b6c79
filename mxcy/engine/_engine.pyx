# cython: language_level=3
"""Variables, tasks and errors: what a task holds, what its end sets free, and how to wait for it."""
from cpython.exc cimport PyErr_CheckSignals
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from mxcy.engine._atomic cimport (ACQ_REL, ACQUIRE, RELAXED, SEQ_CST, add, add64, add_long, load, load64,
                                  load_pointer, spin_lock, spin_unlock, store, store64, store_pointer)
from mxcy.engine._profile cimport EVENT_WAIT, PROFILE_API, profile_event, profile_now, profile_on
from mxcy.engine._queue cimport Link, ask, end_read, end_write, free_to_read, free_to_write, take_back
from mxcy.engine._ready cimport Chain, chain_add
from mxcy.engine._site cimport site_text, user_site
from mxcy.engine._thread cimport pthread_atfork
from mxcy.engine._workers cimport (done_t, inside_task, lane_size, nothing_runs, serial, set_perform, stop, submit,
                                   wait_slice, wake_waiters)

import atexit

from mxcy.base import MXNetError, MXNetIndexError, MXNetTypeError, MXNetValueError

KINDS = (MXNetValueError, MXNetTypeError, MXNetError, MXNetIndexError, MXNetError)

cdef enum:
    UNIT = 1024                 # task memory comes in multiples of it ...
    N_FREE = 8                  # ... up to so many from lists of free blocks
    MAX_FREE = 1024             # blocks kept in each list

cdef struct FreeTasks:
    Task* head
    int count

cdef int order                  # held while a task asks for its variables, so that any two ask in one order everywhere
cdef int free_lock              # guards the lists of free blocks
cdef FreeTasks[N_FREE] free_tasks
cdef int64_t outstanding        # tasks pushed and not ended
cdef int64_t watched = -1       # how few of them the least patient of those who wait for them waits for
cdef int watchers
cdef int watch_lock             # guards these two
cdef int unseen_lock
cdef Error* unseen              # the first failure that nobody has been told of
cdef int promised               # variables that wait for somebody who has not come yet
cdef object on_stuck            # called by a wait that only those could end
cdef bint abandoned             # at exit the user did not want to wait: nothing more will run


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
    """Leave an error, or none, in a variable that the caller may write."""
    cdef Error* old = var.error
    if error != old:
        if error != NULL:
            add_long(&error.refs, 1, RELAXED)
        store_pointer(<void**>&var.error, error, RELAXED)
        if old != NULL:
            error_drop(old)


cdef void error_note(Error* error) noexcept nogil:
    """Keep a new failure for wait_all, unless an earlier one waits there to be seen."""
    global unseen
    cdef Error* old = error
    spin_lock(&unseen_lock)
    if unseen == NULL or load(&unseen.raised, RELAXED):
        old = unseen
        unseen = error
        add_long(&error.refs, 1, RELAXED)
    spin_unlock(&unseen_lock)
    if old != NULL and old != error:
        error_drop(old)


cdef int raise_error(Error* error) except -1:
    """The same error may be raised many times, by whoever meets it."""
    cdef str message = error.message.decode("utf-8", "replace")
    cdef str site = site_text(error.site)
    store(&error.raised, 1, RELAXED)
    raise KINDS[error.kind](f"{message}\n  queued at {site}" if site else message)


cdef int site_here() except -1:
    return user_site()


# --- taking and giving back -----------------------------------------------------------------------------------------

cdef inline void let_go(Var* var, Link* granted, Chain* ready) noexcept nogil:
    """Unlock a variable that one task less holds; collect tasks that lacked only this grant, tell who waits for it."""
    cdef Link* link
    cdef bint watched = var.waiters > 0
    spin_unlock(&var.lock)
    while granted != NULL:
        link = granted
        granted = link.next             # read first: the last grant may run the task and free the link
        if add(&link.task.wait, -1, ACQ_REL) == 0:
            chain_add(ready, link.task)
    if watched:
        wake_waiters()


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
        else:
            ask(var, NULL, i >= n_reads)
        spin_unlock(&var.lock)
        if taken != 1:
            untake(vars, n_reads, i)
            break
    return taken


cdef void untake(Var** vars, int n_reads, int n) noexcept nogil:
    """Give the first n variables back as if they had not been taken."""
    cdef Chain ready
    cdef int i
    ready.head = NULL
    for i in range(n):
        spin_lock(&vars[i].lock)
        let_go(vars[i], take_back(vars[i], i >= n_reads), &ready)
    if ready.head != NULL:
        submit(&ready)


cdef void give_back(Var** vars, int n_reads, int n_writes, Error* error, Chain* ready) noexcept nogil:
    cdef int i
    for i in range(n_reads):
        spin_lock(&vars[i].lock)
        let_go(vars[i], end_read(vars[i]), ready)
    for i in range(n_reads, n_reads + n_writes):
        error_set(vars[i], error)
        spin_lock(&vars[i].lock)
        let_go(vars[i], end_write(vars[i]), ready)


cdef void var_release(Var** vars, int n_reads, int n_writes, Error* error) noexcept nogil:
    cdef Chain ready
    ready.head = NULL
    give_back(vars, n_reads, n_writes, error, &ready)
    if ready.head != NULL:
        submit(&ready)


# --- promises -------------------------------------------------------------------------------------------------------

cdef void promise_begin() noexcept nogil:
    add(&promised, 1, SEQ_CST)


cdef void promise_end(Var* var, Error* error) noexcept nogil:
    add(&promised, -1, SEQ_CST)
    var_release(&var, 0, 1, error)


def when_stuck(function):
    """Have a wait that promises alone could end call this, every 50 ms: it may break them."""
    global on_stuck
    on_stuck = function


# --- tasks ----------------------------------------------------------------------------------------------------------

cdef Task* task_new(int n_reads, int n_writes, Py_ssize_t payload) noexcept nogil:
    cdef int n = n_reads + n_writes
    cdef Py_ssize_t head = (sizeof(Task) + 15) & ~15
    cdef Py_ssize_t body = (payload + 15) & ~15
    cdef Py_ssize_t total = head + body + n * <Py_ssize_t>(sizeof(Link) + sizeof(Var*))
    cdef int index = <int>min((total - 1) // UNIT, N_FREE)
    cdef Task* task = NULL
    if index < N_FREE:
        total = (index + 1) * UNIT
        spin_lock(&free_lock)
        task = free_tasks[index].head
        if task != NULL:
            free_tasks[index].head = task.next
            free_tasks[index].count -= 1
        spin_unlock(&free_lock)
    if task == NULL:
        task = <Task*>malloc(total)
        if task == NULL:
            return NULL
    task.run = NULL
    task.destroy = NULL
    task.payload = <char*>task + head
    task.links = <char*>task.payload + body
    task.vars = <Var**>(<char*>task.links + n * sizeof(Link))
    task.n_reads, task.n_writes, task.n_updates = n_reads, n_writes, 0
    task.priority = task.lane = task.site = task.error_kind = 0
    task.cost = task.queued = 0
    task.threads = 1
    task.error[0] = 0
    task.index = index
    return task


cdef void task_free(Task* task) noexcept nogil:
    cdef FreeTasks* slot = &free_tasks[task.index]
    if task.destroy != NULL:
        task.destroy(task)
    if task.index < N_FREE:
        spin_lock(&free_lock)
        if slot.count < MAX_FREE:
            task.next = slot.head
            slot.head = task
            slot.count += 1
            task = NULL
        spin_unlock(&free_lock)
    free(task)


cdef void task_push(Task* task) noexcept nogil:
    cdef Link* links = <Link*>task.links
    cdef int n = task.n_reads + task.n_writes
    cdef int i, granted = 1             # one grant is the push itself: none of the others can be the last too early
    cdef Chain ready
    if task.lane:
        task.threads = lane_threads()
    if profile_on:
        task.queued = profile_now()
    add64(&outstanding, 1, RELAXED)
    store(&task.wait, n + 1, RELAXED)
    spin_lock(&order)
    for i in range(n):
        links[i].task = task
        spin_lock(&task.vars[i].lock)
        granted += ask(task.vars[i], &links[i], i >= task.n_reads)
        spin_unlock(&task.vars[i].lock)
    spin_unlock(&order)
    if add(&task.wait, -granted, ACQ_REL) == 0:
        ready.head = NULL
        chain_add(&ready, task)
        submit(&ready)


cdef Error* inherited(Task* task) noexcept nogil:
    """The error in something the task reads, as a new reference."""
    cdef Error* error
    cdef int i
    for i in range(task.n_reads + task.n_updates):
        error = task.vars[i].error
        if error != NULL:
            add_long(&error.refs, 1, RELAXED)
            return error
    return NULL


cdef void perform(Task* task, Chain* ready) noexcept nogil:
    """Run a task that holds all its variables, unless an error comes with them; end it."""
    cdef Error* error = inherited(task)
    if error == NULL and task.run(task):
        error = error_new(task.error_kind, task.error, task.site)
        if error == NULL:
            error = &no_memory
            add_long(&error.refs, 1, RELAXED)
        error_note(error)
    give_back(task.vars, task.n_reads, task.n_writes, error, ready)
    if error != NULL:
        error_drop(error)
    task_free(task)
    if add64(&outstanding, -1, SEQ_CST) <= load64(&watched, SEQ_CST):
        wake_waiters()


# --- waiting --------------------------------------------------------------------------------------------------------

cdef struct Written:
    Var* var
    int64_t version


cdef bint is_written(void* what) noexcept nogil:
    cdef Written* goal = <Written*>what
    return load64(&goal.var.version, ACQUIRE) >= goal.version


cdef bint is_idle(void* what) noexcept nogil:
    cdef Var* var = <Var*>what
    spin_lock(&var.lock)
    cdef bint idle = free_to_write(var)
    spin_unlock(&var.lock)
    return idle


cdef bint is_down_to(void* what) noexcept nogil:
    return load64(&outstanding, SEQ_CST) <= (<int64_t*>what)[0]


cdef int wait(done_t done, void* what, Var* var, bint must=1) except -1:
    """Until done; if it need not be, only while something runs that could do it."""
    cdef int64_t start = profile_now() if profile_on & PROFILE_API else 0
    if var != NULL:
        spin_lock(&var.lock)
        var.waiters += 1
        spin_unlock(&var.lock)
    try:
        while not done(what):
            if abandoned:
                raise MXNetError("an interrupt at exit has left operations undone, and this one may be among them")
            if load(&promised, SEQ_CST) and nothing_runs():
                if not must:
                    break
                if on_stuck is not None:
                    on_stuck()
            with nogil:
                wait_slice(done, what)
            PyErr_CheckSignals()
    finally:
        if var != NULL:
            spin_lock(&var.lock)
            var.waiters -= 1
            spin_unlock(&var.lock)
        if start:
            profile_event(EVENT_WAIT, b"wait for an array" if var != NULL else b"wait for all", 0, start, 0, -1)
    return 0


cdef Error* error_left(Var* var) noexcept nogil:
    """A new writer may be about to replace it."""
    cdef Error* error
    spin_lock(&var.lock)
    error = var.error if not var.writing else NULL
    if error != NULL:
        add_long(&error.refs, 1, RELAXED)
    spin_unlock(&var.lock)
    return error


cdef int raise_left(Var* var) except -1:
    """Raise the error that the last writer left, if any."""
    cdef Error* error = error_left(var)
    if error != NULL:
        try:
            raise_error(error)
        finally:
            error_drop(error)
    return 0


cdef int var_wait(Var* var) except -1:
    cdef Written goal
    goal.var = var
    goal.version = load64(&var.writes, ACQUIRE)
    if not is_written(&goal):
        wait(is_written, &goal, var)
    if load_pointer(<void**>&var.error, RELAXED) != NULL:
        raise_left(var)
    return 0


cdef int var_wait_idle(Var* var) except -1:
    if not is_idle(var):
        wait(is_idle, var, var)
    if load_pointer(<void**>&var.error, RELAXED) != NULL:
        raise_left(var)
    return 0


cdef int var_take(Var* var, bint write) except -1:
    cdef int taken = 0
    while taken != 1:                   # another thread may push between the two
        var_wait_idle(var) if write else var_wait(var)
        taken = var_try(&var, not write, write)
    return 0


cdef int wait_down_to(int64_t goal, bint must=1) except -1:
    """Until at most so many tasks are pending."""
    global watched, watchers
    if is_down_to(&goal):
        return 0
    spin_lock(&watch_lock)
    watchers += 1
    store64(&watched, max(watched, goal), SEQ_CST)
    spin_unlock(&watch_lock)
    try:
        wait(is_down_to, &goal, NULL, must)
    finally:
        spin_lock(&watch_lock)
        watchers -= 1
        if watchers == 0:
            store64(&watched, -1, SEQ_CST)
        spin_unlock(&watch_lock)
    return 0


cdef int wait_some() except -1:
    if not inside_task():               # what is pending may need the task that asks
        wait_down_to(load64(&outstanding, RELAXED) // 2, 0)
    return 0


cdef int wait_all() except -1:
    global unseen
    cdef Error* error
    wait_down_to(0)
    spin_lock(&unseen_lock)
    error = unseen
    unseen = NULL
    spin_unlock(&unseen_lock)
    if error != NULL:
        try:
            if not load(&error.raised, RELAXED):
                raise_error(error)
        finally:
            error_drop(error)
    return 0


# --- the process ----------------------------------------------------------------------------------------------------

cdef bint is_serial() noexcept nogil:
    return serial()


cdef int lane_threads() noexcept nogil:
    return lane_size()


def finish():
    """Let everything end and stop the threads; what is pushed later runs in its caller. Called at exit."""
    global abandoned
    try:
        wait_down_to(0)
    except BaseException:
        abandoned = True
        raise
    finally:
        with nogil:
            stop(not abandoned)         # after a Ctrl-C leave tasks alone: nothing may keep the process from ending
    wait_all()                          # a failure that nobody was told of is told now


cdef void before_fork() noexcept nogil:
    spin_lock(&order)
    spin_lock(&free_lock)
    spin_lock(&unseen_lock)
    spin_lock(&watch_lock)


cdef void after_fork() noexcept nogil:
    spin_unlock(&watch_lock)
    spin_unlock(&unseen_lock)
    spin_unlock(&free_lock)
    spin_unlock(&order)


cdef Error no_memory
no_memory.refs = 1
no_memory.kind = 2
no_memory.site = no_memory.raised = 0
snprintf(no_memory.message, TASK_ERROR_SIZE, b"an operation failed, and there was no memory to say why")
set_perform(perform)
pthread_atfork(before_fork, after_fork, after_fork)
atexit.register(finish)
