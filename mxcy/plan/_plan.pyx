# cython: language_level=3, boundscheck=False, wraparound=False
"""Plan: a graph as an array of kernel calls. Execution: one run of it, with memory of its own.

A plan has one or two phases, forward and backward. Values that the caller sees lie in arrays that he gives, in *slots*;
all others in one arena, where memory planning put them. A phase is one task of the engine: between its first and its
last kernel there is no Python, no allocation and no lock. Plans never change, so any number of threads may run one.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from mxcy._types cimport Call, Tensor, itemsize
from mxcy.engine._engine cimport (Task, Var, is_serial, site_here, task_new, task_push, var_release, var_try, var_wait)
from mxcy.engine._profile cimport (EVENT_PHASE, EVENT_STEP, PROFILE_MEMORY, PROFILE_SYMBOLIC, profile_event, profile_now,
                                   profile_on)
from mxcy.gpu._launch cimport Recipe, draw_from, issues_release, run_recipe
from mxcy.gpu._replay cimport RECORD, REPLAYED, Answer, record_end, replay, replays_free, replays_new
from mxcy.imperative._bound cimport (HOST, Bound, Packed, Signature, bound_params, describe_tensor, dimensions,
                                     make_signature, packed_last, packed_retain)
from mxcy.imperative._execute cimport Seen, add_var, describe_failure
from mxcy.ndarray._ndarray cimport NDArray, dims_tuple, empty
from mxcy.ops._generator cimport generator_take
from mxcy.storage._pool cimport pool_in_use
from mxcy.storage._storage cimport GPU, Chunk, chunk_new, chunk_release, chunk_retain, raise_out_of_memory

from mxcy.base import MXNetError, MXNetValueError
from mxcy.dtype import NAMES


cdef enum:                              # what a phase does with a slot
    READ = 1
    WRITE = 2
    CHANGE = 4                          # a kernel changes what it reads there

cdef enum:
    FEW_STEPS = 4                       # on a GPU, that are as quick to issue as a recording

cdef double INLINE_NS = 10_000          # a phase below runs in the caller, if nothing is pending
cdef double RELEASE_NS = 3_000          # above: other Python threads run meanwhile
cdef double LANE_NS = 60_000            # above: the phase may use all threads ...
cdef double SPLIT_NS = 20_000           # ... in the steps that take longer than this


cdef class Plan:
    """A graph that is ready to run for one signature.

    Parameters
    ----------
    slots : list of (tuple of int, str)
        Shape and dtype of each array that the caller gives.
    steps : list of tuple
        (bound operator, scalar, inputs, outputs, name, offset of the workspace or -1); an input or output is a tuple
        (in a slot, slot or offset, shape, dtype).
    n_forward : int
        How many of the steps are the forward phase.
    arena : int
        Bytes for all values that are in no slot.
    train : bool
        Whether kernels run in training mode.
    report : dict
        What to show of how the plan was made.
    makers : dict of int to callable
        For slots that every execution has for itself what makes the array.
    device : int
        Number of the GPU that it runs on, or -1.
    """

    def __init__(self, list slots, list steps, int n_forward, Py_ssize_t arena, bint train, report, dict makers,
                 int device=HOST):
        cdef Program* p = <Program*>calloc(1, sizeof(Program))
        cdef Bound bound
        cdef Signature types
        cdef Step* step
        cdef bytes name
        cdef int at = 0, i, n, phase

        if p == NULL:
            raise MemoryError
        self.program, self.report, self.makers = p, report, makers
        self.types = dimensions(slots)
        p.refs, p.n_steps, p.n_forward, p.arena, p.train, p.device = 1, len(steps), n_forward, arena, train, device
        p.n_slots = len(slots)
        p.n_tensors = sum([len(step_[2]) + len(step_[3]) for step_ in steps])
        p.steps = <Step*>calloc(p.n_steps + 1, sizeof(Step))
        p.tensors = <Tensor*>calloc(p.n_tensors + 1, sizeof(Tensor))
        p.places = <Place*>calloc(p.n_tensors + 1, sizeof(Place))
        p.packed = <Packed**>calloc(p.n_steps + 1, sizeof(Packed*))
        p.memory = <void**>calloc(p.n_steps + p.n_tensors + 1, sizeof(void*))
        self.use = <int*>calloc(2 * p.n_slots + 1, sizeof(int))
        if p.steps == NULL or p.tensors == NULL or p.places == NULL or p.packed == NULL or p.memory == NULL \
                or self.use == NULL:
            raise MemoryError
        for n in range(p.n_steps):
            bound, scalar, inputs, outputs, label, workspace = steps[n]
            step = &p.steps[n]
            phase = n >= n_forward
            types = make_signature(bound, [value[2:] for value in inputs], [value[2:] for value in outputs], device)
            name = label.encode()
            step.name = <char*>self.keep(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name) + 1)
            step.run, step.cost, step.parallel = types.run, types.cost, bound.kernel.parallel
            step.params, step.info, step.scalar = bound_params(bound), types.info, scalar
            step.n_inputs, step.n_outputs, step.first, step.workspace = len(inputs), len(outputs), at, workspace
            if types.recipe is not None:
                step.issues = types.recipe.issues
                packed_retain(&step.issues.refs)
            step.random = -1
            if bound.random:
                step.random = p.n_random
                p.n_random += 1
                p.draws[phase] = True
            if bound.packed != NULL:
                packed_retain(&bound.packed.refs)
                p.packed[n] = bound.packed
            p.cost[phase] += step.cost
            if step.parallel and step.cost > SPLIT_NS:
                p.parallel[phase] = True
            types = dimensions([value[2:] for value in (*inputs, *outputs)])
            changed = set(bound.operator.changed_inputs(bound.params, bound.operator.input_names(bound.params,
                                                                                                 len(inputs))))
            for i, (in_slot, where, shape, dtype) in enumerate((*inputs, *outputs)):
                describe_tensor(&p.tensors[at], types, i)
                p.tensors[at].shape = <Py_ssize_t*>self.keep(types.dims[i], types.ranks[i] * sizeof(Py_ssize_t))
                p.places[at].kind = IN_SLOT if in_slot else IN_ARENA
                p.places[at].at = where
                if i in changed:
                    step.mutated |= <uint64_t>1 << i
                if in_slot:
                    self.use[2 * <int>where + phase] |= WRITE if i >= step.n_inputs else CHANGE if i in changed else READ
                at += 1

        if device != HOST:
            self.prepare_replays(n_forward, p.n_steps - n_forward)

    cdef int prepare_replays(self, int n_forward, int n_backward) except -1:
        """Where phases are worth a recording: room for them, and what tells the run's random numbers to kernels."""
        from mxcy.ops.cuda.random import begin_run      # the rules: programs that use no GPU need none
        cdef Program* p = self.program
        cdef Recipe recipe
        cdef int phase
        for phase in range(2):
            if (n_backward if phase else n_forward) >= FEW_STEPS:
                p.replays[phase] = replays_new(p.device)
            if p.draws[phase] and p.replays[phase] != NULL and p.begin_run == NULL:
                recipe = Recipe([begin_run()], p.device, 0)
                p.begin_run = recipe.issues
                packed_retain(&p.begin_run.refs)
                p.drawn = (p.arena + 15) // 16 * 16
                p.arena = p.drawn + 2 * sizeof(uint64_t)
        return 0

    cdef void* keep(self, const void* source, Py_ssize_t nbytes) except NULL:
        """A copy that lives as long as the program."""
        cdef void* copy = malloc(nbytes + 1)
        if copy == NULL:
            raise MemoryError
        memcpy(copy, source, nbytes)
        self.program.memory[self.program.n_memory] = copy
        self.program.n_memory += 1
        return copy

    def __dealloc__(self):
        free(self.use)
        if self.program != NULL:
            program_release(self.program)

    cdef NDArray new_array(self, int slot, int device_type, int device_id):
        """A new array for a slot."""
        return empty(self.types.codes[slot], self.types.ranks[slot], self.types.dims[slot], device_type, device_id)

    @property
    def arena_bytes(self):
        """Memory for values that the caller does not see."""
        return self.program.arena

    def slot_type(self, int slot):
        """(shape, dtype name) of the array that a slot wants."""
        return dims_tuple(self.types.ranks[slot], self.types.dims[slot]), NAMES[self.types.codes[slot]]


def workspace(Bound bound not None, list inputs, list outputs, int device=HOST):
    """Bytes of scratch that a call needs, from the (shape, dtype) of its inputs and outputs; on the host or a GPU."""
    return make_signature(bound, inputs, outputs, device).workspace


cdef inline Chunk* memory_of(Program* p, Py_ssize_t nbytes) noexcept nogil:
    """Memory where the program runs; NULL: none left."""
    return chunk_new(nbytes, 1, 0) if p.device == HOST else chunk_new(nbytes, GPU, p.device)


cdef void program_release(Program* p) noexcept nogil:
    cdef int i
    if not packed_last(&p.refs):
        return
    if p.packed != NULL:
        for i in range(p.n_steps):
            if p.packed[i] != NULL and packed_last(&p.packed[i].refs):
                free(p.packed[i])
    if p.steps != NULL:
        for i in range(p.n_steps):
            if p.steps[i].issues != NULL:
                issues_release(p.steps[i].issues)
    if p.begin_run != NULL:
        issues_release(p.begin_run)
    replays_free(p.replays[0])
    replays_free(p.replays[1])
    for i in range(p.n_memory):
        free(p.memory[i])
    free(p.memory)
    free(p.packed)
    free(p.steps)
    free(p.tensors)
    free(p.places)
    free(p)


# -- executions --------------------------------------------------------------------------------------------------------

cdef Run* run_new(Program* p) noexcept nogil:
    cdef Run* run = <Run*>calloc(1, sizeof(Run))
    if run == NULL:
        return NULL
    run.refs, run.program = 1, p
    packed_retain(&p.refs)
    run.tensors = <Tensor*>malloc((p.n_tensors + 1) * sizeof(Tensor))
    run.data = <char**>calloc(p.n_slots + 1, sizeof(char*))     # the last place: see run_recorded
    run.chunks = <Chunk**>calloc(p.n_slots + 1, sizeof(Chunk*))
    if run.tensors == NULL or run.data == NULL or run.chunks == NULL:
        run_release(run)
        return NULL
    memcpy(run.tensors, p.tensors, p.n_tensors * sizeof(Tensor))
    return run


cdef void run_release(Run* run) noexcept nogil:
    cdef int i
    if not packed_last(&run.refs):
        return
    if run.chunks != NULL:
        for i in range(run.program.n_slots):
            if run.chunks[i] != NULL:
                chunk_release(run.chunks[i])
    if run.arena != NULL:
        chunk_release(run.arena)
    if run.token != NULL:
        chunk_release(run.token)
    program_release(run.program)
    free(run.tensors)
    free(run.data)
    free(run.chunks)
    free(run)


cdef int run_steps(Run* run, int begin, int end, int threads, char* text, Py_ssize_t room) noexcept nogil:
    """The kernels of some steps, one after the other; on failure the message is left in text."""
    cdef Program* p = run.program
    cdef int i
    cdef Place* place
    if begin == end:
        return 0
    for i in range(p.steps[begin].first, p.steps[end - 1].first + p.steps[end - 1].n_inputs + p.steps[end - 1].n_outputs):
        place = &p.places[i]
        run.tensors[i].data = run.data[place.at] if place.kind == IN_SLOT else <char*>run.arena.data + place.at
    if p.replays[begin >= p.n_forward] != NULL:
        return run_recorded(run, begin, end, text, room)
    return call_kernels(run, begin, end, threads, text, room)


cdef int run_recorded(Run* run, int begin, int end, char* text, Py_ssize_t room) noexcept nogil:
    """The steps by a recording, if they ran on the same memory before."""
    cdef Program* p = run.program
    cdef int phase = begin >= p.n_forward, status
    cdef void** addresses = <void**>run.data            # of the slots, and behind them that of the arena
    cdef Answer answer
    if p.draws[phase] and tell_draws(run, text, room):
        return 1
    addresses[p.n_slots] = run.arena.data
    answer = replay(p.replays[phase], addresses, p.n_slots + 1)
    if answer == REPLAYED:
        return 0
    if p.draws[phase]:
        draw_from(<char*>run.arena.data + p.drawn, run.counter)
    status = call_kernels(run, begin, end, 1, text, room)
    if answer == RECORD and record_end(p.replays[phase], addresses, p.n_slots + 1, status):
        status = call_kernels(run, begin, end, 1, text, room)       # nothing was issued: without a recording it may be
    draw_from(NULL, 0)
    return status


cdef int tell_draws(Run* run, char* text, Py_ssize_t room) noexcept nogil:
    """Write seed and counter of the run to where its kernels look for them, which a recording has read from, too."""
    cdef Call call
    memset(&call, 0, sizeof(Call) - sizeof(call.error))
    call.error[0] = 0
    call.info, call.workspace = run.program.begin_run, <char*>run.arena.data + run.program.drawn
    call.seed, call.counter = run.seed, run.counter
    if run_recipe(NULL, NULL, &call):
        snprintf(text, room, b"%s", call.error)
        return 1
    return 0


cdef int call_kernels(Run* run, int begin, int end, int threads, char* text, Py_ssize_t room) noexcept nogil:
    cdef Program* p = run.program
    cdef Step* step
    cdef Call call
    cdef int64_t start = 0
    cdef int i
    memset(&call, 0, sizeof(Call) - sizeof(call.error))
    call.error[0] = 0
    call.train, call.seed = p.train, run.seed
    for i in range(begin, end):
        step = &p.steps[i]
        call.params, call.info, call.scalar = step.params, step.info, step.scalar
        call.n_inputs, call.n_outputs, call.mutated = step.n_inputs, step.n_outputs, step.mutated
        call.threads = threads if step.parallel and step.cost > SPLIT_NS else 1
        call.workspace = <char*>run.arena.data + step.workspace if step.workspace >= 0 else NULL
        call.counter = run.counter + step.random
        start = profile_now() if profile_on & PROFILE_SYMBOLIC else 0
        if step.run(run.tensors + step.first, run.tensors + step.first + step.n_inputs, &call) != 0:
            describe_failure(text, room, step.name, call.error, run.tensors + step.first, step.n_inputs)
            return 1
        if start:
            profile_event(EVENT_STEP, step.name, 0, start, 0, -1)
    return 0


cdef int run_phase(Run* run, int phase, int threads, int64_t queued, char* text, Py_ssize_t room) noexcept nogil:
    cdef Program* p = run.program
    cdef int64_t start = profile_now() if profile_on & PROFILE_SYMBOLIC else 0
    cdef int status = 0
    cdef Chunk* outputs = NULL
    if run.arena == NULL:
        run.arena = memory_of(p, p.arena)
        if run.arena == NULL:
            snprintf(text, room, b"out of memory: %lld bytes for the values of a plan", <long long>p.arena)
            return 1
        if phase == 1:                          # backward once more: what forward had kept is gone
            status = repeat_forward(run, threads, text, room, &outputs)
    if status == 0:
        status = run_steps(run, 0 if phase == 0 else p.n_forward, p.n_forward if phase == 0 else p.n_steps, threads,
                           text, room)
    if start:
        profile_event(EVENT_PHASE, b"forward" if phase == 0 else b"backward", queued, start, p.arena,
                      pool_in_use() if profile_on & PROFILE_MEMORY else -1)
    if phase == 1 or not run.keep:
        chunk_release(run.arena)
        run.arena = NULL
    if outputs != NULL:
        chunk_release(outputs)
    return status


cdef int repeat_forward(Run* run, int threads, char* text, Py_ssize_t room, Chunk** outputs) noexcept nogil:
    """The forward phase again, its outputs to memory of our own as the user may have changed his by now."""
    cdef Program* p = run.program
    cdef Py_ssize_t size = 0, tensor_size
    cdef int i, k, n, first
    for k in range(2):                          # measure, then place
        if k:
            outputs[0] = memory_of(p, size)
            if outputs[0] == NULL:
                snprintf(text, room, b"out of memory: %lld bytes for outputs", <long long>size)
                return 1
            size = 0
        for n in range(p.n_forward):
            first = p.steps[n].first + p.steps[n].n_inputs
            for i in range(first, first + p.steps[n].n_outputs):
                if p.places[i].kind == IN_SLOT:
                    tensor_size = p.tensors[i].size * itemsize(p.tensors[i].dtype)
                    if k:
                        run.data[p.places[i].at] = <char*>outputs[0].data + size
                    size += (tensor_size + 63) // 64 * 64
    return run_steps(run, 0, p.n_forward, threads, text, room)


cdef struct Payload:
    Run* run
    int phase


cdef int run_task(Task* task) noexcept nogil:
    cdef Payload* payload = <Payload*>task.payload
    return run_phase(payload.run, payload.phase, task.threads, task.queued, task.error, sizeof(task.error))


cdef void destroy_task(Task* task) noexcept nogil:
    run_release((<Payload*>task.payload).run)


cdef class Execution:
    """One run of a plan.

    Parameters
    ----------
    plan : Plan
    keep : bool
        Whether a backward phase may follow.
    """

    def __cinit__(self, Plan plan not None, bint keep):
        self.plan = plan
        self.run = run_new(plan.program)
        if self.run == NULL:
            raise MemoryError
        self.run.keep = keep
        if keep:
            self.run.token = chunk_new(0, 1, 0)
            if self.run.token == NULL:
                raise_out_of_memory(64)
        for slot, make in plan.makers.items():
            self.put(slot, make())
        if plan.program.n_random:
            generator_take(plan.program.n_random, &self.run.seed, &self.run.counter)

    def __dealloc__(self):
        if self.run != NULL:
            run_release(self.run)

    def give(self, int slot, NDArray array not None):
        """Let a slot be this array."""
        if not 0 <= slot < self.plan.program.n_slots:
            raise MXNetValueError(f"slot {slot}: the plan has {self.plan.program.n_slots}")
        shape, dtype = self.plan.slot_type(slot)
        if array.shape != shape or array.dtype_name != dtype:
            raise MXNetValueError(f"slot {slot} of the plan is {dtype} {shape}; given was {array.dtype_name} "
                                  f"{array.shape}")
        self.put(slot, array)

    def give_all(self, int slot, list arrays):
        """Let slots from this one on be these arrays, which the caller has checked."""
        if not 0 <= slot <= slot + len(arrays) <= self.plan.program.n_slots:
            raise MXNetValueError(f"slots {slot} to {slot + len(arrays) - 1}: the plan has {self.plan.program.n_slots}")
        for array in arrays:
            self.put(slot, array)
            slot += 1

    def start(self, int phase):
        """Run forward (0) or backward (1): now or as a task. Arrays of all slots that it uses must be given."""
        cdef int i
        for i in range(self.plan.program.n_slots):
            if self.plan.use[2 * i + phase] and self.run.chunks[i] == NULL:
                raise MXNetValueError(f"no array is given for slot {i}")
        self.launch(phase)

    cdef int put(self, int slot, NDArray array) except -1:
        """`give` without checks."""
        cdef Chunk* old = self.run.chunks[slot]
        chunk_retain(array.chunk)
        self.run.chunks[slot], self.run.data[slot] = array.chunk, array.data
        if old != NULL:
            chunk_release(old)
        return 0

    cdef int launch(self, int phase) except -1:
        """Run a phase in the caller when it is small and nothing is pending, else hand it to the engine."""
        cdef Program* p = self.plan.program
        cdef Run* run = self.run
        cdef int* use = self.plan.use
        cdef int n = p.n_slots, i, writes = 0, updates = 0, total, slots = 64, status
        cdef double cost = p.cost[phase]
        cdef char text[1024]
        cdef Seen seen
        while slots < 2 * n + 2:
            slots *= 2
        cdef Var** vars = <Var**>malloc((n + 1 + slots) * sizeof(Var*))
        if vars == NULL:
            raise MemoryError
        cdef Var** order = NULL
        seen.table, seen.mask = vars + n + 1, slots - 1
        memset(seen.table, 0, slots * sizeof(Var*))
        try:
            # The written ones first, of those the changed ones first; then the ones that are only read.
            if run.token != NULL and phase == 1:
                writes += add_var(vars, writes, &run.token.var, seen)
            for i in range(n):
                if use[2 * i + phase] & CHANGE:
                    writes += add_var(vars, writes, &run.chunks[i].var, seen)
            updates = writes
            if run.token != NULL and phase == 0:
                writes += add_var(vars, writes, &run.token.var, seen)
            for i in range(n):
                if use[2 * i + phase] & WRITE:
                    writes += add_var(vars, writes, &run.chunks[i].var, seen)
            total = writes
            for i in range(n):
                if use[2 * i + phase] == READ:
                    total += add_var(vars, total, &run.chunks[i].var, seen)
            order = seen.table                          # no longer needed: reads go first there
            memcpy(order, vars + writes, (total - writes) * sizeof(Var*))
            memcpy(order + total - writes, vars, writes * sizeof(Var*))
            if cost <= INLINE_NS or self.plan.program.device != HOST:
                status = var_try(order, total - writes, writes, updates)
                if status == 1:
                    if cost > RELEASE_NS:
                        with nogil:
                            status = run_phase(run, phase, 1, 0, text, sizeof(text))
                    else:
                        status = run_phase(run, phase, 1, 0, text, sizeof(text))
                    var_release(order, total - writes, writes, NULL)
                    if status != 0:
                        raise MXNetError(text.decode("utf-8", "replace"))
                    return 0
                if status == -1:
                    for i in range(total - writes + updates):
                        var_wait(order[i])              # raises what went wrong there
            self.push(phase, order, total - writes, writes, updates, cost)
        finally:
            free(vars)
        return 0

    cdef int push(self, int phase, Var** vars, int reads, int writes, int updates, double cost) except -1:
        cdef Task* task = task_new(reads, writes, sizeof(Payload))
        cdef int i
        if task == NULL:
            raise_out_of_memory(sizeof(Payload))
        (<Payload*>task.payload).run, (<Payload*>task.payload).phase = self.run, phase
        packed_retain(&self.run.refs)
        memcpy(task.vars, vars, (reads + writes) * sizeof(Var*))
        task.run, task.destroy, task.priority, task.n_updates, task.site = run_task, destroy_task, 0, updates, site_here()
        task.lane, task.cost = self.plan.program.parallel[phase] and cost > LANE_NS, cost
        if is_serial():
            with nogil:
                task_push(task)
            for i in range(reads, reads + writes):
                var_wait(vars[i])
        else:
            task_push(task)
        return 0
