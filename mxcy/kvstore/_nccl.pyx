# cython: language_level=3
"""NCCL, where it is installed: sums over several devices, and copies to them, over whatever connects them.

One thread drives all devices: its calls for all of them are one group, under a lock, so that groups, and copies between
devices, follow each other in the same order on every device. They go to the compute streams and are ordered with
kernels like kernels. Communicators live as long as the process: tasks of the engine use them until its end.
"""
from libc.stdint cimport uintptr_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.dlfcn cimport RTLD_NOW, dlerror, dlopen, dlsym

from mxcy.engine._engine cimport Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait
from mxcy.engine._thread cimport pthread_mutex_lock, pthread_mutex_unlock
from mxcy.gpu._device cimport MAX_DEVICES, crossing, device_start, devices, failed
from mxcy.gpu._driver cimport cu, handle_t
from mxcy.ndarray._ndarray cimport NDArray
from mxcy.storage._storage cimport GPU, Chunk, chunk_release, chunk_retain, raise_out_of_memory

import os
import threading

from mxcy.base import MXNetError, MXNetValueError
from mxcy.gpu.libraries import candidates

cdef enum:
    OLDEST = 21000                  # NCCL 2.10: the first that adds up bfloat16
    SUM = 0                         # an ncclRedOp_t

cdef enum Kind:
    ALL_REDUCE
    REDUCE
    BROADCAST

# ncclDataType_t by the number of the dtype; -1: none. (bool is none, for its sum is no bool.)
cdef int[13] TYPES = [7, 8, 6, 1, 2, 0, 4, -1, -1, -1, -1, -1, 9]
cdef const char** NAMES = [b"ncclAllReduce", b"ncclReduce", b"ncclBroadcast"]

cdef struct Nccl:                   # all return 0 or an ncclResult_t
    int (*version)(int* number) noexcept nogil
    const char* (*error_text)(int status) noexcept nogil
    int (*start_all)(handle_t* communicators, int count, const int* numbers) noexcept nogil
    int (*group_start)() noexcept nogil
    int (*group_end)() noexcept nogil
    int (*all_reduce)(const void* source, void* target, size_t count, int type, int operation, handle_t communicator,
                      handle_t stream) noexcept nogil
    int (*reduce)(const void* source, void* target, size_t count, int type, int operation, int root,
                  handle_t communicator, handle_t stream) noexcept nogil
    int (*broadcast)(const void* source, void* target, size_t count, int type, int root, handle_t communicator,
                     handle_t stream) noexcept nogil

cdef struct Entry:
    const char* name
    void** place

cdef struct Part:                   # one array's share, on one device
    int device                      # place in the communicator
    const void* source
    void* target                    # or NULL: only the root receives
    size_t count
    int type
    int root

cdef struct Work:                   # payload of a task
    Kind kind
    int n_devices
    const int* numbers              # of the devices, in a Communicator
    const handle_t* handles
    int n_parts
    Part* parts
    int n_chunks
    Chunk** chunks                  # with references; a reader's or writer's once

cdef Nccl nccl
cdef str failure = None             # why NCCL cannot be used, once that is known
cdef bint loaded = False
cdef dict communicators = {}        # by numbers of devices
_lock = threading.Lock()


# -- the library -----------------------------------------------------------------------------------------------------

cdef int load() except -1:
    global failure, loaded
    cdef void* library = NULL
    cdef const char* message
    cdef bytes name
    cdef Entry* entry
    cdef int version = 0
    cdef Entry[9] table = [
        Entry(b"ncclGetVersion", <void**>&nccl.version),
        Entry(b"ncclGetErrorString", <void**>&nccl.error_text),
        Entry(b"ncclCommInitAll", <void**>&nccl.start_all),
        Entry(b"ncclGroupStart", <void**>&nccl.group_start),
        Entry(b"ncclGroupEnd", <void**>&nccl.group_end),
        Entry(b"ncclAllReduce", <void**>&nccl.all_reduce),
        Entry(b"ncclReduce", <void**>&nccl.reduce),
        Entry(b"ncclBroadcast", <void**>&nccl.broadcast),
        Entry(NULL, NULL),
    ]
    if loaded or failure is not None:
        return 0
    reason = "MXCY_LIBNCCL is empty"
    for candidate in candidates("MXCY_LIBNCCL", "libnccl", (2,)):
        name = os.fsencode(candidate)
        library = dlopen(name, RTLD_NOW)
        if library != NULL:
            break
        message = dlerror()
        reason = message.decode(errors="replace")
    if library == NULL:
        failure = f"NCCL is not there ({reason}). Install it: pip install nvidia-nccl-cu13, or conda install nccl."
        return 0
    entry = table
    while entry.name != NULL:
        entry.place[0] = dlsym(library, entry.name)
        if entry.place[0] == NULL:
            failure = f"{candidate} lacks {entry.name.decode()}: it is no NCCL that mxcy can use."
            return 0
        entry += 1
    if nccl.version(&version) != 0 or version < OLDEST:
        failure = f"{candidate} is NCCL {version}; mxcy needs {OLDEST} (2.10) or newer."
        return 0
    loaded = True
    return 0


def available():
    """Whether NCCL is there."""
    with _lock:
        load()
    return bool(loaded)


def communicator(tuple numbers not None):
    """The Communicator of devices, made when it is first asked for; MXNetError says why there can be none."""
    with _lock:
        load()
        if not loaded:
            raise MXNetError(failure)
        if numbers not in communicators:
            communicators[numbers] = Communicator(numbers)
        return communicators[numbers]


# -- collectives -----------------------------------------------------------------------------------------------------

cdef class Communicator:
    """Several devices that add up and share arrays. Made by `communicator`.

    Arrays are given as lists for each device, in the order of ``numbers``, one entry for each sum or copy; all that is
    given in one call is one group.

    Attributes
    ----------
    numbers : tuple of int
        The devices.
    """

    cdef readonly tuple numbers
    cdef int n_devices
    cdef int[MAX_DEVICES] ordinals
    cdef handle_t[MAX_DEVICES] handles

    def __init__(self, tuple numbers):
        cdef int i, status
        cdef handle_t before = NULL
        if not 1 <= len(numbers) <= MAX_DEVICES or len(set(numbers)) < len(numbers):
            raise MXNetValueError(f"NCCL joins up to {MAX_DEVICES} devices, each once; got {numbers}")
        self.numbers, self.n_devices = numbers, len(numbers)
        for i, number in enumerate(numbers):
            device_start(number)
            self.ordinals[i] = number
        cu.context_get(&before)
        with nogil:
            status = nccl.start_all(self.handles, self.n_devices, self.ordinals)
        cu.context_set(before)
        if status:
            raise MXNetError(f"NCCL cannot join the devices {numbers}: {nccl.error_text(status).decode()}. "
                             "NCCL_DEBUG=WARN tells more; with MXCY_LIBNCCL= (empty) mxcy copies between devices instead.")

    def all_reduce(self, list sources, list targets):
        """Add up, and give the sum to every device.

        Parameters
        ----------
        sources, targets : list of list of NDArray
            For each sum the arrays of the devices; both may be the same ones.
        """
        self.start(ALL_REDUCE, sources, targets, [0] * len(sources))

    def reduce(self, list sources, list targets, list roots):
        """Add up to one device.

        Parameters
        ----------
        sources : list of list of NDArray
            For each sum the arrays of the devices.
        targets : list of NDArray
            The sums.
        roots : list of int
            The place among ``numbers`` of the device of each target.
        """
        self.start(REDUCE, sources, [[target if i == root else None for i in range(self.n_devices)]
                                     for target, root in zip(targets, roots)], roots)

    def broadcast(self, list sources, list targets, list roots):
        """Copy from one device to all.

        Parameters
        ----------
        sources : list of NDArray
        targets : list of list of NDArray
            For each source an array on each device.
        roots : list of int
            The place among ``numbers`` of the device of each source.
        """
        self.start(BROADCAST, [[source if i == root else None for i in range(self.n_devices)]
                               for source, root in zip(sources, roots)], targets, roots)

    cdef int start(self, Kind kind, list sources, list targets, list roots) except -1:
        """Issue the calls: at once if nothing is pending, else as a task."""
        cdef char text[1024]
        cdef int status, i
        cdef Task* task
        cdef Var** vars
        cdef Work* work
        for given in zip(sources, targets, strict=True):
            self.check(given)
        chunks, n_reads, n_updates = touched(sources, targets)
        cdef int n_writes = len(chunks) - n_reads
        work = self.work_new(kind, sources, targets, roots, chunks)
        vars = <Var**>(work.chunks + work.n_chunks)
        status = var_try(vars, n_reads, n_writes, n_updates)
        if status == 1:
            with nogil:
                status = issue(work, text, sizeof(text))
            var_release(vars, n_reads, n_writes, NULL)
            work_free(work)
            if status:
                raise MXNetError(text.decode("utf-8", "replace"))
            return 0
        task = task_new(n_reads, n_writes, sizeof(Work*))
        if task == NULL:
            work_free(work)
            raise_out_of_memory(sizeof(Work))
        (<Work**>task.payload)[0] = work
        memcpy(task.vars, vars, work.n_chunks * sizeof(Var*))
        task.run, task.destroy, task.n_updates, task.site = run_task, destroy_task, n_updates, site_here()
        task_push(task)
        if is_serial():
            for i in range(n_reads, n_reads + n_writes):
                var_wait(&(<NDArray>chunks[i]).chunk.var)
        return 0

    cdef int check(self, tuple given) except -1:
        """Raise unless the arrays of one sum or copy lie on the devices in order, and are of one size and dtype."""
        cdef NDArray first = next(array for array in given[0] if array is not None), array
        cdef int i
        if TYPES[first.code] < 0:
            raise MXNetValueError(f"NCCL has no dtype {first.dtype_name}")
        for arrays in given:
            if len(arrays) != self.n_devices:
                raise MXNetValueError(f"{len(arrays)} arrays for {self.n_devices} devices")
            for i in range(self.n_devices):
                if arrays[i] is None:
                    continue
                array = arrays[i]
                if array.chunk.device_type != GPU or array.chunk.device_id != self.ordinals[i]:
                    raise MXNetValueError(f"an array on {array.context} is given for gpu({self.ordinals[i]})")
                if array.nelem != first.nelem or array.code != first.code:
                    raise MXNetValueError(f"NCCL takes arrays of one size and dtype; got {first.dtype_name} "
                                          f"{first.shape} and {array.dtype_name} {array.shape}")
        return 0

    cdef Work* work_new(self, Kind kind, list sources, list targets, list roots, list chunks) except NULL:
        """What is to be issued, with references on the memory; behind it room for the variables, filled."""
        cdef int n_parts = self.n_devices * len(sources), i, k
        cdef size_t room = sizeof(Work) + n_parts * sizeof(Part) + len(chunks) * (sizeof(Chunk*) + sizeof(Var*))
        cdef Work* work = <Work*>malloc(room)
        cdef Part* part
        cdef NDArray source, target
        cdef Var** vars
        if work == NULL:
            raise_out_of_memory(room)
        work.kind, work.n_devices, work.numbers, work.handles = kind, self.n_devices, self.ordinals, self.handles
        work.parts, work.n_parts = <Part*>(work + 1), n_parts
        work.chunks, work.n_chunks = <Chunk**>(work.parts + n_parts), len(chunks)
        vars = <Var**>(work.chunks + work.n_chunks)
        part = work.parts
        for k in range(len(sources)):
            for i in range(self.n_devices):
                source, target = sources[k][i], targets[k][i]
                part.device, part.root = i, roots[k]
                part.source = source.data if source is not None else NULL
                part.target = target.data if target is not None else NULL
                source = target if source is None else source
                part.count, part.type = source.nelem, TYPES[source.code]
                part += 1
        for i in range(work.n_chunks):
            source = chunks[i]
            work.chunks[i], vars[i] = source.chunk, &source.chunk.var
            chunk_retain(source.chunk)
        return work


cdef tuple touched(list sources, list targets):
    """(an array for each piece of memory: those only read, then those read and written, then those only written; the
    numbers of the first two)"""
    read, written = {}, {}
    for found, lists in ((read, sources), (written, targets)):
        for arrays in lists:
            for array in arrays:
                if array is not None:
                    found[<uintptr_t>(<NDArray>array).chunk] = array
    only_read = [array for at, array in read.items() if at not in written]
    updated = [array for at, array in written.items() if at in read]
    return (only_read + updated + [array for at, array in written.items() if at not in read], len(only_read),
            len(updated))


cdef int issue(const Work* work, char* text, Py_ssize_t room) noexcept nogil:
    cdef int i, status = 0, ended
    cdef const Part* part
    cdef handle_t before = NULL
    for i in range(work.n_devices):
        if devices[work.numbers[i]].failed:             # the others would wait for it for good
            return failed(work.numbers[i], devices[work.numbers[i]].failed, b"adding up over devices", text, room)
    pthread_mutex_lock(&crossing)
    cu.context_get(&before)
    status = nccl.group_start()
    for i in range(work.n_parts if status == 0 else 0):
        part = &work.parts[i]
        if part.count and status == 0:
            status = call(work, part)
    ended = nccl.group_end()
    cu.context_set(before)
    pthread_mutex_unlock(&crossing)
    status = status if status else ended
    if status:
        snprintf(text, room, b"%s on %d devices, the first of them gpu(%d), failed: %s", NAMES[<int>work.kind],
                 work.n_devices, work.numbers[0], nccl.error_text(status))
    return status != 0


cdef int call(const Work* work, const Part* part) noexcept nogil:
    cdef handle_t communicator = work.handles[part.device]
    cdef handle_t stream = devices[work.numbers[part.device]].compute
    if work.kind == ALL_REDUCE:
        return nccl.all_reduce(part.source, part.target, part.count, part.type, SUM, communicator, stream)
    if work.kind == REDUCE:
        return nccl.reduce(part.source, part.target, part.count, part.type, SUM, part.root, communicator, stream)
    return nccl.broadcast(part.source, part.target, part.count, part.type, part.root, communicator, stream)


cdef int run_task(Task* task) noexcept nogil:
    return issue((<Work**>task.payload)[0], task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    work_free((<Work**>task.payload)[0])


cdef void work_free(Work* work) noexcept nogil:
    cdef int i
    for i in range(work.n_chunks):
        chunk_release(work.chunks[i])
    free(work)
