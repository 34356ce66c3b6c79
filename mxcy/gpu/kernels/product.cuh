/* Products of matrices on plain cores, where no library does them: c = op(a) op(b) + bias, one or a batch.

   A block of 256 threads makes a tile of c, each thread a square of it in registers. Panels of a and b go through shared
   memory, where they lie with k outermost, whichever way round they lie in memory; the next ones are on their way while
   the present ones are multiplied. If there are fewer tiles than the device has room for, several blocks share the sum
   over k, and `join_parts` adds their parts, in order. */
#ifndef MXCY_GPU_PRODUCT_CUH
#define MXCY_GPU_PRODUCT_CUH
#include <cstdint>
#include <type_traits>
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

/* What products are summed in. Of short integers the low bits count only. */
template <class T> using sum_t = std::conditional_t<std::is_integral_v<T> && sizeof(T) < 4, int32_t, wide_t<T>>;

struct Product {                            /* in elements; a step leads from one row, as it lies in memory, to the next */
    int64_t m, n, k, a_step, b_step, a_batch;
    int64_t parts, depth;                   /* of the sum over k: how many, and how long, a multiple of the panels' depth */
};

enum { PRODUCT_THREADS = 256, SPARE = 4 };  /* of a shared row, so that columns do not fall into one bank */

/* outer rows of a or columns of b, `deep` of each: on the way from memory. along_k: k is the axis that is dense there. */
template <class T, int outer, int deep, bool along_k> struct Panel {
    enum { V = sizeof(T) >= 2 ? 16 / sizeof(T) : 8, ROW = (along_k ? deep : outer) / V, ITEMS = outer * deep / V,
           EACH = (ITEMS + PRODUCT_THREADS - 1) / PRODUCT_THREADS };
    typedef Pack<T, V> P;
    P held[EACH];

    static bool dense(const T* x, int64_t step) { return uintptr_t(x) % sizeof(P) == 0 && step % V == 0; }

    void load(const T* x, int64_t step, int64_t first, int64_t end, int64_t k, int64_t k_end, bool packs) {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int item = threadIdx.x + e * PRODUCT_THREADS;
            if (item >= ITEMS) break;
            const int64_t line = (along_k ? first : k) + item / ROW, at = (along_k ? k : first) + item % ROW * V;
            const int64_t left = line < (along_k ? end : k_end) ? (along_k ? k_end : end) - at : 0;
            const T* from = x + line * step + at;
            if (packs && left >= V) held[e] = *reinterpret_cast<const P*>(from);
            else
                for (int v = 0; v < V; v++) held[e].item[v] = v < left ? from[v] : T{};
        }
    }

    void store(sum_t<T> (*out)[outer + SPARE]) const {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const int item = threadIdx.x + e * PRODUCT_THREADS;
            if (item >= ITEMS) break;
            const int line = item / ROW, at = item % ROW * V;
#pragma unroll
            for (int v = 0; v < V; v++) {
                if (along_k) out[at + v][line] = widen(held[e].item[v]);
                else out[line][at + v] = widen(held[e].item[v]);
            }
        }
    }
};

/* add: to what c holds. */
template <class T, int tile, bool transpose_a, bool transpose_b, bool add>
static inline void product_tile(T* c, sum_t<T>* parts, const T* a, const T* b, const T* bias, const Product& p) {
    typedef sum_t<T> W;
    constexpr int deep = 64 / sizeof(W), side = tile / 16, run = side < 4 ? side : 4;     /* of a thread's square */
    typedef Panel<T, tile, deep, !transpose_a> A;
    typedef Panel<T, tile, deep, transpose_b> B;
    typedef Pack<W, run> R;
    alignas(32) __shared__ W as[2][deep][tile + SPARE];
    alignas(32) __shared__ W bs[2][deep][tile + SPARE];
    const int64_t across = (p.n + tile - 1) / tile, down = (p.m + tile - 1) / tile;
    int64_t index = blockIdx.x;
    const int64_t n0 = index % across * tile, m0 = (index / across) % down * tile;
    index /= across * down;
    const int64_t part = index % p.parts, batch = index / p.parts;
    const int64_t begin = part * p.depth, end = begin + p.depth < p.k ? begin + p.depth : p.k;
    const int x0 = threadIdx.x % 16 * run, y0 = threadIdx.x / 16 * run;
    a += batch * p.a_batch;
    b += batch * p.k * p.n;
    c += batch * p.m * p.n;
    const bool a_packs = A::dense(a, p.a_step), b_packs = B::dense(b, p.b_step);
    W sums[side][side] = {};
    if (bias && part == 0)
#pragma unroll
        for (int j = 0; j < side; j++) {
            const int64_t column = n0 + x0 + j / run * 16 * run + j % run;
            const W start = column < p.n ? W(widen(bias[column])) : W(0);
#pragma unroll
            for (int i = 0; i < side; i++) sums[i][j] = start;
        }
    if (add && part == 0)
        for (int i = 0; i < side; i++)
            for (int j = 0; j < side; j++) {
                const int64_t row = m0 + y0 + i / run * 16 * run + i % run, column = n0 + x0 + j / run * 16 * run + j % run;
                if (row < p.m && column < p.n) sums[i][j] = widen(c[row * p.n + column]);
            }
    A a_next;
    B b_next;
    if (begin < end) {
        a_next.load(a, p.a_step, m0, p.m, begin, end, a_packs);
        b_next.load(b, p.b_step, n0, p.n, begin, end, b_packs);
        a_next.store(as[0]);
        b_next.store(bs[0]);
    }
    __syncthreads();
    int now = 0;
    for (int64_t k = begin; k < end; k += deep, now ^= 1) {
        const bool more = k + deep < end;
        if (more) {
            a_next.load(a, p.a_step, m0, p.m, k + deep, end, a_packs);
            b_next.load(b, p.b_step, n0, p.n, k + deep, end, b_packs);
        }
#pragma unroll 4
        for (int d = 0; d < deep; d++) {
            R y[side / run], x[side / run];
#pragma unroll
            for (int r = 0; r < side / run; r++) {
                y[r] = *reinterpret_cast<const R*>(&as[now][d][y0 + r * 16 * run]);
                x[r] = *reinterpret_cast<const R*>(&bs[now][d][x0 + r * 16 * run]);
            }
#pragma unroll
            for (int i = 0; i < side; i++)
#pragma unroll
                for (int j = 0; j < side; j++) sums[i][j] += y[i / run].item[i % run] * x[j / run].item[j % run];
        }
        if (more) {                         /* the other half was read before the last barrier */
            a_next.store(as[now ^ 1]);
            b_next.store(bs[now ^ 1]);
            __syncthreads();
        }
    }
#pragma unroll
    for (int i = 0; i < side; i++) {
        const int64_t row = m0 + y0 + i / run * 16 * run + i % run;
        if (row >= p.m) break;
#pragma unroll
        for (int j = 0; j < side; j++) {
            const int64_t column = n0 + x0 + j / run * 16 * run + j % run;
            if (column >= p.n) break;
            if (p.parts > 1) parts[(index * p.m + row) * p.n + column] = sums[i][j];
            else c[row * p.n + column] = narrow<T>(sums[i][j]);
        }
    }
}

template <class T> static inline void join_product(T* c, const sum_t<T>* parts, int64_t count, int64_t size, int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const sum_t<T>* from = parts + i / size * count * size + i % size;
        sum_t<T> sum = 0;
        for (int64_t part = 0; part < count; part++) sum += from[part * size];
        c[i] = narrow<T>(sum);
    }
}

/* Rows of a matrix, dense along k, times a few vectors: memory decides, so each row is read once, by `lanes` threads. */
struct Dots {
    int64_t rows, k, step, batch;
    int64_t vector_step, vector_stride;     /* from one vector to the next, and along it */
    int64_t row_stride, column_stride;      /* of c: from row to row of the matrix, and from vector to vector */
    int64_t bias_by_row;                    /* bias has an element for each row, or for each vector */
};

template <class T, int count, int lanes>
static inline void product_dots(T* c, const T* matrix, const T* vectors, const T* bias, const Dots& p) {
    typedef sum_t<T> W;
    enum { V = sizeof(T) >= 2 ? 16 / sizeof(T) : 8, WARPS = lanes / 32 };
    typedef Pack<T, V> P;
    __shared__ W of_warps[PRODUCT_THREADS / 32][count];
    const int lane = threadIdx.x % lanes, warp = threadIdx.x / 32;
    const int64_t index = int64_t(blockIdx.x) * (PRODUCT_THREADS / lanes) + threadIdx.x / lanes;
    const int64_t row = index % p.rows, batch = index / p.rows;
    W sums[count] = {};
    if (batch < p.batch) {
        const T* x = matrix + batch * p.rows * p.k + row * p.step;
        const T* y = vectors + batch * count * p.k;
        const int64_t packs = uintptr_t(x) % sizeof(P) ? 0 : p.k / V;
        const bool dense = p.vector_stride == 1 && p.vector_step % V == 0 && uintptr_t(y) % sizeof(P) == 0;
#pragma unroll 4
        for (int64_t i = lane; i < (dense ? packs : 0); i += lanes) {
            const P pack = reinterpret_cast<const P*>(x)[i];
#pragma unroll
            for (int j = 0; j < count; j++) {
                const P other = reinterpret_cast<const P*>(y + j * p.vector_step)[i];
#pragma unroll
                for (int v = 0; v < V; v++) sums[j] += W(widen(pack.item[v])) * W(widen(other.item[v]));
            }
        }
        for (int64_t i = lane; i < (dense ? 0 : packs); i += lanes) {
            const P pack = reinterpret_cast<const P*>(x)[i];
#pragma unroll
            for (int v = 0; v < V; v++)
#pragma unroll
                for (int j = 0; j < count; j++)
                    sums[j] += W(widen(pack.item[v])) * W(widen(y[j * p.vector_step + (i * V + v) * p.vector_stride]));
        }
        for (int64_t k = packs * V + lane; k < p.k; k += lanes)
            for (int j = 0; j < count; j++)
                sums[j] += W(widen(x[k])) * W(widen(y[j * p.vector_step + k * p.vector_stride]));
    }
#pragma unroll
    for (int j = 0; j < count; j++)
        for (int step = 16; step; step /= 2) sums[j] += __shfl_xor_sync(0xffffffffu, sums[j], step);
    if (WARPS > 1) {
        if (threadIdx.x % 32 == 0)
            for (int j = 0; j < count; j++) of_warps[warp][j] = sums[j];
        __syncthreads();
        for (int j = 0; j < count; j++) {
            sums[j] = 0;
            for (int w = 0; w < WARPS; w++) sums[j] += of_warps[w][j];
        }
    }
    if (lane == 0 && batch < p.batch)
        for (int j = 0; j < count; j++) {
            if (bias) sums[j] += widen(bias[p.bias_by_row ? row : j]);
            c[batch * p.rows * count + row * p.row_stride + j * p.column_stride] = narrow<T>(sums[j]);
        }
}

}  // namespace mxcy

#define MXCY_PRODUCT(T, tile, transpose_a, transpose_b, add)                                                           \
    extern "C" __global__ void __launch_bounds__(256, sizeof(mxcy::sum_t<T>) == 4 ? 2 : 1)                             \
    tiles(T* c, mxcy::sum_t<T>* parts, const T* a, const T* b, const T* bias, mxcy::Product p) {                       \
        mxcy::product_tile<T, tile, transpose_a, transpose_b, add>(c, parts, a, b, bias, p);                           \
    }                                                                                                                  \
    extern "C" __global__ void join_parts(T* c, const mxcy::sum_t<T>* parts, int64_t count, int64_t size, int64_t n) { \
        mxcy::join_product<T>(c, parts, count, size, n);                                                               \
    }
#define MXCY_DOTS(T, count, lanes)                                                                                     \
    extern "C" __global__ void __launch_bounds__(256) dots(T* c, const T* matrix, const T* vectors, const T* bias,     \
                                                           mxcy::Dots p) {                                             \
        mxcy::product_dots<T, count, lanes>(c, matrix, vectors, bias, p);                                              \
    }
#endif
