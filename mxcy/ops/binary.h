/* Elementwise functions of two arrays of one type. A row is a name and an expression in x and y. */
#ifndef MXCY_OPS_BINARY_H
#define MXCY_OPS_BINARY_H
#include "mxcy/ops/tiles.h"
#include "mxcy/ops/vmath.h"

namespace mxcy {

/* An integer divided by 0 is 0, as in NumPy; the quotient is truncated towards zero. */
template <class T> static inline T divide(T x, T y) {
    if constexpr (std::is_floating_point_v<T>) return x / y;
    else return y == 0 ? T(0) : std::is_signed_v<T> && y == T(-1) ? T(-std::make_unsigned_t<T>(x)) : T(x / y);
}

/* The remainder that has the sign of y; 0 where y is 0. */
template <class T> static inline T modulo(T x, T y) {
    if (y == 0 || (std::is_integral_v<T> && std::is_signed_v<T> && y == T(-1))) return T(0);
    T rest;
    if constexpr (std::is_floating_point_v<T>) rest = std::fmod(x, y);
    else rest = T(x % y);
    return rest != 0 && (rest < 0) != (y < 0) ? T(rest + y) : rest;
}

template <class T> static inline T power(T x, T y) {
    if constexpr (std::is_floating_point_v<T>) return pow(x, y);
    else return truncate<T>(std::pow(double(x), double(y)));
}

#define MXCY_BINARY(ROW)                                \
    ROW(add, x + y)                                     \
    ROW(sub, x - y)                                     \
    ROW(mul, x * y)                                     \
    ROW(div, divide(x, y))                              \
    ROW(mod, modulo(x, y))                              \
    ROW(power, power(x, y))                             \
    ROW(hypot, truncate<T>(hypot(Real<T>(x), Real<T>(y)))) \
    ROW(maximum, x > y || x != x ? x : y)               \
    ROW(minimum, x < y || x != x ? x : y)               \
    ROW(equal, x == y)                                  \
    ROW(not_equal, x != y)                              \
    ROW(greater, x > y)                                 \
    ROW(greater_equal, x >= y)                          \
    ROW(lesser, x < y)                                  \
    ROW(lesser_equal, x <= y)                           \
    ROW(logical_and, (x != 0) & (y != 0))               \
    ROW(logical_or, (x != 0) | (y != 0))                \
    ROW(logical_xor, (x != 0) ^ (y != 0))

#define ROW(name, expression)                                       \
    template <class T> struct name##_op {                           \
        name##_op(const void*) {}                                   \
        T operator()(T x, T y) const { return T(expression); }      \
    };
MXCY_BINARY(ROW)
#undef ROW

#ifndef __CUDACC__
/* A power with the same exponent throughout: those that programs use most are products, quotients and roots. */
template <class T> static void power_scalar(void* out, const void* const* inputs, ptrdiff_t n, const void* params) {
    const T exponent = *static_cast<const T*>(inputs[1]);
    auto each = [=](auto op) { tile_loop(static_cast<T*>(out), inputs, n, op, std::index_sequence<0>()); };
    if (exponent == T(2)) each([](T x) { return x * x; });
    else if (exponent == T(3)) each([](T x) { return x * x * x; });
    else if (exponent == T(-1)) each([](T x) { return 1 / x; });
    else if (exponent == T(.5)) each([](T x) { return x == -INF<T> ? INF<T> : std::sqrt(x) + 0; });
    else tile<power_op, T, 2>(out, inputs, n, params);
}

static Tile binary_tile(const char* operation, int dtype) {
#define ROW(name, expression) if (!std::strcmp(operation, #name)) return tile_of<name##_op, 2>(dtype);
    MXCY_BINARY(ROW)
#undef ROW
    if (!std::strcmp(operation, "power_scalar"))
        return dtype == 0 ? power_scalar<float> : dtype == 1 ? power_scalar<double> : tile_of<power_op, 2>(dtype);
    return nullptr;
}
#endif

}  // namespace mxcy
#endif
