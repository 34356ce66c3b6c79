/* Pooling, one element of the result to a thread. `planes` is batch x channels, or batch where channels are last; the
   gradients gather from the windows that an element is in, so that no two threads write to one place. */
#ifndef MXCY_GPU_POOLING_CUH
#define MXCY_GPU_POOLING_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/ops/pool_window.h"

namespace mxcy {

/* What the places of the array that the threads go over are divided by, and others. */
struct Divisors { Divisor channels, extent[3], stride[3], area, row; };

/* Coordinates of an element of a plane: three spatial ones, and the channel where that is the last axis. */
struct Place {
    int64_t plane, at[3], channel;
    template <class I> Place(I rest, const Divisors& d) {
        const auto next = [&](const Divisor& by) {
            I here = rest;
            rest = split(here, by);
            return int64_t(here);
        };
        channel = next(d.channels);
#pragma unroll
        for (int axis = 2; axis >= 0; axis--) at[axis] = next(d.extent[axis]);
        plane = rest;
    }
};

static inline int64_t element(const int64_t* extent, int64_t channels, const Place& at, int64_t z, int64_t y,
                              int64_t x) {
    return (((at.plane * extent[0] + z) * extent[1] + y) * extent[2] + x) * channels + at.channel;
}

template <class U> static inline int64_t nowhere() { return sizeof(U) == 1 ? 255 : 0x7fffffff; }

/* Windows [low, high) along an axis that position x of the image is in. */
static inline void windows_of(const mxcy_pool& p, const Divisor& s, int axis, int64_t x, int64_t* low, int64_t* high) {
    const int64_t first = x + p.pad[axis] - p.kernel[axis] + 1;
    *low = first <= 0 ? 0 : divide(first + s.by - 1, s);
    *high = divide(x + p.pad[axis], s) + 1;
    if (*high > p.out[axis]) *high = p.out[axis];
}

template <class I, class T, class U>
static inline void pool_max(const mxcy_pool& p, const Divisors& d, const T* x, T* y, U* where, int64_t n) {
    typedef wide_t<T> W;
    const W lowest = -W(1) / W(0);
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const Place place(I(i), d);
        const mxcy_span deep(p, 0, place.at[0]), tall(p, 1, place.at[1]), wide(p, 2, place.at[2]);
        W best = lowest;
        int64_t found = nowhere<U>();
        for (int64_t z = deep.low; z < deep.high; z++)
            for (int64_t h = tall.low; h < tall.high; h++)
                for (int64_t w = wide.low; w < wide.high; w++) {
                    const W v = widen(x[element(p.data, p.channels, place, z, h, w)]);     /* a NaN is never larger */
                    if (v > best || (v == best && found == nowhere<U>())) {
                        best = v;
                        found = ((z - deep.start) * p.kernel[1] + h - tall.start) * p.kernel[2] + w - wide.start;
                    }
                }
        y[i] = narrow<T>(best);
        where[i] = U(found);
    }
}

template <class I, class T, class U>
static inline void pool_scatter(const mxcy_pool& p, const Divisors& d, const T* g, const U* where, T* out, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const Place place(I(i), d);
        int64_t low[3], high[3];
        for (int axis = 0; axis < 3; axis++)
            windows_of(p, d.stride[axis], axis, place.at[axis], &low[axis], &high[axis]);
        wide_t<T> total = 0;
        for (int64_t z = low[0]; z < high[0]; z++)
            for (int64_t h = low[1]; h < high[1]; h++)
                for (int64_t w = low[2]; w < high[2]; w++) {
                    const int64_t o = element(p.out, p.channels, place, z, h, w);
                    const int64_t mine = ((place.at[0] - z * p.stride[0] + p.pad[0]) * p.kernel[1] + place.at[1]
                                          - h * p.stride[1] + p.pad[1]) * p.kernel[2] + place.at[2] - w * p.stride[2]
                                         + p.pad[2];
                    if (int64_t(where[o]) == mine) total += widen(g[o]);
                }
        out[i] = narrow<T>(total);
    }
}

template <class I, class T, class U>
static inline void pool_gather(const mxcy_pool& p, const Divisors& d, const T* x, const U* where, T* out, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const Place place(I(i), d);
        int64_t right = where[i];
        if (right == nowhere<U>()) {
            out[i] = narrow<T>(0);
            continue;
        }
        const int64_t in = divide(right, d.area), down = split(right, d.row) - in * p.kernel[1];
        out[i] = x[element(p.data, p.channels, place, place.at[0] * p.stride[0] - p.pad[0] + in,
                           place.at[1] * p.stride[1] - p.pad[1] + down,
                           place.at[2] * p.stride[2] - p.pad[2] + right)];
    }
}

/* Sums, means, roots of sums of powers. */
template <class I, class T>
static inline void pool_sum(const mxcy_pool& p, const Divisors& d, const T* x, T* y, int64_t n) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const Place place(I(i), d);
        const mxcy_span deep(p, 0, place.at[0]), tall(p, 1, place.at[1]), wide(p, 2, place.at[2]);
        W total = 0;
        for (int64_t z = deep.low; z < deep.high; z++)
            for (int64_t h = tall.low; h < tall.high; h++)
                for (int64_t w = wide.low; w < wide.high; w++) {
                    const W v = widen(x[element(p.data, p.channels, place, z, h, w)]);
                    total += p.power == 1 ? v : p.power == 2 ? v * v : v * v * v;
                }
        total /= W(mxcy_weight(p, deep) * mxcy_weight(p, tall) * mxcy_weight(p, wide));
        if (p.kind == MXCY_POOL_LP && p.power > 1) total = W(p.power == 2 ? sqrt(double(total)) : cbrt(double(total)));
        y[i] = narrow<T>(total);
    }
}

template <class I, class T>
static inline void pool_spread(const mxcy_pool& p, const Divisors& d, const T* g, T* out, int64_t n) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const Place place(I(i), d);
        int64_t low[3], high[3];
        for (int axis = 0; axis < 3; axis++)
            windows_of(p, d.stride[axis], axis, place.at[axis], &low[axis], &high[axis]);
        W total = 0;
        for (int64_t z = low[0]; z < high[0]; z++)
            for (int64_t h = low[1]; h < high[1]; h++)
                for (int64_t w = low[2]; w < high[2]; w++) {
                    const mxcy_span deep(p, 0, z), tall(p, 1, h), wide(p, 2, w);
                    total += widen(g[element(p.out, p.channels, place, z, h, w)])
                        / W(mxcy_weight(p, deep) * mxcy_weight(p, tall) * mxcy_weight(p, wide));
                }
        out[i] = narrow<T>(total);
    }
}

}  // namespace mxcy
#endif
