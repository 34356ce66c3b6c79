/* What a reduction does to contiguous runs, for each operation and dtype: rows (all elements to one number) and columns
 * (rows added up elementwise). The driver in _reduce.pyx makes any reduction out of these.
 *
 * float32 is summed in float32 over a bounded run by up to 64 independent accumulators, and the runs in float64: faster than
 * a chain of additions, and the error does not grow with the size. Integers are summed in int64.
 */
#ifndef MXCY_OPS_REDUCE_H
#define MXCY_OPS_REDUCE_H
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <limits>

namespace mxcy_reduce {

#ifndef __CUDACC__
/* Vectors as wide as the processor's: wider ones are a legal type everywhere, but compilers spill them. */
#if defined __AVX512F__
enum { WIDE = 64 };
#elif defined __AVX2__
enum { WIDE = 32 };
#else
enum { WIDE = 16 };
#endif
template <class L> struct Wide { typedef L type __attribute__((vector_size(WIDE))); enum { LANES = WIDE / sizeof(L) }; };
template <class T, int N> struct Packed { typedef T type __attribute__((vector_size(sizeof(T) * N))); };

#endif

/* The type of totals, and of the accumulators within a run. */
template <class T> struct Total { typedef int64_t type; };
template <> struct Total<float> { typedef double type; };
template <> struct Total<double> { typedef double type; };

template <class A> A lowest() {
    return std::numeric_limits<A>::has_infinity ? -std::numeric_limits<A>::infinity() : std::numeric_limits<A>::lowest();
}
template <class A> A highest() {
    return std::numeric_limits<A>::has_infinity ? std::numeric_limits<A>::infinity() : std::numeric_limits<A>::max();
}

/* Operations. map and join serve numbers and vectors alike. */
struct Plus {
    template <class T> struct Lane { typedef typename Total<T>::type type; };
    template <class A> static A identity() { return 0; }
    template <class X> static X map(X x) { return x; }
    template <class X> static X join(X a, X b) { return a + b; }
    template <class A> static A finish(A a, ptrdiff_t) { return a; }
};
template <> struct Plus::Lane<float> { typedef float type; };
struct Sum : Plus {};
struct Mean : Plus {
    template <class A> static A finish(A a, ptrdiff_t count) { return std::numeric_limits<A>::is_integer && !count ? 0 : a / (A)count; }
};
struct NanSum : Plus {
    template <class X> static X map(X x) { return x == x ? x : X{}; }
};
struct Norm1 : Plus {
    template <class X> static X map(X x) { return x < 0 ? -x : x; }
};
struct Norm2 : Plus {               /* squares in float64: those of float32 cannot overflow */
    template <class T> struct Lane { typedef typename Total<T>::type type; };
    template <class X> static X map(X x) { return x * x; }
    template <class A> static A finish(A a, ptrdiff_t) { return (A)sqrt((double)a); }
};
struct Prod : Plus {
    template <class A> static A identity() { return 1; }
    template <class X> static X join(X a, X b) { return a * b; }
};
struct NanProd : Prod {
    template <class X> static X map(X x) { return x == x ? x : X{} + 1; }
};
struct Max : Plus {                 /* of numbers and a NaN: NaN */
    template <class A> static A identity() { return lowest<A>(); }
    template <class X> static X join(X a, X b) { X c = a > b ? a : b; return a != a ? a : c; }
};
struct Min : Plus {
    template <class A> static A identity() { return highest<A>(); }
    template <class X> static X join(X a, X b) { X c = a < b ? a : b; return a != a ? a : c; }
};

enum { SUM, MEAN, PROD, MAX, MIN, NANSUM, NANPROD, NORM1, NORM2 };

#ifndef __CUDACC__
template <class Op, class T> struct Run {
    typedef typename Total<T>::type A;
    typedef typename Op::template Lane<T>::type L;
    typedef typename Wide<L>::type V;
    enum { LANES = Wide<L>::LANES, VECTORS = LANES < 16 ? 8 : 4, STEP = VECTORS * LANES, RUN = 4096 };
    enum { WIDTH = 2048, FOLD = 256, DEPTH = 128 };

    static V load(const T *x) {
        typename Packed<T, LANES>::type packed;
        memcpy(&packed, x, sizeof packed);
        return __builtin_convertvector(packed, V);
    }

    static A run(const T *x, ptrdiff_t n) {
        L total = Op::template identity<L>();
        ptrdiff_t i = 0;
        if (n >= LANES) {
            V sum = Op::map(load(x));
            i = LANES;
            if (n >= STEP) {
                V lane[VECTORS];
                lane[0] = sum;
                for (int v = 1; v < VECTORS; v++) lane[v] = Op::map(load(x + v * LANES));
                for (i = STEP; i + STEP <= n; i += STEP)
                    for (int v = 0; v < VECTORS; v++) lane[v] = Op::join(lane[v], Op::map(load(x + i + v * LANES)));
                for (int half = VECTORS / 2; half; half /= 2)
                    for (int v = 0; v < half; v++) lane[v] = Op::join(lane[v], lane[v + half]);
                sum = lane[0];
            }
            for (; i + LANES <= n; i += LANES) sum = Op::join(sum, Op::map(load(x + i)));
            L ends[LANES];
            memcpy(ends, &sum, sizeof ends);
            for (int half = LANES / 2; half; half /= 2)
                for (int k = 0; k < half; k++) ends[k] = Op::join(ends[k], ends[k + half]);
            total = ends[0];
        }
        for (; i < n; i++) total = Op::join(total, Op::map((L)x[i]));
        return (A)total;
    }

    /* total[i] = join(total[i], row i), for m rows of n elements */
    static void rows(const void *data, ptrdiff_t m, ptrdiff_t n, void *totals) {
        const T *x = (const T *)data;
        A *total = (A *)totals;
        for (ptrdiff_t r = 0; r < m; r++, x += n)
            for (ptrdiff_t i = 0; i < n; i += RUN)
                total[r] = Op::join(total[r], run(x + i, n - i < RUN ? n - i : RUN));
    }

    /* sum[j] = column j of m rows of n elements; written with vectors, since compilers do not vectorise join of Max */
    static void add_rows(L *__restrict sum, const T *__restrict x, ptrdiff_t m, ptrdiff_t stride, ptrdiff_t n) {
        ptrdiff_t r = 0;
        for (ptrdiff_t j = 0; j < n; j++) sum[j] = Op::template identity<L>();
        for (; r + 4 <= m; r += 4, x += 4 * stride) {
            ptrdiff_t j = 0;
            for (; j + LANES <= n; j += LANES) {
                V total, a = Op::map(load(x + j)), b = Op::map(load(x + j + 2 * stride));
                memcpy(&total, sum + j, sizeof total);
                a = Op::join(a, Op::map(load(x + j + stride)));
                b = Op::join(b, Op::map(load(x + j + 3 * stride)));
                total = Op::join(total, Op::join(a, b));
                memcpy(sum + j, &total, sizeof total);
            }
            for (; j < n; j++)
                for (int k = 0; k < 4; k++) sum[j] = Op::join(sum[j], Op::map((L)x[j + k * stride]));
        }
        for (; r < m; r++, x += stride)
            for (ptrdiff_t j = 0; j < n; j++) sum[j] = Op::join(sum[j], Op::map((L)x[j]));
    }

    /* total[j] = join(total[j], column j), for m rows of n elements that stand `stride` apart */
    static void columns(const void *data, ptrdiff_t m, ptrdiff_t stride, ptrdiff_t n, void *totals) {
        const T *x = (const T *)data;
        A *total = (A *)totals;
        L sum[WIDTH];
        if (stride == n && n <= FOLD / 2 && m >= 8 * (FOLD / n)) {       /* narrow: several rows side by side */
            ptrdiff_t fold = FOLD / n, wide = fold * n;
            for (; m >= fold; ) {
                ptrdiff_t depth = m / fold < DEPTH ? m / fold : DEPTH;
                add_rows(sum, x, depth, wide, wide);
                for (ptrdiff_t f = 0; f < fold; f++)
                    for (ptrdiff_t j = 0; j < n; j++) total[j] = Op::join(total[j], (A)sum[f * n + j]);
                x += depth * wide;
                m -= depth * fold;
            }
        }
        for (ptrdiff_t r = 0; r < m; r += DEPTH)
            for (ptrdiff_t first = 0; first < n; first += WIDTH) {
                ptrdiff_t width = n - first < WIDTH ? n - first : WIDTH;
                add_rows(sum, x + r * stride + first, m - r < DEPTH ? m - r : DEPTH, stride, width);
                for (ptrdiff_t j = 0; j < width; j++) total[first + j] = Op::join(total[first + j], (A)sum[j]);
            }
    }

    static void start(void *totals, ptrdiff_t n) {
        for (ptrdiff_t i = 0; i < n; i++) ((A *)totals)[i] = Op::template identity<A>();
    }
    static void join(void *totals, const void *others, ptrdiff_t n) {
        A *total = (A *)totals;
        const A *other = (const A *)others;
        for (ptrdiff_t i = 0; i < n; i++) total[i] = Op::join(total[i], other[i]);
    }
};

/* The results, in the dtype of the output, from totals that reduced `count` elements each */
template <class Op, class A, class T> void finish(void *out, const void *totals, ptrdiff_t n, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < n; i++) ((T *)out)[i] = (T)Op::finish(((const A *)totals)[i], count);
}
typedef void (*finish_t)(void *, const void *, ptrdiff_t, ptrdiff_t);
template <class Op, class A> finish_t finish_of(int dtype) {
    switch (dtype) {                                     /* mxcy/_types.pxd: DType */
    case 0: return finish<Op, A, float>;
    case 1: return finish<Op, A, double>;
    case 3: return finish<Op, A, uint8_t>;
    case 4: return finish<Op, A, int32_t>;
    case 5: return finish<Op, A, int8_t>;
    case 6: return finish<Op, A, int64_t>;
    default: return finish<Op, A, bool>;
    }
}

struct Form {
    void (*rows)(const void *, ptrdiff_t, ptrdiff_t, void *);
    void (*columns)(const void *, ptrdiff_t, ptrdiff_t, ptrdiff_t, void *);
    void (*start)(void *, ptrdiff_t);
    void (*join)(void *, const void *, ptrdiff_t);
    finish_t finish;
};

/* Run by Op, finished by Last: what differs only at the end, or only for floats, shares its loops. */
template <class Op, class T, class Last> Form form_of(int out) {
    typedef Run<Op, T> R;
    return {R::rows, R::columns, R::start, R::join, finish_of<Last, typename Total<T>::type>(out)};
}

template <class Op, class Whole = Op, class Last = Op> Form form_of(int dtype, int out) {
    switch (dtype) {
    case 0: return form_of<Op, float, Last>(out);
    case 1: return form_of<Op, double, Last>(out);
    case 4: return form_of<Whole, int32_t, Last>(out);
    case 5: return form_of<Whole, int8_t, Last>(out);
    case 6: return form_of<Whole, int64_t, Last>(out);
    default: return form_of<Whole, uint8_t, Last>(out);      /* bool too */
    }
}

/* How to reduce data of one dtype to another */
static inline Form form(int operation, int dtype, int out) {
    switch (operation) {
    case SUM: return form_of<Sum>(dtype, out);
    case MEAN: return form_of<Sum, Sum, Mean>(dtype, out);
    case PROD: return form_of<Prod>(dtype, out);
    case MAX: return form_of<Max>(dtype, out);
    case MIN: return form_of<Min>(dtype, out);
    case NANSUM: return form_of<NanSum, Sum>(dtype, out);
    case NANPROD: return form_of<NanProd, Prod>(dtype, out);
    case NORM1: return form_of<Norm1>(dtype, out);
    default: return form_of<Norm2>(dtype, out);
    }
}
#endif
}
#endif
