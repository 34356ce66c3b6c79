/* Sorts long rows by radix, a byte of the keys at a time, the lowest first.

   A pass has three kernels. Rows are divided into shares of tiles. `count_digits`: each share counts its keys by digit.
   `add_shares`: the counts become those of the shares before, and totals. `move_by_digit`: each share puts its keys,
   and the positions of their elements, where they belong; equal digits stay in order, so the sort is stable. A tile is
   put in order in shared memory first: then neighbouring threads write neighbouring places.

   The first pass reads the data, the last one writes the results. Rows whose keys all have the same digit are left
   where they are, so each row notes where it is. */
#ifndef MXCY_GPU_RADIX_CUH
#define MXCY_GPU_RADIX_CUH
#include "mxcy/gpu/kernels/order.cuh"

namespace mxcy {

enum { DIGITS = 256 };                      /* and threads of a block */
enum { RADIX_WARPS = DIGITS / 32, RADIX_RUN = 16, RADIX_TILE = DIGITS * RADIX_RUN, SHARES = 1024 };

struct Shares {
    int64_t count, tiles;                   /* count: of a row, up to SHARES; tiles: of each */
};

struct Share {                              /* the one of this block */
    int64_t row, number, first, last;       /* first, last: elements of the row */

    Share(const Shares& shares, int64_t n)
        : row(quotient(blockIdx.x, shares.count)), number(blockIdx.x - row * shares.count),
          first(number * shares.tiles * RADIX_TILE), last(first + shares.tiles * RADIX_TILE) {
        if (last > n) last = n;
    }
};

/* A thread's part of a tile: RADIX_RUN elements, 32 apart. Those of a warp are one run of the tile. */
struct Part {
    int64_t first;
    int left;                               /* elements of the row from the first one on, if they are few */

    Part(int64_t tile, int64_t last) : first(tile + threadIdx.x / 32 * (32 * RADIX_RUN) + threadIdx.x % 32) {
        left = last - first < RADIX_TILE ? int(last - first) : int(RADIX_TILE);
    }
    bool has(int k) const { return 32 * k < left; }
};

/* Rows as they are between passes. */
template <class T, class I> struct Spare {
    key_t<T>* key[2];
    I* at[2];                               /* null if nobody wants to know */
    int32_t* source;                        /* [pass][row], but for pass 0. 0: the data; 1, 2: key[0], key[1] */
};

/* A row of a buffer, if there is one. */
template <class A> static inline A* row_of(A* data, int64_t row, int64_t n) { return data ? data + row * n : nullptr; }

/* A row as a pass finds it. */
template <class T, class I> struct Found {
    typedef key_t<T> K;
    Row row;
    const T* x;
    const K* key;
    const I* at;
    K flip;
    bool exact;

    Found(const T* data, const Order& p, int64_t number, const K* keys = nullptr, const I* positions = nullptr)
        : row(p, number), x(data + row.from), key(row_of(keys, number, p.n)), at(row_of(positions, number, p.n)),
          flip(mxcy::flip<T>(p)), exact(p.exact) {}
    K key_of_data(int64_t i) const { return K(key_of(x[i * row.step], exact) ^ flip); }
    void load_keys(K* to, const Part& part) const {
        if (key) {
            const K* const from = key + part.first;
#pragma unroll
            for (int k = 0; k < RADIX_RUN; k++) to[k] = part.has(k) ? from[32 * k] : 0;
        } else
#pragma unroll
            for (int k = 0; k < RADIX_RUN; k++) to[k] = part.has(k) ? key_of_data(part.first + 32 * k) : 0;
    }
};

template <class K> static inline int digit_of(K key, int pass) { return int(key >> 8 * pass & (DIGITS - 1)); }

/* Counts the digits of a warp: one for each lane. Returns how many such came before, in earlier calls and lower lanes.
   Lanes find those that have their digit by votes, which costs the same whatever the digits are; atomic additions would
   queue up where many keys are alike. */
static inline unsigned tally(unsigned* counter, int digit, bool valid) {
    unsigned same = __ballot_sync(~0u, valid);
#pragma unroll
    for (int bit = 0; bit < 8; bit++) {
        const bool set = digit >> bit & 1;
        const unsigned votes = __ballot_sync(~0u, set);
        same &= set ? votes : ~votes;
    }
    const unsigned below = same & ((1u << threadIdx.x % 32) - 1), before = counter[digit];
    __syncwarp();
    if (valid && !below) counter[digit] = before + __popc(same);
    __syncwarp();
    return before + __popc(below);
}

/* A counter for each warp and digit. */
struct Counters {
    unsigned of[RADIX_WARPS][DIGITS];

    void clear() {
        for (int w = 0; w < RADIX_WARPS; w++) of[w][threadIdx.x] = 0;
        __syncthreads();
    }
    unsigned total() const {                /* of the digit that is the thread's number */
        unsigned sum = 0;
        for (int w = 0; w < RADIX_WARPS; w++) sum += of[w][threadIdx.x];
        return sum;
    }
};

/* The sum of the values of the threads before this one; all threads of the block must call it. */
template <class I> static inline I sum_before(I value) {
    __shared__ I of_warps[RADIX_WARPS];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    I sum = value;
    for (int step = 1; step < 32; step *= 2) {
        const I other = __shfl_up_sync(~0u, sum, step);
        if (lane >= step) sum += other;
    }
    if (lane == 31) of_warps[warp] = sum;
    __syncthreads();
    for (int w = 0; w < warp; w++) sum += of_warps[w];
    __syncthreads();
    return sum - value;
}

/* counts[row][share][digit] */
template <class T, class I>
static inline void count_digits(I* counts, const Spare<T, I>& spare, const T* x, const Order& p, const Shares& shares,
                                int pass) {
    __shared__ Counters counters;
    const Share share(shares, p.n);
    const int source = pass ? spare.source[pass * p.rows + share.row] : 0;
    const Found<T, I> found(x, p, share.row, source == 0 ? nullptr : source == 1 ? spare.key[0] : spare.key[1]);
    counters.clear();
    for (int64_t tile = share.first; tile < share.last; tile += RADIX_TILE) {
        const Part part(tile, share.last);
        key_t<T> key[RADIX_RUN];
        found.load_keys(key, part);
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) tally(counters.of[threadIdx.x / 32], digit_of(key[k], pass), part.has(k));
    }
    __syncthreads();
    counts[int64_t(blockIdx.x) * DIGITS + threadIdx.x] = counters.total();
}

/* Counts become the sums of those of the shares before, and totals[row][digit] the sums of all. A block takes 32 digits
   of a row, each warp of it a run of shares. */
template <class I> static inline void add_shares(I* counts, I* totals, int64_t shares) {
    __shared__ I sums[32][32];
    constexpr int most = SHARES / 32, blocks = DIGITS / 32;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int digit = blockIdx.x % blocks * 32 + lane, each = (int(shares) + warps - 1) / warps, first = warp * each;
    const int left = each < int(shares) - first ? each : int(shares) - first;
    const int64_t row = blockIdx.x / blocks;
    I* const own = counts + (row * shares + first) * DIGITS + digit;
    I count[most], sum = 0, before = 0, total = 0;
#pragma unroll
    for (int k = 0; k < most; k++) {
        count[k] = k < left ? own[k * DIGITS] : 0;
        sum += count[k];
    }
    sums[warp][lane] = sum;
    __syncthreads();
    for (int w = 0; w < warps; w++) {
        if (w == warp) before = total;
        total += sums[w][lane];
    }
    if (!warp) totals[row * DIGITS + digit] = total;
#pragma unroll
    for (int k = 0; k < most; k++) {
        if (k < left) own[k * DIGITS] = before;
        before += count[k];
    }
}

template <class T, class O, class I>
static inline void move_by_digit(const Wanted<T, O>& out, const Spare<T, I>& spare, const I* counts, const I* totals,
                                 const T* x, const Order& p, const Shares& shares, int pass, bool last_pass) {
    typedef key_t<T> K;
    __shared__ Counters counters;
    __shared__ I place[DIGITS];             /* in the row, less that in the tile */
    __shared__ union { K key[RADIX_TILE]; I at[RADIX_TILE]; } tile_of;
    const Share share(shares, p.n);
    const int own = threadIdx.x, warp = own / 32, source = pass ? spare.source[pass * p.rows + share.row] : 0;
    const I total = totals[share.row * DIGITS + own];
    const bool stays = __syncthreads_or(total == I(p.n)) && !last_pass, to_second = source == 1;
    if (!last_pass && !share.number && !own)
        spare.source[(pass + 1) * p.rows + share.row] = stays ? source : to_second ? 2 : 1;
    if (stays) return;
    const Found<T, I> found(x, p, share.row, source == 0 ? nullptr : to_second ? spare.key[0] : spare.key[1],
                            source == 0 ? nullptr : to_second ? spare.at[0] : spare.at[1]);
    K* const keys = row_of(to_second ? spare.key[1] : spare.key[0], share.row, p.n);
    I* const positions = row_of(to_second ? spare.at[1] : spare.at[0], share.row, p.n);
    const bool indexed = out.index || out.mask;
    Wanted<T, O> indexed_out = out;
    if (p.exact) indexed_out.value = nullptr;                       /* has been made of the key */
    place[own] = sum_before(total) + counts[int64_t(blockIdx.x) * DIGITS + own];
    for (int64_t tile = share.first; tile < share.last; tile += RADIX_TILE) {
        const Part part(tile, share.last);
        const int size = share.last - tile < RADIX_TILE ? int(share.last - tile) : RADIX_TILE;
        K key[RADIX_RUN];
        unsigned rank[RADIX_RUN];
        I to[RADIX_RUN];
        counters.clear();
        found.load_keys(key, part);
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) rank[k] = tally(counters.of[warp], digit_of(key[k], pass), part.has(k));
        __syncthreads();
        const unsigned count = counters.total(), before = sum_before(count);
        place[own] -= before;
        for (unsigned w = 0, sum = before; w < RADIX_WARPS; w++) {
            const unsigned of_warp = counters.of[w][own];
            counters.of[w][own] = sum;
            sum += of_warp;
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) {
            rank[k] += counters.of[warp][digit_of(key[k], pass)];
            if (part.has(k)) tile_of.key[rank[k]] = key[k];
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) {
            const int i = k * DIGITS + own;
            if (i >= size) continue;
            const K moved = tile_of.key[i];
            to[k] = place[digit_of(moved, pass)] + i;
            if (!last_pass) keys[to[k]] = moved;
            else if (p.exact && out.value && int64_t(to[k]) < p.k)
                out.value[found.row.to + to[k] * found.row.step] = value_of<T>(moved ^ found.flip);
        }
        __syncthreads();
        place[own] += before + count;
        if (!indexed) continue;
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) {
            const int64_t i = part.first + 32 * k;
            if (part.has(k)) tile_of.at[rank[k]] = found.at ? found.at[i] : I(i);
        }
        __syncthreads();
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) {
            const int i = k * DIGITS + own;
            if (i >= size) continue;
            if (!last_pass) positions[to[k]] = tile_of.at[i];
            else if (int64_t(to[k]) < p.k) emit(indexed_out, x, found.row, to[k], tile_of.at[i]);
        }
    }
}

}  // namespace mxcy

#define MXCY_SORT_LONG(T, O, I)                                                                                        \
    extern "C" __global__ void __launch_bounds__(256, sizeof(T) == 8 ? 3 : 4)                                          \
    count_digits(I* counts, mxcy::Spare<T, I> spare, const T* x, mxcy::Order p, mxcy::Shares shares, int64_t pass) {   \
        mxcy::count_digits(counts, spare, x, p, shares, int(pass));                                                    \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(1024) add_shares(I* counts, I* totals, int64_t shares) {              \
        mxcy::add_shares(counts, totals, shares);                                                                      \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, sizeof(T) == 8 ? 2 : 3)                                          \
    move_by_digit(mxcy::Wanted<T, O> out, mxcy::Spare<T, I> spare, const I* counts, const I* totals, const T* x,       \
                  mxcy::Order p, mxcy::Shares shares, int64_t pass, int64_t last_pass) {                               \
        mxcy::move_by_digit(out, spare, counts, totals, x, p, shares, int(pass), last_pass);                           \
    }
#endif
