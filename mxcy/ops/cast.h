/* Conversion between any two dtypes, by MXNet's type flags. */
#ifndef MXCY_OPS_CAST_H
#define MXCY_OPS_CAST_H
#include <algorithm>
#include <cstring>
#include "mxcy/ops/half.h"
#include "mxcy/ops/tiles.h"

namespace mxcy {

/* Floats are truncated towards zero; what is beyond a narrow integer's range wraps, as it does through int32. */
template <class To, class From> static inline To convert_one(From x) {
    if constexpr (std::is_same_v<To, bool>) return x != 0;
    else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 4)
        return To(int32_t(x));
    else return To(x);
}

#ifndef __CUDACC__
template <class To, class From> static void convert(void* out, const void* in, ptrdiff_t n) {
    To* y = static_cast<To*>(out);
    const From* x = static_cast<const From*>(in);
    for (ptrdiff_t i = 0; i < n; i++) y[i] = convert_one<To>(x[i]);
}

typedef void (*Convert)(void* out, const void* in, ptrdiff_t n);
enum { FLOAT16 = 2, BFLOAT16 = 12 };

template <class To> static Convert convert_from(int from) {
    switch (from) {
        case 0: return convert<To, float>;
        case 1: return convert<To, double>;
        case 3: return convert<To, uint8_t>;
        case 4: return convert<To, int32_t>;
        case 5: return convert<To, int8_t>;
        case 6: return convert<To, int64_t>;
        case 7: return convert<To, uint8_t>;               // a byte that holds 0 or 1
    }
    return nullptr;
}
static Convert convert_between(int to, int from) {         // neither of them has 16 bits
    switch (to) {
        case 0: return convert_from<float>(from);
        case 1: return convert_from<double>(from);
        case 3: return convert_from<uint8_t>(from);
        case 4: return convert_from<int32_t>(from);
        case 5: return convert_from<int8_t>(from);
        case 6: return convert_from<int64_t>(from);
        case 7: return convert_from<bool>(from);
    }
    return nullptr;
}

static inline void widen(float* out, const void* in, int dtype, ptrdiff_t n) {
    const uint16_t* x = static_cast<const uint16_t*>(in);
    if (dtype == FLOAT16) mxcy_half_to_float(out, x, n);
    else mxcy_bfloat16_to_float(out, x, n);
}
static inline void narrow(void* out, const float* in, int dtype, ptrdiff_t n) {
    uint16_t* y = static_cast<uint16_t*>(out);
    if (dtype == FLOAT16) mxcy_float_to_half(y, in, n);
    else mxcy_float_to_bfloat16(y, in, n);
}

/* n elements of any dtype to any other. 16-bit floats go through a block of float. */
static void cast(void* out, int to, const void* in, int from, ptrdiff_t n) {
    constexpr ptrdiff_t BLOCK = 512;
    static const signed char size[13] = {4, 8, 2, 1, 4, 1, 8, 1, 0, 0, 0, 0, 2};
    if (to == from) {
        if (out != in) std::memcpy(out, in, n * size[to]);
        return;
    }
    bool wide = from != FLOAT16 && from != BFLOAT16, result = to != FLOAT16 && to != BFLOAT16;
    if (wide && result) return convert_between(to, from)(out, in, n);
    Convert first = wide && from ? convert_between(0, from) : nullptr;
    Convert last = result && to ? convert_between(to, 0) : nullptr;
    alignas(64) float block[BLOCK];
    for (ptrdiff_t start = 0; start < n; start += BLOCK) {
        ptrdiff_t count = std::min(BLOCK, n - start);
        const char* x = static_cast<const char*>(in) + start * size[from];
        char* y = static_cast<char*>(out) + start * size[to];
        const float* middle = block;
        if (!wide) widen(result && !last ? reinterpret_cast<float*>(y) : block, x, from, count);
        else if (first) first(block, x, count);
        else middle = reinterpret_cast<const float*>(x);
        if (!result) narrow(y, middle, to, count);
        else if (last) last(y, middle, count);
    }
}
#endif

}  // namespace mxcy
#endif
