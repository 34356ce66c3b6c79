/* Convolution by products of matrices, with channels first: `columns` writes out what each position of the result sees of
   an image, a column for each; `images` is the transposed map. */
#ifndef MXCY_GPU_COLUMNS_CUH
#define MXCY_GPU_COLUMNS_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/division.cuh"
#include "mxcy/gpu/kernels/numbers.cuh"

namespace mxcy {

struct Window {
    Divisor data[3], out[3], kernel[3];
    Divisor places, positions, volume;      /* their products */
    Divisor channels, rows;                 /* rows: of the columns, channels * volume */
    int64_t stride[3], dilate[3], pad[3];
    int64_t image_step, row_step;           /* of the columns, in elements */
};

/* A number as three coordinates. */
template <class I> static inline void coordinates(int64_t* at, I i, const Divisor* extent) {
    I rest = split(i, extent[2]);
    at[2] = i;
    at[0] = split(rest, extent[1]);
    at[1] = rest;
}

template <class T, class I> static inline void columns_of(T* out, const T* data, const Window& w, int64_t n) {
    for (I i = I(first_item()); i < I(n); i += I(grid_step())) {
        I position = i, row = split(position, w.positions);
        const I image = split(row, w.rows);
        I in = row;
        const I channel = split(in, w.volume);
        int64_t o[3], k[3], at[3];
        coordinates(o, position, w.out);
        coordinates(k, in, w.kernel);
        bool inside = true;
        for (int axis = 0; axis < 3; axis++) {
            at[axis] = o[axis] * w.stride[axis] - w.pad[axis] + k[axis] * w.dilate[axis];
            inside = inside && at[axis] >= 0 && at[axis] < w.data[axis].by;
        }
        const int64_t from = (int64_t(image) * w.channels.by + channel) * w.places.by
                             + (at[0] * w.data[1].by + at[1]) * w.data[2].by + at[2];
        out[image * w.image_step + row * w.row_step + position] = inside ? data[from] : T{};
    }
}

/* Sums of what was made of each element of the images, and a bias for each channel. */
template <class T, class I>
static inline void images_of(T* data, const T* columns, const T* bias, const Window& w, int64_t n) {
    for (I i = I(first_item()); i < I(n); i += I(grid_step())) {
        I place = i, channel = split(place, w.places);
        const I image = split(channel, w.channels);
        const T* from = columns + image * w.image_step + channel * w.volume.by * w.row_step;
        int64_t at[3], o[3];
        coordinates(at, place, w.data);
        wide_t<T> total = bias ? widen(bias[channel]) : wide_t<T>(0);
        for (int k0 = 0; k0 < w.kernel[0].by; k0++)
            for (int k1 = 0; k1 < w.kernel[1].by; k1++)
                for (int k2 = 0; k2 < w.kernel[2].by; k2++, from += w.row_step) {
                    const int k[3] = {k0, k1, k2};
                    bool seen = true;
                    for (int axis = 0; axis < 3; axis++) {
                        const int reach = int(at[axis] + w.pad[axis] - k[axis] * w.dilate[axis]);
                        o[axis] = reach / int(w.stride[axis]);
                        seen = seen && reach >= 0 && reach % int(w.stride[axis]) == 0 && o[axis] < w.out[axis].by;
                    }
                    if (seen) total += widen(from[(o[0] * w.out[1].by + o[1]) * w.out[2].by + o[2]]);
                }
        data[i] = narrow<T>(total);
    }
}

/* The bias of each channel, of images with `places` elements each. */
template <class T, class I>
static inline void add_channels(T* out, const T* bias, const Divisor& places, const Divisor& channels, int64_t n) {
    for (I i = I(first_item()); i < I(n); i += I(grid_step())) {
        I rest = i, channel = split(rest, places);
        split(channel, channels);
        out[i] = narrow<T>(widen(out[i]) + widen(bias[channel]));
    }
}

}  // namespace mxcy

#define MXCY_COLUMNS(T, I)                                                                                             \
    extern "C" __global__ void columns(T* out, const T* data, mxcy::Window w, int64_t n) {                             \
        mxcy::columns_of<T, I>(out, data, w, n);                                                                       \
    }                                                                                                                  \
    extern "C" __global__ void images(T* data, const T* columns, const T* bias, mxcy::Window w, int64_t n) {           \
        mxcy::images_of<T, I>(data, columns, bias, w, n);                                                              \
    }                                                                                                                  \
    extern "C" __global__ void add_channels(T* out, const T* bias, mxcy::Divisor places, mxcy::Divisor channels,       \
                                            int64_t n) {                                                               \
        mxcy::add_channels<T, I>(out, bias, places, channels, n);                                                      \
    }
#endif
