/* What trainers ask of many arrays at once. A block does one chunk of one array, all arrays together. */
#ifndef MXCY_GPU_MANY_CUH
#define MXCY_GPU_MANY_CUH
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

enum { CHUNK = 16384, MANY_THREADS = 256 };

/* Array k has chunks begin[k] to begin[k + 1]; `room`, a power of two, is no less than the number of arrays. */
template <class T, int room> struct Many {
    const T* data[room];
    int64_t begin[room + 1], size[room];
};

/* Calls use(element) for the elements of chunk number blockIdx.x that are this thread's. */
template <class T, int room, class Use> static inline void each_of_chunk(const Many<T, room>& many, Use use) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    int at = 0;
#pragma unroll
    for (int step = room / 2; step > 0; step /= 2)
        if (int64_t(blockIdx.x) >= many.begin[at + step]) at += step;
    const int64_t first = (blockIdx.x - many.begin[at]) * CHUNK, left = many.size[at] - first;
    const int n = left < CHUNK ? int(left) : CHUNK;
    const T* const data = many.data[at] + first;
    const int packs = uintptr_t(data) % sizeof(P) ? 0 : n / count;
    for (int i = threadIdx.x; i < packs; i += MANY_THREADS) {
        const P item = reinterpret_cast<const P*>(data)[i];
        for (int j = 0; j < count; j++) use(widen(item.item[j]));
    }
    for (int i = packs * count + threadIdx.x; i < n; i += MANY_THREADS) use(widen(data[i]));
}

/* parts[chunk] = the sum of its squares; threads are added up pair by pair. */
template <class T, int room> static inline void sum_squares(double* parts, const Many<T, room>& many) {
    __shared__ double of_warps[MANY_THREADS / 32];
    wide_t<T> own = 0;
    each_of_chunk(many, [&](wide_t<T> x) { own += x * x; });
    double sum = own;
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x) return;
    for (int k = 1; k < MANY_THREADS / 32; k++) sum += of_warps[k];
    parts[blockIdx.x] = sum;
}

/* out[k] = the sum of the parts of array k: a warp for each array. */
template <int room> struct Begins { int64_t of[room + 1]; };
template <int room>
static inline void sum_parts(float* out, const double* parts, const Begins<room>& begin) {
    double sum = 0;
    for (int64_t i = begin.of[blockIdx.x] + threadIdx.x; i < begin.of[blockIdx.x + 1]; i += 32) sum += parts[i];
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    if (threadIdx.x == 0) out[blockIdx.x] = float(sum);
}

/* out becomes 0 if an element of the chunk is infinite or NaN: its difference with itself is not 0. */
template <class T, int room> static inline void check_finite(float* out, const Many<T, room>& many) {
    bool finite = true;
    each_of_chunk(many, [&](wide_t<T> x) { finite = finite && x - x == 0; });
    if (!finite) *out = 0;
}

/* The rates of LARS. p: eta, eps, rescale_grad. */
struct Lars { double eta, eps, rescale; };
template <class T>
static inline void lars(T* out, const T* rates, const T* weights, const T* grads, const T* decays, const Lars& p,
                        int64_t n) {
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const double rate = widen(rates[i]), weight = sqrt(double(widen(weights[i])));
        const double grad = sqrt(double(widen(grads[i]))) * p.rescale;
        const bool scaled = weight > 0 && grad > 0;
        out[i] = narrow<T>(wide_t<T>(
            scaled ? rate * p.eta * weight / (grad + double(widen(decays[i])) * weight + p.eps) : rate));
    }
}

}  // namespace mxcy
#endif
