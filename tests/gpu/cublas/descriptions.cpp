#include "descriptions.h"

#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace standin {

namespace {

auto& lock = *new std::mutex;
auto& counts = *new std::map<std::string, long>;
auto& faults = *new std::map<std::string, int>;

/* A place that an attribute is written to, if the value has its size. */
template <class T> int assign(T& place, const void* value, size_t nbytes) {
    if (!value || nbytes != sizeof(T)) return refuse("the value of an attribute does not have its size");
    memcpy(&place, value, nbytes);
    return SUCCESS;
}

template <class T> int make(const char* function, void** out, const T& thing) {
    if (const int status = injected(function)) return status;
    *out = new T(thing);
    count("descriptions");
    return SUCCESS;
}

template <class T> int destroy(void* thing) {
    if (!thing) return refuse("nothing to destroy");
    delete static_cast<T*>(thing);
    count("descriptions", -1);
    return SUCCESS;
}

}  // namespace

int refuse(const char* why) {
    fprintf(stderr, "stand-in for cuBLASLt: %s\n", why);
    return INVALID_VALUE;
}

void count(const char* what, long by) {
    std::lock_guard<std::mutex> guard(lock);
    counts[what] += by;
}

int injected(const char* function) {
    std::lock_guard<std::mutex> guard(lock);
    const auto found = faults.find(function);
    if (found == faults.end()) return SUCCESS;
    const int status = found->second;
    faults.erase(found);
    return status;
}

}  // namespace standin

using namespace standin;

EXPORT long standin_count(const char* what) {
    std::lock_guard<std::mutex> guard(lock);
    return counts[what];
}

EXPORT void standin_fail(const char* function, int status) {
    std::lock_guard<std::mutex> guard(lock);
    faults[function] = status;
}

API cublasLtMatmulDescCreate(void** out, int compute, int scale) {
    return make("cublasLtMatmulDescCreate", out, Operation{compute, scale});
}

API cublasLtMatmulDescSetAttribute(void* described, int attribute, const void* value, size_t nbytes) {
    if (const int status = injected("cublasLtMatmulDescSetAttribute")) return status;
    auto& x = *static_cast<Operation*>(described);
    switch (attribute) {
        case 3: return assign(x.transpose_a, value, nbytes);
        case 4: return assign(x.transpose_b, value, nbytes);
        case 7: return assign(x.epilogue, value, nbytes);
        case 8: return assign(x.bias, value, nbytes);
    }
    return refuse("an attribute of an operation that this stand-in does not know");
}

API cublasLtMatmulDescDestroy(void* described) { return destroy<Operation>(described); }

API cublasLtMatrixLayoutCreate(void** out, int kind, uint64_t rows, uint64_t columns, int64_t ld) {
    return make("cublasLtMatrixLayoutCreate", out, Layout{kind, rows, columns, ld});
}

API cublasLtMatrixLayoutSetAttribute(void* described, int attribute, const void* value, size_t nbytes) {
    auto& x = *static_cast<Layout*>(described);
    switch (attribute) {
        case 5: return assign(x.count, value, nbytes);
        case 6: return assign(x.step, value, nbytes);
    }
    return refuse("an attribute of a layout that this stand-in does not know");
}

API cublasLtMatrixLayoutDestroy(void* described) { return destroy<Layout>(described); }

API cublasLtMatmulPreferenceCreate(void** out) { return make("cublasLtMatmulPreferenceCreate", out, Preference{}); }

API cublasLtMatmulPreferenceSetAttribute(void* described, int attribute, const void* value, size_t nbytes) {
    auto& x = *static_cast<Preference*>(described);
    switch (attribute) {
        case 1: return assign(x.workspace, value, nbytes);
        case 5: case 6: case 7: case 8: return assign(x.alignment[attribute - 5], value, nbytes);
        case 12: return assign(x.implementations, value, nbytes);
    }
    return refuse("an attribute of a preference that this stand-in does not know");
}

API cublasLtMatmulPreferenceDestroy(void* described) { return destroy<Preference>(described); }
