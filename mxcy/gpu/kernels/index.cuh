/* Arrays of indices, loaded as integers within bounds: the rules of ops/index.h, one index at a time. */
#ifndef MXCY_GPU_INDEX_CUH
#define MXCY_GPU_INDEX_CUH
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include "mxcy/gpu/kernels/convert.cuh"
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/ops/index.h"

namespace mxcy {

using mxcy_index::CLIP;
using mxcy_index::KEEP;
using mxcy_index::RAISE;
using mxcy_index::WRAP;

/* What went wrong, in memory of the host: gpu/_device.pxd. The next wait for the device raises. */
struct Notice {
    int raised;
    int64_t index, limit;
};

/* An index, in a mode of index.h. One that is out of range in the mode RAISE is reported, and then counts as 0. */
template <int mode, class T>
static inline int64_t index_at(const T* indices, int64_t i, int64_t limit, Notice* notice = nullptr) {
    int64_t k;
    if constexpr (std::is_same_v<T, half>) k = mxcy_index::integer(widen(indices[i]));
    else k = mxcy_index::integer(indices[i]);
    if (mode == CLIP) {
        k = k < limit ? k : limit - 1;
        return k > 0 ? k : 0;
    }
    if (mode == WRAP) {
        k %= limit;
        return k < 0 ? k + limit : k;
    }
    if (mode == RAISE) {
        k = k < 0 ? k + limit : k;
        if (k < 0 || k >= limit) {
            if (atomicCAS(&notice->raised, 0, 1) == 0) notice->index = k, notice->limit = limit;
            return 0;
        }
    }
    return k;
}

/* out[o, i] = data[o, indices[i]]: items of `inner` packs. */
template <class T, int count, int mode, class X, class I>
static inline void take(T* out, const T* data, const X* indices, const Divisor& inner, const Divisor& m, int64_t limit,
                        Notice* notice, int64_t n) {
    typedef Pack<T, count> P;
    const bool aligned = (uintptr_t(out) | uintptr_t(data)) % sizeof(P) == 0;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I column = I(i), which = split(column, inner);
        const I outer = split(which, m);
        const int64_t from = (outer * limit + index_at<mode>(indices, which, limit, notice)) * inner.by + column;
        if (aligned) reinterpret_cast<P*>(out)[i] = reinterpret_cast<const P*>(data)[from];
        else for (int j = 0; j < count; j++) out[i * count + j] = data[from * count + j];
    }
}

/* Element `at[o, j, i]` along an axis of `limit` elements, for every element (o, j, i) of a shape (outer, few, inner);
   or back into zeros. */
template <bool back, int mode, class T, class X, class I>
static inline void along(T* out, const T* data, const X* indices, const Divisor& inner, const Divisor& few, int64_t limit,
                         int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I column = I(i);
        const I outer = divide(split(column, inner), few);
        const int64_t there = (outer * limit + index_at<mode>(indices, i, limit)) * inner.by + column;
        if (back) out[there] = data[i];
        else out[i] = data[there];
    }
}

/* Rows of `depth` elements: `on` at the index, `off` elsewhere. */
template <class T, class X, class I>
static inline void one_hot(T* out, const X* indices, double on, double off, const Divisor& depth, int64_t n) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    const T one = convert_element<T>(on), other = convert_element<T>(off);
    const int64_t packs = uintptr_t(out) % sizeof(P) ? 0 : n / count;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        I column = I(i * count), row = split(column, depth);
        int64_t hot = index_at<KEEP>(indices, row, 0);
        P result;
        for (int j = 0; j < count; j++) {
            result.item[j] = column == hot ? one : other;
            if (++column == depth.by && (j + 1 < count)) {
                column = 0;
                row++;
                hot = row * depth.by < n ? index_at<KEEP>(indices, row, 0) : 0;
            }
        }
        reinterpret_cast<P*>(out)[i] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) {
        I column = I(i);
        const I row = split(column, depth);
        out[i] = column == index_at<KEEP>(indices, row, 0) ? one : other;
    }
}

/* Coordinates (axes, n) joined to places in an array of these extents. */
template <int axes> struct Extents { int64_t of[axes]; };

template <int axes, class X>
static inline int64_t place_of(const X* indices, const Extents<axes>& extents, int64_t n, int64_t i, Notice* notice) {
    int64_t place = 0;
    for (int k = 0; k < axes; k++)
        place = place * extents.of[k] + index_at<RAISE>(indices, k * n + i, extents.of[k], notice);
    return place;
}

template <class T, int count, int axes, class X, class I>
static inline void gather(T* out, const T* data, const X* indices, const Extents<axes>& extents, int64_t items,
                          const Divisor& inner, Notice* notice, int64_t n) {
    typedef Pack<T, count> P;
    const bool aligned = (uintptr_t(out) | uintptr_t(data)) % sizeof(P) == 0;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I column = I(i);
        const int64_t from = place_of(indices, extents, items, split(column, inner), notice) * inner.by + column;
        if (aligned) reinterpret_cast<P*>(out)[i] = reinterpret_cast<const P*>(data)[from];
        else for (int j = 0; j < count; j++) out[i * count + j] = data[from * count + j];
    }
}

/* Of several items for one place the last stays: `last` holds the number of that item for each place, -1 at first. */
template <int axes, class X>
static inline void find_last(int* last, const X* indices, const Extents<axes>& extents, Notice* notice,
                             int64_t items) {
    for (int64_t i = first_item(); i < items; i += grid_step())
        atomicMax(last + place_of(indices, extents, items, i, notice), int(i));
}
template <class T, int count, int axes, class X, class I>
static inline void scatter(T* out, const T* data, const X* indices, const int* last, const Extents<axes>& extents,
                           int64_t items, const Divisor& inner, Notice* notice, int64_t n) {
    typedef Pack<T, count> P;
    const bool aligned = (uintptr_t(out) | uintptr_t(data)) % sizeof(P) == 0;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I column = I(i);
        const I item = split(column, inner);
        const int64_t place = place_of(indices, extents, items, item, notice), to = place * inner.by + column;
        if (last[place] != int(item)) continue;
        if (aligned) reinterpret_cast<P*>(out)[to] = reinterpret_cast<const P*>(data)[i];
        else for (int j = 0; j < count; j++) out[to * count + j] = data[i * count + j];
    }
}

}  // namespace mxcy
#endif
