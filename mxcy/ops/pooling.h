// Pooling of whole planes: first over the rows of a window, along whole rows of the image, then over its columns.
// With channels last each position is a row of channels, and a window is pooled position by position.
#pragma once
#include <limits>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "mxcy/ops/pool_window.h"
#include "mxcy/ops/vector.h"

static const int32_t MXCY_NOWHERE = 0x7fffffff;                 // position of an empty window; 255 as a byte

template <class T> struct mxcy_lane;                            // an integer as wide as the number: a position
template <> struct mxcy_lane<float> { typedef int32_t type; };
template <> struct mxcy_lane<double> { typedef int64_t type; };

// Output positions [low, high) whose column k of the window lies inside the image.
static inline void mxcy_inside(const mxcy_pool& p, int64_t k, int64_t* low, int64_t* high) {
    int64_t s = p.stride[2], first = p.pad[2] - k, after = p.data[2] + p.pad[2] - k;
    *low = first <= 0 ? 0 : (first + s - 1) / s;
    *high = after <= 0 ? 0 : (after + s - 1) / s;
    if (*high > p.out[2]) *high = p.out[2];
    if (*low > *high) *low = *high;
}

// -- maxima -----------------------------------------------------------------------------------------------------------

// best = x, with the number of the row; a NaN counts as minus infinity.
template <class T, class I>
static inline void mxcy_first_row(T* __restrict best, I* __restrict row, const T* __restrict x, ptrdiff_t n, I index) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        bool number = x[i] == x[i];
        row[i] = number ? index : (I)MXCY_NOWHERE;
        best[i] = number ? x[i] : -std::numeric_limits<T>::infinity();
    }
}

// best = max(best, x), with the number of the row where it was found; a NaN is never larger.
template <class T, class I>
static inline void mxcy_max_row(T* __restrict best, I* __restrict row, const T* __restrict x, ptrdiff_t n, I index) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        bool more = (x[i] > best[i]) | ((row[i] == MXCY_NOWHERE) & (x[i] == best[i]));
        row[i] = more ? index : row[i];
        best[i] = more ? x[i] : best[i];
    }
}

// One column of the windows; of equal elements the first in row-major order wins.
template <class T, class I, int S>
static inline void mxcy_max_column(T* __restrict out, I* __restrict at, const T* __restrict best,
                                   const I* __restrict row,
                                   ptrdiff_t n, ptrdiff_t stride, I column, I width) {
    const ptrdiff_t s = S ? S : stride;
#pragma omp simd
    for (ptrdiff_t o = 0; o < n; o++) {
        T v = best[o * s];
        I position = row[o * s] == MXCY_NOWHERE ? MXCY_NOWHERE : row[o * s] * width + column;
        bool more = (v > out[o]) | ((v == out[o]) & (position < at[o]));
        at[o] = more ? position : at[o];
        out[o] = more ? v : out[o];
    }
}

template <class T, class I>
static inline void mxcy_clear(T* value, I* at, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) value[i] = -std::numeric_limits<T>::infinity(), at[i] = MXCY_NOWHERE;
}

// How many rows of the output are pooled at a time: several, where windows stand side by side and fill the width, as then
// the columns of one row follow those of the row before.
enum { MXCY_POOL_AHEAD = 512 };                                 // elements of a row of the image, at most, or one row
static inline int64_t mxcy_rows_together(const mxcy_pool& p) {
    bool tiled = p.pad[2] == 0 && p.kernel[2] <= p.stride[2] && p.data[2] == p.out[2] * p.stride[2];
    return tiled && p.data[2] <= MXCY_POOL_AHEAD ? MXCY_POOL_AHEAD / p.data[2] : 1;
}

template <class T, class U>
static void mxcy_max_planes(const mxcy_pool* pool, const T* x, T* y, U* where, ptrdiff_t planes, char* scratch) {
    typedef typename mxcy_lane<T>::type I;
    const mxcy_pool& p = *pool;
    const int64_t H = p.data[1], W = p.data[2], KH = p.kernel[1], KW = p.kernel[2], together = mxcy_rows_together(p);
    T* best = (T*)scratch;
    I *row = (I*)(best + together * W), *at = row + together * W;
    for (ptrdiff_t plane = 0; plane < planes; plane++, x += mxcy_volume(p.data))
        for (int64_t z = 0; z < p.out[0]; z++)
            for (int64_t oy = 0; oy < p.out[1]; oy += together) {
                const int64_t rows = p.out[1] - oy < together ? p.out[1] - oy : together, n = rows * p.out[2];
                for (int64_t r = 0; r < rows; r++) {
                    mxcy_span deep(p, 0, z), tall(p, 1, oy + r);
                    bool first = true;
                    for (int64_t d = deep.low; d < deep.high; d++)
                        for (int64_t h = tall.low; h < tall.high; h++, first = false)
                            (first ? mxcy_first_row<T, I> : mxcy_max_row<T, I>)(
                                best + r * W, row + r * W, x + (d * H + h) * W, W, (d - deep.start) * KH + h - tall.start);
                    if (first) mxcy_clear(best + r * W, row + r * W, W);
                }
                mxcy_clear(y, at, n);
                for (int64_t k = 0; k < KW; k++) {
                    int64_t low, high, from;
                    mxcy_inside(p, k, &low, &high);
                    from = low * p.stride[2] - p.pad[2] + k;
                    if (rows > 1) high = n;
                    if (p.stride[2] == 1)
                        mxcy_max_column<T, I, 1>(y + low, at + low, best + from, row + from, high - low, 1, k, KW);
                    else if (p.stride[2] == 2)
                        mxcy_max_column<T, I, 2>(y + low, at + low, best + from, row + from, high - low, 2, k, KW);
                    else
                        mxcy_max_column<T, I, 0>(y + low, at + low, best + from, row + from, high - low, p.stride[2], k,
                                                 KW);
                }
                for (int64_t o = 0; o < n; o++) where[o] = (U)at[o];
                y += n, where += n;
            }
}

// The maxima of one window over a vector of channels, and where they are, in registers from tap to tap.
template <class T, class I, class U>
static inline void mxcy_max_lanes(T* y, U* where, const T* x, const int64_t* offset, const I* tap, int64_t taps) {
    typedef T V __attribute__((vector_size(MXCY_VECTOR_BYTES)));
    typedef I P __attribute__((vector_size(MXCY_VECTOR_BYTES)));
    V best = V{} - std::numeric_limits<T>::infinity(), row;
    P at = P{} + (I)MXCY_NOWHERE;
    for (int64_t k = 0; k < taps; k++) {
        memcpy(&row, x + offset[k], sizeof row);
        P more = (row > best) | ((at == (I)MXCY_NOWHERE) & (row == best));
        at = more ? P{} + tap[k] : at;
        best = more ? row : best;
    }
    memcpy(y, &best, sizeof best);
    for (int j = 0; j < (int)(MXCY_VECTOR_BYTES / sizeof(T)); j++) where[j] = (U)at[j];
}

// One window of all channels; its elements in the image are those at `offset`.
template <class T, class I, class U>
static inline void mxcy_max_window(T* y, U* where, const T* x, int64_t C, const int64_t* offset, const I* tap,
                                   int64_t taps, I* at) {
    enum { L = MXCY_VECTOR_BYTES / sizeof(T) };
    if (C >= L) {                                               // the last vector overlaps the one before
        for (int64_t c = 0; c < C; c += L) {
            int64_t first = c + L <= C ? c : C - L;
            mxcy_max_lanes(y + first, where + first, x + first, offset, tap, taps);
        }
        return;
    }
    mxcy_clear(y, at, C);
    for (int64_t k = 0; k < taps; k++) mxcy_max_row<T, I>(y, at, x + offset[k], C, tap[k]);
    for (int64_t c = 0; c < C; c++) where[c] = (U)at[c];
}

// The elements of a window that lie in the image: how far from its corner, and their positions in it; how many.
template <class I>
static inline int64_t mxcy_taps(const mxcy_pool& p, const mxcy_span& deep, const mxcy_span& tall, const mxcy_span& wide,
                                int64_t* offset, I* tap) {
    int64_t n = 0;
    for (int64_t d = deep.low - deep.start; d < deep.high - deep.start; d++)
        for (int64_t h = tall.low - tall.start; h < tall.high - tall.start; h++)
            for (int64_t w = wide.low - wide.start; w < wide.high - wide.start; w++, n++) {
                offset[n] = ((d * p.data[1] + h) * p.data[2] + w) * p.channels;
                tap[n] = (d * p.kernel[1] + h) * p.kernel[2] + w;
            }
    return n;
}

template <class T, class U>
static void mxcy_max_last(const mxcy_pool* pool, const T* x, T* y, U* where, ptrdiff_t images, char* scratch) {
    typedef typename mxcy_lane<T>::type I;
    const mxcy_pool& p = *pool;
    const int64_t C = p.channels, volume = mxcy_volume(p.kernel);
    int64_t *offset = (int64_t*)scratch, n = 0;
    I *tap = (I*)(offset + volume), *at = tap + volume;
    for (ptrdiff_t image = 0; image < images; image++, x += mxcy_volume(p.data) * C)
        for (int64_t z = 0; z < p.out[0]; z++)
            for (int64_t oy = 0; oy < p.out[1]; oy++)
                for (int64_t ox = 0; ox < p.out[2]; ox++, y += C, where += C) {
                    mxcy_span deep(p, 0, z), tall(p, 1, oy), wide(p, 2, ox);
                    if (n != volume || deep.size() * tall.size() * wide.size() != volume)       // else as the last one
                        n = mxcy_taps(p, deep, tall, wide, offset, tap);
                    const T* corner = x + ((deep.start * p.data[1] + tall.start) * p.data[2] + wide.start) * C;
                    mxcy_max_window(y, where, corner, C, offset, tap, n, at);
                }
}

// Calls visit(i, j): element i of the output has its maximum at element j of the data.
template <class U, class F>
static inline void mxcy_visit_maxima(const mxcy_pool& p, const U* where, ptrdiff_t planes, int64_t* offset, F visit) {
    const int64_t C = p.channels, volume = mxcy_volume(p.kernel), KH = p.kernel[1], KW = p.kernel[2];
    for (int64_t k = 0; k < volume; k++)
        offset[k] = ((k / (KH * KW) * p.data[1] + k / KW % KH) * p.data[2] + k % KW) * C;
    ptrdiff_t i = 0;
    for (ptrdiff_t plane = 0; plane < planes; plane++)
        for (int64_t z = 0; z < p.out[0]; z++)
            for (int64_t y = 0; y < p.out[1]; y++) {
                int64_t first = (plane * p.data[0] + z * p.stride[0] - p.pad[0]) * p.data[1];
                int64_t start = (first + y * p.stride[1] - p.pad[1]) * p.data[2] - p.pad[2];
                for (int64_t x = 0; x < p.out[2]; x++, start += p.stride[2])
                    for (int64_t c = 0; c < C; c++, i++)
                        if ((int64_t)where[i] < volume) visit(i, start * C + c + offset[where[i]]);
            }
}

template <class T, class U>
static void mxcy_max_scatter(const mxcy_pool* p, const T* g, const U* where, T* out, ptrdiff_t planes, char* scratch) {
    memset(out, 0, planes * mxcy_volume(p->data) * p->channels * sizeof(T));
    mxcy_visit_maxima(*p, where, planes, (int64_t*)scratch, [=](ptrdiff_t i, ptrdiff_t j) { out[j] += g[i]; });
}

template <class T, class U>
static void mxcy_max_gather(const mxcy_pool* p, const T* x, const U* where, T* out, ptrdiff_t planes, char* scratch) {
    memset(out, 0, planes * mxcy_volume(p->out) * p->channels * sizeof(T));
    mxcy_visit_maxima(*p, where, planes, (int64_t*)scratch, [=](ptrdiff_t i, ptrdiff_t j) { out[i] = x[j]; });
}

// -- sums -------------------------------------------------------------------------------------------------------------

// total += x ** power
template <class T>
static inline void mxcy_add_row(T* __restrict total, const T* __restrict x, ptrdiff_t n, int64_t power) {
    if (power == 1) {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) total[i] += x[i];
    } else {
#pragma omp simd
        for (ptrdiff_t i = 0; i < n; i++) total[i] += x[i] * x[i] * (power == 3 ? x[i] : 1);
    }
}

template <class T, int S>
static inline void mxcy_add_column(T* __restrict out, const T* __restrict x, ptrdiff_t n, ptrdiff_t stride) {
    const ptrdiff_t s = S ? S : stride;
#pragma omp simd
    for (ptrdiff_t o = 0; o < n; o++) out[o] += x[o * s];
}

template <class T, int S>
static inline void mxcy_spread_column(T* __restrict out, const T* __restrict g, ptrdiff_t n, ptrdiff_t stride) {
    const ptrdiff_t s = S ? S : stride;
#pragma omp simd
    for (ptrdiff_t o = 0; o < n; o++) out[o * s] += g[o];
}

template <int POWER, class X>
static inline X mxcy_power(X x) { return POWER == 1 ? x : POWER == 2 ? x * x : x * x * x; }

// The sum of n powers, in partial sums: more exact than one, and the same for any number of threads.
template <class T, int POWER>
static inline T mxcy_power_sum(const T* x, ptrdiff_t n) {
    typedef T V __attribute__((vector_size(MXCY_VECTOR_BYTES)));
    typedef T Q __attribute__((vector_size(16)));
    enum { L = MXCY_VECTOR_BYTES / sizeof(T), K = 16 / sizeof(T) };
    V a = {}, b = {}, u, v;
    Q total = {}, q;
    ptrdiff_t i = 0;
    for (; i + 2 * L <= n; i += 2 * L) {
        memcpy(&u, x + i, sizeof u), memcpy(&v, x + i + L, sizeof v);
        a += mxcy_power<POWER>(u), b += mxcy_power<POWER>(v);
    }
    a += b;
    for (int j = 0; j < L; j += K) memcpy(&q, (const T*)&a + j, sizeof q), total += q;
    for (; i + K <= n; i += K) memcpy(&q, x + i, sizeof q), total += mxcy_power<POWER>(q);
    T sum = 0;
    for (int j = 0; j < K; j++) sum += total[j];
    for (; i < n; i++) sum += mxcy_power<POWER>(x[i]);
    return sum;
}

template <class T>
static inline T mxcy_plane_sum(const T* x, ptrdiff_t n, int64_t power) {
    if (power == 1) return mxcy_power_sum<T, 1>(x, n);
    return power == 2 ? mxcy_power_sum<T, 2>(x, n) : mxcy_power_sum<T, 3>(x, n);
}

template <class T>
static inline void mxcy_row_weights(const mxcy_pool& p, T* weights) {
    for (int64_t o = 0; o < p.out[2]; o++) weights[o] = mxcy_weight(p, mxcy_span(p, 2, o));
}

template <class T>
static void mxcy_sum_planes(const mxcy_pool* pool, const T* x, T* y, ptrdiff_t planes, char* scratch) {
    const mxcy_pool& p = *pool;
    const int64_t H = p.data[1], W = p.data[2];
    T *total = (T*)scratch, *weights = total + W;
    mxcy_row_weights(p, weights);
    for (ptrdiff_t plane = 0; plane < planes; plane++, x += mxcy_volume(p.data)) {
        if (p.whole) {
            T sum = mxcy_plane_sum(x, mxcy_volume(p.data), p.power);
            *y++ = p.kind == MXCY_POOL_AVG ? sum / mxcy_volume(p.data) : sum;
            continue;
        }
        for (int64_t z = 0; z < p.out[0]; z++)
            for (int64_t oy = 0; oy < p.out[1]; oy++, y += p.out[2]) {
                mxcy_span deep(p, 0, z), tall(p, 1, oy);
                memset(total, 0, W * sizeof(T));
                for (int64_t d = deep.low; d < deep.high; d++)
                    for (int64_t h = tall.low; h < tall.high; h++) mxcy_add_row(total, x + (d * H + h) * W, W, p.power);
                memset(y, 0, p.out[2] * sizeof(T));
                for (int64_t k = 0; k < p.kernel[2]; k++) {
                    int64_t low, high;
                    mxcy_inside(p, k, &low, &high);
                    const T* from = total + low * p.stride[2] - p.pad[2] + k;
                    if (p.stride[2] == 1) mxcy_add_column<T, 1>(y + low, from, high - low, 1);
                    else if (p.stride[2] == 2) mxcy_add_column<T, 2>(y + low, from, high - low, 2);
                    else mxcy_add_column<T, 0>(y + low, from, high - low, p.stride[2]);
                }
                const T rows = mxcy_weight(p, deep) * mxcy_weight(p, tall);
                if (p.kind == MXCY_POOL_AVG)
                    for (int64_t o = 0; o < p.out[2]; o++) y[o] /= rows * weights[o];
            }
    }
}

template <class T>
static void mxcy_sum_last(const mxcy_pool* pool, const T* x, T* y, ptrdiff_t images, char*) {
    const mxcy_pool& p = *pool;
    const int64_t C = p.channels, H = p.data[1], W = p.data[2];
    for (ptrdiff_t image = 0; image < images; image++, x += mxcy_volume(p.data) * C)
        for (int64_t o = 0; o < mxcy_volume(p.out); o++, y += C) {
            mxcy_span deep(p, 0, o / (p.out[1] * p.out[2])), tall(p, 1, o / p.out[2] % p.out[1]);
            mxcy_span wide(p, 2, o % p.out[2]);
            memset(y, 0, C * sizeof(T));
            for (int64_t d = deep.low; d < deep.high; d++)
                for (int64_t h = tall.low; h < tall.high; h++)
                    for (int64_t w = wide.low; w < wide.high; w++)
                        mxcy_add_row(y, x + ((d * H + h) * W + w) * C, C, p.power);
            const T weight = mxcy_weight(p, deep) * mxcy_weight(p, tall) * mxcy_weight(p, wide);
            for (int64_t c = 0; c < C; c++) y[c] /= weight;
        }
}

template <class T>
static void mxcy_spread_planes(const mxcy_pool* pool, const T* g, T* out, ptrdiff_t planes, char* scratch) {
    const mxcy_pool& p = *pool;
    const int64_t H = p.data[1], W = p.data[2], size = mxcy_volume(p.data);
    T *row = (T*)scratch, *share = row + W, *weights = share + p.out[2];
    mxcy_row_weights(p, weights);
    for (ptrdiff_t plane = 0; plane < planes; plane++, out += size) {
        if (p.whole) {
            const T each = p.kind == MXCY_POOL_AVG ? *g / size : *g;
            g++;
            for (int64_t i = 0; i < size; i++) out[i] = each;
            continue;
        }
        memset(out, 0, size * sizeof(T));
        for (int64_t z = 0; z < p.out[0]; z++)
            for (int64_t oy = 0; oy < p.out[1]; oy++, g += p.out[2]) {
                mxcy_span deep(p, 0, z), tall(p, 1, oy);
                const T rows = mxcy_weight(p, deep) * mxcy_weight(p, tall);
                for (int64_t o = 0; o < p.out[2]; o++) share[o] = g[o] / (rows * weights[o]);
                memset(row, 0, W * sizeof(T));
                for (int64_t k = 0; k < p.kernel[2]; k++) {
                    int64_t low, high;
                    mxcy_inside(p, k, &low, &high);
                    T* to = row + low * p.stride[2] - p.pad[2] + k;
                    if (p.stride[2] == 1) mxcy_spread_column<T, 1>(to, share + low, high - low, 1);
                    else if (p.stride[2] == 2) mxcy_spread_column<T, 2>(to, share + low, high - low, 2);
                    else mxcy_spread_column<T, 0>(to, share + low, high - low, p.stride[2]);
                }
                for (int64_t d = deep.low; d < deep.high; d++)
                    for (int64_t h = tall.low; h < tall.high; h++) mxcy_add_row(out + (d * H + h) * W, row, W, 1);
            }
    }
}

template <class T>
static void mxcy_spread_last(const mxcy_pool* pool, const T* g, T* out, ptrdiff_t images, char* scratch) {
    const mxcy_pool& p = *pool;
    const int64_t C = p.channels, H = p.data[1], W = p.data[2];
    T* share = (T*)scratch;
    memset(out, 0, images * mxcy_volume(p.data) * C * sizeof(T));
    for (ptrdiff_t image = 0; image < images; image++, out += mxcy_volume(p.data) * C)
        for (int64_t o = 0; o < mxcy_volume(p.out); o++, g += C) {
            mxcy_span deep(p, 0, o / (p.out[1] * p.out[2])), tall(p, 1, o / p.out[2] % p.out[1]);
            mxcy_span wide(p, 2, o % p.out[2]);
            const T weight = mxcy_weight(p, deep) * mxcy_weight(p, tall) * mxcy_weight(p, wide);
            for (int64_t c = 0; c < C; c++) share[c] = g[c] / weight;
            for (int64_t d = deep.low; d < deep.high; d++)
                for (int64_t h = tall.low; h < tall.high; h++)
                    for (int64_t w = wide.low; w < wide.high; w++)
                        mxcy_add_row(out + ((d * H + h) * W + w) * C, share, C, 1);
        }
}
