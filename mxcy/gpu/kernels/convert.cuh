/* Conversion between element types, with the rules of ops/cast.h. bool stands for a byte that holds 0 or 1. */
#ifndef MXCY_GPU_CONVERT_CUH
#define MXCY_GPU_CONVERT_CUH
#include <cstdint>
#include <type_traits>
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/ops/cast.h"

namespace mxcy {

template <class To, class From> static inline To convert_element(From x) {
    if constexpr (std::is_same_v<To, From>) return x;
    else if constexpr (std::is_same_v<To, wide_t<To>>) return convert_one<To>(widen(x));
    else return narrow<To>(convert_one<float>(widen(x)));
}

template <class To, class From> static inline void convert_all(To* out, const From* in, int64_t n) {
    constexpr int count = 16 / (sizeof(To) > sizeof(From) ? sizeof(To) : sizeof(From));
    typedef Pack<From, count> Source;
    typedef Pack<To, count> Result;
    const bool aligned = uintptr_t(in) % sizeof(Source) == 0 && uintptr_t(out) % sizeof(Result) == 0;
    const int64_t packs = aligned ? n / count : 0;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        const Source source = reinterpret_cast<const Source*>(in)[i];
        Result result;
        for (int j = 0; j < count; j++) result.item[j] = convert_element<To>(source.item[j]);
        reinterpret_cast<Result*>(out)[i] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) out[i] = convert_element<To>(in[i]);
}

}  // namespace mxcy
#endif
