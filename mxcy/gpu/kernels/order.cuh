/* What sorting and selection share: keys whose unsigned order is that of the values, and where results go. And the sort
   of short rows, in shared memory: the positions of the elements make equal keys differ and so the order stable. */
#ifndef MXCY_GPU_ORDER_CUH
#define MXCY_GPU_ORDER_CUH
#include "mxcy/gpu/kernels/items.cuh"
#include "mxcy/ops/order.h"

namespace mxcy {

enum { ORDER_TILE = 2048 };

/* As wide as the element: a radix sort takes a pass for each byte. */
template <class T>
using key_t = std::conditional_t<sizeof(T) == 1, uint8_t, std::conditional_t<sizeof(T) == 2, uint16_t,
              std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>>;

struct Order {                              /* of data (outer, n, inner) */
    int64_t rows, n, inner, k;              /* rows: outer * inner; k: how many of each are wanted */
    int64_t descending, exact;              /* exact: values are made of keys, and -0 comes before 0; else they tie */
};

/* The key of a value in ascending order. 16-bit floats have keys of their own: those of order.h are for float32. */
template <class T> static inline key_t<T> key_of(T x, bool exact) {
    if constexpr (std::is_same_v<T, half> || std::is_same_v<T, bfloat16>) {
        constexpr unsigned infinity = std::is_same_v<T, half> ? 0x7c00 : 0x7f80;
        unsigned bits = x.bits;
        if ((bits & 0x7fff) > infinity) bits = 0x7fff;
        if (bits == 0x8000 && !exact) bits = 0;
        return key_t<T>(bits ^ (bits & 0x8000 ? 0xffff : 0x8000));
    } else if constexpr (std::is_same_v<T, uint32_t>) return x;
    else return key_t<T>(mxcy_order::key_of(exact ? x : mxcy_order::positive_zero(x)));
}
template <class T> static inline T value_of(key_t<T> key) {
    if constexpr (std::is_same_v<T, half> || std::is_same_v<T, bfloat16>)
        return T{uint16_t(key ^ (key & 0x8000 ? 0x8000 : 0xffff))};
    else if constexpr (std::is_same_v<T, uint32_t>) return key;
    else {
        T x;
        mxcy_order::value_of(key, &x);
        return x;
    }
}

template <class T> static inline key_t<T> flip(const Order& p) { return p.descending ? key_t<T>(~key_t<T>(0)) : 0; }

/* Where a row begins in the data and in what is put out. */
struct Row {
    int64_t from, to, step;

    Row(const Order& p, int64_t row) : step(p.inner) {
        const int64_t outer = quotient(row, p.inner), column = row - outer * p.inner;
        from = outer * p.n * p.inner + column, to = outer * p.k * p.inner + column;
    }
};

template <class K, class I> struct Entry {
    K key;
    I at;

    bool before(const Entry& other) const { return key != other.key ? key < other.key : at < other.at; }
};

/* What is wanted; null: not wanted. */
template <class T, class O> struct Wanted {
    T* value;
    O* index;
    T* mask;
};

/* Put out the element that comes `rank`-th in a row. */
template <class T, class O>
static inline void emit(const Wanted<T, O>& out, const T* x, const Row& row, int64_t rank, int64_t at) {
    const int64_t from = row.from + at * row.step, to = row.to + rank * row.step;
    if (out.value) out.value[to] = x[from];
    if (out.index) out.index[to] = narrow<O>(wide_t<O>(at));
    if (out.mask) out.mask[from] = narrow<T>(wide_t<T>(1));
}

/* Sorts rows of up to ORDER_TILE elements by a bitonic network: those of the data, or `length` entries `given` each.
   padded: a row's elements, a power of two; span: those of a block, one row or several. */
template <class T, class O, class I>
static inline void sort_short(const Wanted<T, O>& out, const Entry<key_t<T>, I>* given, const T* x, const Order& p,
                              int64_t length, int padded, int span) {
    typedef key_t<T> K;
    typedef Entry<K, I> E;
    __shared__ E entry[ORDER_TILE];
    const int64_t first_row = int64_t(blockIdx.x) * (span / padded);
    for (int i = threadIdx.x; i < span; i += blockDim.x) {
        const int64_t row = first_row + i / padded, at = i % padded;
        entry[i] = E{K(~K(0)), I(~I(0))};
        if (row >= p.rows || at >= length) continue;
        if (given) entry[i] = given[row * length + at];
        else entry[i] = E{K(key_of(x[Row(p, row).from + at * p.inner], p.exact) ^ flip<T>(p)), I(at)};
    }
    __syncthreads();
    for (int size = 2; size <= padded; size *= 2)
        for (int step = size / 2; step; step /= 2) {
            for (int i = threadIdx.x; i < span / 2; i += blockDim.x) {
                const int a = 2 * i - (i & (step - 1)), b = a + step;
                const bool up = (a & (padded - 1) & size) == 0;
                const E low = entry[a], high = entry[b];
                if (high.before(low) == up) entry[a] = high, entry[b] = low;
            }
            __syncthreads();
        }
    for (int i = threadIdx.x; i < span; i += blockDim.x) {
        const int64_t row = first_row + i / padded, rank = i % padded;
        if (row < p.rows && rank < p.k) emit(out, x, Row(p, row), rank, int64_t(entry[i].at));
    }
}

}  // namespace mxcy

#define MXCY_SORT_SHORT(T, O, I)                                                                                       \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
    sort_short(mxcy::Wanted<T, O> out, const mxcy::Entry<mxcy::key_t<T>, I>* given, const T* x, mxcy::Order p,         \
               int64_t length, int64_t padded, int64_t span) {                                                         \
        mxcy::sort_short<T, O, I>(out, given, x, p, length, int(padded), int(span));                                   \
    }
#endif
