# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Matrix products by oneDNN for float32, where it is there, and by the BLAS that SciPy was built with for the rest.

SciPy's is looked up at the first product that needs it: importing it takes longer than importing all of mxcy.
"""
from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from cython.parallel cimport prange
from libc.limits cimport INT_MAX
from libc.stdint cimport int64_t

cdef extern from *:
    """
    #include <omp.h>
    #include <stdint.h>
    #ifdef MXCY_NO_ONEDNN
    enum { mxcy_has_dnnl = 0 };
    static int dnnl_sgemm(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*, int64_t,
                          float, float*, int64_t) { return 1; }
    #else
    #include "oneapi/dnnl/dnnl.h"
    enum { mxcy_has_dnnl = 1 };
    #endif
    """
    int mxcy_has_dnnl
    int dnnl_sgemm(char transa, char transb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
                   const float* b, int64_t ldb, float beta, float* c, int64_t ldc) nogil
    int omp_get_max_threads() nogil
    void omp_set_num_threads(int threads) nogil

cdef enum:
    FEW_ROWS = 256
    SLAB = 256

ctypedef fused real:
    float
    double

ctypedef void (*sgemm_t)(char* transa, char* transb, int* m, int* n, int* k, float* alpha, float* a, int* lda, float* b,
                         int* ldb, float* beta, float* c, int* ldc) noexcept nogil
ctypedef void (*dgemm_t)(char* transa, char* transb, int* m, int* n, int* k, double* alpha, double* a, int* lda,
                         double* b, int* ldb, double* beta, double* c, int* ldc) noexcept nogil

cdef sgemm_t blas_sgemm = NULL
cdef dgemm_t blas_dgemm = NULL


cdef int find_blas() noexcept with gil:
    """Set the two pointers; 1 if SciPy cannot be imported."""
    global blas_sgemm, blas_dgemm
    try:
        from scipy.linalg import cython_blas
        table = cython_blas.__pyx_capi__
        single, double_ = table["sgemm"], table["dgemm"]
        blas_sgemm = <sgemm_t>PyCapsule_GetPointer(single, PyCapsule_GetName(single))
        blas_dgemm = <dgemm_t>PyCapsule_GetPointer(double_, PyCapsule_GetName(double_))
    except Exception:
        return 1
    return 0


cdef int gemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const real* a,
              Py_ssize_t lda, const real* b, Py_ssize_t ldb, real beta, real* c, Py_ssize_t ldc) noexcept nogil:
    """By BLAS. Row-major is column-major transposed: c.T = op(b).T op(a).T."""
    cdef char first = b'T' if transpose_b else b'N', second = b'T' if transpose_a else b'N'
    cdef int rows = <int>n, columns = <int>m, inner = <int>k
    cdef int ld_first = <int>ldb, ld_second = <int>lda, ld_out = <int>ldc
    cdef real one = 1
    if max(m, n, k, lda, ldb, ldc) > INT_MAX or (blas_dgemm == NULL and find_blas()):
        return 1
    if real is float:
        blas_sgemm(&first, &second, &rows, &columns, &inner, &one, <float*>b, &ld_first, <float*>a, &ld_second, &beta,
                   c, &ld_out)
    else:
        blas_dgemm(&first, &second, &rows, &columns, &inner, &one, <double*>b, &ld_first, <double*>a, &ld_second, &beta,
                   c, &ld_out)
    return 0


cdef void scale(real* c, Py_ssize_t m, Py_ssize_t n, Py_ssize_t ldc, real beta) noexcept nogil:
    """A product over nothing: c = beta c."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            c[i * ldc + j] = c[i * ldc + j] * beta if beta != 0 else 0


cdef int sgemm_slabs(bint transpose_a, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, Py_ssize_t lda,
                     const float* b, Py_ssize_t ldb, float beta, float* c, Py_ssize_t ldc, int threads) noexcept nogil:
    """A few rows times a transposed matrix, so many columns at a time.

    oneDNN's threads would share the sum over k, and its last bits would depend on their number.
    """
    cdef Py_ssize_t width = SLAB if n >= 2 * SLAB else SLAB // 2       # of 64, a quarter of the speed would be lost
    cdef Py_ssize_t count = (n + width - 1) // width, slab
    cdef int failed = 0, before = omp_get_max_threads()
    omp_set_num_threads(1)              # where there is no parallel region
    for slab in prange(count, num_threads=threads, schedule="dynamic", use_threads_if=threads > 1):
        failed |= dnnl_sgemm(b'T' if transpose_a else b'N', b'T', m, min(width, n - slab * width), k, 1, a, lda,
                             b + slab * width * ldb, ldb, beta, c + slab * width, ldc)
    omp_set_num_threads(before)         # the caller's own number, by which the engine sizes later tasks
    return failed != 0


cdef int sgemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a,
               Py_ssize_t lda, const float* b, Py_ssize_t ldb, float beta, float* c, Py_ssize_t ldc,
               int threads) noexcept nogil:
    if m == 0 or n == 0 or k == 0:
        scale(c, m, n, ldc, beta)
        return 0
    if not mxcy_has_dnnl:
        return gemm[float](transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc)
    if transpose_b and m <= FEW_ROWS:
        return sgemm_slabs(transpose_a, m, n, k, a, lda, b, ldb, beta, c, ldc, threads)
    cdef int before = omp_get_max_threads(), status
    omp_set_num_threads(threads)        # of this thread only
    status = dnnl_sgemm(b'T' if transpose_a else b'N', b'T' if transpose_b else b'N', m, n, k, 1, a, lda, b, ldb, beta,
                        c, ldc)
    omp_set_num_threads(before)
    return status != 0


cdef int dgemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const double* a,
               Py_ssize_t lda, const double* b, Py_ssize_t ldb, double beta, double* c, Py_ssize_t ldc,
               int threads) noexcept nogil:
    if m == 0 or n == 0 or k == 0:
        scale(c, m, n, ldc, beta)
        return 0
    return gemm[double](transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, c, ldc)
