# cython: language_level=3
"""The memory of an NDArray as others see it: NumPy views and DLPack capsules, both without copying."""
cimport numpy as np
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New, PyCapsule_SetName
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free

from mxcy._types cimport MAX_NDIM, itemsize
from mxcy.engine._engine cimport var_wait_idle
from mxcy.gpu._device cimport device_start, devices, synchronize
from mxcy.ndarray._ndarray cimport NDArray, set_dims
from mxcy.storage._storage cimport GPU, chunk_wrap, raise_out_of_memory

from mxcy.base import MXNetNotImplementedError, MXNetTypeError, MXNetValueError
from mxcy.dtype import NAMES, NUMPY

np.import_array()

# The structures of DLPack 1.0, dmlc.github.io/dlpack.
cdef struct DLDevice:
    int32_t device_type
    int32_t device_id

cdef struct DLDataType:
    uint8_t code
    uint8_t bits
    uint16_t lanes

cdef struct DLTensor:
    void* data
    DLDevice device
    int32_t ndim
    DLDataType dtype
    int64_t* shape
    int64_t* strides                # NULL: dense, C order
    uint64_t byte_offset

cdef struct Managed:                # DLManagedTensor
    DLTensor tensor
    void* context
    void (*deleter)(Managed* self) noexcept

cdef struct Versioned:              # DLManagedTensorVersioned
    uint32_t major
    uint32_t minor
    void* context
    void (*deleter)(Versioned* self) noexcept
    uint64_t flags
    DLTensor tensor

cdef enum:
    READ_ONLY = 1                   # bit of Versioned.flags
    CPU = 1                         # device types of DLPack; those of the other enum are MXNet's
    CUDA = 2
    GPU_HOST = 3

cdef dict CODES = {0: (2, 32), 1: (2, 64), 2: (2, 16), 3: (1, 8), 4: (0, 32), 5: (0, 8), 6: (0, 64), 7: (6, 8), 12: (4, 16)}
cdef dict DTYPES = {pair: code for code, pair in CODES.items()}
cdef dict KINDS = {0: "int", 1: "uint", 2: "float", 3: "pointer", 4: "bfloat", 5: "complex", 6: "bool"}


def numpy_view(NDArray array not None):
    """A NumPy array over the memory of ``array``, which it keeps alive. The caller sees to waiting."""
    if array.chunk.device_type == GPU:
        raise MXNetValueError(f"the array is on {array.context}: NumPy cannot look into the memory of a GPU. Copy it with "
                              "asnumpy().")
    cdef int number = NUMPY[NAMES[array.code]].num
    cdef np.ndarray result = np.PyArray_SimpleNewFromData(array.rank, <np.npy_intp*>array.dims, number, array.data)
    Py_INCREF(array)
    np.PyArray_SetBaseObject(result, array)
    array.shared = True
    return result


def issued(NDArray array not None):
    """Wait until nothing that uses the array is queued any more: kernels of a GPU may still run, but are issued."""
    var_wait_idle(&array.chunk.var)


# -- giving ------------------------------------------------------------------------------------------------------------

cdef int describe(NDArray array, DLTensor* tensor) except -1:
    """Fill the tensor; its shape and strides are one allocation."""
    cdef int i
    cdef int64_t stride = 1
    tensor.shape = <int64_t*>calloc(2 * array.rank + 1, sizeof(int64_t))
    if tensor.shape == NULL:
        raise MemoryError
    tensor.strides = tensor.shape + array.rank
    for i in range(array.rank - 1, -1, -1):
        tensor.shape[i], tensor.strides[i] = array.dims[i], stride
        stride *= array.dims[i]
    tensor.data, tensor.ndim, tensor.byte_offset = array.data, array.rank, 0
    tensor.device.device_type, tensor.device.device_id = CPU, 0
    if array.chunk.device_type == GPU:
        tensor.device.device_type, tensor.device.device_id = CUDA, array.chunk.device_id
    tensor.dtype.code, tensor.dtype.bits = CODES[array.code]
    tensor.dtype.lanes = 1
    array.shared = True
    return 0


cdef void drop_managed(Managed* self) noexcept with gil:
    free(self.tensor.shape)
    Py_DECREF(<object>self.context)
    free(self)


cdef void drop_versioned(Versioned* self) noexcept with gil:
    free(self.tensor.shape)
    Py_DECREF(<object>self.context)
    free(self)


cdef void drop_capsule(object capsule) noexcept:
    """Of a capsule that nobody took."""
    cdef Managed* managed
    cdef Versioned* versioned
    if PyCapsule_IsValid(capsule, b"dltensor"):
        managed = <Managed*>PyCapsule_GetPointer(capsule, b"dltensor")
        managed.deleter(managed)
    elif PyCapsule_IsValid(capsule, b"dltensor_versioned"):
        versioned = <Versioned*>PyCapsule_GetPointer(capsule, b"dltensor_versioned")
        versioned.deleter(versioned)


def to_capsule(NDArray array not None, bint versioned=False):
    """A DLPack capsule over the memory of ``array``, which it keeps alive."""
    cdef Managed* managed
    cdef Versioned* newer
    if versioned:
        newer = <Versioned*>calloc(1, sizeof(Versioned))
        if newer == NULL:
            raise MemoryError
        describe(array, &newer.tensor)
        newer.major, newer.deleter, newer.context = 1, drop_versioned, <void*>array
        Py_INCREF(array)
        return PyCapsule_New(newer, b"dltensor_versioned", drop_capsule)
    managed = <Managed*>calloc(1, sizeof(Managed))
    if managed == NULL:
        raise MemoryError
    describe(array, &managed.tensor)
    managed.deleter, managed.context = drop_managed, <void*>array
    Py_INCREF(array)
    return PyCapsule_New(managed, b"dltensor", drop_capsule)


# -- taking ------------------------------------------------------------------------------------------------------------

cdef void wait_for_kernels(const DLTensor* tensor) noexcept nogil:
    """Whoever the memory goes back to knows nothing of our stream: what was issued to it must be done."""
    cdef char text[600]
    if tensor.device.device_type == CUDA:
        synchronize(tensor.device.device_id, text, sizeof(text))


cdef void free_managed(void* owner) noexcept nogil:
    wait_for_kernels(&(<Managed*>owner).tensor)
    with gil:
        if (<Managed*>owner).deleter != NULL:
            (<Managed*>owner).deleter(<Managed*>owner)


cdef void free_versioned(void* owner) noexcept nogil:
    wait_for_kernels(&(<Versioned*>owner).tensor)
    with gil:
        if (<Versioned*>owner).deleter != NULL:
            (<Versioned*>owner).deleter(<Versioned*>owner)


cdef int check(DLTensor* tensor) except -1:
    """The dtype number of a tensor that an NDArray can lie over; raises for others."""
    cdef int i
    cdef int64_t stride = 1
    if tensor.device.device_type not in (CPU, CUDA, GPU_HOST):
        raise MXNetNotImplementedError(f"from_dlpack: the array is on device type {tensor.device.device_type}; "
                                       "only memory of the CPU and of CUDA can be shared. Move it to the CPU first.")
    if tensor.device.device_type == CUDA:
        device_start(tensor.device.device_id)
    code = DTYPES.get((tensor.dtype.code, tensor.dtype.bits)) if tensor.dtype.lanes == 1 else None
    if code is None:
        raise MXNetTypeError(f"from_dlpack: dtype {KINDS.get(tensor.dtype.code, tensor.dtype.code)}{tensor.dtype.bits}"
                             f"{f' x {tensor.dtype.lanes}' if tensor.dtype.lanes > 1 else ''} is not one of "
                             f"{', '.join(NAMES.values())}")
    if tensor.ndim > MAX_NDIM:
        raise MXNetValueError(f"from_dlpack: the array has {tensor.ndim} axes; at most {MAX_NDIM} are possible")
    for i in range(tensor.ndim - 1, -1, -1):
        if tensor.strides != NULL and tensor.shape[i] > 1 and tensor.strides[i] != stride:
            raise MXNetValueError("from_dlpack: the array is not contiguous; make it so first, for instance with "
                                  "torch.Tensor.contiguous or numpy.ascontiguousarray")
        stride *= tensor.shape[i]
    if (<uintptr_t>tensor.data + tensor.byte_offset) % itemsize(code):
        raise MXNetValueError("from_dlpack: the data are not aligned to their element size; copy the array first")
    return code


def from_capsule(capsule):
    """An NDArray over the memory that a DLPack capsule offers. The capsule is used up."""
    cdef Managed* managed = NULL
    cdef Versioned* newer = NULL
    cdef DLTensor* tensor
    if PyCapsule_IsValid(capsule, b"dltensor"):
        managed = <Managed*>PyCapsule_GetPointer(capsule, b"dltensor")
        tensor = &managed.tensor
    elif PyCapsule_IsValid(capsule, b"dltensor_versioned"):
        newer = <Versioned*>PyCapsule_GetPointer(capsule, b"dltensor_versioned")
        if newer.major != 1:
            raise MXNetNotImplementedError(f"from_dlpack: DLPack {newer.major}.{newer.minor} is not known; expected 1.x")
        if newer.flags & READ_ONLY:
            raise MXNetValueError("from_dlpack: the array is read-only, and NDArrays are not; copy it with nd.array")
        tensor = &newer.tensor
    else:
        raise MXNetTypeError(f"from_dlpack: expected a DLPack capsule that was not used before, not {capsule!r}")
    cdef int code = check(tensor), i
    cdef Py_ssize_t dims[MAX_NDIM]
    for i in range(tensor.ndim):
        dims[i] = tensor.shape[i]
    cdef NDArray array = NDArray.__new__(NDArray)
    array.code, array.data, array.shared = code, <char*>tensor.data + tensor.byte_offset, True
    set_dims(array, tensor.ndim, dims)
    cdef bint on_gpu = tensor.device.device_type == CUDA
    array.chunk = chunk_wrap(array.data, array.nelem * itemsize(code), GPU if on_gpu else 1,
                             tensor.device.device_id if on_gpu else 0, free_managed if newer == NULL else free_versioned,
                             managed if newer == NULL else <void*>newer)
    if array.chunk == NULL:
        raise_out_of_memory(0)
    PyCapsule_SetName(capsule, b"used_dltensor" if newer == NULL else b"used_dltensor_versioned")
    return array


# -- CUDA's array interface ----------------------------------------------------------------------------------------------

def cuda_interface(NDArray array not None):
    """What ``__cuda_array_interface__`` says, version 3: consumers wait for our stream."""
    array.shared = True
    return {"shape": array.shape, "typestr": NUMPY[NAMES[array.code]].str, "data": (<uintptr_t>array.data, False),
            "version": 3, "strides": None, "stream": <uintptr_t>devices[array.chunk.device_id].compute}


cdef struct Foreign:                # memory of an object that has the interface
    void* kept
    int device


cdef void free_foreign(void* owner) noexcept nogil:
    cdef Foreign* foreign = <Foreign*>owner
    cdef char text[600]
    synchronize(foreign.device, text, sizeof(text))
    with gil:
        Py_DECREF(<object>foreign.kept)
    free(foreign)


def from_address(kept, uintptr_t address, tuple shape, int code, int device):
    """An NDArray over memory of a GPU that belongs to an object, which it keeps alive."""
    cdef NDArray array = NDArray.__new__(NDArray)
    cdef Py_ssize_t dims[MAX_NDIM]
    cdef int i
    if len(shape) > MAX_NDIM:
        raise MXNetValueError(f"the array has {len(shape)} axes; at most {MAX_NDIM} are possible")
    for i in range(len(shape)):
        dims[i] = shape[i]
    device_start(device)
    cdef Foreign* foreign = <Foreign*>calloc(1, sizeof(Foreign))
    if foreign == NULL:
        raise MemoryError
    foreign.kept, foreign.device = <void*>kept, device
    array.code, array.data, array.shared = code, <char*>address, True
    set_dims(array, len(shape), dims)
    array.chunk = chunk_wrap(array.data, array.nelem * itemsize(code), GPU, device, free_foreign, foreign)
    if array.chunk == NULL:
        free(foreign)
        raise_out_of_memory(0)
    Py_INCREF(kept)
    return array
