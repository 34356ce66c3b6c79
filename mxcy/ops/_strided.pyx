# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Strided copies: the axes are merged into as few as possible, then rows are copied, filled or transposed in blocks.

A copy is cut into pieces of about PIECE bytes along its outer axes; threads take runs of pieces.
"""
from cython.parallel cimport prange
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t

from mxcy._types cimport BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Tensor, itemsize

cdef extern from "mxcy/ops/strided.h" nogil:
    ctypedef struct item16 "mxcy_item16":
        pass
    void mxcy_stream_fence()
    void mxcy_copy_bytes(char* dst, const char* src, Py_ssize_t nbytes, int stream)
    void mxcy_copy_strided[T](char* dst, const char* src, Py_ssize_t n, Py_ssize_t d, Py_ssize_t s)
    void mxcy_transpose[T](char* dst, Py_ssize_t d, const char* src, Py_ssize_t s, Py_ssize_t rows, Py_ssize_t cols,
                           int stream)

cdef extern from "mxcy/ops/half.h" nogil:
    uint16_t to_half "mxcy_to_half_one"(float value)
    uint16_t to_bfloat16 "mxcy_to_bfloat16_one"(float value)

cdef enum:
    PIECE = 1 << 16                     # bytes that one thread copies at a time
    STREAM = 1 << 24                    # outputs from this many bytes on are written around the caches
    LINE = 64

ctypedef void (*strided_t)(char* dst, const char* src, Py_ssize_t n, Py_ssize_t d, Py_ssize_t s) noexcept nogil
ctypedef void (*transpose_t)(char* dst, Py_ssize_t d, const char* src, Py_ssize_t s, Py_ssize_t rows, Py_ssize_t cols,
                             int stream) noexcept nogil

cdef struct Plan:                       # strides in bytes; the last two axes are the inner loops
    int ndim
    int stream
    Py_ssize_t itemsize
    Py_ssize_t block                    # how much of the second to last axis makes a piece
    Py_ssize_t shape[MAX_AXES + 2]
    Py_ssize_t dst_stride[MAX_AXES + 2]
    Py_ssize_t src_stride[MAX_AXES + 2]
    transpose_t transpose               # set if the second to last axis is the contiguous one of src
    strided_t strided                   # set if neither that nor rows of bytes will do
    char* dst
    const char* src


cdef inline strided_t strided_of(Py_ssize_t size) noexcept nogil:
    if size == 1:
        return mxcy_copy_strided[uint8_t]
    if size == 2:
        return mxcy_copy_strided[uint16_t]
    if size == 4:
        return mxcy_copy_strided[uint32_t]
    return mxcy_copy_strided[uint64_t] if size == 8 else mxcy_copy_strided[item16]


cdef inline transpose_t transpose_of(Py_ssize_t size) noexcept nogil:
    if size == 1:
        return mxcy_transpose[uint8_t]
    if size == 2:
        return mxcy_transpose[uint16_t]
    if size == 4:
        return mxcy_transpose[uint32_t]
    return mxcy_transpose[uint64_t] if size == 8 else mxcy_transpose[item16]


cdef void dense_strides(const Py_ssize_t* shape, int ndim, Py_ssize_t* stride) noexcept nogil:
    cdef int i
    cdef Py_ssize_t step = 1
    for i in range(ndim - 1, -1, -1):
        stride[i] = step
        step *= shape[i]


cdef void merge_axes(Plan* p, const Py_ssize_t* dst_stride, const Py_ssize_t* src_stride, const Py_ssize_t* shape,
                     int ndim) noexcept nogil:
    """Fill shape and strides, without axes of one item; neighbours that move in step become one axis."""
    cdef int i, last
    cdef Py_ssize_t d, s
    p.ndim = 0
    for i in range(ndim):
        if shape[i] == 1:
            continue
        d, s = dst_stride[i] * p.itemsize, src_stride[i] * p.itemsize
        if d < 0:                       # walk the other way
            p.dst += (shape[i] - 1) * d
            p.src += (shape[i] - 1) * s
            d, s = -d, -s
        last = p.ndim - 1
        if last >= 0 and p.dst_stride[last] == d * shape[i] and p.src_stride[last] == s * shape[i]:
            p.shape[last] *= shape[i]
        else:
            last = p.ndim
            p.ndim += 1
            p.shape[last] = shape[i]
        p.dst_stride[last], p.src_stride[last] = d, s


cdef void widen_items(Plan* p) noexcept nogil:
    """Treat a short contiguous last axis as one item of 2 to 16 bytes, if everything is aligned to it."""
    cdef int i, last = p.ndim - 1
    cdef Py_ssize_t size
    cdef uintptr_t bits
    if last < 1 or p.dst_stride[last] != p.itemsize or p.src_stride[last] != p.itemsize:
        return
    size = p.shape[last] * p.itemsize
    if size != 2 and size != 4 and size != 8 and size != 16:
        return
    bits = <uintptr_t>p.dst | <uintptr_t>p.src
    for i in range(last):
        bits |= <uintptr_t>p.dst_stride[i] | <uintptr_t>p.src_stride[i]
    if bits & <uintptr_t>(size - 1) == 0:
        p.itemsize, p.ndim = size, last


cdef void move_axis(Plan* p, int source, int target) noexcept nogil:
    cdef Py_ssize_t n = p.shape[source], d = p.dst_stride[source], s = p.src_stride[source]
    cdef int i = source
    while i != target:
        p.shape[i], p.dst_stride[i], p.src_stride[i] = p.shape[i + 1], p.dst_stride[i + 1], p.src_stride[i + 1]
        i += 1
    p.shape[i], p.dst_stride[i], p.src_stride[i] = n, d, s


cdef void sort_axes(Plan* p, int n) noexcept nogil:
    """Order the first n axes by how far they move in src."""
    cdef int i, k
    for i in range(1, n):
        for k in range(i, 0, -1):
            if p.src_stride[k - 1] >= p.src_stride[k]:
                break
            move_axis(p, k - 1, k)


cdef void choose_loops(Plan* p) noexcept nogil:
    """Bring the plan to at least two axes and pick its inner loop."""
    cdef int i, k, last
    cdef Py_ssize_t row
    cdef bint repeats = False
    while p.ndim < 2:                   # axes of one item in front
        for i in range(p.ndim, 0, -1):
            p.shape[i], p.dst_stride[i], p.src_stride[i] = p.shape[i - 1], p.dst_stride[i - 1], p.src_stride[i - 1]
        p.shape[0], p.dst_stride[0], p.src_stride[0] = 1, p.itemsize, p.itemsize
        p.ndim += 1
    last = p.ndim - 1
    row = p.shape[last] * p.itemsize
    p.transpose = NULL
    p.strided = NULL
    if p.dst_stride[last] == p.itemsize and p.src_stride[last] != p.itemsize and p.src_stride[last] != 0:
        for i in range(last):
            if p.src_stride[i] == p.itemsize and p.shape[i] > 1:
                move_axis(p, i, last - 1)
                p.transpose = transpose_of(p.itemsize)
                # Eight cache lines of src at a time, and pieces of dst that are whole rows.
                p.block = max(8 * LINE // p.itemsize, 1)
                p.stream = p.stream and <uintptr_t>p.dst % LINE == 0
                for k in range(last):
                    p.stream = p.stream and p.dst_stride[k] % LINE == 0
                return
    if p.dst_stride[last] != p.itemsize or p.src_stride[last] != p.itemsize or row < LINE:
        p.strided = strided_of(p.itemsize)
        p.stream = 0
    if p.shape[last - 1] == 1:          # one row: cut the row itself, in lines so that pieces stay aligned
        p.block = PIECE // p.itemsize
        return
    # Rows may be copied in any order: that of src, if it has no gaps, lets its lines be prefetched. Writing around the
    # caches pays for whole lines only, and not if there are gaps.
    p.stream = p.stream and row % LINE == 0 and <uintptr_t>p.dst % LINE == 0
    for i in range(last):
        p.stream = p.stream and p.dst_stride[i] % LINE == 0
        repeats = repeats or p.src_stride[i] == 0
    if p.stream and not repeats:
        sort_axes(p, last)
        p.stream = p.src_stride[last - 1] == row
    p.block = max(PIECE // max(row, 1), 1)


cdef void copy_pieces(const Plan* p, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Copy pieces begin to end; a piece is a block of the second to last axis at one place of the axes before it."""
    cdef int axis, last = p.ndim - 1
    cdef bint one_row = p.transpose == NULL and p.shape[last - 1] == 1
    cdef Py_ssize_t extent = p.shape[last] if one_row else p.shape[last - 1]
    cdef Py_ssize_t blocks = (extent + p.block - 1) // p.block, n = p.shape[last]
    cdef Py_ssize_t d0 = p.dst_stride[last], s0 = p.src_stride[last]
    cdef Py_ssize_t d1 = p.dst_stride[last - 1], s1 = p.src_stride[last - 1]
    cdef Py_ssize_t piece, rest, at, start, count, i
    cdef char* dst
    cdef const char* src
    for piece in range(begin, end):
        start = piece % blocks * p.block
        count = min(p.block, extent - start)
        dst, src, rest = p.dst, p.src, piece // blocks
        for axis in range(last - 2, -1, -1):
            at = rest % p.shape[axis]
            rest //= p.shape[axis]
            dst += at * p.dst_stride[axis]
            src += at * p.src_stride[axis]
        if one_row:
            dst += start * d0
            src += start * s0
            if p.strided != NULL:
                p.strided(dst, src, count, d0, s0)
            else:
                mxcy_copy_bytes(dst, src, count * p.itemsize, p.stream)
            continue
        dst += start * d1
        src += start * s1
        if p.transpose != NULL:
            p.transpose(dst, d1, src, s0, count, n, p.stream)
        elif p.strided != NULL and n < count:           # the longer of the two loops is the inner one
            for i in range(n):
                p.strided(dst + i * d0, src + i * s0, count, d1, s1)
        elif p.strided != NULL:
            for i in range(count):
                p.strided(dst + i * d1, src + i * s1, n, d0, s0)
        else:
            for i in range(count):
                mxcy_copy_bytes(dst + i * d1, src + i * s1, n * p.itemsize, p.stream)
    if p.stream:
        mxcy_stream_fence()


cdef void strided_copy(void* dst, const Py_ssize_t* dst_stride, const void* src, const Py_ssize_t* src_stride,
                       const Py_ssize_t* shape, int ndim, Py_ssize_t size, int threads) noexcept nogil:
    cdef Plan p
    cdef int i
    cdef Py_ssize_t nbytes = size, pieces, runs, run, each
    for i in range(ndim):
        nbytes *= shape[i]
    if nbytes == 0:
        return
    p.dst, p.src, p.itemsize, p.stream = <char*>dst, <const char*>src, size, nbytes >= STREAM
    merge_axes(&p, dst_stride, src_stride, shape, ndim)
    widen_items(&p)
    choose_loops(&p)
    i = p.ndim - 1 if p.transpose == NULL and p.shape[p.ndim - 2] == 1 else p.ndim - 2
    pieces = (p.shape[i] + p.block - 1) // p.block
    for i in range(p.ndim - 2):
        pieces *= p.shape[i]
    if threads == 1 or nbytes < 2 * PIECE:
        copy_pieces(&p, 0, pieces)
        return
    runs = min(pieces, 8 * threads)     # a few per thread: one may be slower than another
    each = (pieces + runs - 1) // runs
    for run in prange(runs, num_threads=threads, schedule="dynamic"):
        copy_pieces(&p, run * each, min(pieces, (run + 1) * each))


cdef void copy_bytes(void* dst, const void* src, Py_ssize_t nbytes, int threads) noexcept nogil:
    cdef Py_ssize_t one = 1
    strided_copy(dst, &one, src, &one, &nbytes, 1, 1, threads)


cdef void whole(const Tensor* x, Region* region) noexcept nogil:
    region.offset = 0
    dense_strides(x.shape, x.ndim, region.stride)


cdef void copy_region(void* dst, const Region* to, const void* src, const Region* source, const Py_ssize_t* shape,
                      int ndim, Py_ssize_t size, int threads) noexcept nogil:
    strided_copy(<char*>dst + to.offset * size, to.stride, <const char*>src + source.offset * size, source.stride,
                 shape, ndim, size, threads)


cdef void clear(Tensor* x, int threads) noexcept nogil:
    cdef Py_ssize_t zero = 0, one = 1, n = x.size * itemsize(x.dtype)
    cdef char nothing = 0
    strided_copy(x.data, &one, &nothing, &zero, &n, 1, 1, threads)


cdef void write_number(void* out, double value, int dtype) noexcept nogil:
    if dtype == FLOAT32:
        (<float*>out)[0] = <float>value
    elif dtype == FLOAT64:
        (<double*>out)[0] = value
    elif dtype == FLOAT16:
        (<uint16_t*>out)[0] = to_half(<float>value)
    elif dtype == BFLOAT16:
        (<uint16_t*>out)[0] = to_bfloat16(<float>value)
    elif dtype == INT64:
        (<int64_t*>out)[0] = <int64_t>value
    elif dtype == INT32:
        (<int32_t*>out)[0] = <int32_t><int64_t>value
    elif dtype == INT8 or dtype == UINT8:
        (<int8_t*>out)[0] = <int8_t><int64_t>value
    elif dtype == BOOL:
        (<uint8_t*>out)[0] = value != 0
