/* Random numbers of several distributions from Philox words.
 *
 * uniform, normal and exponential take a fixed count of words for each element and are made a tile at a time, vectorised.
 * The others reject, so each element draws from its own blocks. Either way a number depends only on the seed, the
 * stream and its place.
 */
#ifndef MXCY_OPS_RANDOM_H
#define MXCY_OPS_RANDOM_H
#include <math.h>
#include <string.h>
#include "mxcy/ops/half.h"
#include "mxcy/ops/philox.h"
#include "mxcy/ops/vmath.h"

namespace mxcy_random {

enum Kind { UNIFORM, NORMAL, EXPONENTIAL, GAMMA, POISSON, NEGATIVE_BINOMIAL, GENERALIZED_NEGATIVE_BINOMIAL };

/* Elements of a tile, and words of one element: 32 random bits make a float, 64 a double. */
template <class T> struct Tile;
template <> struct Tile<float> { enum { SIZE = PHILOX_TILE }; };
template <> struct Tile<double> { enum { SIZE = PHILOX_TILE / 2 }; };

/* The upper half of the product: with 64 random bits, an integer below y. */
static inline uint64_t upper_product(uint64_t x, uint64_t y) {
#ifdef __CUDACC__
    return __umul64hi(x, y);
#else
    return (uint64_t)((unsigned __int128)x * y >> 64);
#endif
}

static inline double join(uint32_t high, uint32_t low) {           /* an integer below 2^53, exact in double */
    return (double)(high >> 5) * 67108864. + (double)(low >> 6);
}

/* In [0, 1) */
static inline float unit(uint32_t w) { return (float)(int32_t)(w >> 8) * 0x1p-24f; }
static inline double unit(uint32_t high, uint32_t low) { return join(high, low) * 0x1p-53; }
/* In (0, 1), as fine near 0 as the words allow: the logarithm gives the tails. */
static inline float positive(uint32_t w) { return ((float)(w >> 1) + .25f) * 0x1p-31f; }
static inline double positive(uint32_t high, uint32_t low) { return (join(high, low) + .5) * 0x1p-53; }
/* In [-1/2, 1/2) */
static inline float turn(uint32_t w) { return (float)(int32_t)w * 0x1p-32f; }
static inline double turn(uint32_t high, uint32_t low) { return join(high, low) * 0x1p-53 - .5; }

/* sin(2 pi x) for |x| <= 1/4, by its Taylor polynomial */
static inline float sine(float x) {
    float z = x * x;
    return x * mxcy::polynomial(z, 6.283185307, -41.34170224, 81.60524928, -76.70585975, 42.05869394, -15.09464258);
}
static inline double sine(double x) {
    double z = x * x;
    return x * mxcy::polynomial(z, 6.2831853071795864769, -41.341702240399760234, 81.605249276075054203,
                                -76.705859753061385841, 42.058693944897653144, -15.094642576822990391,
                                3.8199525848482821277, -.71812230177850051223, .10422916220813978118,
                                -.012031585942120627233, .0011309237482517961877, -8.8235335992430051344e-5);
}

/* Box and Muller, "A note on the generation of random normal deviates", 1958: each pair of uniform numbers, a radius and
 * a turn in [-1/2, 1/2), makes a pair of normal ones. */
template <class T> static inline void box_muller(T *__restrict z, T *__restrict u, const T *__restrict turn, int pairs) {
    for (int i = 0; i < pairs; i++) {
        T radius = std::sqrt(T(-2) * mxcy::log(u[i])), a = std::fabs(turn[i]);
        T fold = T(.25) - std::fabs(a - T(.25));
        z[i] = radius * sine(T(.25) - a);
        z[i + pairs] = radius * std::copysign(sine(fold), turn[i]);
    }
}

#ifndef __CUDACC__
static inline void unit(float *__restrict z, const uint32_t *__restrict w) {
    for (int i = 0; i < 256; i++) z[i] = unit(w[i]);
}
static inline void unit(double *__restrict z, const uint32_t *__restrict w) {
    for (int i = 0; i < 128; i++) z[i] = unit(w[i], w[i + 128]);
}
static inline void positive(float *__restrict z, const uint32_t *__restrict w, int n) {
    for (int i = 0; i < n; i++) z[i] = positive(w[i]);
}
static inline void positive(double *__restrict z, const uint32_t *__restrict w, int n) {
    for (int i = 0; i < n; i++) z[i] = positive(w[i], w[i + 128]);
}
static inline void gauss(float *__restrict z, const uint32_t *__restrict w) {
    float u[128], turns[128];
    positive(u, w, 128);
    for (int i = 0; i < 128; i++) turns[i] = turn(w[i + 128]);
    box_muller(z, u, turns, 128);
}
static inline void gauss(double *__restrict z, const uint32_t *__restrict w) {
    double u[64], turns[64];
    positive(u, w, 64);
    for (int i = 0; i < 64; i++) turns[i] = turn(w[i + 64], w[i + 192]);
    box_muller(z, u, turns, 64);
}

/* The tile's elements from the standard distribution: U(0, 1), N(0, 1) or Exp(1). */
template <class T> void standard(int kind, T *z, uint64_t seed, uint64_t stream, uint64_t tile) {
    uint32_t w[PHILOX_TILE];
    philox_tile(w, seed, stream, tile);
    if (kind == UNIFORM) unit(z, w);
    else if (kind == NORMAL) gauss(z, w);
    else {
        positive(z, w, Tile<T>::SIZE);
        for (int i = 0; i < Tile<T>::SIZE; i++) z[i] = 0 - mxcy::log(z[i]);     /* not -0 */
    }
}

#endif

/* From the standard distribution to the one with these parameters. */
template <class T> void transform(int kind, T *__restrict out, const T *__restrict z, ptrdiff_t n, double a, double b) {
    if (kind == UNIFORM) {
        T low = (T)a, range = (T)(b - a), below = std::nextafter((T)b, low);     /* rounding must not reach b */
        for (ptrdiff_t i = 0; i < n; i++) {
            T x = low + z[i] * range;
            out[i] = x < below ? x : below;
        }
    } else if (kind == NORMAL) {
        T mean = (T)a, deviation = (T)b;
        for (ptrdiff_t i = 0; i < n; i++) out[i] = mean + z[i] * deviation;
    } else {
        T scale = (T)(1 / a);
        for (ptrdiff_t i = 0; i < n; i++) out[i] = z[i] * scale;
    }
}

/* As many numbers as an element wants: its blocks are those whose lower 40 bits are its index. */
struct Draws {
    uint64_t seed, stream, block;
    uint32_t words[4];
    int used;
    Draws(uint64_t seed, uint64_t stream, uint64_t index) : seed(seed), stream(stream), block(index), used(4) {}
    uint32_t word() {
        if (used == 4) {
            philox_block(words, seed, stream, block);
            block += (uint64_t)1 << 40;
            used = 0;
        }
        return words[used++];
    }
    double uniform() {                                   /* in (0, 1) */
        uint32_t high = word();
        return (join(high, word()) + .5) * 0x1p-53;
    }
    double normal() {
        double radius = sqrt(-2 * log(uniform()));
        return radius * cos(6.283185307179586477 * uniform());
    }
};

/* Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 by their own boost. */
static inline double gamma(Draws &draws, double shape) {
    if (!(shape > 0) || isinf(shape)) return shape > 0 ? shape : NAN;       /* no draw would ever be accepted */
    double boost = shape < 1 ? pow(draws.uniform(), 1 / shape) : 1;
    double d = (shape < 1 ? shape + 1 : shape) - 1. / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = draws.normal(), v = 1 + c * x;
        if (v <= 0) continue;
        v = v * v * v;
        if (log(draws.uniform()) < .5 * x * x + d - d * v + d * log(v)) return boost * d * v;
    }
}

/* Below 10 by multiplying uniform numbers; else Hormann's PTRS, "The transformed rejection method for generating
 * Poisson random variables", 1993. */
static inline double poisson(Draws &draws, double mean) {
    if (!(mean > 0)) return mean == 0 ? 0 : NAN;
    if (isinf(mean)) return mean;
    if (mean < 10) {
        double limit = exp(-mean), product = draws.uniform(), count = 0;
        for (; product > limit; count++) product *= draws.uniform();
        return count;
    }
    double root = sqrt(mean), b = .931 + 2.53 * root, a = -.059 + .02483 * b, inverse = 1.1239 + 1.1328 / (b - 3.4);
    double bound = .9277 - 3.6224 / (b - 2), log_mean = log(mean);
    for (;;) {
        double u = draws.uniform() - .5, v = draws.uniform(), s = .5 - fabs(u);
        double k = floor((2 * a / s + b) * u + mean + .43);
        if (s >= .07 && v <= bound) return k;
        if (k < 0 || (s < .013 && v > s)) continue;
        int sign;
        if (log(v) + log(inverse) - log(a / (s * s) + b) <= k * log_mean - mean - lgamma_r(k + 1, &sign)) return k;
    }
}

static inline double draw(int kind, Draws &draws, double a, double b) {
    switch (kind) {
    case GAMMA: return a > 0 ? b * gamma(draws, a) : NAN;
    case POISSON: return poisson(draws, a);
    case NEGATIVE_BINOMIAL:                              /* a failures, each with probability b */
        return b >= 1 ? 0 : poisson(draws, gamma(draws, a) * (1 - b) / b);
    default:                                             /* mean a, dispersion b */
        return b == 0 ? poisson(draws, a) : poisson(draws, gamma(draws, 1 / b) * b * a);
    }
}

/* Parameter i of a distribution, from an array of any float or of int32 or int64 */
static inline double read(const void *data, int dtype, ptrdiff_t i) {
    switch (dtype) {                                     /* mxcy/_types.pxd: DType */
    case 0: return ((const float *)data)[i];
    case 1: return ((const double *)data)[i];
    case 2: return mxcy_half_one(((const uint16_t *)data)[i]);
    case 4: return ((const int32_t *)data)[i];
    case 6: return (double)((const int64_t *)data)[i];
    default: return mxcy_bfloat16_one(((const uint16_t *)data)[i]);
    }
}

struct Parameters {                  /* of each group of `per` elements; data NULL: the numbers a and b for all */
    const void *data[2];
    int dtype[2];
    double number[2];
    ptrdiff_t per;
    double get(int which, ptrdiff_t i) const {
        return data[which] ? read(data[which], dtype[which], i / per) : number[which];
    }
};

#ifndef __CUDACC__
/* Elements of one tile: `size` of them at out. */
template <class T>
void fill_tile(int kind, T *out, ptrdiff_t size, const Parameters *p, uint64_t seed, uint64_t stream, uint64_t tile) {
    T z[PHILOX_TILE];
    ptrdiff_t first = (ptrdiff_t)tile * Tile<T>::SIZE;
    if (kind <= EXPONENTIAL) standard(kind, z, seed, stream, tile);
    for (ptrdiff_t i = 0; i < size;) {
        double a = p->get(0, first + i), b = p->get(1, first + i);
        ptrdiff_t rest = p->per - (first + i) % p->per, n = size - i < rest ? size - i : rest;
        if (kind <= EXPONENTIAL) transform(kind, out + i, z + i, n, a, b);
        else
            for (ptrdiff_t k = i; k < i + n; k++) {
                Draws draws(seed, stream, first + k);
                out[k] = (T)draw(kind, draws, a, b);
            }
        i += n;
    }
}

/* Integers in [low, low + range): 64 random bits times the range, the upper half. */
template <class T>
void integer_tile(T *out, ptrdiff_t size, int64_t low, uint64_t range, uint64_t seed, uint64_t stream, uint64_t tile) {
    uint32_t w[PHILOX_TILE];
    philox_tile(w, seed, stream, tile);
    for (ptrdiff_t i = 0; i < size; i++) {
        uint64_t bits = (uint64_t)w[i] << 32 | w[i + 128];
        out[i] = (T)(low + (int64_t)upper_product(bits, range));
    }
}
#endif

/* One number in (0, 1), or one integer below n, for element `index`. */
static inline double uniform_at(uint64_t seed, uint64_t stream, uint64_t index) {
    return Draws(seed, stream, index).uniform();
}
static inline uint64_t below(uint64_t n, uint64_t seed, uint64_t stream, uint64_t index) {
    Draws draws(seed, stream, index);
    uint64_t high = draws.word();
    return upper_product(high << 32 | draws.word(), n);
}

/* n distinct integers below limit, log-uniform; returns how many draws it took. The table is open addressing with a
 * power of two of slots, more than n; 0 is empty. */
static inline int64_t distinct(int64_t *out, ptrdiff_t n, uint64_t limit, int64_t *table, ptrdiff_t slots,
                               uint64_t seed, uint64_t stream, uint64_t row) {
    Draws draws(seed, stream, row);
    double span = log((double)limit + 1);
    int64_t tries = 0;
    memset(table, 0, slots * sizeof *table);
    for (ptrdiff_t found = 0; found < n; tries++) {
        int64_t value = (int64_t)exp(draws.uniform() * span) - 1;
        if (value < 0 || (uint64_t)value >= limit) continue;
        ptrdiff_t slot = (ptrdiff_t)((uint64_t)value * 0x9E3779B97F4A7C15u >> 20) & (slots - 1);
        while (table[slot] && table[slot] != value + 1) slot = (slot + 1) & (slots - 1);
        if (table[slot]) continue;
        table[slot] = value + 1;
        out[found++] = value;
    }
    return tries;
}
}
#endif
