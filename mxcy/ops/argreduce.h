/* Where the largest or the smallest element is: the first of equal ones; a NaN counts as the most extreme. */
#ifndef MXCY_OPS_ARGREDUCE_H
#define MXCY_OPS_ARGREDUCE_H
#include "mxcy/ops/reduce.h"

namespace mxcy_reduce {

template <class Op, class T> struct Arg {
    typedef typename Total<T>::type A;
    enum { BLOCK = 2048, CHUNK = 64, WIDTH = 1024 };

    static bool better(A x, A best) { return Op::join(best, x) != best && !(best != best); }

    static Py_ssize_t find(const T *x, Py_ssize_t n, A value) {
        Py_ssize_t i = 0;
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
    static Py_ssize_t row(const T *x, Py_ssize_t n) {
        Py_ssize_t at = 0;
        A best = 0;
        for (Py_ssize_t i = 0; i < n; i += BLOCK) {
            Py_ssize_t m = n - i < BLOCK ? n - i : BLOCK;
            A top = Run<Op, T>::run(x + i, m);
            if (i == 0 || better(top, best)) {
                best = top;
                at = i + find(x + i, m, top);
            }
        }
        return at;
    }

    static void rows(const void *data, Py_ssize_t m, Py_ssize_t n, Py_ssize_t *at) {
        for (Py_ssize_t r = 0; r < m; r++) at[r] = row((const T *)data + r * n, n);
    }

    template <class I> static void columns_as(const T *x, Py_ssize_t m, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t *at) {
        T best[WIDTH];
        I where[WIDTH];
        for (Py_ssize_t j = 0; j < n; j++) best[j] = x[j], where[j] = 0;
        for (Py_ssize_t r = 1; r < m; r++) {
            const T *row = x + r * stride;
            for (Py_ssize_t j = 0; j < n; j++) {
                T top = Op::join(best[j], row[j]);
                bool change = (top != best[j]) & (best[j] == best[j]);
                best[j] = top;
                where[j] = change ? (I)r : where[j];
            }
        }
        for (Py_ssize_t j = 0; j < n; j++) at[j] = where[j];
    }
    /* m rows of n <= WIDTH elements that stand `stride` apart */
    static void columns(const void *data, Py_ssize_t m, Py_ssize_t stride, Py_ssize_t n, Py_ssize_t *at) {
        if (sizeof(T) == 8 || m > INT32_MAX) columns_as<int64_t>((const T *)data, m, stride, n, at);
        else columns_as<int32_t>((const T *)data, m, stride, n, at);
    }
};

struct ArgForm {
    void (*rows)(const void *, Py_ssize_t, Py_ssize_t, Py_ssize_t *);
    void (*columns)(const void *, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t *);
};

template <class T> ArgForm arg_form(const T *, bool largest) {
    if (largest) return {Arg<Max, T>::rows, Arg<Max, T>::columns};
    return {Arg<Min, T>::rows, Arg<Min, T>::columns};
}
}
#endif
