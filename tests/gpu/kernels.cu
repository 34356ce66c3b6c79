/* Kernels of the kinds that there are, for tests of the tools that compile and run them. */
#include "mxcy/ops/philox.h"
#include "mxcy/ops/unary.h"

#ifndef MXCY_DYN_SHARED
#define MXCY_DYN_SHARED(type, name)                                          \
    extern __shared__ __align__(16) unsigned char dynamic_shared_memory[];   \
    type* name = reinterpret_cast<type*>(dynamic_shared_memory)
#endif

struct Strides {
    int shape[3], a[3], b[3];
};

extern "C" __global__ void broadcast_add(float* out, const float* a, const float* b, Strides s, int n) {
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        int rest = i, at_a = 0, at_b = 0;
        for (int axis = 2; axis >= 0; axis--) {
            int k = rest % s.shape[axis];
            rest /= s.shape[axis];
            at_a += k * s.a[axis];
            at_b += k * s.b[axis];
        }
        out[i] = a[at_a] + b[at_b];
    }
}

template <class T> __device__ T warp_sum(T x) {
    for (int distance = 16; distance; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
    return x;
}

/* A block for each row. */
extern "C" __global__ void row_sum(float* out, const float* x, int columns) {
    __shared__ float parts[32];
    float sum = 0;
    for (int j = threadIdx.x; j < columns; j += blockDim.x) sum += x[(size_t)blockIdx.x * columns + j];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = warp_sum(threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : 0);
        if (threadIdx.x == 0) out[blockIdx.x] = sum;
    }
}

/* Blocks of (32, 8) threads, for tiles of 32 x 32. */
extern "C" __global__ void __launch_bounds__(256) transpose(float* out, const float* x, int rows, int columns) {
    __shared__ float tile[32][33];
    int row = blockIdx.y * 32, column = blockIdx.x * 32;
    for (int j = threadIdx.y; j < 32; j += 8)
        if (row + j < rows && column + threadIdx.x < columns)
            tile[j][threadIdx.x] = x[(size_t)(row + j) * columns + column + threadIdx.x];
    __syncthreads();
    for (int j = threadIdx.y; j < 32; j += 8)
        if (column + j < columns && row + threadIdx.x < rows)
            out[(size_t)(column + j) * rows + row + threadIdx.x] = tile[threadIdx.x][j];
}

/* out[m, n] = a[m, k] b[k, n]; blocks of (16, 16) threads, 2 * 16 * 16 floats of shared memory */
extern "C" __global__ void gemm(float* out, const float* __restrict__ a, const float* __restrict__ b, int m, int n,
                                int k) {
    MXCY_DYN_SHARED(float, left);
    float* right = left + 256;
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    for (int start = 0; start < k; start += 16) {
        left[y * 16 + x] = row < m && start + x < k ? a[row * k + start + x] : 0;
        right[y * 16 + x] = start + y < k && column < n ? b[(start + y) * n + column] : 0;
        __syncthreads();
        for (int i = 0; i < 16; i++) sum += left[y * 16 + i] * right[i * 16 + x];
        __syncthreads();
    }
    if (row < m && column < n) out[row * n + column] = sum;
}

extern "C" __global__ void histogram(unsigned long long* count, const int* x, int n) {
    __shared__ unsigned part[16];
    if (threadIdx.x < 16) part[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) atomicAdd(&part[x[i]], 1u);
    __syncthreads();
    if (threadIdx.x < 16) atomicAdd(&count[threadIdx.x], (unsigned long long)part[threadIdx.x]);
}

/* A block of numbers for each thread. */
extern "C" __global__ void philox(uint32_t* out, uint64_t seed, uint64_t stream) {
    uint64_t i = blockIdx.x * blockDim.x + threadIdx.x;
    philox_block(out + 4 * i, seed, stream, i);
}

/* The elements above a limit, in their order: places by votes. A block of one warp. */
extern "C" __global__ void keep_above(float* out, int* count, const float* x, float limit) {
    bool keep = x[threadIdx.x] > limit;
    unsigned votes = __ballot_sync(0xffffffffu, keep);
    if (keep) out[__popc(votes & ((1u << threadIdx.x) - 1))] = x[threadIdx.x];
    if (threadIdx.x == 0) *count = __popc(votes);
}

/* Halves of a warp that do different things. */
extern "C" __global__ void halves(int* out) {
    int x = threadIdx.x;
    if (threadIdx.x < 16)
        for (int distance = 8; distance; distance /= 2) x += __shfl_xor_sync(0x0000ffffu, x, distance);
    else
        x = __shfl_sync(0xffff0000u, x, 31) + (__any_sync(0xffff0000u, x == 20) ? 1000 : 0);
    __syncwarp();
    out[threadIdx.x] = x;
}

#define KERNEL(name) \
    extern "C" __global__ void apply_##name(float* y, const float* x) { \
        int i = blockIdx.x * blockDim.x + threadIdx.x; \
        y[i] = mxcy::name##_op<float>(nullptr)(x[i]); \
    }
KERNEL(tanh)
KERNEL(sin)
