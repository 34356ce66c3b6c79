# cython: language_level=3, boundscheck=False
"""Issuing the launches of a recipe without the GIL."""
from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from mxcy.engine._atomic cimport ACQ_REL, RELAXED, add_long
from mxcy.gpu._device cimport device_start, devices, enter, failed, leave, stream_of
from mxcy.gpu._driver cimport address_t, cu

from mxcy.gpu.recipe import WORKSPACE, Fill, LibraryCall, pack

cdef enum:
    ROOM = 4096                     # bytes of parameters that a launch can have
    PLAIN_SHARED = 48 << 10         # bytes of shared memory that need no asking

cdef dict SOURCES = {"scalar": FROM_SCALAR, "random": FROM_RANDOM, "train": FROM_TRAIN, "notice": FROM_NOTICE}
# What cuLaunchKernel's `extra` is made of.
cdef void* END = <void*>0
cdef void* BUFFER_POINTER = <void*>1
cdef void* BUFFER_SIZE = <void*>2

cdef extern from *:
    """
    static thread_local const void* mxcy_run_of_draws = nullptr;
    static thread_local uint64_t mxcy_first_draw = 0;
    """
    const void* run_of_draws "mxcy_run_of_draws"
    uint64_t first_draw "mxcy_first_draw"


cdef void draw_from(const void* run, uint64_t first) noexcept nogil:
    global run_of_draws, first_draw
    run_of_draws, first_draw = run, first


cdef class Prepared:
    """A call of a library, prepared for one device.

    Parameters
    ----------
    routine : int
        The address of a Routine, of which this takes a reference over.
    """

    def __cinit__(self, uintptr_t routine):
        self.routine = <Routine*>routine

    def __dealloc__(self):
        if self.routine != NULL:
            routine_release(self.routine)


cdef void routine_release(Routine* routine) noexcept nogil:
    if add_long(&routine.refs, -1, ACQ_REL) == 0:
        routine.free(routine)


cdef class Recipe:
    """What to issue for one signature of an operator on one device.

    Parameters
    ----------
    items : list of Launch, Fill and LibraryCall
    device : int
    workspace : int
        Bytes that the launches share.
    """

    def __init__(self, list items, int device, Py_ssize_t workspace):
        cdef Issues* issues = <Issues*>calloc(1, sizeof(Issues))
        if issues == NULL:
            raise MemoryError
        self.issues = issues
        issues.refs, issues.device, issues.workspace = 1, device, workspace
        issues.items = <Issue*>calloc(len(items) + 1, sizeof(Issue))
        if issues.items == NULL:
            raise MemoryError
        device_start(device)
        for item in items:
            add_item(&issues.items[issues.count], item, device)
            issues.count += 1

    def __dealloc__(self):
        if self.issues != NULL:
            issues_release(self.issues)


cdef int add_item(Issue* issue, item, int device) except -1:
    from mxcy.gpu import _module, compiler      # what it imports in turn takes long, and few programs have a GPU
    cdef int i
    cdef bytes data
    if isinstance(item, Fill):
        buffer, patches = pack([item.pointer])
        issue.size, issue.value = item.nbytes, item.value
    elif isinstance(item, LibraryCall):
        buffer, patches = pack(item.arguments)
        issue.routine, issue.size = (<Prepared?>item.prepared).routine, len(buffer)
        add_long(&issue.routine.refs, 1, RELAXED)
    else:
        buffer, patches = pack(item.arguments)
        function = item.source
        if isinstance(function, str):
            function = compiler.function(function, item.name, device)
        if item.shared > PLAIN_SHARED:
            _module.allow_shared(function, item.shared, device)
        issue.function, issue.shared, issue.size = <handle_t><uintptr_t>function, item.shared, len(buffer)
        issue.training = item.training
        for i in range(3):
            issue.grid[i], issue.block[i] = item.grid[i], item.block[i]
    if len(buffer) > ROOM:
        raise ValueError(f"{item}: {len(buffer)} bytes of parameters; at most {ROOM} are possible")
    data = bytes(buffer)
    issue.buffer = <char*>malloc(len(data) + 1)
    issue.patches = <Patch*>calloc(len(patches) + 1, sizeof(Patch))
    if issue.buffer == NULL or issue.patches == NULL:
        raise MemoryError
    memcpy(issue.buffer, <const char*>data, len(data))
    for at, what, offset in patches:
        issue.patches[issue.n_patches] = Patch(
            SOURCES[what] if isinstance(what, str) else FROM_WORKSPACE if what == WORKSPACE else FROM_TENSOR,
            0 if isinstance(what, str) else what, at, offset)
        issue.n_patches += 1
    return 0


cdef void issues_release(Issues* issues) noexcept nogil:
    cdef int i
    if add_long(&issues.refs, -1, ACQ_REL):
        return
    for i in range(issues.count + 1 if issues.items != NULL else 0):
        if issues.items[i].routine != NULL:
            routine_release(issues.items[i].routine)
        free(issues.items[i].buffer)
        free(issues.items[i].patches)
    free(issues.items)
    free(issues)


cdef int run_recipe(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const Issues* issues = <const Issues*>call.info
    cdef const Issue* issue
    cdef const Patch* patch
    cdef char[ROOM] buffer
    cdef char* place
    cdef void* extra[5]
    cdef handle_t before
    cdef int i, k, status = enter(issues.device, &before)
    cdef handle_t stream = stream_of(issues.device)
    if status:
        return failed(issues.device, status, b"launching a kernel", call.error, sizeof(call.error))
    for i in range(issues.count):
        issue = &issues.items[i]
        if issue.training and not call.train:
            continue
        memcpy(buffer, issue.buffer, issue.size if issue.function != NULL or issue.routine != NULL
               else sizeof(address_t))
        for k in range(issue.n_patches):
            patch = &issue.patches[k]
            place = buffer + patch.at
            if patch.source == FROM_TENSOR:
                (<char**>place)[0] = patch.offset + <char*>(
                    inputs[patch.tensor].data if patch.tensor < call.n_inputs else
                    outputs[patch.tensor - call.n_inputs].data)
            elif patch.source == FROM_WORKSPACE:
                (<char**>place)[0] = <char*>call.workspace + patch.offset
            elif patch.source == FROM_SCALAR:
                (<double*>place)[0] = call.scalar
            elif patch.source == FROM_RANDOM:
                (<uint64_t*>place)[0] = call.seed
                (<uint64_t*>place)[1] = call.counter - first_draw
                (<const void**>place)[2] = run_of_draws
            elif patch.source == FROM_NOTICE:
                (<void**>place)[0] = devices[issues.device].notice
            else:
                (<int*>place)[0] = call.train
        if issue.routine != NULL:
            if issue.routine.run(issue.routine, stream, buffer, call.error, sizeof(call.error)):
                leave(issues.device, before)
                return 1
        elif issue.function == NULL:
            status = cu.fill((<address_t*>buffer)[0], issue.value, issue.size, stream)
        else:
            extra[0], extra[1], extra[2], extra[3] = BUFFER_POINTER, <void*>buffer, BUFFER_SIZE, <void*>&issue.size
            extra[4] = END
            status = cu.launch(issue.function, issue.grid[0], issue.grid[1], issue.grid[2], issue.block[0],
                               issue.block[1], issue.block[2], issue.shared, stream, NULL, extra)
        if status:
            break
    leave(issues.device, before)
    return failed(issues.device, status, b"launching a kernel", call.error, sizeof(call.error)) if status else 0
