/* Functions of one thread that CUDA has and C++ has not. */
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include "runtime.h"

namespace cuda_emulator {

template <class To, class From> inline To bits_as(From value) {
    static_assert(sizeof(To) == sizeof(From), "");
    To result;
    std::memcpy(&result, &value, sizeof result);
    return result;
}

/* A number as an integer: the nearest one beyond its range, 0 for NaN. */
template <class To, class From> inline To saturate(From value) {
    typedef std::numeric_limits<To> Limits;
    if (value != value) return 0;
    if (value >= (From)Limits::max()) return Limits::max();
    return value <= (From)Limits::lowest() ? Limits::lowest() : To(value);
}

}

/* min and max of numbers of one type; those of floating point prefer a number to a NaN. */
#define CUDA_MIN_MAX(T)                                              \
    inline T min(T x, T y) { return y < x ? y : x; }                 \
    inline T max(T x, T y) { return x < y ? y : x; }
CUDA_MIN_MAX(int)
CUDA_MIN_MAX(unsigned)
CUDA_MIN_MAX(long)
CUDA_MIN_MAX(unsigned long)
CUDA_MIN_MAX(long long)
CUDA_MIN_MAX(unsigned long long)
#undef CUDA_MIN_MAX
inline float min(float x, float y) { return fminf(x, y); }
inline float max(float x, float y) { return fmaxf(x, y); }
inline double min(double x, double y) { return fmin(x, y); }
inline double max(double x, double y) { return fmax(x, y); }

/* Bits */
inline int __float_as_int(float x) { return cuda_emulator::bits_as<int>(x); }
inline unsigned __float_as_uint(float x) { return cuda_emulator::bits_as<unsigned>(x); }
inline float __int_as_float(int x) { return cuda_emulator::bits_as<float>(x); }
inline float __uint_as_float(unsigned x) { return cuda_emulator::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return cuda_emulator::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return cuda_emulator::bits_as<double>(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline unsigned long long __brevll(unsigned long long x) {
    unsigned long long result = 0;
    for (int i = 0; i < 64; i++) result |= (x >> i & 1) << (63 - i);
    return result;
}
inline unsigned __brev(unsigned x) { return __brevll(x) >> 32; }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    uint64_t bytes = (uint64_t)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        unsigned choice = selector >> 4 * i, byte = bytes >> 8 * (choice & 7) & 0xff;
        result |= (choice & 8 ? (byte & 0x80 ? 0xff : 0) : byte) << 8 * i;
    }
    return result;
}
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned shift) {
    return ((uint64_t)high << 32 | low) << (shift & 31) >> 32;
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return ((uint64_t)high << 32 | low) >> (shift & 31);
}

/* Products */
inline int __mulhi(int x, int y) { return (int64_t)x * y >> 32; }
inline unsigned __umulhi(unsigned x, unsigned y) { return (uint64_t)x * y >> 32; }
inline long long __mul64hi(long long x, long long y) { return (__int128)x * y >> 64; }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
    return (unsigned __int128)x * y >> 64;
}

/* Conversions */
inline int __float2int_rn(float x) { return cuda_emulator::saturate<int>(rintf(x)); }
inline int __float2int_rz(float x) { return cuda_emulator::saturate<int>(truncf(x)); }
inline int __float2int_rd(float x) { return cuda_emulator::saturate<int>(floorf(x)); }
inline int __float2int_ru(float x) { return cuda_emulator::saturate<int>(ceilf(x)); }
inline unsigned __float2uint_rz(float x) { return cuda_emulator::saturate<unsigned>(truncf(x)); }
inline int __double2int_rz(double x) { return cuda_emulator::saturate<int>(trunc(x)); }
inline long long __double2ll_rz(double x) { return cuda_emulator::saturate<long long>(trunc(x)); }

/* Arithmetic with a stated rounding, and fast forms, which are exact here. */
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dmul_rn(double x, double y) { return x * y; }
inline float __saturatef(float x) { return x > 0 ? x < 1 ? x : 1 : 0; }
inline float __fdividef(float x, float y) { return x / y; }
inline float fdividef(float x, float y) { return x / y; }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return exp10f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __log10f(float x) { return log10f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __tanf(float x) { return tanf(x); }

/* Functions of CUDA's mathematical library */
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float rsqrt(float x) { return rsqrtf(x); }
inline float rcbrtf(float x) { return 1 / cbrtf(x); }
inline double rcbrt(double x) { return 1 / cbrt(x); }
inline float normcdff(float x) { return .5f * erfcf(x * -.70710678f); }
inline double normcdf(double x) { return .5 * erfc(x * -.70710678118654752); }
inline double sinpi(double x) { return sin(3.14159265358979324 * remainder(x, 2)); }
inline double cospi(double x) { return cos(3.14159265358979324 * remainder(x, 2)); }
inline float sinpif(float x) { return sinpi(x); }
inline float cospif(float x) { return cospi(x); }
inline void sincospi(double x, double* sine, double* cosine) { *sine = sinpi(x), *cosine = cospi(x); }
inline void sincospif(float x, float* sine, float* cosine) { *sine = sinpif(x), *cosine = cospif(x); }

/* Memory, with a hint for caches. */
template <class T> inline T __ldg(const T* address) { return *address; }
template <class T> inline T __ldcs(const T* address) { return *address; }
template <class T> inline T __ldcg(const T* address) { return *address; }
template <class T> inline void __stcs(T* address, T value) { *address = value; }
template <class T> inline void __stcg(T* address, T value) { *address = value; }

[[noreturn]] inline void __trap() { cuda_emulator::fail("__trap()"); }
#undef assert
#define assert(condition) ((condition) ? (void)0 : cuda_emulator::fail("assert(" #condition ") does not hold"))
