# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Arrays made from numbers: constants, ranges, the identity matrix."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport (
    BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, itemsize, kernel_t
)

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/cast.h" namespace "mxcy" nogil:
    void cast_elements "mxcy::cast"(void* out, int to, const void* x, int dtype, Py_ssize_t n)

ALL = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16, UINT8, INT8, INT32, INT64, BOOL)

cdef enum:
    BLOCK = 1 << 14                     # elements a thread writes at a time

ctypedef fused element:
    int8_t
    int32_t
    int64_t


cdef void fill_block(element* out, element value, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = value


cdef void fill_bytes(void* out, const void* value, int size, Py_ssize_t n) noexcept nogil:
    """n elements of 1, 2, 4 or 8 bytes, equal to the one at value."""
    cdef Py_ssize_t i
    cdef char* bytes = <char*>out
    if size == 1:
        memset(out, (<const int8_t*>value)[0], n)
    elif size == 4:
        fill_block(<int32_t*>out, (<const int32_t*>value)[0], n)
    elif size == 8:
        fill_block(<int64_t*>out, (<const int64_t*>value)[0], n)
    else:
        for i in range(n):
            memcpy(bytes + i * size, value, size)


cdef int fill_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Tensor* out = &outputs[0]
    cdef Py_ssize_t n = out.size, block, size = itemsize(out.dtype)
    cdef int64_t element = 0
    cast_elements(&element, out.dtype, call.params if call.params != NULL else &call.scalar, FLOAT64, 1)
    for block in prange((n + BLOCK - 1) // BLOCK, num_threads=call.threads, schedule="static",
                        use_threads_if=call.threads > 1):
        fill_bytes(<char*>out.data + block * BLOCK * size, &element, <int>size,
                   min(n - block * BLOCK, <Py_ssize_t>BLOCK))
    return 0


def fill(name, pack):
    """A kernel that fills its output with the number that ``pack`` packs."""
    return Kernel(name, dict.fromkeys(ALL, <uintptr_t><kernel_t>fill_kernel), parallel=True, cost=.1, dispatch=-1,
                  pack=pack, inplace=True)


zeros = fill("zeros", lambda params: struct.pack("d", 0.))
ones = fill("ones", lambda params: struct.pack("d", 1.))
any_number = fill("any_number", None)   # the number comes with the call
full = fill("full", lambda params: struct.pack("d", params["value"]))


cdef struct Sequence:
    double start
    double step
    int64_t repeat                      # each number stands so many times


cdef void sequence_block(Tensor* out, const Sequence* p, Py_ssize_t start, Py_ssize_t n) noexcept nogil:
    cdef double numbers[256]
    cdef Py_ssize_t i, done = 0, count
    while done < n:
        count = min(n - done, <Py_ssize_t>256)
        for i in range(count):
            numbers[i] = p.start + <double>((start + done + i) // p.repeat) * p.step
        cast_elements(<char*>out.data + (start + done) * itemsize(out.dtype), out.dtype, numbers, FLOAT64, count)
        done += count


cdef int sequence_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Py_ssize_t n = outputs[0].size, block
    for block in prange((n + BLOCK - 1) // BLOCK, num_threads=call.threads, schedule="static",
                        use_threads_if=call.threads > 1):
        sequence_block(&outputs[0], <const Sequence*>call.params, block * BLOCK,
                       min(n - block * BLOCK, <Py_ssize_t>BLOCK))
    return 0


def sequence(name, pack):
    """A kernel for start, start + step, ...; ``pack(params)`` gives start, step and the repetitions of each number."""
    return Kernel(name, dict.fromkeys(ALL, <uintptr_t><kernel_t>sequence_kernel), parallel=True, cost=1.5, dispatch=-1,
                  pack=lambda params: struct.pack("ddq", *pack(params)))


def pack_arange(params):
    start, step = params["start"], params["step"]
    if params["stop"] is None:
        start = 0.
    if "int" in params["dtype"]:                    # as MXNet: the numbers are converted before they are added up
        start, step = float(int(start)), float(int(step))
    return start, step, params["repeat"]


def pack_linspace(params):
    steps = params["num"] - 1 if params["endpoint"] else params["num"]
    return params["start"], (params["stop"] - params["start"]) / max(steps, 1), 1


arange = sequence("arange", pack_arange)
linspace = sequence("linspace", pack_linspace)


cdef int eye_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Tensor* out = &outputs[0]
    cdef Py_ssize_t rows = out.shape[0], columns = out.shape[1], row, k = (<const int64_t*>call.params)[0]
    cdef Py_ssize_t size = itemsize(out.dtype)
    cdef int64_t one = 0
    cdef double value = 1.
    cast_elements(&one, out.dtype, &value, FLOAT64, 1)
    memset(out.data, 0, out.size * size)
    for row in range(max(0, -k), min(rows, columns - k)):
        memcpy(<char*>out.data + (row * columns + row + k) * size, &one, size)
    return 0


eye = Kernel("eye", dict.fromkeys(ALL, <uintptr_t><kernel_t>eye_kernel), cost=.1, dispatch=-1,
             pack=lambda params: struct.pack("q", params["k"]))
