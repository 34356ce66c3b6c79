/* Recurrent layers on the CPU: the sweeps over the steps of one direction of a layer; its cells are in rnn_cell.h.
 *
 * The products of the inputs with their weights are done before, for all steps at once. Rows do not depend on each
 * other, so a sweep takes a range of them and threads share the batch.
 */
#ifndef MXCY_OPS_RNN_H
#define MXCY_OPS_RNN_H
#include <string.h>
#include "mxcy/ops/panels.h"
#include "mxcy/ops/rnn_cell.h"

namespace mxcy_rnn {

template <class T> struct Sweep : Bounds<T> {       /* one direction of one layer */
    int mode, reverse, clip;
    ptrdiff_t steps, batch, hidden;
    ptrdiff_t units;                                /* of h: hidden, or the size of the LSTM's projection */
    ptrdiff_t out_row;                              /* elements from sample to sample of the layer's output */
    const ptrdiff_t *length;                        /* of each sample, or NULL: all have `steps` */
    const T *bias_x, *bias_h;
    const T *recurrent;                             /* packed weights: forward h to gates, backward gates to h */
    const T *projection;                            /* packed weights: forward hidden to units, backward back; or NULL */
    const T *h0, *c0;
    T *h, *c;                                       /* running states, in the end the final ones; backward: gradients */
    T *gates;                                       /* (steps, batch, gates): forward in: products of the inputs; out: gates */
    T *extra;                                       /* (steps, batch, hidden): the LSTM's cells, the GRU's W h + b of n */
    T *out;                                         /* (steps, batch, out_row) */
    T *part;                                        /* scratch (batch, gates) */
    T *wide;                                        /* scratch (batch, hidden), for a projection */
    const T *g_out;                                 /* backward: gradient of out */
    T *g_x, *g_h;                                   /* gradients of the gates, before the activation, of x and of h */
    T *g_units;                                     /* (steps, batch, units): gradients of h */
};

template <bool clip, class T>
static void lstm_row(const Sweep<T> *s, T *__restrict gates, const T *__restrict part, const T *old, T *cell, T *keep,
                     T *__restrict h) {
    const ptrdiff_t n = s->hidden;
    const T *__restrict x = s->bias_x, *__restrict b = s->bias_h;
    const Bounds<T> bounds = *s;
#pragma omp simd
    for (ptrdiff_t j = 0; j < n; j++) {
        const Lstm<T> now = lstm<clip>(
            gates[j] + part[j] + x[j] + b[j], gates[n + j] + part[n + j] + x[n + j] + b[n + j],
            gates[2 * n + j] + part[2 * n + j] + x[2 * n + j] + b[2 * n + j],
            gates[3 * n + j] + part[3 * n + j] + x[3 * n + j] + b[3 * n + j], old[j], bounds);
        gates[j] = now.i, gates[n + j] = now.f, gates[2 * n + j] = now.g, gates[3 * n + j] = now.o;
        cell[j] = keep[j] = now.c;
        h[j] = now.h;
    }
}

template <class T>
static void gru_row(const Sweep<T> *s, T *__restrict gates, const T *__restrict part, T *__restrict extra,
                    T *__restrict h) {
    const ptrdiff_t n = s->hidden;
    const T *__restrict x = s->bias_x, *__restrict b = s->bias_h;
#pragma omp simd
    for (ptrdiff_t j = 0; j < n; j++) {
        const T of_h = part[2 * n + j] + b[2 * n + j];
        const Gru<T> now = gru(gates[j] + part[j] + x[j] + b[j], gates[n + j] + part[n + j] + x[n + j] + b[n + j],
                               gates[2 * n + j] + x[2 * n + j], of_h, h[j]);
        gates[j] = now.r, gates[n + j] = now.z, gates[2 * n + j] = now.n;
        extra[j] = of_h;
        h[j] = now.h;
    }
}

template <int mode, class T>
static void plain_row(const Sweep<T> *s, T *__restrict gates, const T *__restrict part, T *__restrict h) {
    const T *__restrict x = s->bias_x, *__restrict b = s->bias_h;
#pragma omp simd
    for (ptrdiff_t j = 0; j < s->hidden; j++) h[j] = gates[j] = plain<mode>(gates[j] + part[j] + x[j] + b[j]);
}

template <class T> static inline bool is_padding(const Sweep<T> *s, ptrdiff_t t, ptrdiff_t n) {
    return s->length && t >= s->length[n];
}

/* Samples begin to end through all steps. */
template <class T> void forward(const Sweep<T> *s, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t hidden = s->hidden, units = s->units, wide = gate_count(s->mode) * hidden, rows = end - begin;
    memcpy(s->h + begin * units, s->h0 + begin * units, rows * units * sizeof(T));
    if (s->mode == LSTM) memcpy(s->c + begin * hidden, s->c0 + begin * hidden, rows * hidden * sizeof(T));
    for (ptrdiff_t i = 0; i < s->steps; i++) {
        const ptrdiff_t t = s->reverse ? s->steps - 1 - i : i;
        mxcy_panels::multiply(s->part + begin * wide, wide, s->h + begin * units, units, s->recurrent, rows, units, wide);
        for (ptrdiff_t n = begin; n < end; n++) {
            if (is_padding(s, t, n)) continue;
            T *gates = s->gates + (t * s->batch + n) * wide, *extra = s->extra + (t * s->batch + n) * hidden;
            T *h = s->projection ? s->wide + n * hidden : s->h + n * units;
            const T *part = s->part + n * wide;
            if (s->mode == LSTM) {
                T *c = s->c + n * hidden;
                if (s->clip) lstm_row<true>(s, gates, part, c, c, extra, h);
                else lstm_row<false>(s, gates, part, c, c, extra, h);
            } else if (s->mode == GRU) gru_row(s, gates, part, extra, h);
            else if (s->mode == TANH) plain_row<TANH>(s, gates, part, h);
            else plain_row<RELU>(s, gates, part, h);
        }
        if (s->projection)                          /* the gates are used up: their scratch takes the projected rows */
            mxcy_panels::multiply(s->part + begin * wide, wide, s->wide + begin * hidden, hidden, s->projection, rows, hidden,
                                  units);
        for (ptrdiff_t n = begin; n < end; n++) {
            T *out = s->out + (t * s->batch + n) * s->out_row;
            if (is_padding(s, t, n)) {
                memset(out, 0, units * sizeof(T));
                continue;
            }
            if (s->projection) memcpy(s->h + n * units, s->part + n * wide, units * sizeof(T));
            memcpy(out, s->h + n * units, units * sizeof(T));
        }
    }
}

/* -- backward ---------------------------------------------------------------------------------------------------------- */

/* g: gradient of o tanh(c); dc: of the cell, in and out. */
template <bool clip, class T>
static void lstm_row_back(const Sweep<T> *s, const T *__restrict gates, const T *__restrict cell,
                          const T *__restrict old, const T *__restrict g, T *__restrict dc, T *__restrict out) {
    const ptrdiff_t n = s->hidden;
    const Bounds<T> bounds = *s;
#pragma omp simd
    for (ptrdiff_t j = 0; j < n; j++) {
        const LstmGradient<T> d = lstm_gradient<clip>(gates[j], gates[n + j], gates[2 * n + j], gates[3 * n + j],
                                                      cell[j], old[j], g[j], dc[j], bounds);
        out[j] = d.i, out[n + j] = d.f, out[2 * n + j] = d.g, out[3 * n + j] = d.o;
        dc[j] = d.old;
    }
}

/* g: gradient of h; direct: its part that goes straight to the last h. */
template <class T>
static void gru_row_back(const Sweep<T> *s, const T *__restrict gates, const T *__restrict of_h,
                         const T *__restrict old, const T *__restrict g, T *__restrict direct, T *__restrict to_x, T *__restrict to_h) {
    const ptrdiff_t n = s->hidden;
#pragma omp simd
    for (ptrdiff_t j = 0; j < n; j++) {
        const GruGradient<T> d = gru_gradient(gates[j], gates[n + j], gates[2 * n + j], of_h[j], old[j], g[j]);
        to_h[j] = to_x[j] = d.r;
        to_h[n + j] = to_x[n + j] = d.z;
        to_x[2 * n + j] = d.of_x;
        to_h[2 * n + j] = d.of_h;
        direct[j] = d.old;
    }
}

template <int mode, class T>
static void plain_row_back(const Sweep<T> *s, const T *__restrict h, const T *__restrict g, T *__restrict out) {
#pragma omp simd
    for (ptrdiff_t j = 0; j < s->hidden; j++) out[j] = plain_gradient<mode>(h[j], g[j]);
}

/* The state before step t of sample n: the initial one, or what the step before left, `row` elements apart. */
template <class T>
static const T *before(const Sweep<T> *s, ptrdiff_t t, ptrdiff_t n, const T *initial, ptrdiff_t size, const T *all,
                       ptrdiff_t row) {
    const ptrdiff_t last = s->length ? s->length[n] : s->steps;
    if (s->reverse ? t + 1 >= last : t == 0) return initial + n * size;
    return all + ((s->reverse ? t + 1 : t - 1) * s->batch + n) * row;
}

/* h before every step, (steps, batch, units); zeros for padding. */
template <class T> void states_before(const Sweep<T> *s, T *states, ptrdiff_t t) {
    for (ptrdiff_t n = 0; n < s->batch; n++) {
        T *state = states + (t * s->batch + n) * s->units;
        if (is_padding(s, t, n)) memset(state, 0, s->units * sizeof(T));
        else memcpy(state, before(s, t, n, s->h0, s->units, s->out, s->out_row), s->units * sizeof(T));
    }
}

/* o tanh(c) of every step, which the projection took, (steps, batch, hidden); zeros for padding. */
template <class T> void projected(const Sweep<T> *s, T *states, ptrdiff_t t) {
    const ptrdiff_t hidden = s->hidden;
    for (ptrdiff_t n = 0; n < s->batch; n++) {
        const ptrdiff_t row = t * s->batch + n;
        T *__restrict out = states + row * hidden;
        const T *__restrict o = s->gates + row * 4 * hidden + 3 * hidden, *__restrict c = s->extra + row * hidden;
        if (is_padding(s, t, n)) memset(out, 0, hidden * sizeof(T));
        else
#pragma omp simd
            for (ptrdiff_t j = 0; j < hidden; j++) out[j] = o[j] * mxcy::tanh(c[j]);
    }
}

/* Samples begin to end back through all steps: g_x, g_h and g_units, and h and c become the gradients of h0 and c0. */
template <class T> void backward(const Sweep<T> *s, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t hidden = s->hidden, units = s->units, wide = gate_count(s->mode) * hidden, rows = end - begin;
    for (ptrdiff_t i = s->steps - 1; i >= 0; i--) {
        const ptrdiff_t t = s->reverse ? s->steps - 1 - i : i, first = t * s->batch;
        for (ptrdiff_t n = begin; n < end; n++) {
            T *__restrict g = s->g_units + (first + n) * units;
            const T *__restrict g_out = s->g_out + (first + n) * s->out_row, *__restrict h = s->h + n * units;
            if (is_padding(s, t, n)) memset(g, 0, units * sizeof(T));
            else
#pragma omp simd
                for (ptrdiff_t j = 0; j < units; j++) g[j] = g_out[j] + h[j];
        }
        if (s->projection)
            mxcy_panels::multiply(s->wide + begin * hidden, hidden, s->g_units + (first + begin) * units, units,
                                  s->projection, rows, units, hidden);
        for (ptrdiff_t n = begin; n < end; n++) {
            T *to_x = s->g_x + (first + n) * wide, *to_h = s->g_h + (first + n) * wide;
            const T *gates = s->gates + (first + n) * wide, *extra = s->extra + (first + n) * hidden;
            const T *g = s->projection ? s->wide + n * hidden : s->g_units + (first + n) * units;
            if (is_padding(s, t, n)) {
                memset(to_x, 0, wide * sizeof(T));
                if (to_h != to_x) memset(to_h, 0, wide * sizeof(T));
            } else if (s->mode == LSTM) {
                const T *old = before(s, t, n, s->c0, hidden, s->extra, hidden);
                if (s->clip) lstm_row_back<true>(s, gates, extra, old, g, s->c + n * hidden, to_x);
                else lstm_row_back<false>(s, gates, extra, old, g, s->c + n * hidden, to_x);
            } else if (s->mode == GRU)
                gru_row_back(s, gates, extra, before(s, t, n, s->h0, units, s->out, s->out_row), g, s->h + n * units,
                             to_x, to_h);
            else if (s->mode == TANH) plain_row_back<TANH>(s, gates, g, to_x);
            else plain_row_back<RELU>(s, gates, g, to_x);
        }
        mxcy_panels::multiply(s->part + begin * units, units, s->g_h + (first + begin) * wide, wide, s->recurrent, rows, wide,
                              units);
        for (ptrdiff_t n = begin; n < end; n++) {
            T *__restrict h = s->h + n * units;
            const T *__restrict part = s->part + n * units;
            if (is_padding(s, t, n)) continue;
            if (s->mode == GRU)
#pragma omp simd
                for (ptrdiff_t j = 0; j < units; j++) h[j] += part[j];
            else memcpy(h, part, units * sizeof(T));
        }
    }
}

}  // namespace mxcy_rnn
#endif
