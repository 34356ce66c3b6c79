/* Layer, group and instance normalisation, and their gradients.

   Each row has a mean and a deviation: `lanes` threads sum it, sum the squares of the distances from its mean, and
   write. Layer normalisation (EACH) has a weight
   for each element of a row, the others one for each of `groups` rows. Columns, for layer normalisation along an inner
   axis, are done by threads that lie side by side. */
#ifndef MXCY_GPU_NORM_CUH
#define MXCY_GPU_NORM_CUH
#include <cmath>
#include "mxcy/gpu/kernels/items.cuh"

namespace mxcy {

/* The row that a group of threads works on; beyond the last one, a row without elements. */
struct Row {
    int64_t index, first, n;
    int lane, lanes;
    bool leads;

    Row(int64_t rows, int64_t n, int64_t lanes) : n(n), lane(lane_of(int(lanes))), lanes(int(lanes)) {
        index = int64_t(blockIdx.x) * groups_of(blockDim.x, this->lanes) + group_of(this->lanes);
        leads = index < rows && lane == 0;
        if (index >= rows) index = 0, this->n = 0;
        first = index * n;
    }
    /* The sum of each(offset in the row) over packs of V, for all threads of the row. */
    template <class W, int V, class Each> W sum(Each each) const {
        W total = 0;
        in_turns<2>(lane * V, n, lanes * V, [](int64_t at) { return at; }, [&](int64_t at) { total += each(at); });
        return join_lanes(total, lanes, Plus());
    }
};

/* A thread keeps up to HELD packs of its row; HELD is 0 for rows of any length, which are read three times. */
template <bool EACH, int V, int HELD, bool aligned, class T>
static inline void norm_row(const Row& row, T* y, T* mean_out, T* deviation_out, const T* x, const T* gamma,
                            const T* beta, int64_t n, const Divisor& groups, double eps) {
    typedef wide_t<T> W;
    Pack<T, V> held[HELD ? HELD : 1];
    if constexpr (HELD > 0) {
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            const int64_t at = (row.lane + int64_t(h) * row.lanes) * V;
            if (at < row.n) held[h] = load_pack<V>(x + at, aligned);
        }
    }
    const auto sum = [&](auto each) {           /* each(element) */
        const auto of_pack = [&](const Pack<T, V>& pack) {
            W total = 0;
#pragma unroll
            for (int v = 0; v < V; v++) total += each(widen(pack.item[v]));
            return total;
        };
        if constexpr (HELD > 0) {
            W total = 0;
#pragma unroll
            for (int h = 0; h < HELD; h++)
                if ((row.lane + int64_t(h) * row.lanes) * V < row.n) total += of_pack(held[h]);
            return join_lanes(total, row.lanes, Plus());
        } else
            return row.template sum<W, V>([&](int64_t at) { return of_pack(load_pack<V>(x + at, aligned)); });
    };
    const W mean = sum([](W element) { return element; }) / W(n ? n : 1);
    const W squares = sum([&](W element) { return (element - mean) * (element - mean); });
    const W deviation = W(sqrt(double(squares) / double(n) + eps)), scale = 1 / deviation;
    const int64_t group = EACH ? 0 : remainder(row.index, groups);
    const W factor = EACH ? scale : widen(gamma[group]) * scale, shift = EACH ? W(0) : widen(beta[group]);
    const auto write = [&](int64_t at, Pack<T, V> pack) {
        if constexpr (EACH) {
            const Pack<T, V> weight = load_pack<V>(gamma + at, aligned), bias = load_pack<V>(beta + at, aligned);
#pragma unroll
            for (int v = 0; v < V; v++)
                pack.item[v] = narrow<T>((widen(pack.item[v]) - mean) * factor * widen(weight.item[v])
                                         + widen(bias.item[v]));
        } else {
#pragma unroll
            for (int v = 0; v < V; v++) pack.item[v] = narrow<T>((widen(pack.item[v]) - mean) * factor + shift);
        }
        store_pack<V>(y + at, pack, aligned);
    };
    if constexpr (HELD > 0) {
#pragma unroll
        for (int h = 0; h < HELD; h++) {
            const int64_t at = (row.lane + int64_t(h) * row.lanes) * V;
            if (at < row.n) write(at, held[h]);
        }
    } else {
#pragma unroll 1
        for (int64_t at = row.lane * V; at < row.n; at += row.lanes * V) write(at, load_pack<V>(x + at, aligned));
    }
    if (row.leads) mean_out[row.index] = narrow<T>(mean), deviation_out[row.index] = narrow<T>(deviation);
}

template <bool EACH, int V, int HELD, class T>
static inline void norm_rows(T* y, T* mean, T* deviation, const T* x, const T* gamma, const T* beta, int64_t rows,
                             int64_t n, const Divisor& groups, double eps, int64_t lanes) {
    const Row row(rows, n, lanes);
    x += row.first;
    y += row.first;
    const bool all = is_aligned<V>(x) && is_aligned<V>(y) && (!EACH || (is_aligned<V>(gamma) && is_aligned<V>(beta)));
    by_alignment(all, [&](auto aligned) {
        norm_row<EACH, V, aligned ? HELD : 0, aligned>(row, y, mean, deviation, x, gamma, beta, n, groups, eps);
    });
}

/* The gradient of the data. sums: of each row, that of g and that of its products with the normalised values. */
template <bool EACH, int V, bool aligned, class T>
static inline void norm_row_backward(const Row& row, T* out, double* sums, const T* g, const T* x, const T* gamma,
                                     const T* means, const T* deviations, int64_t n, const Divisor& groups) {
    typedef wide_t<T> W;
    const W mean = widen(means[row.index]), scale = 1 / widen(deviations[row.index]);
    const W factor = EACH ? scale : scale * widen(gamma[remainder(row.index, groups)]);
    const auto each = [&](int64_t at, auto use) {           /* use(index, weighted gradient, distance from the mean) */
        const Pack<T, V> gs = load_pack<V>(g + at, aligned), xs = load_pack<V>(x + at, aligned);
        if constexpr (EACH) {
            const Pack<T, V> weight = load_pack<V>(gamma + at, aligned);
#pragma unroll
            for (int v = 0; v < V; v++) use(v, widen(gs.item[v]) * widen(weight.item[v]), widen(xs.item[v]) - mean);
        } else {
#pragma unroll
            for (int v = 0; v < V; v++) use(v, widen(gs.item[v]), widen(xs.item[v]) - mean);
        }
    };
    W product = 0;
    const W sum = row.sum<W, V>([&](int64_t at) {
        W total = 0;
        each(at, [&](int, W h, W distance) {
            total += h;
            product += h * distance;
        });
        return total;
    });
    product = join_lanes(product, row.lanes, Plus());
    if (!EACH && row.leads) sums[2 * row.index] = sum, sums[2 * row.index + 1] = product * scale;
    const W a = sum / W(n), b = product / W(n) * scale * scale;
#pragma unroll 1
    for (int64_t at = row.lane * V; at < row.n; at += row.lanes * V) {
        Pack<T, V> pack;
        each(at, [&](int v, W h, W distance) { pack.item[v] = narrow<T>(factor * (h - a - distance * b)); });
        store_pack<V>(out + at, pack, aligned);
    }
}

template <bool EACH, int V, class T>
static inline void norm_rows_backward(T* out, double* sums, const T* g, const T* x, const T* gamma, const T* means,
                                      const T* deviations, int64_t rows, int64_t n, const Divisor& groups,
                                      int64_t lanes) {
    const Row row(rows, n, lanes);
    g += row.first;
    x += row.first;
    out += row.first;
    const bool all = is_aligned<V>(g) && is_aligned<V>(x) && is_aligned<V>(out) && (!EACH || is_aligned<V>(gamma));
    by_alignment(all, [&](auto aligned) {
        norm_row_backward<EACH, V, aligned>(row, out, sums, g, x, gamma, means, deviations, n, groups);
    });
}

/* Gradients of one weight for each of `groups` rows, from the sums of the rows. */
template <class T>
static inline void group_weights(T* dgamma, T* dbeta, const double* sums, int64_t rows, int64_t groups) {
    const int64_t group = first_item() / 32;
    if (group >= groups) return;
    double gamma = 0, beta = 0;
    for (int64_t row = group + threadIdx.x % 32 * groups; row < rows; row += 32 * groups) {
        beta += sums[2 * row];
        gamma += sums[2 * row + 1];
    }
    gamma = join_lanes(gamma, 32, Plus());
    beta = join_lanes(beta, 32, Plus());
    if (threadIdx.x % 32 == 0) {
        dgamma[group] = narrow<T>(wide_t<T>(gamma));
        dbeta[group] = narrow<T>(wide_t<T>(beta));
    }
}

template <class T>
static inline void norm_columns(T* y, T* mean_out, T* deviation_out, const T* x, const T* gamma, const T* beta,
                                int64_t columns, int64_t n, const Divisor& inner, double eps, int64_t lanes) {
    typedef wide_t<T> W;
    const Column column(columns, n, inner, int(lanes));
    W sum[1] = {0}, squares[1] = {0};
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall) sum[0] += widen(x[column.at(k)]);
    join_tall<1, THREADS>(sum, int(lanes), Plus());
    const W mean = sum[0] / W(n);
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall) {
        const W distance = widen(x[column.at(k)]) - mean;
        squares[0] += distance * distance;
    }
    join_tall<1, THREADS>(squares, int(lanes), Plus());
    const W deviation = W(sqrt(double(squares[0]) / double(n) + eps)), scale = 1 / deviation;
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall)
        y[column.at(k)] = narrow<T>((widen(x[column.at(k)]) - mean) * scale * widen(gamma[k]) + widen(beta[k]));
    if (column.n && column.y == 0) {
        mean_out[column.index] = narrow<T>(mean);
        deviation_out[column.index] = narrow<T>(deviation);
    }
}

template <class T>
static inline void norm_columns_backward(T* out, const T* g, const T* x, const T* gamma, const T* means,
                                         const T* deviations, int64_t columns, int64_t n, const Divisor& inner,
                                         int64_t lanes) {
    typedef wide_t<T> W;
    const Column column(columns, n, inner, int(lanes));
    const W mean = widen(means[column.index]), scale = 1 / widen(deviations[column.index]);
    W sum[1] = {0}, product[1] = {0};
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall) {
        const W h = widen(g[column.at(k)]) * widen(gamma[k]);
        sum[0] += h;
        product[0] += h * (widen(x[column.at(k)]) - mean);
    }
    join_tall<1, THREADS>(sum, int(lanes), Plus());
    join_tall<1, THREADS>(product, int(lanes), Plus());
    const W a = sum[0] / W(n), b = product[0] / W(n) * scale * scale;
#pragma unroll 1
    for (int64_t k = column.y; k < column.n; k += column.tall) {
        const int64_t at = column.at(k);
        out[at] = narrow<T>(scale * (widen(g[at]) * widen(gamma[k]) - a - (widen(x[at]) - mean) * b));
    }
}

/* Gradients of a weight for each element of a row, or of a column: sums over all of them, of shares that are joined. */
struct WeightSums {
    double gamma, beta;
};
struct JoinWeightSums {
    WeightSums operator()(WeightSums a, const WeightSums& b) const { return {a.gamma + b.gamma, a.beta + b.beta}; }
};

template <bool ROWS, int V, class T>
static inline void weight_sums(WeightSums* parts, const T* g, const T* x, const T* means, const T* deviations,
                               const Items& p, const Divisor& size, const Divisor& inner) {
    typedef wide_t<T> W;
    const auto job = job_of<ROWS, V>(p);
    W gamma[V] = {}, beta[V] = {};
    each_pack<ROWS, V, 2>(p, job, is_aligned<V>(g) && is_aligned<V>(x), [&](int64_t at, bool aligned) {
        const Pack<T, V> gs = load_pack<V>(g + at, aligned), xs = load_pack<V>(x + at, aligned);
        int64_t rest = at;
        const int64_t outer = split(rest, size), row = outer * inner.by + (ROWS ? remainder(rest, inner) : 0);
#pragma unroll
        for (int v = 0; v < V; v++) {
            const int64_t k = row + (ROWS ? v : 0);
            const W gradient = widen(gs.item[v]), scale = 1 / widen(deviations[k]);
            gamma[v] += gradient * (widen(xs.item[v]) - widen(means[k])) * scale;
            beta[v] += gradient;
        }
    });
    const auto get = [&](int v) { return WeightSums{double(gamma[v]), double(beta[v])}; };
    join_packs<ROWS, V>(int(p.lanes), JoinWeightSums(), get, [&](int v, const WeightSums& sums) {
        if (job.leads) parts[(job.output + v) * p.shares.by + job.share] = sums;
    });
}

template <class T>
static inline void join_weights(T* dgamma, T* dbeta, const WeightSums* parts, int64_t n, int64_t shares,
                                int64_t lanes) {
    const int64_t k = int64_t(blockIdx.x) * groups_of(THREADS, int(lanes)) + group_of(int(lanes));
    WeightSums sums = {0, 0};
    if (k < n)
#pragma unroll 1
        for (int64_t share = lane_of(int(lanes)); share < shares; share += lanes)
            sums = JoinWeightSums()(sums, parts[k * shares + share]);
    sums = join_lanes(sums, int(lanes), JoinWeightSums());
    if (k >= n || lane_of(int(lanes))) return;
    dgamma[k] = narrow<T>(wide_t<T>(sums.gamma));
    dbeta[k] = narrow<T>(wide_t<T>(sums.beta));
}

}  // namespace mxcy

#define MXCY_NORM(EACH, V, HELD, threads, T)                                                                           \
    extern "C" __global__ void __launch_bounds__(threads)                                                              \
    rows(T* y, T* mean, T* deviation, const T* x, const T* gamma, const T* beta, int64_t rows, int64_t n,              \
         mxcy::Divisor groups, double eps, int64_t lanes) {                                                            \
        mxcy::norm_rows<EACH, V, HELD>(y, mean, deviation, x, gamma, beta, rows, n, groups, eps, lanes);               \
    }
#define MXCY_NORM_BACKWARD(EACH, V, threads, T)                                                                        \
    extern "C" __global__ void __launch_bounds__(threads)                                                              \
    rows(T* out, double* sums, const T* g, const T* x, const T* gamma, const T* mean, const T* deviation,              \
         int64_t rows, int64_t n, mxcy::Divisor groups, int64_t lanes) {                                               \
        mxcy::norm_rows_backward<EACH, V>(out, sums, g, x, gamma, mean, deviation, rows, n, groups, lanes);            \
    }
#define MXCY_GROUP_WEIGHTS(T)                                                                                          \
    extern "C" __global__ void group_weights(T* dgamma, T* dbeta, const double* sums, int64_t rows, int64_t groups) {  \
        mxcy::group_weights(dgamma, dbeta, sums, rows, groups);                                                        \
    }
#define MXCY_NORM_COLUMNS(T)                                                                                           \
    extern "C" __global__ void forward(T* y, T* mean, T* deviation, const T* x, const T* gamma, const T* beta,         \
                                       int64_t columns, int64_t n, mxcy::Divisor inner, double eps, int64_t lanes) {   \
        mxcy::norm_columns(y, mean, deviation, x, gamma, beta, columns, n, inner, eps, lanes);                         \
    }                                                                                                                  \
    extern "C" __global__ void backward(T* out, const T* g, const T* x, const T* gamma, const T* mean,                 \
                                        const T* deviation, int64_t columns, int64_t n, mxcy::Divisor inner,           \
                                        int64_t lanes) {                                                               \
        mxcy::norm_columns_backward(out, g, x, gamma, mean, deviation, columns, n, inner, lanes);                      \
    }
#define MXCY_NORM_WEIGHTS(ROWS, V, T)                                                                                  \
    extern "C" __global__ void __launch_bounds__(256, 4) sums(mxcy::WeightSums* parts, const T* g, const T* x,         \
                                                           const T* mean, const T* deviation,                          \
                                                           const __grid_constant__ mxcy::Items p,                      \
                                                           mxcy::Divisor size, mxcy::Divisor inner) {                  \
        mxcy::weight_sums<ROWS, V>(parts, g, x, mean, deviation, p, size, inner);                                      \
    }                                                                                                                  \
    extern "C" __global__ void join_weights(T* dgamma, T* dbeta, const mxcy::WeightSums* parts, int64_t n,             \
                                            int64_t shares, int64_t lanes) {                                           \
        mxcy::join_weights(dgamma, dbeta, parts, n, shares, lanes);                                                    \
    }
#endif
