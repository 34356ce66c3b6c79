# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""What trainers ask of many arrays at once: sums of squares, whether all is finite, zeros; and the rates of LARS."""
import struct

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, itemsize, kernel_t, workspace_t
from mxcy.ops._kernel cimport Kernel, flops_t
from mxcy.ops.packing import every, pack

ctypedef fused real:
    float
    double

cdef enum:
    CHUNK = 16384                       # items that are summed at a time: the same for any number of threads
    LANES = 16                          # sums side by side, which the compiler keeps in a vector


cdef double sum_of_squares(const real* x, Py_ssize_t n) noexcept nogil:
    cdef real lane[LANES]
    cdef Py_ssize_t i = 0, k
    cdef double total = 0
    for k in range(LANES):
        lane[k] = 0
    while i + LANES <= n:
        for k in range(LANES):
            lane[k] += x[i + k] * x[i + k]
        i += LANES
    for k in range(n - i):
        lane[k] += x[i + k] * x[i + k]
    for k in range(LANES):
        total += lane[k]
    return total


cdef Py_ssize_t not_finite(const real* x, Py_ssize_t n) noexcept nogil:
    """How many items are infinite or NaN: their difference with themselves is not 0."""
    cdef Py_ssize_t i
    cdef int count = 0
    for i in range(n):
        count += x[i] - x[i] != 0
    return count


cdef Py_ssize_t count_chunks(const Tensor* inputs, int n) noexcept nogil:
    cdef Py_ssize_t chunks = 0
    cdef int i
    for i in range(n):
        chunks += (inputs[i].size + CHUNK - 1) // CHUNK
    return chunks


cdef double do_chunk(const Tensor* inputs, Py_ssize_t chunk, bint squares) noexcept nogil:
    """Of one chunk, counted through all arrays: its sum of squares, or how many items are not finite."""
    cdef int i = 0
    cdef Py_ssize_t own = (inputs[0].size + CHUNK - 1) // CHUNK, n
    cdef const void* data
    while chunk >= own:
        chunk -= own
        i += 1
        own = (inputs[i].size + CHUNK - 1) // CHUNK
    n = min(<Py_ssize_t>CHUNK, inputs[i].size - chunk * CHUNK)
    data = <const char*>inputs[i].data + chunk * CHUNK * itemsize(inputs[i].dtype)
    if inputs[i].dtype == FLOAT64:
        return sum_of_squares(<const double*>data, n) if squares else not_finite(<const double*>data, n)
    return sum_of_squares(<const float*>data, n) if squares else not_finite(<const float*>data, n)


cdef int sum_sq_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef double* part = <double*>call.workspace
    cdef Py_ssize_t chunk, chunks = count_chunks(inputs, call.n_inputs), own
    cdef double total
    cdef int i
    for chunk in prange(chunks, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        part[chunk] = do_chunk(inputs, chunk, True)
    for i in range(call.n_inputs):
        total, own = 0, (inputs[i].size + CHUNK - 1) // CHUNK
        for chunk in range(own):
            total += part[chunk]
        part += own
        (<float*>outputs[0].data)[i] = <float>total
    return 0


cdef Py_ssize_t sum_sq_workspace(const Tensor* inputs, const Tensor* outputs, Call* call) noexcept nogil:
    return count_chunks(inputs, call.n_inputs) * sizeof(double)


cdef int all_finite_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Packed: whether to start anew; else what the output holds counts too."""
    cdef float* out = <float*>outputs[0].data
    cdef double bad = 0
    cdef Py_ssize_t chunk, chunks = count_chunks(inputs, call.n_inputs)
    for chunk in prange(chunks, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        bad += do_chunk(inputs, chunk, False)
    out[0] = bad == 0 and ((<const Py_ssize_t*>call.params)[0] != 0 or out[0] != 0)
    return 0


cdef double all_items(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    """The cost is the traffic, about 0.1 ns an item, in the units of an operation."""
    cdef double items = 0
    cdef int i
    for i in range(call.n_inputs):
        items += inputs[i].size
    return items * 7


cdef int reset_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef int i
    for i in range(call.n_inputs):
        memset(inputs[i].data, 0, inputs[i].size * itemsize(inputs[i].dtype))
    return 0


cdef int lars_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """inputs: rates, sums of squares of weights and of gradients, weight decays. Packed: eta, eps, rescale_grad."""
    cdef const double* p = <const double*>call.params
    cdef const float* rate = <const float*>inputs[0].data
    cdef const float* decay = <const float*>inputs[3].data
    cdef double weight, grad
    cdef Py_ssize_t i
    for i in range(inputs[0].size):
        weight = sqrt((<const float*>inputs[1].data)[i])
        grad = sqrt((<const float*>inputs[2].data)[i]) * p[2]
        (<float*>outputs[0].data)[i] = <float>(rate[i] * p[0] * weight / (grad + decay[i] * weight + p[1])
                                               if weight > 0 and grad > 0 else rate[i])
    return 0


cdef floats(uintptr_t function):
    return {FLOAT32: function, FLOAT64: function}


sum_sq = Kernel("multi_sum_sq", floats(<uintptr_t><kernel_t>sum_sq_kernel), parallel=True, cost=0.1,
                workspace=<uintptr_t><workspace_t>sum_sq_workspace, flops=<uintptr_t><flops_t>all_items)
all_finite = Kernel("all_finite", floats(<uintptr_t><kernel_t>all_finite_kernel), parallel=True, cost=0.1,
                    pack=lambda p: pack(p["init_output"]), flops=<uintptr_t><flops_t>all_items)
reset = Kernel("reset_arrays", every(<uintptr_t><kernel_t>reset_kernel), flops=<uintptr_t><flops_t>all_items)
lars = Kernel("multi_lars", {FLOAT32: <uintptr_t><kernel_t>lars_kernel}, inplace=True,
              pack=lambda p: struct.pack("3d", p["eta"], p["eps"], p["rescale_grad"]))
