# cython: language_level=3
"""Runs of numbers of any dtype: copies of one, and 16-bit floats as float32 and back."""
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from mxcy._types cimport BFLOAT16, BOOL, FLOAT16, FLOAT64, INT8, INT32, INT64, UINT8

cdef extern from "mxcy/ops/half.h" nogil:
    void half_to_float "mxcy_half_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_half "mxcy_float_to_half"(uint16_t* out, const float* x, Py_ssize_t n)
    void bfloat16_to_float "mxcy_bfloat16_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_bfloat16 "mxcy_float_to_bfloat16"(uint16_t* out, const float* x, Py_ssize_t n)


cdef inline void fill(void* out, double value, int dtype, Py_ssize_t n) noexcept nogil:
    """n copies of a number, converted to the dtype (float32 for 16-bit floats)."""
    cdef Py_ssize_t i
    if dtype == FLOAT64:
        for i in range(n):
            (<double*>out)[i] = value
    elif dtype == INT32:
        for i in range(n):
            (<int32_t*>out)[i] = <int32_t><int64_t>value
    elif dtype == INT64:
        for i in range(n):
            (<int64_t*>out)[i] = <int64_t>value
    elif dtype == UINT8 or dtype == INT8:
        memset(out, <int><uint8_t><int64_t>value, n)
    elif dtype == BOOL:
        memset(out, value != 0, n)
    else:
        for i in range(n):
            (<float*>out)[i] = <float>value


cdef inline void repeat(void* out, const void* x, int size, Py_ssize_t n) noexcept nogil:
    """n copies of the element at x."""
    cdef Py_ssize_t i
    cdef int32_t word
    cdef int64_t long_
    cdef uint16_t short_
    if size == 4:
        word = (<const int32_t*>x)[0]
        for i in range(n):
            (<int32_t*>out)[i] = word
    elif size == 8:
        long_ = (<const int64_t*>x)[0]
        for i in range(n):
            (<int64_t*>out)[i] = long_
    elif size == 2:
        short_ = (<const uint16_t*>x)[0]
        for i in range(n):
            (<uint16_t*>out)[i] = short_
    else:
        memset(out, (<const uint8_t*>x)[0], n)


cdef inline bint is_short_float(int dtype) noexcept nogil:
    return dtype == FLOAT16 or dtype == BFLOAT16


cdef inline void widen(float* out, const void* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        half_to_float(out, <const uint16_t*>x, n)
    else:
        bfloat16_to_float(out, <const uint16_t*>x, n)


cdef inline void narrow(void* out, const float* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        float_to_half(<uint16_t*>out, x, n)
    else:
        float_to_bfloat16(<uint16_t*>out, x, n)
