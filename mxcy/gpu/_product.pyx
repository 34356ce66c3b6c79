# cython: language_level=3, boundscheck=False
"""Products of matrices by cuBLASLt: described and chosen once for a recipe, then one call each."""
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t, uintptr_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free

from mxcy.engine._thread cimport pthread_mutex_lock, pthread_mutex_unlock
from mxcy.gpu._cublas cimport NOT_SUPPORTED, WORKSPACE, Algorithm, Choice, Shared, expect, lt, shared, start
from mxcy.gpu._device cimport device_start, enter, leave
from mxcy.gpu._driver cimport check, handle_t
from mxcy.gpu._launch cimport Prepared, Routine

cdef enum:
    R_32F = 0                           # numbers of cudaDataType_t
    R_64F = 1
    ADDS_BIAS = 4                       # an epilogue
    TENSOR_CORES = 0xfe                 # among the implementations that a preference allows

cdef enum:                              # attributes: of an operation,
    TRANSPOSE_A = 3
    TRANSPOSE_B = 4
    EPILOGUE = 7
    BIAS = 8
    BATCH_COUNT = 5                     # of a layout,
    BATCH_STEP = 6
    MOST_WORKSPACE = 1                  # of a preference
    ALIGNMENT = 5                       # of A; B, C and D follow
    IMPLEMENTATIONS = 12

cdef struct Asked:                      # a product in the library's terms: column by column; packed by ops/cuda/product.py
    int64_t a_step, b_step, c_step      # from matrix to matrix of a batch, in elements
    int32_t transpose_a, transpose_b, m, n, k, lda, ldb, count
    int32_t kind                        # cudaDataType_t of all matrices
    int32_t compute                     # cublasComputeType_t
    int32_t tensor_cores                # whether it may use them
    int32_t bias                        # whether there is one
    int32_t add                         # to what c holds
    uint32_t itemsize
    uint32_t alignment[4]               # bytes, of a, b, c and bias where the tensors that they lie in are whole arrays

cdef union Number:
    float single
    double wide

cdef struct Product:
    Routine head
    int device
    void* operation
    void* layouts[3]                    # of a, b, c
    Number one, start                   # factors of the product and of what c holds
    bint bias
    uintptr_t alignment[4]
    Algorithm aligned, any              # for addresses that have this alignment, and for any others


def prepare(int device, bytes asked):
    """Describe a product to the library and let it choose how to compute it.

    Parameters
    ----------
    device : int
    asked : bytes
        The struct Asked.

    Returns
    -------
    Prepared or None
        The call; it takes the addresses of a, b, c and bias (0: none). None: the library has no way to do it.
    """
    cdef const Asked* x = <const Asked*><const char*>asked
    cdef Product* p
    cdef handle_t before
    cdef uint32_t[4] least = [x.itemsize, x.itemsize, x.itemsize, x.itemsize]
    cdef bint able = False
    if len(asked) != sizeof(Asked):
        raise ValueError(f"{len(asked)} bytes; an Asked has {sizeof(Asked)}")
    device_start(device)
    check(enter(device, &before), b"preparing a product")
    try:
        start(device)
        p = <Product*>calloc(1, sizeof(Product))
        if p == NULL:
            raise MemoryError
        p.head.refs, p.head.run, p.head.free, p.device, p.bias = 1, multiply, release, device, x.bias
        prepared = Prepared(<uintptr_t>&p.head)
        describe(p, x)
        able = choose(p, x, x.alignment, &p.aligned) and choose(p, x, least, &p.any)
    finally:
        leave(device, before)
    return prepared if able else None


cdef int describe(Product* p, const Asked* x) except -1:
    cdef uint32_t epilogue = ADDS_BIAS
    cdef int i
    expect(lt.operation_create(&p.operation, x.compute, R_64F if x.kind == R_64F else R_32F), p.device,
           b"cublasLtMatmulDescCreate")
    set_of_operation(p, TRANSPOSE_A, &x.transpose_a, sizeof(x.transpose_a))
    set_of_operation(p, TRANSPOSE_B, &x.transpose_b, sizeof(x.transpose_b))
    if x.bias:
        set_of_operation(p, EPILOGUE, &epilogue, sizeof(epilogue))
    describe_matrix(p, x, 0, x.m, x.k, x.transpose_a, x.lda, &x.a_step)
    describe_matrix(p, x, 1, x.k, x.n, x.transpose_b, x.ldb, &x.b_step)
    describe_matrix(p, x, 2, x.m, x.n, False, x.m, &x.c_step)
    if x.kind == R_64F:
        p.one.wide, p.start.wide = 1, x.add
    else:
        p.one.single, p.start.single = 1, x.add
    for i in range(4):
        p.alignment[i] = x.alignment[i]
    return 0


cdef int set_of_operation(Product* p, int attribute, const void* value, size_t nbytes) except -1:
    return expect(lt.operation_set(p.operation, attribute, value, nbytes), p.device,
                  b"cublasLtMatmulDescSetAttribute")


cdef int describe_matrix(Product* p, const Asked* x, int which, uint64_t rows, uint64_t columns, bint transposed,
                         int64_t ld, const int64_t* step) except -1:
    """As it lies in memory; ``rows`` and ``columns`` are those of what is multiplied."""
    cdef void** layout = &p.layouts[which]
    if transposed:
        rows, columns = columns, rows
    expect(lt.layout_create(layout, x.kind, rows, columns, ld), p.device, b"cublasLtMatrixLayoutCreate")
    expect(lt.layout_set(layout[0], BATCH_COUNT, &x.count, sizeof(x.count)), p.device,
           b"cublasLtMatrixLayoutSetAttribute")
    return expect(lt.layout_set(layout[0], BATCH_STEP, step, sizeof(step[0])), p.device,
                  b"cublasLtMatrixLayoutSetAttribute")


cdef bint choose(Product* p, const Asked* x, const uint32_t* alignment, Algorithm* chosen) except -1:
    """Ask for the algorithm for addresses of such an alignment; whether there is one."""
    cdef void* preference = NULL
    cdef uint64_t most = WORKSPACE, implementations = ~<uint64_t>TENSOR_CORES
    cdef uintptr_t bias = alignment[3]      # an address of which only the alignment counts
    cdef Choice result
    cdef int i, status, count = 0
    if x.bias:
        set_of_operation(p, BIAS, &bias, sizeof(bias))
    status = lt.preference_create(&preference)
    if status == 0:
        status = lt.preference_set(preference, MOST_WORKSPACE, &most, sizeof(most))
    if status == 0 and not x.tensor_cores:
        status = lt.preference_set(preference, IMPLEMENTATIONS, &implementations, sizeof(implementations))
    for i in range(4):                      # C and D are both our c
        if status == 0:
            status = lt.preference_set(preference, ALIGNMENT + i, &alignment[min(i, 2)], sizeof(alignment[0]))
    if status == 0:
        status = lt.choose(shared[p.device].handle, p.operation, p.layouts[0], p.layouts[1], p.layouts[2], p.layouts[2],
                           preference, 1, &result, &count)
    if preference != NULL:
        lt.preference_destroy(preference)
    if status != NOT_SUPPORTED:
        expect(status, p.device, b"cublasLtMatmulAlgoGetHeuristic")
    if status or count == 0 or result.status:
        return False
    chosen[0] = result.algorithm
    return True


cdef void release(Routine* routine) noexcept nogil:
    cdef Product* p = <Product*>routine
    cdef int i
    for i in range(3):
        if p.layouts[i] != NULL:
            lt.layout_destroy(p.layouts[i])
    if p.operation != NULL:
        lt.operation_destroy(p.operation)
    free(p)


cdef int multiply(Routine* routine, handle_t stream, const void* buffer, char* error, size_t room) noexcept nogil:
    cdef Product* p = <Product*>routine
    cdef const uintptr_t* at = <const uintptr_t*>buffer
    cdef Shared* own = &shared[p.device]
    cdef const Algorithm* algorithm = &p.aligned
    cdef int i, status = 0
    for i in range(4):
        if at[i] % p.alignment[i]:
            algorithm = &p.any
    if p.bias:                              # a part of the description, which other threads may be using, too
        pthread_mutex_lock(&own.mutex)
        status = lt.operation_set(p.operation, BIAS, &at[3], sizeof(at[3]))
    if status == 0:
        status = lt.multiply(own.handle, p.operation, &p.one, <const void*>at[0], p.layouts[0], <const void*>at[1],
                             p.layouts[1], &p.start, <const void*>at[2], p.layouts[2], <void*>at[2], p.layouts[2],
                             algorithm, <void*>own.workspace, WORKSPACE, stream)
    if p.bias:
        pthread_mutex_unlock(&own.mutex)
    if status:
        snprintf(error, room, b"gpu(%d): cublasLtMatmul failed: %s", p.device, lt.status_name(status))
        return 1
    return 0
