// Transposition of float32 matrices in blocks of 16 x 16: reads and writes whole cache lines.
#pragma once
#include <stddef.h>
#include <string.h>

typedef float mxcy_v4f __attribute__((vector_size(16)));
typedef int mxcy_v4i __attribute__((vector_size(16)));

static inline mxcy_v4f mxcy_load4(const float* x) { mxcy_v4f v; memcpy(&v, x, 16); return v; }

// out[j * rows + i] = x[i * columns + j] for a 4 x 4 block
static inline void mxcy_transpose_4x4(float* out, const float* x, ptrdiff_t rows, ptrdiff_t columns) {
    const mxcy_v4i low = {0, 4, 1, 5}, high = {2, 6, 3, 7}, first = {0, 1, 4, 5}, second = {2, 3, 6, 7};
    mxcy_v4f a = mxcy_load4(x), b = mxcy_load4(x + columns);
    mxcy_v4f c = mxcy_load4(x + 2 * columns), d = mxcy_load4(x + 3 * columns);
    mxcy_v4f ab = __builtin_shuffle(a, b, low), cd = __builtin_shuffle(c, d, low);
    mxcy_v4f AB = __builtin_shuffle(a, b, high), CD = __builtin_shuffle(c, d, high);
    a = __builtin_shuffle(ab, cd, first), b = __builtin_shuffle(ab, cd, second);
    c = __builtin_shuffle(AB, CD, first), d = __builtin_shuffle(AB, CD, second);
    memcpy(out, &a, 16), memcpy(out + rows, &b, 16);
    memcpy(out + 2 * rows, &c, 16), memcpy(out + 3 * rows, &d, 16);
}

// Columns [begin, end) of a matrix of rows x columns become rows of out.
static void mxcy_transpose_columns(float* out, const float* x, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t begin,
                                   ptrdiff_t end) {
    for (ptrdiff_t j0 = begin; j0 < end; j0 += 16) {
        ptrdiff_t width = end - j0 < 16 ? end - j0 : 16, wide = width & ~(ptrdiff_t)3, tall = rows & ~(ptrdiff_t)3;
        for (ptrdiff_t i0 = 0; i0 < tall; i0 += 16)
            for (ptrdiff_t j = j0; j < j0 + wide; j += 4)
                for (ptrdiff_t i = i0; i < i0 + 16 && i < tall; i += 4)
                    mxcy_transpose_4x4(out + j * rows + i, x + i * columns + j, rows, columns);
        for (ptrdiff_t j = j0; j < j0 + width; j++)
            for (ptrdiff_t i = j < j0 + wide ? tall : 0; i < rows; i++)
                out[j * rows + i] = x[i * columns + j];
    }
}
