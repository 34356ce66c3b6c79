/* Softmax and log-softmax of rows and of columns, forward and backward.

   Rows that fit are held in registers; of a longer one each thread keeps the largest value and the sum of exponentials
   about it as it reads, and reads again to write. Columns are done in that way, too. With `length`, so many elements of
   each row take part and the others become 0. */
#ifndef MXCY_GPU_SOFTMAX_CUH
#define MXCY_GPU_SOFTMAX_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/index.h"
#include "mxcy/ops/reduce.h"
#include "mxcy/ops/vmath.h"

namespace mxcy {

enum { CHUNK = 4 };

template <class L> static inline int64_t valid_elements(const L* length, int64_t row, int64_t n) {
    if (!length) return n;
    const int64_t valid = length[row];
    return valid < 0 ? 0 : valid < n ? valid : n;
}

struct Larger {
    template <class W> W operator()(W a, W b) const { return mxcy_reduce::Max::join(a, b); }
};

/* The largest value so far, and the sum of exp(value - top). */
template <class W> struct Exponentials {
    W top, sum;

    template <int count> void add(const W (&value)[count]) {
        W high = top;
#pragma unroll
        for (int k = 0; k < count; k++) high = mxcy_reduce::Max::join(high, value[k]);
        if (high == -INF<W>) return;
        sum *= exp_of_negative(top - high);
#pragma unroll
        for (int k = 0; k < count; k++) sum += exp_of_negative(value[k] - high);
        top = high;
    }
};
struct JoinExponentials {
    template <class W> Exponentials<W> operator()(Exponentials<W> a, Exponentials<W> b) const {
        const W top = mxcy_reduce::Max::join(a.top, b.top);
        if (top == -INF<W>) return a;
        return {top, a.sum * exp_of_negative(a.top - top) + b.sum * exp_of_negative(b.top - top)};
    }
};

template <bool LOG, class Y, class W> static inline Y softmax_of(W value, W top, W finish) {
    return narrow<Y>(wide_t<Y>(LOG ? (value - top) - finish : exp_of_negative(value - top) * finish));
}

template <bool LOG, class W> static inline W softmax_gradient(W g, W y, W sum, W scale) {
    return LOG ? (g - exp_of_negative(y) * sum) * scale : y * (g - sum) * scale;
}

/* `lanes` threads to a row, each with up to HELD packs; HELD is 0 for rows of any length. */
template <bool LOG, int V, int HELD, class X, class Y, class L>
static inline void softmax_rows(Y* out, const X* x, const L* length, int64_t rows, int64_t n, double factor,
                                int64_t lanes_) {
    typedef wide_t<X> W;
    constexpr int count = CHUNK;
    const int lanes = int(lanes_), lane = lane_of(lanes);
    const int64_t row = int64_t(blockIdx.x) * groups_of(blockDim.x, lanes) + group_of(lanes);
    const int64_t width = row < rows ? n : 0, valid = row < rows ? valid_elements(length, row, n) : 0;
    const W scale = W(factor);
    x += row * n;
    out += row * n;
    const bool x_aligned = is_aligned<V>(x), out_aligned = is_aligned<V>(out);
    const auto read = [&](int64_t at, W* value, bool aligned) {
        const Pack<X, V> pack = load_pack<V>(x + at, aligned);
#pragma unroll
        for (int v = 0; v < V; v++) value[v] = at + v < valid ? widen(pack.item[v]) * scale : -INF<W>;
    };
    const auto finish = [](W sum) { return LOG ? W(std::log(sum)) : 1 / sum; };
    if constexpr (HELD > 0) {
        W value[HELD][V], top = -INF<W>, sum = 0;
        by_alignment(x_aligned, [&](auto aligned) {
#pragma unroll
            for (int h = 0; h < HELD; h++) {
                const int64_t at = (lane + int64_t(h) * lanes) * V;
                if (at < width) read(at, value[h], aligned);
            }
        });
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            const int64_t at = (lane + int64_t(h) * lanes) * V;
#pragma unroll
            for (int v = 0; v < V; v++) {
                if (at >= width) value[h][v] = -INF<W>;
                top = mxcy_reduce::Max::join(top, value[h][v]);
            }
        }
        top = join_lanes(top, lanes, Larger());
#pragma unroll
        for (int h = 0; h < HELD; h++)
#pragma unroll
            for (int v = 0; v < V; v++) {
                const W low = value[h][v] - top, e = exp_of_negative(low);
                if ((lane + int64_t(h) * lanes) * V + v < valid) sum += e;
                value[h][v] = LOG ? low : e;
            }
        const W last = finish(join_lanes(sum, lanes, Plus()));
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            const int64_t at = (lane + int64_t(h) * lanes) * V;
            if (at >= width) break;
            Pack<Y, V> pack;
#pragma unroll
            for (int v = 0; v < V; v++)
                pack.item[v] = narrow<Y>(wide_t<Y>(at + v >= valid ? W(0) : LOG ? value[h][v] - last
                                                                               : value[h][v] * last));
            store_pack<V>(out + at, pack, out_aligned);
        }
    } else {
        Exponentials<W> mine = {-INF<W>, 0};
        by_alignment(x_aligned, [&](auto aligned) {
#pragma unroll 1
            for (int64_t first = lane * V; first < valid; first += int64_t(lanes) * count * V) {
                W value[count * V];
#pragma unroll
                for (int c = 0; c < count; c++) {
                    const int64_t at = first + int64_t(c) * lanes * V;
                    if (at < valid) read(at, value + c * V, aligned);
                    else
                        for (int v = 0; v < V; v++) value[c * V + v] = -INF<W>;
                }
                mine.add(value);
            }
        });
        mine = join_lanes(mine, lanes, JoinExponentials());
        const W last = finish(mine.sum);
#pragma unroll 1
        for (int64_t at = lane * V; at < width; at += lanes * V) {
            W value[V];
            Pack<Y, V> pack;
            read(at, value, x_aligned);
#pragma unroll
            for (int v = 0; v < V; v++)
                pack.item[v] = at + v < valid ? softmax_of<LOG, Y>(value[v], mine.top, last) : narrow<Y>(0);
            store_pack<V>(out + at, pack, out_aligned);
        }
    }
}

template <bool LOG, class X, class Y, class L>
static inline void softmax_columns(Y* out, const X* x, const L* length, int64_t columns, int64_t n,
                                   const Divisor& inner, double factor, int64_t lanes) {
    typedef wide_t<X> W;
    const Column column(columns, n, inner, int(lanes));
    const int64_t valid = column.n ? valid_elements(length, column.index, n) : 0;
    const W scale = W(factor);
    Exponentials<W> mine[1] = {{-INF<W>, 0}};
#pragma unroll 1
    for (int64_t k = column.y; k < valid; k += CHUNK * column.tall) {
        W value[CHUNK];
#pragma unroll
        for (int c = 0; c < CHUNK; c++)
            value[c] = k + c * column.tall < valid ? widen(x[column.at(k + c * column.tall)]) * scale : -INF<W>;
        mine[0].add(value);
    }
    join_tall<1, THREADS>(mine, int(lanes), JoinExponentials());
    const W last = LOG ? W(std::log(mine[0].sum)) : 1 / mine[0].sum;
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall)
        out[column.at(k)] = k < valid ? softmax_of<LOG, Y>(widen(x[column.at(k)]) * scale, mine[0].top, last)
                                      : narrow<Y>(0);
}

template <bool LOG, int V, class T, class L>
static inline void softmax_rows_backward(T* out, const T* g, const T* y, const L* length, int64_t rows, int64_t n,
                                         double factor, int64_t lanes_) {
    typedef wide_t<T> W;
    const int lanes = int(lanes_), lane = lane_of(lanes);
    const int64_t row = int64_t(blockIdx.x) * groups_of(blockDim.x, lanes) + group_of(lanes);
    const int64_t width = row < rows ? n : 0, valid = row < rows ? valid_elements(length, row, n) : 0;
    g += row * n;
    y += row * n;
    out += row * n;
    const bool aligned = is_aligned<V>(g) && is_aligned<V>(y) && is_aligned<V>(out);
    W sum = 0;
    by_alignment(aligned, [&](auto aligned) {
        in_turns<aligned ? 2 : 1>(lane * V, valid, lanes * V, [](int64_t at) { return at; }, [&](int64_t at) {
            const Pack<T, V> gs = load_pack<V>(g + at, aligned), ys = load_pack<V>(y + at, aligned);
#pragma unroll
            for (int v = 0; v < V; v++)
                if (at + v < valid) sum += LOG ? widen(gs.item[v]) : widen(gs.item[v]) * widen(ys.item[v]);
        });
    });
    sum = join_lanes(sum, lanes, Plus());
#pragma unroll 1
    for (int64_t at = lane * V; at < width; at += lanes * V) {
        const Pack<T, V> gs = load_pack<V>(g + at, aligned), ys = load_pack<V>(y + at, aligned);
        Pack<T, V> pack;
#pragma unroll
        for (int v = 0; v < V; v++)
            pack.item[v] = narrow<T>(at + v < valid ? softmax_gradient<LOG, W>(widen(gs.item[v]), widen(ys.item[v]),
                                                                               sum, W(factor)) : W(0));
        store_pack<V>(out + at, pack, aligned);
    }
}

template <bool LOG, class T, class L>
static inline void softmax_columns_backward(T* out, const T* g, const T* y, const L* length, int64_t columns, int64_t n,
                                            const Divisor& inner, double factor, int64_t lanes) {
    typedef wide_t<T> W;
    const Column column(columns, n, inner, int(lanes));
    const int64_t valid = column.n ? valid_elements(length, column.index, n) : 0;
    W sum[1] = {0};
    in_turns<4>(column.y, valid, column.tall, [&](int64_t k) { return column.at(k); }, [&](int64_t at) {
        const W wide = widen(g[at]);
        sum[0] += LOG ? wide : wide * widen(y[at]);
    });
    join_tall<1, THREADS>(sum, int(lanes), Plus());
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall) {
        const int64_t at = column.at(k);
        out[at] = narrow<T>(k < valid ? softmax_gradient<LOG, W>(widen(g[at]), widen(y[at]), sum[0], W(factor)) : W(0));
    }
}

/* Rows of a log-softmax whose gradient is zero but for the element that was picked. */
template <class T, class I>
static inline void picked_rows(T* out, const T* g, const I* index, const T* y, int64_t size, const Divisor& n,
                               double factor, int64_t mode) {
    typedef wide_t<T> W;
    for (int64_t i = first_item(); i < size; i += grid_step()) {
        int64_t column = i;
        const int64_t row = split(column, n);
        ptrdiff_t place;
        mxcy_index::load_as(&place, index + row, 1, n.by, int(mode));
        const W sum = widen(g[row]);
        out[i] = narrow<T>(softmax_gradient<true, W>(place == column ? sum : W(0), widen(y[i]), sum, W(factor)));
    }
}

}  // namespace mxcy

#define MXCY_SOFTMAX(LOG, V, HELD, threads, X, Y, L)                                                                   \
    extern "C" __global__ void __launch_bounds__(threads)                                                              \
    rows(Y* out, const X* x, const L* length, int64_t rows, int64_t n, double scale, int64_t lanes) {                  \
        mxcy::softmax_rows<LOG, V, HELD>(out, x, length, rows, n, scale, lanes);                                       \
    }
#define MXCY_SOFTMAX_COLUMNS(LOG, X, Y, L)                                                                             \
    extern "C" __global__ void __launch_bounds__(256) columns(Y* out, const X* x, const L* length, int64_t columns,    \
                                                              int64_t n, mxcy::Divisor inner, double scale,            \
                                                              int64_t lanes) {                                         \
        mxcy::softmax_columns<LOG>(out, x, length, columns, n, inner, scale, lanes);                                   \
    }
#define MXCY_SOFTMAX_BACKWARD(LOG, V, threads, T, L)                                                                   \
    extern "C" __global__ void __launch_bounds__(threads)                                                              \
    rows(T* out, const T* g, const T* y, const L* length, int64_t rows, int64_t n, double scale, int64_t lanes) {      \
        mxcy::softmax_rows_backward<LOG, V>(out, g, y, length, rows, n, scale, lanes);                                 \
    }
#define MXCY_SOFTMAX_COLUMNS_BACKWARD(LOG, T, L)                                                                       \
    extern "C" __global__ void __launch_bounds__(256) columns(T* out, const T* g, const T* y, const L* length,         \
                                                              int64_t columns, int64_t n, mxcy::Divisor inner,         \
                                                              double scale, int64_t lanes) {                           \
        mxcy::softmax_columns_backward<LOG>(out, g, y, length, columns, n, inner, scale, lanes);                       \
    }
#define MXCY_PICKED(T, I)                                                                                              \
    extern "C" __global__ void picked(T* out, const T* g, const I* index, const T* y, int64_t size, mxcy::Divisor n,   \
                                      double scale, int64_t mode) {                                                    \
        mxcy::picked_rows(out, g, index, y, size, n, scale, mode);                                                     \
    }
#endif
