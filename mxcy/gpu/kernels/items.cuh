/* How threads share the elements that each result is made of, and join what they have found.

   A result is made of `count` items, each of V neighbouring elements: runs of `length` items, one wherever `repeated`
   says. The results begin where `kept` says. Either the neighbours all belong to one result (rows) or each to its own
   (columns); then an item is a row, and `length` counts the packs of V columns across.

   `lanes` threads work on one row, or on as many packs of columns. The items of a result may be divided into `shares`,
   for blocks that a second kernel joins. Everything is joined in an order that the shapes alone decide. */
#ifndef MXCY_GPU_ITEMS_CUH
#define MXCY_GPU_ITEMS_CUH
#include <cstdint>
#include <cstring>
#include <type_traits>
#include "mxcy/gpu/kernels/map.cuh"

namespace mxcy {

enum { THREADS = 256 };                     /* of a block that works on columns */

struct Items {
    Walk<1> kept, repeated;                 /* strides in elements */
    int64_t length, count, outputs;         /* outputs: places of `kept` */
    int64_t shares, per_share, lanes;
};

/* Division of 64-bit numbers takes many instructions; few indices need it. */
static inline int64_t quotient(int64_t a, int64_t b) {
    return (a | b) >> 32 ? a / b : int64_t(uint32_t(a) / uint32_t(b));
}
static inline int64_t remainder(int64_t a, int64_t b) { return a - quotient(a, b) * b; }

static inline int64_t offset(const Walk<1>& walk, int64_t index) {
    int64_t at = 0;
#pragma unroll 1
    for (int axis = 0; axis < walk.ndim; axis++) {
        const bool last = axis + 1 == walk.ndim;
        at += (last ? index : remainder(index, walk.dims[axis])) * walk.strides[0][axis];
        if (!last) index = quotient(index, walk.dims[axis]);
    }
    return at;
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
    if (aligned) *reinterpret_cast<Pack<T, V>*>(x) = pack;
    else
#pragma unroll
        for (int v = 0; v < V; v++) x[v] = pack.item[v];
}
template <int V, class T> static inline bool is_aligned(const T* x) { return uintptr_t(x) % sizeof(Pack<T, V>) == 0; }

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
        for (int warp = 1; warp < lanes / 32; warp++) value = join(value, of_warps[warp]);
    }
    return value;
}

/* What the threads of a block have for V columns each, joined over those with the same columns: `lanes` threads lie
   side by side. All of them get the result. Every thread of the block must call. */
template <int V, int threads, class A, class Join>
static inline void join_tall(A (&mine)[V], int lanes, Join join) {
    __shared__ A all[threads][V];
    const int tall = threads / lanes, y = threadIdx.x / lanes;
    __syncthreads();
#pragma unroll
    for (int v = 0; v < V; v++) all[threadIdx.x][v] = mine[v];
    __syncthreads();
    for (int step = tall / 2; step; step /= 2) {
        if (y < step)
#pragma unroll
            for (int v = 0; v < V; v++)
                all[threadIdx.x][v] = mine[v] = join(mine[v], all[threadIdx.x + step * lanes][v]);
        __syncthreads();
    }
#pragma unroll
    for (int v = 0; v < V; v++) mine[v] = all[threadIdx.x % lanes][v];
}

/* each(offset) for the items of a row, from `first` to `last`, that are this thread's. */
template <int V, class Each>
static inline void each_item(const Items& p, int64_t base, int64_t first, int64_t last, Each each) {
    const int lanes = int(p.lanes);
    int64_t i = first + threadIdx.x % lanes;
    if (p.repeated.ndim == 0) {
#pragma unroll 4
        for (; i < last; i += lanes) each(base + i * V);
        return;
    }
    if (i >= last) return;
    const int64_t runs = quotient(lanes, p.length), rest = remainder(lanes, p.length);
    int64_t run = quotient(i, p.length), at = remainder(i, p.length);
    const auto step = [&] {
        i += lanes;
        run += runs;
        at += rest;
        if (at >= p.length) at -= p.length, run++;
    };
    if (p.repeated.ndim == 1) {
        const int64_t stride = p.repeated.strides[0][0];
#pragma unroll 4
        for (; i < last; step()) each(base + run * stride + at * V);
        return;
    }
#pragma unroll 1
    for (; i < last; step()) each(base + offset(p.repeated, run) + at * V);
}

/* each(offset) for the rows from `first` to `last` that are this thread's, of a block of columns. */
template <class Each>
static inline void each_row(const Items& p, int64_t base, int64_t first, int64_t last, int tall, Each each) {
    int64_t r = first + threadIdx.x / int(p.lanes);
    if (p.repeated.ndim <= 1) {
        const int64_t stride = p.repeated.ndim ? p.repeated.strides[0][0] : 0;
#pragma unroll 4
        for (; r < last; r += tall) each(base + r * stride);
        return;
    }
#pragma unroll 1
    for (; r < last; r += tall) each(base + offset(p.repeated, r));
}

/* The share of a row that a thread helps with. */
struct RowJob {
    int64_t output, share, first, last, base;
    bool mine, leads;                       /* whether there is one; whether to put out its result */

    explicit RowJob(const Items& p) {
        const int lanes = int(p.lanes);
        const int64_t job = int64_t(blockIdx.x) * (blockDim.x / lanes) + threadIdx.x / lanes;
        output = p.shares == 1 ? job : quotient(job, p.shares);
        share = p.shares == 1 ? 0 : remainder(job, p.shares);
        mine = output < p.outputs;
        leads = mine && threadIdx.x % lanes == 0;
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
        const int64_t columns = p.outputs * p.length, across = quotient(columns + lanes - 1, lanes);
        const int64_t column = blockIdx.x % across * lanes + threadIdx.x % lanes, place = quotient(column, p.length);
        job.share = blockIdx.x / across;
        job.mine = column < columns;
        job.leads = job.mine && threadIdx.x / lanes == 0;
        job.first = job.share * p.per_share;
        job.last = !job.mine ? job.first : job.first + p.per_share < p.count ? job.first + p.per_share : p.count;
        job.output = column * V;
        job.base = job.mine ? offset(p.kept, place) + (column - place * p.length) * V : 0;
        return job;
    }
};

/* What V packs of a thread hold, joined with those of the others: one result of a row, or V of columns. */
template <bool ROWS, int V, class A, class Join> static inline void join_packs(A (&mine)[V], int lanes, Join join) {
    if constexpr (ROWS) {
#pragma unroll
        for (int v = 1; v < V; v++) mine[0] = join(mine[0], mine[v]);
        mine[0] = join_lanes(mine[0], lanes, join);
    } else {
        for (int v = 0; v < V; v++) {
            A one[1] = {mine[v]};
            join_tall<1, THREADS>(one, lanes, join);
            mine[v] = one[0];
        }
    }
}

template <bool ROWS, int V> static inline auto job_of(const Items& p) {
    if constexpr (ROWS) return RowJob(p);
    else return ColumnJob::of<V>(p);
}

/* each(offset) for the packs of a job that are this thread's. */
template <bool ROWS, int V, class Job, class Each>
static inline void each_pack(const Items& p, const Job& job, Each each) {
    if constexpr (ROWS) each_item<V>(p, job.base, job.first, job.last, each);
    else each_row(p, job.base, job.first, job.last, THREADS / int(p.lanes), each);
}

/* A column and the threads of a block that work on it: `lanes` columns lie side by side. */
struct Column {
    int64_t first, step, n;                 /* its elements */
    int64_t index;
    int y, tall;

    Column(int64_t columns, int64_t n, int64_t inner, int lanes) : step(inner), n(n) {
        y = threadIdx.x / lanes;
        tall = THREADS / lanes;
        index = int64_t(blockIdx.x) * lanes + threadIdx.x % lanes;
        if (index >= columns) index = 0, this->n = 0;
        first = quotient(index, inner) * n * inner + remainder(index, inner);
    }
    int64_t at(int64_t k) const { return first + k * step; }
};

}  // namespace mxcy
#endif
