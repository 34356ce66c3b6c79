# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""sort, argsort and topk along one axis: rows are sorted one by one, columns through a transposed copy of a few."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, fail, kernel_t
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/order.h" namespace "mxcy_order" nogil:
    void sort_row "mxcy_order::sort"[T](T* out, const T* x, Py_ssize_t n, bint descending, void* scratch) noexcept nogil
    void order[T](int64_t* at, const T* x, Py_ssize_t n, Py_ssize_t k, bint descending, void* scratch) noexcept nogil
    Py_ssize_t order_scratch[T](const T* x, Py_ssize_t n, Py_ssize_t k) noexcept nogil

cdef enum:
    COLUMNS = 16                    # columns that one task copies out: a cache line of float32
    WANT_VALUE = 1                  # what a call puts out, in this order
    WANT_INDEX = 2
    WANT_MASK = 4

cdef struct OrderParams:
    int axis                        # negative: from the end
    int flat                        # all elements as one row
    int descending
    int want
    Py_ssize_t k                    # how many; 0: all

cdef struct View:                   # the data as (outer, n, inner), and the first k of each
    Py_ssize_t outer, n, inner, k
    Py_ssize_t blocks               # of COLUMNS columns
    Py_ssize_t chunk, tasks         # rows of a task, where inner is 1
    bint descending
    int want, index_dtype
    char* value
    char* index
    char* mask

ctypedef fused number:
    float
    double
    uint8_t
    int8_t
    int32_t
    int64_t


cdef void make_view(View* v, const Tensor* data, Tensor* outputs, const OrderParams* p) noexcept nogil:
    cdef int i, axis = p.axis + data.ndim if p.axis < 0 else p.axis, n = 0
    v.outer = v.inner = 1
    v.n = data.size
    if not p.flat:
        v.n = data.shape[axis]
        for i in range(axis):
            v.outer *= data.shape[i]
        for i in range(axis + 1, data.ndim):
            v.inner *= data.shape[i]
    v.k = p.k if p.k > 0 else v.n
    v.descending, v.want = p.descending, p.want
    v.value = v.index = v.mask = NULL
    if v.want & WANT_VALUE:
        v.value = <char*>outputs[n].data
        n += 1
    if v.want & WANT_INDEX:
        v.index, v.index_dtype = <char*>outputs[n].data, outputs[n].dtype
        n += 1
    if v.want & WANT_MASK:
        v.mask = <char*>outputs[n].data
    v.blocks = (v.inner + COLUMNS - 1) // COLUMNS
    v.chunk = max(4096 // max(v.n, <Py_ssize_t>1), <Py_ssize_t>1) if v.inner == 1 else 1
    v.tasks = (v.outer + v.chunk - 1) // v.chunk * v.blocks


cdef void store(void* out, int dtype, Py_ssize_t i, int64_t value) noexcept nogil:
    if dtype == FLOAT32:
        (<float*>out)[i] = <float>value
    elif dtype == INT64:
        (<int64_t*>out)[i] = value
    elif dtype == INT32:
        (<int32_t*>out)[i] = <int32_t>value
    elif dtype == FLOAT64:
        (<double*>out)[i] = <double>value
    else:
        (<uint8_t*>out)[i] = <uint8_t>value


cdef void one(const View* v, const number* row, Py_ssize_t group, Py_ssize_t column, int64_t* at,
              void* scratch) noexcept nogil:
    """Order one row, contiguous at ``row``; its results go to column ``column`` of group ``group``."""
    cdef Py_ssize_t i, begin = group * v.k * v.inner + column
    order(at, row, v.n, v.k, v.descending, scratch)
    if v.want & WANT_VALUE:
        for i in range(v.k):
            (<number*>v.value)[begin + i * v.inner] = row[at[i]]
    if v.want & WANT_INDEX:
        for i in range(v.k):
            store(v.index, v.index_dtype, begin + i * v.inner, at[i])
    if v.want & WANT_MASK:
        for i in range(v.k):
            (<number*>v.mask)[(group * v.n + at[i]) * v.inner + column] = 1


cdef int task(const View* v, const number* data, Py_ssize_t t) noexcept nogil:
    cdef Py_ssize_t n = v.n, group, i, j, begin, width, first
    cdef Py_ssize_t need = order_scratch(data, n, v.k)          # enough for sort_row too, which takes half of it
    cdef Py_ssize_t copies = 0 if v.inner == 1 else n * COLUMNS
    cdef char* scratch = <char*>scratch_new(need + v.k * sizeof(int64_t) + copies * sizeof(number) + 64)
    cdef int64_t* at = <int64_t*>(scratch + (need + 15) // 16 * 16)
    cdef number* copy = <number*>(at + v.k)
    cdef bint whole = v.want == WANT_VALUE                      # nothing but all values: no need to know where they were
    if scratch == NULL:
        return 1
    if v.inner == 1:
        for group in range(t * v.chunk, min(t * v.chunk + v.chunk, v.outer)):
            if whole:
                sort_row(<number*>v.value + group * n, data + group * n, n, v.descending, scratch)
            else:
                one[number](v, data + group * n, group, 0, at, scratch)
        scratch_free(scratch)
        return 0
    group, begin = t // v.blocks, t % v.blocks * COLUMNS
    width = min(v.inner - begin, <Py_ssize_t>COLUMNS)
    first = group * n * v.inner + begin
    for i in range(n):
        for j in range(width):
            copy[j * n + i] = data[first + i * v.inner + j]
    for j in range(width):
        if whole:
            sort_row(copy + j * n, copy + j * n, n, v.descending, scratch)
        else:
            one[number](v, copy + j * n, group, begin + j, at, scratch)
    if whole:
        for i in range(n):
            for j in range(width):
                (<number*>v.value)[first + i * v.inner + j] = copy[j * n + i]
    scratch_free(scratch)
    return 0


cdef int order_(const Tensor* inputs, Tensor* outputs, Call* call, number dtype) noexcept nogil:
    cdef const OrderParams* p = <const OrderParams*>call.params
    cdef const number* data = <const number*>inputs[0].data
    cdef View view
    cdef const View* v = &view
    cdef Py_ssize_t t
    cdef int threads = call.threads, failed = 0
    if inputs[0].size == 0:
        return 0
    make_view(&view, &inputs[0], outputs, p)
    if view.want & WANT_MASK:
        memset(view.mask, 0, inputs[0].size * sizeof(number))
    for t in prange(view.tasks, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        failed |= task[number](v, data, t)
    if failed:
        return fail(call, "no memory to sort %lld elements", <long long>view.n)
    return 0


cdef int order_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[float](inputs, outputs, call, 0)

cdef int order_double(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[double](inputs, outputs, call, 0)

cdef int order_uint8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[uint8_t](inputs, outputs, call, 0)

cdef int order_int8(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[int8_t](inputs, outputs, call, 0)

cdef int order_int32(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[int32_t](inputs, outputs, call, 0)

cdef int order_int64(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    return order_[int64_t](inputs, outputs, call, 0)


TABLE = {FLOAT32: <uintptr_t><kernel_t>order_float, FLOAT64: <uintptr_t><kernel_t>order_double,
         UINT8: <uintptr_t><kernel_t>order_uint8, INT8: <uintptr_t><kernel_t>order_int8,
         INT32: <uintptr_t><kernel_t>order_int32, INT64: <uintptr_t><kernel_t>order_int64}
WANT = {"value": WANT_VALUE | WANT_INDEX, "both": WANT_VALUE | WANT_INDEX, "indices": WANT_INDEX, "mask": WANT_MASK}


def packer(want=0):
    """A function that packs OrderParams; what is wanted may depend on ``ret_typ``."""
    def pack(params):
        axis = params["axis"]
        return struct.pack("4in", axis or 0, axis is None, not params["is_ascend"], want or WANT[params["ret_typ"]],
                           max(params.get("k", 0), 0))
    return pack


sort = Kernel("sort", TABLE, pack=packer(WANT_VALUE), parallel=True, cost=4.)
argsort = Kernel("argsort", TABLE, pack=packer(WANT_INDEX), parallel=True, cost=4.)
topk = Kernel("topk", TABLE, pack=packer(), parallel=True, cost=1.)
