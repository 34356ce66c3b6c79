/* Batches of sequences of different lengths, with time along axis 0 or 1. */
#ifndef MXCY_GPU_SEQUENCE_CUH
#define MXCY_GPU_SEQUENCE_CUH
#include "mxcy/gpu/kernels/index.cuh"

namespace mxcy {

/* Steps after the end of a sequence become `value`, or, where the order is reversed, stay. Steps have `inner` packs;
   axis 1 has `second` entries. */
template <class T, int count, int axis, bool reversed, class X, class I>
static inline void by_length(T* out, const T* data, const X* lengths, const Divisor& inner, const Divisor& second,
                             int64_t steps, double value, int64_t n) {
    typedef Pack<T, count> P;
    const bool aligned = (uintptr_t(out) | uintptr_t(data)) % sizeof(P) == 0;
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        I column = I(i), last = split(column, inner);
        const I first = split(last, second);
        const int64_t t = axis ? last : first, sequence = axis ? first : last;
        int64_t length = index_at<KEEP>(lengths, sequence, 0);
        length = length < 0 ? 0 : length > steps ? steps : length;
        const int64_t by_step = axis ? inner.by : inner.by * second.by;
        P item;
        if (reversed || t < length) {
            const int64_t from = reversed && t < length ? i + (length - 1 - 2 * t) * by_step : i;
            if (aligned) item = reinterpret_cast<const P*>(data)[from];
            else for (int j = 0; j < count; j++) item.item[j] = data[from * count + j];
        } else {
            for (int j = 0; j < count; j++) item.item[j] = convert_element<T>(value);
        }
        if (aligned) reinterpret_cast<P*>(out)[i] = item;
        else for (int j = 0; j < count; j++) out[i * count + j] = item.item[j];
    }
}

}  // namespace mxcy
#endif
