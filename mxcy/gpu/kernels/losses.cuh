/* The gradients that output layers start from. */
#ifndef MXCY_GPU_LOSSES_CUH
#define MXCY_GPU_LOSSES_CUH
#include "mxcy/gpu/kernels/items.cuh"

namespace mxcy {

/* As in mxcy/ops/_losses.pyx; the classes are counted by n. */
struct Classes {
    double scale, ignored, alpha, divisor;
    int64_t n, inner, ignore;
};

/* How many labels are not `ignored`, at least 1. One block. */
template <class T> static inline void count_valid(double* count, const T* label, double ignored, int64_t n) {
    typedef wide_t<T> W;
    int64_t valid = 0;
    for (int64_t i = threadIdx.x; i < n; i += blockDim.x) valid += widen(label[i]) != W(ignored);
    valid = join_lanes(valid, int(blockDim.x), [](int64_t a, int64_t b) { return a + b; });
    if (threadIdx.x == 0) *count = valid > 1 ? double(valid) : 1.;
}

/* The softmax less the one-hot label, which may be smoothed; 0 where the label is ignored. */
template <class T>
static inline void class_gradients(T* out, const T* y, const T* label, const double* valid, const Classes& p,
                                   int64_t size) {
    typedef wide_t<T> W;
    const W scale = W(p.scale / (valid ? *valid : p.divisor)), hit = W(1 - p.alpha);
    const W miss = W(p.alpha / double(p.n > 2 ? p.n - 1 : 1));
    for (int64_t i = first_item(); i < size; i += grid_step()) {
        const int64_t row = quotient(i, p.inner), outer = quotient(row, p.n);
        const W right = widen(label[outer * p.inner + (i - row * p.inner)]);
        const bool here = int64_t(right) == row - outer * p.n;
        out[i] = narrow<T>(p.ignore && right == W(p.ignored) ? W(0) : (widen(y[i]) - (here ? hit : miss)) * scale);
    }
}

template <class T> static inline void difference(T* out, const T* y, const T* label, double scale, int64_t size) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < size; i += grid_step())
        out[i] = narrow<T>((widen(y[i]) - widen(label[i])) * W(scale));
}

/* Of the sum over classes of max(0, margin - s x), or of its square; s is 1 for the right class, else -1. */
template <class T>
static inline void hinge_gradients(T* out, const T* x, const T* label, double margin, double weight, int64_t linear,
                                   int64_t n, int64_t size) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < size; i += grid_step()) {
        const int64_t row = quotient(i, n);
        const W side = i - row * n == int64_t(widen(label[row])) ? 1 : -1, lacking = W(margin) - side * widen(x[i]);
        out[i] = narrow<T>(lacking > 0 ? -side * W(weight) * (linear ? W(1) : 2 * lacking) : W(0));
    }
}

}  // namespace mxcy

#define MXCY_LOSSES(T)                                                                                                 \
    extern "C" __global__ void __launch_bounds__(1024) count_valid(double* count, const T* label, double ignored,      \
                                                                   int64_t n) {                                        \
        mxcy::count_valid(count, label, ignored, n);                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void class_gradients(T* out, const T* y, const T* label, const double* valid,                \
                                               mxcy::Classes p, int64_t size) {                                        \
        mxcy::class_gradients(out, y, label, valid, p, size);                                                          \
    }                                                                                                                  \
    extern "C" __global__ void difference(T* out, const T* y, const T* label, double scale, int64_t size) {            \
        mxcy::difference(out, y, label, scale, size);                                                                  \
    }                                                                                                                  \
    extern "C" __global__ void hinge_gradients(T* out, const T* x, const T* label, double margin, double weight,       \
                                               int64_t linear, int64_t n, int64_t size) {                              \
        mxcy::hinge_gradients(out, x, label, margin, weight, linear, n, size);                                         \
    }
#endif
