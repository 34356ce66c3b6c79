# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Layer, group and instance normalisation, and their gradients."""
import struct

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, kernel_t
from mxcy.ops._axis cimport View, around
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/norm.h" namespace "mxcy_norm" nogil:
    cdef struct Moments:
        double count
        double mean
        double squares
    void add_moments[T](Moments* moments, const T* x, Py_ssize_t n)
    void normalize[T](T* y, const T* x, Py_ssize_t n, T mean, T scale, T shift)
    void channel_sums[T](const T* g, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean, double* sums)
    void channel_centre[T](T* out, const T* g, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean,
                           T scale, T a, T b)
    void column_moments[T](const T* x, Py_ssize_t rows, Py_ssize_t step, int width, double* mean, double* squares)
    void column_sums[T](const T* g, const T* x, const T* weight, Py_ssize_t rows, Py_ssize_t step, int width,
                        const T* mean, double* sums, double* products)
    void affine[T](T* y, const T* x, const T* gamma, const T* beta, Py_ssize_t n, T mean, T scale)
    void row_gradient[T](T* out, T* dgamma, T* dbeta, const T* g, const T* x, const T* gamma, Py_ssize_t n, T mean,
                         T scale)

ctypedef fused real:
    float
    double

cdef enum:
    PIECES = 64                         # of the rows: each sums its own gradient of the weights
    COLUMNS = 64                        # WIDTH of norm.h

cdef struct Params:
    double eps
    int64_t axis
    int64_t groups                      # group normalisation; 0: one group per channel


def pack(params):
    """The C struct `Params`."""
    return struct.pack("dqq", params["eps"], params.get("axis", 1), params.get("num_groups", 0))


# -- layer normalisation -----------------------------------------------------------------------------------------------

cdef void layer_norm_row(const real* x, const real* gamma, const real* beta, real* y, real* mean, real* deviation,
                         Py_ssize_t n, double eps) noexcept nogil:
    cdef Moments moments
    moments.count = moments.mean = moments.squares = 0
    add_moments(&moments, x, n)
    mean[0], deviation[0] = <real>moments.mean, <real>sqrt(moments.squares / n + eps)
    affine(y, x, gamma, beta, n, mean[0], 1 / deviation[0])


cdef void layer_norm_columns(const real* x, const real* gamma, const real* beta, real* y, real* mean, real* deviation,
                             Py_ssize_t n, Py_ssize_t step, int width, double eps) noexcept nogil:
    cdef double means[COLUMNS]
    cdef double squares[COLUMNS]
    cdef real scale[COLUMNS]
    cdef Py_ssize_t i
    cdef int j
    column_moments(x, n, step, width, means, squares)
    for j in range(width):
        mean[j], deviation[j] = <real>means[j], <real>sqrt(squares[j] / n + eps)
        scale[j] = 1 / deviation[j]
    for i in range(n):
        for j in range(width):
            y[i * step + j] = (x[i * step + j] - mean[j]) * scale[j] * gamma[i] + beta[i]


cdef void layer_norm_forward(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef View v = around(&inputs[0], p.axis)
    cdef Py_ssize_t strips = (v.inner + COLUMNS - 1) // COLUMNS, t, at, first
    cdef real* x = <real*>inputs[0].data
    cdef real* gamma = <real*>inputs[1].data
    cdef real* beta = <real*>inputs[2].data
    cdef real* y = <real*>outputs[0].data
    cdef real* mean = <real*>outputs[1].data
    cdef real* deviation = <real*>outputs[2].data
    if v.inner == 1:
        for t in prange(v.outer, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
            layer_norm_row(x + t * v.n, gamma, beta, y + t * v.n, mean + t, deviation + t, v.n, p.eps)
        return
    for t in prange(v.outer * strips, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        first = t % strips * COLUMNS
        at = t // strips * v.inner + first
        layer_norm_columns(x + t // strips * v.n * v.inner + first, gamma, beta,
                           y + t // strips * v.n * v.inner + first, mean + at, deviation + at, v.n, v.inner,
                           <int>min(COLUMNS, v.inner - first), p.eps)


cdef int layer_norm_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        layer_norm_forward(inputs, outputs, call, <double*>NULL)
    else:
        layer_norm_forward(inputs, outputs, call, <float*>NULL)
    return 0


cdef int gradient_of_rows(real* g, real* x, real* gamma, real* mean, real* deviation, real* out, real* dgamma,
                          real* dbeta, View v, Call* call) noexcept nogil:
    """Normalised rows; each piece of them sums its own gradient of the weights, and the pieces are added in order."""
    cdef Py_ssize_t pieces = min(PIECES, v.outer), piece, r, i
    cdef real* parts = <real*>scratch_new((2 * pieces * v.n + 1) * <Py_ssize_t>sizeof(real))
    if parts == NULL:
        return fail(call, "no memory for the scratch of LayerNorm")
    memset(parts, 0, 2 * pieces * v.n * sizeof(real))
    for piece in prange(pieces, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        for r in range(v.outer * piece // pieces, v.outer * (piece + 1) // pieces):
            row_gradient(out + r * v.n, parts + 2 * piece * v.n, parts + (2 * piece + 1) * v.n, g + r * v.n,
                         x + r * v.n, gamma, v.n, mean[r], 1 / deviation[r])
    memset(dgamma, 0, v.n * sizeof(real))
    memset(dbeta, 0, v.n * sizeof(real))
    for piece in range(pieces):
        for i in range(v.n):
            dgamma[i] += parts[2 * piece * v.n + i]
            dbeta[i] += parts[(2 * piece + 1) * v.n + i]
    scratch_free(parts)
    return 0


cdef void gradient_of_strip(const real* g, const real* x, const real* gamma, const real* mean, const real* deviation,
                            real* out, Py_ssize_t n, Py_ssize_t step, int width) noexcept nogil:
    cdef double sums[COLUMNS]
    cdef double products[COLUMNS]
    cdef real a[COLUMNS]
    cdef real b[COLUMNS]
    cdef real scale[COLUMNS]
    cdef Py_ssize_t i
    cdef int j
    column_sums(g, x, gamma, n, step, width, mean, sums, products)
    for j in range(width):
        scale[j] = 1 / deviation[j]
        a[j], b[j] = <real>(sums[j] / n), <real>(products[j] / n * scale[j] * scale[j])
    for i in range(n):
        for j in range(width):
            out[i * step + j] = scale[j] * (g[i * step + j] * gamma[i] - a[j] - (x[i * step + j] - mean[j]) * b[j])


cdef void gradient_of_weight(const real* g, const real* x, const real* mean, const real* deviation, real* dgamma,
                             real* dbeta, View v, Py_ssize_t row) noexcept nogil:
    cdef double weight = 0, bias = 0
    cdef Py_ssize_t o, i, at
    for o in range(v.outer):
        for i in range(v.inner):
            at = (o * v.n + row) * v.inner + i
            weight += g[at] * (x[at] - mean[o * v.inner + i]) / deviation[o * v.inner + i]
            bias += g[at]
    dgamma[row], dbeta[row] = <real>weight, <real>bias


cdef int layer_norm_gradient(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef View v = around(&inputs[1], p.axis)
    cdef Py_ssize_t strips = (v.inner + COLUMNS - 1) // COLUMNS, t, first, at
    cdef real* g = <real*>inputs[0].data
    cdef real* x = <real*>inputs[1].data
    cdef real* gamma = <real*>inputs[2].data
    cdef real* mean = <real*>inputs[3].data
    cdef real* deviation = <real*>inputs[4].data
    cdef real* out = <real*>outputs[0].data
    cdef real* dgamma = <real*>outputs[1].data
    cdef real* dbeta = <real*>outputs[2].data
    if v.inner == 1:
        return gradient_of_rows(g, x, gamma, mean, deviation, out, dgamma, dbeta, v, call)
    for t in prange(v.outer * strips, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        first = t % strips * COLUMNS
        at = t // strips * v.n * v.inner + first
        gradient_of_strip(g + at, x + at, gamma, mean + t // strips * v.inner + first,
                          deviation + t // strips * v.inner + first, out + at, v.n, v.inner,
                          <int>min(COLUMNS, v.inner - first))
    for t in prange(v.n, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        gradient_of_weight(g, x, mean, deviation, dgamma, dbeta, v, t)
    return 0


cdef int layer_norm_backward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        return layer_norm_gradient(inputs, outputs, call, <double*>NULL)
    return layer_norm_gradient(inputs, outputs, call, <float*>NULL)


# -- group and instance normalisation: runs with one weight each -------------------------------------------------------

cdef void group_norm_forward(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef Py_ssize_t groups = p.groups or inputs[0].shape[1], runs = inputs[0].shape[0] * groups, t
    cdef Py_ssize_t n = inputs[0].size // runs if runs else 0
    for t in prange(runs, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        group_norm_run(<real*>inputs[0].data + t * n, (<real*>inputs[1].data)[t % groups],
                       (<real*>inputs[2].data)[t % groups], <real*>outputs[0].data + t * n, <real*>outputs[1].data + t,
                       <real*>outputs[2].data + t, n, p.eps)


cdef void group_norm_run(const real* x, real gamma, real beta, real* y, real* mean, real* deviation, Py_ssize_t n,
                         double eps) noexcept nogil:
    cdef Moments moments
    moments.count = moments.mean = moments.squares = 0
    add_moments(&moments, x, n)
    mean[0], deviation[0] = <real>moments.mean, <real>sqrt(moments.squares / n + eps)
    normalize(y, x, n, mean[0], gamma / deviation[0], beta)


cdef int group_norm_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        group_norm_forward(inputs, outputs, call, <double*>NULL)
    else:
        group_norm_forward(inputs, outputs, call, <float*>NULL)
    return 0


cdef void group_norm_run_gradient(const real* g, const real* x, real gamma, real mean, real deviation, real* out,
                                  double* sums, Py_ssize_t n) noexcept nogil:
    """The data's gradient in one run; leaves its share of those of gamma and beta in ``sums``, the other way round."""
    cdef double variance = <double>deviation * deviation
    channel_sums(g, x, 1, 0, n, mean, sums)
    channel_centre(out, g, x, 1, 0, n, mean, gamma / deviation, <real>(sums[0] / n), <real>(sums[1] / n / variance))
    sums[1] /= deviation


cdef int group_norm_gradient(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef Py_ssize_t groups = p.groups or inputs[1].shape[1], runs = inputs[1].shape[0] * groups, t
    cdef Py_ssize_t n = inputs[1].size // runs if runs else 0
    cdef double* sums = <double*>scratch_new((2 * runs + 1) * <Py_ssize_t>sizeof(double))
    if sums == NULL:
        return fail(call, "no memory for the scratch of a normalisation")
    for t in prange(runs, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        group_norm_run_gradient(<real*>inputs[0].data + t * n, <real*>inputs[1].data + t * n,
                                (<real*>inputs[2].data)[t % groups], (<real*>inputs[3].data)[t],
                                (<real*>inputs[4].data)[t], <real*>outputs[0].data + t * n, sums + 2 * t, n)
    memset(outputs[1].data, 0, groups * sizeof(real))
    memset(outputs[2].data, 0, groups * sizeof(real))
    for t in range(runs):
        (<real*>outputs[1].data)[t % groups] += <real>sums[2 * t + 1]
        (<real*>outputs[2].data)[t % groups] += <real>sums[2 * t]
    scratch_free(sums)
    return 0


cdef int group_norm_backward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        return group_norm_gradient(inputs, outputs, call, <double*>NULL)
    return group_norm_gradient(inputs, outputs, call, <float*>NULL)


cdef kernel(str name, kernel_t function, double cost):
    return Kernel(name, {FLOAT32: <uintptr_t>function, FLOAT64: <uintptr_t>function}, pack=pack, parallel=True,
                  cost=cost)


layer_norm = kernel("layer_norm", layer_norm_, .5)
layer_norm_backward = kernel("layer_norm_backward", layer_norm_backward_, .8)
group_norm = kernel("group_norm", group_norm_, .5)
group_norm_backward = kernel("group_norm_backward", group_norm_backward_, .8)
