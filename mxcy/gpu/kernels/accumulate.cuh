/* Sums of items that go to the same place, always in the same order: the places are sorted, with the numbers of their
   items, and then each place is summed by one thread for each column. Long runs of one place, such as that of padding,
   have a block of their own. */
#ifndef MXCY_GPU_ACCUMULATE_CUH
#define MXCY_GPU_ACCUMULATE_CUH
#include "mxcy/gpu/kernels/index.cuh"

namespace mxcy {

enum { LONG = 256, LONG_LANES = 16 };

/* The first of the sorted keys from `low` on that is not below `key`. */
static inline int64_t lower_bound(const uint32_t* keys, int64_t low, int64_t high, uint64_t key) {
    while (low < high) {
        const int64_t middle = (low + high) / 2;
        if (keys[middle] < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Adds items number order[begin], order[begin + step], ... below end, in this order; several are read at once. */
template <class T, int count, class P>
static inline void add_run(wide_t<T>* sum, const P* g, const uint32_t* order, int64_t begin, int64_t end, int step,
                           int64_t inner) {
    constexpr int ahead = 4;
    bool first = true;
#pragma unroll 1
    for (int64_t j = begin; j < end; j += step * ahead) {
        P item[ahead];
#pragma unroll
        for (int k = 0; k < ahead; k++)
            if (j + k * step < end) item[k] = g[order[j + k * step] * inner];
#pragma unroll
        for (int k = 0; k < ahead; k++) {
            if (j + k * step >= end) continue;
            for (int c = 0; c < count; c++) sum[c] = first ? widen(item[k].item[c]) : sum[c] + widen(item[k].item[c]);
            first = false;
        }
    }
}

/* out[o, place] = the sum of g[o, i] over the items i of the place; `inner` packs each. Long runs are left out. */
template <class T, int count>
static inline void add_items(T* out, const T* g, const uint32_t* keys, const uint32_t* order, int64_t m,
                             const Divisor& places, const Divisor& inner, int64_t n) {
    typedef Pack<T, count> P;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t column = i, place = split(column, inner);
        const int64_t outer = split(place, places);
        const int64_t begin = lower_bound(keys, 0, m, place), most = begin + LONG + 1 < m ? begin + LONG + 1 : m;
        const int64_t end = lower_bound(keys, begin, most, place + 1);
        if (end - begin > LONG) continue;
        wide_t<T> sum[count] = {};
        add_run<T, count>(sum, reinterpret_cast<const P*>(g) + outer * m * inner.by + column, order, begin, end, 1,
                          inner.by);
        P result;
        for (int c = 0; c < count; c++) result.item[c] = narrow<T>(sum[c]);
        reinterpret_cast<P*>(out)[i] = result;
    }
}

/* Runs of more than LONG items: that of block b contains item b * LONG, and no smaller multiple. Its items are dealt to
   LONG_LANES sums, which are then added up pair by pair. */
template <class T, int count>
static inline void add_long_runs(T* out, const T* g, const uint32_t* keys, const uint32_t* order, int64_t m,
                                 const Divisor& places, const Divisor& inner, int64_t outer) {
    typedef Pack<T, count> P;
    typedef Pack<wide_t<T>, count> Sums;
    __shared__ Sums lane[LONG_LANES][32];
    const int64_t at = int64_t(blockIdx.x) * LONG, place = keys[at], begin = lower_bound(keys, 0, m, place);
    if (at - begin >= LONG) return;
    const int64_t end = lower_bound(keys, at, m, uint64_t(place) + 1);
    if (end - begin <= LONG) return;
    for (int64_t start = 0; start < outer * inner.by; start += 32) {
        int64_t column = start + threadIdx.x;
        const int64_t o = split(column, inner);
        Sums sums = {};
        if (o < outer)
            add_run<T, count>(sums.item, reinterpret_cast<const P*>(g) + o * m * inner.by + column, order,
                              begin + threadIdx.y, end, LONG_LANES, inner.by);
        for (int half_of = LONG_LANES / 2; half_of > 0; half_of /= 2) {
            lane[threadIdx.y][threadIdx.x] = sums;
            __syncthreads();
            if (int(threadIdx.y) < half_of)
                for (int c = 0; c < count; c++) sums.item[c] += lane[threadIdx.y + half_of][threadIdx.x].item[c];
            __syncthreads();
        }
        if (threadIdx.y || o >= outer) continue;
        P result;
        for (int c = 0; c < count; c++) result.item[c] = narrow<T>(sums.item[c]);
        reinterpret_cast<P*>(out)[(o * places.by + place) * inner.by + column] = result;
    }
}

}  // namespace mxcy
#endif
