/* In which order the threads of a block, and the blocks of a grid, run: CUDA promises none. */
#pragma once
#include <algorithm>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>
#include "vector_types.h"

namespace cuda_emulator {

enum class Order { FORWARD, REVERSE, SHUFFLED };

inline Order wanted_order() {
    const char* name = getenv("CUDA_EMULATOR_ORDER");
    std::string_view order = name ? name : "";
    return order == "reverse" ? Order::REVERSE : order == "shuffled" ? Order::SHUFFLED : Order::FORWARD;
}

template <class T> inline void put_in_order(std::vector<T>& items, Order order) {
    if (order == Order::REVERSE) std::reverse(items.begin(), items.end());
    if (order == Order::SHUFFLED) std::shuffle(items.begin(), items.end(), std::mt19937(items.size()));
}

/* Number i of the numbers below n, which are too many for a list. */
inline uint64_t in_order(uint64_t i, uint64_t n, Order order) {
    constexpr uint64_t step = 7919;                         /* a prime: its multiples reach all unless it divides n */
    if (order == Order::REVERSE) return n - 1 - i;
    return order == Order::SHUFFLED && n % step ? (i * step + n / 2) % n : i;
}

inline uint3 coordinates(uint64_t i, const dim3& size) {
    return {unsigned(i % size.x), unsigned(i / size.x % size.y), unsigned(i / size.x / size.y)};
}

}
