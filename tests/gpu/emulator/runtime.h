/* What kernels ask of the runtime: a library of its own, which all compiled kernels of a process share. */
#pragma once
#include <cstddef>
#include <cstdint>
#include "vector_types.h"

#pragma GCC visibility push(default)
namespace cuda_emulator {

/* CUDA's built-in variables of the thread that runs now. */
struct Builtins {
    uint3 thread, block;
    dim3 block_size, grid_size;
    unsigned lane;
    unsigned char* shared;              /* the dynamic shared memory */
};
extern __thread Builtins builtins __attribute__((tls_model("initial-exec")));

/* Where a thread waits, for messages. */
struct Place {
    const char* file;
    int line;
};

/* Returns when all threads of the block have come here: how many of them brought a true predicate. */
unsigned barrier(bool predicate, Place place);

enum class WarpOperation { SYNC, SHFL, SHFL_UP, SHFL_DOWN, SHFL_XOR, BALLOT, ANY, ALL };

/* Returns when all threads that the mask names have come here. Shuffles give the value of lane `source`; votes ask
   which values are not 0. */
uint64_t warp(WarpOperation operation, unsigned mask, uint64_t value, unsigned source, Place place);

/* Ends the launch with an error. */
[[noreturn]] void fail(const char* message);

/* The thread-local variables of a library: those of a compiled kernel are its __shared__ ones. */
struct StaticShared {
    size_t module, size;
};
StaticShared static_shared_of(const void* code);

struct Launch {
    const char* kernel;
    void (*thread)(const void* arguments);
    const void* arguments;
    dim3 grid, block;
    unsigned shared_bytes;
    StaticShared static_shared;
};

/* Runs all threads. Returns 0, or 1 with a message in text. */
int run(const Launch& launch, char* text, size_t room);

}
#pragma GCC visibility pop
