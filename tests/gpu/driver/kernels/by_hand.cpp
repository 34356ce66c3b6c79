/* Kernels in the form into which the emulator brings them, for tests of the stand-in driver alone. */
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <unistd.h>

#define KERNEL(name)                                                                                                   \
    extern "C" int emulated_launch_##name(const void* parameters, const unsigned* grid, const unsigned* block,         \
                                          unsigned shared, char* text, size_t room)

namespace {

struct Array {
    float* data;
    long size;
};

template <class T> T read(const void* parameters) {
    T given;
    memcpy(&given, parameters, sizeof(T));
    return given;
}

}  // namespace

extern "C" float offset = 1;

KERNEL(add_offset) {
    auto x = read<Array>(parameters);
    for (long i = 0; i < x.size; i++) x.data[i] += offset;
    return 0;
}

KERNEL(twice) {
    auto x = read<Array>(parameters);
    for (long i = 0; i < x.size; i++) x.data[i] *= 2;
    return 0;
}

/* How it was launched. */
KERNEL(sizes) {
    float* out = read<Array>(parameters).data;
    for (int i = 0; i < 3; i++) out[i] = grid[i], out[3 + i] = block[i];
    out[6] = shared;
    return 0;
}

KERNEL(overrun) {
    auto x = read<Array>(parameters);
    x.data[x.size] = 0;
    return 0;
}

KERNEL(broken) {
    snprintf(text, room, "thread 3 of block 0 left before a barrier");
    return 1;
}

KERNEL(sleep) {
    sleep(read<long>(parameters));
    return 0;
}
