# cython: language_level=3
"""Worker threads, where tasks wait for one, and who sleeps when there is none.

A lane task gets all threads, and one runs at a time, on worker 0, which alone has an OpenMP team: of two teams libgomp
thinks that they overload the machine, and lets their threads sleep between loops, 50 us to wake each time. General tasks
run on every worker, and on any thread that waits, with one thread each. That waiting threads work is what makes a push
with a wait behind it cost no more than a call: nobody need be woken.
"""
from libc.limits cimport INT_MIN
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc
from libcpp.queue cimport priority_queue
from posix.signal cimport SIG_SETMASK, sigfillset
from posix.types cimport sigset_t
from posix.unistd cimport usleep

from mxcy.engine._atomic cimport ACQUIRE, RELAXED, RELEASE, SEQ_CST, add, exchange, load, spin_lock, spin_unlock, store
from mxcy.engine._engine cimport TASK_ERROR_SIZE
from mxcy.engine._ready cimport LONG, Ranked, Ready, chain_pop, ready_add, ready_pop
from mxcy.engine._thread cimport (CLOCK_MONOTONIC, Bed, bed_make, bed_sleep, bed_wake, bed_wake_all, in_nanoseconds,
                                  is_past, pthread_atfork, pthread_cond_broadcast, pthread_cond_init, pthread_cond_t,
                                  pthread_cond_timedwait, pthread_condattr_init, pthread_condattr_setclock,
                                  pthread_condattr_t, pthread_create, pthread_detach, pthread_join, pthread_mutex_init,
                                  pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock, pthread_sigmask, pthread_t,
                                  timespec)

import os

from mxcy.base import MXNetValueError

cdef extern from "<omp.h>" nogil:
    int omp_get_max_threads() noexcept
    void omp_set_num_threads(int n) noexcept

cdef extern from "Python.h" nogil:
    ctypedef struct PyThreadState:
        pass
    int PyGILState_Check() noexcept
    PyThreadState* PyEval_SaveThread() noexcept
    void PyEval_RestoreThread(PyThreadState* state) noexcept

cdef extern from *:
    """
    /* What a thread is to the engine: its worker number, or -1; whether it may run lane tasks; how many tasks, and lane
       tasks among them, it is inside of (a task may wait). */
    static thread_local int mxcy_worker = -1, mxcy_may_lane = 0, mxcy_depth = 0, mxcy_lane_depth = 0;
    """
    int me "mxcy_worker"
    int may_lane "mxcy_may_lane"
    int depth "mxcy_depth"
    int lane_depth "mxcy_lane_depth"

cdef struct Worker:
    pthread_t thread
    Task* current               # what it runs, for a fork that cannot wait

cdef enum:
    MAX_WORKERS = 1024
    SLICE = 50000000            # ns that a waiting thread sleeps between looks for signals
    FORK_PATIENCE = 5000000     # µs that a fork waits for running tasks

cdef perform_t perform
cdef int n_workers              # all workers
cdef Worker* workers
cdef bint forked                # this process is the child of one that had the engine
cdef int is_serial              # 1: tasks run in whatever thread makes them ready
cdef int started                # 1: threads run
cdef int stopping               # 1: threads end when nothing is ready
cdef bint fork_handled          # this process and its children have the fork handlers
cdef int paused                 # 1: nobody begins a task, for a fork is near
cdef int running                # threads that are inside tasks
cdef int lock                   # guards the two queues
cdef Ready general, lane
cdef int lane_busy              # 1 while a lane task runs
cdef pthread_mutex_t mutex      # guards falling asleep
cdef Bed general_bed, lane_bed
cdef pthread_cond_t changed     # where waiting threads sleep ...
cdef int waiting                # ... and how many
cdef int nested                 # of these, how many are inside a task


# --- finding a task -------------------------------------------------------------------------------------------------

cdef inline bint may_take(Ready* ready) noexcept nogil:
    return load(&ready.count, SEQ_CST) > 0 and (me >= 0 or not load(&ready.long_first, RELAXED))


cdef bint lane_is_open() noexcept nogil:
    """Whether this thread may begin a lane task now."""
    return may_lane and may_take(&lane) and (not load(&lane_busy, SEQ_CST) or lane_depth)


cdef bint has_work() noexcept nogil:
    """Whether there is a task for this thread. No more run than there are workers, whoever runs them."""
    if depth == 0 and load(&running, SEQ_CST) >= n_workers:
        return 0
    return may_take(&general) or lane_is_open()


cdef Task* take() noexcept nogil:
    """The next task for this thread, or NULL. With a task the thread counts as running."""
    cdef Task* task = NULL
    if not has_work():
        return NULL
    if (add(&running, 1, SEQ_CST) <= n_workers or depth) and not load(&paused, SEQ_CST):
        spin_lock(&lock)
        if lane_is_open():
            task = ready_pop(&lane)
            store(&lane_busy, 1, RELAXED)
        elif may_take(&general):
            task = ready_pop(&general)
        spin_unlock(&lock)
    if task == NULL:
        add(&running, -1, SEQ_CST)
        pass_on()
    return task


cdef void enqueue(Task* task) noexcept nogil:
    """Queue a task and wake somebody for it: a worker, or a thread that waits if that would help."""
    cdef bint to_lane = task.lane
    spin_lock(&lock)
    ready_add(&lane if to_lane else &general, task)
    spin_unlock(&lock)
    if to_lane and load(&lane_busy, SEQ_CST):
        return                          # whoever is in the lane looks again when it leaves
    if (not to_lane and bed_wake(&general_bed, &mutex)) or bed_wake(&lane_bed, &mutex):
        return
    if load(&nested, SEQ_CST) or load(&running, SEQ_CST) < n_workers:
        wake_waiters()


cdef void pass_on() noexcept nogil:
    """Wake somebody for what is queued: a worker sleeps although there is work if enough threads were running."""
    if load(&paused, SEQ_CST):
        return
    if load(&lane.count, SEQ_CST) and not load(&lane_busy, SEQ_CST):
        bed_wake(&lane_bed, &mutex)
    if load(&general.count, SEQ_CST):
        bed_wake(&general_bed, &mutex) or bed_wake(&lane_bed, &mutex)


cdef bint goes_before(Task* task, Task* other) noexcept nogil:
    return other == NULL or task.lane > other.lane or (task.lane == other.lane and task.priority > other.priority)


cdef Task* keep(Chain* ready, bint in_lane) noexcept nogil:
    """Of the tasks just made ready keep the most urgent for this thread, if none in the queues is more so."""
    cdef Task* task
    cdef Task* kept = NULL
    while ready.head != NULL:
        task = chain_pop(ready)
        if (in_lane or not task.lane) and goes_before(task, kept):
            task, kept = kept, task
        if task != NULL:
            enqueue(task)
    if kept != NULL and (load(&paused, SEQ_CST) or (not kept.lane and lane_is_open())
                         or kept.priority < load(&lane.best if kept.lane else &general.best, RELAXED)):
        enqueue(kept)
        kept = NULL
    return kept


cdef void work(Task* task, done_t done, void* what) noexcept nogil:
    """Run a taken task and, one after the other, what it makes ready; stop when the wait that this serves is over."""
    global depth, lane_depth
    cdef Chain ready
    cdef bint in_lane
    cdef int threads = omp_get_max_threads()
    cdef Task* outer = workers[me].current if me >= 0 else <Task*>NULL
    depth += 1
    while task != NULL:
        in_lane = task.lane
        lane_depth += in_lane
        if omp_get_max_threads() != task.threads:       # for libraries that ask OpenMP and not the task
            omp_set_num_threads(task.threads)
        if me >= 0:
            workers[me].current = task
        ready.head = NULL
        perform(task, &ready)
        lane_depth -= in_lane
        task = keep(&ready, in_lane)
        if task != NULL and done != NULL and (done(what) or task.cost > LONG):
            enqueue(task)
            task = NULL
        if in_lane and lane_depth == 0 and (task == NULL or not task.lane):
            exchange(&lane_busy, 0, SEQ_CST)
    if me >= 0:
        workers[me].current = outer
    depth -= 1
    omp_set_num_threads(threads)
    add(&running, -1, SEQ_CST)
    pass_on()


# --- threads --------------------------------------------------------------------------------------------------------

cdef void* worker_main(void* number) noexcept nogil:
    global me, may_lane
    cdef Task* task
    cdef Bed* bed = &lane_bed if number == NULL else &general_bed
    me = <int><long>number
    may_lane = me == 0
    omp_set_num_threads(1)
    while True:
        task = take()
        if task != NULL:
            work(task, NULL, NULL)
            continue
        pthread_mutex_lock(&mutex)
        add(&bed.asleep, 1, SEQ_CST)
        if load(&stopping, SEQ_CST):
            break
        if has_work() and not load(&paused, SEQ_CST):
            add(&bed.asleep, -1, SEQ_CST)
        else:
            bed_sleep(bed, &mutex)
        pthread_mutex_unlock(&mutex)
    add(&bed.asleep, -1, SEQ_CST)
    pthread_mutex_unlock(&mutex)
    return NULL


cdef void start() noexcept nogil:
    """Start the threads, once in each process. Where the system gives none, the engine becomes serial."""
    global n_workers, fork_handled
    cdef sigset_t every, before
    cdef long i
    sigfillset(&every)
    pthread_sigmask(SIG_SETMASK, &every, &before)       # signals are for threads that Python knows
    pthread_mutex_lock(&mutex)
    if not load(&started, RELAXED):
        if not fork_handled:            # late, so after the storage's: the last one runs first, and tasks need storage
            pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child)
            fork_handled = 1
        for i in range(0 if load(&is_serial, RELAXED) else n_workers):
            if pthread_create(&workers[i].thread, NULL, worker_main, <void*>i):
                n_workers = <int>i
                break
        if n_workers == 0:
            store(&is_serial, 1, SEQ_CST)
        store(&started, 1, RELEASE)
    pthread_mutex_unlock(&mutex)
    pthread_sigmask(SIG_SETMASK, &before, NULL)


cdef void stop(bint join) noexcept nogil:
    cdef int i
    store(&is_serial, 1, SEQ_CST)
    store(&stopping, 1, SEQ_CST)
    if not join:
        store(&paused, 1, SEQ_CST)
    pthread_mutex_lock(&mutex)
    bed_wake_all(&general_bed)
    bed_wake_all(&lane_bed)
    pthread_mutex_unlock(&mutex)
    if load(&started, ACQUIRE):
        for i in range(n_workers):
            if join:
                pthread_join(workers[i].thread, NULL)
            else:
                pthread_detach(workers[i].thread)
        store(&started, 0, RELEASE)


cdef void submit(Chain* ready) noexcept nogil:
    if not load(&started, ACQUIRE):
        start()
    if load(&is_serial, RELAXED):
        while ready.head != NULL:
            perform(chain_pop(ready), ready)
    while ready.head != NULL:
        enqueue(chain_pop(ready))


# --- waiting --------------------------------------------------------------------------------------------------------

cdef void wait_slice(done_t done, void* what) noexcept nogil:
    cdef timespec until = in_nanoseconds(SLICE)
    cdef bint over = 0
    cdef Task* task
    if not load(&started, ACQUIRE):
        start()                                         # the child of a fork inherits ready tasks but no threads
    while not (over or done(what)):
        task = take()
        if task != NULL:
            work(task, done, what)
            over = is_past(until)
            continue
        pthread_mutex_lock(&mutex)
        add(&waiting, 1, SEQ_CST)
        add(&nested, depth > 0, SEQ_CST)
        if not done(what) and (load(&paused, SEQ_CST) or not has_work()):
            over = pthread_cond_timedwait(&changed, &mutex, &until) != 0
        add(&nested, -<int>(depth > 0), SEQ_CST)
        add(&waiting, -1, SEQ_CST)
        pthread_mutex_unlock(&mutex)


cdef void wake_waiters() noexcept nogil:
    if add(&waiting, 0, SEQ_CST):       # a full barrier: what changed is seen by whoever this does not see asleep
        pthread_mutex_lock(&mutex)
        pthread_mutex_unlock(&mutex)
        pthread_cond_broadcast(&changed)


# --- fork -----------------------------------------------------------------------------------------------------------
# The parent stops between tasks, so the child gets a copy in which every task either has ended or has not begun. It
# inherits the queues and starts threads of its own when needed: both processes finish their own copy of the work.

cdef void before_fork() noexcept nogil:
    cdef PyThreadState* state = NULL
    cdef int waited = 0
    store(&paused, 1, SEQ_CST)
    if load(&running, SEQ_CST) > depth:
        if PyGILState_Check():                          # a running task may need it to end
            state = PyEval_SaveThread()
        while load(&running, SEQ_CST) > depth and waited < FORK_PATIENCE:
            usleep(50)
            waited += 50
        if state != NULL:
            PyEval_RestoreThread(state)
    pthread_mutex_lock(&mutex)
    spin_lock(&lock)


cdef void after_fork_in_parent() noexcept nogil:
    spin_unlock(&lock)
    store(&paused, 0, SEQ_CST)
    bed_wake_all(&general_bed)
    bed_wake_all(&lane_bed)
    pthread_cond_broadcast(&changed)
    pthread_mutex_unlock(&mutex)


cdef int lost(Task* task) noexcept nogil:
    snprintf(task.error, TASK_ERROR_SIZE, b"the process was forked while this ran: the child has no result. "
             b"Wait for long operations (mx.nd.waitall()) before a fork.")
    return 1


cdef void after_fork_in_child() noexcept nogil:
    global me, may_lane, waiting, nested, running, paused, started, lock, lane_busy, forked
    cdef int i
    make_beds()
    lock = paused = started = waiting = nested = 0
    running = depth
    for i in range(n_workers):
        if workers[i].current != NULL and i != me:      # outlasted the patience of before_fork
            workers[i].current.run = lost
            ready_add(&general, workers[i].current)
        workers[i].current = NULL
    me = -1
    lane_busy = lane_depth > 0
    may_lane = is_serial or n_workers == 1
    forked = 1
    omp_set_num_threads(1)                              # the OpenMP team of this thread did not come along


# --- settings -------------------------------------------------------------------------------------------------------

cdef void make_beds() noexcept nogil:
    cdef pthread_condattr_t attributes
    pthread_mutex_init(&mutex, NULL)
    bed_make(&general_bed)
    bed_make(&lane_bed)
    pthread_condattr_init(&attributes)
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    pthread_cond_init(&changed, &attributes)


cdef bint serial() noexcept nogil:
    return load(&is_serial, RELAXED)


cdef int worker_number() noexcept nogil:
    return me


cdef bint inside_task() noexcept nogil:
    return depth > 0


cdef bint nothing_runs() noexcept nogil:
    return not (load(&general.count, SEQ_CST) or load(&lane.count, SEQ_CST)) and load(&running, SEQ_CST) <= (depth > 0)


cdef int lane_size() noexcept nogil:
    if forked and not serial():
        return n_workers                                # only worker 0, which is new, is in the lane
    return min(n_workers, omp_get_max_threads())        # the latter is what threadpoolctl sets


cdef void set_perform(perform_t function) noexcept nogil:
    global perform
    perform = function


def number_of_threads():
    """How many threads to compute with: what the environment says, else the processors this process may use."""
    for name in ("MXCY_NUM_THREADS", "OMP_NUM_THREADS", "MXNET_CPU_WORKER_NTHREADS"):
        first = os.environ.get(name, "").split(",")[0].strip()      # OpenMP allows a list, one number for each level
        if first.isdecimal() and int(first) > 0:
            return min(int(first), MAX_WORKERS)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MAX_WORKERS)


def engine_is_serial():
    """Whether the environment asks for the engine that runs everything in the caller, at once."""
    kinds = {"NaiveEngine": True, "ThreadedEngine": False, "ThreadedEnginePerDevice": False}
    for name in ("MXCY_ENGINE_TYPE", "MXNET_ENGINE_TYPE"):
        kind = os.environ.get(name)
        if kind and kind not in kinds:
            raise MXNetValueError(f"{name}={kind}: there is no such engine; choose one of {', '.join(kinds)}")
        if kind:
            return kinds[kind]
    return False


n_workers = number_of_threads()
may_lane = n_workers == 1               # of the thread that imports this, the main thread: no team is formed then
is_serial = engine_is_serial()
workers = <Worker*>calloc(MAX_WORKERS, sizeof(Worker))
general.ranked = new priority_queue[Ranked]()
lane.ranked = new priority_queue[Ranked]()
general.best = lane.best = INT_MIN
make_beds()
