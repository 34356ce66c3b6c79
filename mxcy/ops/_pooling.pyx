# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Pooling: maxima with their positions, sums and means over windows of 1 to 3 spatial axes, and their gradients."""
import struct

from cython.parallel cimport prange
from libc.math cimport cbrt, sqrt
from libc.stdint cimport int32_t, int64_t, uint8_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, itemsize, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/pooling.h" nogil:
    cdef struct Pool "mxcy_pool":
        int64_t spatial, kind, last, include_pad, power, whole
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t data[3]
        int64_t out[3]
        int64_t channels
    int MAX "MXCY_POOL_MAX"
    int LP "MXCY_POOL_LP"
    int AHEAD "MXCY_POOL_AHEAD"
    void max_planes "mxcy_max_planes"[T, U](const Pool*, const T*, T*, U*, Py_ssize_t, char*)
    void max_last "mxcy_max_last"[T, U](const Pool*, const T*, T*, U*, Py_ssize_t, char*)
    void max_scatter "mxcy_max_scatter"[T, U](const Pool*, const T*, const U*, T*, Py_ssize_t, char*)
    void max_gather "mxcy_max_gather"[T, U](const Pool*, const T*, const U*, T*, Py_ssize_t, char*)
    void sum_planes "mxcy_sum_planes"[T](const Pool*, const T*, T*, Py_ssize_t, char*)
    void sum_last "mxcy_sum_last"[T](const Pool*, const T*, T*, Py_ssize_t, char*)
    void spread_planes "mxcy_spread_planes"[T](const Pool*, const T*, T*, Py_ssize_t, char*)
    void spread_last "mxcy_spread_last"[T](const Pool*, const T*, T*, Py_ssize_t, char*)

ctypedef fused real:
    float
    double

cdef enum Task:                         # what to do with each plane
    POOL_MAX
    SCATTER
    GATHER
    POOL_SUM
    SPREAD

cdef enum:
    PIECES = 64                         # of the planes: what a thread takes at once, with its own scratch

KINDS = {"max": 0, "avg": 1, "sum": 2, "lp": 3}


def pack(params):
    """The parameters of a pooling as the first numbers of the C struct `Pool`; zeros where the data decide."""
    window = () if params["global_pool"] else params["kernel"]
    n = len(window)
    axes = [(default,) * (3 - n) + (params[name] or (default,) * n) if n else (0, 0, 0)
            for name, default in (("kernel", 1), ("stride", 1), ("pad", 0))]
    counted = params.get("count_include_pad")
    last = (params.get("layout") or "").endswith("C")
    kind = params.get("pool_type", "max")
    power = params["p_value"] if kind == "lp" else 1
    return struct.pack("15q", n, KINDS[kind], last, counted is None or counted, power, params["global_pool"],
                       *sum(axes, ()))


cdef Pool geometry(const Tensor* data, const Tensor* out, const Call* call) noexcept nogil:
    """The packed parameters and what the shapes say."""
    cdef Pool p = (<const Pool*>call.params)[0]
    cdef int spatial = data.ndim - 2, i, axis
    p.channels = data.shape[data.ndim - 1] if p.last else 1
    for i in range(3):
        axis = i - 3 + spatial + (1 if p.last else 2)
        p.data[i] = data.shape[axis] if i >= 3 - spatial else 1
        p.out[i] = out.shape[axis] if i >= 3 - spatial else 1
        if p.whole:
            p.kernel[i], p.stride[i], p.pad[i] = p.data[i], 1, 0
    return p


cdef void run_planes(int task, const Pool* p, real* data, real* out, void* where, bint bytes_, Py_ssize_t n,
                     char* scratch) noexcept nogil:
    if task == POOL_MAX and p.last:
        if bytes_:
            max_last(p, data, out, <uint8_t*>where, n, scratch)
        else:
            max_last(p, data, out, <int32_t*>where, n, scratch)
    elif task == POOL_MAX:
        if bytes_:
            max_planes(p, data, out, <uint8_t*>where, n, scratch)
        else:
            max_planes(p, data, out, <int32_t*>where, n, scratch)
    elif task == SCATTER:
        if bytes_:
            max_scatter(p, out, <uint8_t*>where, data, n, scratch)
        else:
            max_scatter(p, out, <int32_t*>where, data, n, scratch)
    elif task == GATHER:
        if bytes_:
            max_gather(p, data, <uint8_t*>where, out, n, scratch)
        else:
            max_gather(p, data, <int32_t*>where, out, n, scratch)
    elif task == POOL_SUM and p.last:
        sum_last(p, data, out, n, scratch)
    elif task == POOL_SUM:
        sum_planes(p, data, out, n, scratch)
    elif p.last:
        spread_last(p, out, data, n, scratch)
    else:
        spread_planes(p, out, data, n, scratch)


cdef int run(int task, const Tensor* data, const Tensor* out, const Tensor* where, Call* call) noexcept nogil:
    """The task for all planes, a piece of them per thread at a time. ``data`` is the larger side, also as a result."""
    cdef Pool p = geometry(data, out, call)
    cdef Py_ssize_t size = p.data[0] * p.data[1] * p.data[2] * p.channels
    cdef Py_ssize_t out_size = p.out[0] * p.out[1] * p.out[2] * p.channels
    cdef Py_ssize_t planes = data.size // size if size else 0, pieces = min(planes, PIECES), piece, begin, end
    cdef Py_ssize_t room = 8 * max(3 * (p.data[2] + 2 * p.out[2] + p.channels + AHEAD),
                                   p.channels + 2 * p.kernel[0] * p.kernel[1] * p.kernel[2])
    cdef char* scratch = <char*>scratch_new(room * pieces)
    cdef char* positions = NULL
    cdef Py_ssize_t place_size = 0
    if scratch == NULL:
        return fail(call, "no memory for the scratch of a pooling")
    if where != NULL:
        positions, place_size = <char*>where.data, itemsize(where.dtype)
    for piece in prange(pieces, num_threads=call.threads, schedule="static", use_threads_if=call.threads > 1):
        begin, end = planes * piece // pieces, planes * (piece + 1) // pieces
        if data.dtype == FLOAT64:
            run_planes(task, &p, <double*>data.data + begin * size, <double*>out.data + begin * out_size,
                       positions + begin * out_size * place_size, place_size == 1, end - begin, scratch + piece * room)
        else:
            run_planes(task, &p, <float*>data.data + begin * size, <float*>out.data + begin * out_size,
                       positions + begin * out_size * place_size, place_size == 1, end - begin, scratch + piece * room)
    scratch_free(scratch)
    return 0


cdef void root(real* x, Py_ssize_t n, int64_t power) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        x[i] = <real>(sqrt(x[i]) if power == 2 else cbrt(x[i]))


cdef int pool_max(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(POOL_MAX, &inputs[0], &outputs[0], &outputs[1], call)


cdef int pool_sum(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const Pool* p = <const Pool*>call.params
    cdef int status = run(POOL_SUM, &inputs[0], &outputs[0], NULL, call)
    if p.kind == LP and p.power > 1 and outputs[0].dtype == FLOAT64:
        root(<double*>outputs[0].data, outputs[0].size, p.power)
    elif p.kind == LP and p.power > 1:
        root(<float*>outputs[0].data, outputs[0].size, p.power)
    return status


cdef int scatter(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(SCATTER, &outputs[0], &inputs[0], &inputs[1], call)


cdef int gather(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(GATHER, &inputs[0], &outputs[0], &inputs[1], call)


cdef int spread(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return run(SPREAD, &outputs[0], &inputs[0], NULL, call)


cdef kernel(str name, kernel_t function, double cost):
    return Kernel(name, {FLOAT32: <uintptr_t>function, FLOAT64: <uintptr_t>function}, pack=pack, parallel=True,
                  cost=cost)


max_ = kernel("pooling_max", pool_max, 1.)
sum_ = kernel("pooling_sum", pool_sum, .7)
max_scatter_ = kernel("pooling_max_scatter", scatter, 1.)
max_gather_ = kernel("pooling_max_gather", gather, 1.)
spread_ = kernel("pooling_spread", spread, .7)
