/* Positions as numbers: joined and split coordinates, the coordinates of all elements, counts in bins. */
#ifndef MXCY_GPU_RAVEL_CUH
#define MXCY_GPU_RAVEL_CUH
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

template <int axes> struct Shape { int64_t of[axes]; };

template <class T, int axes> static inline void ravel(T* out, const T* data, const Shape<axes>& shape, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t at = 0;
        for (int k = 0; k < axes; k++) at = at * shape.of[k] + int64_t(widen(data[k * n + i]));
        out[i] = narrow<T>(wide_t<T>(at));
    }
}

template <class T, int axes> static inline void unravel(T* out, const T* data, const Shape<axes>& shape, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t at = int64_t(widen(data[i]));
        for (int k = axes - 1; k >= 0; k--) {
            out[k * n + i] = narrow<T>(wide_t<T>(shape.of[k] < 0 ? at : at % shape.of[k]));
            at /= shape.of[k];
        }
    }
}

/* Of each element, the coordinate along some axes: (at / stride) % extent. */
template <int axes>
static inline void coordinates(int64_t* out, const Shape<axes>& strides, const Shape<axes>& extents, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step())
        for (int k = 0; k < axes; k++) out[i * axes + k] = i / strides.of[k] % extents.of[k];
}

/* Edges at equal distances, rounded as on the CPU, where none are given; counts of nothing. */
template <class T>
static inline void start_bins(wide_t<T>* edges, T* out, const T* given, unsigned long long* counts, double low,
                              double high, int64_t bins) {
    for (int64_t i = first_item(); i <= bins; i += grid_step()) {
        if (given) edges[i] = widen(given[i]);
        else edges[i] = wide_t<T>(i == bins ? high : __dadd_rn(low, __dmul_rn(double(i), (high - low) / bins)));
        out[i] = narrow<T>(edges[i]);
        if (i < bins) counts[i] = 0;
    }
}

/* Bin k is [edges[k], edges[k + 1]), the last one with its end. Equal edges are searched for, equal distances computed
   and then put right by one, for what was rounded. */
template <class T, bool given>
static inline void count_in_bins(unsigned long long* counts, const wide_t<T>* edges, const T* data, double low,
                                 double high, int64_t bins, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const double x = double(widen(data[i]));
        if (!(x >= double(edges[0]) && x <= double(edges[bins]))) continue;
        int64_t bin = 0;
        if (given) {
            for (int64_t end = bins; end - bin > 1;) {
                const int64_t middle = (bin + end) / 2;
                if (x >= double(edges[middle])) bin = middle;
                else end = middle;
            }
        } else {
            bin = int64_t((x - low) * (bins / (high - low)));
            bin = bin < bins - 1 ? bin : bins - 1;
            if (x < double(edges[bin])) bin--;
            else if (bin < bins - 1 && x >= double(edges[bin + 1])) bin++;
        }
        atomicAdd(counts + bin, 1ull);
    }
}

}  // namespace mxcy
#endif
