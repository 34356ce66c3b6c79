/* Convolution in its three directions as products of matrices that are never formed: tiles of them are gathered into
   shared memory, and a block computes SIDE x SIDE elements of the result from those.

   What runs where there is no cuDNN, and for types that it does not take. */
#ifndef MXCY_GPU_CONVOLUTION_CUH
#define MXCY_GPU_CONVOLUTION_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

enum { CONV_SIDE = 64, CONV_DEPTH = 16, CONV_THREADS = 256, CONV_OWN = 4 };

struct Conv {                           /* "data" is the larger side, also where it is the result */
    int64_t batch, channels, filters;   /* the last two per group */
    int64_t data[3], out[3], kernel[3], stride[3], dilate[3], pad[3];
    int64_t data_step[5], out_step[5], weight_step[5];      /* elements: batch or filter, channel, three axes */
    int64_t volume, positions, places;  /* products of kernel, out, data */
};

struct Axes {                           /* a number as three coordinates */
    int64_t at[3];
    Axes(int64_t i, const int64_t* extent) {
        at[2] = i % extent[2], i /= extent[2];
        at[1] = i % extent[1], at[0] = i / extent[1];
    }
};

static inline int64_t offset(const int64_t* step, int64_t first, int64_t channel, const int64_t* at) {
    return first * step[0] + channel * step[1] + at[0] * step[2] + at[1] * step[3] + at[2] * step[4];
}

/* An element of the data under position `out` of the result and position `in` of the window. */
template <class T>
static inline wide_t<T> under(const Conv& c, const T* data, int64_t image, int64_t channel, const Axes& out, const Axes& in) {
    int64_t at[3];
    for (int i = 0; i < 3; i++) {
        at[i] = out.at[i] * c.stride[i] - c.pad[i] + in.at[i] * c.dilate[i];
        if (at[i] < 0 || at[i] >= c.data[i]) return 0;
    }
    return widen(data[offset(c.data_step, image, channel, at)]);
}

/* Result (m, n) = sum over k in [begin, end) of left(m, k) right(k, n). */
template <class W, class Left, class Right, class Store>
static inline void gathered_product(int64_t rows, int64_t columns, int64_t begin, int64_t end, Left left, Right right,
                                    Store store) {
    __shared__ W a[CONV_DEPTH][CONV_SIDE], b[CONV_DEPTH][CONV_SIDE];
    const int64_t row = int64_t(blockIdx.y) * CONV_SIDE, column = int64_t(blockIdx.x) * CONV_SIDE;
    const int x = threadIdx.x % 16, y = threadIdx.x / 16;
    W total[CONV_OWN][CONV_OWN] = {};
    for (int64_t k0 = begin; k0 < end; k0 += CONV_DEPTH) {
        for (int i = threadIdx.x; i < CONV_SIDE * CONV_DEPTH; i += CONV_THREADS) {
            const int64_t at = i % CONV_SIDE, k = k0 + i / CONV_SIDE;
            a[i / CONV_SIDE][at] = row + at < rows && k < end ? left(row + at, k) : W(0);
            b[i / CONV_SIDE][at] = column + at < columns && k < end ? right(k, column + at) : W(0);
        }
        __syncthreads();
        for (int k = 0; k < CONV_DEPTH; k++)
            for (int i = 0; i < CONV_OWN; i++)
                for (int j = 0; j < CONV_OWN; j++) total[i][j] += a[k][y + 16 * i] * b[k][x + 16 * j];
        __syncthreads();
    }
    for (int i = 0; i < CONV_OWN; i++)
        for (int j = 0; j < CONV_OWN; j++) {
            const int64_t m = row + y + 16 * i, n = column + x + 16 * j;
            if (m < rows && n < columns) store(m, n, total[i][j]);
        }
}

/* out = data * weight: filters x (images and positions), summed over channels and the window. */
template <class T>
static inline void conv_forward(const Conv& c, const T* data, const T* weight, const T* bias, T* out) {
    typedef wide_t<T> W;
    const int64_t group = blockIdx.z, filter0 = group * c.filters, channel0 = group * c.channels;
    gathered_product<W>(
        c.filters, c.batch * c.positions, 0, c.channels * c.volume,
        [&](int64_t f, int64_t k) {
            return widen(weight[offset(c.weight_step, filter0 + f, k / c.volume, Axes(k % c.volume, c.kernel).at)]);
        },
        [&](int64_t k, int64_t n) {
            return under(c, data, n / c.positions, channel0 + k / c.volume, Axes(n % c.positions, c.out),
                         Axes(k % c.volume, c.kernel));
        },
        [&](int64_t f, int64_t n, W total) {
            if (bias) total += widen(bias[filter0 + f]);
            out[offset(c.out_step, n / c.positions, filter0 + f, Axes(n % c.positions, c.out).at)] = narrow<T>(total);
        });
}

/* data = what out is made of, by the transposed map: channels x (images and places), summed over filters and window. */
template <class T>
static inline void conv_data(const Conv& c, const T* out, const T* weight, const T* bias, T* data) {
    typedef wide_t<T> W;
    const int64_t group = blockIdx.z, filter0 = group * c.filters, channel0 = group * c.channels;
    gathered_product<W>(
        c.channels, c.batch * c.places, 0, c.filters * c.volume,
        [&](int64_t channel, int64_t k) {
            return widen(weight[offset(c.weight_step, filter0 + k / c.volume, channel, Axes(k % c.volume, c.kernel).at)]);
        },
        [&](int64_t k, int64_t n) {
            const Axes place(n % c.places, c.data), in(k % c.volume, c.kernel);
            int64_t at[3];
            for (int i = 0; i < 3; i++) {
                const int64_t reach = place.at[i] + c.pad[i] - in.at[i] * c.dilate[i];
                at[i] = reach / c.stride[i];
                if (reach < 0 || reach % c.stride[i] || at[i] >= c.out[i]) return W(0);
            }
            return widen(out[offset(c.out_step, n / c.places, filter0 + k / c.volume, at)]);
        },
        [&](int64_t channel, int64_t n, W total) {
            if (bias) total += widen(bias[channel0 + channel]);
            data[offset(c.data_step, n / c.places, channel0 + channel, Axes(n % c.places, c.data).at)] = narrow<T>(total);
        });
}

/* The gradient of the weights: filters x (channels and window), summed over images and positions; each of `slices` of
   that sum goes to a matrix of its own, and conv_total adds them in order. */
template <class T>
static inline void conv_weight(const Conv& c, const T* data, const T* g, wide_t<T>* parts, int64_t slices) {
    typedef wide_t<T> W;
    const int64_t group = blockIdx.z / slices, slice = blockIdx.z % slices;
    const int64_t filter0 = group * c.filters, channel0 = group * c.channels, columns = c.channels * c.volume;
    const int64_t all = c.batch * c.positions, step = (all + slices - 1) / slices, begin = slice * step;
    parts += blockIdx.z * c.filters * columns;
    gathered_product<W>(
        c.filters, columns, begin, begin + step < all ? begin + step : all,
        [&](int64_t f, int64_t k) {
            return widen(g[offset(c.out_step, k / c.positions, filter0 + f, Axes(k % c.positions, c.out).at)]);
        },
        [&](int64_t k, int64_t n) {
            return under(c, data, k / c.positions, channel0 + n / c.volume, Axes(k % c.positions, c.out),
                         Axes(n % c.volume, c.kernel));
        },
        [&](int64_t f, int64_t n, W total) { parts[f * columns + n] = total; });
}

template <class T>
static inline void conv_total(const Conv& c, const wide_t<T>* parts, T* weight, int64_t slices, int64_t n) {
    const int64_t columns = c.channels * c.volume, matrix = c.filters * columns;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const int64_t group = i / matrix, rest = i % matrix, f = rest / columns, k = rest % columns;
        wide_t<T> total = 0;
        for (int64_t s = 0; s < slices; s++) total += parts[(group * slices + s) * matrix + rest];
        weight[offset(c.weight_step, group * c.filters + f, k / c.volume, Axes(k % c.volume, c.kernel).at)] =
            narrow<T>(total);
    }
}

}  // namespace mxcy

#define MXCY_CONVOLUTION(T)                                                                                           \
    extern "C" __global__ void forward(mxcy::Conv c, const T* data, const T* weight, const T* bias, T* out) {         \
        mxcy::conv_forward<T>(c, data, weight, bias, out);                                                            \
    }                                                                                                                 \
    extern "C" __global__ void backward(mxcy::Conv c, const T* out, const T* weight, const T* bias, T* data) {        \
        mxcy::conv_data<T>(c, out, weight, bias, data);                                                               \
    }                                                                                                                 \
    extern "C" __global__ void weights(mxcy::Conv c, const T* data, const T* g, mxcy::wide_t<T>* parts,               \
                                       int64_t slices) {                                                              \
        mxcy::conv_weight<T>(c, data, g, parts, slices);                                                              \
    }                                                                                                                 \
    extern "C" __global__ void total(mxcy::Conv c, const mxcy::wide_t<T>* parts, T* weight, int64_t slices,           \
                                     int64_t n) {                                                                     \
        mxcy::conv_total<T>(c, parts, weight, slices, n);                                                             \
    }
#endif
