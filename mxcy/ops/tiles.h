/* Tiles: elementwise functions over n contiguous elements, made from an operation on one.

   An operation is a class template over the element type: constructed once per tile from the packed parameters, then
   called for each element. The loops stand here and not in Cython because an output may be one of the inputs: a
   compiler that is not told that equal addresses are harmless takes its scalar path there. */
#ifndef MXCY_OPS_TILES_H
#define MXCY_OPS_TILES_H
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace mxcy {

#ifndef __CUDACC__              /* a GPU applies the operations one element to a thread */
typedef void (*Tile)(void* out, const void* const* inputs, ptrdiff_t n, const void* params);

template <class Op, class T, size_t... I>
static inline void tile_loop(T* out, const void* const* inputs, ptrdiff_t n, Op op, std::index_sequence<I...>) {
    const T* in[] = {static_cast<const T*>(inputs[I])...};
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < n; i++) out[i] = op(in[I][i]...);
}

template <template <class> class Op, class T, int arity>
static void tile(void* out, const void* const* inputs, ptrdiff_t n, const void* params) {
    tile_loop(static_cast<T*>(out), inputs, n, Op<T>(params), std::make_index_sequence<arity>());
}

/* The tile of an operation for floating point, by MXNet's type flag; NULL where there is none. */
template <template <class> class Op, int arity> static Tile real_tile_of(int dtype) {
    return dtype == 0 ? tile<Op, float, arity> : dtype == 1 ? tile<Op, double, arity> : nullptr;
}

/* The tile of an operation for every type but the 16-bit ones. Bool is a byte that holds 0 or 1. */
template <template <class> class Op, int arity> static Tile tile_of(int dtype) {
    switch (dtype) {
        case 3: case 7: return tile<Op, uint8_t, arity>;
        case 4: return tile<Op, int32_t, arity>;
        case 5: return tile<Op, int8_t, arity>;
        case 6: return tile<Op, int64_t, arity>;
    }
    return real_tile_of<Op, arity>(dtype);
}

#endif

/* What functions without an integer form are computed in: integers in double, and truncated. */
template <class T> using Real = std::conditional_t<std::is_floating_point_v<T>, T, double>;

/* A number as T; one beyond an integer's range becomes the nearest that it has. */
template <class T> static inline T saturate(double value) {
    if constexpr (std::is_floating_point_v<T>) return T(value);
    else {
        constexpr double low = double(std::numeric_limits<T>::min()), high = double(std::numeric_limits<T>::max());
        return value >= high ? std::numeric_limits<T>::max() : value <= low ? std::numeric_limits<T>::min() : T(value);
    }
}

/* Truncated towards zero; narrow integers wrap, as they do through int32. */
template <class T> static inline T truncate(double value) {
    if constexpr (std::is_floating_point_v<T> || sizeof(T) >= 4) return T(value);
    else return T(int32_t(value));
}

}  // namespace mxcy
#endif
