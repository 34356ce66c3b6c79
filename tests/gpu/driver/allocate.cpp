/* Allocation of memory, and what is known about pointers. */
#include "capture.h"
#include "context.h"
#include "memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

using namespace standin;

namespace {

constexpr size_t PAGE = 4096;

}  // namespace

API cuMemAlloc(CUdeviceptr* address, size_t nbytes) {
    return serve(__func__, [&] {
        auto context = current();
        Capture::forbid_unsafe("cuMemAlloc");
        required(address, "address") = memory().allocate(*context, nbytes);
    });
}

API cuMemFree(CUdeviceptr address) {
    return serve(__func__, [&] {
        auto context = current();
        Capture::forbid_unsafe("cuMemFree");
        context->synchronize();
        memory().release(address);
    });
}

API cuMemAllocAsync(CUdeviceptr* address, size_t nbytes, CUstream handle) {
    return serve(__func__, [&] {
        auto stream = stream_of(handle);
        Capture::forbid(*stream, "cuMemAllocAsync");
        try {
            required(address, "address") = memory().allocate(*stream->context, nbytes);
        } catch (const Failure& failure) {
            if (failure.code != CUDA_ERROR_OUT_OF_MEMORY) throw;
            stream->context->synchronize();     // what was given to cuMemFreeAsync may still be in use
            *address = memory().allocate(*stream->context, nbytes);
        }
    });
}

API cuMemFreeAsync(CUdeviceptr address, CUstream handle) {
    return serve(__func__, [&] {
        auto stream = stream_of(handle);
        Capture::forbid(*stream, "cuMemFreeAsync");
        auto allocation = memory().find(address);
        if (!allocation || allocation->begin != address)
            fail(CUDA_ERROR_INVALID_VALUE, "no allocation begins at %#llx", address);
        Use use{address, allocation->number};
        issue(stream, [use] {
            memory().check_alive(use, "cuMemFreeAsync");
            memory().release(use.address);
        });
    });
}

API cuMemGetInfo(size_t* free, size_t* total) {
    return serve(__func__, [&] {
        int device = current()->device;
        required(total, "total") = memory().total(device);
        required(free, "free") = *total - std::min(*total, memory().in_use(device));
    });
}

API cuMemGetAddressRange(CUdeviceptr* begin, size_t* nbytes, CUdeviceptr address) {
    return serve(__func__, [&] {
        auto allocation = memory().find(address, 1);
        if (!allocation) fail(CUDA_ERROR_NOT_FOUND, "%#llx is in no allocation", address);
        if (begin) *begin = allocation->begin;
        if (nbytes) *nbytes = allocation->nbytes;
    });
}

API cuMemHostAlloc(void** address, size_t nbytes, unsigned flags) {
    return serve(__func__, [&] {
        auto context = current();
        Capture::forbid_unsafe("cuMemHostAlloc");
        if (!nbytes) fail(CUDA_ERROR_INVALID_VALUE, "an allocation of no bytes");
        void* made = aligned_alloc(PAGE, (nbytes + PAGE - 1) / PAGE * PAGE);
        if (!made) fail(CUDA_ERROR_OUT_OF_MEMORY, "the host has not %zu bytes", nbytes);
        memset(made, Memory::FRESH, nbytes);
        memory().adopt({reinterpret_cast<uintptr_t>(made), nbytes, 0, CU_MEMORYTYPE_HOST, context->device,
                        context.get(), flags, false});
        required(address, "address") = made;
    });
}

API cuMemFreeHost(void* address) {
    return serve(__func__, [&] {
        current();
        Capture::forbid_unsafe("cuMemFreeHost");
        auto allocation = memory().forget(reinterpret_cast<uintptr_t>(address));
        memset(address, Memory::FREED, allocation.nbytes);
        free(address);
    });
}

API cuMemHostRegister(void* address, size_t nbytes, unsigned flags) {
    return serve(__func__, [&] {
        auto context = current();
        auto begin = reinterpret_cast<uintptr_t>(address);
        if (memory().find(begin, 1)) fail(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "%p", address);
        memory().adopt({begin, nbytes, 0, CU_MEMORYTYPE_HOST, context->device, context.get(), flags, false});
    });
}

API cuMemHostUnregister(void* address) {
    return serve(__func__, [&] { memory().forget(reinterpret_cast<uintptr_t>(address)); });
}

API cuMemHostGetDevicePointer(CUdeviceptr* out, void* address, unsigned) {
    return serve(__func__, [&] {
        auto allocation = memory().find(reinterpret_cast<uintptr_t>(address), 1);
        if (!allocation) fail(CUDA_ERROR_INVALID_VALUE, "%p is not page-locked", address);
        required(out, "address") = reinterpret_cast<CUdeviceptr>(address);
    });
}

API cuMemHostGetFlags(unsigned* flags, void* address) {
    return serve(__func__, [&] {
        auto allocation = memory().find(reinterpret_cast<uintptr_t>(address), 1);
        if (!allocation) fail(CUDA_ERROR_INVALID_VALUE, "%p is not page-locked", address);
        required(flags, "flags") = allocation->flags;
    });
}

API cuPointerGetAttribute(void* out, CUpointer_attribute attribute, CUdeviceptr address) {
    return serve(__func__, [&] {
        auto allocation = memory().find(address, 1);
        if (!allocation) fail(CUDA_ERROR_INVALID_VALUE, "%#llx is in no allocation", address);
        switch (attribute) {
        case CU_POINTER_ATTRIBUTE_CONTEXT: *static_cast<CUcontext*>(out) = allocation->context->handle; break;
        case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: *static_cast<unsigned*>(out) = allocation->type; break;
        case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *static_cast<CUdeviceptr*>(out) = address; break;
        case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *static_cast<int*>(out) = allocation->device; break;
        case CU_POINTER_ATTRIBUTE_IS_MANAGED: *static_cast<int*>(out) = 0; break;
        case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *static_cast<CUdeviceptr*>(out) = allocation->begin; break;
        case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *static_cast<size_t*>(out) = allocation->nbytes; break;
        default: fail(CUDA_ERROR_INVALID_VALUE, "the stand-in does not know attribute %d", attribute);
        }
    });
}

EXPORT size_t standin_bytes_in_use(int device) { return memory().in_use(device); }

EXPORT void standin_set_memory(int device, size_t nbytes) { memory().set_total(device, nbytes); }
