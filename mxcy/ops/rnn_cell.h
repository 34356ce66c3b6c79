/* Recurrent cells: what a step does to one element of the state, and back. The loops of rnn.h and the kernels of GPUs
 * call these; gates come as sums of both products and both biases. MXNet's order: i f g o of the LSTM, r z n of the GRU.
 */
#ifndef MXCY_OPS_RNN_CELL_H
#define MXCY_OPS_RNN_CELL_H
#include <stddef.h>
#include "mxcy/ops/vmath.h"

namespace mxcy_rnn {

enum Mode { RELU, TANH, LSTM, GRU };

constexpr ptrdiff_t gate_count(int mode) { return mode == LSTM ? 4 : mode == GRU ? 3 : 1; }

template <class T> struct Bounds {                  /* of the LSTM's cells, where they are clipped */
    int clip_nan;
    T low, high;
};

template <class T> static inline T sigmoid(T x) { return 1 / (1 + mxcy::exp(-x)); }

/* -- LSTM: old and c are cells, h is o tanh(c) --------------------------------------------------------------------- */

template <class T> struct Lstm { T i, f, g, o, c, h; };

/* Compilers vectorise this only if clip is a constant. */
template <bool clip, class T> static inline Lstm<T> lstm(T i, T f, T g, T o, T old, const Bounds<T> &bounds) {
    i = sigmoid(i), f = sigmoid(f), g = mxcy::tanh(g), o = sigmoid(o);
    T c = f * old + i * g;
    if constexpr (clip) {
        T bounded = c < bounds.low ? bounds.low : c > bounds.high ? bounds.high : c;
        c = bounds.clip_nan && c != c ? bounds.low : bounded;
    }
    return {i, f, g, o, c, o * mxcy::tanh(c)};
}

template <class T> struct LstmGradient { T i, f, g, o, old; };

/* dh: gradient of o tanh(c); dc: of c, as far as it comes from later steps. */
template <bool clip, class T>
static inline LstmGradient<T> lstm_gradient(T i, T f, T g, T o, T c, T old, T dh, T dc, const Bounds<T> &bounds) {
    T t = mxcy::tanh(c), d = dc + dh * o * (1 - t * t);
    if constexpr (clip) d = c > bounds.low && c < bounds.high ? d : 0;
    return {d * g * i * (1 - i), d * old * f * (1 - f), d * i * (1 - g * g), dh * t * o * (1 - o), d * f};
}

/* -- GRU: n comes in two parts, of x and of h, since r scales the latter; old is the last h ------------------------ */

template <class T> struct Gru { T r, z, n, h; };

template <class T> static inline Gru<T> gru(T r, T z, T of_x, T of_h, T old) {
    r = sigmoid(r), z = sigmoid(z);
    T n = mxcy::tanh(of_x + r * of_h);
    return {r, z, n, (1 - z) * n + z * old};
}

template <class T> struct GruGradient { T r, z, of_x, of_h, old; };

template <class T> static inline GruGradient<T> gru_gradient(T r, T z, T n, T of_h, T old, T dh) {
    T d = dh * (1 - z) * (1 - n * n);
    return {d * of_h * r * (1 - r), dh * (old - n) * z * (1 - z), d, d * r, dh * z};
}

/* -- without gates ------------------------------------------------------------------------------------------------- */

template <int mode, class T> static inline T plain(T x) {
    if constexpr (mode == TANH) return mxcy::tanh(x);
    else return x > 0 ? x : 0;
}

template <int mode, class T> static inline T plain_gradient(T h, T dh) {
    if constexpr (mode == TANH) return dh * (1 - h * h);
    else return h > 0 ? dh : 0;
}

}  // namespace mxcy_rnn
#endif
