/* Activations with parameters, and derivatives fused into one pass. A row is a name, how many parameters p it has,
   and an expression in x, and in g if it is a derivative. */
#ifndef MXCY_OPS_ACTIVATION_H
#define MXCY_OPS_ACTIVATION_H
#include "mxcy/ops/special.h"
#include "mxcy/ops/tiles.h"
#include "mxcy/ops/vmath.h"

namespace mxcy {

constexpr double SELU_SCALE = 1.0507009873554804934193349852946, SELU_ALPHA = 1.6732632423543772848170429916717;

template <class T> static inline T unit(T x) { return x < 0 ? T(0) : x > 1 ? T(1) : x; }
template <class T> static inline T normal_cdf(T x) { return T(.5) * (1 + erf(x * T(.7071067811865476))); }
template <class T> static inline T normal_pdf(T x) { return T(.3989422804014327) * exp(T(-.5) * x * x); }

/* |x| - 1 / (2 s^2) away from 0, and a parabola within 1 / s^2. */
template <class T> static inline T smooth_l1(T x, T s) {
    T a = std::fabs(x), s2 = s * s;
    return a < 1 / s2 ? T(.5) * s2 * x * x : a - T(.5) / s2;
}
template <class T> static inline T smooth_l1_slope(T x, T s) {
    return std::fabs(x) < 1 / (s * s) ? s * s * x : std::copysign(T(1), x);
}

#define MXCY_ACTIVATION(ROW)                                                \
    ROW(hard_sigmoid, 2, unit(p[0] * x + p[1]))                             \
    ROW(leaky, 1, x > 0 ? x : p[0] * x)                                     \
    ROW(elu, 1, x > 0 ? x : p[0] * expm1(x))                                \
    ROW(selu, 0, T(SELU_SCALE) * (x > 0 ? x : T(SELU_ALPHA) * expm1(x)))    \
    ROW(gelu, 0, x * normal_cdf(x))                                         \
    ROW(polygamma, 1, T(polygamma(int(p[0]), double(x))))

/* g is the gradient of the output; x is the input or the output, as the operator passes it. */
#define MXCY_DERIVATIVE(ROW)                                                \
    ROW(abs, 0, x > 0 ? g : x < 0 ? -g : T(0))                              \
    ROW(sqrt, 0, g * (T(.5) / x))                                           \
    ROW(relu, 0, x > 0 ? g : x * 0)                                         \
    ROW(sigmoid, 0, g * x * (1 - x))                                        \
    ROW(tanh, 0, g * (1 - x * x))                                           \
    ROW(softrelu, 0, -g * expm1(-x))                                        \
    ROW(softsign, 0, g / ((1 + std::fabs(x)) * (1 + std::fabs(x))))         \
    ROW(hard_sigmoid, 1, x > 0 && x < 1 ? p[0] * g : T(0))                  \
    ROW(leaky, 1, x > 0 ? g : p[0] * g)                                     \
    ROW(elu, 1, x > 0 ? g : g * p[0] * exp(x))                              \
    ROW(selu, 0, T(SELU_SCALE) * (x > 0 ? g : g * T(SELU_ALPHA) * exp(x)))  \
    ROW(gelu, 0, g * (normal_cdf(x) + x * normal_pdf(x)))

/* The packed parameters are doubles. */
template <class T, int count> struct Parameters {
    T p[count ? count : 1];
    Parameters(const void* packed) {
        for (int i = 0; i < count; i++) p[i] = saturate<T>(static_cast<const double*>(packed)[i]);
    }
};

#define ROW(name, count, expression)                                        \
    template <class T> struct name##_op : Parameters<T, count> {            \
        using Parameters<T, count>::Parameters;                             \
        T operator()(T x) const { [[maybe_unused]] const T* p = this->p; return expression; } \
    };
MXCY_ACTIVATION(ROW)
ROW(clip, 2, x < p[0] ? p[0] : x > p[1] ? p[1] : x)
#undef ROW
#define ROW(name, count, expression)                                        \
    template <class T> struct backward_##name##_op : Parameters<T, count> { \
        using Parameters<T, count>::Parameters;                             \
        T operator()(T g, T x) const { [[maybe_unused]] const T* p = this->p; return expression; } \
    };
MXCY_DERIVATIVE(ROW)
ROW(clip, 2, x < p[0] || x > p[1] ? T(0) : g)
#undef ROW

template <class T> struct smooth_l1_op {
    smooth_l1_op(const void*) {}
    T operator()(T x, T s) const { return truncate<T>(smooth_l1(Real<T>(x), Real<T>(s))); }
};
template <class T> struct backward_smooth_l1_op {
    backward_smooth_l1_op(const void*) {}
    T operator()(T g, T x, T s) const { return g * smooth_l1_slope(x, s); }
};

#ifndef __CUDACC__
static Tile activation_tile(const char* operation, int dtype) {
    if (!std::strcmp(operation, "clip")) return tile_of<clip_op, 1>(dtype);
    if (!std::strcmp(operation, "backward_clip")) return tile_of<backward_clip_op, 2>(dtype);
    if (!std::strcmp(operation, "smooth_l1")) return tile_of<smooth_l1_op, 2>(dtype);
    if (!std::strcmp(operation, "backward_smooth_l1")) return real_tile_of<backward_smooth_l1_op, 3>(dtype);
#define ROW(name, count, expression) if (!std::strcmp(operation, #name)) return real_tile_of<name##_op, 1>(dtype);
    MXCY_ACTIVATION(ROW)
#undef ROW
#define ROW(name, count, expression) \
    if (!std::strcmp(operation, "backward_" #name)) return real_tile_of<backward_##name##_op, 2>(dtype);
    MXCY_DERIVATIVE(ROW)
#undef ROW
    return nullptr;
}
#endif

}  // namespace mxcy
#endif
