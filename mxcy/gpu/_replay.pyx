# cython: language_level=3
"""Recording launches into CUDA graphs.

A launch costs the host microseconds; a graph of hundreds costs little more than one. What is recorded holds addresses,
so it serves again when a sequence runs on the same memory: as in a loop whose arrays come from the pool, which gives
back what it got. Sequences are recorded the second time that they run on the same addresses, and a few are kept.
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from mxcy.engine._thread cimport pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock
from mxcy.gpu._device cimport MAX_DEVICES, devices, divert, enter, leave
from mxcy.gpu._driver cimport cu, handle_t

import os

from mxcy.base import MXNetValueError

cdef enum:
    KEPT = 8                        # recordings of a sequence
    NON_BLOCKING = 1                # of a stream
    OWN_THREAD = 1                  # how capture treats unsafe calls: only those of this thread are refused

cdef struct Recording:
    void** addresses
    int n
    handle_t executable             # NULL: met once, not recorded
    int64_t used

cdef struct Replays:
    pthread_mutex_t mutex           # held while recording and while issuing: an executable is not for two at once
    int device
    bint refused                    # something in it cannot be recorded, or not be replayed
    int64_t clock
    Recording recordings[KEPT]

cdef struct Recorder:               # of a device: a stream that never runs anything
    pthread_mutex_t mutex
    handle_t stream

cdef Recorder[MAX_DEVICES] recorders
cdef bint on                        # whether anything is recorded at all


cdef Replays* replays_new(int device) noexcept nogil:
    cdef Replays* replays = <Replays*>calloc(1, sizeof(Replays)) if on else NULL
    if replays != NULL:
        pthread_mutex_init(&replays.mutex, NULL)
        replays.device = device
    return replays


cdef void drop(Recording* recording) noexcept nogil:
    if recording.executable != NULL:
        cu.executable_destroy(recording.executable)
    free(recording.addresses)
    recording.addresses = NULL
    recording.executable = NULL
    recording.n, recording.used = 0, 0


cdef void replays_free(Replays* replays) noexcept nogil:
    cdef handle_t before
    cdef int i
    if replays == NULL:
        return
    if enter(replays.device, &before) == 0:
        for i in range(KEPT):
            drop(&replays.recordings[i])
        leave(replays.device, before)
    free(replays)


cdef Recording* find(Replays* replays, void** addresses, int n) noexcept nogil:
    cdef int i
    cdef Recording* recording
    for i in range(KEPT):
        recording = &replays.recordings[i]
        if recording.addresses != NULL and recording.n == n \
                and memcmp(recording.addresses, addresses, n * sizeof(void*)) == 0:
            replays.clock += 1
            recording.used = replays.clock
            return recording
    return NULL


cdef void remember(Replays* replays, void** addresses, int n) noexcept nogil:
    """Note the addresses in place of those that were not used for longest."""
    cdef Recording* oldest = &replays.recordings[0]
    cdef int i
    for i in range(1, KEPT):
        if replays.recordings[i].used < oldest.used:
            oldest = &replays.recordings[i]
    drop(oldest)
    oldest.addresses = <void**>malloc(n * sizeof(void*))
    if oldest.addresses != NULL:
        memcpy(oldest.addresses, addresses, n * sizeof(void*))
        replays.clock += 1
        oldest.n, oldest.used = n, replays.clock


cdef int begin(int device) noexcept nogil:
    """Divert this thread's launches into a capture; the recorder is held until it ends."""
    cdef Recorder* recorder = &recorders[device]
    cdef int status = 0
    pthread_mutex_lock(&recorder.mutex)
    if recorder.stream == NULL:
        status = cu.stream_create(&recorder.stream, NON_BLOCKING)
    if status == 0:
        status = cu.capture_begin(recorder.stream, OWN_THREAD)
    if status == 0:
        divert(recorder.stream)
    else:
        pthread_mutex_unlock(&recorder.mutex)
    return status


cdef Answer replay(Replays* replays, void** addresses, int n) noexcept nogil:
    cdef Recording* recording
    cdef handle_t before
    cdef Answer answer = ISSUE
    if replays.refused or enter(replays.device, &before):
        return ISSUE
    pthread_mutex_lock(&replays.mutex)
    recording = find(replays, addresses, n)
    if recording == NULL:
        remember(replays, addresses, n)
    elif recording.executable != NULL and cu.graph_launch(recording.executable, devices[replays.device].compute) == 0:
        answer = REPLAYED
    elif recording.executable == NULL and begin(replays.device) == 0:
        answer = RECORD
    else:
        replays.refused = True
    if answer != RECORD:
        pthread_mutex_unlock(&replays.mutex)
    leave(replays.device, before)
    return answer


cdef int record_end(Replays* replays, void** addresses, int n, int status) noexcept nogil:
    cdef Recorder* recorder = &recorders[replays.device]
    cdef Recording* recording
    cdef handle_t before, graph = NULL, executable = NULL
    cdef int ended
    divert(NULL)
    ended = enter(replays.device, &before)
    if ended == 0:
        ended = cu.capture_end(recorder.stream, &graph)
        status = status if status else ended
        if status == 0:
            status = cu.graph_instantiate(&executable, graph, 0)
        if graph != NULL:
            cu.graph_destroy(graph)
        if status == 0:
            status = cu.graph_launch(executable, devices[replays.device].compute)
        recording = find(replays, addresses, n)
        if status == 0 and recording != NULL:
            recording.executable = executable
        elif executable != NULL:
            cu.executable_destroy(executable)
        leave(replays.device, before)
    replays.refused = replays.refused or status != 0 or ended != 0
    pthread_mutex_unlock(&recorder.mutex)
    pthread_mutex_unlock(&replays.mutex)
    return status if status else ended


def graphs_wanted():
    """Whether the environment lets plans be recorded: ``MXNET_ENABLE_CUDA_GRAPHS``, 1 if it is not set."""
    value = os.environ.get("MXNET_ENABLE_CUDA_GRAPHS", "1")
    if value not in ("0", "1"):
        raise MXNetValueError(f"MXNET_ENABLE_CUDA_GRAPHS={value}: expected 0 or 1")
    return value == "1"


on = graphs_wanted()
for _number in range(MAX_DEVICES):
    pthread_mutex_init(&recorders[<int>_number].mutex, NULL)
