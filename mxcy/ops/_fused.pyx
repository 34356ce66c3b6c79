# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The pointwise interpreter: a program of elementwise steps, run through their tiles on one block after the other.

A block is small enough for all values of the program to stay in the first-level cache. A value has a slot: that of an
input points to the array itself where it can, that of an output to where it will be stored; registers and numbers are
buffers. No code is generated: a step costs a call of its tile for each block.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cython.parallel cimport prange
from libc.stdint cimport uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport FLOAT32, MAX_NDIM, N_DTYPES, Call, Tensor, fail, itemsize, kernel_t, tile_t, workspace_t
from mxcy.ops._kernel cimport Kernel, flops_t
from mxcy.ops._numbers cimport fill, is_short_float, narrow, repeat, widen
from mxcy.ops._rows cimport MAX_OPERANDS, Rows, make_rows

from mxcy.ops.packing import every

cdef extern from "omp.h" nogil:
    int omp_get_num_procs()

cdef int PROCESSORS = omp_get_num_procs()

cdef enum:
    TILE = 512                      # elements of a block
    SPLIT = 8192                    # that a thread takes at least
    MAX_ARITY = 6
    MAX_OUTPUTS = 8
    MAX_SLOTS = 256
    ALIGNMENT = 64

cdef double MEMORY = .1             # ns per element: what the costs of kernels count for memory ...
cdef double STEP = .03              # ... and what the cheapest step costs without it

cdef struct Step:
    tile_t tiles[N_DTYPES]
    Py_ssize_t params               # where they start, in bytes from the start of the program; 0: there are none
    int out                         # slots
    int inputs[MAX_ARITY]
    int arity

cdef struct Program:                # followed by the steps, the numbers and the parameters
    int inputs
    int outputs
    int buffers                     # slots of inputs, outputs and registers; those of the numbers follow
    int numbers
    int steps
    int late[MAX_OUTPUTS]           # an input is read after the output is written
    double cost                     # ns per element

cdef enum Kind:                     # how the slot of an input gets its elements
    DIRECT                          # it points into the array
    WIDEN                           # 16-bit floats, block by block
    ONE                             # a single element, repeated once and for all
    PERIODIC                        # a row shorter than a block: the buffer holds enough of them for any start
    ROWS                            # gathered row by row

cdef struct Job:                    # a call, as all threads see it
    const Program* program
    const Tensor* inputs
    const Tensor* outputs
    Rows rows
    Kind kinds[MAX_OPERANDS]
    bint direct[MAX_OUTPUTS]        # the output is written where it belongs; else it is stored at the end of the block
    int dtype
    int computed                    # the dtype of the tiles
    int size                        # of an element in memory ...
    int width                       # ... and in a buffer


cdef inline const Step* steps_of(const Program* program) noexcept nogil:
    return <const Step*>(program + 1)


cdef inline const double* numbers_of(const Program* program) noexcept nogil:
    return <const double*>(steps_of(program) + program.steps)


cdef inline Py_ssize_t room(const Program* program, int width) noexcept nogil:
    """Bytes of the buffers of one thread: two tiles for an input, as a periodic one may start anywhere."""
    return <Py_ssize_t>(program.inputs + program.buffers + program.numbers) * TILE * width + ALIGNMENT


cdef inline int width_of(int dtype) noexcept nogil:
    return 4 if is_short_float(dtype) else <int>itemsize(dtype)


# -- inputs ------------------------------------------------------------------------------------------------------------

cdef inline void load(const Job* job, char* out, const char* x, Py_ssize_t n) noexcept nogil:
    """n elements into a buffer."""
    if job.size != job.width:
        widen(<float*>out, x, job.dtype, n)
    else:
        memcpy(out, x, n * job.size)


cdef inline void spread(const Job* job, char* out, const char* x, Py_ssize_t n) noexcept nogil:
    """n copies of an element into a buffer."""
    cdef float wide
    if job.size != job.width:
        widen(&wide, x, job.dtype, 1)
        repeat(out, &wide, 4, n)
    else:
        repeat(out, x, job.size, n)


cdef Kind kind_of(const Job* job, int i, bint plain) noexcept nogil:
    """plain: every input has one element or all, and the rows are not laid out."""
    cdef const Rows* rows = &job.rows
    cdef int axis
    if job.inputs[i].size == 1:
        return ONE
    if job.inputs[i].size == job.outputs[0].size:
        return DIRECT if job.size == job.width else WIDEN
    if not plain and not rows.constant[i] and rows.run <= TILE:
        for axis in range(rows.ndim):
            if rows.strides[i][axis] != 0:
                return ROWS
        return PERIODIC
    return ROWS


cdef void prepare(const Job* job, int i, char* buffer, Py_ssize_t n) noexcept nogil:
    """What is put into the buffer of an input once: n elements are wanted at most at a time."""
    cdef const char* data = <const char*>job.inputs[i].data
    cdef Py_ssize_t at = 0, run = job.rows.run
    if job.kinds[i] == ONE:
        spread(job, buffer, data, n)
    elif job.kinds[i] == PERIODIC:
        while at < run + n:
            load(job, buffer + at * job.width, data, min(run, run + n - at))
            at += run


cdef const char* gather(const Job* job, int i, char* buffer, const char** held, Py_ssize_t begin, Py_ssize_t n) noexcept nogil:
    """The elements begin to begin + n of an input that goes by rows. held: the element that the buffer is full of."""
    cdef const Rows* rows = &job.rows
    cdef const Py_ssize_t* strides = rows.strides[i]
    cdef Py_ssize_t index[MAX_NDIM]
    cdef Py_ssize_t outer = begin // rows.run, at = begin % rows.run, done = 0, length
    cdef const char* row = <const char*>job.inputs[i].data
    cdef int axis
    for axis in range(rows.ndim):
        index[axis] = outer % rows.dims[axis]
        outer //= rows.dims[axis]
        row += index[axis] * strides[axis] * job.size
    if rows.run - at >= n:                      # all of it in one row
        if not rows.constant[i]:
            if job.size == job.width:
                return row + at * job.size
            load(job, buffer, row + at * job.size, n)
        elif held[0] != row:
            spread(job, buffer, row, min(rows.run, <Py_ssize_t>TILE))
            held[0] = row
        return buffer
    held[0] = NULL
    while True:
        length = min(rows.run - at, n - done)
        if rows.constant[i]:
            spread(job, buffer + done * job.width, row, length)
        else:
            load(job, buffer + done * job.width, row + at * job.size, length)
        done += length
        if done == n:
            return buffer
        at = 0
        for axis in range(rows.ndim):           # the next row
            index[axis] += 1
            row += strides[axis] * job.size
            if index[axis] < rows.dims[axis]:
                break
            row -= strides[axis] * job.size * rows.dims[axis]
            index[axis] = 0


# -- blocks ------------------------------------------------------------------------------------------------------------

cdef void run_blocks(const Job* job, char* scratch, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Elements begin to end of the outputs, in C order."""
    cdef const Program* p = job.program
    cdef const Step* steps = steps_of(p)
    cdef const double* numbers = numbers_of(p)
    cdef char* buffers[MAX_SLOTS]
    cdef const char* slots[MAX_SLOTS]
    cdef const char* held[MAX_OPERANDS]
    cdef const void* operands[MAX_ARITY]
    cdef const Step* step
    cdef Py_ssize_t at = begin, n = min(end - begin, <Py_ssize_t>TILE)
    cdef int i, k
    scratch += (ALIGNMENT - <uintptr_t>scratch % ALIGNMENT) % ALIGNMENT
    for i in range(p.buffers + p.numbers):
        buffers[i] = scratch
        slots[i] = scratch
        scratch += TILE * job.width * (2 if i < p.inputs else 1)
    for i in range(p.inputs):
        held[i] = NULL
        prepare(job, i, buffers[i], n)
    for i in range(p.numbers):
        fill(buffers[p.buffers + i], numbers[i], job.computed, n)
    while at < end:
        n = min(end - at, <Py_ssize_t>TILE)
        for i in range(p.inputs):
            if job.kinds[i] == DIRECT:
                slots[i] = <const char*>job.inputs[i].data + at * job.size
            elif job.kinds[i] == WIDEN:
                load(job, buffers[i], <const char*>job.inputs[i].data + at * job.size, n)
            elif job.kinds[i] == PERIODIC:
                slots[i] = buffers[i] + at % job.rows.run * job.width
            elif job.kinds[i] == ROWS:
                slots[i] = gather(job, i, buffers[i], &held[i], at, n)
        for i in range(p.outputs):
            if job.direct[i]:
                slots[p.inputs + i] = <char*>job.outputs[i].data + at * job.size
        for i in range(p.steps):
            step = &steps[i]
            for k in range(step.arity):
                operands[k] = slots[step.inputs[k]]
            step.tiles[job.computed](<void*>slots[step.out], operands, n,
                                     <const char*>p + step.params if step.params else NULL)
        for i in range(p.outputs):
            if not job.direct[i]:
                store(job, <char*>job.outputs[i].data + at * job.size, slots[p.inputs + i], n)
        at += n


cdef inline void store(const Job* job, char* out, const char* x, Py_ssize_t n) noexcept nogil:
    if job.size != job.width:
        narrow(out, <const float*>x, job.dtype, n)
    else:
        memcpy(out, x, n * job.size)


cdef inline Py_ssize_t most_parts(Py_ssize_t n) noexcept nogil:
    """Into how many parts n elements are cut at most. Scratch is for so many: a later call may have more threads."""
    return min((n + SPLIT - 1) // SPLIT, <Py_ssize_t>PROCESSORS)


cdef int fused_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const Program* p = <const Program*>call.params
    cdef const Tensor* operands[MAX_OPERANDS]
    cdef Job job
    cdef int i, k
    cdef bint plain = True
    cdef Py_ssize_t n = outputs[0].size, parts, part, length, bytes_
    if n == 0:
        return 0
    job.program, job.inputs, job.outputs, job.dtype = p, inputs, outputs, outputs[0].dtype
    job.size, job.width = <int>itemsize(job.dtype), width_of(job.dtype)
    job.computed = FLOAT32 if job.size != job.width else job.dtype
    for i in range(p.steps):
        if steps_of(p)[i].tiles[job.computed] == NULL:
            return fail(call, "step %d of the program does not take this dtype", i)
    for i in range(p.inputs):
        plain = plain and (inputs[i].size == n or inputs[i].size == 1)
        operands[i] = &inputs[i]
    if not plain:
        make_rows(&job.rows, operands, p.inputs, &outputs[0])
    for i in range(p.inputs):
        job.kinds[i] = kind_of(&job, i, plain)
    for i in range(p.outputs):
        job.direct[i] = job.size == job.width
        for k in range(p.inputs if p.late[i] else 0):
            job.direct[i] = job.direct[i] and inputs[k].data != outputs[i].data
    parts = min(<Py_ssize_t>call.threads, most_parts(n))
    bytes_ = room(p, job.width)
    if parts == 1:
        run_blocks(&job, <char*>call.workspace, 0, n)
        return 0
    length = ((n + parts - 1) // parts + TILE - 1) // TILE * TILE
    for part in prange(parts, num_threads=<int>parts, schedule="static"):
        run_blocks(&job, <char*>call.workspace + part * bytes_, part * length, min(part * length + length, n))
    return 0


cdef Py_ssize_t fused_workspace(const Tensor* inputs, const Tensor* outputs, Call* call) noexcept nogil:
    return room(<const Program*>call.params, width_of(outputs[0].dtype)) * most_parts(outputs[0].size)


cdef double fused_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    """The time of the steps, in the units of an operation, of which 160 take a nanosecond."""
    return (<const Program*>call.params).cost * outputs[0].size * 160


# -- packing -----------------------------------------------------------------------------------------------------------

def pack(program, list slots, int buffers):
    """The C struct of a program. slots: of each value; buffers: how many they are."""
    cdef int i, k, own, value, count = len(program.steps), inputs = program.inputs, n_outputs = len(program.outputs)
    cdef Kernel kernel
    cdef dict numbers = {}                      # text -> slot; as text, 0 and -0 differ and NaN is NaN
    cdef list params = []
    cdef Py_ssize_t size = sizeof(Program) + count * sizeof(Step)
    cdef bytes text, result
    for step in program.steps:
        if step.op.scalar is not None:
            numbers.setdefault(repr(step.scalar), buffers + len(numbers))
    kernels = [step.op.kernel(step.params) for step in program.steps]
    size += len(numbers) * sizeof(double)
    for kernel, step in zip(kernels, program.steps):
        text = kernel.pack(step.params) if kernel.pack is not None else b""
        params.append((size, text))
        size += (len(text) + 15) // 8 * 8
    result = PyBytes_FromStringAndSize(NULL, size)
    cdef char* start = PyBytes_AS_STRING(result)
    memset(start, 0, size)
    cdef Program* p = <Program*>start
    cdef Step* steps = <Step*>(p + 1)
    p.inputs, p.outputs, p.buffers, p.numbers, p.steps = inputs, n_outputs, buffers, len(numbers), count
    p.cost = MEMORY / 2 * (inputs + n_outputs)
    for i, number in enumerate(numbers):
        (<double*>(steps + count))[i] = float(number)
    for i in range(count):
        step, kernel = program.steps[i], kernels[i]
        p.cost += max(kernel.info.cost - MEMORY, STEP)
        memcpy(steps[i].tiles, kernel.info.tiles, sizeof(steps[i].tiles))
        steps[i].arity, steps[i].out = kernel.info.arity, slots[inputs + i]
        own = 0
        for k in range(kernel.info.arity):
            if k == kernel.info.scalar_slot:
                steps[i].inputs[k] = numbers[repr(step.scalar)]
            else:
                steps[i].inputs[k] = slots[step.operands[own]]
                own += 1
        offset, text = params[i]
        if text:
            steps[i].params = offset
            memcpy(start + steps[i].params, PyBytes_AS_STRING(text), len(text))
    for i in range(n_outputs):
        value = program.outputs[i]
        p.late[i] = any(operand < inputs for step in program.steps[value - inputs + 1:] for operand in step.operands)
    return result


def kernel(pack):
    """The Kernel of the interpreter, for all dtypes; ``pack`` makes the C struct from the operator's parameters."""
    return Kernel("fused_pointwise", every(<uintptr_t><kernel_t>fused_kernel), pack=pack, inplace=True, parallel=True,
                  workspace=<uintptr_t><workspace_t>fused_workspace, flops=<uintptr_t><flops_t>fused_flops, cost=.05,
                  dispatch=-1)
