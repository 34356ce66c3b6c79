/* A stand-in for libcublas: the functions that mxcy calls, computed by loops in the order of the stream that the handle
 * has. What NVIDIA's documentation asks of the arguments is checked, and that the matrices lie in memory of the device.
 * The driver, which mxcy opened before, lends the streams.
 */
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>

#define API extern "C" __attribute__((visibility("default"))) int

namespace {

enum Status { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Kind { R_32F = 0, R_64F = 1, R_16F = 2, R_16BF = 14 };
enum Compute { COMPUTE_32F = 68, COMPUTE_32F_PEDANTIC = 69, COMPUTE_64F = 70, COMPUTE_32F_FAST_TF32 = 77 };

struct Handle {
    void* stream = nullptr;
    void* workspace = nullptr;
};

struct Matrix {                 // column-major
    const char* data;
    bool transposed;
    int64_t rows, columns, ld, step;        // as it lies in memory

    int64_t index(int64_t batch, int64_t row, int64_t column) const {
        return batch * step + (transposed ? column + row * ld : row + column * ld);
    }
};

struct Product {
    Matrix a, b, c;
    int m, n, k, batch, kind;
    double alpha, beta;
};

template <class F> F driver(const char* name) { return reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name)); }

int refuse(const char* why) {
    fprintf(stderr, "stand-in for cuBLAS: %s\n", why);
    return INVALID_VALUE;
}

size_t size_of(int kind) { return kind == R_64F ? 8 : kind == R_32F ? 4 : 2; }

float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

double load(const char* at, int kind) {
    uint16_t bits;
    float single;
    double value;
    switch (kind) {
        case R_64F: memcpy(&value, at, 8); return value;
        case R_32F: memcpy(&single, at, 4); return single;
        case R_16BF: memcpy(&bits, at, 2); return float_of(uint32_t(bits) << 16);
    }
    _Float16 half;
    memcpy(&half, at, 2);
    return double(half);
}

void store(char* at, int kind, double value) {
    const float single = float(value);
    if (kind == R_64F) memcpy(at, &value, 8);
    else if (kind == R_32F) memcpy(at, &single, 4);
    else if (kind == R_16F) {
        const _Float16 half = _Float16(single);
        memcpy(at, &half, 2);
    } else {
        uint32_t bits;
        memcpy(&bits, &single, 4);
        const uint16_t high = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        memcpy(at, &high, 2);
    }
}

/* Kept for good: a recording may run it again. */
Product* keep(const Product& product) {
    static auto& lock = *new std::mutex;
    static auto& all = *new std::deque<Product>;
    std::lock_guard<std::mutex> guard(lock);
    all.push_back(product);
    return &all.back();
}

void run(void* data) {
    const auto p = static_cast<const Product*>(data);
    const size_t size = size_of(p->kind);
    for (int64_t batch = 0; batch < p->batch; batch++)
        for (int64_t j = 0; j < p->n; j++)
            for (int64_t i = 0; i < p->m; i++) {
                double sum = 0;
                for (int64_t l = 0; l < p->k; l++)
                    sum += load(p->a.data + p->a.index(batch, i, l) * size, p->kind)
                           * load(p->b.data + p->b.index(batch, l, j) * size, p->kind);
                char* out = const_cast<char*>(p->c.data) + p->c.index(batch, i, j) * size;
                store(out, p->kind, p->alpha * sum + (p->beta ? p->beta * load(out, p->kind) : 0));
            }
}

/* Whether all of a matrix, or batch, lies in one allocation of the device. */
bool inside(const Matrix& x, int batch, int kind) {
    static auto range = driver<int (*)(unsigned long long*, size_t*, unsigned long long)>("cuMemGetAddressRange_v2");
    const auto at = reinterpret_cast<unsigned long long>(x.data);
    unsigned long long begin;
    size_t nbytes;
    const size_t last = ((batch - 1) * x.step + (x.columns - 1) * x.ld + x.rows) * size_of(kind);
    return range(&begin, &nbytes, at) == 0 && at + last <= begin + nbytes;
}

}  // namespace

API cublasCreate_v2(void** handle) {
    *handle = new Handle;
    return SUCCESS;
}

API cublasSetStream_v2(void* handle, void* stream) {
    *static_cast<Handle*>(handle) = {stream, nullptr};          // the workspace is that of the library again
    return SUCCESS;
}

API cublasSetWorkspace_v2(void* handle, void* workspace, size_t) {
    if (reinterpret_cast<uintptr_t>(workspace) % 256) return refuse("a workspace must be aligned to 256 bytes");
    static_cast<Handle*>(handle)->workspace = workspace;
    return SUCCESS;
}

extern "C" __attribute__((visibility("default"))) const char* cublasGetStatusName(int status) {
    switch (status) {
        case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "an unknown status";
}

API cublasGemmStridedBatchedEx(void* handle, int transpose_a, int transpose_b, int m, int n, int k, const void* alpha,
                               const void* a, int a_kind, int lda, long long a_step, const void* b, int b_kind, int ldb,
                               long long b_step, const void* beta, void* c, int c_kind, int ldc, long long c_step,
                               int batch, int compute, int) {
    if (!handle) return NOT_INITIALIZED;
    if (!static_cast<Handle*>(handle)->workspace) return refuse("no workspace: the call could not be recorded in a graph");
    if (m < 0 || n < 0 || k < 0 || batch < 0) return refuse("a size is negative");
    if (transpose_a < 0 || transpose_a > 1 || transpose_b < 0 || transpose_b > 1) return refuse("no such transposition");
    if (a_kind != b_kind || a_kind != c_kind) return NOT_SUPPORTED;
    const bool wide = compute == COMPUTE_64F, single = compute == COMPUTE_32F || compute == COMPUTE_32F_PEDANTIC;
    if (wide != (a_kind == R_64F) || (!wide && !single && (compute != COMPUTE_32F_FAST_TF32 || a_kind != R_32F))
        || (a_kind != R_64F && a_kind != R_32F && a_kind != R_16F && a_kind != R_16BF))
        return NOT_SUPPORTED;
    const int a_rows = transpose_a ? k : m, b_rows = transpose_b ? n : k;
    if (lda < (a_rows > 1 ? a_rows : 1)) return refuse("lda is less than the rows of A");
    if (ldb < (b_rows > 1 ? b_rows : 1)) return refuse("ldb is less than the rows of B");
    if (ldc < (m > 1 ? m : 1)) return refuse("ldc is less than the rows of C");
    if (!m || !n || !batch) return SUCCESS;
    auto number = [wide](const void* x) { return wide ? *static_cast<const double*>(x) : *static_cast<const float*>(x); };
    const Product product{
        {static_cast<const char*>(a), bool(transpose_a), a_rows, transpose_a ? m : k, lda, a_step},
        {static_cast<const char*>(b), bool(transpose_b), b_rows, transpose_b ? k : n, ldb, b_step},
        {static_cast<const char*>(c), false, m, n, ldc, c_step}, m, n, k, batch, c_kind, number(alpha), number(beta)};
    for (const Matrix* matrix : {&product.a, &product.b, &product.c})
        if (!inside(*matrix, batch, c_kind)) return refuse("a matrix does not lie in memory of the device");
    static auto launch = driver<int (*)(void*, void (*)(void*), void*)>("cuLaunchHostFunc");
    return launch(static_cast<Handle*>(handle)->stream, run, keep(product)) ? EXECUTION_FAILED : SUCCESS;
}
