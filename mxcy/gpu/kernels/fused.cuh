/* Several elementwise operations in one pass. The text that includes this defines

       template <class W> static inline void steps(const W* x, W* y, const double* c)

   from the values of the inputs and constants to those of the outputs; see mxcy/ops/cuda/fused.py. Inputs broadcast. */
#ifndef MXCY_GPU_FUSED_CUH
#define MXCY_GPU_FUSED_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

template <int inputs, int outputs, int constants, int axes> struct Fused {
    const void* in[inputs];
    void* out[outputs];
    double constant[constants];
    Divisor dims[axes];                     /* the last axis first */
    int64_t strides[inputs][axes];          /* in elements; along the last axis 1 or 0 */
};

/* Elements begin to end, `count` in a row at once. */
template <int count, class T, class I, class Steps, int inputs, int outputs, int constants, int axes>
static inline void fused_range(const Fused<inputs, outputs, constants, axes>& f, Steps steps, int64_t begin,
                               int64_t end) {
    typedef wide_t<T> W;
    typedef Pack<T, count> P;
    for (int64_t i = begin + first_item() * count; i < end; i += grid_step() * count) {
        I at[inputs] = {}, rest = I(i);
#pragma unroll
        for (int axis = 0; axis < axes; axis++) {
            I index = rest;
            if (axis + 1 < axes) rest = split(index, f.dims[axis]);
#pragma unroll
            for (int k = 0; k < inputs; k++) at[k] += index * I(f.strides[k][axis]);
        }
        P in[inputs], out[outputs];
#pragma unroll
        for (int k = 0; k < inputs; k++) {
            const T* from = static_cast<const T*>(f.in[k]) + at[k];
            if (f.strides[k][0] && uintptr_t(from) % sizeof(P) == 0) in[k] = *reinterpret_cast<const P*>(from);
            else
                for (int j = 0; j < count; j++) in[k].item[j] = from[f.strides[k][0] ? j : 0];
        }
#pragma unroll
        for (int j = 0; j < count; j++) {
            W x[inputs], y[outputs];
            for (int k = 0; k < inputs; k++) x[k] = widen(in[k].item[j]);
            steps(x, y, f.constant);
            for (int k = 0; k < outputs; k++) out[k].item[j] = narrow<T>(y[k]);
        }
#pragma unroll
        for (int k = 0; k < outputs; k++) reinterpret_cast<P*>(static_cast<T*>(f.out[k]) + i)[0] = out[k];
    }
}

template <class T, class I, class Steps, int inputs, int outputs, int constants, int axes>
static inline void fused(const Fused<inputs, outputs, constants, axes>& f, Steps steps, int64_t n) {
    constexpr int count = 16 / sizeof(T);
    bool packs = axes == 1 || f.dims[0].by % count == 0;
    for (int k = 0; k < outputs; k++) packs = packs && uintptr_t(f.out[k]) % 16 == 0;
    const int64_t end = packs ? n / count * count : 0;
    fused_range<count, T, I>(f, steps, 0, end);
    fused_range<1, T, I>(f, steps, end, n);
}

}  // namespace mxcy

#define MXCY_FUSED(T, I, inputs, outputs, constants, axes)                                                             \
    extern "C" __global__ void __launch_bounds__(256, 4)                                                               \
    fused(const __grid_constant__ mxcy::Fused<inputs, outputs, constants, axes> f, int64_t n) {                        \
        typedef mxcy::wide_t<T> W;                                                                                     \
        mxcy::fused<T, I>(f, [](const W* x, W* y, const double* c) { steps<W>(x, y, c); }, n);                         \
    }
#endif
