# cython: language_level=3
"""Sequences of launches that were recorded once and are issued as one: CUDA graphs, by the addresses that they use."""
from mxcy.gpu._driver cimport handle_t

cdef enum Answer:
    ISSUE                               # issue everything
    RECORD                              # these addresses were met before: issue everything to be recorded
    REPLAYED                            # all has been issued

cdef struct Replays                     # what one sequence was recorded as

cdef Replays* replays_new(int device) noexcept nogil            # NULL: nothing is to be recorded; or no memory
cdef void replays_free(Replays* replays) noexcept nogil

# After RECORD the thread's launches are recorded until record_end, which issues them if all went well (status 0); it
# returns nonzero if nothing was issued. What cannot be recorded or replayed is issued from then on, which tells what is
# wrong, if anything is.
cdef Answer replay(Replays* replays, void** addresses, int n) noexcept nogil
cdef int record_end(Replays* replays, void** addresses, int n, int status) noexcept nogil
