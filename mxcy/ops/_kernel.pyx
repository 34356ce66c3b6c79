# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Kernels, and the two things that many of them share: the elementwise runner and 16-bit floats through float32."""
from cython.parallel cimport prange
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from mxcy._types cimport (BFLOAT16, FLOAT16, FLOAT32, MAX_NDIM, N_DTYPES, Call, Tensor, fail, itemsize, kernel_t, tile_t,
                          workspace_t)
from mxcy.ops._numbers cimport fill, is_short_float, narrow, repeat, widen
from mxcy.ops._rows cimport Rows, make_rows
from mxcy.storage._storage cimport scratch_free, scratch_new

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
    tiles : dict of int to int, optional
        Address of a ``tile_t`` by dtype number, for what the kernel does to ``arity`` inputs of one shape and dtype.
    arity : int
        Number of inputs of the tiles; 0: the kernel has none.
    functor : tuple of str, optional
        With tiles, what they are made of, for the compiler of a GPU: the header and the class template.
    """

    def __init__(self, str name, dict table, *, pack=None, uintptr_t workspace=0, bint inplace=False,
                 bint parallel=False, double cost=1.0, int dispatch=0, uintptr_t flops=0, dict tiles=None, int arity=0,
                 functor=None):
        memset(&self.info, 0, sizeof(KernelInfo))
        self.name, self.pack, self.inplace, self.parallel = name, pack, inplace, parallel
        self.info.dispatch = dispatch
        self.info.workspace = <workspace_t>workspace
        self.info.flops = <flops_t>flops
        self.info.cost = cost
        self.info.scalar_slot = -1
        self.info.arity, self.functor = arity, functor
        if arity and functor is None:
            raise ValueError(f"{name}: tiles without the functor that they are made of")
        cdef int dtype
        for dtype, address in table.items():
            self.info.table[dtype] = <kernel_t><uintptr_t>address
        if tiles is not None:
            for dtype, address in tiles.items():
                self.info.tiles[dtype] = <tile_t><uintptr_t>address
        if self.info.table[<int>FLOAT32] != NULL:
            for dtype in (FLOAT16, BFLOAT16):
                if self.info.table[dtype] == NULL:
                    self.info.table[dtype] = through_float

    def __repr__(self):
        return f"<Kernel {self.name}>"

    @staticmethod
    def elementwise(str name, dict tiles, *, int arity=1, pack=None, double cost=0.3, int scalar_slot=-1, functor=None):
        """A Kernel that applies a tile function to tensors that broadcast to the output's shape.

        ``tiles`` holds the address of a ``tile_t`` by dtype number; 16-bit floats go through the float32 tile.
        """
        cdef Kernel kernel = Kernel(name, {}, pack=pack, inplace=True, parallel=True, cost=cost, tiles=tiles, arity=arity,
                                    functor=functor)
        cdef int dtype
        if arity > MAX_ARITY:
            raise ValueError(f"{name}: arity {arity} is above {MAX_ARITY}")
        kernel.info.scalar_slot = scalar_slot
        for dtype in tiles:
            kernel.info.table[dtype] = run_elementwise
        if kernel.info.tiles[<int>FLOAT32] != NULL:
            kernel.info.table[<int>FLOAT16] = kernel.info.table[<int>BFLOAT16] = run_elementwise
        return kernel

    @staticmethod
    def scalar(str name, dict tiles, *, int slot=1, int arity=2, pack=None, double cost=0.3, functor=None):
        """As `elementwise`, where tile input ``slot`` is the number ``call.scalar``."""
        return Kernel.elementwise(name, tiles, arity=arity, pack=pack, cost=cost, scalar_slot=slot, functor=functor)

    @property
    def dtypes(self):
        """Numbers of the dtypes that the kernel takes."""
        return [dtype for dtype in range(N_DTYPES) if self.info.table[dtype] != NULL]

    @property
    def tiles(self):
        """Numbers of the dtypes that there are tiles for, 16-bit floats by way of float32; none if not elementwise."""
        wide = self.info.tiles[<int>FLOAT32] != NULL
        return [dtype for dtype in range(N_DTYPES)
                if self.info.tiles[dtype] != NULL or (wide and is_short_float(dtype))]

    @property
    def arrays(self):
        """Number of input arrays of the tiles; 0 if the kernel is not elementwise."""
        return self.info.arity - (self.info.scalar_slot >= 0)

    @property
    def arity(self):
        """Number of inputs of the tiles, that number among them; 0 if the kernel is not elementwise."""
        return self.info.arity

    @property
    def scalar_slot(self):
        """Which input of the tiles is the number of a scalar operator; -1: none."""
        return self.info.scalar_slot

    @property
    def broadcasts(self):
        """Whether the kernel is its tile, on inputs that broadcast to the shape of the output."""
        return self.info.table[<int>FLOAT32] == run_elementwise

    @property
    def cost(self):
        """Nanoseconds per element of the largest tensor, on one thread."""
        return self.info.cost


# -- elementwise -----------------------------------------------------------------------------------------------------

cdef struct Layout:                 # an elementwise call
    tile_t tile
    const void* params
    char* out
    const char* data[MAX_ARITY]
    Rows rows
    int arity, dtype, size, scalar_slot
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
    cdef const KernelInfo* info = <const KernelInfo*>call.info
    cdef const Tensor* operands[MAX_ARITY]
    cdef int i, own = 0
    layout.tile = info.tiles[out.dtype]
    layout.short_float = layout.tile == NULL
    if layout.short_float:
        layout.tile = info.tiles[<int>FLOAT32]
    layout.params, layout.out, layout.dtype, layout.size = call.params, <char*>out.data, out.dtype, <int>itemsize(out.dtype)
    layout.arity, layout.scalar_slot, layout.scalar = info.arity, info.scalar_slot, call.scalar
    for i in range(info.arity):
        operands[i] = NULL
        if i != info.scalar_slot:
            operands[i] = &inputs[own]
            own += 1
        layout.data[i] = <const char*>operands[i].data if operands[i] != NULL else NULL
    make_rows(&layout.rows, operands, info.arity, out)


cdef void run_range(const Layout* p, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Elements begin to end of the output, in C order."""
    cdef const Rows* r = &p.rows
    cdef char buffer[MAX_ARITY + 1][TILE * 8]
    cdef const void* pointers[MAX_ARITY]
    cdef const char* row[MAX_ARITY]
    cdef Py_ssize_t index[MAX_NDIM]
    cdef Py_ssize_t outer = begin // r.run, at = begin % r.run, left, n, longest
    cdef int i, axis
    cdef bint limited = p.short_float
    cdef char* out = p.out + begin * p.size
    if begin >= end:
        return
    for i in range(p.arity):
        row[i] = p.data[i]
        limited = limited or r.constant[i]
    for axis in range(r.ndim):                  # dims[0] is the axis just outside the rows
        index[axis] = outer % r.dims[axis]
        outer //= r.dims[axis]
        for i in range(p.arity):
            row[i] += index[axis] * r.strides[i][axis] * p.size
    if p.scalar_slot >= 0:                      # a number stays in its tile for good
        fill(buffer[p.scalar_slot], p.scalar, p.dtype, min(<Py_ssize_t>TILE, end - begin))
        pointers[p.scalar_slot] = buffer[p.scalar_slot]
    left = end - begin
    while left > 0:
        for i in range(p.arity):
            if r.constant[i] and i != p.scalar_slot:
                pointers[i] = buffer[i]
                if p.short_float:
                    widen(<float*>buffer[i], row[i], p.dtype, 1)
                    repeat(buffer[i], buffer[i], 4, min(<Py_ssize_t>TILE, r.run))
                else:
                    repeat(buffer[i], row[i], p.size, min(<Py_ssize_t>TILE, r.run))
        longest = min(r.run - at, left)
        left -= longest
        while longest > 0:
            n = min(<Py_ssize_t>TILE, longest) if limited else longest
            for i in range(p.arity):
                if not r.constant[i]:
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
        for axis in range(r.ndim):              # the next row
            index[axis] += 1
            for i in range(p.arity):
                row[i] += r.strides[i][axis] * p.size
            if index[axis] < r.dims[axis]:
                break
            for i in range(p.arity):
                row[i] -= r.strides[i][axis] * p.size * r.dims[axis]
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
