/* Places in an array whose axes have any strides; ops/cuda/axes.py joins the axes that can be. */
#ifndef MXCY_GPU_AXES_CUH
#define MXCY_GPU_AXES_CUH
#include <cstdint>
#include "mxcy/gpu/kernels/division.cuh"

namespace mxcy {

enum { MOST_AXES = 12 };

struct Axes {                               /* strides in elements; the last axis first */
    int64_t ndim;
    Divisor dims[MOST_AXES];
    int64_t strides[MOST_AXES];
};

/* Where item number `index` is. */
static inline int64_t offset(const Axes& axes, int64_t index) {
    int64_t at = 0;
#pragma unroll 1
    for (int axis = 0; axis < axes.ndim; axis++) {
        int64_t here = index;
        if (axis + 1 < axes.ndim) index = split(here, axes.dims[axis]);
        at += here * axes.strides[axis];
    }
    return at;
}

}  // namespace mxcy
#endif
