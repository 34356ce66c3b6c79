/* How threads share the elements that each result is made of, and join what they have found.

   A result is made of `count` items, each of V neighbouring elements: runs of `length` items, one wherever `repeated`
   says. The results begin where `kept` says. Either the neighbours all belong to one result (rows) or each to its own
   (columns); then an item is a row, and `length` counts the packs of V columns across.

   `lanes` threads, a power of two, work on one row, or on as many packs of columns. The items of a result may be
   divided into `shares`, for blocks that a second kernel joins. Everything is joined in an order that the shapes alone
   decide. */
#ifndef MXCY_GPU_ITEMS_CUH
#define MXCY_GPU_ITEMS_CUH
#include <cstdint>
#include <cstring>
#include <type_traits>
#include "mxcy/gpu/kernels/axes.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

enum { THREADS = 256 };                     /* of a block that works on columns */

struct Items {
    Axes kept, repeated;
    Divisor length, shares, across;         /* across: blocks side by side, that have all columns */
    int64_t count, outputs;                 /* outputs: places of `kept` */
    int64_t per_share, lanes;
};

/* Of two numbers that both are known at the launch only. Division in 64 bits takes many instructions; few need it. */
static inline int64_t quotient(int64_t a, int64_t b) {
    return (a | b) >> 32 ? a / b : int64_t(uint32_t(a) / uint32_t(b));
}

/* A block's threads in groups of `lanes`: which this one is in its group, and which its group is of how many. */
static inline int lane_of(int lanes) { return threadIdx.x & (lanes - 1); }
static inline int group_of(int lanes) { return int(threadIdx.x) >> (__ffs(lanes) - 1); }
static inline int groups_of(int threads, int lanes) { return threads >> (__ffs(lanes) - 1); }

/* use(locate(i)) for i = first, first + step, ... below end: `turns` of them in a row, and their places before, so that
   their loads are on their way together. A pragma would have every thread begin with a division for the number of
   turns. */
template <int turns, class Locate, class Use>
static inline void in_turns(int64_t first, int64_t end, int64_t step, Locate locate, Use use) {
    int64_t i = first;
    if constexpr (turns > 1) {
#pragma unroll 1
        for (; i + (turns - 1) * step < end; i += turns * step) {
            int64_t at[turns];
#pragma unroll
            for (int k = 0; k < turns; k++) at[k] = locate(i + k * step);
#pragma unroll
            for (int k = 0; k < turns; k++) use(at[k]);
        }
    }
#pragma unroll 1
    for (; i < end; i += step) use(locate(i));
}

/* V neighbours at once if they are aligned. */
template <int V, class T> static inline Pack<T, V> load_pack(const T* x, bool aligned) {
    if (aligned) return *reinterpret_cast<const Pack<T, V>*>(x);
    Pack<T, V> pack;
#pragma unroll
    for (int v = 0; v < V; v++) pack.item[v] = x[v];
    return pack;
}
template <int V, class T> static inline void store_pack(T* x, const Pack<T, V>& pack, bool aligned) {
    if (aligned) store_whole(reinterpret_cast<Pack<T, V>*>(x), pack);
    else
#pragma unroll
        for (int v = 0; v < V; v++) x[v] = pack.item[v];
}
template <int V, class T> static inline bool is_aligned(const T* x) {
    return V == 1 || uintptr_t(x) % sizeof(Pack<T, V>) == 0;
}

/* use(whether all is aligned), which is known at compile time inside: a test at each load would keep the next one from
   being on its way. */
template <class Use> static inline void by_alignment(bool aligned, Use use) {
    if (aligned) use(std::true_type());
    else use(std::false_type());
}

/* The value that the thread `step` lanes away has. */
template <class A> static inline A other_lane(A value, int step) {
    if constexpr (std::is_arithmetic_v<A>) return __shfl_xor_sync(0xffffffffu, value, step);
    else {
        uint32_t words[sizeof(A) / 4];
        memcpy(words, &value, sizeof(A));
#pragma unroll
        for (int k = 0; k < int(sizeof(A) / 4); k++) words[k] = __shfl_xor_sync(0xffffffffu, words[k], step);
        memcpy(&value, words, sizeof(A));
        return value;
    }
}

struct Plus {
    template <class W> W operator()(W a, W b) const { return a + b; }
};

/* What `lanes` neighbouring threads have, joined, for all of them: a power of two up to 32, or all threads of the
   block, full warps. Every thread of the block must call. */
template <class A, class Join> static inline A join_lanes(A value, int lanes, Join join) {
#pragma unroll 1
    for (int step = (lanes < 32 ? lanes : 32) / 2; step; step /= 2) {
        const A other = other_lane(value, step);
        value = threadIdx.x & step ? join(other, value) : join(value, other);
    }
    if (lanes > 32) {
        __shared__ A of_warps[32];
        __syncthreads();
        if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
        __syncthreads();
        value = of_warps[0];
#pragma unroll 1
        for (int warp = 1; warp < lanes / 32; warp++) value = join(value, of_warps[warp]);
    }
    return value;
}

/* What the threads of a block have for V columns each, joined over those with the same columns: `lanes` threads lie
   side by side. All of them get the result. Every thread of the block must call. */
template <int V, int threads, class A, class Join>
static inline void join_tall(A (&mine)[V], int lanes, Join join) {
    __shared__ A all[threads][V];
    const int y = group_of(lanes);
    __syncthreads();
#pragma unroll
    for (int v = 0; v < V; v++) all[threadIdx.x][v] = mine[v];
    __syncthreads();
#pragma unroll 1
    for (int step = groups_of(threads, lanes) / 2; step; step /= 2) {
        if (y < step)
#pragma unroll
            for (int v = 0; v < V; v++)
                all[threadIdx.x][v] = mine[v] = join(mine[v], all[threadIdx.x + step * lanes][v]);
        __syncthreads();
    }
#pragma unroll
    for (int v = 0; v < V; v++) mine[v] = all[lane_of(lanes)][v];
}

/* each(offset) for the items of a row, from `first` to `last`, that are this thread's. */
template <int V, int turns, class Each>
static inline void each_item(const Items& p, int64_t base, int64_t first, int64_t last, Each each) {
    const int lanes = int(p.lanes);
    first += lane_of(lanes);
    if (p.repeated.ndim == 0) in_turns<turns>(first, last, lanes, [&](int64_t i) { return base + i * V; }, each);
    else
        in_turns<turns>(first, last, lanes, [&](int64_t i) {
            const int64_t run = split(i, p.length);
            return base + offset(p.repeated, run) + i * V;
        }, each);
}

/* each(offset) for the rows from `first` to `last` that are this thread's, of a block of columns. */
template <int turns, class Each>
static inline void each_row(const Items& p, int64_t base, int64_t first, int64_t last, Each each) {
    const int lanes = int(p.lanes), tall = groups_of(THREADS, lanes);
    first += group_of(lanes);
    if (p.repeated.ndim <= 1) {
        const int64_t stride = p.repeated.strides[0];       /* 0 where there is one row */
        in_turns<turns>(first, last, tall, [&](int64_t r) { return base + r * stride; }, each);
    } else in_turns<turns>(first, last, tall, [&](int64_t r) { return base + offset(p.repeated, r); }, each);
}

/* The share of a row that a thread helps with. */
struct RowJob {
    int64_t output, share, first, last, base;
    bool mine, leads;                       /* whether there is one; whether to put out its result */

    explicit RowJob(const Items& p) {
        const int lanes = int(p.lanes);
        share = int64_t(blockIdx.x) * groups_of(blockDim.x, lanes) + group_of(lanes);
        output = split(share, p.shares);
        mine = output < p.outputs;
        leads = mine && lane_of(lanes) == 0;
        first = share * p.per_share;
        last = !mine ? first : first + p.per_share < p.count ? first + p.per_share : p.count;
        base = mine ? offset(p.kept, output) : 0;
    }
};

/* The share of a block of columns that a block helps with. */
struct ColumnJob {
    int64_t output, share, first, last, base;   /* output: of the first of V columns */
    bool mine, leads;

    template <int V> static ColumnJob of(const Items& p) {
        ColumnJob job;
        const int lanes = int(p.lanes);
        int64_t column = blockIdx.x;
        job.share = split(column, p.across);
        column = column * lanes + lane_of(lanes);
        job.output = column * V;
        const int64_t place = split(column, p.length);
        job.mine = place < p.outputs;
        job.leads = job.mine && group_of(lanes) == 0;
        job.first = job.share * p.per_share;
        job.last = !job.mine ? job.first : job.first + p.per_share < p.count ? job.first + p.per_share : p.count;
        job.base = job.mine ? offset(p.kept, place) + column * V : 0;
        return job;
    }
};

/* put(0, what get(0) to get(V - 1) of all threads of a row come to), or put(v, what get(v) of those of a column come
   to). Every thread of the block must call. */
template <bool ROWS, int V, class Join, class Get, class Put>
static inline void join_packs(int lanes, Join join, Get get, Put put) {
    if constexpr (ROWS) {
        auto mine = get(0);
#pragma unroll
        for (int v = 1; v < V; v++) mine = join(mine, get(v));
        put(0, join_lanes(mine, lanes, join));
    } else {
#pragma unroll
        for (int v = 0; v < V; v++) {
            decltype(get(v)) mine[1] = {get(v)};
            join_tall<1, THREADS>(mine, lanes, join);
            put(v, mine[0]);
        }
    }
}

template <bool ROWS, int V> static inline auto job_of(const Items& p) {
    if constexpr (ROWS) return RowJob(p);
    else return ColumnJob::of<V>(p);
}

/* each(offset, aligned) for the packs of a job that are this thread's, up to `most` under way at once. */
template <bool ROWS, int V, int most = 4, class Job, class Each>
static inline void each_pack(const Items& p, const Job& job, bool aligned, Each each) {
    by_alignment(aligned, [&](auto aligned) {
        constexpr int turns = aligned ? most : 1;
        const auto one = [&](int64_t at) { each(at, aligned); };
        if constexpr (ROWS) each_item<V, turns>(p, job.base, job.first, job.last, one);
        else each_row<turns>(p, job.base, job.first, job.last, one);
    });
}

/* A column and the threads of a block that work on it: `lanes` columns lie side by side. */
struct Column {
    int64_t first, step, n;                 /* its elements */
    int64_t index;
    int y, tall;

    Column(int64_t columns, int64_t n, const Divisor& inner, int lanes) : step(inner.by), n(n) {
        y = group_of(lanes);
        tall = groups_of(THREADS, lanes);
        index = int64_t(blockIdx.x) * lanes + lane_of(lanes);
        if (index >= columns) index = 0, this->n = 0;
        int64_t across = index;
        const int64_t outer = split(across, inner);
        first = outer * n * inner.by + across;
    }
    int64_t at(int64_t k) const { return first + k * step; }
};

}  // namespace mxcy
#endif
