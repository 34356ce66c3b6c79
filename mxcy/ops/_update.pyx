# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Optimizer updates of one weight or of many: one pass over everything, cut into chunks that the threads share.

The inputs are groups, one for each weight: the weight, its gradient, the states, and with mixed precision a float32
copy, which then is what gets updated. 16-bit floats are widened chunk by chunk.
"""
import struct

from cython.parallel cimport prange
from libc.math cimport isfinite
from libc.stdint cimport uint16_t, uintptr_t
from libc.string cimport memcpy

from mxcy._types cimport BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Call, Tensor, itemsize, kernel_t
from mxcy.ops._kernel cimport Kernel, flops_t

cdef extern from "mxcy/ops/half.h" nogil:
    void half_to_float "mxcy_half_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_half "mxcy_float_to_half"(uint16_t* out, const float* x, Py_ssize_t n)
    void bfloat16_to_float "mxcy_bfloat16_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_bfloat16 "mxcy_float_to_bfloat16"(uint16_t* out, const float* x, Py_ssize_t n)

cdef extern from "mxcy/ops/update.h" namespace "mxcy_update" nogil:
    enum:
        SGD, SGD_MOM, NAG, ADAM, ADAMW, RMSPROP, RMSPROP_CENTRED, FTRL, FTML, SIGN, SIGNUM, LAMB
    ctypedef struct Numbers:
        double lr, wd, rescale
    ctypedef struct Step:
        const Numbers* numbers
        void* out
        const void* weight
        const void* grad
        void* states[3]
        Py_ssize_t n
    ctypedef void (*sweep_t)(const Step* step) noexcept nogil
    sweep_t sweep_of[T](int rule)
    double lamb_ratio(double length, double step, double low, double high)

cdef enum:
    CHUNK = 16384                       # items that a thread takes at a time
    TILE = 512                          # items that are widened at a time
    ARRAYS = 6                          # weight, gradient, three states, copy

cdef enum Tail:                         # what stands behind the groups
    NOTHING = 0
    RESCALE = 1                         # the factor of the gradients; no update if it is 0 or not finite
    RATES = 2                           # learning rates and weight decays, instead of those in the parameters

cdef struct UpdateParams:               # followed by lr and wd of every weight, if there are more than one
    int rule
    int states                          # of each weight
    int mixed                           # a float32 copy of each weight stands last in its group
    int steps                           # the output is the step, not the weight
    int tail
    int many                            # lr and wd of every weight follow
    int scaled                          # Call.scalar multiplies every learning rate
    int padding
    Numbers numbers


cdef inline bint is_short(int dtype) noexcept nogil:
    return dtype == FLOAT16 or dtype == BFLOAT16


cdef inline void widen(float* out, const void* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        half_to_float(out, <const uint16_t*>x, n)
    else:
        bfloat16_to_float(out, <const uint16_t*>x, n)


cdef inline void narrow(void* out, const float* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        float_to_half(<uint16_t*>out, x, n)
    elif dtype == BFLOAT16:
        float_to_bfloat16(<uint16_t*>out, x, n)
    else:
        memcpy(out, x, n * sizeof(float))


cdef void update_wide(const UpdateParams* p, const Numbers* numbers, const Tensor* group, Tensor* out, Py_ssize_t at,
                      Py_ssize_t n) noexcept nogil:
    """Items at to at + n of one weight, all arrays of one dtype that needs no widening."""
    cdef Step step
    cdef int i
    cdef Py_ssize_t offset = at * itemsize(group[1].dtype)
    step.numbers, step.n = numbers, n
    step.out = <char*>out.data + offset
    step.weight, step.grad = <char*>group[0].data + offset, <char*>group[1].data + offset
    for i in range(p.states):
        step.states[i] = <char*>group[2 + i].data + offset
    if group[1].dtype == FLOAT64:
        sweep_of[double](p.rule)(&step)
    else:
        sweep_of[float](p.rule)(&step)


cdef void update_short(const UpdateParams* p, const Numbers* numbers, const Tensor* group, Tensor* out,
                       Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """As update_wide, with some arrays of 16-bit floats, or with a float32 copy of the weight."""
    cdef float tiles[ARRAYS + 1][TILE]
    cdef void* data[ARRAYS]
    cdef Step step
    cdef int i, count = 2 + p.states + p.mixed
    cdef Py_ssize_t at = begin
    step.numbers = numbers
    while at < end:
        step.n = min(<Py_ssize_t>TILE, end - at)
        for i in range(count):
            data[i] = <char*>group[i].data + at * itemsize(group[i].dtype)
            if is_short(group[i].dtype):
                widen(tiles[i], data[i], group[i].dtype, step.n)
                data[i] = tiles[i]
        step.weight, step.grad, step.out = data[count - 1 if p.mixed else 0], data[1], tiles[ARRAYS]
        for i in range(p.states):
            step.states[i] = data[2 + i]
        sweep_of[float](p.rule)(&step)
        if p.mixed and not p.steps:
            memcpy(data[count - 1], tiles[ARRAYS], step.n * sizeof(float))
        for i in range(p.states):
            if is_short(group[2 + i].dtype):
                narrow(<char*>group[2 + i].data + at * 2, <float*>data[2 + i], group[2 + i].dtype, step.n)
        narrow(<char*>out.data + at * itemsize(out.dtype), tiles[ARRAYS], out.dtype, step.n)
        at += TILE


cdef void update_run(const UpdateParams* p, const Tensor* inputs, Tensor* outputs, int groups, double factor,
                     Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Chunks begin to end, counted through all weights."""
    cdef int i = 0, k, size = 2 + p.states + p.mixed
    cdef const Tensor* tail = inputs + groups * size
    cdef const double* rates = <const double*>(p + 1)
    cdef Numbers numbers = p.numbers
    cdef Py_ssize_t chunk = begin, first = 0, chunks, at, n
    cdef bint short_
    if p.tail == RESCALE:
        numbers.rescale = number_in(tail)
        if not isfinite(numbers.rescale) or numbers.rescale == 0:
            for i in range(groups):
                if begin == 0 and outputs[i].data != inputs[i * size].data:
                    memcpy(outputs[i].data, inputs[i * size].data, outputs[i].size * itemsize(outputs[i].dtype))
            return
    while chunk < end:
        chunks = (outputs[i].size + CHUNK - 1) // CHUNK
        if chunk >= first + chunks:
            first += chunks
            i += 1
            continue
        at = (chunk - first) * CHUNK
        n = min(outputs[i].size, (end - first) * CHUNK) - at
        if p.tail == RATES:
            numbers.lr, numbers.wd = (<const float*>tail[0].data)[i], (<const float*>tail[1].data)[i]
        elif p.many:
            numbers.lr, numbers.wd = rates[i] * factor, rates[groups + i]
        short_ = p.mixed
        for k in range(size):
            short_ = short_ or is_short(inputs[i * size + k].dtype)
        if short_:
            update_short(p, &numbers, inputs + i * size, &outputs[i], at, at + n)
        else:
            update_wide(p, &numbers, inputs + i * size, &outputs[i], at, n)
        chunk += (n + CHUNK - 1) // CHUNK


cdef double number_in(const Tensor* x) noexcept nogil:
    """The first item of a float array."""
    cdef float value
    if x.dtype == FLOAT64:
        return (<const double*>x.data)[0]
    if x.dtype == FLOAT32:
        return (<const float*>x.data)[0]
    widen(&value, x.data, x.dtype, 1)
    return value


cdef int update_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const UpdateParams* p = <const UpdateParams*>call.params
    cdef int i, groups = (call.n_inputs - p.tail) // (2 + p.states + p.mixed)
    cdef Py_ssize_t chunks = 0, run, runs
    cdef double factor = call.scalar if p.scaled else 1
    for i in range(groups):
        chunks += (outputs[i].size + CHUNK - 1) // CHUNK
    if call.threads == 1 or chunks < 2:
        update_run(p, inputs, outputs, groups, factor, 0, chunks)
        return 0
    runs = min(chunks, 8 * call.threads)        # a few per thread: one may be slower than another
    for run in prange(runs, num_threads=call.threads, schedule="dynamic"):
        update_run(p, inputs, outputs, groups, factor, chunks * run // runs, chunks * (run + 1) // runs)
    return 0


cdef double update_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    """What costs the time is the traffic: about 0.2 ns for each item of each array, in the units of an operation."""
    cdef double items = 0
    cdef int i
    for i in range(call.n_inputs):
        items += inputs[i].size
    return items * 13


cdef int scaled_step_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """weight - lr ratio g; inputs: weight, g, the two lengths, and maybe a float32 copy of the weight."""
    cdef const double* p = <const double*>call.params
    cdef const Tensor* copy = &inputs[4 if call.n_inputs == 5 else 0]
    cdef double rate = p[0] * lamb_ratio(number_in(&inputs[2]), number_in(&inputs[3]), p[1], p[2])
    cdef float rate32 = <float>rate
    cdef float tiles[2][TILE]
    cdef float* weight
    cdef float* g
    cdef Py_ssize_t i, at = 0, n
    if outputs[0].dtype == FLOAT64:
        for i in range(outputs[0].size):
            (<double*>outputs[0].data)[i] = (<double*>copy.data)[i] - rate * (<double*>inputs[1].data)[i]
        return 0
    while at < outputs[0].size:
        n = min(<Py_ssize_t>TILE, outputs[0].size - at)
        weight, g = tile_of(copy, at, n, tiles[0]), tile_of(&inputs[1], at, n, tiles[1])
        for i in range(n):
            tiles[0][i] = weight[i] - rate32 * g[i]
        if call.n_inputs == 5:
            memcpy(weight, tiles[0], n * sizeof(float))
        narrow(<char*>outputs[0].data + at * itemsize(outputs[0].dtype), tiles[0], outputs[0].dtype, n)
        at += n
    return 0


cdef float* tile_of(const Tensor* x, Py_ssize_t at, Py_ssize_t n, float* tile) noexcept nogil:
    """n items as float32: where they are, or widened into the tile."""
    cdef char* data = <char*>x.data + at * itemsize(x.dtype)
    if not is_short(x.dtype):
        return <float*>data
    widen(tile, data, x.dtype, n)
    return tile


# -- the kernels -------------------------------------------------------------------------------------------------------

def single(double x):
    """x rounded to float32, as MXNet keeps parameters: updates of float64 weights then agree to the last digits."""
    return <double><float>x


def floats(uintptr_t function):
    return dict.fromkeys((FLOAT32, FLOAT64, FLOAT16, BFLOAT16), function)


RULES = {"sgd": SGD, "sgd_mom": SGD_MOM, "nag": NAG, "adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP,
         "rmsprop_centred": RMSPROP_CENTRED, "ftrl": FTRL, "ftml": FTML, "sign": SIGN, "signum": SIGNUM, "lamb": LAMB}
TAILS = {None: NOTHING, "rescale": RESCALE, "rates": RATES}
#: All that `kernel` made.
updates = []


def kernel(name, rule, int states, mixed=False, tail=None, steps=False, scaled=False, extra=None):
    """A Kernel for one rule. ``extra`` gives the rule's two extra numbers from the parameters."""

    def pack(params):
        def number(*names, default=0.0):
            return single(next((params[n] for n in names if n in params), default))

        lrs, wds = params.get("lrs", ()), params.get("wds", ())
        count = params.get("num_weights", 1)
        lrs, wds = (x * count if len(x) == 1 else x for x in (lrs, wds))
        if "etas" in params:            # a multiplier of the step is one of both its parts
            etas = params["etas"] * count if len(params["etas"]) == 1 else params["etas"]
            lrs, wds = (tuple(a * b for a, b in zip(x, etas)) for x in (lrs, wds))
        own = tuple(extra(params)) if extra else ()
        return struct.pack(f"=8i{10 + len(lrs) + len(wds)}d", RULES[rule], states, mixed, steps, TAILS[tail],
                           bool(lrs), scaled, 0, number("lr"), number("wd"), number("rescale_grad", default=1.0),
                           number("clip_gradient", "clip_grad", default=-1.0), number("momentum"),
                           number("beta1", "gamma1"), number("beta2", "gamma2"), number("epsilon"),
                           *own, *(0.0,) * (2 - len(own)), *map(single, (*lrs, *wds)))

    result = Kernel(name, floats(<uintptr_t><kernel_t>update_kernel), pack=pack, inplace=True, parallel=True,
                    flops=<uintptr_t><flops_t>update_flops)
    updates.append(result)
    return result


def numbers(*names):
    """The extra numbers of a rule that are just parameters."""
    return lambda params: [single(params[name]) for name in names]


def unbias(params):
    """What the moments of step t are divided by, for their start at 0; 1 if there is to be no correction."""
    if not params.get("bias_correction", True):
        return 1.0, 1.0
    return tuple(1 - single(params[beta]) ** params["t"] for beta in ("beta1", "beta2"))


scaled_step = Kernel("scaled_step", floats(<uintptr_t><kernel_t>scaled_step_kernel), inplace=True,
                     pack=lambda p: struct.pack("3d", p["lr"], p["lower_bound"], p["upper_bound"]))
