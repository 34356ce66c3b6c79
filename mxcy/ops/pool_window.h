// The windows of a pooling: which elements each covers, and what a mean divides by.
#pragma once
#include <stdint.h>

struct mxcy_pool {
    int64_t spatial, kind, last, include_pad, power, whole;     // whole: the window is the plane
    int64_t kernel[3], stride[3], pad[3];
    int64_t data[3], out[3], channels;                          // channels: 1 but for channels last
};

enum { MXCY_POOL_MAX, MXCY_POOL_AVG, MXCY_POOL_SUM, MXCY_POOL_LP };

static inline int64_t mxcy_volume(const int64_t* n) { return n[0] * n[1] * n[2]; }

// The part [low, high) of axis i that the window at position o covers, and its extent with the padding it may count.
struct mxcy_span {
    int64_t start, low, high, padded;
    mxcy_span(const mxcy_pool& p, int i, int64_t o) {
        start = o * p.stride[i] - p.pad[i];
        int64_t end = start + p.kernel[i], edge = p.data[i] + p.pad[i];
        padded = (end < edge ? end : edge) - start;
        low = start < 0 ? 0 : start;
        high = end < p.data[i] ? end : p.data[i];
    }
    int64_t size() const { return high > low ? high - low : 0; }
};

// What a sum is divided by, along one axis: the extent of the window, if it is a mean.
static inline int64_t mxcy_weight(const mxcy_pool& p, const mxcy_span& span) {
    int64_t n = p.kind != MXCY_POOL_AVG ? 1 : p.include_pad ? span.padded : span.size();
    return n > 0 ? n : 1;
}
