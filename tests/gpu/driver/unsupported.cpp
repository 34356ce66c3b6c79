/* What PyCUDA is linked with and nobody here calls, and the look-up of functions by name. No cuda.h here: these have no
 * parameters, whatever they are declared with.
 */
#include <dlfcn.h>

#include <cstdint>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

enum { SUCCESS = 0, NOT_FOUND = 500, NOT_SUPPORTED = 801 };

#define FUNCTIONS(X)                                                                                                   \
    X(cuArray3DCreate_v2) X(cuArray3DGetDescriptor_v2) X(cuArrayCreate_v2) X(cuArrayDestroy)                           \
    X(cuArrayGetDescriptor_v2) X(cuCtxAttach) X(cuCtxGetApiVersion) X(cuCtxGetCacheConfig) X(cuCtxGetLimit)            \
    X(cuCtxGetSharedMemConfig) X(cuCtxSetCacheConfig) X(cuCtxSetLimit) X(cuCtxSetSharedMemConfig)                      \
    X(cuFuncSetCacheConfig) X(cuFuncSetSharedSize) X(cuIpcCloseMemHandle) X(cuIpcGetEventHandle) X(cuIpcGetMemHandle)  \
    X(cuIpcOpenEventHandle) X(cuIpcOpenMemHandle_v2) X(cuLaunch) X(cuLaunchGrid) X(cuLaunchGridAsync)                  \
    X(cuLinkAddData_v2) X(cuLinkAddFile_v2) X(cuLinkComplete) X(cuLinkCreate_v2) X(cuLinkDestroy) X(cuMemAllocManaged) \
    X(cuMemAllocPitch_v2) X(cuMemcpy2DAsync_v2) X(cuMemcpy2DUnaligned_v2) X(cuMemcpy2D_v2) X(cuMemcpy3DAsync_v2)       \
    X(cuMemcpy3DPeer) X(cuMemcpy3DPeerAsync) X(cuMemcpy3D_v2) X(cuMemcpyAtoA_v2) X(cuMemcpyAtoD_v2) X(cuMemcpyAtoH_v2) \
    X(cuMemcpyDtoA_v2) X(cuMemcpyHtoA_v2) X(cuMemsetD2D16Async) X(cuMemsetD2D16_v2) X(cuMemsetD2D32Async)              \
    X(cuMemsetD2D32_v2) X(cuMemsetD2D8Async) X(cuMemsetD2D8_v2) X(cuModuleGetSurfRef) X(cuModuleGetTexRef)             \
    X(cuModuleLoad) X(cuParamSetSize) X(cuParamSetTexRef) X(cuParamSetf) X(cuParamSeti) X(cuParamSetv)                 \
    X(cuProfilerInitialize) X(cuProfilerStart) X(cuProfilerStop) X(cuStreamAttachMemAsync) X(cuSurfRefGetArray)        \
    X(cuSurfRefSetArray) X(cuTexRefCreate) X(cuTexRefDestroy) X(cuTexRefGetAddressMode) X(cuTexRefGetAddress_v2)       \
    X(cuTexRefGetArray) X(cuTexRefGetFilterMode) X(cuTexRefGetFlags) X(cuTexRefGetFormat) X(cuTexRefSetAddress2D_v3)   \
    X(cuTexRefSetAddressMode) X(cuTexRefSetAddress_v2) X(cuTexRefSetArray) X(cuTexRefSetFilterMode)                    \
    X(cuTensorMapEncodeIm2col) X(cuTensorMapEncodeTiled) X(cuTexRefSetFlags) X(cuTexRefSetFormat)

#define NO_FUNCTION(name) EXPORT int name() { return NOT_SUPPORTED; }
FUNCTIONS(NO_FUNCTION)

/* The newest form of a function that there is. */
EXPORT int cuGetProcAddress_v2(const char* name, void** address, int, uint64_t, int* status) {
    Dl_info own;
    dladdr(reinterpret_cast<void*>(cuGetProcAddress_v2), &own);
    static void* library = dlopen(own.dli_fname, RTLD_NOW | RTLD_NOLOAD);
    *address = nullptr;
    for (const char* version : {"_v4", "_v3", "_v2", ""})
        if (!*address) *address = dlsym(library, (std::string(name) + version).c_str());
    if (status) *status = *address ? 0 : 1;       // CU_GET_PROC_ADDRESS_SUCCESS or _SYMBOL_NOT_FOUND
    return *address ? SUCCESS : NOT_FOUND;
}

/* NVIDIA's own NVRTC asks, if it is in the same process: no is an answer, but without the function it crashes. */
EXPORT int cuGetExportTable(const void** table, const void*) {
    *table = nullptr;
    return NOT_FOUND;
}
