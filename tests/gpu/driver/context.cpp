#include "context.h"

#include "capture.h"
#include "memory.h"

#include <algorithm>

namespace standin {

namespace {

thread_local std::vector<std::shared_ptr<Context>> stack;

std::vector<std::weak_ptr<Context>>& all_contexts() {
    static auto& all = *new std::vector<std::weak_ptr<Context>>;
    return all;
}

std::shared_ptr<Context> create(int device) {
    auto context = std::make_shared<Context>(device);
    context->handle = contexts().add(context);
    all_contexts().push_back(context);
    return context;
}

std::shared_ptr<Context> primary(CUdevice device) {
    static auto* all = new std::shared_ptr<Context>[MAX_DEVICES];
    if (device < 0 || device >= device_count())
        fail(CUDA_ERROR_INVALID_DEVICE, "device %d of %d", device, device_count());
    if (!all[device]) all[device] = create(device);
    return all[device];
}

}  // namespace

int device_count() {
    static const int count = std::min<int>(setting("STANDIN_DEVICES", 2), MAX_DEVICES);
    return count;
}

Registry<CUcontext, Context>& contexts() {
    static auto& registry = *new Registry<CUcontext, Context>;
    return registry;
}

std::shared_ptr<Context> top_context() { return stack.empty() ? nullptr : stack.back(); }

std::shared_ptr<Context> current() {
    if (stack.empty()) fail(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
    stack.back()->check();
    return stack.back();
}

void heal_contexts() {
    for (auto& known : all_contexts())
        if (auto context = known.lock()) {
            for (auto& point : context->ends()) point.wait();
            context->heal();
        }
}

void synchronize(const std::shared_ptr<Context>& context, const std::vector<Point>& points) {
    {
        Call::Pause pause;
        for (auto& point : points) point.wait();
    }
    if (ended) fail(CUDA_ERROR_DEINITIALIZED, "the process is ending");
    context->check();
}

bool Context::is_fatal(CUresult code) {
    return code == CUDA_ERROR_ILLEGAL_ADDRESS || code == CUDA_ERROR_LAUNCH_TIMEOUT || code == CUDA_ERROR_ASSERT ||
           (code >= CUDA_ERROR_HARDWARE_STACK_ERROR && code <= CUDA_ERROR_LAUNCH_FAILED) ||
           code == CUDA_ERROR_ECC_UNCORRECTABLE;
}

void Context::spoil(const Failure& failure) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (spoilt_) return;
    failure_ = failure;
    spoilt_ = true;
    record(failure);
}

void Context::check() const {
    if (destroyed_) fail(CUDA_ERROR_CONTEXT_IS_DESTROYED, "a context of device %d that was destroyed", device);
    if (!spoilt_) return;
    std::lock_guard<std::mutex> lock(mutex_);
    throw failure_;
}

std::shared_ptr<Stream> Context::legacy() {
    if (!legacy_) legacy_ = Stream::start(shared_from_this(), Stream::LEGACY);
    return legacy_;
}

std::vector<Point> Context::ends() const {
    std::vector<Point> points;
    for (auto& known : streams)
        if (auto stream = known.lock()) points.push_back(stream->end());
    return points;
}

void Context::synchronize() { standin::synchronize(shared_from_this(), ends()); }

void Context::destroy() {
    destroyed_ = true;
    {
        auto points = ends();
        Call::Pause pause;
        for (auto& point : points) point.wait();
    }
    for (auto& known : streams)
        if (auto stream = known.lock()) stream->close();
    legacy_ = nullptr;
    streams.clear();
    peers.clear();
    memory().release_all(this);
    heal();
}

}  // namespace standin

using namespace standin;

API cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    return serve(__func__, [&] {
        auto found = primary(device);
        found->users++;
        found->revive();
        required(context, "context") = found->handle;
    });
}

API cuDevicePrimaryCtxRelease(CUdevice device) {
    return serve(__func__, [&] {
        auto found = primary(device);
        if (!found->users) fail(CUDA_ERROR_INVALID_CONTEXT, "released more often than retained");
        if (--found->users == 0) found->destroy();
    });
}

API cuCtxCreate(CUcontext* context, CUctxCreateParams*, unsigned, CUdevice device) {
    return serve(__func__, [&] {
        primary(device);    // is there such a device?
        auto made = create(device);
        stack.push_back(made);
        required(context, "context") = made->handle;
    });
}

API cuCtxDestroy(CUcontext context) {
    return serve(__func__, [&] {
        auto taken = contexts().take(context);
        taken->destroy();
        if (top_context() == taken) stack.pop_back();
    });
}

API cuCtxDetach(CUcontext context) { return cuCtxDestroy(context); }

API cuCtxPushCurrent(CUcontext context) {
    return serve(__func__, [&] { stack.push_back(contexts().get(context)); });
}

API cuCtxPopCurrent(CUcontext* context) {
    return serve(__func__, [&] {
        if (stack.empty()) fail(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
        if (context) *context = stack.back()->handle;
        stack.pop_back();
    });
}

API cuCtxSetCurrent(CUcontext context) {
    return serve(__func__, [&] {
        auto next = context ? contexts().get(context) : nullptr;
        if (!stack.empty()) stack.pop_back();
        if (next) stack.push_back(next);
    });
}

API cuCtxGetCurrent(CUcontext* context) {
    return serve(__func__, [&] { required(context, "context") = stack.empty() ? nullptr : stack.back()->handle; });
}

API cuCtxGetDevice(CUdevice* device) {
    return serve(__func__, [&] { required(device, "device") = current()->device; });
}

API cuCtxGetStreamPriorityRange(int* least, int* greatest) {
    return serve(__func__, [&] {
        current();
        if (least) *least = 0;
        if (greatest) *greatest = -5;
    });
}

API cuCtxSynchronize() {
    return serve(__func__, [] {
        auto context = current();
        Capture::forbid_unsafe("cuCtxSynchronize");
        context->synchronize();
    });
}

API cuCtxEnablePeerAccess(CUcontext peer, unsigned) {
    return serve(__func__, [&] {
        auto context = current();
        int device = contexts().get(peer)->device;
        if (device == context->device) fail(CUDA_ERROR_INVALID_DEVICE, "device %d is no peer of itself", device);
        if (!setting("STANDIN_PEERS", 1)) fail(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, "STANDIN_PEERS is 0");
        if (!context->peers.insert(device).second)
            fail(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "from device %d to %d", context->device, device);
    });
}

API cuCtxDisablePeerAccess(CUcontext peer) {
    return serve(__func__, [&] {
        auto context = current();
        int device = contexts().get(peer)->device;
        if (!context->peers.erase(device))
            fail(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "from device %d to %d", context->device, device);
    });
}
