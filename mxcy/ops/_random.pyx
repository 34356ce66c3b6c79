# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Random numbers, samples from categories, permutations and dropout, all from Philox.

A call owns the stream ``call.counter`` of the key ``call.seed``. Element i depends on these and on i alone.
"""
import struct

from cython.parallel cimport prange
from libc.math cimport log
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport FLOAT16, FLOAT32, FLOAT64, INT32, INT64, UINT8, Call, Tensor, fail, itemsize, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/random.h" namespace "mxcy_random" nogil:
    enum:
        UNIFORM, NORMAL, EXPONENTIAL, GAMMA, POISSON, NEGATIVE_BINOMIAL, GENERALIZED_NEGATIVE_BINOMIAL
    cdef struct Parameters:
        const void* data[2]
        int dtype[2]
        double number[2]
        Py_ssize_t per
    double uniform_at(uint64_t seed, uint64_t stream, uint64_t index) noexcept nogil
    uint64_t below(uint64_t n, uint64_t seed, uint64_t stream, uint64_t index) noexcept nogil
    int64_t distinct(int64_t* out, Py_ssize_t n, uint64_t limit, int64_t* table, Py_ssize_t slots, uint64_t seed,
                     uint64_t stream, uint64_t row) noexcept nogil
    void fill_tile[T](int kind, T* out, Py_ssize_t size, const Parameters* p, uint64_t seed, uint64_t stream,
                      uint64_t tile) noexcept nogil
    void integer_tile[T](T* out, Py_ssize_t size, int64_t low, uint64_t range, uint64_t seed, uint64_t stream,
                         uint64_t tile) noexcept nogil

cdef extern from "mxcy/ops/half.h" nogil:
    void float_to_half "mxcy_float_to_half"(uint16_t* out, const float* x, Py_ssize_t n)

cdef extern from "mxcy/ops/philox.h" nogil:
    enum:
        PHILOX_TILE
    void philox_tile(uint32_t* words, uint64_t seed, uint64_t stream, uint64_t tile) noexcept nogil

cdef struct RandomParams:
    int kind
    double number[2]

cdef struct IntegerParams:
    int64_t low
    uint64_t range

ctypedef fused real:
    float
    double

ctypedef fused integer:
    int32_t
    int64_t


# -- distributions -------------------------------------------------------------------------------------------------------

cdef int fill(Tensor* out, const Parameters* p, Call* call, int kind, real dtype) noexcept nogil:
    cdef real* data = <real*>out.data
    cdef Py_ssize_t n = out.size, size = PHILOX_TILE * 4 // sizeof(real), tiles = (n + size - 1) // size, t
    cdef uint64_t seed = call.seed, stream = call.counter
    cdef int threads = call.threads
    for t in prange(tiles, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        fill_tile(kind, data + t * size, min(size, n - t * size), p, seed, stream, <uint64_t>t)
    return 0


cdef int draw(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """One distribution for all elements: its numbers are parameters. An input, if any, only gave the shape."""
    cdef const RandomParams* params = <const RandomParams*>call.params
    cdef Parameters p
    p.data[0] = p.data[1] = NULL
    p.number[0], p.number[1] = params.number[0], params.number[1]
    p.per = max(outputs[0].size, <Py_ssize_t>1)
    if outputs[0].dtype == FLOAT64:
        return fill[double](&outputs[0], &p, call, params.kind, 0)
    return fill[float](&outputs[0], &p, call, params.kind, 0)


cdef int sample(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """A distribution for each element of the inputs, and so many elements from each."""
    cdef const RandomParams* params = <const RandomParams*>call.params
    cdef Parameters p
    cdef int i
    p.data[0] = p.data[1] = NULL
    p.number[0], p.number[1] = 0, 0
    for i in range(call.n_inputs):
        p.data[i], p.dtype[i] = inputs[i].data, inputs[i].dtype
    if outputs[0].size == 0:
        return 0
    p.per = outputs[0].size // inputs[0].size
    if outputs[0].dtype == FLOAT64:
        return fill[double](&outputs[0], &p, call, params.kind, 0)
    return fill[float](&outputs[0], &p, call, params.kind, 0)


cdef int fill_integers(Tensor* out, Call* call, integer dtype) noexcept nogil:
    cdef const IntegerParams* p = <const IntegerParams*>call.params
    cdef integer* data = <integer*>out.data
    cdef Py_ssize_t n = out.size, size = PHILOX_TILE // 2, t
    cdef uint64_t seed = call.seed, stream = call.counter
    cdef int threads = call.threads
    for t in prange((n + size - 1) // size, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        integer_tile(data + t * size, min(size, n - t * size), p.low, p.range, seed, stream, <uint64_t>t)
    return 0


cdef int draw_integers(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].dtype == INT32:
        return fill_integers[int32_t](&outputs[0], call, 0)
    return fill_integers[int64_t](&outputs[0], call, 0)


# -- categories ------------------------------------------------------------------------------------------------------------

cdef void store(void* out, int dtype, Py_ssize_t i, Py_ssize_t value) noexcept nogil:
    cdef float number
    if dtype == INT32:
        (<int32_t*>out)[i] = <int32_t>value
    elif dtype == INT64:
        (<int64_t*>out)[i] = value
    elif dtype == UINT8:
        (<uint8_t*>out)[i] = <uint8_t>value
    elif dtype == FLOAT64:
        (<double*>out)[i] = <double>value
    elif dtype == FLOAT16:
        number = <float>value
        float_to_half(<uint16_t*>out + i, &number, 1)
    else:
        (<float*>out)[i] = <float>value


cdef int choose_row(const real* p, Py_ssize_t k, Py_ssize_t row, Py_ssize_t count, Tensor* outputs, Call* call,
                    double* sums) noexcept nogil:
    """Draw ``count`` categories from one row of probabilities: search their running sums."""
    cdef Py_ssize_t i, low, high, middle
    cdef double sum = 0, u
    for i in range(k):
        sum += p[i]
        sums[i] = sum
    for i in range(row * count, row * count + count):
        u = uniform_at(call.seed, call.counter, <uint64_t>i) * sum
        low, high = 0, k - 1                            # the first category whose sum exceeds u
        while low < high:
            middle = (low + high) // 2
            if sums[middle] > u:
                high = middle
            else:
                low = middle + 1
        store(outputs[0].data, outputs[0].dtype, i, low)
        if call.n_outputs > 1:
            (<real*>outputs[1].data)[i] = <real>log(p[low])
    return 0


cdef int choose(const Tensor* inputs, Tensor* outputs, Call* call, real dtype) noexcept nogil:
    cdef const real* p = <const real*>inputs[0].data
    cdef Py_ssize_t k = inputs[0].shape[inputs[0].ndim - 1], rows, row, count
    cdef int threads = call.threads
    cdef double* sums
    if outputs[0].size == 0:
        return 0
    rows = inputs[0].size // k
    count = outputs[0].size // rows
    sums = <double*>scratch_new(rows * k * sizeof(double))
    if sums == NULL:
        return fail(call, "no memory for the sums of %lld probabilities", <long long>inputs[0].size)
    for row in prange(rows, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        choose_row[real](p + row * k, k, row, count, outputs, call, sums + row * k)
    scratch_free(sums)
    return 0


cdef int choose_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return choose[float](inputs, outputs, call, 0)

cdef int choose_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return choose[double](inputs, outputs, call, 0)


cdef int zipfian(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Distinct numbers below range_max, log-uniform, for each row; and the number of tries of each row."""
    cdef const IntegerParams* p = <const IntegerParams*>call.params
    cdef int64_t* out = <int64_t*>outputs[0].data
    cdef int64_t* tries = <int64_t*>outputs[1].data
    cdef Py_ssize_t n = outputs[0].shape[outputs[0].ndim - 1], rows = outputs[1].size, row, slots = 4
    cdef int64_t* table
    if outputs[0].size == 0:
        return 0
    if <uint64_t>n > p.range:
        return fail(call, "%lld distinct numbers below range_max=%lld do not exist", <long long>n, <long long>p.range)
    while slots < 2 * n:
        slots *= 2
    table = <int64_t*>scratch_new(slots * sizeof(int64_t))
    if table == NULL:
        return fail(call, "no memory for %lld numbers", <long long>n)
    for row in range(rows):
        tries[row] = distinct(out + row * n, n, p.range, table, slots, call.seed, call.counter, <uint64_t>row)
    scratch_free(table)
    return 0


# -- order -----------------------------------------------------------------------------------------------------------------

cdef int shuffle_rows(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """A random order of the first axis: Fisher and Yates on the indices, then one pass over the data."""
    cdef Py_ssize_t n, i, j, item
    cdef Py_ssize_t* order
    cdef const char* data = <const char*>inputs[0].data
    cdef char* out = <char*>outputs[0].data
    cdef int threads = call.threads
    if inputs[0].size == 0:
        return 0
    n = inputs[0].shape[0] if inputs[0].ndim else 1
    item = inputs[0].size // n * itemsize(inputs[0].dtype)
    order = <Py_ssize_t*>scratch_new(n * sizeof(Py_ssize_t))
    if order == NULL:
        return fail(call, "no memory for an order of %lld rows", <long long>n)
    for i in range(n):
        j = below(i + 1, call.seed, call.counter, <uint64_t>i)
        order[i] = order[j]
        order[j] = i
    for i in prange(n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        memcpy(out + i * item, data + order[i] * item, item)
    scratch_free(order)
    return 0


# -- dropout ---------------------------------------------------------------------------------------------------------------

cdef enum:
    DROPPED = 0                     # bytes of the mask
    KEPT = 1
    UNTOUCHED = 2                   # not training: the output is the input
    CHUNK = 16 * PHILOX_TILE        # elements of a task: the processor prefetches poorly if it alternates more often

cdef struct DropoutParams:
    double p
    int always

cdef void mask_tile(uint8_t* mask, Py_ssize_t n, uint32_t threshold, uint64_t seed, uint64_t stream,
                    uint64_t tile) noexcept nogil:
    cdef uint32_t words[PHILOX_TILE]
    cdef Py_ssize_t i
    philox_tile(words, seed, stream, tile)
    for i in range(n):
        mask[i] = words[i] >= threshold


cdef void masked(real* out, const real* data, const uint8_t* mask, Py_ssize_t n, real scale, bint constant) noexcept nogil:
    cdef Py_ssize_t i
    if constant:
        for i in range(n):
            out[i] = data[i] * scale if mask[0] else 0
    else:
        for i in range(n):
            out[i] = data[i] * scale if mask[i] else 0


cdef void masked_rows(const Tensor* data, const Tensor* mask, Tensor* out, real scale, Py_ssize_t row) noexcept nogil:
    """Row ``row`` along the last axis, of a mask that is broadcast."""
    cdef Py_ssize_t n = out.shape[out.ndim - 1], index = row, at = 0, step = mask.shape[mask.ndim - 1]
    cdef bint constant = step == 1
    cdef int i
    for i in range(out.ndim - 2, -1, -1):
        if mask.shape[i] != 1:
            at += index % out.shape[i] * step
        step *= mask.shape[i]
        index //= out.shape[i]
    masked(<real*>out.data + row * n, <const real*>data.data + row * n, <const uint8_t*>mask.data + at, n, scale, constant)


cdef int apply_mask(const Tensor* data, const Tensor* mask, Tensor* out, Call* call, real scale) noexcept nogil:
    cdef Py_ssize_t n = out.size, t, rows
    cdef int threads = call.threads
    if mask.size == n:
        for t in prange((n + CHUNK - 1) // CHUNK, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            masked(<real*>out.data + t * CHUNK, <const real*>data.data + t * CHUNK, <const uint8_t*>mask.data + t * CHUNK,
                   min(<Py_ssize_t>CHUNK, n - t * CHUNK), scale, False)
        return 0
    rows = n // out.shape[out.ndim - 1]
    for t in prange(rows, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        masked_rows(data, mask, out, scale, t)
    return 0


cdef void mask_chunk(uint8_t* mask, Py_ssize_t n, uint32_t threshold, uint64_t seed, uint64_t stream,
                     Py_ssize_t chunk) noexcept nogil:
    """CHUNK bytes of the mask, or the n that are left; ``mask`` is where they begin."""
    cdef Py_ssize_t i
    for i in range((n + PHILOX_TILE - 1) // PHILOX_TILE):
        mask_tile(mask + i * PHILOX_TILE, min(<Py_ssize_t>PHILOX_TILE, n - i * PHILOX_TILE), threshold, seed, stream,
                  <uint64_t>(chunk * (CHUNK // PHILOX_TILE) + i))


cdef void dropout_chunk(real* out, const real* data, uint8_t* mask, Py_ssize_t n, real scale, uint32_t threshold,
                        uint64_t seed, uint64_t stream, Py_ssize_t chunk) noexcept nogil:
    mask_chunk(mask, n, threshold, seed, stream, chunk)
    masked(out, data, mask, n, scale, False)


cdef int drop(const Tensor* inputs, Tensor* outputs, Call* call, real dtype) noexcept nogil:
    cdef const DropoutParams* p = <const DropoutParams*>call.params
    cdef const real* data = <const real*>inputs[0].data
    cdef real* out = <real*>outputs[0].data
    cdef uint8_t* mask = <uint8_t*>outputs[1].data
    cdef Py_ssize_t n = inputs[0].size, m = outputs[1].size, t, chunks = (m + CHUNK - 1) // CHUNK
    cdef uint64_t seed = call.seed, stream = call.counter
    cdef uint32_t threshold = <uint32_t>min(p.p * 4294967296. + .5, 4294967295.)
    cdef real scale = <real>(1 / (1 - p.p)) if p.p < 1 else 0       # p = 1 leaves one word in 2^32, times 0
    cdef int threads = call.threads
    if n == 0:
        return 0
    if not (call.train or p.always):
        memset(mask, UNTOUCHED, m)
        if out != data:
            memcpy(out, data, n * sizeof(real))
        return 0
    if m == n:
        for t in prange(chunks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            dropout_chunk[real](out + t * CHUNK, data + t * CHUNK, mask + t * CHUNK, min(<Py_ssize_t>CHUNK, n - t * CHUNK),
                                scale, threshold, seed, stream, t)
        return 0
    for t in range(chunks):
        mask_chunk(mask + t * CHUNK, min(<Py_ssize_t>CHUNK, m - t * CHUNK), threshold, seed, stream, t)
    return apply_mask[real](&inputs[0], &outputs[1], &outputs[0], call, scale)


cdef int drop_backward(const Tensor* inputs, Tensor* outputs, Call* call, real dtype) noexcept nogil:
    cdef const DropoutParams* p = <const DropoutParams*>call.params
    cdef real scale = <real>(1 / (1 - p.p)) if p.p < 1 else 0
    if inputs[0].size == 0:
        return 0
    if (<const uint8_t*>inputs[1].data)[0] == UNTOUCHED:
        memcpy(outputs[0].data, inputs[0].data, inputs[0].size * sizeof(real))
        return 0
    return apply_mask[real](&inputs[0], &inputs[1], &outputs[0], call, scale)


cdef int drop_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return drop[float](inputs, outputs, call, 0)

cdef int drop_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return drop[double](inputs, outputs, call, 0)

cdef int drop_backward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return drop_backward[float](inputs, outputs, call, 0)

cdef int drop_backward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return drop_backward[double](inputs, outputs, call, 0)


# -- kernels -----------------------------------------------------------------------------------------------------------------

cdef object packer(int kind, tuple names):
    """A function that packs RandomParams."""
    def pack(params):
        numbers = [float(params[name]) for name in names]
        return struct.pack("i4x2d", kind, *numbers, *[0.] * (2 - len(numbers)))
    return pack


cdef object floats(kernel_t function):
    return {FLOAT32: <uintptr_t>function, FLOAT64: <uintptr_t>function}


#: kind, names of the parameters, ns per element
DISTRIBUTIONS = {
    "uniform": (UNIFORM, ("low", "high"), .3),
    "normal": (NORMAL, ("loc", "scale"), .5),
    "exponential": (EXPONENTIAL, ("lam",), .5),
    "gamma": (GAMMA, ("alpha", "beta"), 55),
    "poisson": (POISSON, ("lam",), 40),
    "negative_binomial": (NEGATIVE_BINOMIAL, ("k", "p"), 95),
    "generalized_negative_binomial": (GENERALIZED_NEGATIVE_BINOMIAL, ("mu", "alpha"), 95),
}
drawn = {name: Kernel("_random_" + name, floats(draw), pack=packer(kind, names), parallel=True, cost=cost, dispatch=-1)
         for name, (kind, names, cost) in DISTRIBUTIONS.items()}
sampled = {name: Kernel("_sample_" + name, floats(sample), pack=packer(kind, ()), parallel=True, cost=cost, dispatch=-1)
           for name, (kind, names, cost) in DISTRIBUTIONS.items()}
randint = Kernel("_random_randint", {INT32: <uintptr_t><kernel_t>draw_integers, INT64: <uintptr_t><kernel_t>draw_integers},
                 pack=lambda params: struct.pack("qQ", params["low"], params["high"] - params["low"]), parallel=True,
                 cost=1., dispatch=-1)
multinomial = Kernel("_sample_multinomial", {FLOAT32: <uintptr_t><kernel_t>choose_float,
                                             FLOAT64: <uintptr_t><kernel_t>choose_double}, parallel=True, cost=10)
unique_zipfian = Kernel("_sample_unique_zipfian", {INT64: <uintptr_t><kernel_t>zipfian},
                        pack=lambda params: struct.pack("qQ", 0, params["range_max"]), cost=50, dispatch=-1)
shuffle = Kernel("_shuffle", {dtype: <uintptr_t><kernel_t>shuffle_rows for dtype in (0, 1, 2, 3, 4, 5, 6, 7, 12)},
                 parallel=True, cost=2)


def pack_dropout(params):
    return struct.pack("di", params["p"], params.get("mode") == "always")


dropout = Kernel("Dropout", {FLOAT32: <uintptr_t><kernel_t>drop_float, FLOAT64: <uintptr_t><kernel_t>drop_double},
                 pack=pack_dropout, parallel=True, cost=.5)
dropout_backward = Kernel("_backward_Dropout", {FLOAT32: <uintptr_t><kernel_t>drop_backward_float,
                                                FLOAT64: <uintptr_t><kernel_t>drop_backward_double},
                          pack=pack_dropout, parallel=True, cost=.2)
