/* A stand-in for libcublasLt: the functions that mxcy calls. What NVIDIA's documentation asks of the arguments is checked,
 * that matrices and workspace lie in memory of the device, and that an algorithm is used for what it was chosen for.
 */
#include "product.h"

#include <initializer_list>

using namespace standin;

namespace {

constexpr size_t SCRATCH = 4096;            // bytes of workspace that a product overwrites
constexpr size_t VECTOR = 16;               // alignment that the better algorithm needs
constexpr uint64_t TENSOR_CORES = 0xfe, MAGIC = 0x6d78637947454d4d;

struct Handle {};

/* What a choice was made for: cublasLtMatmulAlgo_t has 64 bytes, which nobody else looks into. */
struct Algorithm {
    uint64_t magic, product;                // a hash of descriptions
    uint64_t scratch;
    uint32_t alignment[5];                  // of A, B, C, D and bias
    uint32_t better;
};
static_assert(sizeof(Algorithm) <= 64);

struct Choice {                             // cublasLtMatmulHeuristicResult_t
    union {
        Algorithm algorithm;
        uint64_t data[8];
    };
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

uint64_t hash(const Operation& x, const Layout& a, const Layout& b, const Layout& c) {
    uint64_t code = 1469598103934665603u;
    auto mix = [&](uint64_t value) { code = (code ^ value) * 1099511628211u; };
    for (int value : {x.compute, x.scale, int(x.transpose_a), int(x.transpose_b), int(x.epilogue)}) mix(value);
    for (const Layout* y : {&a, &b, &c})
        for (uint64_t value : {uint64_t(y->kind), y->rows, y->columns, uint64_t(y->ld), uint64_t(y->count), uint64_t(y->step)})
            mix(value);
    return code;
}

uint32_t alignment_of(const void* address) {
    const auto at = reinterpret_cast<uintptr_t>(address);
    return at % 256 ? at & -at : 256;
}

/* Whether these make a product; c is D's layout, too. */
int check(const Operation& x, const Layout& a, const Layout& b, const Layout& c) {
    if (a.kind != b.kind || a.kind != c.kind) return NOT_SUPPORTED;
    const bool wide = a.kind == R_64F;
    if (a.kind != R_64F && a.kind != R_32F && a.kind != R_16F && a.kind != R_16BF) return NOT_SUPPORTED;
    if (x.scale != (wide ? R_64F : R_32F)) return NOT_SUPPORTED;
    if (wide ? x.compute != COMPUTE_64F : x.compute != COMPUTE_32F && (x.compute != COMPUTE_32F_FAST_TF32 || a.kind != R_32F))
        return NOT_SUPPORTED;
    if (x.transpose_a < 0 || x.transpose_a > 1 || x.transpose_b < 0 || x.transpose_b > 1) return refuse("no such transposition");
    if (x.epilogue != PLAIN && x.epilogue != BIAS) return refuse("an epilogue that this stand-in does not know");
    const uint64_t m = x.transpose_a ? a.columns : a.rows, k = x.transpose_a ? a.rows : a.columns;
    const uint64_t n = x.transpose_b ? b.rows : b.columns, depth = x.transpose_b ? b.columns : b.rows;
    if (k != depth || c.rows != m || c.columns != n) return refuse("the sizes of the matrices do not fit together");
    if (!m || !n || !k) return refuse("a matrix is empty");
    if (a.count != b.count || a.count != c.count || a.count < 1) return refuse("the batches do not have the same size");
    for (const Layout* y : {&a, &b, &c})
        if (y->ld < int64_t(y->rows)) return refuse("a leading dimension is less than the rows");
    if (c.count > 1 && c.step < int64_t((c.columns - 1) * c.ld + c.rows)) return refuse("results of a batch overlap");
    return SUCCESS;
}

double number(const void* at, int scale) {
    if (scale == R_64F) return *static_cast<const double*>(at);
    return *static_cast<const float*>(at);
}

}  // namespace

API cublasLtCreate(void** handle) {
    if (const int status = injected("cublasLtCreate")) return status;
    *handle = new Handle;
    return SUCCESS;
}

EXPORT const char* cublasLtGetStatusName(int status) {
    switch (status) {
        case SUCCESS: return "CUBLAS_STATUS_SUCCESS";
        case NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
        case INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
        case EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
        case INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
        case NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    }
    return "an unknown status";
}

API cublasLtMatmulAlgoGetHeuristic(void* handle, void* operation, void* a, void* b, void* c, void* d, void* preference,
                                   int wanted, Choice* choices, int* found) {
    if (const int status = injected("cublasLtMatmulAlgoGetHeuristic")) return status;
    if (!handle) return NOT_INITIALIZED;
    if (wanted < 1) return refuse("no algorithm is asked for");
    if (c != d) return refuse("this stand-in wants C to be described as D is");
    const auto& x = *static_cast<const Operation*>(operation);
    const auto& prefers = *static_cast<const Preference*>(preference);
    const auto& a_layout = *static_cast<const Layout*>(a);
    const auto& b_layout = *static_cast<const Layout*>(b);
    const auto& c_layout = *static_cast<const Layout*>(c);
    *found = 0;
    if (const int status = check(x, a_layout, b_layout, c_layout)) return status;
    if (prefers.workspace < SCRATCH) return SUCCESS;
    if (!(prefers.implementations & TENSOR_CORES) && c_layout.kind != R_32F) return SUCCESS;
    Algorithm algorithm{MAGIC, hash(x, a_layout, b_layout, c_layout), SCRATCH, {}, 1};
    for (int i = 0; i < 5; i++) {
        if (i < 4) algorithm.alignment[i] = prefers.alignment[i];
        else algorithm.alignment[i] = x.epilogue == BIAS ? alignment_of(x.bias) : 1;
        if (i < 4 && algorithm.alignment[i] < VECTOR) algorithm.better = 0;
    }
    choices[0] = {};
    choices[0].algorithm = algorithm;
    choices[0].workspace = SCRATCH;
    *found = 1;
    return SUCCESS;
}

API cublasLtMatmul(void* handle, void* operation, const void* alpha, const void* a, void* a_layout, const void* b,
                   void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                   const Algorithm* algorithm, void* workspace, size_t nbytes, void* stream) {
    if (const int status = injected("cublasLtMatmul")) return status;
    if (!handle) return NOT_INITIALIZED;
    const auto& x = *static_cast<const Operation*>(operation);
    auto matrix = [](const void* data, const void* layout, bool transposed) {
        return Matrix{*static_cast<const Layout*>(layout), static_cast<char*>(const_cast<void*>(data)), transposed};
    };
    Product product{matrix(a, a_layout, x.transpose_a), matrix(b, b_layout, x.transpose_b), matrix(c, c_layout, false),
                    matrix(d, d_layout, false), 0, 0, 0, number(alpha, x.scale), number(beta, x.scale), nullptr,
                    static_cast<char*>(workspace), algorithm->scratch};
    const Layout& out = product.d.layout;
    if (const int status = check(x, product.a.layout, product.b.layout, out)) return status;
    if (c_layout != d_layout || c != d) return refuse("this stand-in wants C to be D");
    if (algorithm->magic != MAGIC) return refuse("that is no algorithm");
    if (algorithm->product != hash(x, product.a.layout, product.b.layout, out))
        return refuse("the algorithm was chosen for another product");
    if (nbytes < algorithm->scratch || !inside(workspace, nbytes)) return refuse("the workspace is too small");
    if (alignment_of(workspace) < 256) return refuse("a workspace must be aligned to 256 bytes");
    product.m = out.rows, product.n = out.columns;
    product.k = x.transpose_a ? product.a.layout.rows : product.a.layout.columns;
    const void* addresses[] = {a, b, c, d, x.epilogue == BIAS ? x.bias : nullptr};
    for (int i = 0; i < 5; i++)
        if (alignment_of(addresses[i]) < algorithm->alignment[i]) return refuse("an address is less aligned than was claimed");
    for (const Matrix* y : {&product.a, &product.b, &product.d})
        if (!inside(y->data, y->layout.extent())) return refuse("a matrix does not lie in memory of the device");
    if (x.epilogue == BIAS) {
        product.bias = static_cast<const char*>(x.bias);
        if (!product.bias || !inside(product.bias, product.m * size_of(out.kind)))
            return refuse("a bias does not lie in memory of the device");
        count("with a bias");
    }
    count("products");
    if (algorithm->better) count("by the better algorithm");
    return issue(product, stream);
}
