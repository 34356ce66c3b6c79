/* Elementary functions that a compiler vectorises when they are called in a plain loop: no branches, no tables, no
   intrinsics. NaN, infinities, signed zeros and subnormals come out as the C library has them.

   float: exp, log, expm1, tanh, sigmoid, softrelu, erf are computed in float, the others in double and rounded, which
   is exact to half an ulp and needs no compensated arithmetic. double: exp, expm1, log, tanh, sigmoid and softrelu are
   vectorised, the others are the C library's. The polynomials were fitted by Remez exchange. */
#ifndef MXCY_OPS_VMATH_H
#define MXCY_OPS_VMATH_H
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

namespace mxcy {

template <class To, class From> static inline To bits(From value) {
    static_assert(sizeof(To) == sizeof(From), "bits are kept");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

template <class T> constexpr T INF = std::numeric_limits<T>::infinity();
template <class T> constexpr T NOT_A_NUMBER = std::numeric_limits<T>::quiet_NaN();

/* Adding and subtracting ROUND rounds to the nearest integer, which then stands in the low bits of the sum. */
template <class T> constexpr T ROUND = 0;
template <> constexpr float ROUND<float> = 12582912.f;                 // 1.5 * 2^23
template <> constexpr double ROUND<double> = 6755399441055744.;        // 1.5 * 2^52

template <class T> static inline T nearest(T x) { return (x + ROUND<T>) - ROUND<T>; }

/* 2^k for an integer k within the exponents of normal numbers. */
static inline float power_of_two(float k) { return bits<float>((bits<uint32_t>(k + ROUND<float>) + 127) << 23); }
static inline double power_of_two(double k) { return bits<double>((bits<uint64_t>(k + ROUND<double>) + 1023) << 52); }

/* x 2^k in two steps, so that it overflows to infinity and rounds once to a subnormal. */
template <class T> static inline T scale(T x, T k) {
    T half = nearest(k * T(.5));
    return x * power_of_two(half) * power_of_two(k - half);
}

template <class T, class... More> static inline T polynomial(T x, double c, More... more) {
    if constexpr (sizeof...(more) == 0) return T(c);
    else return T(c) + x * polynomial(x, more...);
}

/* x = k log(2) + r, |r| <= log(2) / 2. */
static inline float reduce_exp(float x, float& k) {
    k = nearest(x * 1.44269504f);
    return (x - k * 0.693359375f) + k * 2.12194440e-4f;
}
static inline double reduce_exp(double x, double& k) {
    k = nearest(x * 1.4426950408889634);
    return (x - k * 0.693147180369123816490) - k * 1.90821492927058770002e-10;
}

/* exp(r) for the reduced argument. */
static inline float exp_reduced(float r) {
    float p = polynomial(r, .4999999341, .166665201, .04166839541, .008368781414, .001381441676);
    return 1.f + (r + r * r * p);
}
static inline double exp_reduced(double r) {
    double p = polynomial(r, .5, .166666666666666836, .0416666666666660887, .00833333333331691768,
                          .00138888888891173869, 1.98412698966796505e-4, 2.48015869244218384e-5,
                          2.75572345598776311e-6, 2.75575829215181101e-7, 2.51121441719468834e-8,
                          2.08265035091761756e-9);
    return 1. + (r + r * r * p);
}

static inline float exp(float x) {
    x = x > 89.f ? 89.f : x;
    x = x < -104.f ? -104.f : x;
    float k, r = reduce_exp(x, k);
    return scale(exp_reduced(r), k);
}
static inline double exp(double x) {
    x = x > 710. ? 710. : x;
    x = x < -746. ? -746. : x;
    double k, r = reduce_exp(x, k);
    return scale(exp_reduced(r), k);
}

/* exp(x) for x <= 0, with 0 in place of what is below the normal numbers: a quarter faster. */
template <class T> static inline T exp_of_negative(T x) {
    constexpr T lowest = sizeof(T) == 4 ? T(-87.) : T(-708.);
    T k, r = reduce_exp(x < lowest ? lowest : x, k);
    T e = exp_reduced(r) * power_of_two(k);
    return x < lowest ? 0 : e;
}

/* exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1), computed at half the scale so that only the result overflows. */
template <class T> static inline T finish_expm1(T x, T k, T p) {
    T half = power_of_two(k - 1);
    T result = (half * p + (half - T(.5))) * 2;
    return k == 0 ? (x == 0 ? x : p) : result;
}
static inline float expm1(float x) {
    float y = x > 89.f ? 89.f : x;
    y = y < -20.f ? -20.f : y;
    float k, r = reduce_exp(y, k);
    float p = polynomial(r, .5000000045, .1666666639, .04166635816, .00833338148, .001394085388, .0001985168905);
    return finish_expm1(x, k, r + r * r * p);
}
static inline double expm1(double x) {
    double y = x > 710. ? 710. : x;
    y = y < -40. ? -40. : y;
    double k, r = reduce_exp(y, k);
    double p = polynomial(r, .500000000000000087, .16666666666666671, .0416666666666521855, .0083333333333261018,
                          .00138888888956335339, 1.98412698749464052e-4, 2.48015744918824637e-5,
                          2.75572552319099565e-6, 2.75679464318265887e-7, 2.51052898650203686e-8,
                          1.7687721188239492e-9);
    return finish_expm1(x, k, r + r * r * p);
}

template <class T> static inline T finish_log(T x, T result) {
    result = x == INF<T> ? x : result;
    result = x > 0 ? result : NOT_A_NUMBER<T>;
    return x == 0 ? -INF<T> : result;
}
/* x = 2^k (1 + f), 1 + f in [sqrt(1/2), sqrt(2)). */
static inline float log(float x) {
    bool subnormal = x < 1.17549435e-38f;
    uint32_t u = bits<uint32_t>(subnormal ? x * 8388608.f : x);
    int32_t e = int32_t(u - 0x3f3504f3) >> 23;
    float f = bits<float>(u - (uint32_t(e) << 23)) - 1.f, k = float(e) - (subnormal ? 23.f : 0.f), f2 = f * f;
    float p = polynomial(f, .3333333171, -.2500082096, .2000122666, -.1662335858, .1420176067, -.1316017589,
                         .1276157703, -.07634526638);
    float low = (f * f2) * p - k * 2.12194440e-4f;
    return finish_log(x, (f + (low - .5f * f2)) + k * 0.693359375f);
}
static inline double log(double x) {
    bool subnormal = x < 2.2250738585072014e-308;
    uint64_t u = bits<uint64_t>(subnormal ? x * 4503599627370496. : x);
    uint64_t biased = (u + (0x3ff0000000000000 - 0x3fe6a09e667f3bcd)) >> 52;       // k + 1023: no signed shift
    double f = bits<double>(u - ((biased - 1023) << 52)) - 1.;
    double k = bits<double>(biased | 0x4330000000000000) - (4503599627370496. + 1023.) - (subnormal ? 52. : 0.);
    double s = f / (2. + f), z = s * s, square = .5 * f * f;
    double p = z * polynomial(z, .666666666666673539, .399999999994074542, .285714287441459314, .222221983781316217,
                              .181835751818216782, .153137553253025864, .147990708871850714);
    double low = s * (square + p) + k * 1.90821492927058770002e-10;
    return finish_log(x, k * 0.693147180369123816490 - ((square - low) - f));
}

/* An odd rational function up to where tanh rounds to 1. */
static inline float tanh(float x) {
    float a = std::fabs(x), y = a > 9.02f ? 9.02f : a, z = y * y;
    float p = polynomial(z, .9999999933, .1308315091, .003102994144, 1.114416716e-5, -2.018353583e-8, 5.257537104e-11,
                         -8.435348542e-14);
    float q = polynomial(z, 1., .464164779, .0244913538, .0002544739864);
    float t = y * p / q, bounded = t > 1.f ? 1.f : t;
    return std::copysign(a > 9.02f ? 1.f : bounded, x);
}
static inline double tanh(double x) {
    double a = std::fabs(x), e = expm1(a > 22. ? 44. : a + a);
    return std::copysign(a != a ? a : e / (e + 2.), x);
}

template <class T> static inline T sigmoid(T x) {
    T e = exp(-std::fabs(x));
    return (x < 0 ? e : T(1)) / (1 + e);
}

/* log(1 + x) for x in [0, 1]: the logarithm of the rounded sum, corrected for the rounding. */
template <class T> static inline T log1p_of_unit(T x) {
    T u = 1 + x;
    return log(u) + (x - (u - 1)) / u;
}
template <class T> static inline T softrelu(T x) {
    T y = log1p_of_unit(exp(-std::fabs(x)));
    return x > 0 ? x + y : y;
}

static inline float erf(float x) {
    float a = std::fabs(x), z = x * x, t = a > 4.f ? 4.f : a;
    float inner = a + a * polynomial(z, .1283791666, -.3761263337, .1128368995, -.02685909234, .005200276383,
                                     -.0008134158174, 8.334094203e-5);
    float outer = 1.f - exp(polynomial(t, .0001604116324, -1.129434153, -.633543375, -.1080120757, .02489530592,
                                       -.004053497012, .0003967058297, -1.431103028e-5, -5.219138636e-7));
    return std::copysign(a < .925f ? inner : outer, x);
}

#ifdef __CUDACC__
/* A GPU has few units for double, and a library of these in float that needs no vectors and has no limit on x. */
#define MXCY_LIBRARY(name) static inline float name(float x) { return std::name(x); }
MXCY_LIBRARY(log2) MXCY_LIBRARY(log10) MXCY_LIBRARY(log1p) MXCY_LIBRARY(sin) MXCY_LIBRARY(cos) MXCY_LIBRARY(tan)
MXCY_LIBRARY(sinh) MXCY_LIBRARY(cosh) MXCY_LIBRARY(asin) MXCY_LIBRARY(acos) MXCY_LIBRARY(atan) MXCY_LIBRARY(asinh)
MXCY_LIBRARY(acosh) MXCY_LIBRARY(atanh) MXCY_LIBRARY(cbrt)
#undef MXCY_LIBRARY
static inline float rcbrt(float x) { return 1.f / std::cbrt(x); }
static inline float pow(float x, float y) { return std::pow(x, y); }
static inline float hypot(float x, float y) { return std::hypot(x, y); }
#else
/* The functions below compute a float's result in double. */
static inline float log2(float x) { return float(log(double(x)) * 1.4426950408889634); }
static inline float log10(float x) { return float(log(double(x)) * 0.43429448190325182); }
static inline float log1p(float x) {
    double y = x, direct = log(1. + y);
    return float(std::fabs(y) < 1e-5 ? y - y * y * (.5 - y * (1. / 3)) : direct);
}
static inline float sinh(float x) {
    double y = x, e = exp(y);
    return float(std::fabs(y) < 1e-3 ? y + y * y * y * (1. / 6) : .5 * (e - 1. / e));
}
static inline float cosh(float x) {
    double e = exp(double(x));
    return float(.5 * (e + 1. / e));
}
static inline float asinh(float x) {
    double y = x, a = std::fabs(y), direct = log(a + std::sqrt(a * a + 1.));
    return float(std::copysign(a < 1e-3 ? a - a * a * a * (1. / 6) : direct, y));
}
static inline float acosh(float x) {
    double y = x, root = std::sqrt(y * y - 1.);
    return float(y < 1. ? NOT_A_NUMBER<double> : log(y + root));
}
static inline float atanh(float x) {
    double y = x, direct = .5 * log((1. + y) / (1. - y));
    return float(std::fabs(y) < 1e-3 ? y + y * y * y * (1. / 3) : direct);
}

/* sin(x + quarter pi/2) and its like for |x| < 2^20: the first products with parts of pi/2 are exact. */
static inline double reduce_trigonometric(double x, uint64_t& quadrant) {
    double t = x * 0.63661977236758134 + ROUND<double>, k = t - ROUND<double>;
    quadrant = bits<uint64_t>(t);
    return ((x - k * 1.57079632673412561417) - k * 6.07710050630396597660e-11) - k * 2.02226624879595063154e-21;
}
static inline double sin_reduced(double r) {
    double z = r * r;
    return r + r * z * polynomial(z, -.16666666666631455, .0083333333252457378, -.0001984126380820188,
                                  2.755535451792302e-6, -2.4761411317244417e-8);
}
static inline double cos_reduced(double r) {
    double z = r * r;
    return 1. - .5 * z + z * z * polynomial(z, .041666666666601953, -.0013888888878233553, 2.4801580953239874e-5,
                                            -2.7555563708117109e-7, 2.064751345001391e-9);
}
constexpr float TRIGONOMETRIC_LIMIT = 1048576.f;           // beyond it callers use the C library
static inline float sin(float x) {
    uint64_t q;
    double r = reduce_trigonometric(x, q), s = sin_reduced(r), c = cos_reduced(r), y = q & 1 ? c : s;
    return float(q & 2 ? -y : y);
}
static inline float cos(float x) {
    uint64_t q;
    double r = reduce_trigonometric(x, q), s = sin_reduced(r), c = cos_reduced(r), y = q & 1 ? s : c;
    return float((q + 1) & 2 ? -y : y);
}
static inline float tan(float x) {
    uint64_t q;
    double r = reduce_trigonometric(x, q), s = sin_reduced(r), c = cos_reduced(r);
    return float((q & 1 ? -c : s) / (q & 1 ? s : c));
}

static inline double asin_half(double x, double z) {       // z = x^2 <= 1/4
    return x + x * z * polynomial(z, .16666666625987095, .075000051251501064, .044640656353131673,
                                  .030427399267065279, .021857752494854899, .020686125444020854,
                                  .0018764501916331302, .0330189610571225);
}
static inline float asin(float x) {
    double y = x, a = std::fabs(y), half = .5 * (1. - a);
    bool far = a > .5;
    double p = asin_half(far ? std::sqrt(half) : a, far ? half : a * a);
    return float(std::copysign(far ? 1.57079632679489662 - 2. * p : p, y));
}
static inline float acos(float x) {
    double y = x, a = std::fabs(y), half = .5 * (1. - a);
    bool far = a > .5;
    double p = asin_half(far ? std::sqrt(half) : y, far ? half : y * y);
    return float(far ? (y < 0 ? 3.14159265358979324 - 2. * p : 2. * p) : 1.57079632679489662 - p);
}
static inline float atan(float x) {
    double y = x, a = std::fabs(y), t = a > 1. ? 1. / a : a, z = t * t;
    double p = t + t * z * polynomial(z, -.33333333130269301, .19999985334886032, -.14285343363088289,
                                      .11106369759459511, -.090549533704728505, .075153787868889877,
                                      -.060686787341319899, .044366812662593853, -.026745859211422805,
                                      .011910980732187977, -.0033772165945230662, .00044919298480855515);
    return float(std::copysign(a > 1. ? 1.57079632679489662 - p : p, y));
}

/* A third of the exponent's bits, then two Halley steps: 5e-2, 1e-5, 1e-15. */
static inline double cbrt_of_float(float x) {
    double a = std::fabs(double(x));
    uint32_t high = uint32_t(bits<uint64_t>(a) >> 32) / 3 + 0x2a9f7893;
    double t = bits<double>(uint64_t(high) << 32);
    for (int step = 0; step < 2; step++) {
        double cube = t * t * t;
        t = t * (cube + 2. * a) / (2. * cube + a);
    }
    t = a > 0. ? t : a;
    return std::copysign(a < INF<double> ? t : a, double(x));
}
static inline float cbrt(float x) { return float(cbrt_of_float(x)); }
static inline float rcbrt(float x) { return float(1. / cbrt_of_float(x)); }

static inline float pow(float x, float y) {
    double a = std::fabs(double(x)), p = y, whole = std::floor(p), half = std::floor(p * .5) * 2.;
    double result = exp(p * log(a));
    bool integral = whole == p, odd = integral && half != p;
    result = x < 0.f && !integral && std::fabs(x) < INF<float> ? NOT_A_NUMBER<double> : result;
    result = odd ? std::copysign(result, double(x)) : result;
    result = x == -1.f && std::fabs(y) == INF<float> ? 1. : result;
    return float(y == 0.f || x == 1.f ? 1. : result);
}

static inline float hypot(float a, float b) {
    double x = a, y = b;
    bool infinite = std::fabs(a) == INF<float> || std::fabs(b) == INF<float>;
    return float(infinite ? INF<double> : std::sqrt(x * x + y * y));
}
#endif

static inline double rcbrt(double x) { return 1. / std::cbrt(x); }
template <class T> static inline T rsqrt(T x) { return T(1) / std::sqrt(x); }

#define MXCY_LIBRARY(name) static inline double name(double x) { return std::name(x); }
MXCY_LIBRARY(log2) MXCY_LIBRARY(log10) MXCY_LIBRARY(log1p) MXCY_LIBRARY(sin) MXCY_LIBRARY(cos) MXCY_LIBRARY(tan)
MXCY_LIBRARY(sinh) MXCY_LIBRARY(cosh) MXCY_LIBRARY(asin) MXCY_LIBRARY(acos) MXCY_LIBRARY(atan) MXCY_LIBRARY(asinh)
MXCY_LIBRARY(acosh) MXCY_LIBRARY(atanh) MXCY_LIBRARY(erf) MXCY_LIBRARY(cbrt)
#undef MXCY_LIBRARY
static inline double pow(double x, double y) { return std::pow(x, y); }
static inline double hypot(double x, double y) { return std::hypot(x, y); }

}  // namespace mxcy
#endif
