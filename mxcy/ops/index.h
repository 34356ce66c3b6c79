/* Arrays of indices of any dtype, as integers within bounds. */
#ifndef MXCY_OPS_INDEX_H
#define MXCY_OPS_INDEX_H
#include <stdint.h>
#include "mxcy/ops/half.h"

namespace mxcy_index {

enum Mode { CLIP, WRAP, RAISE, KEEP };      /* KEEP: as they are */

static inline ptrdiff_t integer(double x) { return x > -9e18 && x < 9e18 ? (ptrdiff_t)x : 0; }      /* NaN: 0 */
static inline ptrdiff_t integer(float x) { return integer((double)x); }
template <class T> static inline ptrdiff_t integer(T x) { return (ptrdiff_t)x; }
struct Half { uint16_t bits; };
static inline ptrdiff_t integer(Half x) { return integer((double)mxcy_half_one(x.bits)); }

/* n indices into `limit` places. Returns -1, or the position of the first that is out of range if the mode is RAISE;
 * negative ones then count from the end. */
template <class T> ptrdiff_t load_as(ptrdiff_t *out, const T *x, ptrdiff_t n, ptrdiff_t limit, int mode) {
    ptrdiff_t bad = -1;
    switch (mode) {
    case CLIP:
        for (ptrdiff_t i = 0; i < n; i++) {
            ptrdiff_t k = integer(x[i]);
            k = k < limit ? k : limit - 1;
            out[i] = k > 0 ? k : 0;
        }
        break;
    case WRAP:
        for (ptrdiff_t i = 0; i < n; i++) {
            ptrdiff_t k = integer(x[i]) % limit;
            out[i] = k < 0 ? k + limit : k;
        }
        break;
    case RAISE:
        for (ptrdiff_t i = n - 1; i >= 0; i--) {
            ptrdiff_t k = integer(x[i]);
            k = k < 0 ? k + limit : k;
            if (k < 0 || k >= limit) bad = i;
            out[i] = k;
        }
        break;
    default:
        for (ptrdiff_t i = 0; i < n; i++) out[i] = integer(x[i]);
    }
    return bad;
}

static inline ptrdiff_t load(ptrdiff_t *out, const void *x, int dtype, ptrdiff_t n, ptrdiff_t limit, int mode) {
    switch (dtype) {                                     /* mxcy/_types.pxd: DType */
    case 0: return load_as(out, (const float *)x, n, limit, mode);
    case 1: return load_as(out, (const double *)x, n, limit, mode);
    case 2: return load_as(out, (const Half *)x, n, limit, mode);
    case 4: return load_as(out, (const int32_t *)x, n, limit, mode);
    case 5: return load_as(out, (const int8_t *)x, n, limit, mode);
    case 6: return load_as(out, (const int64_t *)x, n, limit, mode);
    default: return load_as(out, (const uint8_t *)x, n, limit, mode);
    }
}
}
#endif
