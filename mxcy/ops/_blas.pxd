# cython: language_level=3
"""Matrix products: row-major, without the GIL, on at most `threads` threads. 0, or 1 if no library can do it."""

# c = op(a) op(b) + beta c, where op transposes if asked; op(a) is m x k, op(b) is k x n; lda, ldb, ldc are row lengths.
cdef int sgemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a,
               Py_ssize_t lda, const float* b, Py_ssize_t ldb, float beta, float* c, Py_ssize_t ldc,
               int threads) noexcept nogil
cdef int dgemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const double* a,
               Py_ssize_t lda, const double* b, Py_ssize_t ldb, double beta, double* c, Py_ssize_t ldc,
               int threads) noexcept nogil
