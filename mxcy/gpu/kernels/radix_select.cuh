/* The first k of long rows: finds the last element that is among them, takes all that do not come after it, and leaves
   it to `sort_short` to put them in order.

   Keys, and positions behind them where keys tie, are looked at byte by byte, the highest first. Each level counts the
   next byte of those elements that agree with the limit so far; that of the k-th becomes the limit's next one. Once all
   that agree are wanted, the rest of the limit does not matter: later levels end at once. What is taken has no order
   yet: the numbers that elements get depend on timing, the results do not. */
#ifndef MXCY_GPU_RADIX_SELECT_CUH
#define MXCY_GPU_RADIX_SELECT_CUH
#include "mxcy/gpu/kernels/radix.cuh"

namespace mxcy {

struct Levels {
    int64_t count, of_key;                  /* bytes of key and position; of the key */
};

/* The largest pair of key and position that is wanted; bytes that are not known yet are 255. */
struct Limit {
    uint64_t key, at;
    uint64_t wanted;                        /* how many of those that agree with what is known */
    uint64_t done;                          /* all of them are */
};

/* What is known before a level. counts[level][row][digit]; all threads of the block must call it. */
template <class K, class I>
static inline Limit limit_before(int64_t level, const Limit* limits, const I* counts, const Order& p, int64_t row,
                                 const Levels& levels) {
    __shared__ Limit next;
    if (!level) return Limit{K(~K(0)), ~uint64_t(0) >> (64 - 8 * (levels.count - levels.of_key)), uint64_t(p.k), 0};
    const int64_t last = level - 1, place = last * p.rows + row;
    const Limit limit = limits[place];
    if (limit.done) return limit;
    const uint64_t count = counts[place * DIGITS + threadIdx.x], before = sum_before(count);
    if (before < limit.wanted && limit.wanted <= before + count) {
        const uint64_t less = DIGITS - 1 - threadIdx.x;
        next = Limit{limit.key, limit.at, limit.wanted - before, limit.wanted - before == count};
        if (last < levels.of_key) next.key -= less << 8 * (levels.of_key - 1 - last);
        else next.at -= less << 8 * (levels.count - 1 - last);
    }
    __syncthreads();
    return next;
}

/* Whether the bytes above the lowest `shift` bits and 8 are the same. */
static inline bool agree(uint64_t a, uint64_t b, int shift) { return shift == 56 || (a ^ b) >> (shift + 8) == 0; }

template <class T, class I>
static inline void count_level(Limit* limits, I* counts, const T* x, const Order& p, const Shares& shares,
                               const Levels& levels, int64_t level) {
    typedef key_t<T> K;
    __shared__ Counters counters;
    const Share share(shares, p.n);
    const Limit limit = limit_before<K>(level, limits, counts, p, share.row, levels);
    if (!share.number && !threadIdx.x) limits[level * p.rows + share.row] = limit;
    if (limit.done) return;
    const bool by_key = level < levels.of_key;
    const int shift = int(8 * ((by_key ? levels.of_key : levels.count) - 1 - level));
    const Found<T, I> found(x, p, share.row);
    counters.clear();
    for (int64_t tile = share.first; tile < share.last; tile += RADIX_TILE) {
        const Part part(tile, share.last);
        K key[RADIX_RUN];
        found.load_keys(key, part);
#pragma unroll
        for (int k = 0; k < RADIX_RUN; k++) {
            const uint64_t at = part.first + 32 * k;
            const bool valid = part.has(k) && (by_key ? agree(key[k], limit.key, shift)
                                                      : key[k] == limit.key && agree(at, limit.at, shift));
            if (__any_sync(~0u, valid))
                tally(counters.of[threadIdx.x / 32], int((by_key ? key[k] : at) >> shift & (DIGITS - 1)), valid);
        }
    }
    __syncthreads();
    const unsigned count = counters.total();
    I* const sum = counts + (level * p.rows + share.row) * DIGITS + threadIdx.x;
    if (!count) return;
    if constexpr (sizeof(I) == 8) atomicAdd(reinterpret_cast<unsigned long long*>(sum), (unsigned long long)count);
    else atomicAdd(sum, count);
}

/* taken[row]: how many have been so far; entries[row][k]. */
template <class T, class I>
static inline void take_first(Entry<key_t<T>, I>* entries, unsigned* taken, const Limit* limits, const I* counts,
                              const T* x, const Order& p, const Shares& shares, const Levels& levels) {
    const Share share(shares, p.n);
    const Limit limit = limit_before<key_t<T>>(levels.count, limits, counts, p, share.row, levels);
    const Found<T, I> found(x, p, share.row);
#pragma unroll 4
    for (int64_t at = share.first + threadIdx.x; at < share.last; at += DIGITS) {
        const key_t<T> key = found.key_of_data(at);
        if (key < limit.key || (key == limit.key && uint64_t(at) <= limit.at))
            entries[share.row * p.k + atomicAdd(&taken[share.row], 1u)] = Entry<key_t<T>, I>{key, I(at)};
    }
}

}  // namespace mxcy

#define MXCY_SELECT_LONG(T, I)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256, sizeof(T) == 8 ? 3 : 4)                                          \
    count_level(mxcy::Limit* limits, I* counts, const T* x, mxcy::Order p, mxcy::Shares shares, mxcy::Levels levels,   \
                int64_t level) {                                                                                       \
        mxcy::count_level(limits, counts, x, p, shares, levels, level);                                                \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    take_first(mxcy::Entry<mxcy::key_t<T>, I>* entries, unsigned* taken, const mxcy::Limit* limits, const I* counts,   \
               const T* x, mxcy::Order p, mxcy::Shares shares, mxcy::Levels levels) {                                  \
        mxcy::take_first(entries, taken, limits, counts, x, p, shares, levels);                                        \
    }
#endif
