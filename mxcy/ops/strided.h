/* Inner loops of a strided copy: rows, fills and register-blocked transposes of items of 1 to 16 bytes.

   stream: the output is too large to be found in a cache later; write around the caches, which saves reading the
   lines that are about to be overwritten. Callers end with mxcy_stream_fence. */
#ifndef MXCY_OPS_STRIDED_H
#define MXCY_OPS_STRIDED_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct mxcy_item16 { uint64_t low, high; };

static inline void mxcy_stream_fence() {
#ifdef __SSE2__
    _mm_sfence();
#endif
}

/* Write nbytes from registers or the stack, a multiple of 16, to dst, aligned to 16. */
static inline void mxcy_stream(char* dst, const char* src, ptrdiff_t nbytes) {
#ifdef __SSE2__
    for (ptrdiff_t i = 0; i < nbytes; i += 16)
        _mm_stream_si128((__m128i*)(dst + i), _mm_loadu_si128((const __m128i*)(src + i)));
#else
    memcpy(dst, src, nbytes);
#endif
}

static inline void mxcy_copy_bytes(char* dst, const char* src, ptrdiff_t nbytes, int stream) {
    ptrdiff_t head = -(intptr_t)dst & 63, body = (nbytes - head) & ~(ptrdiff_t)63;
    if (!stream || nbytes < 256) {
        memcpy(dst, src, nbytes);
        return;
    }
    memcpy(dst, src, head);
    mxcy_stream(dst + head, src + head, body);
    memcpy(dst + head + body, src + head + body, nbytes - head - body);
}

template <class T>
static void mxcy_copy_strided(char* dst, const char* src, ptrdiff_t n, ptrdiff_t d, ptrdiff_t s) {
    if (d == (ptrdiff_t)sizeof(T) && s == (ptrdiff_t)sizeof(T)) {
        T* __restrict to = (T*)dst;
        const T* __restrict from = (const T*)src;
        for (ptrdiff_t i = 0; i < n; i++) to[i] = from[i];
    } else if (d == (ptrdiff_t)sizeof(T) && s == 0) {
        const T value = *(const T*)src;
        for (ptrdiff_t i = 0; i < n; i++) ((T*)dst)[i] = value;
    } else if (d == (ptrdiff_t)sizeof(T) && s == -(ptrdiff_t)sizeof(T)) {
        T* __restrict to = (T*)dst;
        const T* __restrict from = (const T*)src;
        for (ptrdiff_t i = 0; i < n; i++) to[i] = from[-i];
    } else {
        for (ptrdiff_t i = 0; i < n; i++) *(T*)(dst + i * d) = *(const T*)(src + i * s);
    }
}

#ifdef __AVX512F__
enum { MXCY_VECTOR = 64 };
#elif defined(__AVX2__)
enum { MXCY_VECTOR = 32 };
#else
enum { MXCY_VECTOR = 16 };
#endif

/* N x N items, rows of src to columns of dst. Interleaving the first half of the rows with the second, log2(N) times,
   transposes; the compiler turns each step into one or two shuffles at every instruction set. */
template <class T, int N>
struct mxcy_block {
    typedef T row __attribute__((vector_size(N * sizeof(T)), aligned(sizeof(T))));
    typedef T vec __attribute__((vector_size(N * sizeof(T))));

    static inline void interleave(vec a, vec b, vec* out) {
        vec low, high;
        for (int i = 0; i < N / 2; i++) {
            low[2 * i] = i;
            low[2 * i + 1] = N + i;
            high[2 * i] = N / 2 + i;
            high[2 * i + 1] = N + N / 2 + i;
        }
        out[0] = __builtin_shuffle(a, b, low);
        out[1] = __builtin_shuffle(a, b, high);
    }

    static inline void transpose(char* dst, ptrdiff_t d, const char* src, ptrdiff_t s) {
        vec a[N], b[N];
#pragma GCC unroll 32
        for (int i = 0; i < N; i++) a[i] = *(const row*)(src + i * s);
#pragma GCC unroll 8
        for (int step = N; step > 1; step /= 2) {
#pragma GCC unroll 16
            for (int i = 0; i < N / 2; i++) interleave(a[i], a[i + N / 2], b + 2 * i);
#pragma GCC unroll 32
            for (int i = 0; i < N; i++) a[i] = b[i];
        }
#pragma GCC unroll 32
        for (int i = 0; i < N; i++) *(row*)(dst + i * d) = a[i];
    }
};

template <>
struct mxcy_block<mxcy_item16, 1> {
    static inline void transpose(char* dst, ptrdiff_t, const char* src, ptrdiff_t) { memcpy(dst, src, 16); }
};

/* dst[i][j] = src[j][i] for i < rows, j < cols; row strides d and s in bytes. Works on tiles that are a cache line wide
   on both sides, so that every line is read and written once and whole. */
template <class T>
static void mxcy_transpose(char* dst, ptrdiff_t d, const char* src, ptrdiff_t s, ptrdiff_t rows, ptrdiff_t cols,
                           int stream) {
    const int LINE = 64, L = LINE / (int)sizeof(T), FIT = MXCY_VECTOR / (int)sizeof(T), SIZE = (int)sizeof(T);
    const int N = SIZE == 16 ? 1 : FIT > 16 ? 16 : FIT;
    alignas(64) char tile[L * LINE];
    const ptrdiff_t whole_rows = rows / L * L, whole_cols = cols / L * L;
    for (ptrdiff_t j = 0; j < whole_cols; j += L) {
        for (ptrdiff_t i = 0; i < whole_rows; i += L) {
            char* to = dst + i * d + j * SIZE;
            const char* from = src + j * s + i * SIZE;
            const bool direct = N == L && !stream;
            for (int k = 0; k < L; k += N)
                for (int m = 0; m < L; m += N)
                    mxcy_block<T, N>::transpose(direct ? to : tile + m * LINE + k * SIZE, direct ? d : LINE,
                                                from + k * s + m * SIZE, s);
            for (int m = 0; m < L && !direct; m++) {
                if (stream) mxcy_stream(to + m * d, tile + m * LINE, LINE);
                else memcpy(to + m * d, tile + m * LINE, LINE);
            }
        }
    }
    for (ptrdiff_t i = 0; i < rows; i++)
        mxcy_copy_strided<T>(dst + i * d + (i < whole_rows ? whole_cols : 0) * SIZE,
                             src + (i < whole_rows ? whole_cols : 0) * s + i * SIZE,
                             cols - (i < whole_rows ? whole_cols : 0), SIZE, s);
}
#endif
