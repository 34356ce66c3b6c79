# cython: language_level=3
"""The dependency engine as other compiled modules see it. It knows tasks and variables, not arrays.

A task reads some variables and writes others. It runs when all of them grant it: many readers or one writer at a time,
in the order of the pushes. Nothing here needs the GIL, but for what is marked so.
"""
from libc.stdint cimport int64_t

cdef enum:
    TASK_ERROR_SIZE = 1024

cdef struct Error:                      # why a task failed; shared by every variable that it spoilt
    long refs
    int kind                            # 0 value, 1 type, 2 out of memory, 3 index, 4 internal
    int site                            # the user's line, see site_here
    int raised                          # 1 once somebody got it as an exception
    char message[TASK_ERROR_SIZE]       # operator, shapes, what went wrong

cdef struct Var:                        # lives inside a storage Chunk; zero-initialised by var_init
    int lock                            # spin word
    int reads                           # granted readers
    int writing                         # 1 while a writer is granted
    int waiters                         # threads asleep in var_wait
    int64_t version                     # completed writes
    int64_t writes                      # writes asked for; more than version while one is pending
    Error* error                        # what the last writer left, or NULL
    void* head                          # waiting grants, oldest first (engine's own)
    void* tail

ctypedef int (*run_t)(Task* task) noexcept nogil
ctypedef void (*destroy_t)(Task* task) noexcept nogil

cdef struct Task:
    run_t run                           # does the work; nonzero: failed, with task.error written
    destroy_t destroy                   # called once after the task ended, before its memory goes; may be NULL
    void* payload                       # payload bytes asked for in task_new, 16-byte aligned
    Var** vars                          # n_reads variables read, then n_writes written; no variable twice
    int n_reads
    int n_writes
    int n_updates                       # the first so many of the written variables are read too: their errors pass on
    int priority                        # higher first among ready tasks
    int lane                            # 1: a large task that uses all threads; only the lane worker runs those
    double cost                         # ns on one thread, estimated; a waiting thread leaves very long ones to workers
    int threads                         # set by the engine before run: threads the task may use
    int64_t queued                      # when it was pushed, if the profiler is on; else 0
    int site                            # the user's line that pushed it, from site_here(); 0: unknown
    int error_kind
    char error[TASK_ERROR_SIZE]
    # the engine's own
    int wait                            # grants still missing
    int index                           # which list of free blocks the memory is from
    void* links                         # one queue place per variable
    Task* next

cdef void var_init(Var* var) noexcept nogil
cdef void var_drop(Var* var) noexcept nogil             # frees a stored error; nothing may be pending

cdef Task* task_new(int n_reads, int n_writes, Py_ssize_t payload) noexcept nogil      # NULL: out of memory
cdef void task_push(Task* task) noexcept nogil          # takes the task over; may run it at once

# The inline path: take every variable now, or none. 1: taken; 0: something is pending; -1: a variable that is read (or
# updated: one of the first n_updates written ones) holds an error. After a 1, var_release gives everything back (error
# NULL for success; else every written variable gets a reference to it) and wakes what waited.
cdef int var_try(Var** vars, int n_reads, int n_writes, int n_updates=*) noexcept nogil
cdef void var_release(Var** vars, int n_reads, int n_writes, Error* error) noexcept nogil

# A variable that is written for somebody who has not come yet: taken by var_take, and given back by promise_end. While
# there are any, a wait that nothing pending could end calls the function given to `when_stuck`.
cdef void promise_begin() noexcept nogil
cdef void promise_end(Var* var, Error* error) noexcept nogil

cdef Error* error_new(int kind, const char* message, int site) noexcept nogil   # 1 reference; NULL: out of memory
cdef Error* error_left(Var* var) noexcept nogil         # what the last writer left: a new reference, or NULL
cdef void error_note(Error* error) noexcept nogil       # wait_all will raise it, unless somebody has been told
cdef void error_drop(Error* error) noexcept nogil

# GIL held. Release it while waiting, raise what the variable's last writer left. Interruptible by signals.
cdef int var_wait(Var* var) except -1                   # until pending writes are done
cdef int var_wait_idle(Var* var) except -1              # until pending reads and writes are done
cdef int var_take(Var* var, bint write) except -1       # wait, then hold it as var_try does: to read or write in place
cdef int wait_all() except -1
cdef int wait_some() except -1                          # until half of what is pending is done; at once within a task
cdef int raise_error(Error* error) except -1            # as an exception of the MXNetError family
cdef int site_here() except -1                          # number of the user's line that runs now, for Task.site

cdef bint is_serial() noexcept nogil                    # the serial engine is on: everything runs in the caller
cdef int lane_threads() noexcept nogil                  # threads that a lane task gets
