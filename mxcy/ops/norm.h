// Normalisation: means, variances and their gradients over contiguous runs and over columns.
//
// float32 is summed by four vectors of accumulators over runs of at most 2048 elements, and the runs in float64; variances are
// summed about the mean of their run and joined exactly. So errors do not grow with the size, nor with the mean.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "mxcy/ops/vector.h"

namespace mxcy_norm {

enum { RUN = 2048, WIDTH = 64, DEPTH = 128 };           // elements of a run; columns taken at once; rows of their runs

struct Moments {
    double count, mean, squares;                        // squares: of the distances from the mean
    void join(double n, double m, double q) {
        double delta = m - mean, all = count + n;
        mean += delta * n / all;
        squares += q + delta * delta * count * n / all;
        count = all;
    }
};

// A rectifier, and the gradient behind one that put out y.
template <class T> static inline T rectified(T x) { return x <= 0 ? T(0) : x; }
template <class T> static inline T through_rectifier(T g, T y) { return y > 0 ? g : y * 0; }

#ifndef __CUDACC__
template <class T> struct Wide {
    typedef T V __attribute__((vector_size(MXCY_VECTOR_BYTES)));
    enum { LANES = MXCY_VECTOR_BYTES / sizeof(T) };
};

template <class T> static inline typename Wide<T>::V load(const T* x) {
    typename Wide<T>::V v;
    memcpy(&v, x, sizeof v);
    return v;
}

// The sum of map(a, b, c) over a run of elements.
template <class T, class Map>
static inline double run_sum(const T* a, const T* b, const T* c, ptrdiff_t n, Map map) {
    typedef typename Wide<T>::V V;
    enum { L = Wide<T>::LANES };
    V s0 = {}, s1 = {}, s2 = {}, s3 = {};
    ptrdiff_t i = 0;
    for (; i + 4 * L <= n; i += 4 * L) {
        s0 += map(load(a + i), load(b + i), load(c + i));
        s1 += map(load(a + i + L), load(b + i + L), load(c + i + L));
        s2 += map(load(a + i + 2 * L), load(b + i + 2 * L), load(c + i + 2 * L));
        s3 += map(load(a + i + 3 * L), load(b + i + 3 * L), load(c + i + 3 * L));
    }
    for (; i + L <= n; i += L) s0 += map(load(a + i), load(b + i), load(c + i));
    s0 = (s0 + s1) + (s2 + s3);
    T total = 0;
    for (int j = 0; j < L; j++) total += s0[j];
    for (; i < n; i++) total += map(a[i], b[i], c[i]);
    return total;
}

template <class T, class Map>
static inline double sum(const T* a, const T* b, const T* c, ptrdiff_t n, Map map) {
    double total = 0;
    for (ptrdiff_t i = 0; i < n; i += RUN) total += run_sum(a + i, b + i, c + i, n - i < RUN ? n - i : RUN, map);
    return total;
}

template <class T> static inline void add_moments(Moments* moments, const T* x, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i += RUN) {
        ptrdiff_t m = n - i < RUN ? n - i : RUN;
        const T* run = x + i;
        T mean = run_sum(run, run, run, m, [](auto v, auto, auto) { return v; }) / m;
        moments->join(m, mean, run_sum(run, run, run, m, [=](auto v, auto, auto) { return (v - mean) * (v - mean); }));
    }
}

template <class T>
static inline void normalize(T* __restrict y, const T* __restrict x, ptrdiff_t n, T mean, T scale, T shift) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale + shift;
}

// -- batch normalisation, channels before other axes: one channel ---------------------------------------------------

template <class T> static Moments channel_moments(const T* x, ptrdiff_t batch, ptrdiff_t step, ptrdiff_t n) {
    Moments moments = {0, 0, 0};
    for (ptrdiff_t b = 0; b < batch; b++) add_moments(&moments, x + b * step, n);
    return moments;
}

template <class T>
static void channel_normalize(T* y, const T* x, ptrdiff_t batch, ptrdiff_t step, ptrdiff_t n, T mean,
                              T scale, T shift) {
    for (ptrdiff_t b = 0; b < batch; b++) normalize(y + b * step, x + b * step, n, mean, scale, shift);
}

// Sums of g, and of g times the distance from the mean.
template <class T>
static void channel_sums(const T* g, const T* x, ptrdiff_t batch, ptrdiff_t step, ptrdiff_t n, T mean,
                         double* sums) {
    sums[0] = sums[1] = 0;
    for (ptrdiff_t b = 0; b < batch; b++)
        for (ptrdiff_t i = 0; i < n; i += RUN) {        // both from the first-level cache
            ptrdiff_t m = n - i < RUN ? n - i : RUN;
            const T *gr = g + b * step + i, *xr = x + b * step + i;
            sums[0] += run_sum(gr, gr, gr, m, [](auto u, auto, auto) { return u; });
            sums[1] += run_sum(gr, xr, xr, m, [=](auto u, auto v, auto) { return u * (v - mean); });
        }
}

// out = scale * (g - a - (x - mean) * b)
template <class T>
static inline void centre(T* __restrict out, const T* __restrict g, const T* __restrict x, ptrdiff_t n,
                          T mean, T scale, T a, T b) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) out[i] = scale * (g[i] - a - (x[i] - mean) * b);
}

template <class T>
static void channel_centre(T* out, const T* g, const T* x, ptrdiff_t batch, ptrdiff_t step, ptrdiff_t n,
                           T mean, T scale, T a, T b) {
    for (ptrdiff_t i = 0; i < batch; i++) centre(out + i * step, g + i * step, x + i * step, n, mean, scale, a, b);
}

// -- columns: up to WIDTH neighbouring ones of a matrix with `step` elements from row to row ------------------------

template <class T>
static void column_moments(const T* x, ptrdiff_t rows, ptrdiff_t step, int width, double* mean,
                           double* squares) {
    for (int j = 0; j < width; j++) mean[j] = squares[j] = 0;
    for (ptrdiff_t r = 0; r < rows; r += DEPTH) {
        ptrdiff_t m = rows - r < DEPTH ? rows - r : DEPTH;
        T total[WIDTH] = {0}, square[WIDTH] = {0};
        for (ptrdiff_t i = r; i < r + m; i++)
            for (int j = 0; j < width; j++) total[j] += x[i * step + j];
        for (int j = 0; j < width; j++) total[j] /= m;
        for (ptrdiff_t i = r; i < r + m; i++)
            for (int j = 0; j < width; j++) square[j] += (x[i * step + j] - total[j]) * (x[i * step + j] - total[j]);
        for (int j = 0; j < width; j++) {
            Moments moments = {(double)r, mean[j], squares[j]};
            moments.join(m, total[j], square[j]);
            mean[j] = moments.mean, squares[j] = moments.squares;
        }
    }
}

// Sums down each column of w * g and of w * g times the distance from the mean; weight may be NULL, else one per row.
template <class T>
static void column_sums(const T* g, const T* x, const T* weight, ptrdiff_t rows, ptrdiff_t step, int width,
                        const T* mean, double* sums, double* products) {
    for (int j = 0; j < width; j++) sums[j] = products[j] = 0;
    for (ptrdiff_t r = 0; r < rows; r += DEPTH) {
        T total[WIDTH] = {0}, product[WIDTH] = {0};
        for (ptrdiff_t i = r; i < rows && i < r + DEPTH; i++) {
            const T w = weight ? weight[i] : 1;
            for (int j = 0; j < width; j++) {
                T u = w * g[i * step + j];
                total[j] += u;
                product[j] += u * (x[i * step + j] - mean[j]);
            }
        }
        for (int j = 0; j < width; j++) sums[j] += total[j], products[j] += product[j];
    }
}

// -- rows with a weight and a bias for each element -----------------------------------------------------------------

template <class T>
static inline void affine(T* __restrict y, const T* __restrict x, const T* __restrict gamma,
                          const T* __restrict beta, ptrdiff_t n, T mean, T scale) {
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
}

template <class T>
static inline void row_gradient(T* __restrict out, T* __restrict dgamma, T* __restrict dbeta,
                                const T* __restrict g, const T* __restrict x, const T* __restrict gamma,
                                ptrdiff_t n, T mean, T scale) {
    const T a = sum(g, gamma, x, n, [](auto u, auto w, auto) { return u * w; }) / n;
    const T b = sum(g, gamma, x, n, [=](auto u, auto w, auto v) { return u * w * (v - mean); }) / n * scale * scale;
#pragma omp simd
    for (ptrdiff_t i = 0; i < n; i++) {
        T distance = x[i] - mean;
        out[i] = scale * (g[i] * gamma[i] - a - distance * b);
        dgamma[i] += g[i] * distance * scale;
        dbeta[i] += g[i];
    }
}
#endif

}  // namespace mxcy_norm
