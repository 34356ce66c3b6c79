# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Padding, row by row of the last axis, and the sum that is its gradient."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, itemsize, kernel_t
from mxcy.ops._strided cimport clear, product, write_number
from mxcy.ops._kernel import Kernel
from mxcy.ops.packing import every, pack

ctypedef fused item:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused real:
    float
    double

cdef enum:
    CONSTANT = 0
    EDGE = 1
    REFLECT = 2


cdef inline Py_ssize_t padded_source(Py_ssize_t at, Py_ssize_t before, Py_ssize_t n, int mode) noexcept nogil:
    """Where position `at` of a padded axis comes from in the n items of the input; -1: from the constant."""
    cdef Py_ssize_t i = at - before
    if 0 <= i < n:
        return i
    if mode == CONSTANT:
        return -1
    if mode == EDGE:
        return 0 if i < 0 else n - 1
    return -i if i < 0 else 2 * (n - 1) - i


cdef void pad_row(item* out, const item* x, Py_ssize_t before, Py_ssize_t n, Py_ssize_t total, int mode,
                  const item* constant) noexcept nogil:
    """One row of the last axis."""
    cdef Py_ssize_t i, first = max(before, 0), last = min(before + n, total)
    for i in range(min(first, total)):
        out[i] = constant[0] if mode == CONSTANT else x[padded_source(i, before, n, mode)]
    if last > first:
        memcpy(out + first, x + first - before, (last - first) * sizeof(item))
    for i in range(max(last, first), total):
        out[i] = constant[0] if mode == CONSTANT else x[padded_source(i, before, n, mode)]


cdef Py_ssize_t padded_row(const Tensor* x, const Tensor* out, const int64_t* p, Py_ssize_t row) noexcept nogil:
    """The row of x that row `row` of the padded tensor is made from, or -1."""
    cdef Py_ssize_t at, source = 0, stride = 1
    cdef int i
    for i in range(x.ndim - 2, -1, -1):
        at = padded_source(row % out.shape[i], p[1 + 2 * i], x.shape[i], <int>p[0])
        if at < 0:
            return -1
        row //= out.shape[i]
        source += at * stride
        stride *= x.shape[i]
    return source


cdef void pad_rows(const Tensor* x, Tensor* out, const int64_t* p, Py_ssize_t begin, Py_ssize_t end,
                   item* kind) noexcept nogil:
    cdef int last = x.ndim - 1, mode = <int>p[0]
    cdef Py_ssize_t row, source, i, n = x.shape[last], total = out.shape[last], before = p[1 + 2 * last]
    cdef item* to_row
    cdef item constant[8]               # one number, and room for the widest
    write_number(constant, (<const double*>(p + 1 + 2 * x.ndim))[0], out.dtype)
    for row in range(begin, end):
        source = padded_row(x, out, p, row)
        to_row = <item*>out.data + row * total
        if source >= 0:
            pad_row(to_row, <const item*>x.data + source * n, before, n, total, mode, constant)
            continue
        for i in range(total):
            to_row[i] = constant[0]


cdef int pad_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const int64_t* p = <const int64_t*>call.params    # mode, (before, after) by axis, the constant as a double
    cdef Py_ssize_t rows, run, each, runs = 4 * call.threads if call.threads > 1 else 1
    cdef Py_ssize_t size = itemsize(outputs[0].dtype)
    if outputs[0].size == 0:
        return 0
    rows = outputs[0].size // outputs[0].shape[outputs[0].ndim - 1]
    each = (rows + runs - 1) // runs
    for run in prange(runs, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        if size == 1:
            pad_rows[uint8_t](&inputs[0], &outputs[0], p, min(run * each, rows), min((run + 1) * each, rows), NULL)
        elif size == 2:
            pad_rows[uint16_t](&inputs[0], &outputs[0], p, min(run * each, rows), min((run + 1) * each, rows), NULL)
        elif size == 4:
            pad_rows[uint32_t](&inputs[0], &outputs[0], p, min(run * each, rows), min((run + 1) * each, rows), NULL)
        else:
            pad_rows[uint64_t](&inputs[0], &outputs[0], p, min(run * each, rows), min((run + 1) * each, rows), NULL)
    return 0


cdef void pad_backward_rows(const Tensor* g, Tensor* out, const int64_t* p, Py_ssize_t begin, Py_ssize_t end,
                            real* kind) noexcept nogil:
    cdef int last = g.ndim - 1, mode = <int>p[0]
    cdef Py_ssize_t row, source, i, at, n = out.shape[last], total = g.shape[last], before = p[1 + 2 * last]
    cdef const real* from_row
    cdef real* to_row
    for row in range(begin, end):
        source = padded_row(out, g, p, row)
        if source < 0:
            continue
        from_row = <const real*>g.data + row * total
        to_row = <real*>out.data + source * n
        for i in range(total):
            at = padded_source(i, before, n, mode)
            if at >= 0:
                to_row[at] += from_row[i]


cdef int pad_backward_kernel(const Tensor* inputs, Tensor* outputs, Call* call, real* kind) noexcept nogil:
    """Sum what each item of the padded array's source was copied to. Leading axes without padding are independent."""
    cdef const int64_t* p = <const int64_t*>call.params
    cdef const Tensor* g = &inputs[0]
    cdef int free = 0
    cdef Py_ssize_t parts = 1, rows, part
    clear(&outputs[0], call.threads)
    if g.size == 0 or outputs[0].size == 0:
        return 0
    while free < g.ndim - 1 and g.shape[free] == outputs[0].shape[free]:
        parts *= g.shape[free]
        free += 1
    rows = product(g.shape, free, g.ndim - 1)
    for part in prange(parts, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        pad_backward_rows[real](g, &outputs[0], p, part * rows, (part + 1) * rows, NULL)
    return 0


cdef int pad_backward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return pad_backward_kernel[float](inputs, outputs, call, NULL)


cdef int pad_backward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return pad_backward_kernel[double](inputs, outputs, call, NULL)


def pack_pad(params):
    mode = ("constant", "edge", "reflect").index(params["mode"])
    return pack(mode, *params["pad_width"]) + struct.pack("d", params["constant_value"])


pad = Kernel("pad", every(<uintptr_t><kernel_t>pad_kernel), pack=pack_pad, parallel=True, cost=0.3)
pad_backward = Kernel("pad_backward", {FLOAT32: <uintptr_t><kernel_t>pad_backward_float,
                                       FLOAT64: <uintptr_t><kernel_t>pad_backward_double},
                      pack=pack_pad, parallel=True, cost=1.0)
