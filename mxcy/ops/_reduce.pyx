# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Reductions over any axes: the driver that makes them out of contiguous runs.

Neighbouring axes that are all kept or all reduced count as one. What is left is a list of kept and of reduced extents.
If the last one is reduced, the data are rows, each of which becomes one number; else they are rows to be added up,
elementwise. Work is cut by the shape alone, so that the result does not depend on the number of threads.
"""
import struct

from cython.parallel cimport prange
from libc.stdint cimport uintptr_t

from mxcy._types cimport (BOOL, FLOAT32, FLOAT64, INT8, INT32, INT64, MAX_NDIM, UINT8, Call, Tensor, fail, itemsize,
                          kernel_t)
from mxcy.ops._kernel cimport Kernel
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/reduce.h" namespace "mxcy_reduce" nogil:
    cdef struct Form:
        void (*rows)(const void* data, Py_ssize_t m, Py_ssize_t n, void* totals) noexcept nogil
        void (*columns)(const void* data, Py_ssize_t m, Py_ssize_t stride, Py_ssize_t n, void* totals) noexcept nogil
        void (*start)(void* totals, Py_ssize_t n) noexcept nogil
        void (*join)(void* totals, const void* others, Py_ssize_t n) noexcept nogil
        void (*finish)(void* out, const void* totals, Py_ssize_t n, Py_ssize_t count) noexcept nogil
    Form form(int operation, int dtype, int out) noexcept nogil
    enum:
        SUM, MEAN, PROD, MAX, MIN, NANSUM, NANPROD, NORM1, NORM2

cdef enum:
    TOTAL = 8                       # bytes of a total: float64 or int64
    WIDTH = 4096                    # columns that one task adds up
    PIECE = 65536                   # longest part of a row that one task reduces
    SPLIT = 262144                  # elements in a share of a reduction that has too few outputs to go round
    SHARES = 64                     # most shares

cdef struct ReduceParams:
    int operation
    int n_axes                      # 0: all of them
    int exclude
    int axes[MAX_NDIM]

cdef struct Plan:                   # kept and reduced extents, with their strides in elements
    int n_kept, n_reduced
    Py_ssize_t kept[MAX_NDIM]
    Py_ssize_t kept_stride[MAX_NDIM]
    Py_ssize_t reduced[MAX_NDIM]
    Py_ssize_t reduced_stride[MAX_NDIM]
    bint rows                       # the last extent is reduced
    Py_ssize_t length               # the last extent, which the lists leave out
    Py_ssize_t outer                # product of kept
    Py_ssize_t repeat               # product of reduced
    Py_ssize_t parts                # pieces of a row, or blocks of columns
    Py_ssize_t shares, per_share    # how the reduced items of one output are divided
    Py_ssize_t size                 # elements of the data
    Py_ssize_t item, out_item       # bytes of an element
    Form form


cdef void make_plan(Plan* p, const Tensor* data, const bint* reduced) noexcept nogil:
    """Merge axes into runs. ``reduced`` has a flag for each axis of ``data``."""
    cdef Py_ssize_t extent[MAX_NDIM]
    cdef bint flag[MAX_NDIM]
    cdef int i, n = 0
    cdef Py_ssize_t stride = 1, items, wanted
    for i in range(data.ndim):
        if data.shape[i] == 1:
            continue
        if n > 0 and flag[n - 1] == reduced[i]:
            extent[n - 1] *= data.shape[i]
        else:
            extent[n] = data.shape[i]
            flag[n] = reduced[i]
            n += 1
    if n == 0:
        extent[0] = 1
        flag[0] = True
        n = 1
    p.rows = flag[n - 1]
    p.length = extent[n - 1]
    p.n_kept = p.n_reduced = 0
    p.outer = p.repeat = 1
    stride = p.length
    for i in range(n - 2, -1, -1):                      # innermost first
        if flag[i]:
            p.reduced[p.n_reduced] = extent[i]
            p.reduced_stride[p.n_reduced] = stride
            p.n_reduced += 1
            p.repeat *= extent[i]
        else:
            p.kept[p.n_kept] = extent[i]
            p.kept_stride[p.n_kept] = stride
            p.n_kept += 1
            p.outer *= extent[i]
        stride *= extent[i]
    p.size = data.size
    p.item = itemsize(data.dtype)
    if p.rows:
        p.parts = (p.length + PIECE - 1) // PIECE
        items = p.repeat * p.parts
        wanted = p.size // (p.outer * items)
    else:
        p.parts = (p.length + WIDTH - 1) // WIDTH
        items = p.repeat
        wanted = min(p.length, <Py_ssize_t>WIDTH)
    p.shares, p.per_share = 1, items
    if p.outer * (1 if p.rows else p.parts) < SHARES and p.size >= 2 * SPLIT:
        p.per_share = max(max(<Py_ssize_t>SPLIT, p.size // SHARES) // max(wanted, <Py_ssize_t>1), <Py_ssize_t>1)
        p.shares = (items + p.per_share - 1) // p.per_share


cdef Py_ssize_t offset(Py_ssize_t index, int n, const Py_ssize_t* extent, const Py_ssize_t* stride) noexcept nogil:
    cdef Py_ssize_t at = 0
    cdef int i
    for i in range(n):
        at += index % extent[i] * stride[i]
        index //= extent[i]
    return at


cdef void reduce_rows(const Plan* p, const char* data, Py_ssize_t group, Py_ssize_t first, Py_ssize_t last,
                      void* total) noexcept nogil:
    """Join items ``first`` to ``last`` of one output: an item is one piece of one row."""
    cdef Py_ssize_t base = offset(group, p.n_kept, p.kept, p.kept_stride), i, begin
    for i in range(first, last):
        begin = i % p.parts * PIECE
        p.form.rows(data + (base + offset(i // p.parts, p.n_reduced, p.reduced, p.reduced_stride) + begin) * p.item,
                    1, min(p.length - begin, <Py_ssize_t>PIECE), total)


cdef void reduce_columns(const Plan* p, const char* data, Py_ssize_t group, Py_ssize_t begin, Py_ssize_t width,
                         Py_ssize_t first, Py_ssize_t last, void* totals) noexcept nogil:
    """Join rows ``first`` to ``last`` of one block of columns."""
    cdef Py_ssize_t base = offset(group, p.n_kept, p.kept, p.kept_stride) + begin, i = first, run
    cdef Py_ssize_t inner = p.reduced[0] if p.n_reduced else 1, stride = p.reduced_stride[0] if p.n_reduced else 0
    while i < last:
        run = min(inner - i % inner, last - i)
        p.form.columns(data + (base + offset(i, p.n_reduced, p.reduced, p.reduced_stride)) * p.item,
                       run, stride, width, totals)
        i += run


cdef void short_rows(const Plan* p, const char* data, char* out, Py_ssize_t first, Py_ssize_t last) noexcept nogil:
    """Whole rows that stand one after the other: one output each."""
    cdef double totals[256]
    cdef Py_ssize_t n
    while first < last:
        n = min(last - first, <Py_ssize_t>256)
        p.form.start(totals, n)
        p.form.rows(data + first * p.length * p.item, n, p.length, totals)
        p.form.finish(out + first * p.out_item, totals, n, p.length)
        first += n


cdef void task(const Plan* p, const char* data, char* out, char* shares, Py_ssize_t t) noexcept nogil:
    """Reduce one share of one output, or of one block of columns."""
    cdef double totals[WIDTH]
    cdef Py_ssize_t share = t % p.shares, blocks = 1 if p.rows else p.parts
    cdef Py_ssize_t block = t // p.shares % blocks, group = t // p.shares // blocks
    cdef Py_ssize_t width = 1, at = group, begin = block * WIDTH
    cdef Py_ssize_t first = share * p.per_share
    cdef Py_ssize_t last = min(first + p.per_share, p.repeat * (p.parts if p.rows else 1))
    cdef void* target = totals
    if not p.rows:
        width = min(p.length - begin, <Py_ssize_t>WIDTH)
        at = group * p.length + begin
    if p.shares > 1:
        target = shares + (share * p.outer * (1 if p.rows else p.length) + at) * TOTAL
    p.form.start(target, width)
    if p.rows:
        reduce_rows(p, data, group, first, last, target)
    else:
        reduce_columns(p, data, group, begin, width, first, last, target)
    if p.shares == 1:
        p.form.finish(out + at * p.out_item, totals, width, p.repeat * (p.length if p.rows else 1))


cdef int run_plan(Plan* p, const Tensor* data, Tensor* out, Call* call) noexcept nogil:
    cdef const char* source = <const char*>data.data
    cdef char* target = <char*>out.data
    cdef char* shares = NULL
    cdef Py_ssize_t t, n, chunk, count = p.repeat * (p.length if p.rows else 1)
    cdef int threads = call.threads
    p.out_item = itemsize(out.dtype)
    if p.rows and p.repeat == 1 and p.parts == 1:
        chunk = max(SPLIT // 16 // max(p.length, <Py_ssize_t>1), <Py_ssize_t>1)
        n = (p.outer + chunk - 1) // chunk
        for t in prange(n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            short_rows(p, source, target, t * chunk, min(t * chunk + chunk, p.outer))
        return 0
    if p.shares > 1:
        shares = <char*>scratch_new(p.shares * out.size * TOTAL)
        if shares == NULL:
            return fail(call, "no memory for %lld partial results", <long long>(p.shares * out.size))
    n = p.outer * p.shares * (1 if p.rows else p.parts)
    for t in prange(n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        task(p, source, target, shares, t)
    if p.shares > 1:
        for t in range(1, p.shares):
            p.form.join(shares, shares + t * out.size * TOTAL, out.size)
        p.form.finish(target, shares, out.size, count)
        scratch_free(shares)
    return 0


cdef int empty(const Form* f, Tensor* out, Py_ssize_t count) noexcept nogil:
    """No data: every output is what the operation starts with."""
    cdef double total
    cdef Py_ssize_t i
    f.start(&total, 1)
    for i in range(out.size):
        f.finish(<char*>out.data + i * itemsize(out.dtype), &total, 1, count)
    return 0


cdef int reduce(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const ReduceParams* params = <const ReduceParams*>call.params
    cdef const Tensor* data = &inputs[0]
    cdef bint reduced[MAX_NDIM]
    cdef int i, axis
    cdef Plan plan
    for i in range(data.ndim):
        reduced[i] = (params.n_axes == 0) or params.exclude
    for i in range(params.n_axes):
        axis = params.axes[i]
        reduced[axis + data.ndim if axis < 0 else axis] = not params.exclude
    plan.form = form(params.operation, data.dtype, outputs[0].dtype)
    if data.size == 0:
        return empty(&plan.form, &outputs[0], 0)
    make_plan(&plan, data, reduced)
    return run_plan(&plan, data, &outputs[0], call)


cdef int reduce_like(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Sum inputs[0] over the axes along which outputs[0] was broadcast to its shape."""
    cdef const Tensor* data = &inputs[0]
    cdef Tensor* out = &outputs[0]
    cdef bint reduced[MAX_NDIM]
    cdef int i, lead = data.ndim - out.ndim
    cdef Plan plan
    for i in range(data.ndim):
        reduced[i] = i < lead or (out.shape[i - lead] == 1 and data.shape[i] != 1)
    plan.form = form(SUM, data.dtype, out.dtype)
    if data.size == 0:
        return empty(&plan.form, out, 0)
    make_plan(&plan, data, reduced)
    return run_plan(&plan, data, out, call)


def packer(operation):
    """A function that packs ReduceParams."""
    def pack(params):
        axis = params.get("axis")
        axes = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        return struct.pack(f"3i{MAX_NDIM}i", operation, len(axes), bool(params.get("exclude")) and bool(axes),
                           *axes, *(0,) * (MAX_NDIM - len(axes)))
    return pack


cdef object table(kernel_t function):
    return {code: <uintptr_t>function for code in (FLOAT32, FLOAT64, UINT8, INT8, INT32, INT64, BOOL)}


sum = Kernel("sum", table(reduce), pack=packer(SUM), parallel=True, cost=.1)
mean = Kernel("mean", table(reduce), pack=packer(MEAN), parallel=True, cost=.1)
prod = Kernel("prod", table(reduce), pack=packer(PROD), parallel=True, cost=.1)
max_ = Kernel("max", table(reduce), pack=packer(MAX), parallel=True, cost=.1)
min_ = Kernel("min", table(reduce), pack=packer(MIN), parallel=True, cost=.1)
nansum = Kernel("nansum", table(reduce), pack=packer(NANSUM), parallel=True, cost=.1)
nanprod = Kernel("nanprod", table(reduce), pack=packer(NANPROD), parallel=True, cost=.1)
norm1 = Kernel("norm", table(reduce), pack=packer(NORM1), parallel=True, cost=.1)
norm2 = Kernel("norm", table(reduce), pack=packer(NORM2), parallel=True, cost=.2)
like = Kernel("_reduce_like", table(reduce_like), parallel=True, cost=.1)
