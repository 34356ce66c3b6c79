/* A stand-in for libnccl: the functions that mxcy calls, for all devices of one process driven by one thread.
 *
 * A collective is an operation on each device's stream. There the streams wait for each other, as NCCL's kernels do; the
 * last to come computes, with loops over what is then in memory. So whoever forgets to order the streams gets wrong
 * numbers. Arguments are checked when a group ends: what would hang or spoil memory with NCCL is an error here, and
 * ncclGetErrorString says what is wrong.
 */
#include <cuda.h>
#include <dlfcn.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <vector>

#include "mxcy/ops/half.h"

#define API extern "C" __attribute__((visibility("default")))

enum Result { SUCCESS = 0, CUDA_FAILED = 1, INVALID_ARGUMENT = 4, INVALID_USAGE = 5 };

namespace {

enum Kind { ALL_REDUCE, REDUCE, BROADCAST };

const size_t SIZES[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};        // bytes of each ncclDataType_t

thread_local std::string problem;
std::mutex mutex;
std::map<std::string, long> calls;                              // how often each function was called
std::map<std::string, long> failing;                            // functions whose next calls fail

int fail(Result result, const std::string& text) {
    problem = text;
    return result;
}

/* Whether a function works this time. */
bool works(const char* function) {
    std::lock_guard<std::mutex> hold(mutex);
    calls[function]++;
    if (!failing[function]) return true;
    failing[function]--;
    problem = "a fault that was injected";
    return false;
}

/* A function of the driver that the program uses. */
template <class Function> Function* driver(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

struct Clique {
    std::vector<int> devices;
};

}  // namespace

struct ncclComm {
    std::shared_ptr<Clique> clique;
    int rank;
    CUcontext context;
};

namespace {

struct Issued {
    Kind kind;
    const void* source;
    void* target;
    size_t count;
    int type;
    int root;
    ncclComm* comm;
    CUstream stream;
};

thread_local int depth = 0;
thread_local std::vector<Issued> group;

/* ---- computing ---- */

template <class T, class Wide, class Read, class Write>
void add_up(const std::vector<Issued>& all, Read read, Write write) {
    size_t count = all[0].count;
    std::vector<Wide> sums(count);
    for (auto& one : all)
        for (size_t i = 0; i < count; i++) sums[i] += read(static_cast<const T*>(one.source)[i]);
    for (auto& one : all)
        if (one.kind == ALL_REDUCE || one.comm->rank == one.root)
            for (size_t i = 0; i < count; i++) static_cast<T*>(one.target)[i] = write(sums[i]);
}

template <class T> void add_up(const std::vector<Issued>& all) {
    using Wide = std::conditional_t<std::is_integral_v<T>, std::make_unsigned_t<std::conditional_t<
        std::is_integral_v<T>, T, int>>, T>;                    // unsigned, for the sums may overflow
    add_up<T, Wide>(all, [](T x) { return Wide(x); }, [](Wide x) { return T(x); });
}

void compute(const std::vector<Issued>& all) {
    if (all[0].kind == BROADCAST) {
        auto& from = all[all[0].root];
        for (auto& one : all)
            if (one.target != from.source) memcpy(one.target, from.source, one.count * SIZES[one.type]);
        return;
    }
    switch (all[0].type) {
    case 0: return add_up<int8_t>(all);
    case 1: return add_up<uint8_t>(all);
    case 2: return add_up<int32_t>(all);
    case 3: return add_up<uint32_t>(all);
    case 4: return add_up<int64_t>(all);
    case 5: return add_up<uint64_t>(all);
    case 6: return add_up<uint16_t, float>(all, mxcy_half_one, mxcy_to_half_one);
    case 7: return add_up<float>(all);
    case 8: return add_up<double>(all);
    default: return add_up<uint16_t, float>(all, mxcy_bfloat16_one, mxcy_to_bfloat16_one);
    }
}

/* Where the streams of a collective wait for each other. */
struct Meeting {
    std::vector<Issued> all;
    size_t arrived = 0;
    std::mutex mutex;
    std::condition_variable complete;

    void arrive() {
        std::unique_lock<std::mutex> hold(mutex);
        if (++arrived == all.size()) {
            compute(all);
            complete.notify_all();
        } else if (!complete.wait_for(hold, std::chrono::seconds(30), [&] { return arrived == all.size(); })) {
            fprintf(stderr, "stand-in NCCL: a device did not come to a collective within 30 s\n");
        }
    }
};

void CUDA_CB arrive(void* data) {
    std::unique_ptr<std::shared_ptr<Meeting>> meeting(static_cast<std::shared_ptr<Meeting>*>(data));
    (*meeting)->arrive();
}

/* ---- checking and issuing ---- */

/* Text that says what is wrong with memory that a device is to use; empty if nothing is. */
std::string wrong(const void* address, const Issued& one) {
    auto at = reinterpret_cast<CUdeviceptr>(address);
    int device = -1, expected = one.comm->clique->devices[one.comm->rank];
    CUdeviceptr base = 0;
    size_t size = 0;
    if (driver<decltype(cuPointerGetAttribute)>("cuPointerGetAttribute")(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                                                         at))
        return "an address that is not the device's memory";
    if (device != expected)
        return "memory of device " + std::to_string(device) + " for device " + std::to_string(expected);
    if (driver<decltype(cuMemGetAddressRange)>("cuMemGetAddressRange_v2")(&base, &size, at) ||
        at + one.count * SIZES[one.type] > base + size)
        return "more elements than the memory holds";
    return "";
}

std::string wrong(const Issued& one) {
    bool root = one.comm->rank == one.root, reads = one.kind != BROADCAST || root, writes = one.kind != REDUCE || root;
    if (one.type < 0 || one.type >= int(std::size(SIZES))) return "an unknown type";
    if (one.root < 0 || one.root >= int(one.comm->clique->devices.size())) return "a root that is no rank";
    std::string text = reads ? wrong(one.source, one) : "";
    return text.empty() && writes ? wrong(one.target, one) : text;
}

/* The calls of a clique, collective by collective. */
int issue(const Clique& clique, const std::vector<Issued>& given) {
    std::vector<std::vector<Issued>> ranks(clique.devices.size());
    for (auto& one : given) ranks[one.comm->rank].push_back(one);
    for (auto& rank : ranks)
        if (rank.size() != ranks[0].size())
            return fail(INVALID_USAGE, "a group in which the devices take part in different numbers of collectives: they "
                                       "would wait for good");
    auto set = driver<decltype(cuCtxSetCurrent)>("cuCtxSetCurrent");
    for (size_t i = 0; i < ranks[0].size(); i++) {
        auto meeting = std::make_shared<Meeting>();
        for (auto& rank : ranks) {
            auto &one = rank[i], &first = ranks[0][i];
            if (one.kind != first.kind || one.count != first.count || one.type != first.type || one.root != first.root)
                return fail(INVALID_USAGE, "devices that take part in one collective with different arguments");
            if (set(one.comm->context)) return fail(CUDA_FAILED, "the context cannot be set");
            auto text = wrong(one);
            if (!text.empty()) return fail(INVALID_ARGUMENT, text);
            meeting->all.push_back(one);
        }
        for (auto& one : meeting->all)
            if (set(one.comm->context) ||
                driver<decltype(cuLaunchHostFunc)>("cuLaunchHostFunc")(one.stream, arrive,
                                                                       new std::shared_ptr<Meeting>(meeting)))
                return fail(CUDA_FAILED, "a stream does not take the collective");
    }
    return SUCCESS;
}

int add(const char* function, const Issued& one) {
    if (!works(function)) return CUDA_FAILED;
    if (!one.comm) return fail(INVALID_ARGUMENT, "no communicator");
    if (!depth) return fail(INVALID_USAGE, "one device alone, outside of a group: it would wait for the others for good");
    group.push_back(one);
    return SUCCESS;
}

}  // namespace

API int ncclGetVersion(int* version) {
    *version = 22703;
    return SUCCESS;
}

API const char* ncclGetErrorString(int result) { return result ? problem.c_str() : "no error"; }

API int ncclCommInitAll(ncclComm** comms, int count, const int* devices) {
    if (!works("ncclCommInitAll")) return CUDA_FAILED;
    auto clique = std::make_shared<Clique>();
    clique->devices.assign(devices, devices + count);
    for (int rank = 0; rank < count; rank++) {
        CUcontext context;
        if (driver<decltype(cuDevicePrimaryCtxRetain)>("cuDevicePrimaryCtxRetain")(&context, devices[rank]))
            return fail(CUDA_FAILED, "a device cannot be used");
        comms[rank] = new ncclComm{clique, rank, context};
    }
    return SUCCESS;
}

API int ncclGroupStart() {
    depth++;
    return SUCCESS;
}

API int ncclGroupEnd() {
    if (!works("ncclGroupEnd")) {
        depth = 0;
        group.clear();
        return CUDA_FAILED;
    }
    if (!depth) return fail(INVALID_USAGE, "the end of a group that has no start");
    if (--depth) return SUCCESS;
    std::vector<Issued> all;
    all.swap(group);
    std::map<Clique*, std::vector<Issued>> cliques;
    for (auto& one : all) cliques[one.comm->clique.get()].push_back(one);
    for (auto& [clique, given] : cliques)
        if (int result = issue(*clique, given)) return result;
    return SUCCESS;
}

API int ncclAllReduce(const void* source, void* target, size_t count, int type, int operation, ncclComm* comm,
                      CUstream stream) {
    if (operation) return fail(INVALID_ARGUMENT, "the stand-in only adds");
    return add("ncclAllReduce", {ALL_REDUCE, source, target, count, type, 0, comm, stream});
}

API int ncclReduce(const void* source, void* target, size_t count, int type, int operation, int root, ncclComm* comm,
                   CUstream stream) {
    if (operation) return fail(INVALID_ARGUMENT, "the stand-in only adds");
    return add("ncclReduce", {REDUCE, source, target, count, type, root, comm, stream});
}

API int ncclBroadcast(const void* source, void* target, size_t count, int type, int root, ncclComm* comm,
                      CUstream stream) {
    return add("ncclBroadcast", {BROADCAST, source, target, count, type, root, comm, stream});
}

/* For tests. */
API long standin_nccl_calls(const char* function) {
    std::lock_guard<std::mutex> hold(mutex);
    return calls[function];
}

API void standin_nccl_fail(const char* function, long times) {
    std::lock_guard<std::mutex> hold(mutex);
    failing[function] = times;
}
