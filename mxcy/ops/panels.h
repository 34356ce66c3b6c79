/* Products with a matrix that is used again and again: packed once into panels, then many times on the right of few rows.
 *
 * A library packs such a matrix in every call, which for 20 rows takes as long as the product. An element of the result is
 * summed over k from the first to the last, whatever rows are computed with it, so rows may be split among threads.
 */
#ifndef MXCY_OPS_PANELS_H
#define MXCY_OPS_PANELS_H
#include <stddef.h>
#include <string.h>
#include "mxcy/ops/vector.h"

namespace mxcy_panels {

template <class T> struct Shape {                           /* of the block that is kept in registers */
    typedef T V __attribute__((vector_size(MXCY_VECTOR_BYTES)));
    enum { LANES = MXCY_VECTOR_BYTES / sizeof(T), COLUMNS = 2 * LANES, ROWS = MXCY_VECTOR_BYTES == 64 ? 12 : 5 };
};

/* `kind` only tells the type. */
template <class T> ptrdiff_t panel_count(const T *, ptrdiff_t n) { return (n + Shape<T>::COLUMNS - 1) / Shape<T>::COLUMNS; }
template <class T> ptrdiff_t packed_size(const T *kind, ptrdiff_t k, ptrdiff_t n) {
    return panel_count(kind, n) * Shape<T>::COLUMNS * k;
}

/* One panel of the k x n matrix whose element (i, j) is b[i * by_row + j * by_column]. */
template <class T>
void pack_panel(T *packed, const T *b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t by_row, ptrdiff_t by_column, ptrdiff_t panel) {
    enum { C = Shape<T>::COLUMNS };
    T *out = packed + panel * C * k;
    ptrdiff_t first = panel * C, width = n - first < C ? n - first : C;
    if (width < C) memset(out, 0, C * k * sizeof(T));
    for (ptrdiff_t j = 0; j < width; j++) {
        const T *column = b + (first + j) * by_column;
        for (ptrdiff_t i = 0; i < k; i++) out[i * C + j] = column[i * by_row];
    }
}

template <class T, int ROWS, int VECTORS>
static void block(T *out, ptrdiff_t ld_out, const T *a, ptrdiff_t lda, const T *panel, ptrdiff_t k, ptrdiff_t width) {
    typedef typename Shape<T>::V V;
    enum { L = Shape<T>::LANES, C = Shape<T>::COLUMNS };
    V sum[ROWS][VECTORS] = {};
    for (ptrdiff_t i = 0; i < k; i++) {
        V b[VECTORS];
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) memcpy(&b[v], panel + i * C + v * L, sizeof(V));
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
            for (int v = 0; v < VECTORS; v++) sum[r][v] += a[r * lda + i] * b[v];
    }
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECTORS; v++) {
            const V total = sum[r][v];              /* the sums stay in registers only if nothing takes their address */
            const ptrdiff_t left = width - v * L;
            memcpy(out + r * ld_out + v * L, &total, left < L ? left * sizeof(T) : sizeof total);
        }
}

template <class T, int ROWS>
static void rows(int count, T *out, ptrdiff_t ld_out, const T *a, ptrdiff_t lda, const T *panel, ptrdiff_t k,
                 ptrdiff_t width) {
    if constexpr (ROWS > 1)
        if (count < ROWS) return rows<T, ROWS - 1>(count, out, ld_out, a, lda, panel, k, width);
    if (width <= Shape<T>::LANES) block<T, ROWS, 1>(out, ld_out, a, lda, panel, k, width);
    else block<T, ROWS, 2>(out, ld_out, a, lda, panel, k, width);
}

/* out (m x n) = a (m x k) times the packed matrix */
template <class T>
void multiply(T *out, ptrdiff_t ld_out, const T *a, ptrdiff_t lda, const T *packed, ptrdiff_t m, ptrdiff_t k, ptrdiff_t n) {
    enum { C = Shape<T>::COLUMNS, ROWS = Shape<T>::ROWS };
    const ptrdiff_t blocks = (m + ROWS - 1) / ROWS;
    for (ptrdiff_t first = 0; first < n; first += C)
        for (ptrdiff_t b = 0; b < blocks; b++) {            /* of about equal numbers of rows */
            ptrdiff_t begin = m * b / blocks, end = m * (b + 1) / blocks;
            rows<T, ROWS>((int)(end - begin), out + begin * ld_out + first, ld_out, a + begin * lda, lda,
                          packed + first * k, k, n - first < C ? n - first : C);
        }
}

}  // namespace mxcy_panels
#endif
