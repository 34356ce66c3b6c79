/* Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011. A block of four 32-bit words is a function of a key (the seed) and a 128-bit counter: the upper
 * half is the stream (Call.counter), the lower half the number of the block.
 *
 * Elementwise use: a tile of 64 blocks makes 256 words, one for each element; element i has word i % 256 of tile i / 256.
 * Word w of block b stands at w * 64 + b, so that the loop over blocks has no shuffles.
 */
#ifndef MXCY_OPS_PHILOX_H
#define MXCY_OPS_PHILOX_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined __SSE2__ && !defined __CUDACC__
#include <immintrin.h>
#endif

enum { PHILOX_BLOCKS = 64, PHILOX_TILE = 4 * PHILOX_BLOCKS };

/* One block, for samplers that need an unknown count of numbers for each element. */
static inline void philox_block(uint32_t words[4], uint64_t seed, uint64_t stream, uint64_t block) {
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t a = (uint32_t)block, b = (uint32_t)(block >> 32), c = (uint32_t)stream, d = (uint32_t)(stream >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p = (uint64_t)a * 0xD2511F53u, q = (uint64_t)c * 0xCD9E8D57u;
        a = (uint32_t)(q >> 32) ^ b ^ k0;
        c = (uint32_t)(p >> 32) ^ d ^ k1;
        b = (uint32_t)q;
        d = (uint32_t)p;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

#ifndef __CUDACC__
/* Vectors of 64-bit lanes. Their product of lower halves is one instruction that compilers do not find by themselves. */
#if defined __AVX512F__
typedef uint64_t philox_vector __attribute__((vector_size(64)));
#define PHILOX_MUL(x, y) (philox_vector)_mm512_mul_epu32((__m512i)(x), (__m512i)(y))
#elif defined __AVX2__
typedef uint64_t philox_vector __attribute__((vector_size(32)));
#define PHILOX_MUL(x, y) (philox_vector)_mm256_mul_epu32((__m256i)(x), (__m256i)(y))
#elif defined __SSE2__
typedef uint64_t philox_vector __attribute__((vector_size(16)));
#define PHILOX_MUL(x, y) (philox_vector)_mm_mul_epu32((__m128i)(x), (__m128i)(y))
#else
typedef uint64_t philox_vector __attribute__((vector_size(16)));
#define PHILOX_MUL(x, y) (((x) & 0xffffffffu) * (y))
#endif

/* The lower halves of the lanes. */
static inline void philox_store(uint32_t *out, philox_vector lanes) {
    typedef uint32_t half __attribute__((vector_size(sizeof(philox_vector) / 2)));
    half low = __builtin_convertvector(lanes, half);
    memcpy(out, &low, sizeof low);
}

/* The 256 words of a tile. The upper halves of lanes hold leftovers, which neither the product nor the store reads. */
static inline void philox_tile(uint32_t *__restrict words, uint64_t seed, uint64_t stream, uint64_t tile) {
    /* Several vectors at once hide the latency of the product, as far as there are registers for them. */
    enum { LANES = sizeof(philox_vector) / 8, ROW = LANES == 8 ? 4 : 2 };
    const philox_vector zero = {}, m0 = zero + 0xD2511F53u, m1 = zero + 0xCD9E8D57u;
    philox_vector lane;
    for (int i = 0; i < LANES; i++) lane[i] = i;
    for (int first = 0; first < PHILOX_BLOCKS; first += ROW * LANES) {
        philox_vector a[ROW], b[ROW], c[ROW], d[ROW];
        uint64_t block = tile * PHILOX_BLOCKS + first;      /* aligned: all lanes have the same upper word */
        for (int v = 0; v < ROW; v++) {
            a[v] = lane + (block + v * LANES);
            b[v] = zero + (block >> 32);
            c[v] = zero + stream;
            d[v] = zero + (stream >> 32);
        }
        uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int round = 0; round < 10; round++) {
            for (int v = 0; v < ROW; v++) {
                philox_vector p = PHILOX_MUL(a[v], m0), q = PHILOX_MUL(c[v], m1);
                a[v] = (q >> 32) ^ b[v] ^ k0;
                c[v] = (p >> 32) ^ d[v] ^ k1;
                b[v] = q;
                d[v] = p;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int v = 0; v < ROW; v++) {
            uint32_t *out = words + first + v * LANES;
            philox_store(out, a[v]);
            philox_store(out + PHILOX_BLOCKS, b[v]);
            philox_store(out + 2 * PHILOX_BLOCKS, c[v]);
            philox_store(out + 3 * PHILOX_BLOCKS, d[v]);
        }
    }
}
#endif
#endif
