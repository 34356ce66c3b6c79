# cython: language_level=3
"""NVIDIA's driver, opened when first needed: mxcy itself is built and imported without it."""
from libc.stdio cimport snprintf
from posix.dlfcn cimport RTLD_GLOBAL, RTLD_NOW, dlerror, dlopen, dlsym

import os
import threading

from mxcy.base import MXNetError

cdef enum:
    OLDEST = 12000                  # CUDA 12: the first driver whose cubins and functions all of this was written for


cdef struct Entry:
    const char* name
    void** place


cdef list failure = []              # why the driver cannot be used, once that is known
cdef bint loaded = False
_loading = threading.Lock()


cdef int resolve(void* library) except -1:
    cdef Entry* entry
    cdef Entry[36] table = [
        Entry(b"cuInit", <void**>&cu.init),
        Entry(b"cuDriverGetVersion", <void**>&cu.version),
        Entry(b"cuDeviceGetCount", <void**>&cu.device_count),
        Entry(b"cuCtxSetCurrent", <void**>&cu.context_set),
        Entry(b"cuCtxGetCurrent", <void**>&cu.context_get),
        Entry(b"cuDeviceCanAccessPeer", <void**>&cu.peer_reachable),
        Entry(b"cuCtxEnablePeerAccess", <void**>&cu.peer_enable),
        Entry(b"cuMemGetInfo_v2", <void**>&cu.memory_info),
        Entry(b"cuMemAlloc_v2", <void**>&cu.malloc),
        Entry(b"cuMemFree_v2", <void**>&cu.free),
        Entry(b"cuMemHostAlloc", <void**>&cu.host_malloc),
        Entry(b"cuMemFreeHost", <void**>&cu.host_free),
        Entry(b"cuMemcpyHtoDAsync_v2", <void**>&cu.upload),
        Entry(b"cuMemcpyDtoHAsync_v2", <void**>&cu.download),
        Entry(b"cuMemcpyDtoDAsync_v2", <void**>&cu.copy),
        Entry(b"cuMemcpyPeerAsync", <void**>&cu.copy_peer),
        Entry(b"cuMemsetD8Async", <void**>&cu.fill),
        Entry(b"cuStreamSynchronize", <void**>&cu.stream_synchronize),
        Entry(b"cuStreamWaitEvent", <void**>&cu.stream_wait),
        Entry(b"cuEventCreate", <void**>&cu.event_create),
        Entry(b"cuEventRecord", <void**>&cu.event_record),
        Entry(b"cuEventSynchronize", <void**>&cu.event_synchronize),
        Entry(b"cuEventQuery", <void**>&cu.event_query),
        Entry(b"cuModuleLoadData", <void**>&cu.module_load),
        Entry(b"cuModuleGetFunction", <void**>&cu.module_function),
        Entry(b"cuFuncSetAttribute", <void**>&cu.function_set),
        Entry(b"cuLaunchKernel", <void**>&cu.launch),
        Entry(b"cuPointerGetAttribute", <void**>&cu.pointer_attribute),
        Entry(b"cuStreamCreate", <void**>&cu.stream_create),
        Entry(b"cuStreamBeginCapture_v2", <void**>&cu.capture_begin),
        Entry(b"cuStreamEndCapture", <void**>&cu.capture_end),
        Entry(b"cuGraphInstantiateWithFlags", <void**>&cu.graph_instantiate),
        Entry(b"cuGraphLaunch", <void**>&cu.graph_launch),
        Entry(b"cuGraphDestroy", <void**>&cu.graph_destroy),
        Entry(b"cuGraphExecDestroy", <void**>&cu.executable_destroy),
        Entry(NULL, NULL),
    ]
    # What makes all other errors readable comes first.
    cu.error_name = <int (*)(int, const char**) noexcept nogil>dlsym(library, b"cuGetErrorName")
    cu.error_text = <int (*)(int, const char**) noexcept nogil>dlsym(library, b"cuGetErrorString")
    if cu.error_name == NULL or cu.error_text == NULL:
        raise MXNetError("the library that was opened as NVIDIA's driver lacks cuGetErrorName: it is no CUDA driver")
    entry = table
    while entry.name != NULL:
        entry.place[0] = dlsym(library, entry.name)
        if entry.place[0] == NULL:
            raise MXNetError(f"NVIDIA's driver lacks {entry.name.decode()}: it is older than CUDA {OLDEST // 1000}. "
                             "Install a newer driver, or use mx.cpu().")
        entry += 1
    return 0


cdef int open_driver() except -1:
    cdef int version = 0
    cdef const char* message
    path = os.environ.get("MXCY_LIBCUDA") or "libcuda.so.1"
    cdef bytes name = os.fsencode(path)
    # Global, so that PyCUDA, which is linked with libcuda.so.1, finds the same one.
    cdef void* library = dlopen(name, RTLD_NOW | RTLD_GLOBAL)
    if library == NULL:
        message = dlerror()
        raise MXNetError(f"there is no GPU that mxcy can use here: no NVIDIA driver "
                         f"({message.decode(errors='replace')}). Use mx.cpu(), or install the driver and restart.")
    resolve(library)
    check(cu.version(&version), b"asking the driver for its version")
    if version < OLDEST:
        raise MXNetError(f"NVIDIA's driver supports CUDA {version // 1000}.{version % 1000 // 10}; mxcy needs "
                         f"{OLDEST // 1000} or newer. Install a newer driver, or use mx.cpu().")
    cdef int status = cu.init(0)
    if status == NO_DEVICE:
        raise MXNetError("there is no GPU that mxcy can use here: NVIDIA's driver finds no device. Use mx.cpu(); if there "
                         "is one, see whether CUDA_VISIBLE_DEVICES hides it.")
    check(status, b"starting the driver")
    return 0


cdef int load() except -1:
    global loaded
    if loaded:
        return 0
    with _loading:
        if loaded:
            return 0
        if not failure:
            try:
                open_driver()
                loaded = True
                return 0
            except MXNetError as error:
                failure.append(str(error))
        raise MXNetError(failure[0])


cdef void explain(int status, const char* doing, char* text, Py_ssize_t room) noexcept nogil:
    cdef const char* name = NULL
    cdef const char* what = NULL
    if cu.error_name(status, &name) != 0 or name == NULL:
        name = b"an error that the driver has no name for"
    if cu.error_text(status, &what) != 0 or what == NULL:
        what = b""
    snprintf(text, room, b"%s failed: %s (%d) %s", doing, name, status, what)


cdef int check(int status, const char* doing) except -1:
    cdef char text[400]
    if status:
        explain(status, doing, text, sizeof(text))
        raise MXNetError(text.decode("utf-8", "replace"))
    return 0


def device_count():
    """Number of devices that the driver sees; MXNetError says why there can be none."""
    cdef int count = 0, status
    load()
    status = cu.device_count(&count)
    if status != NO_DEVICE:
        check(status, b"counting devices")
    return count
