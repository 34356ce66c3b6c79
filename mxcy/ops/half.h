/* float16 and bfloat16 to float32 and back: round to nearest even, NaN stays NaN, infinities and subnormals kept. */
#ifndef MXCY_OPS_HALF_H
#define MXCY_OPS_HALF_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

static inline float mxcy_float_of(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline uint32_t mxcy_bits_of(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }

static inline float mxcy_half_one(uint16_t half) {
    uint32_t body = (uint32_t)(half & 0x7fff) << 13;
    /* Scaling by 2^112 rebiases the exponent, and normalises subnormals on the way. */
    float scaled = mxcy_float_of(body) * mxcy_float_of(0x77800000);
    uint32_t bits = body >= 0x0f800000 ? body | 0x7f800000 : mxcy_bits_of(scaled);
    return mxcy_float_of(bits | (uint32_t)(half & 0x8000) << 16);
}

static inline uint16_t mxcy_to_half_one(float value) {
    uint32_t bits = mxcy_bits_of(value), body = bits & 0x7fffffff;
    uint32_t normal = (body - 0x38000000 + 0xfff + (body >> 13 & 1)) >> 13;
    /* Adding 0.5 puts a subnormal half's bits at the end of the sum, rounded by the adder. */
    uint32_t small = mxcy_bits_of(mxcy_float_of(body) + 0.5f) - 0x3f000000;
    uint32_t special = body > 0x7f800000 ? 0x7e00 | (body >> 13 & 0x1ff) : 0x7c00;
    uint32_t half = body < 0x38800000 ? small : body >= 0x477ff000 ? special : normal;
    return (uint16_t)(half | (bits >> 16 & 0x8000));
}

static inline void mxcy_half_to_float(float* __restrict out, const uint16_t* __restrict in, ptrdiff_t n) {
    ptrdiff_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(in + i))));
#endif
    for (; i < n; i++) out[i] = mxcy_half_one(in[i]);
}

static inline void mxcy_float_to_half(uint16_t* __restrict out, const float* __restrict in, ptrdiff_t n) {
    ptrdiff_t i = 0;
#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i*)(out + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(in + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#endif
    for (; i < n; i++) out[i] = mxcy_to_half_one(in[i]);
}

static inline float mxcy_bfloat16_one(uint16_t value) { return mxcy_float_of((uint32_t)value << 16); }

static inline uint16_t mxcy_to_bfloat16_one(float value) {
    uint32_t bits = mxcy_bits_of(value);
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
}

static inline void mxcy_bfloat16_to_float(float* __restrict out, const uint16_t* __restrict in, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = mxcy_bfloat16_one(in[i]);
}

static inline void mxcy_float_to_bfloat16(uint16_t* __restrict out, const float* __restrict in, ptrdiff_t n) {
    for (ptrdiff_t i = 0; i < n; i++) out[i] = mxcy_to_bfloat16_one(in[i]);
}
#endif
