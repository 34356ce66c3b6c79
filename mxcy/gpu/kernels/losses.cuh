/* The gradients that output layers start from. */
#ifndef MXCY_GPU_LOSSES_CUH
#define MXCY_GPU_LOSSES_CUH
#include "mxcy/gpu/kernels/items.cuh"

namespace mxcy {

/* As in mxcy/ops/_losses.pyx; the classes are counted by n. */
struct Classes {
    double ignored, hit, miss;              /* hit, miss: the smoothed label of the right class and of others */
    Divisor n, inner;
    int64_t ignore;
};

/* scale divided by the number of labels that are not `ignored`, at least 1. One block. */
template <class T>
static inline void scale_by_valid(double* out, const T* label, double scale, double ignored, int64_t n) {
    typedef wide_t<T> W;
    int64_t valid = 0;
    in_turns<4>(threadIdx.x, n, blockDim.x, [](int64_t i) { return i; },
                [&](int64_t i) { valid += widen(label[i]) != W(ignored); });
    valid = join_lanes(valid, int(blockDim.x), Plus());
    if (threadIdx.x == 0) *out = scale / (valid > 1 ? double(valid) : 1.);
}

/* The softmax less the one-hot label, which may be smoothed; 0 where the label is ignored. Of all scaled: by what is
   found on the device, if not by `scale`. */
template <class T>
static inline void class_gradients(T* out, const T* y, const T* label, double scale, const double* found,
                                   const Classes& p, int64_t size) {
    typedef wide_t<T> W;
    const W factor = W(found ? *found : scale);
    for (int64_t i = first_item(); i < size; i += grid_step()) {
        int64_t across = i;
        int64_t of_class = split(across, p.inner);
        const int64_t outer = split(of_class, p.n);
        const W right = widen(label[outer * p.inner.by + across]);
        const W wanted = int64_t(right) == of_class ? W(p.hit) : W(p.miss);
        out[i] = narrow<T>(p.ignore && right == W(p.ignored) ? W(0) : (widen(y[i]) - wanted) * factor);
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
                                   const Divisor& n, int64_t size) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < size; i += grid_step()) {
        int64_t column = i;
        const int64_t row = split(column, n);
        const W side = column == int64_t(widen(label[row])) ? 1 : -1, lacking = W(margin) - side * widen(x[i]);
        out[i] = narrow<T>(lacking > 0 ? -side * W(weight) * (linear ? W(1) : 2 * lacking) : W(0));
    }
}

}  // namespace mxcy

#define MXCY_CLASS_GRADIENTS(T)                                                                                        \
    extern "C" __global__ void __launch_bounds__(1024) scale_by_valid(double* out, const T* label, double scale,       \
                                                                      double ignored, int64_t n) {                     \
        mxcy::scale_by_valid(out, label, scale, ignored, n);                                                           \
    }                                                                                                                  \
    extern "C" __global__ void class_gradients(T* out, const T* y, const T* label, double scale, const double* found,  \
                                               mxcy::Classes p, int64_t size) {                                        \
        mxcy::class_gradients(out, y, label, scale, found, p, size);                                                   \
    }
#define MXCY_DIFFERENCE(T)                                                                                             \
    extern "C" __global__ void difference(T* out, const T* y, const T* label, double scale, int64_t size) {            \
        mxcy::difference(out, y, label, scale, size);                                                                  \
    }
#define MXCY_HINGE_GRADIENTS(T)                                                                                        \
    extern "C" __global__ void hinge_gradients(T* out, const T* x, const T* label, double margin, double weight,       \
                                               int64_t linear, mxcy::Divisor n, int64_t size) {                        \
        mxcy::hinge_gradients(out, x, label, margin, weight, linear, n, size);                                         \
    }
#endif
