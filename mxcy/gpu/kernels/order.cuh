/* Sorting and selection: keys of mxcy/ops/order.h, with the positions of the elements, which make equal keys differ and
   so the order stable.

   A block sorts rows of up to ORDER_TILE elements, or tiles of longer ones, in shared memory. Then pairs of sorted runs
   are merged: an entry's place is its place in its own run and the number of smaller ones in the other. Where only the
   first k are wanted, runs are cut off there. */
#ifndef MXCY_GPU_ORDER_CUH
#define MXCY_GPU_ORDER_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/order.h"

namespace mxcy {

enum { ORDER_TILE = 2048 };

template <class T> using key_t = decltype(mxcy_order::key_of(wide_t<T>()));

template <class K, class I> struct Entry {
    K key;
    I at;

    bool before(const Entry& other) const { return key != other.key ? key < other.key : at < other.at; }
};

struct Order {                              /* of data (outer, n, inner) */
    int64_t rows, n, inner, k;              /* rows: outer * inner; k: how many of each are wanted */
    int64_t descending, zeros;              /* zeros: whether -0 comes before 0 */
    int64_t tiles, padded, span;            /* of a row; elements of one, a power of two; elements of a block */
};

/* What is wanted; null: not wanted. */
template <class T, class O> struct Wanted {
    T* value;
    O* index;
    T* mask;
};

/* Put out the entry that comes `rank`-th in a row. */
template <class T, class O>
static inline void emit(const Wanted<T, O>& out, const T* x, const Order& p, int64_t row, int64_t rank, int64_t at) {
    const int64_t outer = quotient(row, p.inner), column = row - outer * p.inner;
    const int64_t from = (outer * p.n + at) * p.inner + column, to = (outer * p.k + rank) * p.inner + column;
    if (out.value) out.value[to] = x[from];
    if (out.index) out.index[to] = narrow<O>(wide_t<O>(at));
    if (out.mask) out.mask[from] = narrow<T>(wide_t<T>(1));
}

/* Sorts tiles: of whole rows, which are put out, or of parts of rows into `runs` of `kept` entries each. */
template <class T, class O, class I>
static inline void sort_tiles(const Wanted<T, O>& out, Entry<key_t<T>, I>* runs, const T* x, const Order& p,
                              int64_t kept, int64_t run_entries) {
    typedef key_t<T> K;
    typedef Entry<K, I> E;
    __shared__ E entry[ORDER_TILE];
    const int padded = int(p.padded), span = int(p.span);
    const int64_t first_tile = int64_t(blockIdx.x) * (span / padded), all = p.rows * p.tiles;
    const K flip = p.descending ? ~K(0) : K(0);
    for (int i = threadIdx.x; i < span; i += blockDim.x) {
        const int64_t tile = first_tile + i / padded, row = quotient(tile, p.tiles);
        const int64_t at = (tile - row * p.tiles) * padded + i % padded;
        entry[i] = E{~K(0), I(~I(0))};
        if (tile < all && at < p.n) {
            const int64_t outer = quotient(row, p.inner);
            const wide_t<T> value = widen(x[(outer * p.n + at) * p.inner + (row - outer * p.inner)]);
            entry[i] = E{K(mxcy_order::key_of(p.zeros ? value : mxcy_order::positive_zero(value)) ^ flip), I(at)};
        }
    }
    __syncthreads();
    for (int size = 2; size <= padded; size *= 2)
        for (int step = size / 2; step; step /= 2) {
            for (int i = threadIdx.x; i < span / 2; i += blockDim.x) {
                const int a = 2 * i - (i & (step - 1)), b = a + step;
                const bool up = (a & (padded - 1) & size) == 0;
                const E low = entry[a], high = entry[b];
                if (high.before(low) == up) entry[a] = high, entry[b] = low;
            }
            __syncthreads();
        }
    for (int i = threadIdx.x; i < span; i += blockDim.x) {
        const int64_t tile = first_tile + i / padded, row = quotient(tile, p.tiles);
        const int64_t part = tile - row * p.tiles, rank = i % padded;
        if (tile >= all || part * padded + rank >= p.n || rank >= kept) continue;
        if (runs) runs[row * run_entries + part * kept + rank] = entry[i];
        else emit(out, x, p, row, rank, int64_t(entry[i].at));
    }
}

/* Neighbouring runs of up to `length` entries become one of up to `kept`; a row has `entries` before, `left` after. */
template <class E>
static inline void merge_runs(E* out, const E* in, int64_t rows, int64_t entries, int64_t length, int64_t kept,
                              int64_t left) {
    for (int64_t i = first_item(); i < rows * entries; i += grid_step()) {
        const int64_t row = quotient(i, entries), at = i - row * entries, run = quotient(at, length);
        const E mine = in[i];
        const E* other = in + row * entries;
        int64_t low = (run ^ 1) * length, high = low + length < entries ? low + length : entries;
        const int64_t begin = low;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (other[middle].before(mine)) low = middle + 1;
            else high = middle;
        }
        const int64_t rank = at - run * length + (low - begin);
        if (rank < kept) out[row * left + run / 2 * kept + rank] = mine;
    }
}

template <class T, class O, class E>
static inline void emit_rows(const Wanted<T, O>& out, const E* in, const T* x, const Order& p) {
    for (int64_t i = first_item(); i < p.rows * p.k; i += grid_step()) {
        const int64_t row = quotient(i, p.k);
        emit(out, x, p, row, i - row * p.k, int64_t(in[i].at));
    }
}

}  // namespace mxcy

#define MXCY_ORDER(T, O, I)                                                                                            \
    typedef mxcy::Entry<mxcy::key_t<T>, I> E;                                                                          \
    extern "C" __global__ void sort_tiles(mxcy::Wanted<T, O> out, E* runs, const T* x, mxcy::Order p, int64_t kept,    \
                                          int64_t entries) {                                                           \
        mxcy::sort_tiles<T, O, I>(out, runs, x, p, kept, entries);                                                     \
    }                                                                                                                  \
    extern "C" __global__ void merge_runs(E* out, const E* in, int64_t rows, int64_t entries, int64_t length,          \
                                          int64_t kept, int64_t left) {                                                \
        mxcy::merge_runs(out, in, rows, entries, length, kept, left);                                                  \
    }                                                                                                                  \
    extern "C" __global__ void emit_rows(mxcy::Wanted<T, O> out, const E* in, const T* x, mxcy::Order p) {             \
        mxcy::emit_rows(out, in, x, p);                                                                                \
    }
#endif
