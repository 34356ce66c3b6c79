# cython: language_level=3, boundscheck=False
"""Convolutions by NVIDIA's cuDNN, where it is installed: through its graph interface, of which few functions are enough.

A convolution is described as a graph: of one operation, or with a sum and an activation behind it. The library's
heuristics rank the ways to compute it; the first one that keeps our promises about precision and fits into the
workspace becomes a plan, which is executed at every call.
"""
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc
from libc.string cimport memcpy

from mxcy.engine._thread cimport pthread_mutex_init, pthread_mutex_lock, pthread_mutex_t, pthread_mutex_unlock
from mxcy.gpu._device cimport MAX_DEVICES, device_start, enter, leave
from mxcy.gpu._driver cimport address_t, check, cu, handle_t
from mxcy.gpu._launch cimport Prepared, Routine
from mxcy.gpu._library cimport Entry, open_first

import threading

from mxcy.base import MXNetError
from mxcy.gpu.libraries import candidates

# How the library numbers what it is told (cudnn_graph.h).
cdef enum Kind:                         # of a descriptor
    POINTWISE = 0
    CONVOLUTION = 1
    ENGINE = 2
    CONFIGURATION = 3
    HEURISTICS = 4
    PLAN = 5
    FORWARD = 10
    BACKWARD_WEIGHT = 11
    BACKWARD_DATA = 12
    POINTWISE_OPERATION = 13
    GRAPH = 15
    POINTERS = 16
    TENSOR = 17
    PROPERTIES = 38

cdef enum Type:                         # of an attribute's values
    A_HANDLE = 0
    A_DTYPE = 1
    A_BOOLEAN = 2
    AN_INT64 = 3
    A_FLOAT = 4
    A_DOUBLE = 5
    A_POINTER = 6
    A_CONVOLUTION_MODE = 7
    A_HEURISTIC_MODE = 8
    A_NOTE = 11
    A_POINTWISE_MODE = 14
    A_DESCRIPTOR = 15
    A_CHAR = 24

cdef enum Name:                         # of an attribute
    POINTWISE_MODE = 0
    POINTWISE_COMPUTE = 1
    CONVOLUTION_COMPUTE = 100
    CONVOLUTION_MODE = 101
    CONVOLUTION_DILATIONS = 102
    CONVOLUTION_STRIDES = 103
    CONVOLUTION_PADS_AFTER = 104
    CONVOLUTION_PADS_BEFORE = 105
    CONVOLUTION_AXES = 106
    HEURISTICS_MODE = 200
    HEURISTICS_GRAPH = 201
    HEURISTICS_RESULTS = 202
    HEURISTICS_PROPERTIES = 204
    CONFIGURATION_ENGINE = 300
    PLAN_HANDLE = 400
    PLAN_CONFIGURATION = 401
    PLAN_WORKSPACE = 402
    PLAN_PROPERTIES = 407
    OPERATION_POINTWISE = 750
    OPERATION_X = 751
    OPERATION_OTHER = 752
    OPERATION_Y = 753
    GRAPH_HANDLE = 800
    GRAPH_OPERATIONS = 801
    TENSOR_ALIGNMENT = 900
    TENSOR_DTYPE = 901
    TENSOR_EXTENTS = 902
    TENSOR_STRIDES = 903
    TENSOR_IDENTITY = 906
    TENSOR_VIRTUAL = 907
    POINTERS_IDENTITIES = 1000
    POINTERS_DATA = 1001
    POINTERS_WORKSPACE = 1003
    ENGINE_NOTES = 1303
    PROPERTIES_TEXT = 2702

cdef enum:
    CROSS_CORRELATION = 1               # a mode of convolutions: what everybody means by them
    SUM = 0                             # modes of elementwise operations
    RELU = 100
    FALLBACK = 2                        # modes of heuristics
    BEST = 3
    DOUBLE = 1                          # a dtype
    MOST = 64                           # configurations that are looked at
    NOTES = 32                          # that an engine can have
    ALIGNMENT = 16                      # bytes; arrays have it unless they are views

cdef struct Library:                    # all return 0 or a cudnnStatus_t
    int (*create)(void** handle) noexcept nogil
    int (*set_stream)(void* handle, handle_t stream) noexcept nogil
    int (*make)(int kind, void** descriptor) noexcept nogil
    int (*destroy)(void* descriptor) noexcept nogil
    int (*set)(void* descriptor, int name, int type, int64_t n, const void* values) noexcept nogil
    int (*get)(void* descriptor, int name, int type, int64_t room, int64_t* n, void* values) noexcept nogil
    int (*finalize)(void* descriptor) noexcept nogil
    int (*execute)(void* handle, void* plan, void* pointers) noexcept nogil
    const char* (*status_name)(int status) noexcept nogil

cdef struct Handle:                     # of a device
    void* handle
    handle_t stream                     # that it issues to: the compute stream, or one that is recorded
    pthread_mutex_t mutex               # guards the handle

cdef struct Sizes:                      # of a tensor: batch, channels, axes
    int64_t extents[5]
    int64_t strides[5]

cdef enum:                              # tensors that are given, by their identities
    DATA
    WEIGHT
    RESULT                              # of the forward direction
    BIAS
    ADDEND
    GIVEN

cdef enum:                              # bits: what follows the convolution
    A_BIAS = 1
    AN_ADDEND = 2
    A_RELU = 4

cdef struct Problem:                    # made by mxcy/ops/cuda/convolution.py
    Sizes tensors[GIVEN]
    int64_t stride[3]
    int64_t dilate[3]
    int64_t pad[3]
    int64_t limit                       # bytes of workspace
    int32_t direction                   # which of the first three tensors is computed
    int32_t kind                        # cudnnDataType_t of all tensors
    int32_t compute                     # and of sums
    int32_t axes
    int32_t refused                     # a bit for each cudnnBackendNumericalNote_t that no engine may have
    int32_t itemsize
    int32_t follows                     # bits; forward alone
    int32_t unused

cdef struct Plan:
    void* descriptor                    # NULL: not made yet
    int64_t workspace
    address_t own                       # workspace, if it needs more than the calls bring

cdef struct Convolution:                # kept for good, since its kernels may be running, or be part of a recording
    Routine head
    int device
    Problem problem
    Plan plans[2]                       # for aligned arrays, and for others: made when the first such call comes

cdef struct Call:                       # the arguments of a LibraryCall
    void* workspace
    void* tensors[GIVEN]                # those that there are

cdef struct Builder:
    int status                          # of the first call that failed; nothing is done from then on

cdef Library library
cdef Handle[MAX_DEVICES] handles
cdef int found = -1                     # whether the library is there; -1: nobody asked
cdef dict known = {}                    # (device, Problem): what `prepare` gives
_lock = threading.Lock()


def available():
    """Whether there is a cuDNN: that of ``MXCY_LIBCUDNN`` (empty: none), a wheel's or the system's."""
    global found
    cdef Entry[10] table = [
        Entry(b"cudnnCreate", <void**>&library.create),
        Entry(b"cudnnSetStream", <void**>&library.set_stream),
        Entry(b"cudnnBackendCreateDescriptor", <void**>&library.make),
        Entry(b"cudnnBackendDestroyDescriptor", <void**>&library.destroy),
        Entry(b"cudnnBackendSetAttribute", <void**>&library.set),
        Entry(b"cudnnBackendGetAttribute", <void**>&library.get),
        Entry(b"cudnnBackendFinalize", <void**>&library.finalize),
        Entry(b"cudnnBackendExecute", <void**>&library.execute),
        Entry(b"cudnnGetErrorString", <void**>&library.status_name),
        Entry(NULL, NULL),
    ]
    if found < 0:
        with _lock:
            found = open_first(candidates("MXCY_LIBCUDNN", "libcudnn", (9,)), table)
    return found == 1


cdef void* start(Builder* b, int kind) noexcept nogil:
    cdef void* descriptor = NULL
    if b.status == 0:
        b.status = library.make(kind, &descriptor)
    return descriptor


cdef void put(Builder* b, void* descriptor, int name, int type, int64_t n, const void* values) noexcept nogil:
    if b.status == 0:
        b.status = library.set(descriptor, name, type, n, values)


cdef void finish(Builder* b, void* descriptor) noexcept nogil:
    if b.status == 0:
        b.status = library.finalize(descriptor)


cdef void* describe_tensor(Builder* b, const Problem* p, int like, int64_t identity, int64_t alignment,
                           int32_t kind) noexcept nogil:
    """A tensor with the sizes of one of those that are given; virtual, if it is none of them itself."""
    cdef void* tensor = start(b, TENSOR)
    cdef char yes = 1
    put(b, tensor, TENSOR_IDENTITY, AN_INT64, 1, &identity)
    put(b, tensor, TENSOR_DTYPE, A_DTYPE, 1, &kind)
    put(b, tensor, TENSOR_ALIGNMENT, AN_INT64, 1, &alignment)
    put(b, tensor, TENSOR_EXTENTS, AN_INT64, p.axes + 2, p.tensors[like].extents)
    put(b, tensor, TENSOR_STRIDES, AN_INT64, p.axes + 2, p.tensors[like].strides)
    if identity >= GIVEN:
        put(b, tensor, TENSOR_VIRTUAL, A_BOOLEAN, 1, &yes)
    finish(b, tensor)
    return tensor


cdef void* describe_convolution(Builder* b, const Problem* p, void** tensors) noexcept nogil:
    cdef void* operation
    cdef void* convolution = start(b, CONVOLUTION)
    cdef int mode = CROSS_CORRELATION, base
    cdef int64_t axes = p.axes
    cdef float one = 1, zero = 0
    cdef double one64 = 1, zero64 = 0
    cdef bint wide = p.compute == DOUBLE
    put(b, convolution, CONVOLUTION_COMPUTE, A_DTYPE, 1, &p.compute)
    put(b, convolution, CONVOLUTION_MODE, A_CONVOLUTION_MODE, 1, &mode)
    put(b, convolution, CONVOLUTION_AXES, AN_INT64, 1, &axes)
    put(b, convolution, CONVOLUTION_DILATIONS, AN_INT64, axes, p.dilate)
    put(b, convolution, CONVOLUTION_STRIDES, AN_INT64, axes, p.stride)
    put(b, convolution, CONVOLUTION_PADS_BEFORE, AN_INT64, axes, p.pad)
    put(b, convolution, CONVOLUTION_PADS_AFTER, AN_INT64, axes, p.pad)
    finish(b, convolution)
    # Each direction has its own names for the same: factor of the result, factor of what the result was before,
    # convolution, then tensors.
    base = 700 if p.direction == RESULT else 706 if p.direction == DATA else 712
    operation = start(b, FORWARD if p.direction == RESULT else BACKWARD_DATA if p.direction == DATA
                      else BACKWARD_WEIGHT)
    put(b, operation, base, A_DOUBLE if wide else A_FLOAT, 1, <void*>&one64 if wide else <void*>&one)
    put(b, operation, base + 1, A_DOUBLE if wide else A_FLOAT, 1, <void*>&zero64 if wide else <void*>&zero)
    put(b, operation, base + 2, A_DESCRIPTOR, 1, &convolution)
    put(b, operation, base + 3, A_DESCRIPTOR, 1, &tensors[WEIGHT])
    put(b, operation, base + 4, A_DESCRIPTOR, 1, &tensors[DATA])
    put(b, operation, base + 5, A_DESCRIPTOR, 1, &tensors[RESULT])
    finish(b, operation)
    return operation


cdef void* describe_pointwise(Builder* b, const Problem* p, int mode, void* x, void* other, void* y) noexcept nogil:
    cdef void* operation
    cdef void* pointwise = start(b, POINTWISE)
    put(b, pointwise, POINTWISE_MODE, A_POINTWISE_MODE, 1, &mode)
    put(b, pointwise, POINTWISE_COMPUTE, A_DTYPE, 1, &p.compute)
    finish(b, pointwise)
    operation = start(b, POINTWISE_OPERATION)
    put(b, operation, OPERATION_POINTWISE, A_DESCRIPTOR, 1, &pointwise)
    put(b, operation, OPERATION_X, A_DESCRIPTOR, 1, &x)
    if other != NULL:
        put(b, operation, OPERATION_OTHER, A_DESCRIPTOR, 1, &other)
    put(b, operation, OPERATION_Y, A_DESCRIPTOR, 1, &y)
    finish(b, operation)
    return operation


cdef void* describe(Builder* b, const Problem* p, void* handle, int64_t alignment) noexcept nogil:
    """The graph: the convolution, then what follows it, in the order that the library has kernels for."""
    cdef int bits[3]
    cdef int others[3]
    cdef void* tensors[GIVEN]
    cdef void* operations[4]
    cdef void* graph
    cdef void* x
    cdef void* y
    cdef int64_t n = 1
    cdef int i, rest = p.follows
    bits[0], bits[1], bits[2] = AN_ADDEND, A_BIAS, A_RELU
    others[0], others[1], others[2] = ADDEND, BIAS, -1
    for i in range(GIVEN):
        if i <= RESULT or (p.follows & (A_BIAS if i == BIAS else AN_ADDEND)):
            tensors[i] = describe_tensor(b, p, i, i, alignment, p.kind)
    y = tensors[RESULT]
    if rest:
        tensors[RESULT] = describe_tensor(b, p, RESULT, GIVEN, alignment, p.compute)
    x = tensors[RESULT]
    operations[0] = describe_convolution(b, p, tensors)
    for i in range(3):
        if rest & bits[i]:
            rest &= ~bits[i]
            tensors[RESULT] = y if rest == 0 else describe_tensor(b, p, RESULT, GIVEN + n, alignment, p.compute)
            operations[n] = describe_pointwise(b, p, RELU if i == 2 else SUM, x,
                                               NULL if i == 2 else tensors[others[i]], tensors[RESULT])
            x = tensors[RESULT]
            n += 1
    graph = start(b, GRAPH)
    if handle != NULL:
        put(b, graph, GRAPH_HANDLE, A_HANDLE, 1, &handle)
    put(b, graph, GRAPH_OPERATIONS, A_DESCRIPTOR, n, operations)
    finish(b, graph)
    return graph


cdef bint acceptable(void* configuration, const Problem* p) noexcept nogil:
    """Whether the engine has none of the refused notes."""
    cdef Builder b = Builder(0)
    cdef int notes[NOTES]
    cdef int64_t n = 0
    cdef int i
    cdef int refused = 0
    cdef void* engine = start(&b, ENGINE)
    if b.status == 0:
        b.status = library.get(configuration, CONFIGURATION_ENGINE, A_DESCRIPTOR, 1, &n, &engine)
    if b.status == 0:
        b.status = library.get(engine, ENGINE_NOTES, A_NOTE, NOTES, &n, notes)
    for i in range(n if b.status == 0 else 0):
        refused |= 1 << notes[i] & p.refused
    if engine != NULL:
        library.destroy(engine)
    return b.status == 0 and not refused


cdef void try_plan(Plan* plan, void* configuration, void* handle, void* properties, int64_t limit) noexcept nogil:
    """Fill the plan if the configuration can be had on this device, in this much memory."""
    cdef Builder b = Builder(0)
    cdef int64_t n = 0
    cdef void* descriptor = start(&b, PLAN)
    if handle != NULL:
        put(&b, descriptor, PLAN_HANDLE, A_HANDLE, 1, &handle)
    if properties != NULL:
        put(&b, descriptor, PLAN_PROPERTIES, A_DESCRIPTOR, 1, &properties)
    put(&b, descriptor, PLAN_CONFIGURATION, A_DESCRIPTOR, 1, &configuration)
    finish(&b, descriptor)
    if b.status == 0:
        b.status = library.get(descriptor, PLAN_WORKSPACE, AN_INT64, 1, &n, &plan.workspace)
    if b.status == 0 and plan.workspace <= limit:
        plan.descriptor = descriptor
    elif descriptor != NULL:
        library.destroy(descriptor)


cdef int build(Plan* plan, const Problem* p, void* handle, void* properties, int64_t alignment) noexcept nogil:
    """Make a plan; its descriptor stays NULL if there is none. The status of what failed before there was a choice, such
    as that the extents are not those of a convolution: a deconvolution may make one position less than its window would.

    What a plan was made of is never destroyed: whether the library still needs it is not documented.
    """
    cdef Builder b = Builder(0)
    cdef void* configurations[MOST]
    cdef void* heuristics
    cdef void* graph = describe(&b, p, handle, alignment)
    cdef int64_t n
    cdef int mode, i, k
    for k in range(2):
        mode = BEST if k == 0 else FALLBACK
        heuristics = start(&b, HEURISTICS)
        put(&b, heuristics, HEURISTICS_MODE, A_HEURISTIC_MODE, 1, &mode)
        put(&b, heuristics, HEURISTICS_GRAPH, A_DESCRIPTOR, 1, &graph)
        if properties != NULL:
            put(&b, heuristics, HEURISTICS_PROPERTIES, A_DESCRIPTOR, 1, &properties)
        finish(&b, heuristics)
        if b.status:
            return b.status
        for i in range(MOST):
            configurations[i] = start(&b, CONFIGURATION)
        n = 0
        if b.status == 0:
            b.status = library.get(heuristics, HEURISTICS_RESULTS, A_DESCRIPTOR, MOST, &n, configurations)
        for i in range(MOST):
            if i < n and b.status == 0 and plan.descriptor == NULL and acceptable(configurations[i], p):
                try_plan(plan, configurations[i], handle, properties, p.limit)
                if plan.descriptor != NULL:
                    continue
            if configurations[i] != NULL:
                library.destroy(configurations[i])
        library.destroy(heuristics)
        if plan.descriptor != NULL or b.status:
            return b.status
    return 0


def prepare(device, bytes problem):
    """A plan for a convolution.

    Parameters
    ----------
    device : int or str
        Its number; or properties of one that need not be here, in the library's format (JSON).
    problem : bytes
        The struct Problem.

    Returns
    -------
    (Prepared, int) or None
        The call, which takes the struct Call, and bytes of workspace; None: this library cannot do it on that device.
    """
    cdef Convolution* convolution
    cdef void* properties = NULL
    cdef bytes text
    cdef Builder b = Builder(0)
    if len(problem) != sizeof(Problem):
        raise ValueError(f"{len(problem)} bytes; a Problem has {sizeof(Problem)}")
    key = device, problem
    with _lock:
        if key in known:
            return known[key]
    convolution = <Convolution*>calloc(1, sizeof(Convolution))
    if convolution == NULL:
        raise MemoryError
    convolution.head.refs, convolution.head.run, convolution.head.free = 1, run, keep
    prepared = Prepared(<uintptr_t>&convolution.head)
    memcpy(&convolution.problem, <const char*>problem, sizeof(Problem))
    if isinstance(device, str):
        text = device.encode()
        properties = start(&b, PROPERTIES)
        put(&b, properties, PROPERTIES_TEXT, A_CHAR, len(text), <const char*>text)
        finish(&b, properties)
        if b.status:
            raise MXNetError(f"cuDNN does not take these properties: {library.status_name(b.status).decode()}")
        build(&convolution.plans[0], &convolution.problem, NULL, properties, ALIGNMENT)
    else:
        convolution.device = device
        make_handle(device)
        build_there(convolution, device)
    plan = (prepared, convolution.plans[0].workspace) if convolution.plans[0].descriptor != NULL else None
    with _lock:             # of two threads that came with the same at once the first one's stays
        return known.setdefault(key, plan)


cdef int build_there(Convolution* convolution, int device) except -1:
    """Make the plan for aligned arrays. Whatever the library has against it, others compute it then."""
    cdef handle_t before
    cdef Handle* own = &handles[device]
    check(enter(device, &before), b"preparing a convolution")
    with nogil:
        pthread_mutex_lock(&own.mutex)
        build(&convolution.plans[0], &convolution.problem, own.handle, NULL, ALIGNMENT)
        pthread_mutex_unlock(&own.mutex)
    leave(device, before)
    return 0


cdef int make_handle(int device) except -1:
    """Make the library's handle for a device, once."""
    cdef handle_t before
    cdef void* handle = NULL
    cdef Handle* own = &handles[device]
    cdef int status
    device_start(device)
    with _lock:
        if own.handle == NULL:
            check(enter(device, &before), b"starting cuDNN")
            status = library.create(&handle)
            leave(device, before)
            if status:
                raise MXNetError(f"gpu({device}): cuDNN cannot be used: {library.status_name(status).decode()}. "
                                 "With MXCY_LIBCUDNN= (empty) mxcy computes convolutions without it.")
            pthread_mutex_init(&own.mutex, NULL)
            own.handle = handle
    return 0


cdef void keep(Routine* routine) noexcept nogil:
    """Nothing is freed; see Convolution."""
    pass


cdef int choose(Convolution* convolution, Call* call, int n, Plan** plan, void* handle) noexcept nogil:
    """The plan for these addresses, and its workspace."""
    cdef uintptr_t bits = 0
    cdef bint loose
    cdef int i, status = 0
    for i in range(n):
        bits |= <uintptr_t>call.tensors[i]
    loose = bits % ALIGNMENT != 0
    plan[0] = &convolution.plans[loose]
    if not loose:
        return 0
    if plan[0].descriptor == NULL:
        status = build(plan[0], &convolution.problem, handle, NULL, convolution.problem.itemsize)
    if plan[0].workspace > convolution.plans[0].workspace:
        if plan[0].own == 0 and cu.malloc(&plan[0].own, plan[0].workspace):
            plan[0].own = 0
            plan[0].descriptor = NULL
        call.workspace = <void*>plan[0].own
    return status


cdef int run(Routine* routine, handle_t stream, const void* buffer, char* error, size_t room) noexcept nogil:
    cdef Convolution* convolution = <Convolution*>routine
    cdef Call call = (<const Call*>buffer)[0]
    cdef int device = convolution.device
    cdef Handle* own = &handles[device]
    cdef Builder b = Builder(0)
    cdef Plan* plan
    cdef void* pointers = NULL
    cdef int64_t[5] identities = [DATA, WEIGHT, RESULT, BIAS, ADDEND]
    cdef int n = BIAS + ((convolution.problem.follows & A_BIAS) != 0) + ((convolution.problem.follows & AN_ADDEND) != 0)
    pthread_mutex_lock(&own.mutex)
    b.status = choose(convolution, &call, n, &plan, own.handle)
    if plan.descriptor == NULL:
        pthread_mutex_unlock(&own.mutex)
        snprintf(error, room, b"gpu(%d): cuDNN does not compute this convolution for arrays that do not begin at a "
                 b"multiple of %d bytes (%s). Copy the view.", device, <int>ALIGNMENT, library.status_name(b.status))
        return 1
    if b.status == 0 and own.stream != stream:
        b.status = library.set_stream(own.handle, stream)
        own.stream = stream
    pointers = start(&b, POINTERS)
    put(&b, pointers, POINTERS_IDENTITIES, AN_INT64, n, identities)
    put(&b, pointers, POINTERS_DATA, A_POINTER, n, call.tensors)
    put(&b, pointers, POINTERS_WORKSPACE, A_POINTER, 1, &call.workspace)
    finish(&b, pointers)
    if b.status == 0:
        b.status = library.execute(own.handle, plan.descriptor, pointers)
    if pointers != NULL:
        library.destroy(pointers)
    pthread_mutex_unlock(&own.mutex)
    if b.status:
        snprintf(error, room, b"gpu(%d): cudnnBackendExecute failed: %s", device, library.status_name(b.status))
        return 1
    return 0
