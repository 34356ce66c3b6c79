# cython: language_level=3
"""Worker threads, where tasks wait for one, and who sleeps when there is none.

Worker 0 is the lane worker: alone it runs lane tasks, with all threads, so that there is one OpenMP team and results
do not depend on where a task ran. General tasks run on every worker, and on threads that wait, with one thread each.
"""
from libc.limits cimport INT_MIN
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc
from libcpp.queue cimport priority_queue
from posix.signal cimport SIG_SETMASK, sigfillset
from posix.types cimport sigset_t
from posix.unistd cimport usleep

from mxcy.engine._atomic cimport ACQUIRE, RELAXED, RELEASE, SEQ_CST, add, load, spin_lock, spin_unlock, store
from mxcy.engine._engine cimport TASK_ERROR_SIZE
from mxcy.engine._ready cimport Ranked, Ready, chain_add, chain_pop, ready_add, ready_pop
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
    /* What a thread is to the engine: its worker number or -1, and how many tasks it is inside of (a task may wait). */
    static thread_local int mxcy_worker = -1;
    static thread_local int mxcy_depth = 0;
    """
    int me "mxcy_worker"
    int depth "mxcy_depth"

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
cdef int is_serial              # 1: tasks run in whatever thread makes them ready
cdef int started                # 1: threads run
cdef int stopping               # 1: threads end when nothing is ready
cdef bint fork_handled          # this process and its children have the fork handlers
cdef int paused                 # 1: nobody begins a task, for a fork is near
cdef int running                # threads that are inside tasks
cdef int lock                   # guards the two queues
cdef Ready general, lane
cdef pthread_mutex_t mutex      # guards falling asleep
cdef Bed general_bed, lane_bed
cdef pthread_cond_t changed     # where waiting threads sleep ...
cdef int waiting                # ... and how many


# --- finding a task -------------------------------------------------------------------------------------------------

cdef bint has_work(bint on_lane) noexcept nogil:
    return load(&general.count, SEQ_CST) > 0 or (on_lane and load(&lane.count, SEQ_CST) > 0)


cdef Task* take(bint on_lane) noexcept nogil:
    """The next task for this thread, or NULL. With a task the thread counts as running."""
    cdef Task* task = NULL
    if not has_work(on_lane):
        return NULL
    add(&running, 1, SEQ_CST)
    if not load(&paused, SEQ_CST):
        spin_lock(&lock)
        if on_lane:
            task = ready_pop(&lane)
        if task == NULL:
            task = ready_pop(&general)
        spin_unlock(&lock)
    if task == NULL:
        add(&running, -1, SEQ_CST)
    return task


cdef void enqueue(Task* task) noexcept nogil:
    """Queue a task and wake somebody for it; a thread that waits only when no worker is idle."""
    cdef bint to_lane = task.lane
    spin_lock(&lock)
    ready_add(&lane if to_lane else &general, task)
    spin_unlock(&lock)
    if to_lane:
        bed_wake(&lane_bed, &mutex)
    elif not (bed_wake(&general_bed, &mutex) or bed_wake(&lane_bed, &mutex)):
        wake_waiters()


cdef Task* keep(Chain* ready, bint on_lane) noexcept nogil:
    """Of the tasks just made ready keep the most urgent for this thread, if none in the queue is more so; queue the rest."""
    cdef Task* task
    cdef Task* kept = NULL
    while ready.head != NULL:
        task = chain_pop(ready)
        if (on_lane or not task.lane) and (kept == NULL or task.priority > kept.priority):
            task, kept = kept, task
        if task != NULL:
            enqueue(task)
    if kept != NULL and (load(&paused, SEQ_CST) or (on_lane and load(&lane.count, RELAXED))
                         or kept.priority < load(&general.best, RELAXED)):
        enqueue(kept)
        kept = NULL
    return kept


cdef void work(Task* task, bint on_lane) noexcept nogil:
    """Run a taken task and, one after the other, what it makes ready."""
    global depth
    cdef Chain ready
    cdef int threads = omp_get_max_threads()
    depth += 1
    while task != NULL:
        if omp_get_max_threads() != task.threads:       # for libraries that ask OpenMP and not the task
            omp_set_num_threads(task.threads)
        if me >= 0:
            workers[me].current = task
        ready.head = NULL
        perform(task, &ready)
        task = keep(&ready, on_lane)
    if me >= 0:
        workers[me].current = NULL
    depth -= 1
    omp_set_num_threads(threads)
    add(&running, -1, SEQ_CST)


# --- threads --------------------------------------------------------------------------------------------------------

cdef void* worker_main(void* number) noexcept nogil:
    global me
    cdef Task* task
    cdef bint on_lane = number == NULL
    cdef Bed* bed = &lane_bed if on_lane else &general_bed
    me = <int><long>number
    omp_set_num_threads(1)
    while True:
        task = take(on_lane)
        if task != NULL:
            work(task, on_lane)
            continue
        pthread_mutex_lock(&mutex)
        add(&bed.asleep, 1, SEQ_CST)
        if load(&stopping, SEQ_CST):
            break
        if has_work(on_lane) and not load(&paused, SEQ_CST):
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
    cdef bint on_lane = me == 0 or load(&is_serial, RELAXED)
    cdef bint slept_out
    cdef Task* task
    if has_work(1) and not load(&started, ACQUIRE):
        start()                                         # the child of a fork inherits ready tasks but no threads
    while not done(what):
        task = take(on_lane)
        if task != NULL:
            work(task, on_lane)
            if is_past(until):
                return
            continue
        slept_out = 0
        pthread_mutex_lock(&mutex)
        add(&waiting, 1, SEQ_CST)
        if not done(what) and (load(&paused, SEQ_CST) or not has_work(on_lane)):
            slept_out = pthread_cond_timedwait(&changed, &mutex, &until) != 0
        add(&waiting, -1, SEQ_CST)
        pthread_mutex_unlock(&mutex)
        if slept_out:
            return


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
    global me, waiting, running, paused, started, lock
    cdef int i
    make_beds()
    lock = paused = started = waiting = 0
    running = depth
    for i in range(n_workers):
        if workers[i].current != NULL and i != me:      # outlasted the patience of before_fork
            workers[i].current.run = lost
            ready_add(&general, workers[i].current)
        workers[i].current = NULL
    me = -1
    if is_serial:
        omp_set_num_threads(1)                          # the parent's OpenMP team did not come along


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


cdef int thread_count() noexcept nogil:
    return n_workers


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
is_serial = engine_is_serial()
workers = <Worker*>calloc(MAX_WORKERS, sizeof(Worker))
general.ranked = new priority_queue[Ranked]()
lane.ranked = new priority_queue[Ranked]()
general.best = lane.best = INT_MIN
make_beds()
