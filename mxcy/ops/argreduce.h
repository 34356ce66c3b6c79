/* Where the largest or the smallest element is: the first of equal ones; a NaN counts as the most extreme. */
#ifndef MXCY_OPS_ARGREDUCE_H
#define MXCY_OPS_ARGREDUCE_H
#include "mxcy/ops/reduce.h"

namespace mxcy_reduce {

template <class Op, class T> struct Arg {
    typedef typename Total<T>::type A;
    static bool better(A x, A best) { return Op::join(best, x) != best && !(best != best); }

#ifndef __CUDACC__
    enum { BLOCK = 2048, CHUNK = 64, WIDTH = 1024 };

    static ptrdiff_t find(const T *x, ptrdiff_t n, A value) {
        ptrdiff_t i = 0;
        bool nan = value != value;
        for (; i + CHUNK <= n; i += CHUNK) {
            int found = 0;
            for (int k = 0; k < CHUNK; k++) found |= nan ? x[i + k] != x[i + k] : x[i + k] == (T)value;
            if (found) break;
        }
        while (i < n - 1 && !(nan ? x[i] != x[i] : x[i] == (T)value)) i++;
        return i;
    }

    /* The best of a block is found at full speed; only a block that improves is searched. */
    static ptrdiff_t row(const T *x, ptrdiff_t n) {
        ptrdiff_t at = 0;
        A best = 0;
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            ptrdiff_t m = n - i < BLOCK ? n - i : BLOCK;
            A top = Run<Op, T>::run(x + i, m);
            if (i == 0 || better(top, best)) {
                best = top;
                at = i + find(x + i, m, top);
            }
        }
        return at;
    }

    static void rows(const void *data, ptrdiff_t m, ptrdiff_t n, ptrdiff_t *at) {
        for (ptrdiff_t r = 0; r < m; r++) at[r] = row((const T *)data + r * n, n);
    }

    template <class I> static void columns_as(const T *x, ptrdiff_t m, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t *at) {
        T best[WIDTH];
        I where[WIDTH];
        for (ptrdiff_t j = 0; j < n; j++) best[j] = x[j], where[j] = 0;
        for (ptrdiff_t r = 1; r < m; r++) {
            const T *row = x + r * stride;
            for (ptrdiff_t j = 0; j < n; j++) {
                T top = Op::join(best[j], row[j]);
                bool change = (top != best[j]) & (best[j] == best[j]);
                best[j] = top;
                where[j] = change ? (I)r : where[j];
            }
        }
        for (ptrdiff_t j = 0; j < n; j++) at[j] = where[j];
    }
    /* m rows of n <= WIDTH elements that stand `stride` apart */
    static void columns(const void *data, ptrdiff_t m, ptrdiff_t stride, ptrdiff_t n, ptrdiff_t *at) {
        if (sizeof(T) == 8 || m > INT32_MAX) columns_as<int64_t>((const T *)data, m, stride, n, at);
        else columns_as<int32_t>((const T *)data, m, stride, n, at);
    }
#endif
};

#ifndef __CUDACC__
struct ArgForm {
    void (*rows)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t *);
    void (*columns)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, ptrdiff_t *);
};

template <class T> ArgForm arg_form(const T *, bool largest) {
    if (largest) return {Arg<Max, T>::rows, Arg<Max, T>::columns};
    return {Arg<Min, T>::rows, Arg<Min, T>::columns};
}
#endif
}
#endif
