# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Output layers: the softmax of a classifier, and the gradients that it and the support vector machine start from."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.ops._strided cimport product

cdef extern from "mxcy/ops/softmax.h" namespace "mxcy_softmax" nogil:
    cdef enum:
        WIDTH
    void row[X, Y](bint log, Y* out, const X* x, Py_ssize_t n, Py_ssize_t valid, X scale, X* scratch) noexcept nogil
    void columns[X, Y](bint log, Y* out, const X* x, Py_ssize_t n, const Py_ssize_t* valid, Py_ssize_t stride,
                       Py_ssize_t width, X scale) noexcept nogil

ctypedef fused real:
    float
    double

cdef enum Axis:                         # along which axis the softmax goes
    REST = 0                            # all axes but the first, as one
    LAST = 1
    SECOND = 2

cdef enum Normalization:
    NULL_ = 0
    BATCH = 1
    VALID = 2

cdef struct SoftmaxParams:
    double scale
    double ignored
    double alpha
    int axis
    int ignore
    int normalization
    int padding

cdef struct SvmParams:
    double margin
    double weight
    int linear
    int padding

cdef struct View:                       # the data as (outer, n, inner); the classes are counted by n
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner


cdef void view_of(View* v, const Tensor* data, int axis) noexcept nogil:
    cdef int last = data.ndim - 1
    if axis == SECOND:
        v.outer, v.n, v.inner = data.shape[0], data.shape[1], product(data.shape, 2, data.ndim)
    elif axis == LAST:
        v.outer, v.n, v.inner = product(data.shape, 0, last), data.shape[last], 1
    else:
        v.outer, v.n, v.inner = data.shape[0], product(data.shape, 1, data.ndim), 1


# -- the softmax -------------------------------------------------------------------------------------------------------

cdef void softmax_part(const View* v, const real* x, real* out) noexcept nogil:
    cdef Py_ssize_t at = 0
    if v.inner == 1:
        row(False, out, x, v.n, v.n, <real>1, <real*>NULL)
        return
    while at < v.inner:
        columns(False, out + at, x + at, v.n, <const Py_ssize_t*>NULL, v.inner, min(<Py_ssize_t>WIDTH, v.inner - at),
                <real>1)
        at += WIDTH


cdef void softmax_all(const View* v, const real* x, real* out, int threads) noexcept nogil:
    cdef Py_ssize_t i
    for i in prange(v.outer, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        softmax_part(v, x + i * v.n * v.inner, out + i * v.n * v.inner)


cdef int softmax_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef View v
    if inputs[0].size == 0:
        return 0
    view_of(&v, &inputs[0], (<const SoftmaxParams*>call.params).axis)
    if inputs[0].dtype == FLOAT64:
        softmax_all(&v, <const double*>inputs[0].data, <double*>outputs[0].data, call.threads)
    else:
        softmax_all(&v, <const float*>inputs[0].data, <float*>outputs[0].data, call.threads)
    return 0


# -- its gradient ------------------------------------------------------------------------------------------------------

cdef double divisor(const SoftmaxParams* p, const View* v, const real* label, Py_ssize_t labels) noexcept nogil:
    """What all gradients are divided by."""
    cdef Py_ssize_t i, valid = 0
    if p.normalization == VALID:
        for i in range(labels):
            valid += label[i] != <real>p.ignored
        return max(valid, 1)
    return labels if p.normalization == BATCH else v.inner


cdef void class_gradients(const SoftmaxParams* p, const View* v, const real* y, const real* label, real* out,
                          double total, Py_ssize_t i) noexcept nogil:
    """Gradients at one outer index, from the classes that are right; those of an ignored label are 0."""
    cdef Py_ssize_t j, k, right
    cdef real scale = <real>(p.scale / total), hit = <real>(1 - p.alpha)
    cdef real miss = <real>(p.alpha / max(v.n - 1, 1))
    for j in range(v.inner):
        right = <Py_ssize_t>label[i * v.inner + j]
        if p.ignore and label[i * v.inner + j] == <real>p.ignored:
            for k in range(v.n):
                out[k * v.inner + j] = 0
            continue
        for k in range(v.n):
            out[k * v.inner + j] = (y[k * v.inner + j] - miss) * scale
        if 0 <= right < v.n:
            out[right * v.inner + j] = (y[right * v.inner + j] - hit) * scale


cdef bint same_shape(const Tensor* a, const Tensor* b) noexcept nogil:
    cdef int i
    for i in range(a.ndim):
        if i >= b.ndim or a.shape[i] != b.shape[i]:
            return False
    return True


cdef void all_gradients(const SoftmaxParams* p, const View* v, const Tensor* inputs, const real* y, const real* label,
                        real* out, int threads) noexcept nogil:
    cdef Py_ssize_t i, size = v.n * v.inner
    cdef double total
    if same_shape(&inputs[0], &inputs[1]):      # the label holds probabilities
        for i in prange(inputs[0].size, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            out[i] = (y[i] - label[i]) * <real>p.scale
        return
    total = divisor(p, v, label, inputs[1].size)
    for i in prange(v.outer, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        class_gradients(p, v, y + i * size, label, out + i * size, total, i)


cdef int softmax_backward_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """inputs: the softmax and the label."""
    cdef const SoftmaxParams* p = <const SoftmaxParams*>call.params
    cdef View v
    if inputs[0].size == 0:
        return 0
    view_of(&v, &inputs[0], p.axis)
    if inputs[0].dtype == FLOAT64:
        all_gradients(p, &v, inputs, <const double*>inputs[0].data, <const double*>inputs[1].data,
                      <double*>outputs[0].data, call.threads)
    else:
        all_gradients(p, &v, inputs, <const float*>inputs[0].data, <const float*>inputs[1].data,
                      <float*>outputs[0].data, call.threads)
    return 0


# -- the support vector machine ----------------------------------------------------------------------------------------

cdef void hinge_gradients(const SvmParams* p, const real* x, const real* label, real* out, Py_ssize_t rows,
                          Py_ssize_t n) noexcept nogil:
    """Of the sum over classes of max(0, margin - s x), or of its square; s is 1 for the right class, else -1."""
    cdef Py_ssize_t i, k
    cdef real margin = <real>p.margin, weight = <real>p.weight, side, short_
    for i in range(rows):
        for k in range(n):
            side = 1 if k == <Py_ssize_t>label[i] else -1
            short_ = margin - side * x[i * n + k]
            out[i * n + k] = -side * weight * (1 if p.linear else 2 * short_) if short_ > 0 else 0


cdef int svm_backward_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const SvmParams* p = <const SvmParams*>call.params
    cdef Py_ssize_t rows = inputs[1].size, n = inputs[0].size // rows if rows else 0
    if inputs[0].dtype == FLOAT64:
        hinge_gradients(p, <const double*>inputs[0].data, <const double*>inputs[1].data, <double*>outputs[0].data,
                        rows, n)
    else:
        hinge_gradients(p, <const float*>inputs[0].data, <const float*>inputs[1].data, <float*>outputs[0].data, rows, n)
    return 0


# -- the kernels -------------------------------------------------------------------------------------------------------

def pack_softmax(params):
    axis = SECOND if params["multi_output"] else LAST if params["preserve_shape"] else REST
    normalization = ("null", "batch", "valid").index(params["normalization"])
    alpha = 0 if axis == SECOND else params["smooth_alpha"]         # as MXNet has it
    return struct.pack("3d4i", params["grad_scale"], params["ignore_label"], alpha, axis,
                       params["use_ignore"], normalization, 0)


def floats(uintptr_t function):
    return {FLOAT32: function, FLOAT64: function}


softmax = Kernel("SoftmaxOutput", floats(<uintptr_t><kernel_t>softmax_kernel), pack=pack_softmax, parallel=True,
                 cost=0.4)
softmax_backward = Kernel("_backward_SoftmaxOutput", floats(<uintptr_t><kernel_t>softmax_backward_kernel),
                          pack=pack_softmax, parallel=True, cost=0.3)
svm_backward = Kernel("_backward_SVMOutput", floats(<uintptr_t><kernel_t>svm_backward_kernel), cost=0.5,
                      pack=lambda p: struct.pack("2d2i", p["margin"], p["regularization_coefficient"],
                                                 p["use_linear"], 0))
