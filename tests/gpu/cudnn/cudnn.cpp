/* A stand-in for libcudnn: the graph interface, as far as it describes a convolution and a sum and rectifier behind it,
 * computed by loops in the order of the stream that the handle has. What NVIDIA's documentation asks of descriptors is checked. Of the ways to
 * compute that the heuristics name, the first ones are traps for a caller who does not read what the library says of them.
 */
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../library.h"

#define API extern "C" __attribute__((visibility("default")))

using namespace standin;

namespace {

enum Status { SUCCESS = 0, BAD_PARAM = 2000, NOT_INITIALIZED = 1001, NOT_SUPPORTED = 3000, EXECUTION_FAILED = 5000 };
enum Kind {
    POINTWISE = 0, CONVOLUTION = 1, ENGINE = 2, CONFIGURATION = 3, HEURISTICS = 4, PLAN = 5, FORWARD = 10, BACKWARD_WEIGHT = 11,
    BACKWARD_DATA = 12, POINTWISE_OPERATION = 13, GRAPH = 15, POINTERS = 16, TENSOR = 17
};
enum Type { A_DTYPE = 1, AN_INT64 = 3, A_FLOAT = 4, A_DOUBLE = 5, A_DESCRIPTOR = 15 };
enum Dtype { F32 = 0, F64 = 1, F16 = 2, BF16 = 9 };
enum Note { TENSOR_CORES = 0, ROUNDED_INPUTS = 1, SHORT_SUMS = 2 };
/* Ways to compute, in the order in which the heuristics name them; the last is that of the fallback. */
enum Way { ROUNDED, SHORT, UNSUPPORTED, HUGE, PLAIN };

const size_t WORKSPACE = 768;

struct Attribute {
    int type;
    int64_t n;
    std::string bytes;
};

struct Descriptor {
    int kind;
    bool finished = false;
    int way = PLAIN;
    std::map<int, Attribute> attributes;

    bool has(int name) const { return attributes.count(name); }
    template <class T> std::vector<T> all(int name) const {
        const Attribute& attribute = attributes.at(name);
        std::vector<T> values(attribute.n);
        memcpy(static_cast<void*>(values.data()), attribute.bytes.data(), attribute.bytes.size());
        return values;
    }
    template <class T> T one(int name) const { return all<T>(name).at(0); }
    const Descriptor& descriptor(int name) const { return *one<const Descriptor*>(name); }
};

struct Handle {
    void* stream = nullptr;
};

struct Tensor {
    int64_t extents[5], strides[5];         // batch, channels, three axes
    char* data;
};

struct Problem {                            // tensors: data, weights, result; what is added to that
    Tensor tensors[3];
    std::vector<Tensor> added;
    bool rectified;
    int64_t stride[3], dilate[3], pad[3];
    int direction, dtype, way;
    char* workspace;
};

long executions;

int refuse(const std::string& why) {
    fprintf(stderr, "stand-in for cuDNN: %s\n", why.c_str());
    return BAD_PARAM;
}

size_t bytes_of(int type) {
    return type == A_DTYPE || type == A_FLOAT || type == 7 || type == 8 || type == 11 || type == 14 ? 4
           : type == 2 || type == 24 ? 1 : 8;
}

/* All elements of a tensor as numbers, in the order of its extents. */
std::vector<double> read(const Tensor& t, int dtype, bool rounded) {
    std::vector<double> values;
    for (int64_t a = 0; a < t.extents[0]; a++)
        for (int64_t b = 0; b < t.extents[1]; b++)
            for (int64_t c = 0; c < t.extents[2]; c++)
                for (int64_t d = 0; d < t.extents[3]; d++)
                    for (int64_t e = 0; e < t.extents[4]; e++) {
                        const int64_t at = a * t.strides[0] + b * t.strides[1] + c * t.strides[2] + d * t.strides[3]
                                           + e * t.strides[4];
                        const double value = load(t.data + at * size_of(dtype), dtype);
                        values.push_back(rounded ? float_of(uint32_t(bfloat16_of(float(value))) << 16) : value);
                    }
    return values;
}

void write(const Tensor& t, int dtype, const std::vector<double>& values) {
    auto next = values.begin();
    for (int64_t a = 0; a < t.extents[0]; a++)
        for (int64_t b = 0; b < t.extents[1]; b++)
            for (int64_t c = 0; c < t.extents[2]; c++)
                for (int64_t d = 0; d < t.extents[3]; d++)
                    for (int64_t e = 0; e < t.extents[4]; e++)
                        store(t.data + (a * t.strides[0] + b * t.strides[1] + c * t.strides[2] + d * t.strides[3]
                                        + e * t.strides[4]) * int64_t(size_of(dtype)), dtype, *next++);
}

/* All three directions are the same sum of products, over what is not computed. */
void run(void* argument) {
    const auto p = static_cast<const Problem*>(argument);
    const int64_t *x = p->tensors[0].extents, *w = p->tensors[1].extents, *y = p->tensors[2].extents;
    if (p->workspace) memset(p->workspace, 0xA5, WORKSPACE);
    std::vector<double> values[3];
    for (int i = 0; i < 3; i++)
        if (i != p->direction) values[i] = read(p->tensors[i], p->dtype, p->way == ROUNDED);
    const Tensor& out = p->tensors[p->direction];
    values[p->direction].resize(out.extents[0] * out.extents[1] * out.extents[2] * out.extents[3] * out.extents[4]);
    const int64_t filters = y[1] / (x[1] / w[1]);           // of a group
    for (int64_t n = 0; n < x[0]; n++)
        for (int64_t k = 0; k < y[1]; k++)
            for (int64_t c = 0; c < w[1]; c++)
                for (int64_t o0 = 0; o0 < y[2]; o0++)
                    for (int64_t k0 = 0; k0 < w[2]; k0++) {
                        const int64_t i0 = o0 * p->stride[0] - p->pad[0] + k0 * p->dilate[0];
                        if (i0 < 0 || i0 >= x[2]) continue;
                        for (int64_t o1 = 0; o1 < y[3]; o1++)
                            for (int64_t k1 = 0; k1 < w[3]; k1++) {
                                const int64_t i1 = o1 * p->stride[1] - p->pad[1] + k1 * p->dilate[1];
                                if (i1 < 0 || i1 >= x[3]) continue;
                                for (int64_t o2 = 0; o2 < y[4]; o2++)
                                    for (int64_t k2 = 0; k2 < w[4]; k2++) {
                                        const int64_t i2 = o2 * p->stride[2] - p->pad[2] + k2 * p->dilate[2];
                                        if (i2 < 0 || i2 >= x[4]) continue;
                                        const int64_t channel = k / filters * w[1] + c;
                                        double& data = values[0][(((n * x[1] + channel) * x[2] + i0) * x[3] + i1) * x[4] + i2];
                                        double& weight = values[1][(((k * w[1] + c) * w[2] + k0) * w[3] + k1) * w[4] + k2];
                                        double& result = values[2][(((n * y[1] + k) * y[2] + o0) * y[3] + o1) * y[4] + o2];
                                        if (p->direction == 0) data += weight * result;
                                        else if (p->direction == 1) weight += data * result;
                                        else result += data * weight;
                                    }
                            }
                    }
    std::vector<double>& made = values[p->direction];
    for (const Tensor& added : p->added) {
        Tensor spread = added;                  // an axis of one element is the same all along the result
        for (int i = 0; i < 5; i++)
            if (added.extents[i] == 1) spread.extents[i] = out.extents[i], spread.strides[i] = 0;
        const auto terms = read(spread, p->dtype, false);
        for (size_t i = 0; i < made.size(); i++) made[i] += terms[i];
    }
    for (double& value : made)
        if (p->rectified && value < 0) value = 0;
    write(out, p->dtype, made);
}

/* -- descriptors ---------------------------------------------------------------------------------------------------- */

int base_of(int kind) { return kind == FORWARD ? 700 : kind == BACKWARD_DATA ? 706 : 712; }

/* The tensors of an operation: data, weights, result. */
std::vector<const Descriptor*> tensors_of(const Descriptor& operation) {
    const int base = base_of(operation.kind);
    return {&operation.descriptor(base + 4), &operation.descriptor(base + 3), &operation.descriptor(base + 5)};
}

int check_tensor(const Descriptor& d) {
    const auto extents = d.all<int64_t>(902), strides = d.all<int64_t>(903);
    if (extents.size() != strides.size()) return refuse("a tensor has other numbers of extents and strides");
    for (size_t i = 0; i < extents.size(); i++)
        if (extents[i] < 1 || strides[i] < 1) return refuse("an extent or stride of a tensor is not positive");
    if (d.one<int64_t>(900) % size_of(d.one<int>(901))) return refuse("an alignment is no multiple of the element's size");
    return SUCCESS;
}

int check_operation(const Descriptor& d) {
    const Descriptor& convolution = d.descriptor(base_of(d.kind) + 2);
    const auto tensors = tensors_of(d);
    const size_t axes = convolution.one<int64_t>(106);
    for (int name : {102, 103, 104, 105})
        if (convolution.all<int64_t>(name).size() != axes) return refuse("a convolution has other numbers of axes");
    for (const Descriptor* tensor : tensors) {
        if (!tensor->finished) return refuse("a tensor is not finalized");
        if (tensor->all<int64_t>(902).size() != axes + 2) return refuse("a tensor has another number of axes");
        if (tensor->one<int>(901) != tensors[0]->one<int>(901) && !tensor->has(907)) return NOT_SUPPORTED;
    }
    const bool wide = convolution.one<int>(100) == F64;
    if (wide != (tensors[0]->one<int>(901) == F64)) return NOT_SUPPORTED;
    if (d.attributes.at(base_of(d.kind)).type != (wide ? A_DOUBLE : A_FLOAT)) return refuse("alpha has the wrong type");
    const auto x = tensors[0]->all<int64_t>(902), w = tensors[1]->all<int64_t>(902), y = tensors[2]->all<int64_t>(902);
    if (x[0] != y[0] || w[0] != y[1] || x[1] % w[1] || y[1] % (x[1] / w[1])) return refuse("channels do not fit");
    int64_t reach = 1, elements = 1;
    const auto strides = tensors[1]->all<int64_t>(903);
    for (size_t i = 0; i < w.size(); i++) reach += (w[i] - 1) * strides[i], elements *= w[i];
    if (reach != elements) return refuse("the weights have gaps");
    for (size_t i = 0; i < axes; i++) {
        const int64_t dilate = convolution.all<int64_t>(102)[i], stride = convolution.all<int64_t>(103)[i];
        const int64_t pad = convolution.all<int64_t>(105)[i];
        if (pad != convolution.all<int64_t>(104)[i]) return NOT_SUPPORTED;
        if (y[2 + i] != 1 + (x[2 + i] + 2 * pad - dilate * (w[2 + i] - 1) - 1) / stride)
            return refuse("the extents of data, weights and result do not fit");
    }
    return SUCCESS;
}

/* What NVIDIA has kernels for: a convolution; or one, perhaps an addend like its result, a bias, perhaps a rectifier. */
int check_graph(const Descriptor& d) {
    const auto operations = d.all<const Descriptor*>(801);
    const Descriptor* result = tensors_of(*operations[0])[2];
    std::string sums;
    bool rectified = false;
    for (size_t i = 1; i < operations.size(); i++) {
        const Descriptor& operation = *operations[i];
        if (operation.kind != POINTWISE_OPERATION || !result->has(907) || &operation.descriptor(751) != result)
            return NOT_SUPPORTED;
        const int mode = operation.descriptor(750).one<int>(0);
        if (rectified || (mode != 0 && mode != 100) || operation.has(752) != (mode == 0)) return NOT_SUPPORTED;
        rectified = mode == 100;
        if (mode == 0) {
            const auto extents = operation.descriptor(752).all<int64_t>(902), whole = result->all<int64_t>(902);
            bool bias = extents[1] == whole[1];
            for (size_t k = 0; k < extents.size(); k++) bias = bias && (k == 1 || extents[k] == 1);
            if (!bias && extents != whole) return refuse("a summand has another shape than the result");
            sums += bias ? 'b' : 'a';
        }
        result = &operation.descriptor(753);
    }
    if (result->has(907)) return refuse("the result is virtual");
    return operations.size() == 1 || sums == "b" || sums == "ab" ? SUCCESS : NOT_SUPPORTED;
}

const std::map<int, std::vector<int>> NEEDED = {
    {POINTWISE, {0, 1}}, {POINTWISE_OPERATION, {750, 751, 753}}, {CONVOLUTION, {100, 101, 102, 103, 104, 105, 106}}, {HEURISTICS, {200, 201}}, {PLAN, {400, 401}},
    {FORWARD, {700, 701, 702, 703, 704, 705}}, {BACKWARD_DATA, {706, 707, 708, 709, 710, 711}},
    {BACKWARD_WEIGHT, {712, 713, 714, 715, 716, 717}}, {GRAPH, {800, 801}}, {POINTERS, {1000, 1001, 1003}},
    {TENSOR, {900, 901, 902, 903, 906}}};

int64_t workspace_of(int way) { return way == HUGE ? int64_t(1) << 50 : WORKSPACE; }

int fill_tensor(Tensor& t, const Descriptor& d, char* data) {
    const auto extents = d.all<int64_t>(902), strides = d.all<int64_t>(903);
    size_t last = 0;
    for (int i = 0; i < 5; i++) {                       // two axes are three, the first of one element
        const int from = extents.size() == 5 || i < 2 ? i : i - 1;
        const bool there = extents.size() == 5 || i != 2;
        t.extents[i] = there ? extents[from] : 1;
        t.strides[i] = there ? strides[from] : 0;
        last += (t.extents[i] - 1) * t.strides[i];
    }
    t.data = data;
    const int dtype = d.one<int>(901);
    if (reinterpret_cast<uintptr_t>(data) % d.one<int64_t>(900)) return refuse("a tensor is not aligned as was promised");
    return inside(data, (last + 1) * size_of(dtype)) ? SUCCESS : refuse("a tensor is not in memory of the device");
}

}  // namespace

API int cudnnCreate(void** handle) {
    *handle = new Handle;
    return SUCCESS;
}

API int cudnnSetStream(void* handle, void* stream) {
    static_cast<Handle*>(handle)->stream = stream;
    return SUCCESS;
}

API const char* cudnnGetErrorString(int status) {
    switch (status) {
        case SUCCESS: return "CUDNN_STATUS_SUCCESS";
        case BAD_PARAM: return "CUDNN_STATUS_BAD_PARAM";
        case NOT_INITIALIZED: return "CUDNN_STATUS_NOT_INITIALIZED";
        case NOT_SUPPORTED: return "CUDNN_STATUS_NOT_SUPPORTED";
    }
    return "CUDNN_STATUS_EXECUTION_FAILED";
}

API int cudnnBackendCreateDescriptor(int kind, void** descriptor) {
    auto made = new Descriptor;
    made->kind = kind;
    *descriptor = made;
    return SUCCESS;
}

API int cudnnBackendDestroyDescriptor(void* descriptor) {
    delete static_cast<Descriptor*>(descriptor);
    return SUCCESS;
}

API int cudnnBackendSetAttribute(void* descriptor, int name, int type, int64_t n, const void* values) {
    auto& d = *static_cast<Descriptor*>(descriptor);
    if (d.finished) return refuse("a finalized descriptor cannot be changed");
    d.attributes[name] = {type, n, std::string(static_cast<const char*>(values), n * bytes_of(type))};
    return SUCCESS;
}

API int cudnnBackendFinalize(void* descriptor) {
    auto& d = *static_cast<Descriptor*>(descriptor);
    if (!NEEDED.count(d.kind)) return NOT_SUPPORTED;
    for (int name : NEEDED.at(d.kind))
        if (!d.has(name)) return refuse("a descriptor of kind " + std::to_string(d.kind) + " lacks " + std::to_string(name));
    int status = d.kind == TENSOR ? check_tensor(d) : SUCCESS;
    if (d.kind == FORWARD || d.kind == BACKWARD_DATA || d.kind == BACKWARD_WEIGHT) status = check_operation(d);
    if (d.kind == GRAPH) status = check_graph(d);
    if (d.kind == PLAN && d.descriptor(401).way == UNSUPPORTED) status = NOT_SUPPORTED;
    d.finished = status == SUCCESS;
    return status;
}

API int cudnnBackendGetAttribute(void* descriptor, int name, int, int64_t room, int64_t* n, void* values) {
    const auto& d = *static_cast<const Descriptor*>(descriptor);
    const auto descriptors = static_cast<Descriptor**>(values);
    if (d.kind == HEURISTICS && name == 202) {
        const std::vector<int> ways = d.one<int>(200) == 2 ? std::vector<int>{PLAIN}
                                                           : std::vector<int>{ROUNDED, SHORT, UNSUPPORTED, HUGE};
        *n = ways.size();
        for (size_t i = 0; i < ways.size() && int64_t(i) < room; i++) {
            descriptors[i]->way = ways[i];
            descriptors[i]->attributes[201] = d.attributes.at(201);
        }
    } else if (d.kind == CONFIGURATION && name == 300) {
        *n = 1;
        descriptors[0]->way = d.way;
    } else if (d.kind == ENGINE && name == 1303) {
        const std::vector<int> notes = d.way == ROUNDED ? std::vector<int>{TENSOR_CORES, ROUNDED_INPUTS}
                                       : d.way == SHORT ? std::vector<int>{SHORT_SUMS} : std::vector<int>{};
        *n = notes.size();
        memcpy(values, notes.data(), notes.size() * 4);
    } else if (d.kind == PLAN && name == 402) {
        *n = 1;
        *static_cast<int64_t*>(values) = workspace_of(d.descriptor(401).way);
    } else {
        return refuse("there is nothing to get as " + std::to_string(name));
    }
    return SUCCESS;
}

API int cudnnBackendExecute(void* handle, void* plan, void* pointers) {
    if (!handle) return NOT_INITIALIZED;
    const auto& configuration = static_cast<const Descriptor*>(plan)->descriptor(401);
    const auto& given = *static_cast<const Descriptor*>(pointers);
    if (!given.finished) return refuse("the pointers are not finalized");
    const auto operations = configuration.descriptor(201).all<const Descriptor*>(801);
    const auto& operation = *operations[0];
    const auto& convolution = operation.descriptor(base_of(operation.kind) + 2);
    const auto identities = given.all<int64_t>(1000);
    const auto data = given.all<char*>(1001);
    auto tensors = tensors_of(operation);
    Problem p{};
    for (size_t i = 1; i < operations.size(); i++) {
        p.rectified = !operations[i]->has(752);
        if (!p.rectified) tensors.push_back(&operations[i]->descriptor(752));
        tensors[2] = &operations[i]->descriptor(753);
    }
    p.added.resize(tensors.size() - 3);
    for (size_t i = 0; i < tensors.size(); i++) {
        Tensor& tensor = i < 3 ? p.tensors[i] : p.added[i - 3];
        for (size_t k = 0; k < identities.size(); k++)
            if (identities[k] == tensors[i]->one<int64_t>(906))
                if (const int status = fill_tensor(tensor, *tensors[i], data[k])) return status;
        if (!tensor.data) return refuse("a tensor has no pointer");
    }
    const int axes = int(convolution.one<int64_t>(106));
    for (int i = 0; i < 3; i++) {
        const int from = i - (3 - axes);
        p.dilate[i] = from < 0 ? 1 : convolution.all<int64_t>(102)[from];
        p.stride[i] = from < 0 ? 1 : convolution.all<int64_t>(103)[from];
        p.pad[i] = from < 0 ? 0 : convolution.all<int64_t>(105)[from];
    }
    p.direction = operation.kind == FORWARD ? 2 : operation.kind == BACKWARD_DATA ? 0 : 1;
    p.dtype = tensors[0]->one<int>(901);
    p.way = configuration.way;
    p.workspace = given.one<char*>(1003);
    if (!inside(p.workspace, WORKSPACE)) return refuse("the workspace is not in memory of the device");
    executions++;
    // Kept for good: a recording may run it again.
    return call_in(static_cast<Handle*>(handle)->stream, run, new Problem(p)) ? EXECUTION_FAILED : SUCCESS;
}

/* How often something was executed. */
API long standin_executions() { return executions; }
