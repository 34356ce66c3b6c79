# cython: language_level=3
"""Devices and copies. PyCUDA makes contexts and streams; what runs without the GIL goes through the driver's table."""
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uintptr_t
from libc.stdio cimport snprintf
from libc.string cimport memcpy
from libcpp.vector cimport vector

from mxcy.engine._atomic cimport ACQUIRE, RELAXED, RELEASE, load as atomic_load, store
from mxcy.engine._thread cimport (pthread_atfork, pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t,
                                  pthread_mutex_unlock)
from mxcy.gpu._driver cimport OUT_OF_MEMORY, PEER_ENABLED, address_t, check, cu, explain, load

import atexit
import threading

from mxcy.base import MXNetError
from mxcy.gpu._driver import device_count

cdef enum:
    NON_BLOCKING = 1                # of a stream: not tied to the legacy default stream
    BLOCKING = 1                    # of an event: whoever waits for it sleeps
    NO_TIMING = 2                   # of an event: cheaper
    DEVICE_ORDINAL = 9              # an attribute of an address
    SLOTS = 16
    SLOT = 1 << 20                  # bytes
    FORKED = -1                     # in Device.failed: a child process cannot use its parent's contexts

# Page-locked memory that the device copies from and to by itself; the host copies between it and the arrays. While the
# device works on one slot the host works on the next.
cdef struct Ring:
    pthread_mutex_t mutex           # held while slots are waited for
    char* host
    handle_t done[SLOTS]            # recorded behind the copy that uses the slot
    int next

cdef struct Copies:                 # of one device
    Ring up, down
    pthread_mutex_t mutex           # guards what follows
    vector[handle_t]* events        # that nobody uses

cdef Copies copies[MAX_DEVICES]
cdef object _starting = threading.Lock()
cdef dict contexts = {}             # PyCUDA's, by device


cdef extern from *:
    """
    static thread_local void* mxcy_diverted = nullptr;
    """
    handle_t diverted "mxcy_diverted"


cdef handle_t stream_of(int number) noexcept nogil:
    return diverted if diverted != NULL else devices[number].compute


cdef void divert(handle_t stream) noexcept nogil:
    global diverted
    diverted = stream


# -- devices ---------------------------------------------------------------------------------------------------------

cdef int device_start(int number) except -1:
    if 0 <= number < MAX_DEVICES and atomic_load(&devices[number].started, ACQUIRE):
        return 0
    load()
    count = device_count()
    if not 0 <= number < min(count, MAX_DEVICES):
        raise MXNetError(f"gpu({number}): the driver sees {count} device{'' if count == 1 else 's'}"
                         f"{f', gpu(0) to gpu({count - 1})' if count > 1 else ''}. Use one of them, or mx.cpu().")
    with _starting:
        if not devices[number].started:
            prepare(number)
    return 0


cdef int prepare(int number) except -1:
    """Context, streams, events and page-locked memory of a device."""
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        raise MXNetError(f"gpu({number}) needs PyCUDA, and it cannot be imported ({error}). Install it: "
                         "pip install pycuda, or conda install pycuda.") from None
    cdef Device* device = &devices[number]
    cdef Copies* copy = &copies[number]
    try:
        cuda.init()
        context = cuda.Device(number).retain_primary_context()      # the one that other libraries use, too
        context.push()
        try:
            streams = [cuda.Stream(NON_BLOCKING) for _ in range(3)]
            prepare_ring(&copy.up)
            prepare_ring(&copy.down)
            check(cu.host_malloc(<void**>&device.notice, sizeof(Notice), 0), b"locking memory for notices")
            device.notice.raised = 0
        finally:
            cuda.Context.pop()                  # a context that is on a thread's stack when it ends aborts the process
    except cuda.Error as error:
        raise MXNetError(f"gpu({number}) cannot be used: {error}") from error
    for kept in (context, *streams):
        Py_INCREF(kept)                         # at exit their destructors would find no context
    contexts[number] = context
    device.context = <handle_t><uintptr_t>context.handle
    device.compute, device.uploads, device.downloads = (<handle_t><uintptr_t>streams[0].handle,
                                                        <handle_t><uintptr_t>streams[1].handle,
                                                        <handle_t><uintptr_t>streams[2].handle)
    pthread_mutex_init(&copy.mutex, NULL)
    copy.events = new vector[handle_t]()
    for peer in range(MAX_DEVICES):
        if devices[peer].started:
            reach(number, peer)
            reach(peer, number)
    store(&device.started, 1, RELEASE)
    return 0


cdef int reach(int number, int peer) except -1:
    """Let a device use another's memory, where they are connected: copies then do not go through the host."""
    cdef int answer = 0, status
    cdef handle_t before
    check(cu.peer_reachable(&answer, number, peer), b"asking whether devices are connected")
    if answer and enter(number, &before) == 0:
        status = cu.peer_enable(devices[peer].context, 0)
        leave(number, before)
        if status != PEER_ENABLED:                  # somebody else in this process was first
            check(status, b"connecting devices")
    return 0


cdef int prepare_ring(Ring* ring) except -1:
    cdef int i
    pthread_mutex_init(&ring.mutex, NULL)
    check(cu.host_malloc(<void**>&ring.host, SLOTS * <size_t>SLOT, 0), b"locking memory for copies")
    for i in range(SLOTS):
        check(cu.event_create(&ring.done[i], NO_TIMING), b"making an event")
    return 0


cdef int enter(int number, handle_t* before) noexcept nogil:
    cdef int status
    if devices[number].failed:
        return devices[number].failed
    status = cu.context_get(before)
    if status == 0 and before[0] != devices[number].context:
        status = cu.context_set(devices[number].context)
    return status


cdef void leave(int number, handle_t before) noexcept nogil:
    if before != devices[number].context:
        cu.context_set(before)


cdef int failed(int number, int status, const char* doing, char* text, Py_ssize_t room) noexcept nogil:
    cdef char why[400]
    if status == FORKED:
        snprintf(text, room, b"gpu(%d): %s: a process that was forked cannot use the GPU of its parent. Start it with "
                 b"multiprocessing's method 'spawn', or use the GPU in the child only.", number, doing)
        return 1
    explain(status, doing, why, sizeof(why))
    if 700 <= status <= 720 and status != 713:          # errors of kernels: the driver refuses all calls from now on
        store(&devices[number].failed, status, RELAXED)
        snprintf(text, room, b"gpu(%d): %s. A kernel that was issued earlier went wrong; this process cannot use the "
                 b"device any more.", number, why)
    else:
        snprintf(text, room, b"gpu(%d): %s", number, why)
    return 1


def device(int number):
    """(context, compute stream) of a device, as integers; starts it."""
    device_start(number)
    return <uintptr_t>devices[number].context, <uintptr_t>devices[number].compute


def pycuda_context(int number):
    """PyCUDA's Context of a device, for programs that use both: there must be one object for it, so make no other."""
    device_start(number)
    return contexts[number]


def device_of_address(uintptr_t address):
    """The number of the device that an address belongs to."""
    cdef int number = 0
    load()
    check(cu.pointer_attribute(&number, DEVICE_ORDINAL, address), b"asking whose memory an address is")
    return number


def memory_info(int number):
    """(free, total) bytes of a device."""
    cdef size_t free = 0, total = 0
    cdef handle_t before
    device_start(number)
    check(enter(number, &before), b"asking for the memory of the device")
    cdef int status = cu.memory_info(&free, &total)
    leave(number, before)
    check(status, b"asking for the memory of the device")
    return free, total


def order_streams(int number, uintptr_t stream, bint ours_waits):
    """Tie the device's compute stream to a stream of somebody else.

    Parameters
    ----------
    number : int
        The device.
    stream : int
        The driver's handle; 1 and 2 are the default streams.
    ours_waits : bool
        Whether what is issued to our stream from now on waits for what was issued to theirs; or the reverse.
    """
    cdef handle_t before
    cdef int status
    check(enter(number, &before), b"tying streams")
    if ours_waits:
        status = follow(number, devices[number].compute, <handle_t>stream)
    else:
        status = follow(number, <handle_t>stream, devices[number].compute)
    leave(number, before)
    check(status, b"tying streams")


cdef int noticed(int number, char* text, Py_ssize_t room) noexcept nogil:
    """Report, once, what kernels that are done have found wrong."""
    cdef Notice* notice = devices[number].notice
    if not notice.raised:
        return 0
    snprintf(text, room, b"gpu(%d): in an operation before, index %lld is out of bounds for an axis of %lld elements",
             number, <long long>notice.index, <long long>notice.limit)
    notice.raised = 0
    return 1


def wait_for_devices():
    """Wait until all devices have done what was issued; raise what went wrong there."""
    cdef char text[600]
    cdef int i, status
    for i in range(MAX_DEVICES):
        if devices[i].started:
            with nogil:
                status = synchronize(i, text, sizeof(text))
            if status:
                raise MXNetError(text.decode("utf-8", "replace"))


cdef int synchronize(int number, char* text, Py_ssize_t room) noexcept nogil:
    cdef handle_t before
    cdef int status = enter(number, &before)
    if status == 0:
        status = cu.stream_synchronize(devices[number].uploads)
        if status == 0:
            status = cu.stream_synchronize(devices[number].compute)
        leave(number, before)
    return failed(number, status, b"waiting for the device", text, room) if status else noticed(number, text, room)


# -- events ----------------------------------------------------------------------------------------------------------

cdef handle_t event_new(int number) noexcept nogil:
    cdef Copies* copy = &copies[number]
    cdef handle_t event = NULL
    pthread_mutex_lock(&copy.mutex)
    if not copy.events.empty():
        event = copy.events.back()
        copy.events.pop_back()
    pthread_mutex_unlock(&copy.mutex)
    if event == NULL and cu.event_create(&event, NO_TIMING | BLOCKING):
        return NULL
    return event


cdef void event_free(int number, handle_t event) noexcept nogil:
    if event != NULL:
        pthread_mutex_lock(&copies[number].mutex)
        copies[number].events.push_back(event)
        pthread_mutex_unlock(&copies[number].mutex)


cdef int mark(int number, handle_t stream, handle_t* event) noexcept nogil:
    cdef int status
    event[0] = event_new(number)
    if event[0] == NULL:
        return OUT_OF_MEMORY
    status = cu.event_record(event[0], stream)
    if status:
        event_free(number, event[0])
        event[0] = NULL
    return status


cdef int follow(int number, handle_t stream, handle_t leader) noexcept nogil:
    cdef handle_t event
    cdef int status = mark(number, leader, &event)
    if status == 0:
        status = cu.stream_wait(stream, event, 0)
        event_free(number, event)
    return status


# -- copies ----------------------------------------------------------------------------------------------------------

cdef int copy_in(int number, void* out, const void* source, size_t nbytes, bint fresh, handle_t* reading, char* text,
                 Py_ssize_t room) noexcept nogil:
    cdef Device* device = &devices[number]
    cdef handle_t before, done = NULL
    cdef int status = enter(number, &before)
    if status:
        return failed(number, status, b"copying to the device", text, room)
    if not fresh:
        status = follow(number, device.uploads, device.compute)
    if status == 0 and reading != NULL:
        status = cu.upload(<address_t>out, source, nbytes, device.uploads)
    elif status == 0:
        status = copy_in_pieces(device.uploads, &copies[number].up, out, source, nbytes)
    if status == 0:
        status = mark(number, device.uploads, &done)
    if status == 0:
        status = cu.stream_wait(device.compute, done, 0)
    if status:
        cu.stream_synchronize(device.uploads)           # what was issued does not outlive the failure
    if status == 0 and reading != NULL:
        reading[0] = done
    else:
        event_free(number, done)
    leave(number, before)
    return failed(number, status, b"copying to the device", text, room) if status else 0


cdef int copy_in_pieces(handle_t stream, Ring* ring, void* out, const void* source, size_t nbytes) noexcept nogil:
    """The host fills one slot while the device empties those before."""
    cdef size_t at = 0, n
    cdef int status = 0, slot
    pthread_mutex_lock(&ring.mutex)
    while status == 0 and at < nbytes:
        slot, ring.next = ring.next, (ring.next + 1) % SLOTS
        n = min(nbytes - at, <size_t>SLOT)
        status = cu.event_synchronize(ring.done[slot])
        if status == 0:
            memcpy(ring.host + slot * <size_t>SLOT, <const char*>source + at, n)
            status = cu.upload(<address_t>out + at, ring.host + slot * <size_t>SLOT, n, stream)
        if status == 0:
            status = cu.event_record(ring.done[slot], stream)
        at += n
    pthread_mutex_unlock(&ring.mutex)
    return status


cdef int copy_wait(int number, handle_t reading, char* text, Py_ssize_t room) noexcept nogil:
    cdef handle_t before
    cdef int status = enter(number, &before)
    if status == 0:
        status = cu.event_synchronize(reading)
        event_free(number, reading)
        leave(number, before)
    return failed(number, status, b"copying to the device", text, room) if status else 0


cdef int copy_out(int number, void* out, const void* source, size_t nbytes, bint locked, handle_t ready, char* text,
                  Py_ssize_t room) noexcept nogil:
    cdef Device* device = &devices[number]
    cdef handle_t before
    cdef int status = enter(number, &before)
    if status:
        return failed(number, status, b"copying from the device", text, room)
    if ready == NULL:               # now, not when the ring is free: for what is issued meanwhile nobody waits
        status = mark(number, device.compute, &ready)
    if status == 0:
        status = cu.stream_wait(device.downloads, ready, 0)
    if status == 0 and locked:
        status = cu.download(out, <address_t>source, nbytes, device.downloads)
        if status == 0:
            status = cu.event_record(ready, device.downloads)
        if status == 0:
            status = cu.event_synchronize(ready)
    elif status == 0:
        status = copy_out_pieces(device.downloads, &copies[number].down, out, source, nbytes)
    event_free(number, ready)
    leave(number, before)
    return failed(number, status, b"copying from the device", text, room) if status else noticed(number, text, room)


cdef int copy_out_pieces(handle_t stream, Ring* ring, void* out, const void* source, size_t nbytes) noexcept nogil:
    """The device fills the slots ahead while the host empties one."""
    cdef size_t issued = 0, at = 0, n
    cdef int status = 0, slot = 0, oldest = 0
    pthread_mutex_lock(&ring.mutex)
    while status == 0 and at < nbytes:
        while status == 0 and issued < nbytes and issued - at < SLOTS * <size_t>SLOT:
            n = min(nbytes - issued, <size_t>SLOT)
            status = cu.download(ring.host + slot * <size_t>SLOT, <address_t>source + issued, n, stream)
            if status == 0:
                status = cu.event_record(ring.done[slot], stream)
            issued += n
            slot = (slot + 1) % SLOTS
        if status == 0:
            status = cu.event_synchronize(ring.done[oldest])
        if status == 0:
            n = min(nbytes - at, <size_t>SLOT)
            memcpy(<char*>out + at, ring.host + oldest * <size_t>SLOT, n)
            at += n
            oldest = (oldest + 1) % SLOTS
    pthread_mutex_unlock(&ring.mutex)
    return status


cdef int copy_across(int number, void* out, int source_number, const void* source, size_t nbytes, char* text,
                     Py_ssize_t room) noexcept nogil:
    cdef Device* device = &devices[number]
    cdef Device* origin = &devices[source_number]
    cdef handle_t before, sent = NULL, received = NULL
    cdef int status = enter(number, &before), at_origin = origin.failed
    if status:
        return failed(number, status, b"copying between devices", text, room)
    if number == source_number:
        status = cu.copy(<address_t>out, <address_t>source, nbytes, device.compute)
    else:
        # The receiver waits for the sender's kernels; these may write over the source only after the copy.
        pthread_mutex_lock(&crossing)
        if at_origin == 0:
            at_origin = cu.context_set(origin.context)
        if at_origin == 0:
            at_origin = mark(source_number, origin.compute, &sent)
        cu.context_set(device.context)
        if at_origin == 0:
            status = cu.stream_wait(device.compute, sent, 0)
            if status == 0:
                status = cu.copy_peer(<address_t>out, device.context, <address_t>source, origin.context, nbytes,
                                      device.compute)
            if status == 0:
                status = mark(number, device.compute, &received)
        if status == 0 and at_origin == 0:
            at_origin = cu.context_set(origin.context)
            if at_origin == 0:
                at_origin = cu.stream_wait(origin.compute, received, 0)
        event_free(source_number, sent)
        event_free(number, received)
        pthread_mutex_unlock(&crossing)
        cu.context_set(device.context)
    leave(number, before)
    if at_origin:
        return failed(source_number, at_origin, b"copying between devices", text, room)
    return failed(number, status, b"copying between devices", text, room) if status else 0


# -- processes -------------------------------------------------------------------------------------------------------

cdef void after_fork_in_child() noexcept nogil:
    cdef int i
    for i in range(MAX_DEVICES):
        if devices[i].started:
            devices[i].failed = FORKED


def finish():
    """At exit: let the devices come to rest while everything is still there."""
    cdef char text[600]
    cdef int i
    for i in range(MAX_DEVICES):
        if devices[i].started and not devices[i].failed:
            with nogil:
                synchronize(i, text, sizeof(text))      # what went wrong was for whoever waited


pthread_mutex_init(&crossing, NULL)
pthread_atfork(NULL, NULL, after_fork_in_child)
atexit.register(finish)
