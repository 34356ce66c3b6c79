# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Softmax and log-softmax along one axis, forward and backward."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport (FLOAT32, FLOAT64, INT32, INT64, UINT8, Call, Tensor, fail, itemsize, kernel_t)
from mxcy.ops._index cimport CLIP, WRAP, load
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/softmax.h" namespace "mxcy_softmax" nogil:
    cdef enum:
        WIDTH, SHORT
    void short_rows[X, Y](bint log, Y* out, const X* x, Py_ssize_t count, Py_ssize_t n, X scale) noexcept nogil
    void row[X, Y](bint log, Y* out, const X* x, Py_ssize_t n, Py_ssize_t valid, X scale, X* scratch) noexcept nogil
    void columns[X, Y](bint log, Y* out, const X* x, Py_ssize_t n, const Py_ssize_t* valid, Py_ssize_t stride,
                       Py_ssize_t width, X scale) noexcept nogil
    void row_backward[X](bint log, X* out, const X* g, const X* y, Py_ssize_t n, Py_ssize_t valid, X scale) noexcept nogil
    void columns_backward[X](bint log, X* out, const X* g, const X* y, Py_ssize_t n, const Py_ssize_t* valid,
                             Py_ssize_t stride, Py_ssize_t width, X scale) noexcept nogil

cdef enum:
    TASK = 16384                    # elements that one task takes

cdef struct SoftmaxParams:
    double scale                    # 1 / temperature, negative for softmin
    int axis                        # negative: from the end
    int log

cdef struct PickedParams:
    double scale
    int mode                        # of indices out of range

cdef struct View:                   # the data as (outer, n, inner), and how it is cut
    Py_ssize_t outer, n, inner
    Py_ssize_t blocks               # of WIDTH columns
    Py_ssize_t chunk                # outer indices of a task
    Py_ssize_t tasks
    const Tensor* length            # numbers of valid elements, or NULL

ctypedef fused real:
    float
    double

ctypedef fused target:
    float
    double


cdef void make_view(View* v, const Tensor* data, int axis, const Tensor* length) noexcept nogil:
    cdef int i
    axis = axis + data.ndim if axis < 0 else axis
    v.outer = v.inner = 1
    for i in range(axis):
        v.outer *= data.shape[i]
    for i in range(axis + 1, data.ndim):
        v.inner *= data.shape[i]
    v.n = data.shape[axis]
    v.length = length
    v.blocks = (v.inner + WIDTH - 1) // WIDTH
    v.chunk = 1
    if v.inner == 1:
        v.chunk = max(TASK // max(v.n, <Py_ssize_t>1), <Py_ssize_t>1)
    v.tasks = (v.outer + v.chunk - 1) // v.chunk * v.blocks


cdef Py_ssize_t valid_at(const View* v, Py_ssize_t i) noexcept nogil:
    """How many elements of row or column i take part."""
    cdef int64_t n
    if v.length == NULL:
        return v.n
    if v.length.dtype == INT32:
        n = (<const int32_t*>v.length.data)[i]
    elif v.length.dtype == INT64:
        n = (<const int64_t*>v.length.data)[i]
    elif v.length.dtype == UINT8:
        n = (<const uint8_t*>v.length.data)[i]
    else:
        n = (<const int8_t*>v.length.data)[i]
    return min(max(n, <int64_t>0), <int64_t>v.n)


cdef const Py_ssize_t* column_lengths(const View* v, Py_ssize_t outer, Py_ssize_t begin, Py_ssize_t width,
                                      Py_ssize_t* lengths) noexcept nogil:
    cdef Py_ssize_t j
    if v.length == NULL:
        return NULL
    for j in range(width):
        lengths[j] = valid_at(v, outer * v.inner + begin + j)
    return lengths


cdef int forward_task(const View* v, const real* x, target* out, real scale, bint log, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t lengths[WIDTH]
    cdef Py_ssize_t i, at, begin, width
    cdef const Py_ssize_t* valid
    cdef real* scratch = NULL
    if v.inner == 1 and v.n <= SHORT and v.length == NULL:
        at = t * v.chunk
        short_rows(log, out + at * v.n, x + at * v.n, min(v.chunk, v.outer - at), v.n, scale)
        return 0
    if v.inner == 1:
        if scale != 1:
            scratch = <real*>scratch_new(v.n * sizeof(real))
            if scratch == NULL:
                return 1
        for i in range(t * v.chunk, min(t * v.chunk + v.chunk, v.outer)):
            at = i * v.n
            row(log, out + at, x + at, v.n, valid_at(v, i), scale, scratch)
        scratch_free(scratch)
        return 0
    begin = t % v.blocks * WIDTH
    width = min(v.inner - begin, <Py_ssize_t>WIDTH)
    at = t // v.blocks * v.n * v.inner + begin
    valid = column_lengths(v, t // v.blocks, begin, width, lengths)
    columns(log, out + at, x + at, v.n, valid, v.inner, width, scale)
    return 0


cdef int forward(const Tensor* inputs, Tensor* outputs, Call* call, real x, target y) noexcept nogil:
    cdef const SoftmaxParams* p = <const SoftmaxParams*>call.params
    cdef View view
    cdef const View* v = &view
    cdef const real* data = <const real*>inputs[0].data
    cdef target* out = <target*>outputs[0].data
    cdef real scale = <real>p.scale
    cdef Py_ssize_t t
    cdef int threads = call.threads, failed = 0
    cdef bint log = p.log
    if inputs[0].size == 0:
        return 0
    make_view(&view, &inputs[0], p.axis, &inputs[1] if call.n_inputs > 1 else NULL)
    for t in prange(view.tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        failed |= forward_task[real, target](v, data, out, scale, log, t)
    if failed:
        return fail(call, "no memory for a row of %lld elements", <long long>view.n)
    return 0


cdef void backward_task(const View* v, const real* g, const real* y, real* out, real scale, bint log,
                        Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t lengths[WIDTH]
    cdef Py_ssize_t i, at, begin, width
    cdef const Py_ssize_t* valid
    if v.inner == 1:
        for i in range(t * v.chunk, min(t * v.chunk + v.chunk, v.outer)):
            at = i * v.n
            row_backward(log, out + at, g + at, y + at, v.n, valid_at(v, i), scale)
        return
    begin = t % v.blocks * WIDTH
    width = min(v.inner - begin, <Py_ssize_t>WIDTH)
    at = t // v.blocks * v.n * v.inner + begin
    valid = column_lengths(v, t // v.blocks, begin, width, lengths)
    columns_backward(log, out + at, g + at, y + at, v.n, valid, v.inner, width, scale)


cdef int backward(const Tensor* inputs, Tensor* outputs, Call* call, real x) noexcept nogil:
    cdef const SoftmaxParams* p = <const SoftmaxParams*>call.params
    cdef View view
    cdef const View* v = &view
    cdef const real* g = <const real*>inputs[0].data
    cdef const real* y = <const real*>inputs[1].data
    cdef real* out = <real*>outputs[0].data
    cdef real scale = <real>p.scale
    cdef Py_ssize_t t
    cdef int threads = call.threads
    cdef bint log = p.log
    if inputs[0].size == 0:
        return 0
    make_view(&view, &inputs[0], p.axis, &inputs[2] if call.n_inputs > 2 else NULL)
    for t in prange(view.tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        backward_task[real](v, g, y, out, scale, log, t)
    return 0


cdef int picked_task(const View* v, const real* g, const Tensor* index, const real* y, real* out, real scale, int mode,
                     Py_ssize_t t) noexcept nogil:
    """Rows whose gradient is zero but for the element that was picked."""
    cdef real* row_grad = <real*>scratch_new(v.n * sizeof(real))
    cdef Py_ssize_t i, place
    if row_grad == NULL:
        return 1
    memset(row_grad, 0, v.n * sizeof(real))
    for i in range(t * v.chunk, min(t * v.chunk + v.chunk, v.outer)):
        load(&place, <const char*>index.data + i * itemsize(index.dtype), index.dtype, 1, v.n, mode)
        row_grad[place] = g[i]
        row_backward(True, out + i * v.n, row_grad, y + i * v.n, v.n, v.n, scale)
        row_grad[place] = 0
    scratch_free(row_grad)
    return 0


cdef int picked(const Tensor* inputs, Tensor* outputs, Call* call, real x) noexcept nogil:
    cdef const PickedParams* p = <const PickedParams*>call.params
    cdef View view
    cdef const View* v = &view
    cdef const real* g = <const real*>inputs[0].data
    cdef const real* y = <const real*>inputs[2].data
    cdef real* out = <real*>outputs[0].data
    cdef real scale = <real>p.scale
    cdef Py_ssize_t t
    cdef int threads = call.threads, failed = 0, mode = p.mode
    if outputs[0].size == 0:
        return 0
    make_view(&view, &outputs[0], -1, NULL)
    for t in prange(view.tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        failed |= picked_task[real](v, g, &inputs[1], y, out, scale, mode, t)
    if failed:
        return fail(call, "no memory for a row of %lld elements", <long long>view.n)
    return 0


cdef int picked_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return picked[float](inputs, outputs, call, 0)

cdef int picked_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return picked[double](inputs, outputs, call, 0)


cdef int forward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].dtype == FLOAT64:
        return forward[float, double](inputs, outputs, call, 0, 0)
    return forward[float, float](inputs, outputs, call, 0, 0)

cdef int forward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].dtype == FLOAT32:
        return forward[double, float](inputs, outputs, call, 0, 0)
    return forward[double, double](inputs, outputs, call, 0, 0)

cdef int backward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return backward[float](inputs, outputs, call, 0)

cdef int backward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return backward[double](inputs, outputs, call, 0)


def packer(log, sign=1):
    """A function that packs SoftmaxParams."""
    def pack(params):
        return struct.pack("dii", sign / (params["temperature"] or 1), params["axis"], log)
    return pack


FORWARD = {FLOAT32: <uintptr_t><kernel_t>forward_float, FLOAT64: <uintptr_t><kernel_t>forward_double}
BACKWARD = {FLOAT32: <uintptr_t><kernel_t>backward_float, FLOAT64: <uintptr_t><kernel_t>backward_double}

softmax = Kernel("softmax", FORWARD, pack=packer(False), parallel=True, cost=.4)
softmin = Kernel("softmin", FORWARD, pack=packer(False, -1), parallel=True, cost=.4)
log_softmax = Kernel("log_softmax", FORWARD, pack=packer(True), parallel=True, cost=.4)
softmax_backward = Kernel("_backward_softmax", BACKWARD, pack=packer(False), parallel=True, cost=.2)
softmin_backward = Kernel("_backward_softmin", BACKWARD, pack=packer(False, -1), parallel=True, cost=.2)
log_softmax_backward = Kernel("_backward_log_softmax", BACKWARD, pack=packer(True), parallel=True, cost=.4)
picked_backward = Kernel("_backward_picked_log_softmax", {FLOAT32: <uintptr_t><kernel_t>picked_float,
                                                          FLOAT64: <uintptr_t><kernel_t>picked_double},
                         pack=lambda params: struct.pack("di", 1 / (params["temperature"] or 1),
                                                         WRAP if params["mode"] == "wrap" else CLIP),
                         parallel=True, cost=.3)
