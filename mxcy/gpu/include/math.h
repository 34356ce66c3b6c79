// NVRTC has the functions built in, overloaded for float and double; what is a macro or not CUDA's stands here.
#pragma once

#define INFINITY __builtin_bit_cast(float, 0x7f800000)
#define NAN __builtin_bit_cast(float, 0x7fffffff)

static inline double lgamma_r(double x, int* sign) {
    *sign = x < 0 && fmod(floor(x), 2.) != 0 ? -1 : 1;
    return lgamma(x);
}
