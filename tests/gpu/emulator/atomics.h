/* Atomic functions, for the types that CUDA has them for. They are atomic here too: streams are threads. */
#pragma once
#include <type_traits>

namespace cuda_emulator {

template <class T, class Change> inline T exchange(T* address, Change change) {
    T old, next;
    __atomic_load(address, &old, __ATOMIC_RELAXED);
    do next = change(old);
    while (!__atomic_compare_exchange(address, &old, &next, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}

/* Integers wrap. */
template <class T> inline T sum(T x, T y) {
    if constexpr (std::is_integral_v<T>) return T(std::make_unsigned_t<T>(x) + std::make_unsigned_t<T>(y));
    else return x + y;
}

}

#define CUDA_ATOMIC(name, T, expression)                                                    \
    inline T name(T* address, T value) {                                                    \
        return cuda_emulator::exchange(address, [=](T old) -> T { return expression; });    \
    }
#define CUDA_ATOMICS(T)                                              \
    CUDA_ATOMIC(atomicAdd, T, cuda_emulator::sum(old, value))        \
    CUDA_ATOMIC(atomicExch, T, ((void)old, value))
#define CUDA_INTEGER_ATOMICS(T)                                      \
    CUDA_ATOMIC(atomicMin, T, value < old ? value : old)             \
    CUDA_ATOMIC(atomicMax, T, value > old ? value : old)             \
    CUDA_ATOMIC(atomicAnd, T, old & value)                           \
    CUDA_ATOMIC(atomicOr, T, old | value)                            \
    CUDA_ATOMIC(atomicXor, T, old ^ value)

CUDA_ATOMICS(int)
CUDA_ATOMICS(unsigned)
CUDA_ATOMICS(unsigned long long)
CUDA_ATOMICS(float)
CUDA_ATOMIC(atomicAdd, double, old + value)
CUDA_INTEGER_ATOMICS(int)
CUDA_INTEGER_ATOMICS(unsigned)
CUDA_INTEGER_ATOMICS(unsigned long long)
CUDA_ATOMIC(atomicMin, long long, value < old ? value : old)
CUDA_ATOMIC(atomicMax, long long, value > old ? value : old)
CUDA_ATOMIC(atomicSub, int, cuda_emulator::sum(old, int(0u - value)))
CUDA_ATOMIC(atomicSub, unsigned, old - value)
CUDA_ATOMIC(atomicInc, unsigned, old >= value ? 0 : old + 1)
CUDA_ATOMIC(atomicDec, unsigned, old == 0 || old > value ? value : old - 1)
#undef CUDA_INTEGER_ATOMICS
#undef CUDA_ATOMICS
#undef CUDA_ATOMIC

#define CUDA_COMPARE_AND_SWAP(T)                                                                                 \
    inline T atomicCAS(T* address, T compare, T value) {                                                         \
        __atomic_compare_exchange(address, &compare, &value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);         \
        return compare;                                                                                          \
    }
CUDA_COMPARE_AND_SWAP(unsigned short)
CUDA_COMPARE_AND_SWAP(int)
CUDA_COMPARE_AND_SWAP(unsigned)
CUDA_COMPARE_AND_SWAP(unsigned long long)
#undef CUDA_COMPARE_AND_SWAP
