/* Choice between two arrays, and the sum of several. */
#ifndef MXCY_GPU_SELECT_CUH
#define MXCY_GPU_SELECT_CUH
#include <type_traits>
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

/* NaN is true, -0 is not; a 16-bit float is true but for its sign. */
template <class C> static inline bool is_true(C condition) {
    if constexpr (std::is_same_v<C, half> || std::is_same_v<C, bfloat16>) return (condition.bits & 0x7fff) != 0;
    else return condition != 0;
}

/* condition[i / row] chooses element i. Elements are of any dtype of their size. */
template <class T, class C, class I>
static inline void where(T* out, const C* condition, const T* x, const T* y, const Divisor& row, int64_t n) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    typedef Pack<C, count> Q;
    const bool aligned = (uintptr_t(out) | uintptr_t(x) | uintptr_t(y)) % sizeof(P) == 0;
    const bool together = row.by == 1 && uintptr_t(condition) % sizeof(Q) == 0;
    const int64_t packs = aligned ? n / count : 0;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        const P yes = reinterpret_cast<const P*>(x)[i], no = reinterpret_cast<const P*>(y)[i];
        P result;
        Q which;
        if (together) which = reinterpret_cast<const Q*>(condition)[i];
        else
#pragma unroll
            for (int j = 0; j < count; j++) which.item[j] = condition[divide(I(i * count + j), row)];
#pragma unroll
        for (int j = 0; j < count; j++) result.item[j] = is_true(which.item[j]) ? yes.item[j] : no.item[j];
        reinterpret_cast<P*>(out)[i] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step())
        out[i] = is_true(condition[divide(I(i), row)]) ? x[i] : y[i];
}

template <class T, int count> struct Terms { const T* data[count]; };

/* out = terms[0] + terms[1] + ..., in that order. */
template <class T, int terms> static inline void add_n(T* out, const Terms<T, terms>& from, int64_t n) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    bool aligned = uintptr_t(out) % sizeof(P) == 0;
    for (int k = 0; k < terms; k++) aligned = aligned && uintptr_t(from.data[k]) % sizeof(P) == 0;
    const int64_t packs = aligned ? n / count : 0;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        wide_t<T> sum[count] = {};
#pragma unroll
        for (int k = 0; k < terms; k++) {
            const P term = reinterpret_cast<const P*>(from.data[k])[i];
            for (int j = 0; j < count; j++)
                sum[j] = k ? wide_t<T>(sum[j] + widen(term.item[j])) : widen(term.item[j]);
        }
        P result;
        for (int j = 0; j < count; j++) result.item[j] = narrow<T>(sum[j]);
        reinterpret_cast<P*>(out)[i] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) {
        wide_t<T> sum = widen(from.data[0][i]);
        for (int k = 1; k < terms; k++) sum = sum + widen(from.data[k][i]);
        out[i] = narrow<T>(sum);
    }
}

}  // namespace mxcy
#endif
