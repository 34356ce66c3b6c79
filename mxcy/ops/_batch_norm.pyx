# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Batch normalisation and its gradient: channel by channel, or columns of channels where they are the last axis."""
import struct

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, itemsize, kernel_t
from mxcy.ops._axis cimport View, around
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/norm.h" namespace "mxcy_norm" nogil:
    cdef struct Moments:
        double count
        double mean
        double squares
    T rectified[T](T x)
    T through_rectifier[T](T g, T y)
    Moments channel_moments[T](const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n)
    void channel_normalize[T](T* y, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean, T scale,
                              T shift)
    void channel_sums[T](const T* g, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean, double* sums)
    void channel_centre[T](T* out, const T* g, const T* x, Py_ssize_t batch, Py_ssize_t step, Py_ssize_t n, T mean,
                           T scale, T a, T b)
    void column_moments[T](const T* x, Py_ssize_t rows, Py_ssize_t step, int width, double* mean, double* squares)
    void column_sums[T](const T* g, const T* x, const T* weight, Py_ssize_t rows, Py_ssize_t step, int width,
                        const T* mean, double* sums, double* products)

ctypedef fused real:
    float
    double

cdef enum:
    COLUMNS = 64                        # WIDTH of norm.h
    LINE = 16                           # columns that fill a cache line

cdef struct Params:
    double eps
    double momentum
    int64_t axis
    int64_t fix_gamma
    int64_t batch                       # statistics are those of the batch, not the moving ones


def pack(params):
    """The C struct `Params`."""
    return struct.pack("ddqqq", params["eps"], params["momentum"], params["axis"], params["fix_gamma"],
                       params.get("batch", not params.get("use_global_stats", False)))


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


cdef int columns(Py_ssize_t n, int threads) noexcept nogil:
    """How many of n columns to take at once, so that all threads have some; results do not depend on it."""
    cdef int width = COLUMNS
    while width > LINE and (n + width - 1) // width < threads:
        width //= 2
    return width


cdef void normalize_columns(const real* x, const real* gamma, const real* beta, const real* moving_mean,
                            const real* moving_var, real* y, real* mean, real* scale, View v, const Params* p,
                            bint batch, Py_ssize_t first, int width) noexcept nogil:
    """Up to ``width`` neighbouring channels, which are the last axis."""
    cdef int j
    cdef double means[COLUMNS]
    cdef double squares[COLUMNS]
    cdef real scales[COLUMNS]
    cdef Py_ssize_t i
    width = <int>min(width, v.n - first)
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
    cdef int width = columns(v.n, call.threads)
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
    for c in prange((v.n + width - 1) // width, num_threads=call.threads, schedule="static",
                    use_threads_if=call.threads > 1):
        normalize_columns(x, gamma, beta, moving_mean, moving_var, y, mean, scale, v, p, batch, c * width, width)


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
                             const Params* p, Py_ssize_t first, int width) noexcept nogil:
    cdef int j
    cdef double sums[COLUMNS]
    cdef double products[COLUMNS]
    cdef real terms[3]
    cdef real factor[COLUMNS]
    cdef real a[COLUMNS]
    cdef real b[COLUMNS]
    cdef Py_ssize_t i, c
    width = <int>min(width, v.n - first)
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
    cdef int width = columns(v.n, call.threads)
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
    for c in prange((v.n + width - 1) // width, num_threads=call.threads, schedule="static",
                    use_threads_if=call.threads > 1):
        batch_norm_columns(g, x, gamma, mean, scale, moving_mean, moving_var, out, dgamma, dbeta, v, p, c * width,
                           width)


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


# -- with a rectifier ------------------------------------------------------------------------------------------------------

cdef void rectify(real* y, const real* addend, Py_ssize_t n, int threads) noexcept nogil:
    cdef Py_ssize_t i
    for i in prange(n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        y[i] = rectified(y[i] if addend == NULL else y[i] + addend[i])


cdef int batch_norm_relu_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef void* addend = inputs[5].data if call.n_inputs > 5 else NULL
    batch_norm_(inputs, outputs, call)
    if outputs[0].dtype == FLOAT64:
        rectify(<double*>outputs[0].data, <const double*>addend, outputs[0].size, call.threads)
    else:
        rectify(<float*>outputs[0].data, <const float*>addend, outputs[0].size, call.threads)
    return 0


cdef void pass_rectifier(const Tensor* inputs, real* out, const Params* p, int threads, real* _) noexcept nogil:
    """The gradient where the result was positive; inputs are those of `batch_norm_relu_backward_`."""
    cdef View v = around(&inputs[1], p.axis)
    cdef const real* g = <const real*>inputs[0].data
    cdef const real* x = <const real*>inputs[1].data
    cdef const real* gamma = <const real*>inputs[2].data
    cdef const real* beta = <const real*>inputs[3].data
    cdef const real* mean = <const real*>inputs[4].data
    cdef const real* scale = <const real*>inputs[5].data
    cdef Py_ssize_t i, c
    for i in prange(inputs[1].size, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        c = i // v.inner % v.n
        out[i] = through_rectifier(g[i], (x[i] - mean[c]) * (scale[c] if p.fix_gamma else scale[c] * gamma[c]) + beta[c])


cdef int batch_norm_relu_backward_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Tensor[7] given
    cdef void* passed = scratch_new(inputs[0].size * itemsize(inputs[0].dtype) + 1)
    if passed == NULL:
        return fail(call, "no memory for the scratch of a batch norm")
    given[0], given[1], given[2] = inputs[0], inputs[1], inputs[2]
    given[3], given[4], given[5], given[6] = inputs[4], inputs[5], inputs[6], inputs[7]
    given[0].data = passed
    if inputs[0].dtype == FLOAT64:
        pass_rectifier(inputs, <double*>passed, <const Params*>call.params, call.threads, <double*>NULL)
    else:
        pass_rectifier(inputs, <float*>passed, <const Params*>call.params, call.threads, <float*>NULL)
    batch_norm_backward_(given, outputs, call)
    scratch_free(passed)
    return 0


cdef kernel(str name, kernel_t function, double cost):
    return Kernel(name, {FLOAT32: <uintptr_t>function, FLOAT64: <uintptr_t>function}, pack=pack, parallel=True,
                  cost=cost)


forward = kernel("batch_norm", batch_norm_, .8)
backward = kernel("batch_norm_backward", batch_norm_backward_, 1.)
forward_relu = kernel("batch_norm_relu", batch_norm_relu_, 1.)
backward_relu = kernel("batch_norm_relu_backward", batch_norm_relu_backward_, 1.3)
