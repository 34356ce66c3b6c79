/* Elementwise kernels: an operation of the headers in mxcy/ops, applied to every element of inputs that are as large as
   the output or have one element; others that broadcast are done by fused.cuh.

   In MXCY_MAP(op, T, arity, slot, words), tile input `slot` is the number of a scalar operator (-1: none); the
   operation is made from `words` doubles of parameters. */
#ifndef MXCY_GPU_MAP_CUH
#define MXCY_GPU_MAP_CUH
#include <cstdint>
#include <utility>
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

template <int n> struct Inputs {
    const void* data[n ? n : 1];
    int64_t whole[n ? n : 1];               /* 1, or 0 where the input has one element */
};
template <int n> struct Words { double word[n ? n : 1]; };

template <class Op, class W, size_t... I>
static inline W apply(const Op& op, const W* x, std::index_sequence<I...>) { return op(x[I]...); }

template <template <class> class Op, class T, int arity, int slot, int words>
static inline void map(T* out, const Inputs<arity - (slot >= 0)>& inputs, const Words<words>& params, double scalar,
                            int64_t n) {
    typedef wide_t<T> W;
    constexpr int count = 16 / sizeof(T), own = arity - (slot >= 0);
    typedef Pack<T, count> P;
    const Op<W> op(&params);
    W x[arity];
    if (slot >= 0) x[slot >= 0 ? slot : 0] = number<W>(scalar);
    bool aligned = uintptr_t(out) % sizeof(P) == 0;
    for (int k = 0; k < own; k++) aligned = aligned && (!inputs.whole[k] || uintptr_t(inputs.data[k]) % sizeof(P) == 0);
    const int64_t packs = aligned ? n / count : 0;
    for (int64_t p = first_item(); p < packs; p += grid_step()) {
        P in[own ? own : 1], result;
        for (int k = 0; k < own; k++) {
            if (inputs.whole[k]) in[k] = static_cast<const P*>(inputs.data[k])[p];
            else for (int j = 0; j < count; j++) in[k].item[j] = *static_cast<const T*>(inputs.data[k]);
        }
        for (int j = 0; j < count; j++) {
            for (int k = 0, at = 0; k < arity; k++)
                if (k != slot) x[k] = widen(in[at++].item[j]);
            result.item[j] = narrow<T>(apply(op, x, std::make_index_sequence<arity>()));
        }
        reinterpret_cast<P*>(out)[p] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) {
        for (int k = 0, at = 0; k < arity; k++)
            if (k != slot) { x[k] = widen(static_cast<const T*>(inputs.data[at])[i * inputs.whole[at]]); at++; }
        out[i] = narrow<T>(apply(op, x, std::make_index_sequence<arity>()));
    }
}

}  // namespace mxcy

#define MXCY_MAP(op, T, arity, slot, words)                                                                            \
    extern "C" __global__ void map(T* out, mxcy::Inputs<arity - (slot >= 0)> inputs, mxcy::Words<words> params,        \
                                    double scalar, int64_t n) {                                                        \
        mxcy::map<mxcy::op, T, arity, slot, words>(out, inputs, params, scalar, n);                                    \
    }
#endif
