/* Activations whose slope for negative numbers is an input, or random. */
#ifndef MXCY_GPU_SLOPES_CUH
#define MXCY_GPU_SLOPES_CUH
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/gpu/kernels/philox.cuh"

namespace mxcy {

/* Element i has slope number i / inner % slopes. */
template <class T, class I>
static inline void prelu(T* out, const T* data, const T* slope, const Divisor& inner, const Divisor& slopes, int64_t n) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    const auto one = [&](T element, int64_t i) {
        const wide_t<T> x = widen(element);
        if (x > 0) return element;
        I which = divide(I(i), inner);
        split(which, slopes);
        return narrow<T>(widen(slope[which]) * x);
    };
    const int64_t packs = (uintptr_t(out) | uintptr_t(data)) % sizeof(P) ? 0 : n / count;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        P item = reinterpret_cast<const P*>(data)[i];
        for (int j = 0; j < count; j++) item.item[j] = one(item.item[j], i * count + j);
        reinterpret_cast<P*>(out)[i] = item;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) out[i] = one(data[i], i);
}

/* Slopes are uniform in [low, high) in training, else their mean; mask is the slope, or 1 where x is positive. A thread
   makes the four words of a Philox block: those of elements 64 apart. */
template <class T>
static inline void rrelu(T* out, T* mask, const T* data, double low, double high, uint64_t seed, uint64_t counter,
                         int train, int64_t n) {
    typedef wide_t<T> W;
    const W least = W(low), width = W(high - low);
    const int64_t blocks = (n + PHILOX_TILE - 1) / PHILOX_TILE * PHILOX_BLOCKS;
    for (int64_t block = first_item(); block < blocks; block += grid_step()) {
        uint32_t words[4];
        if (train) philox_block(words, seed, counter, block);
        for (int k = 0; k < 4; k++) {
            const int64_t i = block / PHILOX_BLOCKS * PHILOX_TILE + k * PHILOX_BLOCKS + block % PHILOX_BLOCKS;
            if (i >= n) continue;
            const W x = widen(data[i]), slope = x > 0 ? W(1) : !train ? least + width / 2 :
                least + width * W(words[k] >> 8) * W(5.9604644775390625e-8);                        /* 2^-24 */
            mask[i] = narrow<T>(slope);
            out[i] = narrow<T>(x * slope);
        }
    }
}

}  // namespace mxcy
#endif
