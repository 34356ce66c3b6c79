/* Stable sorting and selection of one row: radix sort by bytes, of keys whose unsigned order is that of the values.
 *
 * A NaN counts as larger than any number. In descending order the keys are complemented, so equal elements stay in the
 * order in which they came.
 */
#ifndef MXCY_OPS_ORDER_H
#define MXCY_OPS_ORDER_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <limits>

namespace mxcy_order {

static inline uint32_t key_of(float x) {
    uint32_t bits;
    x = x != x ? std::numeric_limits<float>::quiet_NaN() : x;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ ((uint32_t)((int32_t)bits >> 31) | 0x80000000u);
}
static inline uint64_t key_of(double x) {
    uint64_t bits;
    x = x != x ? std::numeric_limits<double>::quiet_NaN() : x;
    memcpy(&bits, &x, sizeof bits);
    return bits ^ ((uint64_t)((int64_t)bits >> 63) | 0x8000000000000000u);
}
static inline uint32_t key_of(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
static inline uint64_t key_of(int64_t x) { return (uint64_t)x ^ 0x8000000000000000u; }
static inline uint32_t key_of(uint8_t x) { return x; }
static inline uint32_t key_of(int8_t x) { return (uint8_t)x ^ 0x80u; }

static inline void value_of(uint32_t key, float *x) {
    uint32_t bits = key ^ ((uint32_t)((int32_t)~key >> 31) | 0x80000000u);
    memcpy(x, &bits, sizeof bits);
}
static inline void value_of(uint64_t key, double *x) {
    uint64_t bits = key ^ ((uint64_t)((int64_t)~key >> 63) | 0x8000000000000000u);
    memcpy(x, &bits, sizeof bits);
}
static inline void value_of(uint32_t key, int32_t *x) { *x = (int32_t)(key ^ 0x80000000u); }
static inline void value_of(uint64_t key, int64_t *x) { *x = (int64_t)(key ^ 0x8000000000000000u); }
static inline void value_of(uint32_t key, uint8_t *x) { *x = (uint8_t)key; }
static inline void value_of(uint32_t key, int8_t *x) { *x = (int8_t)(key ^ 0x80u); }

/* -0 and 0 are equal: where the order of equal elements shows, they have one key. */
template <class T> static inline T positive_zero(T x) { return x == 0 ? 0 : x; }

template <class K> struct Pair { K key; int64_t at; };
template <class K> static inline K sort_key(Pair<K> pair) { return pair.key; }
static inline uint32_t sort_key(uint32_t key) { return key; }
static inline uint64_t sort_key(uint64_t key) { return key; }
/* A 32-bit key and a 32-bit position in one word: half the traffic of a Pair. */
struct Packed { uint32_t at, key; };
static inline uint32_t sort_key(Packed pair) { return pair.key; }

template <class E> static inline void insertion_sort(E *x, ptrdiff_t n) {
    for (ptrdiff_t i = 1; i < n; i++) {
        E e = x[i];
        ptrdiff_t j = i;
        for (; j > 0 && sort_key(x[j - 1]) > sort_key(e); j--) x[j] = x[j - 1];
        x[j] = e;
    }
}

/* Sorts x by its keys, least byte first; returns x or spare, whichever holds the result. A byte that all keys share needs
 * no pass. */
template <class E> static inline E *radix_sort(E *x, E *spare, ptrdiff_t n) {
    enum { BYTES = sizeof(sort_key(*x)) };
    if (n <= 32) {
        insertion_sort(x, n);
        return x;
    }
    ptrdiff_t count[BYTES][256];
    memset(count, 0, sizeof count);
    for (ptrdiff_t i = 0; i < n; i++) {
        auto key = sort_key(x[i]);
        for (int b = 0; b < BYTES; b++) count[b][key >> 8 * b & 255]++;
    }
    for (int b = 0; b < BYTES; b++) {
        ptrdiff_t *begin = count[b], sum = 0;
        if (begin[sort_key(x[0]) >> 8 * b & 255] == n) continue;
        for (int k = 0; k < 256; k++) {
            ptrdiff_t c = begin[k];
            begin[k] = sum;
            sum += c;
        }
        for (ptrdiff_t i = 0; i < n; i++) spare[begin[sort_key(x[i]) >> 8 * b & 255]++] = x[i];
        E *swap = x;
        x = spare;
        spare = swap;
    }
    return x;
}

/* out = the sorted row; scratch has room for 2 n keys */
template <class T> void sort(T *out, const T *x, ptrdiff_t n, bool descending, void *scratch) {
    typedef decltype(key_of(*x)) K;
    K *key = (K *)scratch, flip = descending ? ~K(0) : 0;
    for (ptrdiff_t i = 0; i < n; i++) key[i] = key_of(x[i]) ^ flip;
    key = radix_sort(key, key + n, n);
    for (ptrdiff_t i = 0; i < n; i++) value_of((K)(key[i] ^ flip), out + i);
}

static inline void place(Packed *pair, uint32_t key, ptrdiff_t i) { *pair = {(uint32_t)i, key}; }
template <class K> static inline void place(Pair<K> *pair, K key, ptrdiff_t i) { *pair = {key, (int64_t)i}; }

template <class E, class T> void order_as(int64_t *at, const T *x, ptrdiff_t n, ptrdiff_t k, bool descending, E *pair) {
    typedef decltype(key_of(*x)) K;
    K flip = descending ? ~K(0) : 0;
    for (ptrdiff_t i = 0; i < n; i++) place(pair + i, (K)(key_of(positive_zero(x[i])) ^ flip), i);
    pair = radix_sort(pair, pair + n, n);
    for (ptrdiff_t i = 0; i < k; i++) at[i] = (int64_t)pair[i].at;
}

/* The k best by keeping a sorted list of them: most blocks have nothing better than its last and are only compared. */
template <class T> void select(int64_t *at, const T *x, ptrdiff_t n, ptrdiff_t k, bool descending, void *scratch) {
    typedef decltype(key_of(*x)) K;
    enum { BLOCK = 32 };
    K *best = (K *)scratch, flip = descending ? 0 : ~K(0);         /* the largest keys are the best here */
    ptrdiff_t found = 0;
    for (ptrdiff_t first = 0; first < n; first += BLOCK) {
        K key[BLOCK];
        ptrdiff_t m = n - first < BLOCK ? n - first : BLOCK;
        if (m == BLOCK)
            for (int i = 0; i < BLOCK; i++) key[i] = key_of(positive_zero(x[first + i])) ^ flip;
        else
            for (ptrdiff_t i = 0; i < m; i++) key[i] = key_of(positive_zero(x[first + i])) ^ flip;
        if (found == k && m == BLOCK) {
            K last = best[k - 1];
            int any = 0;
            for (int i = 0; i < BLOCK; i++) any |= key[i] > last;
            if (!any) continue;
        }
        for (ptrdiff_t i = 0; i < m; i++) {
            if (found == k && key[i] <= best[k - 1]) continue;
            ptrdiff_t j = found < k ? found++ : k - 1;
            for (; j > 0 && best[j - 1] < key[i]; j--) {
                best[j] = best[j - 1];
                at[j] = at[j - 1];
            }
            best[j] = key[i];
            at[j] = first + i;
        }
    }
}

/* at = positions of the first k elements in order; scratch has room for 2 n Pairs */
template <class T> void order(int64_t *at, const T *x, ptrdiff_t n, ptrdiff_t k, bool descending, void *scratch) {
    typedef decltype(key_of(*x)) K;
    if (k <= 32 && k * 8 <= n) select(at, x, n, k, descending, scratch);
    else if constexpr (sizeof(K) == 4) {
        if (n <= 0xffffffff) order_as(at, x, n, k, descending, (Packed *)scratch);
        else order_as(at, x, n, k, descending, (Pair<K> *)scratch);
    } else order_as(at, x, n, k, descending, (Pair<K> *)scratch);
}

/* Bytes of scratch that order needs. */
template <class T> ptrdiff_t order_scratch(const T *x, ptrdiff_t n, ptrdiff_t k) {
    if (k <= 32 && k * 8 <= n) return k * 8;
    return 2 * n * (sizeof(key_of(*x)) == 4 && n <= 0xffffffff ? sizeof(Packed) : sizeof(Pair<uint64_t>));
}
}
#endif
