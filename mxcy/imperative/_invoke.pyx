# cython: language_level=3, boundscheck=False, wraparound=False
"""Calling an operator: infer, allocate, run or push, record.

``a + b`` takes this way (docs/walkthrough.md): the operator slot of NDArray, `binary`, `invoke`, `signature_of` (a memory
comparison when the shapes are those of the last call), `execute` (in the caller when small, else a task).
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.stdio cimport snprintf
from libc.string cimport memcmp, memcpy, memset, strlen, strncmp

from mxcy._types cimport MAX_NDIM, Call, Tensor, itemsize
from mxcy.engine._engine cimport (Task, Var, is_serial, lane_threads, site_here, task_new, task_push, var_release, var_try,
                                  var_wait)
from mxcy.imperative._state cimport State, state
from mxcy.ndarray._ndarray cimport (ADD, DIV, EQ, GE, GT, LE, LT, MOD, MUL, NE, POW, SUB, NDArray, as_tensor,
                                    dims_tuple, empty, hooks, view)
from mxcy.ops._generator cimport generator_take
from mxcy.ops._kernel cimport KernelInfo
from mxcy.storage._storage cimport Chunk, chunk_release, chunk_retain, raise_out_of_memory, scratch_free, scratch_new

import inspect
import numbers
import struct

import numpy

from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.context import Context, current_context
from mxcy.dtype import CODES, NAMES
from mxcy.ndarray._ndarray import from_numpy_copy
from mxcy.ndarray.arithmetic import TABLE as arithmetic_table
from mxcy.ops.infer import infer
from mxcy.ops.operator import call_rule, lookup

cdef enum:
    FEW = 16                        # tensors that a call keeps on the stack
    KEY = 96                        # numbers of a signature that a call keeps on the stack
    SIGNATURES = 512                # remembered per Bound
    BOUNDS = 512                    # remembered per operator function

cdef double INLINE_NS = 10_000      # below: run in the caller, if nothing is pending
cdef double RELEASE_NS = 3_000      # above: let other Python threads run meanwhile
cdef double LANE_NS = 60_000        # above: use all threads, if the kernel can
cdef double FLOP_NS = 0.015         # of one thread, for kernels that count operations

cdef extern from *:
    """
    static inline void mxcy_packed_retain(long* refs) { __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED); }
    static inline int mxcy_packed_last(long* refs) { return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0; }
    """
    void packed_retain "mxcy_packed_retain"(long* refs) noexcept nogil
    bint packed_last "mxcy_packed_last"(long* refs) noexcept nogil


# -- signatures --------------------------------------------------------------------------------------------------------

cdef class Signature:
    def __dealloc__(self):
        cdef int i
        if self.dims != NULL:
            for i in range(self.count):
                free(self.dims[i])
        free(self.dims)
        free(self.codes)
        free(self.ranks)
        free(self.writes)


cdef Signature make_signature(list outputs):
    """From a list of (shape, dtype name)."""
    cdef Signature result = Signature.__new__(Signature)
    cdef int count = len(outputs), i, axis
    cdef Py_ssize_t room, size
    result.codes = <int*>calloc(count + 1, sizeof(int))
    result.ranks = <int*>calloc(count + 1, sizeof(int))
    result.dims = <Py_ssize_t**>calloc(count + 1, sizeof(Py_ssize_t*))
    if result.codes == NULL or result.ranks == NULL or result.dims == NULL:
        raise MemoryError
    result.count = count
    for i in range(count):
        shape, dtype = outputs[i]
        result.codes[i], result.ranks[i] = CODES[dtype], len(shape)
        if result.ranks[i] > MAX_NDIM:
            raise MXNetValueError(f"a result of shape {shape} has {len(shape)} axes; at most {MAX_NDIM} are possible")
        result.dims[i] = <Py_ssize_t*>malloc((result.ranks[i] + 1) * sizeof(Py_ssize_t))
        if result.dims[i] == NULL:
            raise MemoryError
        room, size = <Py_ssize_t>0x7fffffffffffffff // itemsize(result.codes[i]), 1
        for axis in range(result.ranks[i]):
            if not 0 <= shape[axis] < 1 << 62 or (shape[axis] and size > room // <Py_ssize_t>shape[axis]):
                raise MXNetValueError(f"a result of shape {shape} and dtype {dtype} is not possible: sizes must be "
                                      f"0 or more, and the bytes fit in 63 bits")
            result.dims[i][axis] = shape[axis]
            size *= shape[axis] if shape[axis] else 1
    return result


@cython.cdivision(True)
cdef Signature signature_of(Bound bound, tuple inputs):
    """What the inputs' shapes and dtypes imply; from memory where they were seen before."""
    cdef int64_t stack[KEY]
    cdef int64_t* key = stack
    cdef Py_ssize_t n = PyTuple_GET_SIZE(inputs), i, at = 0, need = 0
    cdef NDArray array
    cdef int axis
    cdef Signature found
    for i in range(n):
        need += 1 + (<NDArray>PyTuple_GET_ITEM(inputs, i)).rank
    if need > KEY:
        key = <int64_t*>malloc(need * sizeof(int64_t))
        if key == NULL:
            raise MemoryError
    try:
        for i in range(n):
            array = <NDArray>PyTuple_GET_ITEM(inputs, i)
            key[at] = array.code << 8 | array.rank
            at += 1
            for axis in range(array.rank):
                key[at] = array.dims[axis]
                at += 1
        found = bound.last
        if found is not None and PyBytes_GET_SIZE(found.key) == at * 8 \
                and memcmp(PyBytes_AS_STRING(found.key), key, at * 8) == 0:
            return found
        name = PyBytes_FromStringAndSize(<char*>key, at * 8)
    finally:
        if key != stack:
            free(key)
    found = bound.signatures.get(name)
    if found is None:
        found = infer_signature(bound, inputs)
        if len(bound.signatures) >= SIGNATURES:
            bound.signatures.clear()
        found.key = name
        bound.signatures[name] = found
    bound.last = found
    return found


cdef Signature infer_signature(Bound bound, tuple inputs):
    cdef Signature result
    cdef NDArray array
    operator = bound.operator
    names = operator.input_names(bound.params, len(inputs))
    if len(names) != len(inputs):
        raise MXNetTypeError(f"{operator.name}: {len(inputs)} inputs given; expected {len(names)} ({', '.join(names)})")
    shapes = [array.shape for array in inputs]
    try:
        result = make_signature(infer(operator, bound.params, names, shapes, [array.dtype_name for array in inputs]))
    except MXNetError as error:
        raise named(operator, error) from error.__cause__
    result.visible = operator.output_counts(bound.params, len(inputs))[1]
    changed = operator.changed_inputs(bound.params, names)
    if changed:
        result.writes = <char*>calloc(len(names), 1)
        if result.writes == NULL:
            raise MemoryError
        for at in changed:
            result.writes[<int>at] = 1
    cdef KernelInfo* info = &bound.kernel.info
    cdef int code
    if bound.kernel.dispatch >= 0 and inputs:
        code = (<NDArray>inputs[min(bound.kernel.dispatch, len(inputs) - 1)]).code
    else:
        code = result.codes[0]
    result.run = info.table[code]
    if result.run == NULL:
        raise MXNetTypeError(f"{operator.name} does not take {NAMES[code]}; it takes "
                             f"{', '.join(NAMES[c] for c in bound.kernel.dtypes)}. Convert with astype().")
    # Cost and scratch follow from the shapes alone, so a dummy call finds them once.
    cdef int n_in = len(inputs), i, axis
    cdef Tensor* tensors = <Tensor*>calloc(n_in + result.count + 1, sizeof(Tensor))
    cdef Call call
    cdef Py_ssize_t largest = 1
    if tensors == NULL:
        raise MemoryError
    memset(&call, 0, sizeof(Call))
    call.params, call.info, call.n_inputs, call.n_outputs = bound_params(bound), info, n_in, result.count
    call.threads = lane_threads()
    for i in range(n_in):
        as_tensor(<NDArray>inputs[i], &tensors[i])
        largest = max(largest, tensors[i].size)
    for i in range(result.count):
        tensors[n_in + i].dtype, tensors[n_in + i].ndim = result.codes[i], result.ranks[i]
        tensors[n_in + i].shape, tensors[n_in + i].size = result.dims[i], 1
        for axis in range(result.ranks[i]):
            tensors[n_in + i].size *= result.dims[i][axis]
        largest = max(largest, tensors[n_in + i].size)
    result.cost = info.cost * largest
    if info.flops != NULL:
        result.cost = max(result.cost, info.flops(tensors, tensors + n_in, &call) * FLOP_NS)
    result.workspace = info.workspace(tensors, tensors + n_in, &call) if info.workspace != NULL else 0
    free(tensors)
    return result


# -- operators bound to parameters -------------------------------------------------------------------------------------

cdef inline void* bound_params(Bound bound) noexcept:
    """The kernel's parameters, 16 bytes into their allocation so that they are aligned."""
    return NULL if bound.packed == NULL else <void*>(<char*>bound.packed + 16)


cdef class Bound:
    """An operator with parsed parameters."""

    def __init__(self, operator, dict given):
        self.operator = operator
        self.params = operator.parse(given)
        # The name is read by tasks that may outlive everything but the table.
        self.name = PyUnicode_AsUTF8(operator.name)
        self.random = operator.random
        self.compose = operator.rules.get("compose")
        self.signatures = {}
        cdef bytes packed
        if self.compose is None:
            self.kernel = operator.kernel(self.params)
            if self.kernel.pack is not None:
                try:
                    packed = self.kernel.pack(self.params)
                except (struct.error, OverflowError) as error:
                    raise MXNetValueError(f"{operator.name}: a parameter is out of range: {error}") from error
                self.packed = <Packed*>malloc(16 + len(packed) + 8)
                if self.packed == NULL:
                    raise MemoryError
                self.packed.refs = 1
                memcpy(<char*>self.packed + 16, PyBytes_AS_STRING(packed), len(packed))

    def __dealloc__(self):
        if self.packed != NULL and packed_last(&self.packed.refs):
            free(self.packed)


# -- running -----------------------------------------------------------------------------------------------------------

cdef struct Work:                       # payload of a task: everything that the call needs, and what keeps it alive
    kernel_t run
    Packed* packed
    const char* name
    Py_ssize_t workspace
    Chunk** chunks
    int n_chunks
    Call call
    Tensor* tensors


cdef const char** DTYPE_TEXT = [b"float32", b"float64", b"float16", b"uint8", b"int32", b"int8", b"int64", b"bool", b"", b"",
                                b"", b"", b"bfloat16"]


cdef void describe(char* text, Py_ssize_t room, const char* name, const char* message, const Tensor* tensors,
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


cdef int compute(Work* work, char* text, Py_ssize_t room) noexcept nogil:
    """Run the kernel; on failure leave the message in text."""
    cdef void* scratch = NULL
    cdef int status
    cdef int n_in = work.call.n_inputs
    if work.workspace > 0:
        scratch = scratch_new(work.workspace)
        if scratch == NULL:
            snprintf(work.call.error, sizeof(work.call.error), b"out of memory: %lld bytes of scratch", <long long>work.workspace)
            describe(text, room, work.name, work.call.error, work.tensors, n_in)
            return 1
        work.call.workspace = scratch
    status = work.run(work.tensors, work.tensors + n_in, &work.call)
    if scratch != NULL:
        scratch_free(scratch)
    if status != 0:
        describe(text, room, work.name, work.call.error, work.tensors, n_in)
    return status


cdef int run_task(Task* task) noexcept nogil:
    cdef Work* work = <Work*>task.payload
    work.call.threads = task.threads
    return compute(work, task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    cdef Work* work = <Work*>task.payload
    cdef int i
    for i in range(work.n_chunks):
        chunk_release(work.chunks[i])
    if work.packed != NULL and packed_last(&work.packed.refs):
        free(work.packed)


cdef struct Seen:                       # a set of variables; without a table the list itself is searched
    Var** table
    int mask


cdef inline bint add_var(Var** vars, int n, Var* var, Seen seen) noexcept nogil:
    """Append a variable unless it is there already."""
    cdef int i
    if seen.table == NULL:
        for i in range(n):
            if vars[i] == var:
                return False
    else:
        i = <int>((<size_t>var >> 6) * 0x9E3779B1u) & seen.mask
        while seen.table[i] != NULL:
            if seen.table[i] == var:
                return False
            i = (i + 1) & seen.mask
        seen.table[i] = var
    vars[n] = var
    return True


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
    work.call.workspace, work.call.info = NULL, &bound.kernel.info
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
        if signature.cost <= INLINE_NS:
            taken = updates if fresh else writes        # nobody else knows fresh outputs
            status = var_try(vars, reads, taken, updates)
            if status == 1:
                if signature.cost > RELEASE_NS:
                    with nogil:
                        status = compute(&work, text, sizeof(text))
                else:
                    status = compute(&work, text, sizeof(text))
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


# -- the call ------------------------------------------------------------------------------------------------------------

cdef object invoke(Bound bound, tuple inputs, object out, double scalar):
    """Compute the operator; returns the visible output, or a list of them."""
    cdef Signature signature
    cdef list outputs
    cdef int i, count, visible
    cdef NDArray first, array
    cdef State* flags = state()
    if bound.compose is not None:
        return composed(bound, inputs, out)
    signature = signature_of(bound, inputs)
    count = signature.count
    visible = signature.visible
    cdef int device_type = 1, device_id = 0
    if PyTuple_GET_SIZE(inputs):
        first = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        device_type, device_id = first.chunk.device_type, first.chunk.device_id
        for i in range(1, <int>PyTuple_GET_SIZE(inputs)):
            array = <NDArray>PyTuple_GET_ITEM(inputs, i)
            if array.chunk.device_id != device_id or array.chunk.device_type != device_type:
                raise MXNetValueError(f"{bound.operator.name}: inputs are on {first.context} and {array.context}; "
                                      f"they must be on one device. Move one with as_in_context().")
    elif out is None:
        ctx = bound.params.get("ctx")
        ctx = Context(ctx) if ctx else current_context()
        device_type, device_id = ctx.device_typeid, ctx.device_id
        if device_type == 2:
            raise MXNetValueError(f"{bound.operator.name}: there is no GPU that mxcy can use here; pass ctx=mx.cpu()")
    if out is None:
        outputs = [empty(signature.codes[i], signature.ranks[i], signature.dims[i], device_type, device_id)
                   for i in range(count)]
        execute(bound, signature, inputs, outputs, scalar, True)
    else:
        outputs = given_outputs(bound, signature, inputs, out, visible, flags.recording)
        if not bound.kernel.inplace and overlaps(inputs, outputs, visible, signature.writes):
            fresh = [empty(signature.codes[i], signature.ranks[i], signature.dims[i], device_type, device_id)
                     for i in range(count)]
            execute(bound, signature, inputs, fresh, scalar, True)
            for i in range(visible):
                assign(outputs[i], fresh[i])
            outputs[visible:] = fresh[visible:]
        else:
            execute(bound, signature, inputs, outputs, scalar, False)
    if flags.recording:
        for i in range(<int>PyTuple_GET_SIZE(inputs)):
            if (<NDArray>PyTuple_GET_ITEM(inputs, i)).node is not None:
                record(bound, signature, inputs, outputs, visible, scalar)
                break
    if visible == 1:
        return outputs[0] if out is None or not isinstance(out, (list, tuple)) else out
    return outputs[:visible] if count != visible else outputs


# -- the tape ------------------------------------------------------------------------------------------------------------

cdef enum Want:
    WANT_F
    WANT_G
    WANT_GS
    WANT_INPUT
    WANT_INPUTS
    WANT_OUTPUT
    WANT_VALUE
    WANT_NEEDS
    WANT_TRAIN
    WANT_SCALAR


cdef class Rule:
    def __init__(self, Bound bound, Py_ssize_t n_inputs):
        operator = bound.operator
        self.function = operator.rules.get("gradient")
        self.wants, self.constants = [], {}
        inputs, outputs = set(), set()
        if self.function is None:
            self.inputs = self.outputs = frozenset()
            return
        names = () if operator.variadic else operator.input_names(bound.params, n_inputs)
        n_outputs = operator.output_counts(bound.params, n_inputs)[0]
        plain = {"F": WANT_F, "g": WANT_G, "gs": WANT_GS, "needs": WANT_NEEDS, "train": WANT_TRAIN, "scalar": WANT_SCALAR}
        for name, argument in inspect.signature(self.function).parameters.items():
            if argument.kind is argument.KEYWORD_ONLY:
                self.constants[name] = bound.params[name]
            elif operator.variadic and name == operator.inputs[0]:
                self.wants.append((WANT_INPUTS, None))
                inputs.update(range(n_inputs))
            elif name in names:
                self.wants.append((WANT_INPUT, names.index(name)))
                inputs.add(names.index(name))
            elif name in operator.inputs:
                self.wants.append((WANT_VALUE, None))           # an input that these parameters leave out
            elif name in operator.outputs[:n_outputs]:
                self.wants.append((WANT_OUTPUT, operator.outputs.index(name)))
                outputs.add(operator.outputs.index(name))
            elif name in operator.outputs:
                self.wants.append((WANT_VALUE, None))           # an output that these parameters leave out
            elif name in bound.params:
                self.wants.append((WANT_VALUE, bound.params[name]))
            elif name in plain:
                self.wants.append((plain[name], None))
            else:
                raise MXNetTypeError(f"the gradient rule of {operator.name} asks for {name!r}, which is none of its "
                                     f"inputs, outputs and parameters")
        self.inputs, self.outputs = frozenset(inputs), frozenset(outputs)
        self.all_inputs = len(inputs) == n_inputs


cdef list graveyard = []                # what dying nodes held: taken apart here, as a chain of 100,000 would recurse
cdef bint digging = False


@cython.freelist(128)
cdef class Origin:
    """Where an array comes from, as far as autograd is concerned."""


cdef class Variable(Origin):
    """An array that wants a gradient; ``grad`` receives it."""

    def __init__(self, NDArray grad not None, str req):
        self.grad, self.req = grad, req


cdef class Node(Origin):
    """A recorded call: what its gradient rule needs, and where the inputs came from."""

    def __dealloc__(self):
        global digging
        graveyard.append((self.parents, self.inputs, self.outputs))
        self.parents = self.inputs = self.outputs = None
        if not digging:
            digging = True
            while graveyard:
                graveyard.pop()
            digging = False


cdef NDArray detached(NDArray array):
    """A view of the whole array that autograd does not know."""
    return view(array, array.data, array.code, array.rank, array.dims)


cdef int record(Bound bound, Signature signature, tuple inputs, list outputs, int visible, double scalar) except -1:
    """Append the call to the tape: the visible outputs now come from a Node."""
    cdef Node node = Node.__new__(Node)
    cdef Rule rule = bound.rule
    cdef NDArray array
    cdef Py_ssize_t n = PyTuple_GET_SIZE(inputs), i
    if rule is None or bound.operator.variadic:
        rule = bound.rule = Rule(bound, n)
    node.bound, node.signature, node.count, node.scalar, node.train = bound, signature, visible, scalar, state().training
    if n == 1:
        array = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        node.parents, node.indices = (array.node,), (array.node_index,)
    elif n == 2:
        array = <NDArray>PyTuple_GET_ITEM(inputs, 0)
        other = <NDArray>PyTuple_GET_ITEM(inputs, 1)
        node.parents = (array.node, (<NDArray>other).node)
        node.indices = (array.node_index, (<NDArray>other).node_index)
    else:
        node.parents = tuple([(<NDArray>array).node for array in inputs])
        node.indices = tuple([(<NDArray>array).node_index for array in inputs])
    if rule.all_inputs:
        node.inputs = inputs
    elif rule.inputs:
        node.inputs = tuple([array if i in rule.inputs else None for i, array in enumerate(inputs)])
    if rule.outputs:
        node.outputs = tuple([detached(array) if i in rule.outputs else None for i, array in enumerate(outputs)])
    for i in range(visible):
        array = <NDArray>outputs[i]
        array.node, array.node_index = node, <int>i
    return 0


def apply_rule(Node node not None, list grads, bint create_graph):
    """Gradients of the inputs of a recorded call, from those of its outputs: a tuple of arrays and Nones."""
    cdef Rule rule = node.bound.rule
    cdef list args = []
    cdef int kind
    if rule.function is None:
        raise MXNetError(f"{node.bound.operator.name} is not differentiable; use detach() or autograd.pause() around it")
    for kind, what in rule.wants:
        if kind == WANT_F:
            args.append(F)
        elif kind == WANT_G:
            args.append(grads[0] if grads[0] is not None else zero_gradient(node, 0))
        elif kind == WANT_INPUT:
            args.append(saved_input(node, what, create_graph))
        elif kind == WANT_OUTPUT:
            args.append(saved_output(node, what, create_graph))
        elif kind == WANT_VALUE:
            args.append(what)
        elif kind == WANT_GS:
            args.append(tuple(grads))
        elif kind == WANT_INPUTS:
            args.append([saved_input(node, i, create_graph) for i in range(len(node.parents))])
        elif kind == WANT_NEEDS:
            args.append(tuple([parent is not None for parent in node.parents]))
        elif kind == WANT_TRAIN:
            args.append(node.train)
        else:
            args.append(node.scalar)
    result = rule.function(*args, **rule.constants) if rule.constants else rule.function(*args)
    if result is None:
        return (None,) * len(node.parents)
    if isinstance(result, NDArray):
        result = (result,)
    if len(result) < len(node.parents):
        return tuple(result) + (None,) * (len(node.parents) - len(result))
    return tuple(result)


cdef NDArray saved_input(Node node, int i, bint create_graph):
    cdef NDArray array = node.inputs[i]
    if create_graph and array.node is not node.parents[i]:
        array = detached(array)
        array.node, array.node_index = node.parents[i], node.indices[i]
    return array


cdef NDArray saved_output(Node node, int i, bint create_graph):
    cdef NDArray array = node.outputs[i]
    if create_graph and i < node.count:
        array = detached(array)
        array.node, array.node_index = node, i
    return array


def zero_gradient(Node node not None, int i):
    """Zeros in the shape of an output that received no gradient."""
    cdef Signature s = node.signature
    return F._zeros(shape=dims_tuple(s.ranks[i], s.dims[i]), dtype=NAMES[s.codes[i]])


cdef object composed(Bound bound, tuple inputs, object out):
    operator = bound.operator
    names = operator.input_names(bound.params, len(inputs))
    if len(names) != len(inputs):
        raise MXNetTypeError(f"{operator.name}: {len(inputs)} inputs given; expected {len(names)} ({', '.join(names)})")
    values = {**bound.params, **dict.fromkeys(operator.inputs), "F": F}
    if operator.variadic:
        values[operator.inputs[0]] = list(inputs)
    else:
        values.update(zip(names, inputs))
    try:
        result = call_rule(bound.compose, values)
        if out is None:
            return result
        targets = list(out) if isinstance(out, (list, tuple)) else [out]
        results = result if isinstance(result, (list, tuple)) else [result]
        if len(targets) != len(results):
            raise MXNetValueError(f"out has {len(targets)} arrays; expected {len(results)}")
        for target, value in zip(targets, results):
            invoke(copying(), (value,), target, 0)
    except MXNetError as error:
        raise named(operator, error) from error.__cause__
    return out


cdef object named(operator, error):
    """The error, with the operator's name in its message."""
    return error if operator.name in str(error) else type(error)(f"{operator.name}: {error}")


cdef list given_outputs(Bound bound, Signature signature, tuple inputs, object out, int visible, bint recording):
    """The arrays of ``out=``, checked; hidden outputs are allocated."""
    cdef list targets = list(out) if isinstance(out, (list, tuple)) else [out]
    cdef NDArray array
    cdef int i
    name = bound.operator.name
    if len(targets) != visible:
        raise MXNetValueError(f"{name}: out has {len(targets)} arrays; expected {visible}")
    for i in range(visible):
        if not isinstance(targets[i], NDArray):
            raise MXNetTypeError(f"{name}: out must be an NDArray, not {type(targets[i]).__name__}")
        array = targets[i]
        shape = dims_tuple(signature.ranks[i], signature.dims[i])
        if array.code != signature.codes[i] or array.shape != shape:
            raise MXNetValueError(f"{name}: out is {array.dtype_name} {array.shape}, but the result is "
                                  f"{NAMES[signature.codes[i]]} {shape}")
        if recording and array.node is not None:
            raise MXNetError(f"{name}: out is part of a recorded computation; writing over it would spoil the gradient. "
                             f"Do it outside of autograd.record(), or without out=")
    for i in range(visible, signature.count):
        array = targets[0]
        targets.append(empty(signature.codes[i], signature.ranks[i], signature.dims[i], array.chunk.device_type,
                             array.chunk.device_id))
    return targets


cdef bint overlaps(tuple inputs, list outputs, int visible, const char* writes):
    """Whether an output lies in the storage of an input that the kernel only reads."""
    cdef NDArray a, b
    cdef int i
    for i in range(<int>PyTuple_GET_SIZE(inputs)):
        a = inputs[i]
        if writes != NULL and writes[i]:
            continue
        for b in outputs[:visible]:
            if a.chunk == b.chunk:
                return True
    return False


cdef class Namespace:
    """Every operator as a function, by registered name: what gradient rules know as ``F``."""
    cdef dict functions

    def __init__(self):
        self.functions = {}

    def __getattr__(self, name):
        function = self.functions.get(name)
        if function is None:
            function = self.functions[name] = Function(lookup(name), name)
        return function


cdef class Function:
    """What users call: parses its arguments and invokes the operator."""
    cdef readonly object operator
    cdef str name
    cdef dict bounds
    cdef object names               # input names -> position
    cdef list params
    cdef int n_inputs
    cdef bint variadic, has_ctx, scalar

    def __init__(self, operator, str name):
        self.operator, self.name = operator, name
        self.bounds = {}
        self.variadic, self.scalar = operator.variadic, operator.scalar is not None
        self.names = {} if self.variadic else {n: i for i, n in enumerate(operator.inputs)}
        self.n_inputs = len(self.names)
        self.params = (["scalar"] if self.scalar else []) + list(operator.params)
        self.has_ctx = "ctx" in operator.params

    @property
    def __name__(self):
        return self.name

    @property
    def __qualname__(self):
        return self.name

    @property
    def __doc__(self):
        return self.operator.document()

    @property
    def __signature__(self):
        return self.operator.signature()

    def __repr__(self):
        return f"<operator {self.name}>"

    def __get__(self, instance, owner):
        return self if instance is None else Method(self, instance)

    def __reduce__(self):
        return function, (self.operator.name, self.name)

    def __call__(self, *args, **kwargs):
        cdef tuple inputs
        cdef object out = None, key
        cdef double scalar = 0
        cdef Bound bound
        cdef Py_ssize_t n = PyTuple_GET_SIZE(args), i
        # The usual call has arrays first and then parameters by name, seen before: then nothing needs sorting out.
        if not self.scalar and (self.variadic or n == self.n_inputs):
            for i in range(n):
                if not isinstance(<object>PyTuple_GET_ITEM(args, i), NDArray):
                    break
            else:
                key = tuple(kwargs.items())
                if self.variadic:
                    key += (("num_args", n),)
                try:
                    bound = self.bounds.get(key)
                except TypeError:               # a list among the parameters
                    bound = None
                if bound is not None:
                    return invoke(bound, args, None, 0)
        inputs, params, out = self.split(args, kwargs)
        if self.scalar:
            scalar = number(self.name, params.pop("scalar", self.operator.scalar))
        bound = self.bind(params)
        return invoke(bound, inputs, out, scalar)

    cdef Bound bind(self, dict params):
        cdef Bound bound
        key = tuple(params.items())
        try:
            bound = self.bounds.get(key)
        except TypeError:                       # a list, say
            params = {k: freeze(v) for k, v in params.items()}
            key = tuple(params.items())
            try:
                bound = self.bounds.get(key)
            except TypeError:
                return Bound(self.operator, params)
        if bound is None:
            bound = Bound(self.operator, params)
            if len(self.bounds) >= BOUNDS:
                self.bounds.clear()
            self.bounds[key] = bound
        return bound

    cdef tuple split(self, tuple args, dict kwargs):
        """(inputs, given parameters, out) of a call."""
        cdef dict params = {}
        cdef list inputs = [], slots
        cdef object out = None
        cdef Py_ssize_t i, at
        if self.variadic:
            if len(args) == 1 and isinstance(args[0], (list, tuple)):
                args = tuple(args[0])
            inputs = list(args)
            for key, value in kwargs.items():
                if key == "out":
                    out = value
                elif key == self.operator.inputs[0]:
                    inputs.extend(value if isinstance(value, (list, tuple)) else [value])
                elif key not in ("name", "attr", "num_args") or key in self.operator.params:
                    params[key] = value
            for value in inputs:
                if not isinstance(value, NDArray):
                    raise MXNetTypeError(f"{self.name}: an input is {type(value).__name__}; expected NDArray. "
                                         f"Parameters are passed by name.")
            if "num_args" in self.operator.params:
                params["num_args"] = len(inputs)
            return tuple(inputs), params, out
        slots = [None] * self.n_inputs
        for i, value in enumerate(args):
            if i < self.n_inputs:
                slots[i] = value
            elif i - self.n_inputs < len(self.params):
                if value is not None or self.takes_none(self.params[i - self.n_inputs]):
                    params[self.params[i - self.n_inputs]] = value
            else:
                raise MXNetTypeError(f"{self.name}: {len(args)} arguments given; at most "
                                     f"{self.n_inputs + len(self.params)} are possible")
        for key, value in kwargs.items():
            if key == "out":
                out = value
            elif key in self.names:
                at = self.names[key]
                if slots[at] is not None:
                    raise MXNetTypeError(f"{self.name}: input {key} is given twice")
                slots[at] = value
            elif key == "ctx" and self.has_ctx:
                params[key] = "" if value is None else str(value)
            elif key in ("name", "attr") and key not in self.operator.params:
                continue
            elif value is not None or self.takes_none(key):
                if key in params:
                    raise MXNetTypeError(f"{self.name}: parameter {key} is given twice")
                params[key] = value
        # A parameter in an absent input's place: nd.sum(x) has one input, LeakyReLU(x, act_type=...) may leave gamma out.
        for i, value in enumerate(slots):
            if value is None:
                continue
            if not isinstance(value, NDArray):
                if isinstance(value, numpy.ndarray):
                    raise MXNetTypeError(f"{self.name}: {self.operator.inputs[i]} is a NumPy array; expected an NDArray. "
                                         f"Convert it with nd.array().")
                raise MXNetTypeError(f"{self.name}: {self.operator.inputs[i]} is {type(value).__name__}; expected an NDArray")
            inputs.append(value)
        if len(inputs) < self.n_inputs:
            self.missing(slots, params)
        return tuple(inputs), params, out

    def takes_none(self, key):
        param = self.operator.params.get(key)
        return param is None or param.optional

    def missing(self, slots, params):
        """Raise if an input that these parameters need is absent."""
        if "inputs_given" in self.operator.rules:
            names = self.operator.input_names(self.operator.parse({k: v for k, v in params.items() if k != "scalar"}))
        else:
            names = [n for n in self.operator.inputs if n not in self.operator.optional_inputs]
        for name in names:
            if slots[self.names[name]] is None:
                raise MXNetTypeError(f"{self.name}: input {name} is missing; expected {', '.join(names)}")


cdef class Method:
    """A Function bound to the array it is called on."""
    cdef Function function
    cdef object instance

    def __init__(self, Function function, instance):
        self.function, self.instance = function, instance

    def __call__(self, *args, **kwargs):
        return self.function(self.instance, *args, **kwargs)

    @property
    def __name__(self):
        return self.function.name

    @property
    def __doc__(self):
        return self.function.__doc__

    def __repr__(self):
        return f"<method {self.function.name} of an NDArray>"


def function(operator_name, name):
    """The function of an operator under one of its names."""
    return Function(lookup(operator_name), name)


F = Namespace()


def freeze(value):
    return tuple(map(freeze, value)) if isinstance(value, (list, tuple)) else value


cdef double number(name, value) except? -1:
    if isinstance(value, (int, float, numbers.Real)) or (isinstance(value, numpy.ndarray) and value.ndim == 0):
        try:
            return value
        except OverflowError:
            raise MXNetValueError(f"{name}: the number {value} does not fit into a float64") from None
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise MXNetTypeError(f"{name}: scalar is {value!r}; expected a number") from None
    raise MXNetTypeError(f"{name}: scalar is {type(value).__name__}; expected a number")


# -- the operators of the class --------------------------------------------------------------------------------------

cdef class Operation:
    """The operators behind one Python operator."""
    cdef Bound same, broadcast, right, left         # arrays of one shape; others; a number on the right, on the left

cdef list operations = [None] * 12
FUNCTIONS = {ADD: "add", SUB: "subtract", MUL: "multiply", DIV: "divide", MOD: "modulo", POW: "power", EQ: "equal",
             NE: "not_equal", GT: "greater", GE: "greater_equal", LT: "lesser", LE: "lesser_equal"}


cdef Operation operation_of(int code):
    cdef Operation found = operations[code]
    if found is None:
        found = Operation()
        found.same, found.broadcast, found.right, found.left = [
            Bound(lookup(name), {}) for name in arithmetic_table[FUNCTIONS[code]][:4]]
        operations[code] = found
    return found


cdef object binary(int code, object left, object right):
    return arithmetic(code, left, right, None)


cdef object inplace(int code, NDArray left, object right):
    if state().recording and left.node is not None:
        raise MXNetError("an array that takes part in a recorded computation cannot be changed in place (+=, -=, *=, x[:] =); "
                         "write x = x + y instead, or do it outside of autograd.record()")
    return arithmetic(code, left, right, left)


cdef object arithmetic(int code, object left, object right, object out):
    cdef Operation operation = operation_of(code)
    cdef NDArray a, b
    cdef int i
    if isinstance(left, NDArray):
        a = <NDArray>left
        if isinstance(right, NDArray):
            b = <NDArray>right
            if a.rank == b.rank:
                for i in range(a.rank):
                    if a.dims[i] != b.dims[i]:
                        break
                else:
                    return invoke(operation.same, (a, b), out, 0)
            return invoke(operation.broadcast, (a, b), out, 0)
        if isinstance(right, (float, int, numbers.Real)):
            return invoke(operation.right, (a,), out, number("operator", right))
        if isinstance(right, numpy.ndarray):
            return arithmetic(code, left, from_numpy_copy(right.astype(a.dtype, copy=False), a.context), out)
        return NotImplemented
    if isinstance(left, (float, int, numbers.Real)):
        return invoke(operation.left, (right,), out, number("operator", left))
    if isinstance(left, numpy.ndarray):
        a = <NDArray>right
        return arithmetic(code, from_numpy_copy(left.astype(a.dtype, copy=False), a.context), right, out)
    return NotImplemented


cdef Bound copy_bound = None, number_bound = None


cdef int assign_number(NDArray target, object value) except -1:
    """Every element of the array becomes the number, through the engine."""
    global number_bound
    if number_bound is None:
        number_bound = Bound(lookup("_assign_scalar"), {})
    execute(number_bound, signature_of(number_bound, (target,)), (target,), [target], number("assignment", value), False)
    return 0


hooks.binary = binary
hooks.inplace = inplace
hooks.assign = assign_number


cdef int assign(NDArray target, NDArray source) except -1:
    """Copy the elements of an array into another of the same shape and dtype, through the engine."""
    cdef Bound bound = copying()
    execute(bound, signature_of(bound, (source,)), (source,), [target], 0, False)
    return 0


cdef Bound copying():
    """The operator that copies an array."""
    global copy_bound
    if copy_bound is None:
        copy_bound = Bound(lookup("_copy"), {})
    return copy_bound
