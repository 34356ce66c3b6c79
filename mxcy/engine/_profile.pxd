# cython: language_level=3
"""What the profiler records: events, in a ring per thread, without the GIL.

Who does something worth a line asks ``if profile_on & ...`` first, one branch; takes `profile_now` before, and calls
`profile_event` after.
"""
from libc.stdint cimport int64_t

cdef enum:                              # bits of profile_on
    PROFILE_IMPERATIVE = 1              # operators that were called one by one
    PROFILE_SYMBOLIC = 2                # plans and their steps
    PROFILE_MEMORY = 4                  # how much memory is in use, at each event
    PROFILE_API = 8                     # waits

cdef enum:                              # kinds of events
    EVENT_OPERATOR
    EVENT_STEP                          # a kernel call of a plan
    EVENT_PHASE                         # a phase of a plan
    EVENT_WAIT

cdef int profile_on

cdef int64_t profile_now() noexcept nogil                   # ns

# An event that began at ``start`` and ends now. ``queued``: when it was handed to the engine, 0 if it was not.
# ``bytes_``: size of its results; ``in_use``: of all arrays, -1 if not known.
cdef void profile_event(int kind, const char* name, int64_t queued, int64_t start, int64_t bytes_,
                        int64_t in_use) noexcept nogil
