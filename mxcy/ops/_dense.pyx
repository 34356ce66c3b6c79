# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The affine map of a fully connected layer."""
from cython.parallel cimport prange
from libc.stdint cimport uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, kernel_t
from mxcy.ops._blas cimport dgemm, sgemm
from mxcy.ops._kernel cimport Kernel, flops_t

ctypedef fused real:
    float
    double

cdef enum:
    MANY = 1 << 16                      # items from which on adding the bias is worth starting threads


cdef void add_bias(real* out, const real* bias, Py_ssize_t rows, Py_ssize_t n, int threads) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in prange(rows, num_threads=threads, schedule="static", use_threads_if=threads > 1 and rows * n > MANY):
        for j in range(n):
            out[i * n + j] += bias[j]


cdef int affine(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """out = data weight.T + bias; weight is n x k, data any number of rows of k."""
    cdef Py_ssize_t n = inputs[1].shape[0], k = inputs[1].shape[1], m = outputs[0].size // n if n else 0
    cdef Py_ssize_t row = max(k, 1)
    cdef int failed
    if inputs[0].dtype == FLOAT32:
        failed = sgemm(False, True, m, n, k, <const float*>inputs[0].data, row, <const float*>inputs[1].data, row, 0,
                       <float*>outputs[0].data, max(n, 1), call.threads)
        if not failed and call.n_inputs == 3:
            add_bias(<float*>outputs[0].data, <const float*>inputs[2].data, m, n, call.threads)
    else:
        failed = dgemm(False, True, m, n, k, <const double*>inputs[0].data, row, <const double*>inputs[1].data, row, 0,
                       <double*>outputs[0].data, max(n, 1), call.threads)
        if not failed and call.n_inputs == 3:
            add_bias(<double*>outputs[0].data, <const double*>inputs[2].data, m, n, call.threads)
    if failed:
        return fail(call, "the matrix product failed: SciPy's BLAS cannot be imported, or an axis is above 2^31 - 1")
    return 0


cdef double affine_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return 2. * outputs[0].size * inputs[1].shape[1]


fully_connected = Kernel("fully_connected", dict.fromkeys((FLOAT32, FLOAT64), <uintptr_t><kernel_t>affine),
                         parallel=True, flops=<uintptr_t><flops_t>affine_flops)
