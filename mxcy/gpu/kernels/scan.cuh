/* Running sums of rows and of columns, from either end. Floats are summed in float64, integers in int64.

   The elements of a row or column may be divided into shares: `row_totals` or `column_totals` sum them, and each share
   starts from what those before it come to. */
#ifndef MXCY_GPU_SCAN_CUH
#define MXCY_GPU_SCAN_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/reduce.h"

namespace mxcy {

template <class T> using running_t = typename mxcy_reduce::Total<wide_t<T>>::type;

struct Scan {                               /* of data (outer, n, inner) */
    int64_t outer, n;
    Divisor inner, shares, columns;         /* columns: outer * inner */
    int64_t per_share, lanes, reverse;

    int64_t element(int64_t k) const { return reverse ? n - 1 - k : k; }
};

/* Sums of the values of the threads up to this one; `total`: of all lanes. Every thread of the block must call. */
template <class A> static inline A scan_lanes(A value, int lanes, A& total) {
    const int width = lanes < 32 ? lanes : 32, lane = lane_of(width);
    for (int step = 1; step < width; step *= 2) {
        const A before = __shfl_up_sync(0xffffffffu, value, step, width);
        if (lane >= step) value += before;
    }
    total = __shfl_sync(0xffffffffu, value, width - 1, width);
    if (lanes > 32) {
        __shared__ A of_warps[32];
        __syncthreads();
        if (lane == 0) of_warps[threadIdx.x / 32] = total;
        __syncthreads();
        total = 0;
        for (int warp = 0; warp < lanes / 32; warp++) {
            if (warp == int(threadIdx.x / 32)) value += total;
            total += of_warps[warp];
        }
    }
    return value;
}

/* The row and the share of it that a group of threads takes; beyond the last row, one that is only read. */
struct RowShare {
    int64_t row, share, begin, end;
    bool mine;

    explicit RowShare(const Scan& p) {
        share = int64_t(blockIdx.x) * groups_of(THREADS, int(p.lanes)) + group_of(int(p.lanes));
        row = split(share, p.shares);
        mine = row < p.outer;
        if (!mine) row = 0;
        begin = share * p.per_share;
        end = begin + p.per_share < p.n ? begin + p.per_share : p.n;
    }
};

template <class T> static inline void row_totals(running_t<T>* totals, const T* x, const Scan& p) {
    typedef running_t<T> A;
    const RowShare at(p);
    const int lanes = int(p.lanes);
    A total = 0;
    in_turns<4>(at.begin + lane_of(lanes), at.end, lanes, [&](int64_t k) { return at.row * p.n + p.element(k); },
                [&](int64_t element) { total += A(widen(x[element])); });
    total = join_lanes(total, lanes, Plus());
    if (at.mine && lane_of(lanes) == 0) totals[at.row * p.shares.by + at.share] = total;
}

template <class T> static inline void scan_rows(T* out, const T* x, const running_t<T>* totals, const Scan& p) {
    typedef running_t<T> A;
    enum { TURNS = 4 };                     /* loads on their way at once */
    const RowShare at(p);
    const int lanes = int(p.lanes), lane = lane_of(lanes);
    A before = 0;
#pragma unroll 1
    for (int64_t share = lane; share < at.share; share += lanes) before += totals[at.row * p.shares.by + share];
    if (p.shares.by > 1) before = join_lanes(before, lanes, Plus());
    x += at.row * p.n;
    out += at.row * p.n;
#pragma unroll 1
    for (int64_t begin = at.begin; begin < at.end; begin += TURNS * lanes) {
        A value[TURNS];
#pragma unroll
        for (int turn = 0; turn < TURNS; turn++) {
            const int64_t k = begin + turn * lanes + lane;
            value[turn] = k < at.end ? A(widen(x[p.element(k)])) : A(0);
        }
#pragma unroll
        for (int turn = 0; turn < TURNS; turn++) {
            const int64_t k = begin + turn * lanes + lane;
            A total;
            const A sum = before + scan_lanes(value[turn], lanes, total);
            if (at.mine && k < at.end) out[p.element(k)] = narrow<T>(wide_t<T>(sum));
            before += total;
        }
    }
}

/* Columns: one thread for each share, neighbours side by side. */
template <class T, class Use> static inline void each_column_share(const Scan& p, Use use) {
    int64_t column = first_item();
    const int64_t share = split(column, p.columns);
    if (share >= p.shares.by) return;
    const int64_t begin = share * p.per_share, end = begin + p.per_share < p.n ? begin + p.per_share : p.n;
    int64_t across = column;
    const int64_t outer = split(across, p.inner);
    use(column, share, outer * p.n * p.inner.by + across, begin, end);
}

template <class T> static inline void column_totals(running_t<T>* totals, const T* x, const Scan& p) {
    each_column_share<T>(p, [&](int64_t column, int64_t share, int64_t first, int64_t begin, int64_t end) {
        running_t<T> total = 0;
#pragma unroll 4
        for (int64_t k = begin; k < end; k++) total += running_t<T>(widen(x[first + p.element(k) * p.inner.by]));
        totals[share * p.columns.by + column] = total;
    });
}

template <class T> static inline void scan_columns(T* out, const T* x, const running_t<T>* totals, const Scan& p) {
    each_column_share<T>(p, [&](int64_t column, int64_t share, int64_t first, int64_t begin, int64_t end) {
        running_t<T> sum = 0;
        for (int64_t before = 0; before < share; before++) sum += totals[before * p.columns.by + column];
        enum { TURNS = 4 };
        for (int64_t k = begin; k < end; k += TURNS) {
            T value[TURNS];
#pragma unroll
            for (int turn = 0; turn < TURNS; turn++)
                value[turn] = k + turn < end ? x[first + p.element(k + turn) * p.inner.by] : T{};
#pragma unroll
            for (int turn = 0; turn < TURNS; turn++) {
                sum += running_t<T>(widen(value[turn]));
                if (k + turn < end) out[first + p.element(k + turn) * p.inner.by] = narrow<T>(wide_t<T>(sum));
            }
        }
    });
}

}  // namespace mxcy

#define MXCY_SCAN(by, T)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    by(T* out, const T* x, const mxcy::running_t<T>* totals, mxcy::Scan p) { mxcy::scan_##by(out, x, totals, p); }
#define MXCY_SCAN_TOTALS(by, T)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256) by(mxcy::running_t<T>* totals, const T* x, mxcy::Scan p) {       \
        mxcy::by(totals, x, p);                                                                                        \
    }
#endif
