/* Copies and fills. */
#include "capture.h"
#include "context.h"
#include "memory.h"

#include <cstring>
#include <vector>

using namespace standin;

namespace {

/* One end of a copy. Page-locked memory is used when the stream gets there, and device memory; other memory of the host
 * before the call returns.
 */
class End {
  public:
    enum Kind { DEVICE, HOST, EITHER };

    End(uintptr_t address, size_t nbytes, Kind kind) : address_(address) {
        bool on_device = memory().device_at(address) >= 0;
        auto allocation = memory().find(address, nbytes);
        if (allocation) {
            on_device = allocation->type == CU_MEMORYTYPE_DEVICE;
            number_ = allocation->number;
        }
        if (kind == DEVICE && !allocation)
            fail(CUDA_ERROR_INVALID_VALUE, "%zu bytes at %#zx are in no allocation", nbytes, address);
        if (on_device && !allocation)
            fail(CUDA_ERROR_INVALID_VALUE, "%zu bytes at %#zx go beyond an allocation", nbytes, address);
        if (kind == HOST && on_device)
            fail(CUDA_ERROR_INVALID_VALUE, "%#zx is memory of a device, not of the host", address);
        if (!allocation) required(bytes(), "the host's memory");
    }

    bool pageable() const { return !number_; }
    char* bytes() const { return reinterpret_cast<char*>(address_); }

    void check() const {
        if (number_) memory().check_alive({address_, number_}, "a copy");
    }

  private:
    uintptr_t address_;
    uint64_t number_ = 0;
};

void copy(const End& to, const End& from, size_t nbytes, const std::shared_ptr<Stream>& stream, bool wait) {
    if (!nbytes) return;
    if (to.pageable() || from.pageable())
        Capture::forbid(*stream, "a copy from or to memory of the host that is not page-locked");
    Operation operation;
    if (from.pageable()) {
        auto staged = std::make_shared<std::vector<char>>(from.bytes(), from.bytes() + nbytes);
        operation = [=] {
            to.check();
            memcpy(to.bytes(), staged->data(), nbytes);
        };
    } else {
        operation = [=] {
            to.check();
            from.check();
            memmove(to.bytes(), from.bytes(), nbytes);
        };
    }
    Point end = issue(stream, std::move(operation));
    if (wait || to.pageable()) synchronize(stream->context, {end});
}

/* In the order of the legacy stream, and the host waits. */
void copy_now(const End& to, const End& from, size_t nbytes) {
    auto stream = stream_of(nullptr);
    Capture::forbid_unsafe("a copy that is not asynchronous");
    copy(to, from, nbytes, stream, true);
}

template <class T> CUresult fill(const char* name, CUdeviceptr address, T value, size_t count, CUstream handle) {
    return serve(name, [=] {
        auto stream = stream_of(handle);
        if (!count) return;
        if (address % sizeof(T)) fail(CUDA_ERROR_INVALID_VALUE, "%#llx is not aligned to %zu", address, sizeof(T));
        auto allocation = memory().find(address, count * sizeof(T));
        if (!allocation)
            fail(CUDA_ERROR_INVALID_VALUE, "%zu bytes at %#llx are in no allocation", count * sizeof(T), address);
        const Context& context = *stream->context;
        if (allocation->device != context.device && !context.peers.count(allocation->device))
            fail(CUDA_ERROR_INVALID_VALUE, "device %d fills memory of device %d", context.device, allocation->device);
        Use use{address, allocation->number};
        issue(stream, [=] {
            memory().check_alive(use, "a fill");
            std::fill_n(reinterpret_cast<T*>(address), count, value);
        });
    });
}

}  // namespace

API cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t n) {
    return serve(__func__, [=] { copy_now({to, n, End::EITHER}, {from, n, End::EITHER}, n); });
}

API cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return serve(__func__,
                 [=] { copy({to, n, End::EITHER}, {from, n, End::EITHER}, n, stream_of(stream), false); });
}

API cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t n) {
    return serve(__func__, [=] { copy_now({to, n, End::DEVICE}, {uintptr_t(from), n, End::HOST}, n); });
}

API cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t n, CUstream stream) {
    return serve(__func__,
                 [=] { copy({to, n, End::DEVICE}, {uintptr_t(from), n, End::HOST}, n, stream_of(stream), false); });
}

API cuMemcpyDtoH(void* to, CUdeviceptr from, size_t n) {
    return serve(__func__, [=] { copy_now({uintptr_t(to), n, End::HOST}, {from, n, End::DEVICE}, n); });
}

API cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t n, CUstream stream) {
    return serve(__func__,
                 [=] { copy({uintptr_t(to), n, End::HOST}, {from, n, End::DEVICE}, n, stream_of(stream), false); });
}

/* The host does not wait for copies within a device, nor between devices, nor for fills: as on a real one. */
API cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t n) {
    return serve(__func__,
                 [=] { copy({to, n, End::DEVICE}, {from, n, End::DEVICE}, n, stream_of(nullptr), false); });
}

API cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t n, CUstream stream) {
    return serve(__func__,
                 [=] { copy({to, n, End::DEVICE}, {from, n, End::DEVICE}, n, stream_of(stream), false); });
}

API cuMemcpyPeer(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n) {
    return cuMemcpyDtoD(to, from, n);
}

API cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t n, CUstream stream) {
    return serve(__func__,
                 [=] { copy({to, n, End::DEVICE}, {from, n, End::DEVICE}, n, stream_of(stream), false); });
}

API cuMemsetD8(CUdeviceptr at, unsigned char value, size_t n) { return fill(__func__, at, value, n, nullptr); }
API cuMemsetD16(CUdeviceptr at, unsigned short value, size_t n) { return fill(__func__, at, value, n, nullptr); }
API cuMemsetD32(CUdeviceptr at, unsigned value, size_t n) { return fill(__func__, at, value, n, nullptr); }

API cuMemsetD8Async(CUdeviceptr at, unsigned char value, size_t n, CUstream stream) {
    return fill(__func__, at, value, n, stream);
}

API cuMemsetD16Async(CUdeviceptr at, unsigned short value, size_t n, CUstream stream) {
    return fill(__func__, at, value, n, stream);
}

API cuMemsetD32Async(CUdeviceptr at, unsigned value, size_t n, CUstream stream) {
    return fill(__func__, at, value, n, stream);
}
