/* Element types of the GPU, and what each is computed in. */
#ifndef MXCY_GPU_NUMBERS_CUH
#define MXCY_GPU_NUMBERS_CUH
#include <cstdint>
#include <cstring>
#include <type_traits>
#include "mxcy/ops/half.h"

namespace mxcy {

struct half { uint16_t bits; };
struct bfloat16 { uint16_t bits; };

/* 16-bit floats are computed in float32. */
template <class T> struct wide_of { typedef T type; };
template <> struct wide_of<half> { typedef float type; };
template <> struct wide_of<bfloat16> { typedef float type; };
template <class T> using wide_t = typename wide_of<T>::type;

template <class T> static inline wide_t<T> widen(T x) {
    if constexpr (std::is_same_v<T, half>) {
#ifdef __CUDA_ARCH__
        float wide;
        asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(x.bits));
        return wide;
#else
        return mxcy_half_one(x.bits);
#endif
    } else if constexpr (std::is_same_v<T, bfloat16>) {
        return mxcy_float_of(uint32_t(x.bits) << 16);
    } else return x;
}

template <class T> static inline T narrow(wide_t<T> x) {
    if constexpr (std::is_same_v<T, half>) {
#ifdef __CUDA_ARCH__
        half narrow;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(x));
        return narrow;
#else
        half narrow;
        mxcy_float_to_half(&narrow.bits, &x, 1);
        return narrow;
#endif
    } else if constexpr (std::is_same_v<T, bfloat16>) {
        bfloat16 narrow;
#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
        asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(x));
#else
        mxcy_float_to_bfloat16(&narrow.bits, &x, 1);
#endif
        return narrow;
    } else return x;
}

/* The number of a scalar operator in the type that is computed in. */
template <class W> static inline W number(double value) {
    if constexpr (std::is_floating_point_v<W>) return W(value);
    else return W(int64_t(value));
}

/* Elements that are read and written at once. */
template <class T, int count> struct alignas(sizeof(T) * count) Pack { T item[count]; };

/* Stores a pack in global memory by one instruction. The compiler takes assignments apart, and leaves them so where it finds stores of
   the same elements in another branch. */
template <class P> static inline void store_whole(P* to, const P& pack) {
#ifdef __CUDA_ARCH__
    if constexpr (sizeof(P) == 16) {
        uint32_t words[4];
        memcpy(words, &pack, 16);
        asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};"
                     :: "l"(to), "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3]) : "memory");
        return;
    }
#endif
    *to = pack;
}

/* Items of one thread, in turns of the whole grid. */
static inline int64_t first_item() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
static inline int64_t grid_step() {
#ifdef __CUDA_ARCH__
    /* Read anew in each turn: if it were known to stay, the compiler would unroll, and every thread begin with a 64-bit
       division for the number of turns, of which there is one. */
    uint32_t blocks;
    asm volatile("mov.u32 %0, %%nctaid.x;" : "=r"(blocks));
    return int64_t(blocks) * blockDim.x;
#else
    return int64_t(gridDim.x) * blockDim.x;
#endif
}

}  // namespace mxcy
#endif
