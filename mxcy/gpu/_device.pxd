# cython: language_level=3
"""Devices: a context and three streams each, and copies between them and the host.

All kernels of a device run on one stream, ``compute``, in the order in which they are issued; so what the engine grants
in order needs no event. Copies run on streams of their own, tied to it by events.
"""
from libc.stdint cimport int64_t

from mxcy.engine._thread cimport pthread_mutex_t
from mxcy.gpu._driver cimport handle_t

cdef enum:
    MAX_DEVICES = 64

cdef struct Notice:                     # what a kernel finds wrong with its input, in page-locked memory; see index.cuh
    int raised
    int64_t index, limit

cdef struct Device:
    int started
    int failed                          # the CUresult that spoilt the context for good, or 0
    handle_t context
    handle_t compute, uploads, downloads
    Notice* notice

cdef Device devices[MAX_DEVICES]

# Held while streams of several devices are made to wait for each other: two threads could have them do so in a circle.
cdef pthread_mutex_t crossing

cdef int device_start(int number) except -1     # GIL held: ready the device, once; MXNetError if there is none

# The stream that this thread issues to: the compute stream, or one whose work is being recorded into a graph.
cdef handle_t stream_of(int number) noexcept nogil
cdef void divert(handle_t stream) noexcept nogil        # NULL: to the compute stream again

# Make the device's context current in this thread, and what was current before again. A CUresult.
cdef int enter(int number, handle_t* before) noexcept nogil
cdef void leave(int number, handle_t before) noexcept nogil

# What ties streams; the context is current, and the results are CUresults. An event is taken from those of the device
# that nobody uses, and goes back there: once a stream was told to wait for it, it may be recorded anew.
cdef int mark(int number, handle_t stream, handle_t* event) noexcept nogil      # an event behind what was issued so far
cdef int follow(int number, handle_t stream, handle_t leader) noexcept nogil    # stream waits for what leader was given
cdef void event_free(int number, handle_t event) noexcept nogil                 # NULL: nothing

# Of all functions below: 0, or 1 with what went wrong in text. Copies to the host are complete when they return, and
# copies from the host have read their source; others are only issued.
#
# fresh: nothing uses the destination but what the uploads wait for already, see landing_new; else they wait for all
# kernels so far. reading: NULL, or the source is page-locked. Then the copy is only issued, too, and this becomes an
# event behind it, for copy_wait: until then the source must stay as it is.
cdef int copy_in(int number, void* out, const void* source, size_t nbytes, bint fresh, handle_t* reading, char* text,
                 Py_ssize_t room) noexcept nogil
cdef int copy_wait(int number, handle_t reading, char* text, Py_ssize_t room) noexcept nogil
# locked: the destination is page-locked. ready: NULL, or an event behind what writes the source, which goes back; else
# the copy waits for all kernels so far.
cdef int copy_out(int number, void* out, const void* source, size_t nbytes, bint locked, handle_t ready, char* text,
                  Py_ssize_t room) noexcept nogil
cdef int copy_across(int number, void* out, int source_number, const void* source, size_t nbytes, char* text,
                     Py_ssize_t room) noexcept nogil
cdef int synchronize(int number, char* text, Py_ssize_t room) noexcept nogil
cdef int failed(int number, int status, const char* doing, char* text, Py_ssize_t room) noexcept nogil    # always 1
