/* What a product is described by, as cuBLASLt keeps it between calls; counts and faults for tests. */
#pragma once

#include <cstddef>
#include <cstdint>

#include "../library.h"

#define EXPORT extern "C" __attribute__((visibility("default")))
#define API EXPORT int

namespace standin {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, INTERNAL_ERROR = 14, NOT_SUPPORTED = 15 };
enum Kind { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };
enum Epilogue { PLAIN = 1, BIAS = 4 };

struct Operation {
    int compute, scale;
    int32_t transpose_a = 0, transpose_b = 0;
    uint32_t epilogue = PLAIN;
    const void* bias = nullptr;
};

struct Layout {                             // column by column
    int kind;
    uint64_t rows, columns;
    int64_t ld;
    int32_t count = 1;
    int64_t step = 0;                       // in elements

    size_t extent() const { return ((count - 1) * step + (columns - 1) * ld + rows) * size_of(kind); }
};

struct Preference {
    uint64_t workspace = 0;
    uint64_t implementations = ~uint64_t(0);
    uint32_t alignment[4] = {256, 256, 256, 256};       // of A, B, C, D
};

/* Write to stderr what is wrong. */
int refuse(const char* why);

/* What tests ask by standin_count: calls of functions, and how many of something there are. */
void count(const char* what, long by = 1);

/* The status that a test wants a function to return this time, or SUCCESS. */
int injected(const char* function);

}  // namespace standin
