/* Optimizer updates: the rules of update.h on the GPU, of several weights in one launch. */
#ifndef MXCY_GPU_UPDATE_CUH
#define MXCY_GPU_UPDATE_CUH
#include <cmath>
#include <cstdint>
#include "mxcy/gpu/kernels/numbers.cuh"
#include "mxcy/ops/update.h"

namespace mxcy {

enum { UPDATE_CHUNK = 4096, UPDATE_THREADS = 256 };         /* of a block: items, threads */
enum Tail { NOTHING, RESCALE, RATES };      /* what stands behind the weights, as in _update.pyx */

struct Group {                              /* a weight and what belongs to it */
    void *out, *weight, *grad, *states[3], *copy;
    int64_t size, first, place;             /* items; its first block; its number among all weights of the call */
    double lr, wd;
};
template <int most> struct Groups {
    int64_t count;
    Group group[most];
};

/* T: weight and gradient, S: states, O: the output. mixed: the copy, of float32, is what gets updated; keep: it changes. */
template <template <class> class R, class T, class S, class O, bool mixed, bool keep> struct Update {
    typedef wide_t<T> W;
    const Group& group;
    const R<W> rule;
    Update(const Group& group, const mxcy_update::Numbers& numbers) : group(group), rule(numbers) {}

    template <int count> bool dense() const {
        uintptr_t all = uintptr_t(group.out) % (sizeof(O) * count) | uintptr_t(group.grad) % (sizeof(T) * count);
        all |= mixed ? uintptr_t(group.copy) % (sizeof(W) * count) : uintptr_t(group.weight) % (sizeof(T) * count);
        for (int i = 0; i < R<W>::STATES; i++) all |= uintptr_t(group.states[i]) % (sizeof(S) * count);
        return all == 0;
    }

    /* Items begin to end, `count` at once. */
    template <int count> void run(int64_t begin, int64_t end) const {
        constexpr int states = R<W>::STATES;
        typedef Pack<T, count> P;
        typedef Pack<S, count> Q;
        typedef Pack<W, count> C;
        for (int64_t i = begin / count + threadIdx.x; i < end / count; i += UPDATE_THREADS) {
            const P g = static_cast<const P*>(group.grad)[i];
            P w;
            C copy;
            Q state[3];
            if (mixed) copy = static_cast<const C*>(group.copy)[i];
            else w = static_cast<const P*>(group.weight)[i];
#pragma unroll
            for (int k = 0; k < states; k++) state[k] = static_cast<const Q*>(group.states[k])[i];
            Pack<O, count> out;
#pragma unroll
            for (int j = 0; j < count; j++) {
                W x[3] = {};
                for (int k = 0; k < states; k++) x[k] = widen(state[k].item[j]);
                const W next = rule(mixed ? copy.item[j] : W(widen(w.item[j])), widen(g.item[j]), x[0], x[1], x[2]);
                for (int k = 0; k < states; k++) state[k].item[j] = narrow<S>(x[k]);
                copy.item[j] = next;
                out.item[j] = narrow<O>(next);
            }
            static_cast<Pack<O, count>*>(group.out)[i] = out;
            if (keep) static_cast<C*>(group.copy)[i] = copy;
#pragma unroll
            for (int k = 0; k < states; k++) static_cast<Q*>(group.states[k])[i] = state[k];
        }
    }
};

template <template <class> class R, class T, class S, class O, bool mixed, bool keep, Tail tail, class F, int most>
static inline void update(const Groups<most>& groups, mxcy_update::Numbers numbers, double factor, const F* behind,
                          const F* behind2) {
    typedef wide_t<T> W;
    int own = 0;
    while (own + 1 < groups.count && blockIdx.x >= groups.group[own + 1].first) own++;
    const Group& group = groups.group[own];
    const int64_t begin = (blockIdx.x - group.first) * UPDATE_CHUNK;
    const int64_t end = begin + UPDATE_CHUNK < group.size ? begin + UPDATE_CHUNK : group.size;
    numbers.lr = group.lr * factor;
    numbers.wd = group.wd;
    if (tail == RATES) {
        numbers.lr = widen(behind[group.place]);
        numbers.wd = widen(behind2[group.place]);
    }
    if (tail == RESCALE) {
        numbers.rescale = widen(behind[0]);
        if (!std::isfinite(numbers.rescale) || numbers.rescale == 0) {       /* no update: a loss overflowed */
            if (group.out != group.weight)
                for (int64_t i = begin + threadIdx.x; i < end; i += UPDATE_THREADS)
                    static_cast<T*>(group.out)[i] = static_cast<const T*>(group.weight)[i];
            return;
        }
    }
    const Update<R, T, S, O, mixed, keep> work(group, numbers);
    constexpr int count = 16 / sizeof(W);
    const int64_t packs = work.template dense<count>() ? end / count * count : begin;
    work.template run<count>(begin, packs);
    work.template run<1>(packs, end);
}

/* weight - lr ratio g, of LAMB: S is the type of what is updated, F and G those of the two lengths. */
template <class T, class S, class V, class F, class G, bool keep>
static inline void scaled_step(T* out, S* weight, const V* g, const F* length, const G* step, double lr, double low,
                               double high, int64_t n) {
    typedef wide_t<S> W;
    const W rate = W(lr * mxcy_update::lamb_ratio(widen(*length), widen(*step), low, high));
    for (int64_t i = first_item(); i < n; i += grid_step()) {
        const W next = widen(weight[i]) - rate * widen(g[i]);
        if (keep) weight[i] = narrow<S>(next);
        out[i] = narrow<T>(next);
    }
}

}  // namespace mxcy

#define MXCY_UPDATE(R, T, S, O, mixed, keep, tail, F, most)                                                            \
    extern "C" __global__ void __launch_bounds__(mxcy::UPDATE_THREADS)                                                 \
    update(const __grid_constant__ mxcy::Groups<most> groups, mxcy_update::Numbers numbers, double factor,             \
           const F* behind, const F* behind2) {                                                                        \
        mxcy::update<mxcy_update::R, T, S, O, mixed, keep, mxcy::tail, F, most>(groups, numbers, factor, behind,       \
                                                                                behind2);                              \
    }
#define MXCY_SCALED_STEP(T, S, V, F, G, keep)                                                                          \
    extern "C" __global__ void scaled_step(T* out, S* weight, const V* g, const F* length, const G* step, double lr,   \
                                           double low, double high, int64_t n) {                                       \
        mxcy::scaled_step<T, S, V, F, G, keep>(out, weight, g, length, step, lr, low, high, n);                        \
    }
#endif
