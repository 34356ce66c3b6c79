/* Reductions over any axes, with the operations of mxcy/ops/reduce.h.

   MXCY_REDUCE(by, Op, Last, T, Out, V): by `rows` or by `columns`, V elements at once; if the results are shared, the
   kernel of MXCY_JOIN_SHARES makes them of the shares' totals. A thread joins at most RUN items in the narrower type of
   the operation's lanes. */
#ifndef MXCY_GPU_REDUCE_CUH
#define MXCY_GPU_REDUCE_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/reduce.h"

namespace mxcy {

enum { RUN = 256, TURNS = 4 };             /* TURNS: loads of a thread that are under way at once */

template <class T> using total_t = typename mxcy_reduce::Total<wide_t<T>>::type;

/* One thread's totals of V columns. */
template <class Op, class T, int V> struct Lanes {
    typedef typename Op::template Lane<wide_t<T>>::type L;
    typedef total_t<T> A;
    L lane[V];
    A total[V];

    Lanes() {
#pragma unroll
        for (int v = 0; v < V; v++) lane[v] = Op::template identity<L>(), total[v] = Op::template identity<A>();
    }
    void add(const Pack<T, V>& pack) {
#pragma unroll
        for (int v = 0; v < V; v++) lane[v] = Op::join(lane[v], Op::map(L(widen(pack.item[v]))));
    }
    void flush() {
#pragma unroll
        for (int v = 0; v < V; v++) total[v] = Op::join(total[v], A(lane[v])), lane[v] = Op::template identity<L>();
    }
};

template <class Op, class Last, class T, class Out>
static inline void put(Out* out, total_t<T>* parts, int64_t at, total_t<T> total, int64_t count) {
    if (parts) parts[at] = total;
    else out[at] = narrow<Out>(wide_t<Out>(Last::finish(total, count)));
}

template <class Op, class Last, class T, class Out, int V>
static inline void reduce_rows(Out* out, total_t<T>* parts, const T* x, const Items& p, int64_t count) {
    typedef total_t<T> A;
    const RowJob job(p);
    Lanes<Op, T, V> lanes;
    by_alignment(is_aligned<V>(x), [&](auto aligned) {
        for (int64_t first = job.first, step = RUN * p.lanes; first < job.last; first += step) {
            const int64_t last = first + step < job.last ? first + step : job.last;
            each_item<V, aligned ? TURNS : 1>(p, job.base, first, last,
                                              [&](int64_t at) { lanes.add(load_pack<V>(x + at, aligned)); });
            lanes.flush();
        }
    });
    A total = lanes.total[0];
#pragma unroll
    for (int v = 1; v < V; v++) total = Op::join(total, lanes.total[v]);
    total = join_lanes(total, int(p.lanes), [](A a, A b) { return Op::join(a, b); });
    if (job.leads) put<Op, Last, T>(out, parts, job.share * p.outputs + job.output, total, count);
}

template <class Op, class Last, class T, class Out, int V>
static inline void reduce_columns(Out* out, total_t<T>* parts, const T* x, const Items& p, int64_t count) {
    typedef total_t<T> A;
    const ColumnJob job = ColumnJob::of<V>(p);
    Lanes<Op, T, V> lanes;
    by_alignment(is_aligned<V>(x), [&](auto aligned) {
        const int64_t step = RUN * groups_of(THREADS, int(p.lanes));
        for (int64_t first = job.first; first < job.last; first += step) {
            const int64_t last = first + step < job.last ? first + step : job.last;
            each_row<aligned ? TURNS : 1>(p, job.base, first, last,
                                          [&](int64_t at) { lanes.add(load_pack<V>(x + at, aligned)); });
            lanes.flush();
        }
    });
    join_tall<V, THREADS>(lanes.total, int(p.lanes), [](A a, A b) { return Op::join(a, b); });
    const int64_t size = p.outputs * p.length.by * V;
    if (job.leads)
#pragma unroll
        for (int v = 0; v < V; v++)
            put<Op, Last, T>(out, parts, job.share * size + job.output + v, lanes.total[v], count);
}

template <class Op, class Last, class T, class Out>
static inline void join_shares(Out* out, const total_t<T>* parts, int64_t outputs, int64_t shares, int64_t lanes,
                               int64_t count) {
    typedef total_t<T> A;
    const int64_t output = int64_t(blockIdx.x) * groups_of(THREADS, int(lanes)) + group_of(int(lanes));
    A total = Op::template identity<A>();
    if (output < outputs)
#pragma unroll 1
        for (int64_t share = lane_of(int(lanes)); share < shares; share += lanes)
            total = Op::join(total, parts[share * outputs + output]);
    total = join_lanes(total, int(lanes), [](A a, A b) { return Op::join(a, b); });
    if (output < outputs && lane_of(int(lanes)) == 0)
        put<Op, Last, T>(out, static_cast<A*>(nullptr), output, total, count);
}

}  // namespace mxcy

#define MXCY_REDUCE(by, Op, Last, T, Out, V)                                                                           \
    extern "C" __global__ void __launch_bounds__(256, V < 8 ? 4 : 3)                                                   \
    by(Out* out, mxcy::total_t<T>* parts, const T* x, const __grid_constant__ mxcy::Items p, int64_t count) {          \
        mxcy::reduce_##by<mxcy_reduce::Op, mxcy_reduce::Last, T, Out, V>(out, parts, x, p, count);                     \
    }
#define MXCY_JOIN_SHARES(Op, Last, T, Out)                                                                             \
    extern "C" __global__ void __launch_bounds__(256) join_shares(Out* out, const mxcy::total_t<T>* parts,             \
                                                                  int64_t outputs, int64_t shares, int64_t lanes,      \
                                                                  int64_t count) {                                     \
        mxcy::join_shares<mxcy_reduce::Op, mxcy_reduce::Last, T>(out, parts, outputs, shares, lanes, count);           \
    }
#endif
