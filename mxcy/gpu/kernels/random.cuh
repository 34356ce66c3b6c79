/* Random numbers, categories, permutations and dropout: the numbers of the CPU, from the same Philox blocks.

   Element i of a tile of 256 takes word i / 64 of block i % 64. So a thread that makes four blocks has four elements in
   a row, four times. */
#ifndef MXCY_GPU_RANDOM_CUH
#define MXCY_GPU_RANDOM_CUH
#include <cmath>
#include <cstdint>
#include "mxcy/gpu/kernels/axes.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/gpu/kernels/philox.cuh"
#include "mxcy/ops/random.h"

namespace mxcy {

enum { RUN = 4, RUNS = PHILOX_BLOCKS / RUN };       /* blocks of a thread, and threads of a tile */

/* `count` elements at `at` of n, four at once where they can be. */
template <class T> static inline void load_run(Pack<T, RUN>& x, const T* from, int64_t at, int64_t n) {
    if (at + RUN <= n && uintptr_t(from + at) % sizeof x == 0) x = *reinterpret_cast<const Pack<T, RUN>*>(from + at);
    else
        for (int j = 0; j < RUN; j++) x.item[j] = at + j < n ? from[at + j] : T{};
}
template <class T> static inline void store_run(T* to, const Pack<T, RUN>& x, int64_t at, int64_t n) {
    if (at + RUN <= n && uintptr_t(to + at) % sizeof x == 0) *reinterpret_cast<Pack<T, RUN>*>(to + at) = x;
    else
        for (int j = 0; j < RUN && at + j < n; j++) to[at + j] = x.item[j];
}

/* The elements that a block makes, from the standard distribution; they stand 64 apart. */
template <int kind> static inline void standard(float* z, const uint32_t* w) {
    if (kind == mxcy_random::NORMAL)
        for (int k = 0; k < 2; k++) {
            float pair[2], u = mxcy_random::positive(w[k]), turn = mxcy_random::turn(w[k + 2]);
            mxcy_random::box_muller(pair, &u, &turn, 1);
            z[k] = pair[0];
            z[k + 2] = pair[1];
        }
    else
        for (int k = 0; k < 4; k++)
            z[k] = kind == mxcy_random::UNIFORM ? mxcy_random::unit(w[k]) : 0 - mxcy::log(mxcy_random::positive(w[k]));
}
template <int kind> static inline void standard(double* z, const uint32_t* w) {
    if (kind == mxcy_random::NORMAL) {
        double u = mxcy_random::positive(w[0], w[2]), turn = mxcy_random::turn(w[1], w[3]);
        mxcy_random::box_muller(z, &u, &turn, 1);
    } else
        for (int k = 0; k < 2; k++)
            z[k] = kind == mxcy_random::UNIFORM ? mxcy_random::unit(w[k], w[k + 2])
                                                : 0 - mxcy::log(mxcy_random::positive(w[k], w[k + 2]));
}

/* sampled: the parameters of the distribution come from arrays. */
template <int kind, class T, bool sampled>
static inline void random_fill(T* out, const mxcy_random::Parameters& p, uint64_t seed, uint64_t stream, int64_t n) {
    typedef wide_t<T> W;
    if constexpr (kind <= mxcy_random::EXPONENTIAL) {
        constexpr int size = mxcy_random::Tile<W>::SIZE, rows = size / PHILOX_BLOCKS;
        for (int64_t item = first_item(); item < (n + size - 1) / size * RUNS; item += grid_step()) {
            const int64_t tile = item / RUNS;
            const int first = item % RUNS * RUN;
            W z[RUN][rows];
#pragma unroll
            for (int j = 0; j < RUN; j++) {
                uint32_t words[4];
                philox_block(words, seed, stream, tile * PHILOX_BLOCKS + first + j);
                standard<kind>(z[j], words);
            }
#pragma unroll
            for (int k = 0; k < rows; k++) {
                const int64_t at = tile * size + k * PHILOX_BLOCKS + first;
                Pack<T, RUN> run;
#pragma unroll
                for (int j = 0; j < RUN; j++) {
                    const int64_t i = at + j < n ? at + j : n - 1;
                    const double a = sampled ? p.get(0, i) : p.number[0], b = sampled ? p.get(1, i) : p.number[1];
                    W x;
                    mxcy_random::transform(kind, &x, &z[j][k], 1, a, b);
                    run.item[j] = narrow<T>(x);
                }
                store_run(out, run, at, n);
            }
        }
    } else
        for (int64_t i = first_item(); i < n; i += grid_step()) {
            mxcy_random::Draws draws(seed, stream, i);
            out[i] = narrow<T>(W(mxcy_random::draw(kind, draws, p.get(0, i), p.get(1, i))));
        }
}

template <class T>
static inline void random_integers(T* out, int64_t low, uint64_t range, uint64_t seed, uint64_t stream, int64_t n) {
    constexpr int size = PHILOX_TILE / 2;
    for (int64_t block = first_item(); block < (n + size - 1) / size * PHILOX_BLOCKS; block += grid_step()) {
        uint32_t w[4];
        philox_block(w, seed, stream, block);
        for (int k = 0; k < 2; k++) {
            const int64_t i = block / PHILOX_BLOCKS * size + k * PHILOX_BLOCKS + block % PHILOX_BLOCKS;
            const uint64_t bits = uint64_t(w[k]) << 32 | w[k + 2];
            if (i < n) out[i] = T(low + int64_t(mxcy_random::upper_product(bits, range)));
        }
    }
}

/* -- categories ----------------------------------------------------------------------------------------------------- */

/* Running sums of each row of k probabilities, by a block each. */
template <class T> static inline void running_sums(double* sums, const T* p, int64_t k) {
    __shared__ double of_warps[32];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    double before = 0;
    p += blockIdx.x * k;
    sums += blockIdx.x * k;
    for (int64_t base = 0; base < k; base += blockDim.x) {
        const int64_t i = base + threadIdx.x;
        double sum = i < k ? double(widen(p[i])) : 0;
        for (int step = 1; step < 32; step *= 2) {
            const double other = __shfl_up_sync(0xffffffffu, sum, step);
            if (lane >= step) sum += other;
        }
        if (lane == 31) of_warps[warp] = sum;
        __syncthreads();
        double left = before;
        for (int w = 0; w < warp; w++) left += of_warps[w];
        for (int w = 0; w < blockDim.x / 32; w++) before += of_warps[w];
        if (i < k) sums[i] = left + sum;
        __syncthreads();
    }
}

/* The first category whose running sum exceeds a uniform number. logs: NULL, or where its log-probability goes. */
template <class T, class O>
static inline void choose(O* out, T* logs, const T* p, const double* sums, int64_t k, int64_t count, uint64_t seed,
                          uint64_t stream, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const double* row = sums + i / count * k;
        const double u = mxcy_random::uniform_at(seed, stream, i) * row[k - 1];
        int64_t low = 0, high = k - 1;
        while (low < high) {
            const int64_t middle = (low + high) / 2;
            if (row[middle] > u) high = middle;
            else low = middle + 1;
        }
        out[i] = narrow<O>(wide_t<O>(low));
        if (logs) logs[i] = narrow<T>(wide_t<T>(::log(double(widen(p[i / count * k + low])))));
    }
}

static inline void distinct_rows(int64_t* out, int64_t* tries, int64_t* tables, int64_t count, uint64_t limit,
                                 int64_t slots, uint64_t seed, uint64_t stream, int64_t rows) {
    for (int64_t row = first_item(); row < rows; row += grid_step())
        tries[row] = mxcy_random::distinct(out + row * count, count, limit, tables + row * slots, slots, seed, stream,
                                           row);
}

/* -- order ---------------------------------------------------------------------------------------------------------- */

/* The CPU shuffles by Fisher and Yates: step i exchanges the places i and j_i <= i. Here each place finds what it holds
   in the end: the last step i that came from there, i > place, left its index; before that only step `place` itself
   had touched it, and brought what j_place held then. Lists of the steps by j are short: about log(n / j) long. */
static inline void list_steps(int64_t* from, unsigned long long* last, int64_t* previous, uint64_t seed, uint64_t stream,
                              int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const int64_t j = mxcy_random::below(i + 1, seed, stream, i);
        from[i] = j;
        if (j != i) previous[i] = int64_t(atomicExch(last + j, (unsigned long long)i));     /* last starts as all -1 */
    }
}
static inline void follow_steps(int64_t* order, const int64_t* from, const unsigned long long* last,
                                const int64_t* previous, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t place = i, before = n, found;
        for (;;) {
            found = -1;
            for (int64_t step = int64_t(last[place]); step >= 0; step = previous[step])
                if (step < before && step > found) found = step;
            if (found >= 0) break;
            if (from[place] == place) {
                found = place;
                break;
            }
            before = place;
            place = from[place];
        }
        order[i] = found;
    }
}

/* Rows of `size` units in this order. */
template <class T> static inline void gather_rows(T* out, const T* data, const int64_t* order, int64_t size, int64_t n) {
    typedef Pack<uint32_t, 4> Wide;
    constexpr int count = sizeof(Wide) / sizeof(T);
    if (size % count == 0 && (uintptr_t(out) | uintptr_t(data)) % sizeof(Wide) == 0) {
        const int64_t packs = size / count;
        for (int64_t i = first_item(); i < n * packs; i += grid_step())
            reinterpret_cast<Wide*>(out)[i] = reinterpret_cast<const Wide*>(data)[order[i / packs] * packs + i % packs];
    } else
        for (int64_t i = first_item(); i < n * size; i += grid_step())
            out[i] = data[order[i / size] * size + i % size];
}

/* -- dropout -------------------------------------------------------------------------------------------------------- */

enum { DROPPED, KEPT, UNTOUCHED };                  /* bytes of the mask, as in _random.pyx */

/* The mask, and the data under it unless out is NULL. */
template <class T>
static inline void dropout(T* out, uint8_t* mask, const T* data, double scale, uint32_t threshold, int train,
                           uint64_t seed, uint64_t stream, int64_t n) {
    typedef wide_t<T> W;
    for (int64_t item = first_item(); item < (n + PHILOX_TILE - 1) / PHILOX_TILE * RUNS; item += grid_step()) {
        const int64_t first = item / RUNS * PHILOX_TILE + item % RUNS * RUN;
        uint32_t words[RUN][4];
        if (train)
            for (int j = 0; j < RUN; j++)
                philox_block(words[j], seed, stream, item / RUNS * PHILOX_BLOCKS + item % RUNS * RUN + j);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            const int64_t at = first + k * PHILOX_BLOCKS;
            Pack<uint8_t, RUN> kept;
            Pack<T, RUN> x;
            if (out) load_run(x, data, at, n);
#pragma unroll
            for (int j = 0; j < RUN; j++) {
                kept.item[j] = !train ? UNTOUCHED : words[j][k] >= threshold;
                if (train) x.item[j] = narrow<T>(kept.item[j] ? W(widen(x.item[j]) * W(scale)) : W(0));
            }
            store_run(mask, kept, at, n);
            if (out) store_run(out, x, at, n);
        }
    }
}

/* The data under a mask, which may broadcast. */
template <class T>
static inline void under_mask(T* out, const T* data, const uint8_t* mask, double scale, const Axes& axes, int64_t n) {
    typedef wide_t<T> W;
    const bool untouched = mask[0] == UNTOUCHED, whole = axes.ndim == 1 && axes.strides[0] == 1;
    for (int64_t at = first_item() * RUN; at < n; at += grid_step() * RUN) {
        Pack<uint8_t, RUN> kept;
        Pack<T, RUN> x;
        load_run(x, data, at, n);
        if (whole) load_run(kept, mask, at, n);
        else
            for (int j = 0; j < RUN && at + j < n; j++) kept.item[j] = mask[offset(axes, at + j)];
        if (!untouched)
            for (int j = 0; j < RUN; j++)
                x.item[j] = narrow<T>(kept.item[j] ? W(widen(x.item[j]) * W(scale)) : W(0));
        store_run(out, x, at, n);
    }
}

}  // namespace mxcy

#define MXCY_RANDOM(kind, T, sampled)                                                                                  \
    extern "C" __global__ void fill(T* out, mxcy_random::Parameters p, mxcy::Philox random, int64_t n) {               \
        mxcy::random_fill<mxcy_random::kind, T, sampled>(out, p, random.seed(), random.stream(), n);                   \
    }
#define MXCY_INTEGERS(T)                                                                                               \
    extern "C" __global__ void fill(T* out, int64_t low, uint64_t range, mxcy::Philox random, int64_t n) {             \
        mxcy::random_integers<T>(out, low, range, random.seed(), random.stream(), n);                                  \
    }
#define MXCY_CATEGORIES(T, O)                                                                                          \
    extern "C" __global__ void running_sums(double* sums, const T* p, int64_t k) { mxcy::running_sums<T>(sums, p, k); } \
    extern "C" __global__ void choose(O* out, T* logs, const T* p, const double* sums, int64_t k, int64_t count,       \
                                      mxcy::Philox random, int64_t n) {                                                \
        mxcy::choose<T, O>(out, logs, p, sums, k, count, random.seed(), random.stream(), n);                           \
    }
#define MXCY_DISTINCT                                                                                                  \
    extern "C" __global__ void distinct(int64_t* out, int64_t* tries, int64_t* tables, int64_t count, uint64_t limit,  \
                                        int64_t slots, mxcy::Philox random, int64_t rows) {                            \
        mxcy::distinct_rows(out, tries, tables, count, limit, slots, random.seed(), random.stream(), rows);            \
    }
#define MXCY_SHUFFLE(T)                                                                                                \
    extern "C" __global__ void list_steps(int64_t* from, unsigned long long* last, int64_t* previous,                  \
                                          mxcy::Philox random, int64_t n) {                                            \
        mxcy::list_steps(from, last, previous, random.seed(), random.stream(), n);                                     \
    }                                                                                                                  \
    extern "C" __global__ void follow_steps(int64_t* order, const int64_t* from, const unsigned long long* last,       \
                                            const int64_t* previous, int64_t n) {                                      \
        mxcy::follow_steps(order, from, last, previous, n);                                                            \
    }                                                                                                                  \
    extern "C" __global__ void gather_rows(T* out, const T* data, const int64_t* order, int64_t size, int64_t n) {     \
        mxcy::gather_rows<T>(out, data, order, size, n);                                                               \
    }
#define MXCY_DROPOUT(T)                                                                                                \
    extern "C" __global__ void dropout(T* out, uint8_t* mask, const T* data, double scale, uint32_t threshold,         \
                                       int train, int always, mxcy::Philox random, int64_t n) {                        \
        mxcy::dropout<T>(out, mask, data, scale, threshold, train || always, random.seed(), random.stream(), n);       \
    }                                                                                                                  \
    extern "C" __global__ void under_mask(T* out, const T* data, const uint8_t* mask, double scale,                    \
                                          const __grid_constant__ mxcy::Axes axes, int64_t n) {                        \
        mxcy::under_mask<T>(out, data, mask, scale, axes, n);                                                          \
    }
#endif
