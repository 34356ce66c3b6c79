/* Padding, and the sum that is its gradient. Axes stand from the last to the first. */
#ifndef MXCY_GPU_PAD_CUH
#define MXCY_GPU_PAD_CUH
#include "mxcy/gpu/kernels/convert.cuh"
#include "mxcy/gpu/kernels/division.cuh"

namespace mxcy {

enum Padding { CONSTANT, EDGE, REFLECT };

/* `dims` are those of the array that the threads are counted by; `stride` those of the other one. */
template <int axes> struct Padded {
    Divisor dims[axes];
    int64_t extent[axes], total[axes], before[axes], stride[axes];     /* extent without, total with padding */
};

/* Where position `at` of a padded axis comes from; -1: from the constant. */
template <int mode> static inline int64_t padded_source(int64_t at, int64_t before, int64_t n) {
    const int64_t i = at - before;
    if (0 <= i && i < n) return i;
    if (mode == CONSTANT) return -1;
    if (mode == EDGE) return i < 0 ? 0 : n - 1;
    return i < 0 ? -i : 2 * (n - 1) - i;
}

template <int mode, class T, int axes, class I>
static inline void pad(T* out, const T* data, const Padded<axes>& p, double constant, int64_t n) {
    const T other = convert_element<T>(constant);
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I rest = I(i);
        int64_t from = 0;
        bool inside = true;
#pragma unroll
        for (int axis = 0; axis < axes; axis++) {
            I at = rest;
            if (axis < axes - 1) rest = split(at, p.dims[axis]);
            const int64_t source = padded_source<mode>(at, p.before[axis], p.extent[axis]);
            inside = inside && source >= 0;
            from += source * p.stride[axis];
        }
        out[i] = inside ? data[from] : other;
    }
}

/* The positions of a padded axis that come from item `at`: first, first + 1, ... where the edge is repeated; else up to
   three, of which those outside of the axis do not count. */
template <int mode> static inline int64_t positions(int64_t at, int64_t before, int64_t n, int64_t total, int64_t& first) {
    first = at + before;
    if (mode == CONSTANT) return 1;
    if (mode == REFLECT) return 3;
    const int64_t end = at == n - 1 && total > first + 1 ? total : first + 1;
    if (at == 0 && first > 0) first = 0;
    return end - first;
}
template <int mode> static inline int64_t position(int64_t k, int64_t first, int64_t at, int64_t before, int64_t n) {
    if (mode != REFLECT) return first + k;
    if (k == 1) return first;
    if (k == 0) return at > 0 ? before - at : -1;
    return at < n - 1 ? before + 2 * (n - 1) - at : -1;
}

/* out[i] = the sum of what item i was copied to, in the order of the padded array. */
template <int mode, class T, int axes, class I>
static inline void unpad(T* out, const T* g, const Padded<axes>& p, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        int64_t at[axes], first[axes], count[axes], turn[axes] = {};
        I rest = I(i);
#pragma unroll
        for (int axis = 0; axis < axes; axis++) {
            I index = rest;
            if (axis < axes - 1) rest = split(index, p.dims[axis]);
            at[axis] = index;
            count[axis] = positions<mode>(index, p.before[axis], p.extent[axis], p.total[axis], first[axis]);
        }
        wide_t<T> sum = 0;
        for (bool more = true; more;) {
            int64_t from = 0;
            bool inside = true;
#pragma unroll
            for (int axis = 0; axis < axes; axis++) {
                const int64_t place = position<mode>(turn[axis], first[axis], at[axis], p.before[axis], p.extent[axis]);
                inside = inside && place >= 0 && place < p.total[axis];
                from += place * p.stride[axis];
            }
            if (inside) sum += widen(g[from]);
            more = false;
#pragma unroll
            for (int axis = 0; axis < axes; axis++) {
                if (more) continue;
                more = ++turn[axis] < count[axis];
                if (!more) turn[axis] = 0;
            }
        }
        out[i] = narrow<T>(sum);
    }
}

}  // namespace mxcy
#endif
