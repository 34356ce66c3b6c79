# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Batches of sequences of different lengths, with time along axis 0 or 1: masking and reversing."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memcpy

from mxcy._types cimport (BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, fail,
                          itemsize, kernel_t)
from mxcy.ops._index cimport KEEP, load
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef struct SequenceParams:
    double value
    int axis                        # of time: 0 or 1

cdef struct View:                   # steps of `inner` elements: of sequence i at time t
    Py_ssize_t steps, count, inner
    Py_ssize_t by_step, by_count    # in elements
    Py_ssize_t* length

ctypedef fused number:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef int make_view(View* v, const Tensor* inputs, Call* call) noexcept nogil:
    cdef const SequenceParams* p = <const SequenceParams*>call.params
    cdef const Tensor* data = &inputs[0]
    cdef Py_ssize_t i
    v.steps, v.count = data.shape[p.axis], data.shape[1 - p.axis]
    v.inner = data.size // (v.steps * v.count)
    v.by_step = v.inner if p.axis else v.inner * v.count
    v.by_count = v.inner * v.steps if p.axis else v.inner
    v.length = <Py_ssize_t*>scratch_new(v.count * sizeof(Py_ssize_t))
    if v.length == NULL:
        return fail(call, "no memory for %lld lengths", <long long>v.count)
    if call.n_inputs > 1:
        load(v.length, inputs[1].data, inputs[1].dtype, v.count, v.steps, KEEP)
    for i in range(v.count):
        v.length[i] = min(max(v.length[i], <Py_ssize_t>0), v.steps) if call.n_inputs > 1 else v.steps
    return 0


cdef void fill(number* out, Py_ssize_t n, number value) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = value


cdef void mask_step(number* out, const number* data, const View* v, Py_ssize_t t, number value) noexcept nogil:
    """Step t of all sequences, with time along axis 0."""
    cdef Py_ssize_t i
    if v.inner == 1:
        for i in range(v.count):
            out[i] = data[i] if t < v.length[i] else value
        return
    for i in range(v.count):
        if t < v.length[i]:
            memcpy(out + i * v.inner, data + i * v.inner, v.inner * sizeof(number))
        else:
            fill(out + i * v.inner, v.inner, value)


cdef void mask_sequence(number* out, const number* data, const View* v, Py_ssize_t i, number value) noexcept nogil:
    """All steps of sequence i, with time along axis 1."""
    cdef Py_ssize_t n = v.length[i] * v.inner
    memcpy(out, data, n * sizeof(number))
    fill(out + n, v.steps * v.inner - n, value)


cdef int mask_(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    """A value in place of the steps after the end of a sequence."""
    cdef const number* data = <const number*>inputs[0].data
    cdef number* out = <number*>outputs[0].data
    cdef number value = <number>(<const SequenceParams*>call.params).value
    cdef View v
    cdef Py_ssize_t i
    cdef int threads = call.threads
    if inputs[0].size == 0:
        return 0
    if make_view(&v, inputs, call):
        return 1
    if v.by_step == v.inner:
        for i in prange(v.count, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            mask_sequence(out + i * v.by_count, data + i * v.by_count, &v, i, value)
    else:
        for i in prange(v.steps, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            mask_step(out + i * v.by_step, data + i * v.by_step, &v, i, value)
    scratch_free(v.length)
    return 0


cdef int reverse_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """The steps of each sequence in reverse order; those after its end stay."""
    cdef Py_ssize_t item = itemsize(inputs[0].dtype), i, t, step
    cdef const char* data = <const char*>inputs[0].data
    cdef char* out = <char*>outputs[0].data
    cdef View v
    cdef int threads = call.threads
    if inputs[0].size == 0:
        return 0
    if make_view(&v, inputs, call):
        return 1
    for t in prange(v.steps, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        for i in range(v.count):
            step = v.length[i] - 1 - t if t < v.length[i] else t
            memcpy(out + (t * v.by_step + i * v.by_count) * item, data + (step * v.by_step + i * v.by_count) * item,
                   v.inner * item)
    scratch_free(v.length)
    return 0


cdef int mask_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[float](inputs, outputs, call, 0)

cdef int mask_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[double](inputs, outputs, call, 0)

cdef int mask_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[uint8_t](inputs, outputs, call, 0)

cdef int mask_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[int8_t](inputs, outputs, call, 0)

cdef int mask_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[int32_t](inputs, outputs, call, 0)

cdef int mask_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return mask_[int64_t](inputs, outputs, call, 0)


def pack(params):
    return struct.pack("di", params.get("value", 0), params["axis"])


mask = Kernel("SequenceMask", {
    FLOAT32: <uintptr_t><kernel_t>mask_float, FLOAT64: <uintptr_t><kernel_t>mask_double,
    UINT8: <uintptr_t><kernel_t>mask_uint8, INT8: <uintptr_t><kernel_t>mask_int8,
    INT32: <uintptr_t><kernel_t>mask_int32, INT64: <uintptr_t><kernel_t>mask_int64}, pack=pack, parallel=True, cost=.3)
reverse = Kernel("SequenceReverse", {
    dtype: <uintptr_t><kernel_t>reverse_
    for dtype in (FLOAT32, FLOAT64, FLOAT16, UINT8, INT32, INT8, INT64, BOOL, BFLOAT16)}, pack=pack, parallel=True, cost=.3)
