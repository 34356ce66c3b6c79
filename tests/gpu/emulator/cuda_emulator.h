/* CUDA C++ on a CPU: g++ compiles a kernel's text when this header comes first.

   The threads of a block are fibers of one thread of the system: one runs at a time, and they change only where they
   wait for each other. There is no weak memory, no texture, no tensor core. __CUDA_ARCH__ stays undefined: inline
   assembly belongs behind it. */
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <type_traits>
#include <utility>

#include "vector_types.h"
#include "runtime.h"
#include "threads.h"
#include "atomics.h"
#include "intrinsics.h"
#include "launch.h"

/* After the standard library's headers, some of which ask for it. */
#define __CUDACC__ 1

#define __global__ __attribute__((used))                    /* by which kernels are found, after preprocessing */
#define __device__ __attribute__((visibility("default")))     /* for cuModuleGetGlobal */
#define __host__
#define __constant__ __device__
#define __managed__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static thread_local                      /* one block at a time in each thread of the system */

#define threadIdx (cuda_emulator::builtins.thread)
#define blockIdx (cuda_emulator::builtins.block)
#define blockDim (cuda_emulator::builtins.block_size)
#define gridDim (cuda_emulator::builtins.grid_size)
#define warpSize 32

#define MXCY_DYN_SHARED(type, name) type* name = reinterpret_cast<type*>(cuda_emulator::builtins.shared)
