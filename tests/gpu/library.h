/* What the stand-ins for NVIDIA's libraries share: elements of arrays as numbers, and the driver, which mxcy opened before
 * and which lends memory and streams.
 */
#pragma once

#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace standin {

/* Dtypes as cudaDataType_t and cudnnDataType_t number them alike; another one is bfloat16, which they do not. */
enum Element { FLOAT32 = 0, FLOAT64 = 1, FLOAT16 = 2 };

inline size_t size_of(int kind) { return kind == FLOAT64 ? 8 : kind == FLOAT32 ? 4 : 2; }

inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline uint16_t bfloat16_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline double load(const char* at, int kind) {
    uint16_t bits;
    _Float16 half;
    float single;
    double value;
    switch (kind) {
        case FLOAT64: memcpy(&value, at, 8); return value;
        case FLOAT32: memcpy(&single, at, 4); return single;
        case FLOAT16: memcpy(&half, at, 2); return double(half);
    }
    memcpy(&bits, at, 2);
    return float_of(uint32_t(bits) << 16);
}

inline void store(char* at, int kind, double value) {
    const float single = float(value);
    const _Float16 half = _Float16(single);
    const uint16_t high = bfloat16_of(single);
    switch (kind) {
        case FLOAT64: memcpy(at, &value, 8); return;
        case FLOAT32: memcpy(at, &single, 4); return;
        case FLOAT16: memcpy(at, &half, 2); return;
    }
    memcpy(at, &high, 2);
}

template <class F> F driver(const char* name) { return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name)); }

/* Whether all these bytes lie in one allocation of the device. */
inline bool inside(const void* data, size_t nbytes) {
    static auto range = driver<int (*)(unsigned long long*, size_t*, unsigned long long)>("cuMemGetAddressRange_v2");
    const auto at = reinterpret_cast<unsigned long long>(data);
    unsigned long long begin;
    size_t size;
    return range(&begin, &size, at) == 0 && at + nbytes <= begin + size;
}

/* Have a stream call a function, in its order; a CUresult. */
inline int call_in(void* stream, void (*function)(void*), void* argument) {
    static auto launch = driver<int (*)(void*, void (*)(void*), void*)>("cuLaunchHostFunc");
    return launch(stream, function, argument);
}

}  // namespace standin
