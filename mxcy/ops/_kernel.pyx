# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Kernels, and the two things that many of them share: the elementwise runner and 16-bit floats through float32."""
from cython.parallel cimport prange
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uintptr_t
from libc.string cimport memset

from mxcy._types cimport (BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT8, INT32, INT64, MAX_NDIM, UINT8,
                          Call, Tensor, fail, itemsize, kernel_t, tile_t, workspace_t)
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef extern from "mxcy/ops/half.h" nogil:
    void half_to_float "mxcy_half_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_half "mxcy_float_to_half"(uint16_t* out, const float* x, Py_ssize_t n)
    void bfloat16_to_float "mxcy_bfloat16_to_float"(float* out, const uint16_t* x, Py_ssize_t n)
    void float_to_bfloat16 "mxcy_float_to_bfloat16"(uint16_t* out, const float* x, Py_ssize_t n)

cdef enum:
    TILE = 512                      # elements; with all temporaries it stays in the first-level cache
    MAX_ARITY = 6
    SPLIT = 16384                   # elements that a thread takes at least


cdef class Kernel:
    """A compiled function for each dtype.

    Parameters
    ----------
    name : str
    table : dict of int to int
        Address of a ``kernel_t`` by dtype number.
    pack : callable, optional
        Makes the C struct at ``call.params``, as bytes, from the dict of parsed parameters.
    workspace : int, optional
        Address of a ``workspace_t``: bytes of scratch that a call needs.
    inplace, parallel : bool
    cost : float
        Nanoseconds per element of the largest tensor, one thread. Decides where a call runs.
    dispatch : int
        The input whose dtype picks the table entry; -1: the first output.
    flops : int, optional
        Address of a ``flops_t``: number of floating point operations, where elements say too little.
    """

    def __init__(self, str name, dict table, *, pack=None, uintptr_t workspace=0, bint inplace=False,
                 bint parallel=False, double cost=1.0, int dispatch=0, uintptr_t flops=0):
        memset(&self.info, 0, sizeof(KernelInfo))
        self.name, self.pack, self.inplace, self.parallel = name, pack, inplace, parallel
        self.info.dispatch = dispatch
        self.info.workspace = <workspace_t>workspace
        self.info.flops = <flops_t>flops
        self.info.cost = cost
        self.info.scalar_slot = -1
        cdef int dtype
        for dtype, address in table.items():
            self.info.table[dtype] = <kernel_t><uintptr_t>address
        if self.info.table[<int>FLOAT32] != NULL:
            for dtype in (FLOAT16, BFLOAT16):
                if self.info.table[dtype] == NULL:
                    self.info.table[dtype] = through_float

    def __repr__(self):
        return f"<Kernel {self.name}>"

    @staticmethod
    def elementwise(str name, dict tiles, *, int arity=1, pack=None, double cost=0.3, int scalar_slot=-1):
        """A Kernel that applies a tile function to tensors that broadcast to the output's shape.

        ``tiles`` holds the address of a ``tile_t`` by dtype number; 16-bit floats go through the float32 tile.
        """
        cdef Kernel kernel = Kernel(name, {}, pack=pack, inplace=True, parallel=True, cost=cost)
        cdef int dtype
        if arity > MAX_ARITY:
            raise ValueError(f"{name}: arity {arity} is above {MAX_ARITY}")
        kernel.info.arity, kernel.info.scalar_slot = arity, scalar_slot
        for dtype, address in tiles.items():
            kernel.info.tiles[dtype] = <tile_t><uintptr_t>address
            kernel.info.table[dtype] = run_elementwise
        if kernel.info.tiles[<int>FLOAT32] != NULL:
            kernel.info.table[<int>FLOAT16] = kernel.info.table[<int>BFLOAT16] = run_elementwise
        return kernel

    @staticmethod
    def scalar(str name, dict tiles, *, int slot=1, int arity=2, pack=None, double cost=0.3):
        """As `elementwise`, where tile input ``slot`` is the number ``call.scalar``."""
        return Kernel.elementwise(name, tiles, arity=arity, pack=pack, cost=cost, scalar_slot=slot)

    @property
    def dtypes(self):
        """Numbers of the dtypes that the kernel takes."""
        return [dtype for dtype in range(13) if self.info.table[dtype] != NULL]


# -- numbers of any dtype ------------------------------------------------------------------------------------------

cdef inline void fill(void* out, double value, int dtype, Py_ssize_t n) noexcept nogil:
    """n copies of a number, converted to the dtype (float32 for 16-bit floats)."""
    cdef Py_ssize_t i
    if dtype == FLOAT64:
        for i in range(n):
            (<double*>out)[i] = value
    elif dtype == INT32:
        for i in range(n):
            (<int32_t*>out)[i] = <int32_t><int64_t>value
    elif dtype == INT64:
        for i in range(n):
            (<int64_t*>out)[i] = <int64_t>value
    elif dtype == UINT8 or dtype == INT8:
        memset(out, <int><uint8_t><int64_t>value, n)
    elif dtype == BOOL:
        memset(out, value != 0, n)
    else:
        for i in range(n):
            (<float*>out)[i] = <float>value


cdef inline void repeat(void* out, const void* x, int size, Py_ssize_t n) noexcept nogil:
    """n copies of the element at x."""
    cdef Py_ssize_t i
    if size == 4:
        for i in range(n):
            (<int32_t*>out)[i] = (<const int32_t*>x)[0]
    elif size == 8:
        for i in range(n):
            (<int64_t*>out)[i] = (<const int64_t*>x)[0]
    elif size == 2:
        for i in range(n):
            (<uint16_t*>out)[i] = (<const uint16_t*>x)[0]
    else:
        memset(out, (<const uint8_t*>x)[0], n)


cdef inline bint is_short_float(int dtype) noexcept nogil:
    return dtype == FLOAT16 or dtype == BFLOAT16


cdef inline void widen(float* out, const void* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        half_to_float(out, <const uint16_t*>x, n)
    else:
        bfloat16_to_float(out, <const uint16_t*>x, n)


cdef inline void narrow(void* out, const float* x, int dtype, Py_ssize_t n) noexcept nogil:
    if dtype == FLOAT16:
        float_to_half(<uint16_t*>out, x, n)
    else:
        float_to_bfloat16(<uint16_t*>out, x, n)


# -- elementwise -----------------------------------------------------------------------------------------------------

cdef struct Layout:                 # an elementwise call as rows of `run` elements; the axes outside are `ndim`
    tile_t tile
    const void* params
    char* out
    const char* data[MAX_ARITY]
    Py_ssize_t strides[MAX_ARITY][MAX_NDIM]     # in elements, of the outer axes
    bint constant[MAX_ARITY]                    # the input does not move along a row
    Py_ssize_t dims[MAX_NDIM]
    Py_ssize_t run
    int ndim, arity, dtype, size, scalar_slot
    double scalar
    bint short_float


cdef int run_elementwise(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef const KernelInfo* info = <const KernelInfo*>call.info
    cdef int dtype = outputs[0].dtype, i, own = 0
    cdef Py_ssize_t n = outputs[0].size
    cdef const void* pointers[MAX_ARITY]
    cdef char constant[TILE * 8]
    cdef Layout layout
    if n == 0:
        return 0
    if call.threads == 1 and (info.scalar_slot < 0 or n <= TILE) and not is_short_float(dtype):
        for i in range(info.arity):             # the common small call: same shapes, one run
            if i == info.scalar_slot:
                fill(constant, call.scalar, dtype, n)
                pointers[i] = constant
            elif inputs[own].size != n:
                break
            else:
                pointers[i] = inputs[own].data
                own += 1
        else:
            info.tiles[dtype](outputs[0].data, pointers, n, call.params)
            return 0
    lay_out(&layout, inputs, &outputs[0], call)
    cdef Py_ssize_t parts = call.threads, part
    if n < parts * SPLIT:
        parts = (n + SPLIT - 1) // SPLIT
    if parts == 1:
        run_range(&layout, 0, n)
        return 0
    cdef Py_ssize_t step = ((n + parts - 1) // parts + TILE - 1) // TILE * TILE
    for part in prange(parts, num_threads=<int>parts, schedule="static"):
        run_range(&layout, part * step, min(part * step + step, n))
    return 0


cdef void lay_out(Layout* layout, const Tensor* inputs, const Tensor* out, Call* call) noexcept nogil:
    """Merge axes along which every input either moves as the output does or stands still."""
    cdef const KernelInfo* info = <const KernelInfo*>call.info
    cdef Py_ssize_t moving[MAX_ARITY]           # elements of the input inside the current axis
    cdef bint here[MAX_ARITY]                   # whether the input moves along the current axis
    cdef bint before[MAX_ARITY]
    cdef int axis, i, slot, own, top = 0
    cdef bint same
    layout.tile = info.tiles[out.dtype]
    layout.short_float = layout.tile == NULL
    if layout.short_float:
        layout.tile = info.tiles[<int>FLOAT32]
    layout.params, layout.out, layout.dtype, layout.size = call.params, <char*>out.data, out.dtype, <int>itemsize(out.dtype)
    layout.arity, layout.scalar_slot, layout.scalar = info.arity, info.scalar_slot, call.scalar
    own = 0
    for i in range(info.arity):
        layout.constant[i] = i == info.scalar_slot
        moving[i], before[i] = 1, False
        layout.data[i] = NULL
        if not layout.constant[i]:
            layout.data[i] = <const char*>inputs[own].data
            own += 1
    # Walk from the last axis to the first; axis 0 of layout.dims is the innermost until the end.
    for axis in range(out.ndim - 1, -1, -1):
        if out.shape[axis] == 1:
            continue
        own = 0
        same = top > 0
        for i in range(info.arity):
            here[i] = False
            if i != info.scalar_slot:
                slot = axis - (out.ndim - inputs[own].ndim)
                here[i] = slot >= 0 and inputs[own].shape[slot] != 1
                own += 1
            same = same and here[i] == before[i]
        if same:
            layout.dims[top - 1] *= out.shape[axis]
        else:
            for i in range(info.arity):
                layout.strides[i][top] = moving[i] if here[i] else 0
                before[i] = here[i]
            layout.dims[top] = out.shape[axis]
            top += 1
        for i in range(info.arity):
            if here[i]:
                moving[i] *= out.shape[axis]
    if top == 0:
        layout.dims[0], top = 1, 1
        for i in range(info.arity):
            layout.strides[i][0] = 0
    layout.run = layout.dims[0]
    for i in range(info.arity):
        layout.constant[i] = layout.strides[i][0] == 0
        for axis in range(1, top):
            layout.strides[i][axis - 1] = layout.strides[i][axis]
    for axis in range(1, top):
        layout.dims[axis - 1] = layout.dims[axis]
    layout.ndim = top - 1


cdef void run_range(const Layout* p, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Elements begin to end of the output, in C order."""
    cdef char buffer[MAX_ARITY + 1][TILE * 8]
    cdef const void* pointers[MAX_ARITY]
    cdef const char* row[MAX_ARITY]
    cdef Py_ssize_t index[MAX_NDIM]
    cdef Py_ssize_t outer = begin // p.run, at = begin % p.run, left, n, longest
    cdef int i, axis
    cdef bint limited = p.short_float
    cdef char* out = p.out + begin * p.size
    if begin >= end:
        return
    for i in range(p.arity):
        row[i] = p.data[i]
        limited = limited or p.constant[i]
    for axis in range(p.ndim):                  # dims[0] is the axis just outside the rows
        index[axis] = outer % p.dims[axis]
        outer //= p.dims[axis]
        for i in range(p.arity):
            row[i] += index[axis] * p.strides[i][axis] * p.size
    if p.scalar_slot >= 0:                      # a number stays in its tile for good
        fill(buffer[p.scalar_slot], p.scalar, p.dtype, min(<Py_ssize_t>TILE, end - begin))
        pointers[p.scalar_slot] = buffer[p.scalar_slot]
    left = end - begin
    while left > 0:
        for i in range(p.arity):
            if p.constant[i] and i != p.scalar_slot:
                pointers[i] = buffer[i]
                if p.short_float:
                    widen(<float*>buffer[i], row[i], p.dtype, 1)
                    repeat(buffer[i], buffer[i], 4, min(<Py_ssize_t>TILE, p.run))
                else:
                    repeat(buffer[i], row[i], p.size, min(<Py_ssize_t>TILE, p.run))
        longest = min(p.run - at, left)
        left -= longest
        while longest > 0:
            n = min(<Py_ssize_t>TILE, longest) if limited else longest
            for i in range(p.arity):
                if not p.constant[i]:
                    pointers[i] = row[i] + at * p.size
                    if p.short_float:
                        widen(<float*>buffer[i], pointers[i], p.dtype, n)
                        pointers[i] = buffer[i]
            if p.short_float:
                p.tile(buffer[MAX_ARITY], pointers, n, p.params)
                narrow(out, <const float*>buffer[MAX_ARITY], p.dtype, n)
            else:
                p.tile(out, pointers, n, p.params)
            at += n
            out += n * p.size
            longest -= n
        at = 0
        for axis in range(p.ndim):              # the next row
            index[axis] += 1
            for i in range(p.arity):
                row[i] += p.strides[i][axis] * p.size
            if index[axis] < p.dims[axis]:
                break
            for i in range(p.arity):
                row[i] -= p.strides[i][axis] * p.size * p.dims[axis]
            index[axis] = 0


# -- 16-bit floats through float32 -----------------------------------------------------------------------------------

cdef int through_float(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Run the entry for wider dtypes on float32 copies of the 16-bit tensors; convert back what it wrote."""
    cdef const KernelInfo* info = <const KernelInfo*>call.info
    cdef int count = call.n_inputs + call.n_outputs, i, status = 0
    cdef Py_ssize_t bytes_ = 0
    cdef Tensor* copy = <Tensor*>scratch_new(count * sizeof(Tensor))
    cdef const Tensor* original
    cdef char* buffer
    cdef char* place
    if copy == NULL:
        return fail(call, "out of memory for %d descriptors", count)
    for i in range(count):
        original = &inputs[i] if i < call.n_inputs else &outputs[i - call.n_inputs]
        copy[i] = original[0]
        if is_short_float(original.dtype):
            bytes_ += (original.size * 4 + 63) // 64 * 64
    buffer = place = <char*>scratch_new(bytes_ + 64)
    if buffer == NULL:
        scratch_free(copy)
        return fail(call, "out of memory: %lld bytes for a float32 copy", <long long>bytes_)
    for i in range(count):
        if is_short_float(copy[i].dtype):
            if i < call.n_inputs:
                widen(<float*>place, copy[i].data, copy[i].dtype, copy[i].size)
            copy[i].data, copy[i].dtype = place, FLOAT32
            place += (copy[i].size * 4 + 63) // 64 * 64
    # The workspace was sized for the 16-bit tensors' shapes, which are those of the copies.
    i = min(info.dispatch, call.n_inputs - 1) if info.dispatch >= 0 and call.n_inputs else call.n_inputs
    status = info.table[copy[i].dtype](copy, copy + call.n_inputs, call)
    if status == 0:
        for i in range(count):
            original = &inputs[i] if i < call.n_inputs else &outputs[i - call.n_inputs]
            if is_short_float(original.dtype) and (i >= call.n_inputs or call.mutated >> i & 1):
                narrow(original.data, <const float*>copy[i].data, original.dtype, original.size)
    scratch_free(buffer)
    scratch_free(copy)
    return status


# -- instruction sets --------------------------------------------------------------------------------------------------

cdef extern from *:
    """
    static int mxcy_level(void) {
    #if defined(__x86_64__)
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd")
            && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) return 4;
        if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) return 3;
        return 2;
    #else
        return 0;
    #endif
    }
    """
    int mxcy_level()


def levels():
    """Names of the instruction-set levels that this processor can run, best first."""
    cdef int best = mxcy_level()
    return [f"v{level}" for level in range(best, 1, -1)] if best else ["base"]
