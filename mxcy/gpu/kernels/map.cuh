/* Elementwise kernels: an operation of the headers in mxcy/ops, applied to every element.

   MXCY_MAP(op, T, arity, slot, words) makes two: `flat` for inputs that are as large as the output or have one element,
   `strided` for others that broadcast. Tile input `slot` is the number of a scalar operator (-1: none); the operation is
   made from `words` doubles of parameters. */
#ifndef MXCY_GPU_MAP_CUH
#define MXCY_GPU_MAP_CUH
#include <cstdint>
#include <utility>
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

enum { MAP_AXES = 12 };

template <int n> struct Inputs {
    const void* data[n ? n : 1];
    int64_t whole[n ? n : 1];               /* flat: 1, or 0 where the input has one element */
};
template <int n> struct Walk {              /* strides in elements; the last axis first */
    int64_t ndim, dims[MAP_AXES], strides[n ? n : 1][MAP_AXES];
};
template <int n> struct Words { double word[n ? n : 1]; };

template <class Op, class W, size_t... I>
static inline W apply(const Op& op, const W* x, std::index_sequence<I...>) { return op(x[I]...); }

template <template <class> class Op, class T, int arity, int slot, int words>
static inline void map_flat(T* out, const Inputs<arity - (slot >= 0)>& inputs, const Words<words>& params, double scalar,
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

template <template <class> class Op, class T, int arity, int slot, int words>
static inline void map_strided(T* out, const Inputs<arity - (slot >= 0)>& inputs, const Words<words>& params,
                               double scalar, const Walk<arity - (slot >= 0)>& walk, int64_t n) {
    typedef wide_t<T> W;
    constexpr int own = arity - (slot >= 0);
    const Op<W> op(&params);
    W x[arity];
    if (slot >= 0) x[slot >= 0 ? slot : 0] = number<W>(scalar);
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t at[own ? own : 1] = {}, rest = i;
        for (int axis = 0; axis < walk.ndim; axis++) {
            const int64_t index = rest % walk.dims[axis];
            rest /= walk.dims[axis];
            for (int k = 0; k < own; k++) at[k] += index * walk.strides[k][axis];
        }
        for (int k = 0, from = 0; k < arity; k++)
            if (k != slot) { x[k] = widen(static_cast<const T*>(inputs.data[from])[at[from]]); from++; }
        out[i] = narrow<T>(apply(op, x, std::make_index_sequence<arity>()));
    }
}

}  // namespace mxcy

#define MXCY_MAP(op, T, arity, slot, words)                                                                            \
    extern "C" __global__ void flat(T* out, mxcy::Inputs<arity - (slot >= 0)> inputs, mxcy::Words<words> params,       \
                                    double scalar, int64_t n) {                                                        \
        mxcy::map_flat<mxcy::op, T, arity, slot, words>(out, inputs, params, scalar, n);                               \
    }                                                                                                                  \
    extern "C" __global__ void strided(T* out, mxcy::Inputs<arity - (slot >= 0)> inputs, mxcy::Words<words> params,    \
                                       double scalar, mxcy::Walk<arity - (slot >= 0)> walk, int64_t n) {               \
        mxcy::map_strided<mxcy::op, T, arity, slot, words>(out, inputs, params, scalar, walk, n);                      \
    }
#endif
