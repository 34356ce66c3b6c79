/* Elementwise functions of one array. A row is a name and an expression in x. */
#ifndef MXCY_OPS_UNARY_H
#define MXCY_OPS_UNARY_H
#include <algorithm>
#include "mxcy/ops/special.h"
#include "mxcy/ops/tiles.h"
#include "mxcy/ops/vmath.h"

namespace mxcy {

template <class T> static inline T absolute(T x) {
    if constexpr (std::is_floating_point_v<T>) return std::fabs(x);
    else return x < 0 ? T(-x) : x;
}
template <class R> static inline R round_half_away(R x) {
    R whole = std::trunc(x);
    return std::fabs(x - whole) >= R(.5) ? whole + std::copysign(R(1), x) : whole;
}
template <class R> static inline R round_half_down(R x) {
    R low = std::floor(x), high = std::ceil(x);
    return x - low <= high - x ? low : high;
}

/* x has the type T of the array. */
#define MXCY_EXACT(ROW)                     \
    ROW(abs, absolute(x))                   \
    ROW(sign, (x > 0) - (x < 0))            \
    ROW(negative, -x)                       \
    ROW(square, x * x)                      \
    ROW(relu, x <= 0 ? T(0) : x)            \
    ROW(logical_not, x == 0)

/* Integers stay as they are. */
#define MXCY_ROUNDING(ROW)                  \
    ROW(round, round_half_away(x))          \
    ROW(rint, round_half_down(x))           \
    ROW(ceil, std::ceil(x))                 \
    ROW(floor, std::floor(x))               \
    ROW(trunc, std::trunc(x))

/* x is floating point, of type R; integers are converted to double, and the result is truncated. */
#define MXCY_REAL(ROW)                      \
    ROW(sqrt, std::sqrt(x))                 \
    ROW(rsqrt, rsqrt(x))                    \
    ROW(cbrt, cbrt(x))                      \
    ROW(rcbrt, rcbrt(x))                    \
    ROW(reciprocal, R(1) / x)               \
    ROW(exp, exp(x))                        \
    ROW(expm1, expm1(x))                    \
    ROW(log, log(x))                        \
    ROW(log2, log2(x))                      \
    ROW(log10, log10(x))                    \
    ROW(log1p, log1p(x))                    \
    ROW(sin, sin(x))                        \
    ROW(cos, cos(x))                        \
    ROW(tan, tan(x))                        \
    ROW(arcsin, asin(x))                    \
    ROW(arccos, acos(x))                    \
    ROW(arctan, atan(x))                    \
    ROW(sinh, sinh(x))                      \
    ROW(cosh, cosh(x))                      \
    ROW(tanh, tanh(x))                      \
    ROW(arcsinh, asinh(x))                  \
    ROW(arccosh, acosh(x))                  \
    ROW(arctanh, atanh(x))                  \
    ROW(degrees, x * R(57.29577951308232))  \
    ROW(radians, x * R(.017453292519943295)) \
    ROW(erf, erf(x))                        \
    ROW(erfinv, erfinv(x))                  \
    ROW(gamma, gamma(x))                    \
    ROW(gammaln, gammaln(x))                \
    ROW(sigmoid, sigmoid(x))                \
    ROW(softsign, x / (1 + std::fabs(x)))   \
    ROW(softrelu, softrelu(x))

#define ROW(name, expression)                                       \
    template <class T> struct name##_op {                           \
        name##_op(const void*) {}                                   \
        T operator()(T x) const { return T(expression); }           \
    };
MXCY_EXACT(ROW)
#undef ROW
#define ROW(name, expression)                                       \
    template <class T> struct name##_op {                           \
        name##_op(const void*) {}                                   \
        T operator()(T x) const {                                   \
            if constexpr (std::is_integral_v<T>) return x;          \
            else return expression;                                 \
        }                                                           \
    };
MXCY_ROUNDING(ROW)
#undef ROW
#define ROW(name, expression)                                       \
    template <class T> struct name##_op {                           \
        typedef Real<T> R;                                          \
        name##_op(const void*) {}                                   \
        T operator()(T value) const {                               \
            R x = R(value);                                         \
            return truncate<T>(R(expression));                      \
        }                                                           \
    };
MXCY_REAL(ROW)
#undef ROW

#ifndef __CUDACC__
/* The vectorised float forms hold up to TRIGONOMETRIC_LIMIT; a block with anything larger is left to the C library. */
template <class Fast, class Exact>
static inline void trigonometric_loop(void* out, const void* const* inputs, ptrdiff_t n, Fast fast, Exact exact) {
    constexpr ptrdiff_t BLOCK = 256;
    for (ptrdiff_t start = 0; start < n; start += BLOCK) {
        ptrdiff_t size = n - start < BLOCK ? n - start : BLOCK;
        const float* x = static_cast<const float*>(inputs[0]) + start;
        float* y = static_cast<float*>(out) + start;
        uint32_t largest = 0;                              // bit patterns grow with the number, NaN above all
        for (ptrdiff_t i = 0; i < size; i++) largest = std::max(largest, bits<uint32_t>(x[i]) & 0x7fffffff);
        if (largest < bits<uint32_t>(TRIGONOMETRIC_LIMIT)) {
#pragma GCC ivdep
            for (ptrdiff_t i = 0; i < size; i++) y[i] = fast(x[i]);
        } else {
            for (ptrdiff_t i = 0; i < size; i++) y[i] = exact(x[i]);
        }
    }
}
#define ROW(name)                                                                                           \
    template <> void tile<name##_op, float, 1>(void* out, const void* const* inputs, ptrdiff_t n, const void*) { \
        trigonometric_loop(out, inputs, n, [](float x) { return name(x); },                                 \
                           [](float x) { return float(std::name(double(x))); });                            \
    }
ROW(sin) ROW(cos) ROW(tan)
#undef ROW

static Tile unary_tile(const char* operation, int dtype) {
#define ROW(name, expression) if (!std::strcmp(operation, #name)) return tile_of<name##_op, 1>(dtype);
    MXCY_EXACT(ROW) MXCY_ROUNDING(ROW) MXCY_REAL(ROW)
#undef ROW
    return nullptr;
}
#endif

}  // namespace mxcy
#endif
