/* argmax and argmin: the first of equal elements; a NaN counts as the most extreme. */
#ifndef MXCY_GPU_ARGMAX_CUH
#define MXCY_GPU_ARGMAX_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/reduce.h"

namespace mxcy {

/* An element and where it was; at is negative where there is none. */
template <class W> struct Place {
    W value;
    int64_t at;
};

/* Of two candidates the better one, or the earlier one of equals. */
template <class Op> struct Better {
    template <class W> Place<W> operator()(Place<W> a, Place<W> b) const {
        if (a.at < 0 || b.at < 0) return a.at < 0 ? b : a;
        const W best = Op::join(a.value, b.value);
        const bool a_best = same(best, a.value), b_best = same(best, b.value);
        return a_best && b_best ? (a.at < b.at ? a : b) : a_best ? a : b;
    }
    template <class W> static bool same(W x, W y) { return x == y || (x != x && y != y); }
};

/* The best of each share of a row or of columns. */
template <class Op, bool ROWS, int V, class T, class Out>
static inline void best(Out* out, Place<wide_t<T>>* parts, const T* x, const Items& p) {
    typedef wide_t<T> W;
    const auto job = job_of<ROWS, V>(p);
    Place<W> mine[V];
#pragma unroll
    for (int v = 0; v < V; v++) mine[v] = {W(0), -1};
    const int lanes = int(p.lanes), step = ROWS ? lanes : groups_of(THREADS, lanes);
    int64_t next = job.first + (ROWS ? lane_of(lanes) : group_of(lanes));
    each_pack<ROWS, V>(p, job, is_aligned<V>(x), [&](int64_t at, bool aligned) {
        const Pack<T, V> pack = load_pack<V>(x + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) {
            const W value = widen(pack.item[v]);
            if (mine[v].at < 0 || !Better<Op>::same(Op::join(mine[v].value, value), mine[v].value))
                mine[v] = {value, ROWS ? next * V + v : next};
        }
        next += step;
    });
    const int64_t size = p.outputs * (ROWS ? 1 : p.length.by * V);
    join_packs<ROWS, V>(lanes, Better<Op>(), [&](int v) { return mine[v]; }, [&](int v, const Place<W>& place) {
        if (!job.leads) return;
        if (parts) parts[job.share * size + job.output + v] = place;
        else out[job.output + v] = narrow<Out>(wide_t<Out>(place.at));
    });
}

template <class Op, class W, class Out>
static inline void best_of_shares(Out* out, const Place<W>* parts, int64_t outputs, int64_t shares, int64_t lanes) {
    const int64_t output = int64_t(blockIdx.x) * groups_of(THREADS, int(lanes)) + group_of(int(lanes));
    Place<W> mine = {W(0), -1};
    if (output < outputs)
#pragma unroll 1
        for (int64_t share = lane_of(int(lanes)); share < shares; share += lanes)
            mine = Better<Op>()(mine, parts[share * outputs + output]);
    mine = join_lanes(mine, int(lanes), Better<Op>());
    if (output < outputs && lane_of(int(lanes)) == 0) out[output] = narrow<Out>(wide_t<Out>(mine.at));
}

}  // namespace mxcy

#define MXCY_ARGMAX(Op, ROWS, V, T, Out)                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    best(Out* out, mxcy::Place<mxcy::wide_t<T>>* parts, const T* x, const __grid_constant__ mxcy::Items p) {           \
        mxcy::best<mxcy_reduce::Op, ROWS, V>(out, parts, x, p);                                                        \
    }
#define MXCY_ARGMAX_OF_SHARES(Op, T, Out)                                                                              \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    best_of_shares(Out* out, const mxcy::Place<mxcy::wide_t<T>>* parts, int64_t outputs, int64_t shares,               \
                   int64_t lanes) {                                                                                    \
        mxcy::best_of_shares<mxcy_reduce::Op>(out, parts, outputs, shares, lanes);                                     \
    }
#endif
