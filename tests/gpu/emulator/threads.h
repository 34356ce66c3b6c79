/* What threads of a block and of a warp do together. */
#pragma once
#include <cstring>
#include <type_traits>
#include "runtime.h"

#define CUDA_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()      /* of the caller */

inline void __syncthreads(CUDA_PLACE) { cuda_emulator::barrier(false, {file, line}); }
inline int __syncthreads_count(int predicate, CUDA_PLACE) { return cuda_emulator::barrier(predicate, {file, line}); }
inline int __syncthreads_or(int predicate, CUDA_PLACE) { return cuda_emulator::barrier(predicate, {file, line}) > 0; }
inline int __syncthreads_and(int predicate, CUDA_PLACE) {
    return cuda_emulator::barrier(!predicate, {file, line}) == 0;
}

inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

namespace cuda_emulator {

template <class T> inline T shuffle(WarpOperation operation, unsigned mask, T value, unsigned source, Place place) {
    static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "shuffles take numbers");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = warp(operation, mask, bits, source, place);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}

inline void __syncwarp(unsigned mask = 0xffffffffu, CUDA_PLACE) {
    cuda_emulator::warp(cuda_emulator::WarpOperation::SYNC, mask, 0, 0, {file, line});
}

/* Lanes form sections of `width`, a power of two; a source beyond the own section is the lane itself. */
template <class T> inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, CUDA_PLACE) {
    unsigned lane = cuda_emulator::builtins.lane, first = lane & -unsigned(width), place = source & (width - 1);
    return cuda_emulator::shuffle(cuda_emulator::WarpOperation::SHFL, mask, value, first | place, {file, line});
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_PLACE) {
    unsigned lane = cuda_emulator::builtins.lane, first = lane & -unsigned(width);
    unsigned source = lane < first + delta ? lane : lane - delta;
    return cuda_emulator::shuffle(cuda_emulator::WarpOperation::SHFL_UP, mask, value, source, {file, line});
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, CUDA_PLACE) {
    unsigned lane = cuda_emulator::builtins.lane, first = lane & -unsigned(width);
    unsigned source = lane + delta < first + width ? lane + delta : lane;
    return cuda_emulator::shuffle(cuda_emulator::WarpOperation::SHFL_DOWN, mask, value, source, {file, line});
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, CUDA_PLACE) {
    unsigned lane = cuda_emulator::builtins.lane, first = lane & -unsigned(width);
    unsigned source = (lane ^ bits) < first + width ? lane ^ bits : lane;
    return cuda_emulator::shuffle(cuda_emulator::WarpOperation::SHFL_XOR, mask, value, source, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, CUDA_PLACE) {
    return cuda_emulator::warp(cuda_emulator::WarpOperation::BALLOT, mask, predicate != 0, 0, {file, line});
}
inline int __any_sync(unsigned mask, int predicate, CUDA_PLACE) {
    return cuda_emulator::warp(cuda_emulator::WarpOperation::ANY, mask, predicate != 0, 0, {file, line});
}
inline int __all_sync(unsigned mask, int predicate, CUDA_PLACE) {
    return cuda_emulator::warp(cuda_emulator::WarpOperation::ALL, mask, predicate != 0, 0, {file, line});
}
#undef CUDA_PLACE
