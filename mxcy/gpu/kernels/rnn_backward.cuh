/* Gradients of recurrent layers; see rnn.cuh. */
#ifndef MXCY_GPU_RNN_BACKWARD_CUH
#define MXCY_GPU_RNN_BACKWARD_CUH
#include "mxcy/gpu/kernels/rnn.cuh"

namespace mxcy {

/* The gradient of h as the steps so far leave it. The last of them, if it was the sample's, brought a product, `part`,
   to which the GRU adds what goes straight from state to state. */
template <int mode, class T>
static inline wide_t<T> rnn_arriving(const Layer& s, int64_t step, const int64_t* length, const Place& at,
                                     const T* part, const T* running) {
    const int64_t i = at.in_step(s.batch, s.units), last = at.direction ? step - 1 : s.steps - step;
    if (step == 0 || (length && last >= length[at.sample])) return widen(running[i]);
    return mode == mxcy_rnn::GRU ? widen(running[i]) + widen(part[i]) : widen(part[i]);
}

/* The gradient of out, which dropout may have scaled. */
template <class T> static inline wide_t<T> rnn_given(const T* g_out, const T* factors, int64_t i) {
    return factors ? widen(g_out[i]) * widen(factors[i]) : widen(g_out[i]);
}

/* With a projection, the gradient of what it made, kept for all steps and as `arrived`. After the last step (of which
   there is none left): the gradient of the initial state, in `running`. */
template <int mode, class T>
static inline void rnn_arrive(const Layer& s, int64_t step, const int64_t* length, const T* g_out, const T* factors,
                              const T* part, T* running, T* g_units, T* arrived) {
    for_places(s.units, s.batch, s.steps - 1 - step, step, [&](const Place& at) {
        const int64_t i = at.in_step(s.batch, s.units);
        const wide_t<T> g = rnn_arriving<mode>(s, step, length, at, part, running);
        const bool ended = step == s.steps, padding = ended || at.is_padding(length);
        if (padding) running[i] = narrow<T>(g);
        if (ended) return;
        const int64_t k = at.in_time(s.batch, s.directions, s.units, at.time);
        g_units[k] = arrived[i] = padding ? T{} : narrow<T>(g + rnn_given(g_out, factors, k));
    });
}

/* wide: the gradient of what went into the projection, or NULL. The gradients of the gates are kept for all steps (g_h
   of the GRU only, for the others it is g_x) and as `now`, for the product that leads to the step before. */
template <int mode, bool clip, class T>
static inline void rnn_cell_gradient(const Layer& s, int64_t step, const int64_t* length, const T* gates,
                                     const T* extra, const T* initial, const T* out, const T* g_out, const T* factors,
                                     const T* part, const T* wide, T* running, T* g_cell, T* g_x, T* g_h, T* now) {
    typedef wide_t<T> W;
    constexpr int count = int(mxcy_rnn::gate_count(mode));
    const int64_t G = count * s.hidden, hidden = s.hidden;
    for_places(hidden, s.batch, s.steps - 1 - step, step, [&](const Place& at) {
        const int64_t i = at.in_step(s.batch, hidden), to = at.in_time(s.batch, s.directions, G, at.time);
        T* to_now = now + at.in_step(s.batch, G);
        const auto store = [&](int k, W of_x, W of_h) {
            g_x[to + k * hidden] = narrow<T>(of_x);
            to_now[k * hidden] = narrow<T>(of_h);
            if constexpr (mode == mxcy_rnn::GRU) g_h[to + k * hidden] = narrow<T>(of_h);
        };
        W g = wide ? widen(wide[i]) : rnn_arriving<mode>(s, step, length, at, part, running);
        if (at.is_padding(length)) {
            if (!wide) running[i] = narrow<T>(g);
#pragma unroll
            for (int k = 0; k < count; k++) store(k, 0, 0);
            return;
        }
        if (!wide) g += rnn_given(g_out, factors, at.in_time(s.batch, s.directions, hidden, at.time));
        const bool begins = at.begins(length, s.steps);
        const T* gate_at = gates + at.in_direction(s.steps, s.batch, G, at.time);
        const auto gate = [&](int k) { return widen(gate_at[k * hidden]); };
        const T* keep = extra + at.in_direction(s.steps, s.batch, hidden, at.time);
        if constexpr (mode == mxcy_rnn::LSTM) {
            const T old = begins ? initial[i] : extra[at.in_direction(s.steps, s.batch, hidden, at.before())];
            const auto d = mxcy_rnn::lstm_gradient<clip>(gate(0), gate(1), gate(2), gate(3), widen(*keep),
                                                         widen(old), g, widen(g_cell[i]), s.bounds<W>());
            store(0, d.i, d.i);
            store(1, d.f, d.f);
            store(2, d.g, d.g);
            store(3, d.o, d.o);
            g_cell[i] = narrow<T>(d.old);
        } else if constexpr (mode == mxcy_rnn::GRU) {
            const T old = begins ? initial[i] : out[at.in_time(s.batch, s.directions, hidden, at.before())];
            const auto d = mxcy_rnn::gru_gradient(gate(0), gate(1), gate(2), widen(*keep), widen(old), g);
            store(0, d.r, d.r);
            store(1, d.z, d.z);
            store(2, d.of_x, d.of_h);
            running[i] = narrow<T>(d.old);
        } else {
            const W d = mxcy_rnn::plain_gradient<mode>(gate(0), g);
            store(0, d, d);
        }
    });
}

/* h before every step; zeros for padding. */
template <class T>
static inline void rnn_states(const Layer& s, const int64_t* length, const T* initial, const T* out, T* states) {
    for_places(s.units, s.steps * s.batch, 0, 0, [&](Place at) {
        at.time = at.sample / s.batch, at.sample %= s.batch;
        states[at.in_time(s.batch, s.directions, s.units, at.time)] =
            at.is_padding(length) ? T{} : at.begins(length, s.steps) ? initial[at.in_step(s.batch, s.units)]
                                  : out[at.in_time(s.batch, s.directions, s.units, at.before())];
    });
}

/* o tanh(c) of every step, which the projection took; zeros for padding. */
template <class T>
static inline void rnn_unprojected(const Layer& s, const int64_t* length, const T* gates, const T* cells,
                                   T* states) {
    for_places(s.hidden, s.steps * s.batch, 0, 0, [&](Place at) {
        at.time = at.sample / s.batch, at.sample %= s.batch;
        const T o = gates[at.in_direction(s.steps, s.batch, 4 * s.hidden, at.time) + 3 * s.hidden];
        const T c = cells[at.in_direction(s.steps, s.batch, s.hidden, at.time)];
        states[at.in_time(s.batch, s.directions, s.hidden, at.time)] =
            at.is_padding(length) ? T{} : narrow<T>(widen(o) * mxcy::tanh(widen(c)));
    });
}

template <class T> static inline void rnn_scale(T* out, const T* x, const T* factors, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) out[i] = narrow<T>(widen(x[i]) * widen(factors[i]));
}

/* Sums of columns over slices of `depth` rows: 32 columns to a block of 256 threads. */
template <class T>
static inline void rnn_columns(wide_t<T>* parts, const T* x, int64_t rows, int64_t columns, int64_t depth) {
    __shared__ wide_t<T> sums[8][32];
    const int lane = threadIdx.x % 32, line = threadIdx.x / 32;
    const int64_t column = int64_t(blockIdx.x) * 32 + lane, begin = blockIdx.y * depth;
    const int64_t end = begin + depth < rows ? begin + depth : rows;
    wide_t<T> sum = 0;
    if (column < columns)
#pragma unroll 4
        for (int64_t row = begin + line; row < end; row += 8) sum += widen(x[row * columns + column]);
    sums[line][lane] = sum;
    __syncthreads();
    if (line == 0 && column < columns) {
        for (int k = 1; k < 8; k++) sum += sums[k][lane];
        parts[blockIdx.y * columns + column] = sum;
    }
}

/* From sums of slices, of g_x and g_h, to the gradients of both biases of each direction, which have `gates` each. */
template <class T>
static inline void rnn_biases(T* grad, const wide_t<T>* x_parts, const wide_t<T>* h_parts, int64_t slices,
                              int64_t gates, int64_t columns) {
    for (int64_t i = first_item(); i < columns; i += grid_step()) {
        wide_t<T> x = 0, h = 0;
        for (int64_t slice = 0; slice < slices; slice++) {
            x += x_parts[slice * columns + i];
            h += h_parts[slice * columns + i];
        }
        T* to = grad + i / gates * 2 * gates + i % gates;
        to[0] = narrow<T>(x);
        to[gates] = narrow<T>(h);
    }
}

}  // namespace mxcy

#define MXCY_RNN_BACKWARD(mode, clip, T)                                                                               \
    extern "C" __global__ void arrive(mxcy::Layer s, int64_t step, const int64_t* length, const T* g_out,              \
                                      const T* factors, const T* part, T* running, T* g_units, T* arrived) {           \
        mxcy::rnn_arrive<mxcy_rnn::mode, T>(s, step, length, g_out, factors, part, running, g_units, arrived);         \
    }                                                                                                                  \
    extern "C" __global__ void cell_gradient(mxcy::Layer s, int64_t step, const int64_t* length, const T* gates,       \
                                             const T* extra, const T* initial, const T* out, const T* g_out,           \
                                             const T* factors, const T* part, const T* wide, T* running, T* g_cell,    \
                                             T* g_x, T* g_h, T* now) {                                                 \
        mxcy::rnn_cell_gradient<mxcy_rnn::mode, clip, T>(s, step, length, gates, extra, initial, out, g_out, factors,  \
                                                         part, wide, running, g_cell, g_x, g_h, now);                  \
    }                                                                                                                  \
    extern "C" __global__ void states(mxcy::Layer s, const int64_t* length, const T* initial, const T* out,            \
                                      T* states) {                                                                     \
        mxcy::rnn_states<T>(s, length, initial, out, states);                                                          \
    }                                                                                                                  \
    extern "C" __global__ void unprojected(mxcy::Layer s, const int64_t* length, const T* gates, const T* cells,       \
                                           T* states) {                                                                \
        mxcy::rnn_unprojected<T>(s, length, gates, cells, states);                                                     \
    }                                                                                                                  \
    extern "C" __global__ void scale(T* out, const T* x, const T* factors, int64_t n) {                                \
        mxcy::rnn_scale<T>(out, x, factors, n);                                                                        \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) columns(mxcy::wide_t<T>* parts, const T* x, int64_t rows,        \
                                                              int64_t columns, int64_t depth) {                        \
        mxcy::rnn_columns<T>(parts, x, rows, columns, depth);                                                          \
    }                                                                                                                  \
    extern "C" __global__ void biases(T* grad, const mxcy::wide_t<T>* x_parts, const mxcy::wide_t<T>* h_parts,         \
                                      int64_t slices, int64_t gates, int64_t columns) {                                \
        mxcy::rnn_biases<T>(grad, x_parts, h_parts, slices, gates, columns);                                           \
    }
#endif
