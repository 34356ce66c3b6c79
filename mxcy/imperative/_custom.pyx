# cython: language_level=3, boundscheck=False, wraparound=False
"""Kernels that run Python: custom operators inside of plans.

The first input of such a kernel is no number but the address of a Python object, in an array that keeps it alive: one
object a call, so that forward and backward of the same call share it, and no others do. The arrays that Python sees are
copies. User code may keep them, and the operators it calls on them have variables to wait on that no task holds.
"""
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from mxcy._types cimport INT64, Call, Tensor, fail, itemsize
from mxcy.ndarray._ndarray cimport NDArray, empty, set_dims, wait_read
from mxcy.ops._kernel cimport flops_t
from mxcy.storage._storage cimport chunk_wrap, raise_out_of_memory

from mxcy.ops._kernel import Kernel
from mxcy.ops.packing import every


cdef void drop(void* owner) noexcept nogil:
    with gil:
        Py_DECREF(<object>(<PyObject**>owner)[0])
    free(owner)


def hold(thing):
    """An int64 array of one element: the address of a Python object, which lives as long as the array's memory."""
    cdef NDArray array = NDArray.__new__(NDArray)
    cdef Py_ssize_t one = 1
    cdef PyObject** place = <PyObject**>malloc(sizeof(PyObject*))
    if place == NULL:
        raise MemoryError
    array.chunk = chunk_wrap(place, sizeof(PyObject*), 1, 0, drop, place)
    if array.chunk == NULL:
        free(place)
        raise_out_of_memory(sizeof(PyObject*))
    place[0] = <PyObject*>thing
    Py_INCREF(thing)
    array.code, array.data = INT64, <char*>place
    set_dims(array, 1, &one)
    return array


cdef NDArray like(const Tensor* tensor):
    return empty(tensor.dtype, tensor.ndim, tensor.shape, 1, 0)


cdef int perform(const Tensor* inputs, Tensor* outputs, Call* call, bint forward) except -1:
    cdef list given = [], results = []
    cdef NDArray array
    cdef int i
    for i in range(1, call.n_inputs):
        array = like(&inputs[i])
        memcpy(array.data, inputs[i].data, inputs[i].size * itemsize(inputs[i].dtype))
        given.append(array)
    for i in range(call.n_outputs):
        results.append(like(&outputs[i]))
    invocation = <object>(<PyObject**>inputs[0].data)[0]
    if forward:
        invocation.run_forward(bool(call.train), given, results)
    else:
        invocation.run_backward((<const char*>call.params).decode(), given, results)
    for i in range(call.n_outputs):
        array = <NDArray>results[i]
        wait_read(array)
        memcpy(outputs[i].data, array.data, outputs[i].size * itemsize(outputs[i].dtype))
    for i in range(1, call.n_inputs):
        if call.mutated >> i & 1:
            array = <NDArray>given[i - 1]
            wait_read(array)
            memcpy(inputs[i].data, array.data, inputs[i].size * itemsize(inputs[i].dtype))
    return 0


cdef int run(const Tensor* inputs, Tensor* outputs, Call* call, bint forward) noexcept nogil:
    cdef int status = 0
    with gil:
        try:
            perform(inputs, outputs, call, forward)
        except BaseException as error:
            text = str(error).encode()
            status = fail(call, b"%s", <const char*>text)
    return status


cdef int run_forward(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(inputs, outputs, call, True)


cdef int run_backward(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(inputs, outputs, call, False)


cdef double effort(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    """Python takes its time: such a call is never run in the thread that asks for it."""
    return 1e7


def letters(params):
    return params["needs"].encode() + b"\0"


FORWARD = Kernel("custom_forward", every(<uintptr_t><void*>run_forward), flops=<uintptr_t><flops_t>effort)
BACKWARD = Kernel("custom_backward", every(<uintptr_t><void*>run_backward), pack=letters, flops=<uintptr_t><flops_t>effort)
