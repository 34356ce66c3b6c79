# cython: language_level=3
"""The threads that run tasks. They know nothing of variables: ``perform`` runs a task and says what became ready."""
from mxcy.engine._engine cimport Task
from mxcy.engine._ready cimport Chain

ctypedef void (*perform_t)(Task* task, Chain* ready) noexcept nogil     # run, end and free; add what became ready
ctypedef bint (*done_t)(void* what) noexcept nogil

cdef void set_perform(perform_t function) noexcept nogil
cdef void submit(Chain* ready) noexcept nogil               # run soon; now and here in the serial engine
cdef void wait_slice(done_t done, void* what) noexcept nogil    # help or sleep until done, at most some 50 ms
cdef void wake_waiters() noexcept nogil                     # something that a done_t looks at has changed
cdef bint serial() noexcept nogil
cdef int lane_size() noexcept nogil                         # threads that a lane task pushed now will get
cdef void stop(bint join) noexcept nogil                    # no task may be pending if join; serial from now on
cdef int worker_number() noexcept nogil                    # of this thread; -1: it is no worker
cdef bint nothing_runs() noexcept nogil                     # nor waits to run, but for the task that asks
cdef bint inside_task() noexcept nogil                      # whether a task runs in this thread
