/* The driver itself and what it tells about devices: each is like a small H100. */
#include "context.h"
#include "memory.h"

#include <cstdio>
#include <cstring>

using namespace standin;

namespace {

void check_device(CUdevice device) {
    if (device < 0 || device >= device_count())
        fail(CUDA_ERROR_INVALID_DEVICE, "device %d of %d", device, device_count());
}

int attribute_of(CUdevice device, CUdevice_attribute attribute) {
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return 9;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return 0;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 4;    // few: what depends on it is quickly emulated
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return MAX_THREADS;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 0x7fffffff;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: return 2048;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: return 32;
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK:
    case CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR: return 65536;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: return DEFAULT_SHARED;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: return MAX_SHARED;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: return MAX_SHARED + 1024;
    case CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY: return 65536;
    case CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: return 50 << 20;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1980000;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: return 3;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: return device + 1;
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: return 1;
    default: return 0;
    }
}

}  // namespace

API cuInit(unsigned) {
    return serve(__func__, [] {
        if (device_count() < 1) fail(CUDA_ERROR_NO_DEVICE, "STANDIN_DEVICES is 0");
        Call::initialize();
    }, Call::ANY);
}

API cuDriverGetVersion(int* version) {
    return serve(__func__, [&] { required(version, "version") = setting("STANDIN_VERSION", 13000); }, Call::ANY);
}

API cuDeviceGetCount(int* count) {
    return serve(__func__, [&] { required(count, "count") = device_count(); });
}

API cuDeviceGet(CUdevice* device, int ordinal) {
    return serve(__func__, [&] {
        check_device(ordinal);
        required(device, "device") = ordinal;
    });
}

API cuDeviceGetName(char* name, int room, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        snprintf(name, room, "CPU as CUDA device %d", device);
    });
}

API cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        memset(uuid->bytes, 0x50 + device, sizeof(uuid->bytes));
    });
}

API cuDeviceGetPCIBusId(char* text, int room, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        snprintf(text, room, "0000:%02x:00.0", device + 1);
    });
}

API cuDeviceGetByPCIBusId(CUdevice* device, const char* text) {
    return serve(__func__, [&] {
        unsigned bus;
        if (sscanf(text, "0000:%x:00.0", &bus) != 1) fail(CUDA_ERROR_INVALID_VALUE, "'%s' is no bus id", text);
        check_device(bus - 1);
        *device = bus - 1;
    });
}

API cuDeviceComputeCapability(int* major, int* minor, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        *major = attribute_of(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
        *minor = attribute_of(device, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    });
}

API cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        *value = attribute_of(device, attribute);
    });
}

API cuDeviceTotalMem(size_t* nbytes, CUdevice device) {
    return serve(__func__, [&] {
        check_device(device);
        *nbytes = memory().total(device);
    });
}

API cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
    return serve(__func__, [&] {
        check_device(device);
        check_device(peer);
        *can = device != peer && setting("STANDIN_PEERS", 1);
    });
}
