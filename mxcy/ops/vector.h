// The width of a vector register. GCC keeps wider vector types in memory: sums of them run four times slower.
#pragma once

#if defined __AVX512F__
enum { MXCY_VECTOR_BYTES = 64 };
#elif defined __AVX__
enum { MXCY_VECTOR_BYTES = 32 };
#else
enum { MXCY_VECTOR_BYTES = 16 };
#endif
