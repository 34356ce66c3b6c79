/* Softmax and log-softmax of one row, or of a block of columns: forward and backward.
 *
 * A row is read from memory once: the passes over it run in cache. X is the dtype of the data, in which everything is
 * computed; Y that of the output.
 */
#ifndef MXCY_OPS_SOFTMAX_H
#define MXCY_OPS_SOFTMAX_H
#include <string.h>
#include "mxcy/ops/reduce.h"
#include "mxcy/ops/vmath.h"

namespace mxcy_softmax {

enum { LANES = 64, WIDTH = 256 };

template <class X> static inline X total(X *lane) {
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++) lane[k] += lane[k + half];
    return lane[0];
}

/* out = exp(x - top). The rest of a row is padded to whole vectors: exp runs vectorised everywhere. */
template <int N, class X, class Y> static inline void exp_rest(Y *out, const X *x, Py_ssize_t n, X top) {
    X rest[N];
    for (int k = 0; k < N; k++) rest[k] = -mxcy::INF<X>;
    memcpy(rest, x, n * sizeof(X));
    for (int k = 0; k < N; k++) rest[k] = mxcy::exp_of_negative(rest[k] - top);
    for (Py_ssize_t k = 0; k < n; k++) out[k] = (Y)rest[k];
}

template <class X, class Y> static inline void exp_row(Y *out, const X *x, Py_ssize_t n, X top) {
    Py_ssize_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) out[i + k] = (Y)mxcy::exp_of_negative(x[i + k] - top);
    if (n - i > 16) exp_rest<LANES>(out + i, x + i, n - i, top);
    else if (n > i) exp_rest<16>(out + i, x + i, n - i, top);
}

/* All of a row reduced to one number by Sum or Max. */
template <class Op, class X> static inline X reduce(const X *x, Py_ssize_t n) {
    typedef mxcy_reduce::Run<Op, X> R;
    typename mxcy_reduce::Total<X>::type total = Op::template identity<typename mxcy_reduce::Total<X>::type>();
    for (Py_ssize_t i = 0; i < n; i += R::RUN) total = Op::join(total, R::run(x + i, n - i < R::RUN ? n - i : R::RUN));
    return (X)total;
}

/* The first `valid` of n elements take part, the others become 0. scratch has n elements if scale is not 1. */
template <bool LOG, class X, class Y>
void row_of(Y *out, const X *x, Py_ssize_t n, Py_ssize_t valid, X scale, X *scratch) {
    if (scale != 1) {
        for (Py_ssize_t i = 0; i < valid; i++) scratch[i] = x[i] * scale;
        x = scratch;
    }
    X top = reduce<mxcy_reduce::Max>(x, valid);
    exp_row(out, x, valid, top);
    X sum = (X)reduce<mxcy_reduce::Sum>(out, valid);
    if (LOG) {
        X log_sum = std::log(sum);
        for (Py_ssize_t i = 0; i < valid; i++) out[i] = (Y)((x[i] - top) - log_sum);
    } else {
        X factor = 1 / sum;
        for (Py_ssize_t i = 0; i < valid; i++) out[i] = (Y)(out[i] * factor);
    }
    for (Py_ssize_t i = valid; i < n; i++) out[i] = 0;
}

/* Columns: n elements that stand `stride` apart, in each of `width` <= WIDTH neighbours. MASKED: of column j only the
 * first valid[j] take part. */
template <bool LOG, bool MASKED, class X, class Y>
void columns_of(Y *out, const X *x, Py_ssize_t n, const Py_ssize_t *valid, Py_ssize_t stride, Py_ssize_t width, X scale) {
    X top[WIDTH], sum[WIDTH];
    for (Py_ssize_t j = 0; j < width; j++) top[j] = -mxcy::INF<X>, sum[j] = 0;
    for (Py_ssize_t i = 0; i < n; i++)
        for (Py_ssize_t j = 0; j < width; j++) {
            X value = x[i * stride + j] * scale;
            value = MASKED && i >= valid[j] ? -mxcy::INF<X> : value;
            top[j] = mxcy_reduce::Max::join(top[j], value);
        }
    for (Py_ssize_t i = 0; i < n; i++)
        for (Py_ssize_t j = 0; j < width; j++) {
            X e = mxcy::exp_of_negative(x[i * stride + j] * scale - top[j]);
            e = MASKED && i >= valid[j] ? 0 : e;
            if (!LOG) out[i * stride + j] = (Y)e;
            sum[j] += e;
        }
    for (Py_ssize_t j = 0; j < width; j++) sum[j] = LOG ? top[j] + std::log(sum[j]) : 1 / sum[j];
    for (Py_ssize_t i = 0; i < n; i++)
        for (Py_ssize_t j = 0; j < width; j++) {
            Y value = LOG ? (Y)(x[i * stride + j] * scale - sum[j]) : (Y)(out[i * stride + j] * sum[j]);
            out[i * stride + j] = MASKED && i >= valid[j] ? 0 : value;
        }
}

/* softmax: y (g - sum(g y)) scale; log-softmax: (g - exp(y) sum(g)) scale; over the first `valid` elements */
template <bool LOG, class X>
void row_backward_of(X *out, const X *g, const X *y, Py_ssize_t n, Py_ssize_t valid, X scale) {
    X lane[LANES] = {};
    Py_ssize_t i = 0;
    for (; i + LANES <= valid; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += LOG ? g[i + k] : g[i + k] * y[i + k];
    for (int k = 0; k < valid - i; k++) lane[k] += LOG ? g[i + k] : g[i + k] * y[i + k];
    X sum = total(lane);
    for (i = 0; i < valid; i++) out[i] = LOG ? (g[i] - mxcy::exp_of_negative(y[i]) * sum) * scale : y[i] * (g[i] - sum) * scale;
    for (; i < n; i++) out[i] = 0;
}

template <bool LOG, bool MASKED, class X>
void columns_backward_of(X *out, const X *g, const X *y, Py_ssize_t n, const Py_ssize_t *valid, Py_ssize_t stride,
                      Py_ssize_t width, X scale) {
    X sum[WIDTH] = {};
    for (Py_ssize_t i = 0; i < n; i++)
        for (Py_ssize_t j = 0; j < width; j++) {
            Py_ssize_t at = i * stride + j;
            X term = LOG ? g[at] : g[at] * y[at];
            sum[j] += MASKED && i >= valid[j] ? 0 : term;
        }
    for (Py_ssize_t i = 0; i < n; i++)
        for (Py_ssize_t j = 0; j < width; j++) {
            Py_ssize_t at = i * stride + j;
            X value = LOG ? (g[at] - mxcy::exp_of_negative(y[at]) * sum[j]) * scale : y[at] * (g[at] - sum[j]) * scale;
            out[at] = MASKED && i >= valid[j] ? 0 : value;
        }
}

/* Rows of at most SHORT elements: computed side by side as columns of a transposed copy, since a vector holds more than one. */
enum { SHORT = 16, SIDE_BY_SIDE = 64 };
template <bool LOG, class X, class Y>
void short_rows_of(Y *out, const X *x, Py_ssize_t count, Py_ssize_t n, X scale) {
    X in[SHORT * SIDE_BY_SIDE];
    Y result[SHORT * SIDE_BY_SIDE];
    for (Py_ssize_t first = 0; first < count; first += SIDE_BY_SIDE, x += SIDE_BY_SIDE * n, out += SIDE_BY_SIDE * n) {
        Py_ssize_t m = count - first < SIDE_BY_SIDE ? count - first : SIDE_BY_SIDE;
        for (Py_ssize_t r = 0; r < m; r++)
            for (Py_ssize_t k = 0; k < n; k++) in[k * SIDE_BY_SIDE + r] = x[r * n + k];
        columns_of<LOG, false, X, Y>(result, in, n, nullptr, SIDE_BY_SIDE, m, scale);
        for (Py_ssize_t r = 0; r < m; r++)
            for (Py_ssize_t k = 0; k < n; k++) out[r * n + k] = result[k * SIDE_BY_SIDE + r];
    }
}

/* The above, chosen by a flag. */
template <class X, class Y> void short_rows(bool log, Y *out, const X *x, Py_ssize_t count, Py_ssize_t n, X scale) {
    (log ? short_rows_of<true, X, Y> : short_rows_of<false, X, Y>)(out, x, count, n, scale);
}
template <class X, class Y>
void row(bool log, Y *out, const X *x, Py_ssize_t n, Py_ssize_t valid, X scale, X *scratch) {
    (log ? row_of<true, X, Y> : row_of<false, X, Y>)(out, x, n, valid, scale, scratch);
}
template <class X, class Y>
void columns(bool log, Y *out, const X *x, Py_ssize_t n, const Py_ssize_t *valid, Py_ssize_t stride, Py_ssize_t width,
             X scale) {
    auto plain = log ? columns_of<true, false, X, Y> : columns_of<false, false, X, Y>;
    auto masked = log ? columns_of<true, true, X, Y> : columns_of<false, true, X, Y>;
    (valid ? masked : plain)(out, x, n, valid, stride, width, scale);
}
template <class X>
void row_backward(bool log, X *out, const X *g, const X *y, Py_ssize_t n, Py_ssize_t valid, X scale) {
    (log ? row_backward_of<true, X> : row_backward_of<false, X>)(out, g, y, n, valid, scale);
}
template <class X>
void columns_backward(bool log, X *out, const X *g, const X *y, Py_ssize_t n, const Py_ssize_t *valid,
                      Py_ssize_t stride, Py_ssize_t width, X scale) {
    auto plain = log ? columns_backward_of<true, false, X> : columns_backward_of<false, false, X>;
    auto masked = log ? columns_backward_of<true, true, X> : columns_backward_of<false, true, X>;
    (valid ? masked : plain)(out, g, y, n, valid, stride, width, scale);
}
}
#endif
