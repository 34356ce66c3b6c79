/* where: elements of one array or of another; add_n: the sum of any number of arrays. */
#ifndef MXCY_OPS_SELECT_H
#define MXCY_OPS_SELECT_H
#include <cstddef>
#include <cstdint>

#include "mxcy/ops/tiles.h"

namespace mxcy {

/* One element; NaN is true. */
template <class T> struct where_op {
    where_op(const void*) {}
    T operator()(T condition, T x, T y) const { return condition != 0 ? x : y; }
};

#ifndef __CUDACC__
struct Half {};                                            // a 16-bit float: zero but for the sign

template <class C> static inline bool holds(const void* condition, ptrdiff_t i) {
    return static_cast<const C*>(condition)[i] != 0;
}
template <> inline bool holds<Half>(const void* condition, ptrdiff_t i) {
    return (static_cast<const uint16_t*>(condition)[i] & 0x7fff) != 0;
}

template <class C, class T>
static void select(void* out, const void* condition, const void* x, const void* y, ptrdiff_t n) {
    T* result = static_cast<T*>(out);
    const T *a = static_cast<const T*>(x), *b = static_cast<const T*>(y);
#pragma GCC ivdep
    for (ptrdiff_t i = 0; i < n; i++) {
        T yes = a[i], no = b[i];                           // both are read, so that the choice is a blend
        result[i] = holds<C>(condition, i) ? yes : no;
    }
}

template <class C> static void select_by(void* out, const void* condition, const void* x, const void* y, ptrdiff_t n,
                                         int itemsize) {
    switch (itemsize) {
        case 1: return select<C, uint8_t>(out, condition, x, y, n);
        case 2: return select<C, uint16_t>(out, condition, x, y, n);
        case 4: return select<C, uint32_t>(out, condition, x, y, n);
        default: return select<C, uint64_t>(out, condition, x, y, n);
    }
}

/* A condition of any dtype; elements of any dtype, which only their size tells. */
static void select_any(void* out, const void* condition, int dtype, const void* x, const void* y, ptrdiff_t n,
                       int itemsize) {
    switch (dtype) {
        case 0: return select_by<float>(out, condition, x, y, n, itemsize);
        case 1: return select_by<double>(out, condition, x, y, n, itemsize);
        case 2: case 12: return select_by<Half>(out, condition, x, y, n, itemsize);
        case 4: return select_by<int32_t>(out, condition, x, y, n, itemsize);
        case 6: return select_by<int64_t>(out, condition, x, y, n, itemsize);
        default: return select_by<uint8_t>(out, condition, x, y, n, itemsize);
    }
}

/* The same as a tile, where the condition has the dtype of the arrays; NULL for 16-bit floats. */
static Tile where_tile(int dtype) { return tile_of<where_op, 3>(dtype); }

static bool is_true(const void* condition, int dtype, ptrdiff_t i) {
    uint8_t yes = 1, no = 0, result;
    static const signed char size[13] = {4, 8, 2, 1, 4, 1, 8, 1, 0, 0, 0, 0, 2};
    select_any(&result, static_cast<const char*>(condition) + i * size[dtype], dtype, &yes, &no, 1, 1);
    return result;
}

/* out[i] = in[0][i] + in[1][i] + ..., in that order. */
template <class T> static void sum_arrays(T* out, const void* const* in, int count, ptrdiff_t start, ptrdiff_t n) {
    const T* first = static_cast<const T*>(in[0]) + start;
    T* result = out + start;
    constexpr ptrdiff_t BLOCK = 1024;                      // of the output, which stays in the first cache meanwhile
    for (ptrdiff_t at = 0; at < n; at += BLOCK) {
        ptrdiff_t size = n - at < BLOCK ? n - at : BLOCK;
        alignas(64) T sum[BLOCK];
        for (ptrdiff_t i = 0; i < size; i++) sum[i] = first[at + i];
        for (int k = 1; k < count; k++) {
            const T* next = static_cast<const T*>(in[k]) + start + at;
            for (ptrdiff_t i = 0; i < size; i++) sum[i] += next[i];
        }
        for (ptrdiff_t i = 0; i < size; i++) result[at + i] = sum[i];
    }
}
#endif

}  // namespace mxcy
#endif
