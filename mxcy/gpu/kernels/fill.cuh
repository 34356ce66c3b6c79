/* Arrays made from numbers. */
#ifndef MXCY_GPU_FILL_CUH
#define MXCY_GPU_FILL_CUH
#include "mxcy/gpu/kernels/convert.cuh"

namespace mxcy {

/* out[i] = number(i), as many at once as 16 bytes hold. */
template <class T, class Number> static inline void generate(T* out, int64_t n, Number number) {
    constexpr int count = 16 / sizeof(T);
    typedef Pack<T, count> P;
    const int64_t packs = uintptr_t(out) % sizeof(P) ? 0 : n / count;
    for (int64_t i = first_item(); i < packs; i += grid_step()) {
        P result;
        for (int j = 0; j < count; j++) result.item[j] = number(i * count + j);
        reinterpret_cast<P*>(out)[i] = result;
    }
    for (int64_t i = packs * count + first_item(); i < n; i += grid_step()) out[i] = number(i);
}

template <class T> static inline void fill(T* out, double value, int64_t n) {
    const T number = convert_element<T>(value);
    generate(out, n, [=](int64_t) { return number; });
}

/* start, start + step, ...; each number stands `repeat` times. Product and sum are rounded one by one, as on the CPU. */
template <class T> static inline void sequence(T* out, double start, double step, int64_t repeat, int64_t n) {
    generate(out, n, [=](int64_t i) {
        const int64_t at = repeat == 1 ? i : i / repeat;
        return convert_element<T>(__dadd_rn(start, __dmul_rn(double(at), step)));
    });
}

}  // namespace mxcy
#endif
