# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""dot and batch_dot: products of matrices, which tensors of more axes are folded into."""
from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, fail, kernel_t
from mxcy.ops._blas cimport dgemm, sgemm
from mxcy.ops._strided cimport product
from mxcy.ops._kernel cimport Kernel, flops_t
from mxcy.ops.packing import pack

ctypedef fused number:
    float
    double
    int8_t
    int32_t
    int64_t

cdef struct Sizes:                      # batch times: op(lhs), m x k, by op(rhs), k x n
    bint transpose_a
    bint transpose_b
    Py_ssize_t batch
    Py_ssize_t m
    Py_ssize_t n
    Py_ssize_t k


cdef void integer_product(const Sizes* s, const number* a, const number* b, number* c, Py_ssize_t begin,
                          Py_ssize_t end) noexcept nogil:
    """Rows begin to end of c; integers wrap around."""
    cdef Py_ssize_t i, j, t
    cdef number x
    for i in range(begin, end):
        for j in range(s.n):
            c[i * s.n + j] = 0
        if s.transpose_b:
            for j in range(s.n):
                x = 0
                for t in range(s.k):
                    x += (a[t * s.m + i] if s.transpose_a else a[i * s.k + t]) * b[j * s.k + t]
                c[i * s.n + j] = x
            continue
        for t in range(s.k):
            x = a[t * s.m + i] if s.transpose_a else a[i * s.k + t]
            for j in range(s.n):
                c[i * s.n + j] += x * b[t * s.n + j]


cdef void outer_row(const number* b, number x, number* c, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        c[j] = x * b[j]


cdef void outer_product(const Sizes* s, const number* a, const number* b, number* c, int threads) noexcept nogil:
    """k is 1: the gradient of the weight of a layer for a single example. Libraries spend their time on packing."""
    cdef Py_ssize_t i
    for i in prange(s.m, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        outer_row(b, a[i], c + i * s.n, s.n)


cdef int one_product(const Sizes* s, const number* a, const number* b, number* c, int threads) noexcept nogil:
    cdef Py_ssize_t lda = max(s.m if s.transpose_a else s.k, 1), ldb = max(s.k if s.transpose_b else s.n, 1)
    cdef Py_ssize_t i, ldc = max(s.n, 1)
    if s.k == 1:
        outer_product(s, a, b, c, threads)
        return 0
    if number is float:
        return sgemm(s.transpose_a, s.transpose_b, s.m, s.n, s.k, a, lda, b, ldb, 0, c, ldc, threads)
    elif number is double:
        return dgemm(s.transpose_a, s.transpose_b, s.m, s.n, s.k, a, lda, b, ldb, 0, c, ldc, threads)
    else:
        for i in prange(s.m, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            integer_product(s, a, b, c, i, i + 1)
        return 0


cdef int products(const Sizes* s, const number* a, const number* b, number* c, int threads) noexcept nogil:
    """All products of a batch: side by side if there are enough for the threads, else one after the other."""
    cdef Py_ssize_t i
    cdef int failed = 0
    if threads > 1 and s.batch >= 2 * threads:
        for i in prange(s.batch, num_threads=threads, schedule="static"):
            failed |= one_product(s, a + i * s.m * s.k, b + i * s.k * s.n, c + i * s.m * s.n, 1)
    else:
        for i in range(s.batch):
            failed |= one_product(s, a + i * s.m * s.k, b + i * s.k * s.n, c + i * s.m * s.n, threads)
    return failed


cdef int multiply(const Sizes* s, const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const void* a = inputs[0].data
    cdef const void* b = inputs[1].data
    cdef void* c = outputs[0].data
    cdef int dtype = inputs[0].dtype, failed = 0
    if dtype == FLOAT32:
        failed = products(s, <const float*>a, <const float*>b, <float*>c, call.threads)
    elif dtype == FLOAT64:
        failed = products(s, <const double*>a, <const double*>b, <double*>c, call.threads)
    elif dtype == INT64:
        products(s, <const int64_t*>a, <const int64_t*>b, <int64_t*>c, call.threads)
    elif dtype == INT32:
        products(s, <const int32_t*>a, <const int32_t*>b, <int32_t*>c, call.threads)
    else:
        products(s, <const int8_t*>a, <const int8_t*>b, <int8_t*>c, call.threads)       # uint8 has the same low bits
    if failed:
        return fail(call, "the matrix product failed: SciPy's BLAS cannot be imported, or an axis is above 2^31 - 1")
    return 0


cdef void dot_sizes(Sizes* s, const Tensor* lhs, const Tensor* rhs, const int64_t* p) noexcept nogil:
    """lhs is (all axes but the last) x (last), or the first x (the others) transposed; rhs the other way round."""
    s.batch = 1
    s.transpose_a, s.transpose_b = p[0] and lhs.ndim > 1, p[1] and rhs.ndim > 1
    s.k = lhs.shape[0 if s.transpose_a else lhs.ndim - 1]
    s.m = product(lhs.shape, 1, lhs.ndim) if s.transpose_a else product(lhs.shape, 0, lhs.ndim - 1)
    s.n = product(rhs.shape, 0, rhs.ndim - 1) if s.transpose_b else product(rhs.shape, 1, rhs.ndim)


cdef void batch_sizes(Sizes* s, const Tensor* lhs, const Tensor* rhs, const int64_t* p) noexcept nogil:
    """The last two axes are matrices, the others count them."""
    cdef int i = lhs.ndim - 2
    s.batch = product(lhs.shape, 0, i)
    s.transpose_a, s.transpose_b = p[0] != 0, p[1] != 0
    s.m, s.k = lhs.shape[i + s.transpose_a], lhs.shape[i + 1 - s.transpose_a]
    s.n = rhs.shape[i + 1 - s.transpose_b]


cdef int dot_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Sizes s
    dot_sizes(&s, &inputs[0], &inputs[1], <const int64_t*>call.params)
    return multiply(&s, inputs, outputs, call)


cdef int batch_dot_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Sizes s
    batch_sizes(&s, &inputs[0], &inputs[1], <const int64_t*>call.params)
    return multiply(&s, inputs, outputs, call)


cdef double dot_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    cdef Sizes s
    dot_sizes(&s, &inputs[0], &inputs[1], <const int64_t*>call.params)
    return 2. * s.m * s.n * s.k


cdef double batch_dot_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    cdef Sizes s
    batch_sizes(&s, &inputs[0], &inputs[1], <const int64_t*>call.params)
    return 2. * s.batch * s.m * s.n * s.k


def kernel(name, uintptr_t function, uintptr_t flops):
    table = dict.fromkeys((FLOAT32, FLOAT64, INT8, UINT8, INT32, INT64), function)
    return Kernel(name, table, pack=lambda p: pack(p["transpose_a"], p["transpose_b"]), parallel=True, flops=flops)


dot = kernel("dot", <uintptr_t><kernel_t>dot_kernel, <uintptr_t><flops_t>dot_flops)
batch_dot = kernel("batch_dot", <uintptr_t><kernel_t>batch_dot_kernel, <uintptr_t><flops_t>batch_dot_flops)
