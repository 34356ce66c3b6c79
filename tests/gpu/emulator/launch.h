/* Launching: the arguments from CUDA's packed buffer, and the runtime. */
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include "runtime.h"

namespace cuda_emulator {

/* Where parameters of these types stand in the buffer; last, its size. */
template <class... Parameters> constexpr std::array<size_t, sizeof...(Parameters) + 1> parameter_offsets() {
    constexpr size_t count = sizeof...(Parameters);
    constexpr size_t sizes[count + 1] = {sizeof(Parameters)..., 0}, aligned[count + 1] = {alignof(Parameters)..., 1};
    std::array<size_t, count + 1> offsets{};
    size_t end = 0;
    for (size_t i = 0; i <= count; i++) {
        offsets[i] = (end + aligned[i] - 1) / aligned[i] * aligned[i];
        end = offsets[i] + sizes[i];
    }
    return offsets;
}

template <auto function> struct Kernel;
template <class... Parameters, void (*function)(Parameters...)> struct Kernel<function> {
    static constexpr std::array<size_t, sizeof...(Parameters) + 1> offsets = parameter_offsets<Parameters...>();

    template <size_t... I> static void call(const unsigned char* arguments, std::index_sequence<I...>) {
        function(*reinterpret_cast<const Parameters*>(arguments + offsets[I])...);
    }
    static void thread(const void* arguments) {
        call(static_cast<const unsigned char*>(arguments), std::index_sequence_for<Parameters...>());
    }
    static int launch(const char* name, const void* buffer, const unsigned* grid, const unsigned* block,
                      unsigned shared_bytes, char* text, size_t room) {
        static const StaticShared shared = static_shared_of(reinterpret_cast<const void*>(function));
        alignas(std::max({size_t(16), alignof(Parameters)...})) unsigned char arguments[offsets.back() + 1];
        if (offsets.back()) std::memcpy(arguments, buffer, offsets.back());
        const dim3 blocks(grid[0], grid[1], grid[2]), threads(block[0], block[1], block[2]);
        return run({name, thread, arguments, blocks, threads, shared_bytes, shared}, text, room);
    }
};

}
