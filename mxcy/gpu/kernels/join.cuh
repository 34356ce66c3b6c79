/* Arrays side by side along an axis, and the reverse: one launch for all of them. */
#ifndef MXCY_GPU_JOIN_CUH
#define MXCY_GPU_JOIN_CUH
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

/* Part k has the columns begin[k] to begin[k + 1] of each row; `room`, a power of two, is no less than their number. */
template <int room> struct Parts {
    void* data[room];
    int64_t begin[room + 1];
};

/* Join the parts into the whole, whose rows have `stride` items of which `width` are theirs, or deal it out. */
template <class T, int count, int room, bool deal, class I>
static inline void join(T* whole, const Parts<room>& parts, const Divisor& width, int64_t stride, int64_t n) {
    typedef Pack<T, count> P;
    constexpr int turns = sizeof(P) == 16 ? 1 : 4;
    for (int64_t first = int64_t(blockIdx.x) * blockDim.x * turns + threadIdx.x; first < n; first += grid_step() * turns) {
        P item[turns];
        T* target[turns];
        bool aligned[turns];
#pragma unroll
        for (int k = 0; k < turns; k++) {
            const int64_t i = first + k * blockDim.x;
            if (i >= n) continue;
            I column = I(i);
            const I row = split(column, width);
            int at = 0;
#pragma unroll
            for (int step = room / 2; step > 0; step /= 2)
                if (column >= parts.begin[at + step]) at += step;
            const int64_t begin = parts.begin[at];
            T* const part = static_cast<T*>(parts.data[at]) + (row * (parts.begin[at + 1] - begin) + column - begin) * count;
            T* const here = whole + (row * stride + column) * count;
            const T* const source = deal ? here : part;
            target[k] = deal ? part : here;
            aligned[k] = (uintptr_t(here) | uintptr_t(part)) % sizeof(P) == 0;
            if (aligned[k]) item[k] = *reinterpret_cast<const P*>(source);
            else for (int j = 0; j < count; j++) item[k].item[j] = source[j];
        }
#pragma unroll
        for (int k = 0; k < turns; k++) {
            if (first + k * blockDim.x >= n) continue;
            if (aligned[k]) *reinterpret_cast<P*>(target[k]) = item[k];
            else for (int j = 0; j < count; j++) target[k][j] = item[k].item[j];
        }
    }
}

}  // namespace mxcy
#endif
