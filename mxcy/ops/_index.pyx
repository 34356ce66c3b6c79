# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Selection by arrays of indices, and its reverse: take, pick, gather and scatter, one-hot codes.

Indices are first loaded as integers within bounds. What moves is items of any dtype. Where several items add up into one
place, the indices are sorted by place, and each place is summed by one thread in the order of the items.
"""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport (BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor,
                          fail, itemsize, kernel_t)
from mxcy.ops._index cimport CLIP, KEEP, RAISE, WRAP, load
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef struct IndexParams:
    int axis                        # negative: from the end
    int mode
    int flat                        # the data as one row

ctypedef fused word:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

ctypedef fused real:
    float
    double


cdef Py_ssize_t* indices_of(const Tensor* indices, Py_ssize_t limit, int mode, Call* call) noexcept nogil:
    """The indices as integers, in scratch memory; NULL after an error."""
    cdef Py_ssize_t* out = <Py_ssize_t*>scratch_new((indices.size + 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t bad
    if out == NULL:
        fail(call, "no memory for %lld indices", <long long>indices.size)
        return NULL
    if limit == 0 and indices.size > 0:
        fail(call, "there are %lld indices into an axis of no elements", <long long>indices.size)
        scratch_free(out)
        return NULL
    bad = load(out, indices.data, indices.dtype, indices.size, limit, mode)
    if bad >= 0:
        load(out, indices.data, indices.dtype, indices.size, limit, KEEP)
        fail(call, "index %lld is out of bounds for an axis of %lld elements", <long long>out[bad], <long long>limit)
        scratch_free(out)
        return NULL
    return out


cdef struct Axes:                   # a shape as (outer, n, inner) around an axis
    Py_ssize_t outer, n, inner


cdef Axes around(const Tensor* data, int axis) noexcept nogil:
    cdef Axes axes
    cdef int i
    axis = axis + data.ndim if axis < 0 else axis
    axes.outer = axes.inner = 1
    for i in range(axis):
        axes.outer *= data.shape[i]
    axes.n = data.shape[axis]
    for i in range(axis + 1, data.ndim):
        axes.inner *= data.shape[i]
    return axes


# -- take ------------------------------------------------------------------------------------------------------------------

cdef void take_words(word* out, const word* data, const Py_ssize_t* at, Py_ssize_t m) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m):
        out[i] = data[at[i]]


cdef void take_items(char* out, const char* data, const Py_ssize_t* at, Py_ssize_t m, Py_ssize_t item) noexcept nogil:
    """Items number at[0] .. at[m - 1], one after the other."""
    cdef Py_ssize_t i
    if item == 4:
        take_words(<uint32_t*>out, <const uint32_t*>data, at, m)
    elif item == 8:
        take_words(<uint64_t*>out, <const uint64_t*>data, at, m)
    elif item == 2:
        take_words(<uint16_t*>out, <const uint16_t*>data, at, m)
    elif item == 1:
        take_words(<uint8_t*>out, <const uint8_t*>data, at, m)
    else:
        for i in range(m):
            memcpy(out + i * item, data + at[i] * item, item)


cdef int take_from(const Tensor* source, const Tensor* indices, Tensor* outputs, Call* call) noexcept nogil:
    cdef const IndexParams* p = <const IndexParams*>call.params
    cdef Axes axes = around(source, p.axis)
    cdef const char* data = <const char*>source.data
    cdef char* out = <char*>outputs[0].data
    cdef Py_ssize_t item = axes.inner * itemsize(source.dtype), m = indices.size, chunk, chunks, t
    cdef Py_ssize_t* at
    cdef int threads = call.threads
    if outputs[0].size == 0:
        return 0
    at = indices_of(indices, axes.n, p.mode, call)
    if at == NULL:
        return 1
    chunk = max(16384 // item, <Py_ssize_t>1)
    chunks = (m + chunk - 1) // chunk
    for t in prange(axes.outer * chunks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        take_items(out + (t // chunks * m + t % chunks * chunk) * item, data + t // chunks * axes.n * item,
                   at + t % chunks * chunk, min(chunk, m - t % chunks * chunk), item)
    scratch_free(at)
    return 0


cdef int take_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return take_from(&inputs[0], &inputs[1], outputs, call)


cdef int embedding_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return take_from(&inputs[1], &inputs[0], outputs, call)


# -- adding items into places ---------------------------------------------------------------------------------------------

cdef Py_ssize_t* sort_by_place(const Py_ssize_t* at, Py_ssize_t m, Py_ssize_t places) noexcept nogil:
    """Counting sort: begins[k] to begins[k + 1] are the positions, after the begins, of the items that go to place k."""
    cdef Py_ssize_t* begins = <Py_ssize_t*>scratch_new((places + 2 + m) * sizeof(Py_ssize_t))
    cdef Py_ssize_t* order = begins + places + 2
    cdef Py_ssize_t i
    if begins == NULL:
        return NULL
    memset(begins, 0, (places + 2) * sizeof(Py_ssize_t))
    for i in range(m):
        begins[at[i] + 2] += 1
    for i in range(2, places + 2):
        begins[i] += begins[i - 1]
    for i in range(m):                                  # begins[k + 1] moves from the start of k to its end
        order[begins[at[i] + 1]] = i
        begins[at[i] + 1] += 1
    return begins


cdef void add_items(real* out, const real* g, const Py_ssize_t* order, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    """out = the sum of the items number order[0] .. of n elements each."""
    cdef Py_ssize_t i, j
    cdef const real* item
    if count == 0:
        memset(out, 0, n * sizeof(real))
        return
    memcpy(out, g + order[0] * n, n * sizeof(real))
    for i in range(1, count):
        item = g + order[i] * n
        for j in range(n):
            out[j] += item[j]


cdef void add_chunk(real* out, const real* g, const Py_ssize_t* begins, const Py_ssize_t* order, Py_ssize_t first,
                    Py_ssize_t last, Py_ssize_t inner) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(first, last):
        add_items(out + k * inner, g, order + begins[k], begins[k + 1] - begins[k], inner)


cdef int accumulate(const real* g, real* out, const Py_ssize_t* at, Py_ssize_t outer, Py_ssize_t m, Py_ssize_t places,
                    Py_ssize_t inner, Call* call) noexcept nogil:
    """out[o, k] = the sum of g[o, i] over the i with at[i] == k."""
    cdef Py_ssize_t* begins = sort_by_place(at, m, places)
    cdef const Py_ssize_t* order = begins + places + 2
    cdef Py_ssize_t chunk, chunks, t
    cdef int threads = call.threads
    if begins == NULL:
        return fail(call, "no memory to sort %lld indices", <long long>m)
    chunk = max(4096 // max(inner, <Py_ssize_t>1), <Py_ssize_t>1)
    chunks = (places + chunk - 1) // chunk
    for t in prange(outer * chunks, num_threads=threads, schedule="dynamic", chunksize=8, use_threads_if=threads > 1):
        add_chunk[real](out + t // chunks * places * inner, g + t // chunks * m * inner, begins, order,
                        t % chunks * chunk, min(t % chunks * chunk + chunk, places), inner)
    scratch_free(begins)
    return 0


cdef int take_backward(const Tensor* inputs, Tensor* outputs, Call* call, real dtype) noexcept nogil:
    """inputs: gradient of take's output, indices. outputs[0] has the shape of the data."""
    cdef const IndexParams* p = <const IndexParams*>call.params
    cdef Axes axes = around(&outputs[0], p.axis)
    cdef Py_ssize_t* at
    cdef int status
    if outputs[0].size == 0:
        return 0
    at = indices_of(&inputs[1], axes.n, p.mode, call)
    if at == NULL:
        return 1
    status = accumulate[real](<const real*>inputs[0].data, <real*>outputs[0].data, at, axes.outer, inputs[1].size, axes.n,
                              axes.inner, call)
    scratch_free(at)
    return status


cdef int take_backward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return take_backward[float](inputs, outputs, call, 0)

cdef int take_backward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return take_backward[double](inputs, outputs, call, 0)


# -- pick ------------------------------------------------------------------------------------------------------------------

cdef void pick_words(word* out, const word* data, const Py_ssize_t* at, const Axes* axes, bint back) noexcept nogil:
    """One element along the axis for each of the others; or back into zeros."""
    cdef Py_ssize_t o, i, place
    for o in range(axes.outer):
        for i in range(axes.inner):
            place = (o * axes.n + at[o * axes.inner + i]) * axes.inner + i
            if back:
                out[place] = data[o * axes.inner + i]
            else:
                out[o * axes.inner + i] = data[place]


cdef int move_picked(const Tensor* whole, const Tensor* data, const Tensor* indices, Tensor* out, Call* call,
                     bint back) noexcept nogil:
    cdef const IndexParams* p = <const IndexParams*>call.params
    cdef Axes axes = around(whole, p.axis)
    cdef Py_ssize_t* at = indices_of(indices, axes.n, p.mode, call)
    cdef Py_ssize_t item = itemsize(whole.dtype)
    if at == NULL:
        return 1
    if item == 4:
        pick_words(<uint32_t*>out.data, <const uint32_t*>data.data, at, &axes, back)
    elif item == 8:
        pick_words(<uint64_t*>out.data, <const uint64_t*>data.data, at, &axes, back)
    elif item == 2:
        pick_words(<uint16_t*>out.data, <const uint16_t*>data.data, at, &axes, back)
    else:
        pick_words(<uint8_t*>out.data, <const uint8_t*>data.data, at, &axes, back)
    scratch_free(at)
    return 0


cdef int pick_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].size == 0:
        return 0
    return move_picked(&inputs[0], &inputs[0], &inputs[1], &outputs[0], call, False)


cdef void clear(char* out, Py_ssize_t nbytes, int threads) noexcept nogil:
    cdef Py_ssize_t t
    for t in prange((nbytes + 262143) // 262144, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        memset(out + t * 262144, 0, min(nbytes - t * 262144, <Py_ssize_t>262144))


cdef int pick_backward(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    clear(<char*>outputs[0].data, outputs[0].size * itemsize(outputs[0].dtype), call.threads)
    if outputs[0].size == 0 or inputs[0].size == 0:
        return 0
    return move_picked(&outputs[0], &inputs[0], &inputs[1], &outputs[0], call, True)


# -- along an axis -----------------------------------------------------------------------------------------------------------

cdef void along_words(word* out, const word* data, const Py_ssize_t* at, const Axes* axes, Py_ssize_t k, Py_ssize_t o,
                      bint back) noexcept nogil:
    """k elements along the axis, or back into zeros, in group o of the outer axes."""
    cdef Py_ssize_t i, j, here, place
    for j in range(k):
        for i in range(axes.inner):
            here = (o * k + j) * axes.inner + i
            place = (o * axes.n + at[here]) * axes.inner + i
            if back:
                out[place] = data[here]
            else:
                out[here] = data[place]


cdef int along(const Tensor* whole, const Tensor* data, const Tensor* indices, Tensor* out, Call* call,
               bint back) noexcept nogil:
    cdef const IndexParams* p = <const IndexParams*>call.params
    cdef Axes axes, few
    cdef Py_ssize_t item = itemsize(whole.dtype), o
    cdef Py_ssize_t* at
    cdef int threads = call.threads
    if p.flat:
        axes.outer, axes.n, axes.inner = 1, whole.size, 1
        few.n = indices.size
    else:
        axes = around(whole, p.axis)
        few = around(indices, p.axis)
    at = indices_of(indices, axes.n, CLIP, call)
    if at == NULL:
        return 1
    for o in prange(axes.outer, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        if item == 4:
            along_words(<uint32_t*>out.data, <const uint32_t*>data.data, at, &axes, few.n, o, back)
        elif item == 8:
            along_words(<uint64_t*>out.data, <const uint64_t*>data.data, at, &axes, few.n, o, back)
        elif item == 2:
            along_words(<uint16_t*>out.data, <const uint16_t*>data.data, at, &axes, few.n, o, back)
        else:
            along_words(<uint8_t*>out.data, <const uint8_t*>data.data, at, &axes, few.n, o, back)
    scratch_free(at)
    return 0


cdef int take_along_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].size == 0:
        return 0
    return along(&inputs[0], &inputs[0], &inputs[1], &outputs[0], call, False)


cdef int put_along_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    clear(<char*>outputs[0].data, outputs[0].size * itemsize(outputs[0].dtype), call.threads)
    if outputs[0].size == 0 or inputs[0].size == 0:
        return 0
    return along(&outputs[0], &inputs[0], &inputs[1], &outputs[0], call, True)


# -- one-hot ---------------------------------------------------------------------------------------------------------------

cdef struct OneHotParams:
    double on, off

ctypedef fused value:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef void one_hot_rows(value* out, const Py_ssize_t* at, Py_ssize_t first, Py_ssize_t last, Py_ssize_t depth, value on,
                       value off) noexcept nogil:
    cdef Py_ssize_t i, j
    for i in range(first, last):
        for j in range(depth):
            out[i * depth + j] = off
        if 0 <= at[i] < depth:
            out[i * depth + at[i]] = on


cdef int one_hot_as(const Tensor* inputs, Tensor* outputs, Call* call, value dtype) noexcept nogil:
    cdef const OneHotParams* p = <const OneHotParams*>call.params
    cdef Py_ssize_t depth = outputs[0].shape[outputs[0].ndim - 1], n = inputs[0].size, chunk, t
    cdef value* out = <value*>outputs[0].data
    cdef value on = <value>p.on, off = <value>p.off
    cdef Py_ssize_t* at
    cdef int threads = call.threads
    if outputs[0].size == 0:
        return 0
    at = indices_of(&inputs[0], depth, KEEP, call)
    if at == NULL:
        return 1
    chunk = max(16384 // depth, <Py_ssize_t>1)
    for t in prange((n + chunk - 1) // chunk, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        one_hot_rows[value](out, at, t * chunk, min(t * chunk + chunk, n), depth, on, off)
    scratch_free(at)
    return 0


cdef int one_hot_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[float](inputs, outputs, call, 0)

cdef int one_hot_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[double](inputs, outputs, call, 0)

cdef int one_hot_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[uint8_t](inputs, outputs, call, 0)

cdef int one_hot_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[int8_t](inputs, outputs, call, 0)

cdef int one_hot_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[int32_t](inputs, outputs, call, 0)

cdef int one_hot_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return one_hot_as[int64_t](inputs, outputs, call, 0)


# -- gather and scatter ----------------------------------------------------------------------------------------------------

cdef Py_ssize_t* places_of(const Tensor* indices, const Tensor* data, Call* call) noexcept nogil:
    """indices (M, ...): M coordinates for each item, joined to one number into the first M axes of data."""
    cdef Py_ssize_t m = indices.shape[0], n = indices.size // m, i, k
    cdef Py_ssize_t* at = <Py_ssize_t*>scratch_new((n + 1) * sizeof(Py_ssize_t))
    cdef Py_ssize_t* one
    cdef Tensor row = indices[0]
    cdef Py_ssize_t item = itemsize(indices.dtype)
    if at == NULL:
        fail(call, "no memory for %lld indices", <long long>n)
        return NULL
    memset(at, 0, n * sizeof(Py_ssize_t))
    row.size = n
    for k in range(m):
        row.data = <char*>indices.data + k * n * item
        one = indices_of(&row, data.shape[k], RAISE, call)
        if one == NULL:
            scratch_free(at)
            return NULL
        for i in range(n):
            at[i] = at[i] * data.shape[k] + one[i]
        scratch_free(one)
    return at


cdef Axes first_axes(const Tensor* data, Py_ssize_t m) noexcept nogil:
    """data as (1, product of the first m extents, product of the others)."""
    cdef Axes axes
    cdef int i
    axes.outer = axes.n = axes.inner = 1
    for i in range(data.ndim):
        if i < m:
            axes.n *= data.shape[i]
        else:
            axes.inner *= data.shape[i]
    return axes


cdef int gather_nd_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Axes axes = first_axes(&inputs[0], inputs[1].shape[0])
    cdef Py_ssize_t item = axes.inner * itemsize(inputs[0].dtype), n, chunk, t
    cdef const char* data = <const char*>inputs[0].data
    cdef char* out = <char*>outputs[0].data
    cdef Py_ssize_t* at
    cdef int threads = call.threads
    if outputs[0].size == 0:
        return 0
    at = places_of(&inputs[1], &inputs[0], call)
    if at == NULL:
        return 1
    n = outputs[0].size // axes.inner
    chunk = max(16384 // item, <Py_ssize_t>1)
    for t in prange((n + chunk - 1) // chunk, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        take_items(out + t * chunk * item, data, at + t * chunk, min(chunk, n - t * chunk), item)
    scratch_free(at)
    return 0


cdef int gather_nd_backward(const Tensor* inputs, Tensor* outputs, Call* call, real dtype) noexcept nogil:
    """inputs: gradient of gather_nd's output, indices. outputs[0] has the shape of the data."""
    cdef Axes axes = first_axes(&outputs[0], inputs[1].shape[0])
    cdef Py_ssize_t* at
    cdef int status
    if outputs[0].size == 0:
        return 0
    if inputs[0].size == 0:
        memset(outputs[0].data, 0, outputs[0].size * sizeof(real))
        return 0
    at = places_of(&inputs[1], &outputs[0], call)
    if at == NULL:
        return 1
    status = accumulate[real](<const real*>inputs[0].data, <real*>outputs[0].data, at, 1, inputs[0].size // axes.inner,
                              axes.n, axes.inner, call)
    scratch_free(at)
    return status


cdef int gather_nd_backward_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return gather_nd_backward[float](inputs, outputs, call, 0)

cdef int gather_nd_backward_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return gather_nd_backward[double](inputs, outputs, call, 0)


cdef int put(const Tensor* data, const Tensor* indices, Tensor* out, Call* call) noexcept nogil:
    """Items of data to their places in out. Of several for one place the last stays, so one thread does it."""
    cdef Axes axes = first_axes(out, indices.shape[0])
    cdef Py_ssize_t item = axes.inner * itemsize(out.dtype), i
    cdef Py_ssize_t* at
    if data.size == 0 or out.size == 0:
        return 0
    at = places_of(indices, out, call)
    if at == NULL:
        return 1
    for i in range(data.size // axes.inner):
        memcpy(<char*>out.data + at[i] * item, <const char*>data.data + i * item, item)
    scratch_free(at)
    return 0


cdef int scatter_nd_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    clear(<char*>outputs[0].data, outputs[0].size * itemsize(outputs[0].dtype), call.threads)
    return put(&inputs[0], &inputs[1], &outputs[0], call)


cdef int scatter_set_nd_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if outputs[0].data != inputs[0].data:
        memcpy(outputs[0].data, inputs[0].data, outputs[0].size * itemsize(outputs[0].dtype))
    return put(&inputs[1], &inputs[2], &outputs[0], call)


# -- kernels -----------------------------------------------------------------------------------------------------------------

ANY = (FLOAT32, FLOAT64, FLOAT16, UINT8, INT32, INT8, INT64, BOOL, BFLOAT16)
MODES = {"clip": CLIP, "wrap": WRAP, "raise": RAISE}


cdef object moves(kernel_t function):
    return {dtype: <uintptr_t>function for dtype in ANY}


def pack_axis(params):
    axis = params.get("axis", 0)
    return struct.pack("3i", axis or 0, MODES[params.get("mode", "clip")], axis is None)


take = Kernel("take", moves(take_), pack=pack_axis, parallel=True, cost=.3)
embedding = Kernel("Embedding", moves(embedding_), pack=pack_axis, parallel=True, cost=.3, dispatch=1)
take_backward_ = Kernel("_backward_take", {FLOAT32: <uintptr_t><kernel_t>take_backward_float,
                                           FLOAT64: <uintptr_t><kernel_t>take_backward_double},
                        pack=pack_axis, parallel=True, cost=.4)
pick = Kernel("pick", moves(pick_), pack=pack_axis, cost=.01)
pick_backward_ = Kernel("_backward_pick", moves(pick_backward), pack=pack_axis, parallel=True, cost=.1)
take_along = Kernel("_take_along", moves(take_along_), pack=pack_axis, parallel=True, cost=1.)
put_along = Kernel("_backward_topk", moves(put_along_), pack=pack_axis, parallel=True, cost=1.)
one_hot = Kernel("one_hot", {
    FLOAT32: <uintptr_t><kernel_t>one_hot_float, FLOAT64: <uintptr_t><kernel_t>one_hot_double,
    UINT8: <uintptr_t><kernel_t>one_hot_uint8, INT8: <uintptr_t><kernel_t>one_hot_int8,
    INT32: <uintptr_t><kernel_t>one_hot_int32, INT64: <uintptr_t><kernel_t>one_hot_int64},
    pack=lambda params: struct.pack("2d", params["on_value"], params["off_value"]), parallel=True, cost=.2, dispatch=-1)
gather_nd = Kernel("gather_nd", moves(gather_nd_), parallel=True, cost=.5)
gather_nd_backward_ = Kernel("_backward_gather_nd", {FLOAT32: <uintptr_t><kernel_t>gather_nd_backward_float,
                                                     FLOAT64: <uintptr_t><kernel_t>gather_nd_backward_double},
                             parallel=True, cost=.5)
scatter_nd = Kernel("scatter_nd", moves(scatter_nd_), parallel=True, cost=.5)
scatter_set_nd = Kernel("_scatter_set_nd", moves(scatter_set_nd_), parallel=True, cost=.5)
