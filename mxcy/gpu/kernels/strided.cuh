/* Copies between parts of arrays. ops/cuda/strided.py joins the axes and chooses the kernel. */
#ifndef MXCY_GPU_STRIDED_CUH
#define MXCY_GPU_STRIDED_CUH
#include "mxcy/gpu/kernels/convert.cuh"
#include "mxcy/gpu/kernels/division.cuh"

namespace mxcy {

/* Axes, that of the smallest steps in the output first; strides in items. */
template <int axes> struct Walk { Divisor dims[axes]; int64_t to[axes], from[axes]; };

template <int axes, class I> static inline void place(const Walk<axes>& walk, I rest, int64_t& to, int64_t& from) {
    to = from = 0;
#pragma unroll
    for (int axis = 0; axis < axes; axis++) {
        I index = rest;
        if (axis < axes - 1) rest = split(index, walk.dims[axis]);
        to += int64_t(index) * walk.to[axis];
        from += int64_t(index) * walk.from[axis];
    }
}

/* Items of `count` elements, several to a thread if they are small, so that enough reads are under way. */
template <class T, int count, int axes, class I>
static inline void copy_strided(T* out, const T* in, const Walk<axes>& walk, int64_t n) {
    typedef Pack<T, count> P;
    constexpr int turns = sizeof(P) == 16 ? 1 : 4;
    const bool aligned = (uintptr_t(out) | uintptr_t(in)) % sizeof(P) == 0;
    P* const target = reinterpret_cast<P*>(out);
    const P* const source = reinterpret_cast<const P*>(in);
    for (int64_t first = int64_t(blockIdx.x) * blockDim.x * turns + threadIdx.x; first < n; first += grid_step() * turns) {
        P item[turns];
        int64_t to[turns], from;
#pragma unroll
        for (int k = 0; k < turns; k++) {
            const int64_t i = first + k * blockDim.x;
            if (i >= n) continue;
            place(walk, I(i), to[k], from);
            if (aligned) item[k] = source[from];
            else for (int j = 0; j < count; j++) item[k].item[j] = in[from * count + j];
        }
#pragma unroll
        for (int k = 0; k < turns; k++) {
            if (first + k * blockDim.x >= n) continue;
            if (aligned) target[to[k]] = item[k];
            else for (int j = 0; j < count; j++) out[to[k] * count + j] = item[k].item[j];
        }
    }
}

/* A number in every item. */
template <class T, int axes, class I>
static inline void fill_strided(T* out, double value, const Walk<axes>& walk, int64_t n) {
    const T number = convert_element<T>(value);
    int64_t to, from;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        place(walk, I(i), to, from);
        out[to] = number;
    }
}

/* Rows of the input become columns of the output: axis 0 of the walk has steps of 1 in the output, axis 1 in the input.
   A block of 32 x 8 threads reads rows of a tile and writes its columns. dims of axes 0 and 1 count tiles here. */
enum { TILE_ROWS = 8 };

template <class T, int side, int axes>
static inline void transpose_tiles(T* out, const T* in, const Walk<axes>& walk, int64_t rows, int64_t columns) {
    __shared__ T tile[side][side + (sizeof(T) < 4 ? 4 / sizeof(T) : 1)];        /* columns in different banks */
    uint32_t rest = blockIdx.x, down = rest;
    rest = split(down, walk.dims[0]);
    uint32_t right = rest;
    rest = split(right, walk.dims[1]);
#pragma unroll
    for (int axis = 2; axis < axes; axis++) {
        uint32_t index = rest;
        if (axis < axes - 1) rest = split(index, walk.dims[axis]);
        out += index * walk.to[axis];
        in += index * walk.from[axis];
    }
    const int64_t row = int64_t(down) * side, column = int64_t(right) * side;
    const int row_end = rows - row < side ? int(rows - row) : side;
    const int column_end = columns - column < side ? int(columns - column) : side;
    in += row * walk.from[0] + column;
    out += column * walk.to[1] + row;
    T item[side / TILE_ROWS][side / 32];        /* all reads are under way before the first is waited for */
#pragma unroll
    for (int i = 0; i < side / TILE_ROWS; i++)
#pragma unroll
        for (int j = 0; j < side / 32; j++) {
            const int y = threadIdx.y + i * TILE_ROWS, x = threadIdx.x + j * 32;
            if (y < row_end && x < column_end) item[i][j] = in[y * walk.from[0] + x];
        }
#pragma unroll
    for (int i = 0; i < side / TILE_ROWS; i++)
#pragma unroll
        for (int j = 0; j < side / 32; j++) tile[threadIdx.y + i * TILE_ROWS][threadIdx.x + j * 32] = item[i][j];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < side / TILE_ROWS; i++)
#pragma unroll
        for (int j = 0; j < side / 32; j++) {
            const int x = threadIdx.y + i * TILE_ROWS, y = threadIdx.x + j * 32;
            if (y < row_end && x < column_end) out[x * walk.to[1] + y] = tile[y][x];
        }
}

}  // namespace mxcy
#endif
