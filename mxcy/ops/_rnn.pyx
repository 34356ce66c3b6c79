# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Recurrent layers, all steps of all layers in one call: products over whole sequences here, the steps in ``rnn.h``.

For each direction of a layer: one product of all inputs with their weights, then the steps, each of them a product with
packed recurrent weights and the cell. Backward: the steps, which leave the gradients of all gates, then one product for
each weight and one for the inputs. The output ``reserve`` keeps what backward needs:

    for each layer and direction: gates (steps, batch, gates), and for LSTM and GRU one more (steps, batch, hidden)
    the outputs of all layers but the last (steps, batch, directions * units)
    with dropout, the factors by which those were multiplied
"""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, kernel_t
from mxcy.ops._blas cimport dgemm, sgemm
from mxcy.ops._index cimport KEEP, load
from mxcy.ops._kernel cimport Kernel, flops_t
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/panels.h" namespace "mxcy_panels" nogil:
    Py_ssize_t panel_count[T](const T* kind, Py_ssize_t n)
    Py_ssize_t packed_size[T](const T* kind, Py_ssize_t k, Py_ssize_t n)
    void pack_panel[T](T* packed, const T* b, Py_ssize_t k, Py_ssize_t n, Py_ssize_t by_row, Py_ssize_t by_column,
                       Py_ssize_t panel)

cdef extern from "mxcy/ops/rnn.h" namespace "mxcy_rnn" nogil:
    enum:
        LSTM, GRU
    cdef cppclass Sweep[T]:
        int mode, reverse, clip, clip_nan
        T low
        T high
        Py_ssize_t steps, batch, hidden, units, out_row
        const Py_ssize_t* length
        const T* bias_x
        const T* bias_h
        const T* recurrent
        const T* projection
        const T* h0
        const T* c0
        T* h
        T* c
        T* gates
        T* extra
        T* out
        T* part
        T* wide
        const T* g_out
        T* g_x
        T* g_h
        T* g_units
    Py_ssize_t gate_count(int mode)
    void forward[T](const Sweep[T]* s, Py_ssize_t begin, Py_ssize_t end)
    void backward[T](const Sweep[T]* s, Py_ssize_t begin, Py_ssize_t end)
    void states_before[T](const Sweep[T]* s, T* states, Py_ssize_t t)
    void projected[T](const Sweep[T]* s, T* states, Py_ssize_t t)

cdef extern from "mxcy/ops/philox.h" nogil:
    enum:
        PHILOX_TILE
    void philox_tile(uint32_t* words, uint64_t seed, uint64_t stream, uint64_t tile) noexcept nogil

ctypedef fused real:
    float
    double

cdef enum:
    FEWEST = 2                          # samples that a thread takes at least

MODES = ("rnn_relu", "rnn_tanh", "lstm", "gru")

cdef struct Params:
    double p
    double low
    double high
    int64_t mode
    int64_t hidden
    int64_t layers
    int64_t directions
    int64_t projection                  # 0: none
    int64_t by_length
    int64_t clip
    int64_t clip_nan


def pack(params):
    """The C struct `Params`."""
    clip = params["lstm_state_clip_min"] is not None
    return struct.pack("dddqqqqqqqq", params["p"], params["lstm_state_clip_min"] or 0., params["lstm_state_clip_max"] or 0.,
                       MODES.index(params["mode"]), params["state_size"], params["num_layers"],
                       2 if params["bidirectional"] else 1, params["projection_size"] or 0,
                       params["use_sequence_length"], clip, clip and params["lstm_state_clip_nan"])


cdef struct Sizes:                      # of a call, in elements
    Py_ssize_t steps, batch, features, hidden, units, gates, layers, directions, rows, out_row
    bint has_cells, has_extra, has_projection, by_length
    Py_ssize_t gates_size, extra_size, out_size


cdef void measure(Sizes* s, const Params* p, const Tensor* data) noexcept nogil:
    s.steps, s.batch, s.features = data.shape[0], data.shape[1], data.shape[2]
    s.hidden, s.units = p.hidden, p.projection or p.hidden
    s.gates, s.layers, s.directions = gate_count(<int>p.mode) * p.hidden, p.layers, p.directions
    s.rows, s.out_row = s.steps * s.batch, s.directions * s.units
    s.has_cells, s.has_extra = p.mode == LSTM, p.mode == LSTM or p.mode == GRU
    s.has_projection, s.by_length = p.projection != 0, p.by_length
    s.gates_size, s.extra_size = s.rows * s.gates, s.rows * s.hidden if s.has_extra else 0
    s.out_size = s.rows * s.out_row


cdef Py_ssize_t inputs_of(const Sizes* s, Py_ssize_t layer) noexcept nogil:
    """Features of a layer's input."""
    return s.out_row if layer else s.features


cdef Py_ssize_t weights_size(const Sizes* s, Py_ssize_t layer) noexcept nogil:
    """Of one direction of a layer, without biases."""
    return s.gates * (inputs_of(s, layer) + s.units) + (s.hidden * s.units if s.has_projection else 0)


cdef Py_ssize_t weights_at(const Sizes* s, Py_ssize_t layer, Py_ssize_t direction) noexcept nogil:
    """Where the weights of a direction of a layer begin among the parameters: of x, of h, of the projection."""
    cdef Py_ssize_t at = direction * weights_size(s, layer), i
    for i in range(layer):
        at += s.directions * weights_size(s, i)
    return at


cdef Py_ssize_t biases_at(const Sizes* s, Py_ssize_t layer, Py_ssize_t direction) noexcept nogil:
    """Where the two biases begin: they follow the weights of all layers."""
    return weights_at(s, s.layers, 0) + (layer * s.directions + direction) * 2 * s.gates


cdef int product(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a,
                 Py_ssize_t lda, const real* b, Py_ssize_t ldb, real beta, real* c, int threads) noexcept nogil:
    if real is float:
        return sgemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, n, threads)
    else:
        return dgemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, n, threads)


cdef void pack_weights(real* packed, const real* weight, Py_ssize_t k, Py_ssize_t n, bint transpose,
                       int threads) noexcept nogil:
    """Panels of ``weight`` (k x n), or of its transpose if it is n x k."""
    cdef Py_ssize_t count = panel_count(packed, n), i
    for i in prange(count, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        pack_panel(packed, weight, k, n, 1 if transpose else n, k if transpose else 1, i)


cdef int find_lengths(Py_ssize_t* length, const Sizes* s, const Tensor* given) noexcept nogil:
    cdef Py_ssize_t n
    load(length, given.data, given.dtype, s.batch, s.steps, KEEP)
    for n in range(s.batch):
        length[n] = min(max(length[n], <Py_ssize_t>0), s.steps)
    return 0


cdef void describe(Sweep[real]* sweep, const Sizes* s, const Params* p, const Py_ssize_t* length,
                   Py_ssize_t direction) noexcept nogil:
    sweep.mode = <int>p.mode
    sweep.reverse = <int>direction
    sweep.clip = <int>p.clip
    sweep.clip_nan = <int>p.clip_nan
    sweep.low = <real>p.low
    sweep.high = <real>p.high
    sweep.length = length
    sweep.steps = s.steps
    sweep.batch = s.batch
    sweep.hidden = s.hidden
    sweep.units = s.units
    sweep.out_row = s.out_row
    sweep.projection = NULL


cdef void place(Sweep[real]* sweep, const Sizes* s, real* reserve, real* out, const real* h0, const real* c0,
                Py_ssize_t layer, Py_ssize_t direction) noexcept nogil:
    """Where the tensors of a direction of a layer lie."""
    cdef Py_ssize_t which = layer * s.directions + direction
    sweep.gates = reserve + which * (s.gates_size + s.extra_size)
    sweep.extra = sweep.gates + s.gates_size
    sweep.out = outputs_of(s, reserve, out, layer) + direction * s.units
    sweep.h0 = h0 + which * s.batch * s.units
    if s.has_cells:
        sweep.c0 = c0 + which * s.batch * s.hidden


cdef real* outputs_of(const Sizes* s, real* reserve, real* out, Py_ssize_t layer) noexcept nogil:
    if layer == s.layers - 1:
        return out
    return reserve + s.layers * s.directions * (s.gates_size + s.extra_size) + layer * s.out_size


cdef real* factors_of(const Sizes* s, real* reserve, Py_ssize_t layer) noexcept nogil:
    """What dropout multiplied the outputs of a layer by."""
    return outputs_of(s, reserve, reserve, 0) + (s.layers - 1 + layer) * s.out_size


cdef Py_ssize_t chunks_of(const Sizes* s, int threads) noexcept nogil:
    """Parts of the batch that are worked on at a time, for each direction."""
    return max(min((threads + s.directions - 1) // s.directions, s.batch // FEWEST), 1)


# -- dropout -----------------------------------------------------------------------------------------------------------

cdef void draw_factors(real* factors, Py_ssize_t n, double p, Py_ssize_t layer, const Call* call) noexcept nogil:
    """0 with probability p, else 1 / (1 - p); all ones outside of training."""
    cdef uint32_t threshold = <uint32_t>min(p * 4294967296. + .5, 4294967295.)
    cdef real keep = <real>(1 / (1 - p)) if p < 1 else 0
    cdef Py_ssize_t tiles = (n + PHILOX_TILE - 1) // PHILOX_TILE, tile
    for tile in prange(tiles, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        draw_tile(factors + tile * PHILOX_TILE, min(<Py_ssize_t>PHILOX_TILE, n - tile * PHILOX_TILE), keep, threshold, call,
                  layer * tiles + tile)


cdef void draw_tile(real* factors, Py_ssize_t n, real keep, uint32_t threshold, const Call* call,
                    Py_ssize_t tile) noexcept nogil:
    cdef uint32_t words[PHILOX_TILE]
    cdef Py_ssize_t i
    if call.train:
        philox_tile(words, call.seed, call.counter, tile)
    for i in range(n):
        factors[i] = 1 if not call.train else keep if words[i] >= threshold else 0


cdef void scale(real* out, const real* x, const real* factors, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = x[i] * factors[i]


# -- forward -----------------------------------------------------------------------------------------------------------

cdef int run_forward(const Tensor* inputs, Tensor* outputs, Call* call, real* kind) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef Sizes s
    measure(&s, p, &inputs[0])
    cdef real* parameters = <real*>inputs[1].data
    cdef real* reserve = <real*>outputs[3].data
    cdef real* out = <real*>outputs[0].data
    cdef const real* h0 = <const real*>inputs[2].data
    cdef const real* c0 = <const real*>inputs[3].data if s.has_cells else NULL
    cdef Py_ssize_t recurrent = packed_size(kind, s.units, s.gates)
    cdef Py_ssize_t projection = packed_size(kind, s.hidden, s.units) if s.has_projection else 0
    cdef Py_ssize_t wide = s.batch * s.hidden if s.has_projection else 0
    cdef Py_ssize_t dropped = s.out_size if p.p > 0 and s.layers > 1 else 0
    cdef Py_ssize_t each = recurrent + projection + s.batch * s.gates + wide
    cdef real* scratch = <real*>scratch_new((s.directions * each + dropped) * sizeof(real) + s.batch * sizeof(Py_ssize_t) + 64)
    if scratch == NULL:
        return fail(call, "no memory for the scratch of RNN")
    cdef real* dropped_at = scratch + s.directions * each
    cdef Py_ssize_t* length = <Py_ssize_t*>(((<uintptr_t>(dropped_at + dropped)) + 15) // 16 * 16)
    if s.by_length:
        find_lengths(length, &s, &inputs[2 + s.has_cells + 1])
    cdef Sweep[real] sweeps[2]
    cdef Sweep[real]* sweep
    cdef Py_ssize_t layer, d, k, unit, chunks = chunks_of(&s, call.threads)
    cdef real* x = <real*>inputs[0].data
    cdef real* weight
    cdef real* place_at
    cdef int failed = 0, threads = call.threads
    for layer in range(s.layers):
        k = inputs_of(&s, layer)
        if layer and dropped:
            draw_factors(factors_of(&s, reserve, layer - 1), s.out_size, p.p, layer - 1, call)
            scale(dropped_at, x, factors_of(&s, reserve, layer - 1), s.out_size)
            x = dropped_at
        for d in range(s.directions):
            sweep = &sweeps[d]
            describe(sweep, &s, p, length if s.by_length else NULL, d)
            place(sweep, &s, reserve, out, h0, c0, layer, d)
            sweep.h = <real*>outputs[1].data + (layer * s.directions + d) * s.batch * s.units
            if s.has_cells:
                sweep.c = <real*>outputs[2].data + (layer * s.directions + d) * s.batch * s.hidden
            weight = parameters + weights_at(&s, layer, d)
            sweep.bias_x = parameters + biases_at(&s, layer, d)
            sweep.bias_h = sweep.bias_x + s.gates
            place_at = scratch + d * each
            failed |= product[real](False, True, s.rows, s.gates, k, x, k, weight, k, 0, sweep.gates, threads)
            pack_weights(place_at, weight + s.gates * k, s.units, s.gates, True, threads)
            sweep.recurrent = place_at
            if s.has_projection:
                pack_weights(place_at + recurrent, weight + s.gates * (k + s.units), s.hidden, s.units, True, threads)
                sweep.projection = place_at + recurrent
            sweep.part = place_at + recurrent + projection
            sweep.wide = sweep.part + s.batch * s.gates
        for unit in prange(s.directions * chunks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            forward(&sweeps[unit // chunks], s.batch * (unit % chunks) // chunks, s.batch * (unit % chunks + 1) // chunks)
        x = outputs_of(&s, reserve, out, layer)
    scratch_free(scratch)
    return fail(call, NO_BLAS) if failed else 0


cdef const char* NO_BLAS = "the matrix product failed: SciPy's BLAS cannot be imported, or an axis is above 2^31 - 1"


cdef int forward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        return run_forward(inputs, outputs, call, <double*>NULL)
    return run_forward(inputs, outputs, call, <float*>NULL)


# -- backward ----------------------------------------------------------------------------------------------------------

cdef void sum_rows(real* out, const real* x, Py_ssize_t rows, Py_ssize_t begin, Py_ssize_t end,
                   Py_ssize_t step) noexcept nogil:
    """Columns begin to end of x, summed over rows."""
    cdef Py_ssize_t i, j
    memset(out + begin, 0, (end - begin) * sizeof(real))
    for i in range(rows):
        for j in range(begin, end):
            out[j] += x[i * step + j]


cdef int run_backward(const Tensor* inputs, Tensor* outputs, Call* call, real* kind) noexcept nogil:
    """Inputs: gradients of out, state and cells; data, parameters, state, cells, lengths; out and reserve."""
    cdef const Params* p = <const Params*>call.params
    cdef int first = 3 if p.mode == LSTM else 2
    cdef const Tensor* given = inputs + first
    cdef Sizes s
    measure(&s, p, &given[0])
    cdef real* parameters = <real*>given[1].data
    cdef const real* h0 = <const real*>given[2].data
    cdef const real* c0 = <const real*>given[3].data if s.has_cells else NULL
    cdef real* out = <real*>inputs[call.n_inputs - 2].data
    cdef real* reserve = <real*>inputs[call.n_inputs - 1].data
    cdef real* grads = <real*>outputs[1].data
    cdef bint has_two = p.mode == GRU
    cdef Py_ssize_t recurrent = packed_size(kind, s.gates, s.units)
    cdef Py_ssize_t projection = packed_size(kind, s.units, s.hidden) if s.has_projection else 0
    cdef Py_ssize_t states = s.rows * (max(s.units, s.hidden) if s.has_projection else s.units)
    cdef Py_ssize_t each = (recurrent + projection + s.gates_size * (2 if has_two else 1) + s.rows * s.units
                            + s.batch * (s.units + (s.hidden if s.has_projection else 0)))
    cdef Py_ssize_t between = s.out_size if s.layers > 1 else 0
    cdef real* scratch = <real*>scratch_new((s.directions * each + states + 3 * between) * sizeof(real)
                                            + s.batch * sizeof(Py_ssize_t) + 64)
    if scratch == NULL:
        return fail(call, "no memory for the scratch of RNN's gradient")
    cdef real* states_at = scratch + s.directions * each
    cdef real* between_at = states_at + states
    cdef Py_ssize_t* length = <Py_ssize_t*>(((<uintptr_t>(between_at + 3 * between)) + 15) // 16 * 16)
    if s.by_length:
        find_lengths(length, &s, &given[3 + s.has_cells])
    cdef Sweep[real] sweeps[2]
    cdef Sweep[real]* sweep
    cdef Py_ssize_t layer, d, k, unit, t, which, strips = (s.gates + 63) // 64, chunks = chunks_of(&s, call.threads)
    cdef real* g_out = <real*>inputs[0].data
    cdef real* g_x
    cdef real* x
    cdef real* weight
    cdef real* grad
    cdef real* bias
    cdef real* at
    cdef int failed = 0, threads = call.threads
    memcpy(outputs[2].data, inputs[1].data, outputs[2].size * sizeof(real))
    if s.has_cells:
        memcpy(outputs[3].data, inputs[2].data, outputs[3].size * sizeof(real))
    for layer in range(s.layers - 1, -1, -1):
        k = inputs_of(&s, layer)
        x = outputs_of(&s, reserve, out, layer - 1) if layer else <real*>given[0].data
        if layer and p.p > 0:
            scale(between_at + 2 * between, x, factors_of(&s, reserve, layer - 1), s.out_size)
            x = between_at + 2 * between
        for d in range(s.directions):
            sweep = &sweeps[d]
            which = layer * s.directions + d
            describe(sweep, &s, p, length if s.by_length else NULL, d)
            place(sweep, &s, reserve, out, h0, c0, layer, d)
            sweep.g_out = g_out + d * s.units
            sweep.h = <real*>outputs[2].data + which * s.batch * s.units
            if s.has_cells:
                sweep.c = <real*>outputs[3].data + which * s.batch * s.hidden
            weight = parameters + weights_at(&s, layer, d)
            at = scratch + d * each
            pack_weights(at, weight + s.gates * k, s.gates, s.units, False, threads)
            sweep.recurrent = at
            at += recurrent
            if s.has_projection:
                pack_weights(at, weight + s.gates * (k + s.units), s.units, s.hidden, False, threads)
                sweep.projection = at
                at += projection
            sweep.g_x = at
            sweep.g_h = at
            at += s.gates_size
            if has_two:
                sweep.g_h = at
                at += s.gates_size
            sweep.g_units = at
            sweep.part = at + s.rows * s.units
            sweep.wide = sweep.part + s.batch * s.units
        for unit in prange(s.directions * chunks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            backward(&sweeps[unit // chunks], s.batch * (unit % chunks) // chunks, s.batch * (unit % chunks + 1) // chunks)
        g_x = between_at + (layer % 2) * between if layer else <real*>outputs[0].data
        for d in range(s.directions):
            sweep = &sweeps[d]
            weight = parameters + weights_at(&s, layer, d)
            grad = grads + weights_at(&s, layer, d)
            bias = grads + biases_at(&s, layer, d)
            failed |= product[real](False, False, s.rows, k, s.gates, sweep.g_x, s.gates, weight, k, d != 0, g_x, threads)
            failed |= product[real](True, False, s.gates, k, s.rows, sweep.g_x, s.gates, x, k, 0, grad, threads)
            for t in prange(s.steps, num_threads=threads, schedule="static", use_threads_if=threads > 1):
                states_before(sweep, states_at, t)
            failed |= product[real](True, False, s.gates, s.units, s.rows, sweep.g_h, s.gates, states_at, s.units, 0,
                                    grad + s.gates * k, threads)
            if s.has_projection:
                for t in prange(s.steps, num_threads=threads, schedule="static", use_threads_if=threads > 1):
                    projected(sweep, states_at, t)
                failed |= product[real](True, False, s.units, s.hidden, s.rows, sweep.g_units, s.units, states_at,
                                        s.hidden, 0, grad + s.gates * (k + s.units), threads)
            for t in prange(strips, num_threads=threads, schedule="static", use_threads_if=threads > 1):
                sum_rows(bias, sweep.g_x, s.rows, t * 64, min(t * 64 + 64, s.gates), s.gates)
                if has_two:
                    sum_rows(bias + s.gates, sweep.g_h, s.rows, t * 64, min(t * 64 + 64, s.gates), s.gates)
            if not has_two:
                memcpy(bias + s.gates, bias, s.gates * sizeof(real))
        if layer and p.p > 0:
            scale(g_x, g_x, factors_of(&s, reserve, layer - 1), s.out_size)
        g_out = g_x
    scratch_free(scratch)
    return fail(call, NO_BLAS) if failed else 0


cdef int backward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        return run_backward(inputs, outputs, call, <double*>NULL)
    return run_backward(inputs, outputs, call, <float*>NULL)


cdef double flops(const Params* p, const Tensor* data) noexcept nogil:
    cdef Sizes s
    measure(&s, p, data)
    return 2. * s.rows * weights_at(&s, s.layers, 0)


cdef double forward_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return flops(<const Params*>call.params, &inputs[0])


cdef double backward_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    return 2 * flops(p, &inputs[3 if p.mode == LSTM else 2])


rnn = Kernel("rnn", {FLOAT32: <uintptr_t><kernel_t>forward_, FLOAT64: <uintptr_t><kernel_t>forward_}, pack=pack,
             parallel=True, flops=<uintptr_t><flops_t>forward_flops)
rnn_backward = Kernel("rnn_backward", {FLOAT32: <uintptr_t><kernel_t>backward_, FLOAT64: <uintptr_t><kernel_t>backward_},
                      pack=pack, parallel=True, flops=<uintptr_t><flops_t>backward_flops)
