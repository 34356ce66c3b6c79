/* Division by a number that is known before the launch. Of 32-bit numbers it is a product and a shift (Granlund and
   Montgomery, "Division by invariant integers using multiplication", PLDI 1994); 64-bit ones are divided. */
#ifndef MXCY_GPU_DIVISION_CUH
#define MXCY_GPU_DIVISION_CUH
#include <cstdint>

namespace mxcy {

struct Divisor { int64_t by; uint32_t factor, shift; };     /* ops/cuda/strided.py makes it */

static inline uint32_t divide(uint32_t n, const Divisor& d) {     /* n < 2^31 */
    return (uint32_t(uint64_t(n) * d.factor >> 32) + n) >> d.shift;
}
static inline int64_t divide(int64_t n, const Divisor& d) { return n / d.by; }

/* The quotient; n becomes the remainder. */
template <class I> static inline I split(I& n, const Divisor& d) {
    const I quotient = divide(n, d);
    n -= quotient * I(d.by);
    return quotient;
}

}  // namespace mxcy
#endif
