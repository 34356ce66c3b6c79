/* Batch normalisation: statistics of channels, their use, and the gradients.

   The elements of a channel lie in rows (ROWS), or the channels are the last axis. Blocks find the moments
   or the sums of shares of channels; then a warp joins those of each channel, in float64. */
#ifndef MXCY_GPU_BATCH_NORM_CUH
#define MXCY_GPU_BATCH_NORM_CUH
#include <cmath>
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/norm.h"

namespace mxcy {

using mxcy_norm::Moments;

enum After { NOTHING, RECTIFIER, SUM_AND_RECTIFIER };

struct BatchNorm {
    double eps, momentum;
    Divisor channels;
    int64_t elements;                       /* of a channel */
    int64_t fix_gamma, batch;               /* batch: statistics are those of the batch, not the moving ones */
};

struct JoinMoments {
    Moments operator()(Moments a, const Moments& b) const {
        if (b.count > 0) a.join(b.count, b.mean, b.squares);
        return a;
    }
};

/* Sums of the distances from the first element, so that a large mean costs no digits. */
template <class W> struct Distances {
    W first, sum, squares;

    void add(W x, bool begins) {
        if (begins) first = x;
        const W distance = x - first;
        sum += distance;
        squares += distance * distance;
    }
    Moments moments(int64_t count) const {
        if (count == 0) return {0, 0, 0};
        const double n = double(count), rest = double(squares) - double(sum) * double(sum) / n;
        return {n, double(first) + double(sum) / n, rest > 0 ? rest : 0};
    }
};

/* Of a gradient: its sum, and that of its products with the distances from the mean. */
struct Products {
    double sum, product;
};
struct JoinProducts {
    Products operator()(Products a, const Products& b) const { return {a.sum + b.sum, a.product + b.product}; }
};

/* parts: by channel, then by share. */
template <bool ROWS, int V, class X>
static inline void channel_moments(Moments* parts, const X* x, const Items& p) {
    typedef wide_t<X> W;
    const auto job = job_of<ROWS, V>(p);
    Distances<W> near[V] = {};
    int64_t count = 0;
    each_pack<ROWS, V, V < 8 ? 4 : 2>(p, job, is_aligned<V>(x), [&](int64_t at, bool aligned) {
        const Pack<X, V> pack = load_pack<V>(x + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) near[v].add(widen(pack.item[v]), count == 0);
        count++;
    });
    const auto get = [&](int v) { return near[v].moments(count); };
    join_packs<ROWS, V>(int(p.lanes), JoinMoments(), get, [&](int v, const Moments& moments) {
        if (job.leads) parts[(job.output + v) * p.shares.by + job.share] = moments;
    });
}

/* The shares of a channel joined by a warp, for all its threads. */
template <class A, class Join> static inline A join_shares(const A* parts, int64_t shares, A start, Join join) {
    for (int64_t share = threadIdx.x % 32; share < shares; share += 32) start = join(start, parts[share]);
    return join_lanes(start, 32, join);
}

template <class W>
static inline void statistics(W* mean, W* scale, const W* moving_mean, const W* moving_var, const Moments* parts,
                              int64_t shares, const BatchNorm& norm, int train) {
    const int64_t c = first_item() / 32;
    if (c >= norm.channels.by) return;
    const bool batch = train && norm.batch;
    const Moments moments = join_shares(parts + c * shares, batch ? shares : 0, Moments{0, 0, 0}, JoinMoments());
    if (threadIdx.x % 32) return;
    mean[c] = batch ? W(moments.mean) : moving_mean[c];
    scale[c] = W(1 / sqrt((batch ? moments.squares / moments.count : double(moving_var[c])) + norm.eps));
}

/* What a channel's elements are made by. */
template <class W> struct Affine {
    W centre, factor, shift;

    Affine() {}
    Affine(const W* gamma, const W* beta, const W* mean, const W* scale, int64_t c, bool fix_gamma)
        : centre(mean[c]), factor(fix_gamma ? scale[c] : scale[c] * gamma[c]), shift(beta[c]) {}
    W at(W distance) const { return distance * factor + shift; }       /* from the centre */
};

template <After AFTER, bool ROWS, int V, class X>
static inline void batch_normalize(X* y, const X* x, const wide_t<X>* gamma, const wide_t<X>* beta,
                                   const wide_t<X>* mean, const wide_t<X>* scale, const X* addend, const Items& p,
                                   const BatchNorm& norm) {
    typedef wide_t<X> W;
    const auto job = job_of<ROWS, V>(p);
    if (!job.mine) return;
    Affine<W> affine[ROWS ? 1 : V];
#pragma unroll
    for (int v = 0; v < (ROWS ? 1 : V); v++)
        affine[v] = Affine<W>(gamma, beta, mean, scale, ROWS ? remainder(job.output, norm.channels) : job.output + v,
                              norm.fix_gamma);
    const bool all_aligned = is_aligned<V>(x) && is_aligned<V>(y) && is_aligned<V>(addend);
    each_pack<ROWS, V>(p, job, all_aligned, [&](int64_t at, bool aligned) {
        Pack<X, V> pack = load_pack<V>(x + at, aligned), other;
        if (AFTER == SUM_AND_RECTIFIER) other = load_pack<V>(addend + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) {
            const Affine<W>& own = affine[ROWS ? 0 : v];
            W value = own.at(widen(pack.item[v]) - own.centre);
            if (AFTER == SUM_AND_RECTIFIER) value += widen(other.item[v]);
            pack.item[v] = narrow<X>(AFTER == NOTHING ? value : mxcy_norm::rectified(value));
        }
        store_pack<V>(y + at, pack, aligned);
    });
}

/* Where a rectifier follows, the gradient is that of its result; what it lets through is found from the data. */
template <After AFTER, bool ROWS, int V, class X>
static inline void channel_products(Products* parts, const X* g, const X* x, const wide_t<X>* gamma,
                                    const wide_t<X>* beta, const wide_t<X>* mean, const wide_t<X>* scale,
                                    const Items& p, const BatchNorm& norm) {
    typedef wide_t<X> W;
    const auto job = job_of<ROWS, V>(p);
    W sum[V] = {}, product[V] = {};
    Affine<W> affine[ROWS ? 1 : V];
#pragma unroll
    for (int v = 0; v < (ROWS ? 1 : V); v++) {
        if (AFTER == NOTHING) affine[v].centre = job.mine ? mean[job.output + v] : W(0);
        else if (job.mine) affine[v] = Affine<W>(gamma, beta, mean, scale, job.output + v, norm.fix_gamma);
    }
    constexpr int most = V < 8 || AFTER == NOTHING ? 4 : 2;         /* else there are not registers enough */
    each_pack<ROWS, V, most>(p, job, is_aligned<V>(g) && is_aligned<V>(x), [&](int64_t at, bool aligned) {
        const Pack<X, V> gs = load_pack<V>(g + at, aligned), xs = load_pack<V>(x + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) {
            const Affine<W>& own = affine[ROWS ? 0 : v];
            const W distance = widen(xs.item[v]) - own.centre;
            W gradient = widen(gs.item[v]);
            if (AFTER != NOTHING) gradient = mxcy_norm::through_rectifier(gradient, own.at(distance));
            sum[v] += gradient;
            product[v] += gradient * distance;
        }
    });
    const auto get = [&](int v) { return Products{double(sum[v]), double(product[v])}; };
    join_packs<ROWS, V>(int(p.lanes), JoinProducts(), get, [&](int v, const Products& products) {
        if (job.leads) parts[(job.output + v) * p.shares.by + job.share] = products;
    });
}

/* Gradients of the weights; the moving statistics; and the three factors of the gradient of the data. */
template <class W>
static inline void weight_gradients(W* dgamma, W* dbeta, W* terms, const W* gamma, const W* mean, const W* scale,
                                    W* moving_mean, W* moving_var, const Products* parts, int64_t shares,
                                    const BatchNorm& norm) {
    const int64_t c = first_item() / 32;
    if (c >= norm.channels.by) return;
    const Products total = join_shares(parts + c * shares, norm.elements ? shares : 0, Products{0, 0}, JoinProducts());
    if (threadIdx.x % 32) return;
    const double deviation = 1 / double(scale[c]), n = double(norm.elements), keep = norm.momentum;
    dgamma[c] = W(norm.fix_gamma ? 0 : total.product * double(scale[c]));
    dbeta[c] = W(total.sum);
    terms[3 * c] = norm.fix_gamma ? scale[c] : scale[c] * gamma[c];
    terms[3 * c + 1] = terms[3 * c + 2] = 0;
    if (!norm.batch || norm.elements == 0) return;
    terms[3 * c + 1] = W(total.sum / n);
    terms[3 * c + 2] = W(total.product / n * double(scale[c]) * double(scale[c]));
    moving_mean[c] = W(double(moving_mean[c]) * keep + double(mean[c]) * (1 - keep));
    moving_var[c] = W(double(moving_var[c]) * keep + (deviation * deviation - norm.eps) * (1 - keep));
}

template <After AFTER, bool ROWS, int V, class X>
static inline void data_gradient(X* out, const X* g, const X* x, const wide_t<X>* gamma, const wide_t<X>* beta,
                                 const wide_t<X>* mean, const wide_t<X>* scale, const wide_t<X>* terms, const Items& p,
                                 const BatchNorm& norm) {
    typedef wide_t<X> W;
    const auto job = job_of<ROWS, V>(p);
    if (!job.mine) return;
    W term[ROWS ? 1 : V][3];
    Affine<W> affine[ROWS ? 1 : V];
#pragma unroll
    for (int v = 0; v < (ROWS ? 1 : V); v++) {
        const int64_t c = ROWS ? remainder(job.output, norm.channels) : job.output + v;
        for (int k = 0; k < 3; k++) term[v][k] = terms[3 * c + k];
        if (AFTER == NOTHING) affine[v].centre = mean[c];
        else affine[v] = Affine<W>(gamma, beta, mean, scale, c, norm.fix_gamma);
    }
    const bool all_aligned = is_aligned<V>(g) && is_aligned<V>(x) && is_aligned<V>(out);
    constexpr int most = V < 8 || AFTER == NOTHING ? 4 : 2;
    each_pack<ROWS, V, most>(p, job, all_aligned, [&](int64_t at, bool aligned) {
        Pack<X, V> gs = load_pack<V>(g + at, aligned);
        const Pack<X, V> xs = load_pack<V>(x + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) {
            const Affine<W>& own = affine[ROWS ? 0 : v];
            const W distance = widen(xs.item[v]) - own.centre, *const t = term[ROWS ? 0 : v];
            W gradient = widen(gs.item[v]);
            if (AFTER != NOTHING) gradient = mxcy_norm::through_rectifier(gradient, own.at(distance));
            gs.item[v] = narrow<X>(t[0] * (gradient - t[1] - distance * t[2]));
        }
        store_pack<V>(out + at, gs, aligned);
    });
}

}  // namespace mxcy

#define MXCY_BATCH_NORM(AFTER, ROWS, V, X)                                                                             \
    typedef mxcy::wide_t<X> W;                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, V < 8 ? 4 : 3) moments(mxcy::Moments* parts, const X* x,         \
                                                                             const __grid_constant__ mxcy::Items p) {  \
        mxcy::channel_moments<ROWS, V>(parts, x, p);                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void statistics(W* mean, W* scale, const W* moving_mean, const W* moving_var,                \
                                          const mxcy::Moments* parts, int64_t shares, mxcy::BatchNorm norm,            \
                                          int train) {                                                                 \
        mxcy::statistics(mean, scale, moving_mean, moving_var, parts, shares, norm, train);                            \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    normalize(X* y, const X* x, const W* gamma, const W* beta, const W* mean, const W* scale, const X* addend,         \
              const __grid_constant__ mxcy::Items p, mxcy::BatchNorm norm) {                                           \
        mxcy::batch_normalize<mxcy::AFTER, ROWS, V>(y, x, gamma, beta, mean, scale, addend, p, norm);                  \
    }
#define MXCY_BATCH_NORM_BACKWARD(AFTER, ROWS, V, X)                                                                    \
    typedef mxcy::wide_t<X> W;                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, V < 8 || ROWS || mxcy::AFTER == mxcy::NOTHING ? 4 : 3)                   \
    products(mxcy::Products* parts, const X* g, const X* x, const W* gamma, const W* beta, const W* mean,              \
             const W* scale, const __grid_constant__ mxcy::Items p, mxcy::BatchNorm norm) {                            \
        mxcy::channel_products<mxcy::AFTER, ROWS, V>(parts, g, x, gamma, beta, mean, scale, p, norm);                  \
    }                                                                                                                  \
    extern "C" __global__ void weights(W* dgamma, W* dbeta, W* terms, const W* gamma, const W* mean, const W* scale,   \
                                       W* moving_mean, W* moving_var, const mxcy::Products* parts, int64_t shares,     \
                                       mxcy::BatchNorm norm) {                                                         \
        mxcy::weight_gradients(dgamma, dbeta, terms, gamma, mean, scale, moving_mean, moving_var, parts, shares,       \
                               norm);                                                                                  \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    data(X* out, const X* g, const X* x, const W* gamma, const W* beta, const W* mean, const W* scale,                 \
         const W* terms, const __grid_constant__ mxcy::Items p, mxcy::BatchNorm norm) {                                \
        mxcy::data_gradient<mxcy::AFTER, ROWS, V>(out, g, x, gamma, beta, mean, scale, terms, p, norm);                \
    }
#endif
