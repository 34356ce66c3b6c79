# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Batch, layer, group and instance normalisation, and their gradients."""
import struct

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/norm.h" namespace "mxcy_norm" nogil:
    int WIDTH
    cdef struct Moments:
        double count
        double mean
        double squares
    void add_moments[T](Moments* moments, const T* x, Py_ssize_t n)
    void normalize[T](T* y, const T* x, Py_ssize_t n, T mean, T scale, T shift)
    Moments channel_moments[T](const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n)
    void channel_normalize[T](T* y, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean, T scale,
                              T shift)
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
    COLUMNS = 64                        # WIDTH, as a constant for arrays

cdef struct Params:
    double eps
    double momentum
    int64_t axis
    int64_t groups                      # group normalisation; 0: one group per channel
    int64_t fix_gamma
    int64_t batch                       # statistics are those of the batch, not the moving ones


def pack(params):
    """The C struct `Params`."""
    return struct.pack("ddqqqq", params["eps"], params.get("momentum", 0), params.get("axis", 1),
                       params.get("num_groups", 0), params.get("fix_gamma", False),
                       params.get("batch", not params.get("use_global_stats", False)))


cdef struct View:                       # data as (outer, n, inner) around an axis
    Py_ssize_t outer
    Py_ssize_t n
    Py_ssize_t inner


cdef View around(const Tensor* data, int64_t axis) noexcept nogil:
    cdef View v
    cdef int i
    axis = axis + data.ndim if axis < 0 else axis
    v.outer, v.n, v.inner = 1, data.shape[axis], 1
    for i in range(data.ndim):
        if i < axis:
            v.outer *= data.shape[i]
        elif i > axis:
            v.inner *= data.shape[i]
    return v


# -- batch normalisation -----------------------------------------------------------------------------------------------

cdef void normalize_channels(const real* x, const real* gamma, const real* beta, const real* moving_mean,
                             const real* moving_var, real* y, real* mean, real* scale, View v, const Params* p,
                             bint batch, int threads) noexcept nogil:
    """Channels whose elements lie in runs of ``v.inner``."""
    cdef Py_ssize_t c, step = v.n * v.inner
    cdef Moments moments
    for c in prange(v.n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        if batch:
            moments = channel_moments(x + c * v.inner, v.outer, step, v.inner)
            mean[c], scale[c] = <real>moments.mean, <real>(1 / sqrt(moments.squares / moments.count + p.eps))
        else:
            mean[c], scale[c] = moving_mean[c], <real>(1 / sqrt(moving_var[c] + p.eps))
        channel_normalize(y + c * v.inner, x + c * v.inner, v.outer, step, v.inner, mean[c],
                          scale[c] if p.fix_gamma else scale[c] * gamma[c], beta[c])


cdef void normalize_columns(const real* x, const real* gamma, const real* beta, const real* moving_mean,
                            const real* moving_var, real* y, real* mean, real* scale, View v, const Params* p,
                            bint batch, Py_ssize_t first) noexcept nogil:
    """Up to `COLUMNS` neighbouring channels, which are the last axis."""
    cdef int width = <int>min(COLUMNS, v.n - first), j
    cdef double means[COLUMNS]
    cdef double squares[COLUMNS]
    cdef real scales[COLUMNS]
    cdef Py_ssize_t i
    if batch:
        column_moments(x + first, v.outer, v.n, width, means, squares)
    for j in range(width):
        if batch:
            mean[first + j], scale[first + j] = <real>means[j], <real>(1 / sqrt(squares[j] / v.outer + p.eps))
        else:
            mean[first + j], scale[first + j] = moving_mean[first + j], <real>(1 / sqrt(moving_var[first + j] + p.eps))
        scales[j] = scale[first + j] if p.fix_gamma else scale[first + j] * gamma[first + j]
    for i in range(v.outer):
        for j in range(width):
            y[i * v.n + first + j] = (x[i * v.n + first + j] - mean[first + j]) * scales[j] + beta[first + j]


cdef void batch_norm_forward(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef View v = around(&inputs[0], p.axis)
    cdef bint batch = call.train and p.batch and inputs[0].size > 0
    cdef Py_ssize_t c
    cdef real* x = <real*>inputs[0].data
    cdef real* gamma = <real*>inputs[1].data
    cdef real* beta = <real*>inputs[2].data
    cdef real* moving_mean = <real*>inputs[3].data
    cdef real* moving_var = <real*>inputs[4].data
    cdef real* y = <real*>outputs[0].data
    cdef real* mean = <real*>outputs[1].data
    cdef real* scale = <real*>outputs[2].data
    if v.inner != 1:
        normalize_channels(x, gamma, beta, moving_mean, moving_var, y, mean, scale, v, p, batch, call.threads)
        return
    for c in prange((v.n + COLUMNS - 1) // COLUMNS, num_threads=call.threads, schedule="static",
                    use_threads_if=call.threads > 1):
        normalize_columns(x, gamma, beta, moving_mean, moving_var, y, mean, scale, v, p, batch, c * COLUMNS)


cdef int batch_norm_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        batch_norm_forward(inputs, outputs, call, <double*>NULL)
    else:
        batch_norm_forward(inputs, outputs, call, <float*>NULL)
    return 0


cdef void finish_channel(double total, double product, real mean, real scale, real gamma, double count, const Params* p,
                         real* dgamma, real* dbeta, real* moving_mean, real* moving_var, real* terms) noexcept nogil:
    """Gradients of one channel's weights; its moving statistics; and the three factors of its data's gradient."""
    dgamma[0], dbeta[0] = <real>(0 if p.fix_gamma else product * scale), <real>total
    terms[0] = scale if p.fix_gamma else scale * gamma
    terms[1] = terms[2] = 0
    if p.batch and count > 0:
        terms[1], terms[2] = <real>(total / count), <real>(product / count * scale * scale)
        moving_mean[0] = <real>(moving_mean[0] * p.momentum + mean * (1 - p.momentum))
        moving_var[0] = <real>(moving_var[0] * p.momentum + (1 / (<double>scale * scale) - p.eps) * (1 - p.momentum))


cdef void batch_norm_columns(const real* g, const real* x, const real* gamma, const real* mean, const real* scale,
                             real* moving_mean, real* moving_var, real* out, real* dgamma, real* dbeta, View v,
                             const Params* p, Py_ssize_t first) noexcept nogil:
    cdef int width = <int>min(COLUMNS, v.n - first), j
    cdef double sums[COLUMNS]
    cdef double products[COLUMNS]
    cdef real terms[3]
    cdef real factor[COLUMNS]
    cdef real a[COLUMNS]
    cdef real b[COLUMNS]
    cdef Py_ssize_t i, c
    column_sums(g + first, x + first, <const real*>NULL, v.outer, v.n, width, mean + first, sums, products)
    for j in range(width):
        c = first + j
        finish_channel(sums[j], products[j], mean[c], scale[c], gamma[c], <double>v.outer, p, &dgamma[c], &dbeta[c],
                       &moving_mean[c], &moving_var[c], terms)
        factor[j], a[j], b[j] = terms[0], terms[1], terms[2]
    for i in range(v.outer):
        for j in range(width):
            c = i * v.n + first + j
            out[c] = factor[j] * (g[c] - a[j] - (x[c] - mean[first + j]) * b[j])


cdef void batch_norm_gradient(const Tensor* inputs, Tensor* outputs, Call* call, real* _) noexcept nogil:
    cdef const Params* p = <const Params*>call.params
    cdef View v = around(&inputs[1], p.axis)
    cdef Py_ssize_t c
    cdef real* g = <real*>inputs[0].data
    cdef real* x = <real*>inputs[1].data
    cdef real* gamma = <real*>inputs[2].data
    cdef real* mean = <real*>inputs[3].data
    cdef real* scale = <real*>inputs[4].data
    cdef real* moving_mean = <real*>inputs[5].data
    cdef real* moving_var = <real*>inputs[6].data
    cdef real* out = <real*>outputs[0].data
    cdef real* dgamma = <real*>outputs[1].data
    cdef real* dbeta = <real*>outputs[2].data
    if v.inner != 1:
        for c in prange(v.n, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
            batch_norm_channel(g + c * v.inner, x + c * v.inner, gamma[c], mean[c], scale[c], &moving_mean[c],
                               &moving_var[c], out + c * v.inner, &dgamma[c], &dbeta[c], v, p)
        return
    for c in prange((v.n + COLUMNS - 1) // COLUMNS, num_threads=call.threads, schedule="static",
                    use_threads_if=call.threads > 1):
        batch_norm_columns(g, x, gamma, mean, scale, moving_mean, moving_var, out, dgamma, dbeta, v, p, c * COLUMNS)


cdef void batch_norm_channel(const real* g, const real* x, real gamma, real mean, real scale, real* moving_mean,
                             real* moving_var, real* out, real* dgamma, real* dbeta, View v,
                             const Params* p) noexcept nogil:
    cdef double sums[2]
    cdef real terms[3]
    cdef Py_ssize_t step = v.n * v.inner
    channel_sums(g, x, v.outer, step, v.inner, mean, sums)
    finish_channel(sums[0], sums[1], mean, scale, gamma, <double>(v.outer * v.inner), p, dgamma, dbeta, moving_mean,
                   moving_var, terms)
    channel_centre(out, g, x, v.outer, step, v.inner, mean, terms[0], terms[1], terms[2])


cdef int batch_norm_backward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT64:
        batch_norm_gradient(inputs, outputs, call, <double*>NULL)
    else:
        batch_norm_gradient(inputs, outputs, call, <float*>NULL)
    return 0


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


batch_norm = kernel("batch_norm", batch_norm_, .8)
batch_norm_backward = kernel("batch_norm_backward", batch_norm_backward_, 1.)
layer_norm = kernel("layer_norm", layer_norm_, .5)
layer_norm_backward = kernel("layer_norm_backward", layer_norm_backward_, .8)
group_norm = kernel("group_norm", group_norm_, .5)
group_norm_backward = kernel("group_norm_backward", group_norm_backward_, .8)
