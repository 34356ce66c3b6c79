/* Copies of bytes, sixteen at once where both ends are aligned. */
#include <cstdint>
#include "mxcy/gpu/kernels/numbers.cuh"

extern "C" __global__ void copy(unsigned char* out, const unsigned char* in, int64_t n) {
    typedef mxcy::Pack<unsigned char, 16> P;
    if (out == in) return;                      /* in place */
    const int64_t packs = (uintptr_t(out) | uintptr_t(in)) % 16 ? 0 : n / 16;
    for (int64_t i = mxcy::first_item(); i < packs; i += mxcy::grid_step())
        reinterpret_cast<P*>(out)[i] = reinterpret_cast<const P*>(in)[i];
    for (int64_t i = packs * 16 + mxcy::first_item(); i < n; i += mxcy::grid_step()) out[i] = in[i];
}
