# cython: language_level=3, boundscheck=False, wraparound=False
"""Running a kernel on arrays: in the caller when it is small and nothing is pending, else as a task of the engine."""
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset, strlen, strncmp

from mxcy._types cimport Call, Tensor, itemsize, kernel_t
from mxcy.engine._engine cimport (Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait)
from mxcy.engine._profile cimport (EVENT_OPERATOR, PROFILE_IMPERATIVE, PROFILE_MEMORY, profile_event, profile_now,
                                   profile_on)
from mxcy.gpu._launch cimport Issues, issues_release
from mxcy.imperative._bound cimport (Bound, Packed, Signature, bound_params, packed_last, packed_retain, signature_of)
from mxcy.imperative._state cimport state
from mxcy.imperative._transfer cimport transfer
from mxcy.ndarray._ndarray cimport NDArray, as_tensor
from mxcy.ops._generator cimport generator_take
from mxcy.storage._device_pool cimport device_free, device_new
from mxcy.storage._pool cimport pool_in_use
from mxcy.storage._storage cimport GPU, Chunk, chunk_release, chunk_retain, raise_out_of_memory, scratch_free, scratch_new

from mxcy.base import MXNetError
from mxcy.ops.operator import lookup

cdef enum:
    FEW = 16                        # tensors that a call keeps on the stack

cdef double INLINE_NS = 10_000      # below: run in the caller, if nothing is pending
cdef double RELEASE_NS = 3_000      # above: let other Python threads run meanwhile
cdef double LANE_NS = 60_000        # above: use all threads, if the kernel can


# -- the kernel, with its scratch and its message ------------------------------------------------------------------------

cdef struct Work:                       # payload of a task: everything that the call needs, and what keeps it alive
    kernel_t run
    Packed* packed
    Issues* issues                      # of a call on a GPU, else NULL
    const char* name
    Py_ssize_t workspace
    Chunk** chunks
    int n_chunks
    Call call
    Tensor* tensors


cdef const char** DTYPE_TEXT = [b"float32", b"float64", b"float16", b"uint8", b"int32", b"int8", b"int64", b"bool", b"", b"",
                                b"", b"", b"bfloat16"]


cdef void describe_failure(char* text, Py_ssize_t room, const char* name, const char* message, const Tensor* tensors,
                           int n) noexcept nogil:
    """``name: message [float32 (2, 3), ...]``; a message that opens with the operator's name does not get it twice."""
    cdef int i, axis
    cdef Py_ssize_t at
    if strncmp(message, name, strlen(name)) == 0:
        at = snprintf(text, room, b"%s [", message)
    else:
        at = snprintf(text, room, b"%s: %s [", name, message)
    for i in range(min(n, 6)):
        if at < room:
            at += snprintf(text + at, room - at, b"%s%s (", b", " if i else b"", DTYPE_TEXT[tensors[i].dtype])
        for axis in range(tensors[i].ndim):
            if at < room:
                at += snprintf(text + at, room - at, b"%s%lld", b", " if axis else b"", <long long>tensors[i].shape[axis])
        if at < room:
            at += snprintf(text + at, room - at, b")")
    if at < room:
        snprintf(text + at, room - at, b"%s]", b", ..." if n > 6 else b"")


cdef int compute(Work* work, int64_t queued, char* text, Py_ssize_t room) noexcept nogil:
    """Run the kernel; on failure leave the message in text."""
    cdef int64_t start = profile_now() if profile_on & PROFILE_IMPERATIVE else 0
    cdef void* scratch = NULL
    cdef int status, index
    cdef int n_in = work.call.n_inputs
    if work.workspace > 0:
        if work.issues == NULL:
            scratch = scratch_new(work.workspace)
        else:
            scratch = device_new(work.issues.device, work.workspace, &index)
        if scratch == NULL:
            snprintf(work.call.error, sizeof(work.call.error), b"out of memory: %lld bytes of scratch", <long long>work.workspace)
            describe_failure(text, room, work.name, work.call.error, work.tensors, n_in)
            return 1
        work.call.workspace = scratch
    status = work.run(work.tensors, work.tensors + n_in, &work.call)
    if scratch != NULL and work.issues == NULL:
        scratch_free(scratch)
    elif scratch != NULL:
        device_free(work.issues.device, scratch, index)         # for what is issued behind this
    if status != 0:
        describe_failure(text, room, work.name, work.call.error, work.tensors, n_in)
    if start:
        note(work, queued, start)
    return status


cdef void note(Work* work, int64_t queued, int64_t start) noexcept nogil:
    """Tell the profiler of a call that began at ``start``."""
    cdef int64_t size = 0
    cdef int i
    for i in range(work.call.n_inputs, work.n_chunks):
        size += work.tensors[i].size * itemsize(work.tensors[i].dtype)
    profile_event(EVENT_OPERATOR, work.name, queued, start, size, pool_in_use() if profile_on & PROFILE_MEMORY else -1)


cdef int run_task(Task* task) noexcept nogil:
    cdef Work* work = <Work*>task.payload
    work.call.threads = task.threads
    return compute(work, task.queued, task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    cdef Work* work = <Work*>task.payload
    cdef int i
    for i in range(work.n_chunks):
        chunk_release(work.chunks[i])
    if work.packed != NULL and packed_last(&work.packed.refs):
        free(work.packed)
    if work.issues != NULL:
        issues_release(work.issues)


# -- variables ---------------------------------------------------------------------------------------------------------

cdef int sort_vars(Work* work, const char* changed, bint fresh, Var** vars, Seen seen, int* n_updates,
                   int* n_writes) noexcept nogil:
    """The variables that the call reads, then those it updates, then those it only writes; returns the number of reads."""
    cdef int n_in = work.call.n_inputs, n = work.n_chunks, i, writes = 0, total
    if changed != NULL:
        for i in range(n_in):
            if changed[i]:
                writes += add_var(vars, writes, &work.chunks[i].var, seen)
    if not fresh:                               # out= may be an input; of a long list that is taken for granted
        for i in range(n_in, n):
            if n > FEW or is_input(work, i):
                writes += add_var(vars, writes, &work.chunks[i].var, seen)
    n_updates[0] = writes
    for i in range(n_in, n):
        writes += add_var(vars, writes, &work.chunks[i].var, seen)
    total = writes
    for i in range(n_in):
        total += add_var(vars, total, &work.chunks[i].var, seen)
    reverse(vars, 0, writes)                    # writes, reads -> reads, writes
    reverse(vars, writes, total)
    reverse(vars, 0, total)
    n_writes[0] = writes
    return total - writes


cdef inline bint is_input(Work* work, int output) noexcept nogil:
    cdef int i
    for i in range(work.call.n_inputs):
        if work.chunks[i] == work.chunks[output]:
            return True
    return False


cdef inline void reverse(Var** vars, int low, int high) noexcept nogil:
    cdef Var* keep
    while low < high - 1:
        high -= 1
        keep = vars[low]
        vars[low] = vars[high]
        vars[high] = keep
        low += 1


# -- now, or later -----------------------------------------------------------------------------------------------------

cdef int execute(Bound bound, Signature signature, tuple inputs, list outputs, double scalar, bint fresh) except -1:
    """Run the kernel on these arrays: now if it is small and nothing is pending, else as a task."""
    cdef int n_in = <int>PyTuple_GET_SIZE(inputs), n_out = signature.count, n = n_in + n_out, i
    cdef Tensor few_tensors[FEW]
    cdef Var* few_vars[FEW]
    cdef Chunk* few_chunks[FEW]
    cdef Work work
    cdef char text[1024]
    cdef void* heap = NULL
    cdef Var** vars = few_vars
    cdef int writes = 0, reads = 0, updates = 0, taken, status, slots
    cdef NDArray array
    cdef Seen seen
    seen.table = NULL
    work.run, work.packed, work.name, work.workspace = signature.run, bound.packed, bound.name, signature.workspace
    work.tensors, work.chunks, work.n_chunks = few_tensors, few_chunks, n
    if n > FEW:
        slots = 64
        while slots < 2 * n:
            slots *= 2
        heap = malloc(n * (sizeof(Tensor) + sizeof(Var*) + sizeof(Chunk*)) + slots * sizeof(Var*))
        if heap == NULL:
            raise MemoryError
        work.tensors = <Tensor*>heap
        vars = <Var**>(work.tensors + n)
        work.chunks = <Chunk**>(vars + n)
        seen.table = <Var**>(work.chunks + n)
        memset(seen.table, 0, slots * sizeof(Var*))
        seen.mask = slots - 1
    work.call.params = bound_params(bound)
    work.call.workspace, work.call.info = NULL, signature.info
    work.issues = signature.recipe.issues if signature.recipe is not None else NULL
    work.call.scalar, work.call.n_inputs, work.call.n_outputs, work.call.threads = scalar, n_in, n_out, 1
    work.call.mutated, work.call.train = 0, state().training
    work.call.error[0] = 0
    if bound.random:
        generator_take(1, &work.call.seed, &work.call.counter)
    for i in range(n):
        array = <NDArray>PyTuple_GET_ITEM(inputs, i) if i < n_in else <NDArray>outputs[i - n_in]
        as_tensor(array, &work.tensors[i])
        work.chunks[i] = array.chunk
    if signature.writes != NULL:
        for i in range(min(n_in, 64)):
            work.call.mutated |= <uint64_t>(signature.writes[i] != 0) << i
    reads = sort_vars(&work, signature.writes, fresh, vars, seen, &updates, &writes)
    try:
        if signature.cost <= INLINE_NS or work.issues != NULL:      # issuing is quick, and best done in order
            taken = updates if fresh else writes        # nobody else knows fresh outputs
            status = var_try(vars, reads, taken, updates)
            if status == 1:
                if signature.cost > RELEASE_NS:
                    with nogil:
                        status = compute(&work, 0, text, sizeof(text))
                else:
                    status = compute(&work, 0, text, sizeof(text))
                var_release(vars, reads, taken, NULL)
                if status != 0:
                    raise MXNetError(text.decode("utf-8", "replace"))
                return 0
            if status == -1:
                for i in range(reads + updates):
                    var_wait(vars[i])           # raises what went wrong there
        push(&work, vars, reads, updates, writes, signature.cost, bound.kernel.parallel)
    finally:
        free(heap)
    return 0


cdef int push(Work* work, Var** vars, int reads, int updates, int writes, double cost, bint parallel) except -1:
    """Hand a copy of the work, with references on all it touches, to the engine."""
    cdef int n = work.n_chunks, i
    cdef Py_ssize_t dims = 0
    for i in range(n):
        dims += work.tensors[i].ndim
    cdef Py_ssize_t room = sizeof(Work) + n * (sizeof(Chunk*) + sizeof(Tensor)) + dims * sizeof(Py_ssize_t)
    cdef Task* task = task_new(reads, writes, room)
    if task == NULL:
        raise_out_of_memory(room)
    cdef Work* own = <Work*>task.payload
    own[0] = work[0]
    own.tensors = <Tensor*>(own + 1)
    own.chunks = <Chunk**>(own.tensors + n)
    cdef Py_ssize_t* place = <Py_ssize_t*>(own.chunks + n)
    for i in range(n):
        own.chunks[i] = work.chunks[i]
        chunk_retain(own.chunks[i])
        own.tensors[i] = work.tensors[i]
        memcpy(place, work.tensors[i].shape, work.tensors[i].ndim * sizeof(Py_ssize_t))
        own.tensors[i].shape = place
        place += work.tensors[i].ndim
    if own.packed != NULL:
        packed_retain(&own.packed.refs)
    if own.issues != NULL:
        packed_retain(&own.issues.refs)
    memcpy(task.vars, vars, (reads + writes) * sizeof(Var*))
    task.run, task.destroy = run_task, destroy_task
    task.priority, task.n_updates, task.site = 0, updates, site_here()
    task.lane, task.cost = parallel and cost > LANE_NS, cost
    if is_serial():
        with nogil:
            task_push(task)
        for i in range(reads, reads + writes):
            var_wait(vars[i])           # the serial engine is for finding errors: raise here, not at a later wait
    else:
        task_push(task)
    return 0


# -- assignments -------------------------------------------------------------------------------------------------------

cdef Bound copy_bound = None, number_bound = None


cdef int assign(NDArray target, NDArray source, bint fresh=False) except -1:
    """Copy the elements of an array into another of the same shape and dtype, through the engine."""
    cdef Bound bound = copying()
    if apart(target, source):
        return transfer(target, source, fresh)
    execute(bound, signature_of(bound, (source,)), (source,), [target], 0, False)
    return 0


cdef bint apart(NDArray a, NDArray b) noexcept:
    """Whether two arrays are on different devices; all CPU contexts are one."""
    if a.chunk.device_type != GPU and b.chunk.device_type != GPU:
        return False
    return a.chunk.device_type != b.chunk.device_type or a.chunk.device_id != b.chunk.device_id


cdef Bound copying():
    """The operator that copies an array."""
    global copy_bound
    if copy_bound is None:
        copy_bound = Bound(lookup("_copy"), {})
    return copy_bound


cdef int assign_number(NDArray target, double value) except -1:
    """Every element of the array becomes the number, through the engine."""
    global number_bound
    if number_bound is None:
        number_bound = Bound(lookup("_assign_scalar"), {})
    execute(number_bound, signature_of(number_bound, (target,)), (target,), [target], value, False)
    return 0
