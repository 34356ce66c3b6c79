/* Recurrent layers: what happens between the products, for all directions of a layer at once.

   Forward, step s of direction 0 is time s, of direction 1 time steps - 1 - s; backward the other way round. Threads
   along x take elements of the state, so that gates are read and written densely; y is the sample, z the direction.
   Where samples have lengths, a step at or after a sample's end leaves its states alone.

   Of all steps of a layer's D directions: gates (D, steps, batch, G), extra (D, steps, batch, hidden), which keeps the
   LSTM's cells and the GRU's V h + b of n; out, g_x, g_h and what is named after states (steps, batch, D, ...).
   Of one step: (D, batch, ...). All are of the tensors' dtype, and what lies between two loads is computed in float32
   where that has 16 bits. */
#ifndef MXCY_GPU_RNN_CUH
#define MXCY_GPU_RNN_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/gpu/kernels/philox.cuh"
#include "mxcy/ops/index.h"
#include "mxcy/ops/rnn_cell.h"

namespace mxcy {

struct Layer {
    int64_t steps, batch, hidden, units, directions, clip_nan;
    double low, high;

    template <class W> mxcy_rnn::Bounds<W> bounds() const { return {int(clip_nan), W(low), W(high)}; }
};

/* Where a thread is. */
struct Place {
    int64_t j, sample, direction, time;

    int64_t in_step(int64_t batch, int64_t size) const { return (direction * batch + sample) * size + j; }
    int64_t in_direction(int64_t steps, int64_t batch, int64_t size, int64_t at) const {
        return ((direction * steps + at) * batch + sample) * size + j;
    }
    int64_t in_time(int64_t batch, int64_t directions, int64_t size, int64_t at) const {
        return ((at * batch + sample) * directions + direction) * size + j;
    }
    bool is_padding(const int64_t* length) const { return length && time >= length[sample]; }
    /* The time of the step before, and whether the sample has one. */
    int64_t before() const { return direction ? time + 1 : time - 1; }
    bool begins(const int64_t* length, int64_t steps) const {
        return direction ? time + 1 >= (length ? length[sample] : steps) : time == 0;
    }
};

/* Calls f(place) for the elements of this thread, `size` to a sample. */
template <class F> static inline void for_places(int64_t size, int64_t batch, int64_t forward, int64_t reverse, F f) {
    const int64_t j = first_item(), direction = blockIdx.z;
    if (j < size)
        for (int64_t n = blockIdx.y; n < batch; n += gridDim.y)
            f(Place{j, n, direction, direction ? reverse : forward});
}

/* part: V h; h, c: the running states. With a projection h is what goes into it, and out is NULL. */
template <int mode, bool clip, class T>
static inline void rnn_cell(const Layer& s, int64_t step, const int64_t* length, const T* bias, const T* part,
                            T* gates, T* extra, T* h, T* c, T* out) {
    typedef wide_t<T> W;
    const int64_t G = mxcy_rnn::gate_count(mode) * s.hidden;
    for_places(s.hidden, s.batch, step, s.steps - 1 - step, [&](const Place& at) {
        T* result = out ? out + at.in_time(s.batch, s.directions, s.units, at.time) : nullptr;
        if (at.is_padding(length)) {
            if (result) *result = T{};
            return;
        }
        const int64_t i = at.in_step(s.batch, s.hidden);
        T* gate = gates + at.in_direction(s.steps, s.batch, G, at.time);
        T* keep = extra + at.in_direction(s.steps, s.batch, s.hidden, at.time);
        const T* product = part + at.in_step(s.batch, G);
        const T *x_bias = bias + at.direction * 2 * G + at.j, *h_bias = x_bias + G;
        const auto of_x = [&](int k) { return widen(gate[k * s.hidden]) + widen(x_bias[k * s.hidden]); };
        const auto of_h = [&](int k) { return widen(product[k * s.hidden]) + widen(h_bias[k * s.hidden]); };
        const auto sum = [&](int k) { return of_x(k) + of_h(k); };
        const auto keep_gate = [&](int k, W value) { gate[k * s.hidden] = narrow<T>(value); };
        if constexpr (mode == mxcy_rnn::LSTM) {
            const auto now = mxcy_rnn::lstm<clip>(sum(0), sum(1), sum(2), sum(3), widen(c[i]), s.bounds<W>());
            keep_gate(0, now.i);
            keep_gate(1, now.f);
            keep_gate(2, now.g);
            keep_gate(3, now.o);
            c[i] = *keep = narrow<T>(now.c);
            h[i] = narrow<T>(now.h);
        } else if constexpr (mode == mxcy_rnn::GRU) {
            const W n_of_h = of_h(2);
            const auto now = mxcy_rnn::gru(sum(0), sum(1), of_x(2), n_of_h, widen(h[i]));
            keep_gate(0, now.r);
            keep_gate(1, now.z);
            keep_gate(2, now.n);
            *keep = narrow<T>(n_of_h);
            h[i] = narrow<T>(now.h);
        } else h[i] = gate[0] = narrow<T>(mxcy_rnn::plain<mode>(sum(0)));
        if (result) *result = h[i];
    });
}

/* What the projection made becomes the state and the output. */
template <class T>
static inline void rnn_place(const Layer& s, int64_t step, const int64_t* length, const T* projected, T* h, T* out) {
    for_places(s.units, s.batch, step, s.steps - 1 - step, [&](const Place& at) {
        const int64_t i = at.in_step(s.batch, s.units);
        const bool padding = at.is_padding(length);
        if (!padding) h[i] = projected[i];
        out[at.in_time(s.batch, s.directions, s.units, at.time)] = padding ? T{} : projected[i];
    });
}

/* Dropout of what lies between two layers, with the words that the CPU has; `tile` is the first of this layer. */
template <class T>
static inline void rnn_drop(T* dropped, T* factors, const T* x, int64_t n, uint64_t seed, uint64_t stream, int64_t tile,
                            double keep, uint32_t threshold, int train) {
    const int64_t count = (n + PHILOX_TILE - 1) / PHILOX_TILE * PHILOX_BLOCKS;
    for (int64_t block = first_item(); block < count; block += grid_step()) {
        uint32_t words[4];
        philox_block(words, seed, stream, tile * PHILOX_BLOCKS + block);
        const int64_t first = block / PHILOX_BLOCKS * PHILOX_TILE + block % PHILOX_BLOCKS;
#pragma unroll
        for (int w = 0; w < 4; w++) {
            const int64_t i = first + w * PHILOX_BLOCKS;
            if (i >= n) break;
            const wide_t<T> factor = !train ? 1 : words[w] >= threshold ? keep : 0;
            factors[i] = narrow<T>(factor);
            dropped[i] = narrow<T>(widen(x[i]) * factor);
        }
    }
}

template <class T> static inline void rnn_lengths(int64_t* out, const T* x, int64_t steps, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const int64_t k = mxcy_index::integer(widen(x[i]));
        out[i] = k < 0 ? 0 : k > steps ? steps : k;
    }
}

}  // namespace mxcy

#define MXCY_RNN(mode, clip, T)                                                                                        \
    extern "C" __global__ void cell(mxcy::Layer s, int64_t step, const int64_t* length, const T* bias,                 \
                                    const T* part, T* gates, T* extra, T* h, T* c, T* out) {                           \
        mxcy::rnn_cell<mxcy_rnn::mode, clip, T>(s, step, length, bias, part, gates, extra, h, c, out);                 \
    }                                                                                                                  \
    extern "C" __global__ void place(mxcy::Layer s, int64_t step, const int64_t* length, const T* projected, T* h,     \
                                     T* out) {                                                                         \
        mxcy::rnn_place<T>(s, step, length, projected, h, out);                                                        \
    }                                                                                                                  \
    extern "C" __global__ void drop(T* dropped, T* factors, const T* x, int64_t n, mxcy::Philox random, int64_t tile,   \
                                    double keep, uint32_t threshold, int train) {                                      \
        mxcy::rnn_drop<T>(dropped, factors, x, n, random.seed(), random.stream(), tile, keep, threshold, train);       \
    }
#define MXCY_RNN_LENGTHS(T)                                                                                            \
    extern "C" __global__ void lengths(int64_t* out, const T* x, int64_t steps, int64_t n) {                           \
        mxcy::rnn_lengths<T>(out, x, steps, n);                                                                        \
    }
#endif
