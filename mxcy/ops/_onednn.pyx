# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""oneDNN's convolutions: a cache of prepared primitives per thread, under our own key.

Making a primitive takes 100 us and finding it in oneDNN's own cache 1.5 us; a look-up here takes 0.05 us and a run sets
four addresses. A primitive's memory objects are mutable, so each thread has its own cache and there is no lock.
"""
cimport openmp
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset, strncpy, strstr

from mxcy.ops._dnnl cimport *
from mxcy.storage._storage cimport scratch_free, scratch_new

cdef enum:
    SETS = 64                           # of the cache, each of WAYS plans, the least recently used one goes
    WAYS = 8
    NAME_SIZE = 64

cdef enum:                              # Convolution.addend of a plan
    SEPARATE = 1
    IN_PLACE = 2                        # what out holds

cdef struct Side:                       # one of data, weight, out
    dnnl_memory_t outer                 # as the caller has it
    dnnl_memory_t inner                 # as the primitive wants it; the same object if that is the same
    dnnl_primitive_t reorder            # from one to the other, or NULL
    dnnl_memory_t scratchpad            # of the reorder
    size_t inner_bytes
    size_t scratch_bytes

cdef struct Plan:
    Convolution key
    dnnl_primitive_t primitive          # NULL: oneDNN has nothing good for this signature
    Side sides[3]                       # data, weight, out
    dnnl_memory_t bias
    dnnl_memory_t addend
    dnnl_memory_t scratchpad
    size_t scratch_bytes                # of the primitive
    size_t total                        # bytes of scratch that a run needs
    uint64_t used                       # tick of the last use
    char name[NAME_SIZE]                # of oneDNN's implementation

cdef extern from *:
    """
    static void mxcy_drop_plan(void* plan);
    struct MxcyPlans {                  /* of one thread; dropped when it ends */
        void* entries[64 * 8] = {};
        dnnl_engine_t engine = nullptr;
        dnnl_stream_t stream = nullptr;
        dnnl_primitive_attr_t attr = nullptr;
        unsigned long tick = 0;
        int state = 0;                  /* 1: ready, -1: oneDNN cannot be used */
        ~MxcyPlans() { for (void* plan : entries) if (plan) mxcy_drop_plan(plan); }
    };
    static thread_local MxcyPlans mxcy_plans;
    """
    cdef cppclass Plans "MxcyPlans":
        void* entries[64 * 8]
        dnnl_engine_t engine
        dnnl_stream_t stream
        dnnl_primitive_attr_t attr
        uint64_t tick
        int state
    Plans plans "mxcy_plans"


# -- making a plan ---------------------------------------------------------------------------------------------------

cdef void drop_side(Side* side) noexcept nogil:
    if side.reorder != NULL:
        dnnl_primitive_destroy(side.reorder)
    if side.scratchpad != NULL:
        dnnl_memory_destroy(side.scratchpad)
    if side.inner != NULL and side.inner != side.outer:
        dnnl_memory_destroy(side.inner)
    if side.outer != NULL:
        dnnl_memory_destroy(side.outer)


cdef void drop_plan "mxcy_drop_plan"(void* address) noexcept nogil:
    cdef Plan* plan = <Plan*>address
    cdef int i
    for i in range(3):
        drop_side(&plan.sides[i])
    if plan.bias != NULL:
        dnnl_memory_destroy(plan.bias)
    if plan.addend != NULL:
        dnnl_memory_destroy(plan.addend)
    if plan.scratchpad != NULL:
        dnnl_memory_destroy(plan.scratchpad)
    if plan.primitive != NULL:
        dnnl_primitive_destroy(plan.primitive)
    free(plan)


cdef int start() noexcept nogil:
    """Make this thread's engine; whether oneDNN can be used."""
    if plans.state == 0:
        plans.state = -1
        if (dnnl_engine_create(&plans.engine, dnnl_cpu, 0) == 0
                and dnnl_stream_create(&plans.stream, plans.engine, dnnl_stream_default_flags) == 0
                and dnnl_primitive_attr_create(&plans.attr) == 0
                and dnnl_primitive_attr_set_scratchpad_mode(plans.attr, dnnl_scratchpad_mode_user) == 0):
            plans.state = 1
    return plans.state == 1


cdef dnnl_format_tag_t tag(int ndim, bint channels_last) noexcept nogil:
    if channels_last:
        return dnnl_acb if ndim == 3 else dnnl_acdb if ndim == 4 else dnnl_acdeb
    return dnnl_abc if ndim == 3 else dnnl_abcd if ndim == 4 else dnnl_abcde if ndim == 5 else dnnl_abcdef


cdef int describe_weights(const Convolution* c, int weights, dnnl_memory_desc_t* desc) noexcept nogil:
    cdef int64_t dims[6]
    cdef int64_t strides[6]
    cdef int64_t step
    cdef int i, n = <int>c.spatial, first = 3 - n, grouped = c.groups > 1
    dims[0] = c.groups
    dims[grouped], dims[grouped + 1] = c.filters // c.groups, c.channels // c.groups
    for i in range(n):
        dims[grouped + 2 + i] = c.kernel[first + i]
    if weights == PREPARED:
        return dnnl_memory_desc_create_with_tag(desc, n + 2 + grouped, dims, dnnl_f32, dnnl_format_tag_any)
    if weights == CHANNELS_SECOND:
        return dnnl_memory_desc_create_with_tag(desc, n + 2 + grouped, dims, dnnl_f32, tag(n + 2 + grouped, False))
    strides[grouped + 1], step = 1, dims[grouped + 1]
    for i in range(n + 1 + grouped, -1, -1):
        if i != grouped + 1:
            strides[i] = step
            step *= dims[i]
    return dnnl_memory_desc_create_with_strides(desc, n + 2 + grouped, dims, dnnl_f32, strides)


cdef int describe(const Convolution* c, bint any_format, dnnl_memory_desc_t* descs) noexcept nogil:
    """Descriptors of data, weight, out and bias: as the caller has them, or with any format where oneDNN may choose."""
    cdef int64_t dims[5]
    cdef int i, n = <int>c.spatial, first = 3 - n
    cdef dnnl_format_tag_t form = tag(n + 2, c.layout == CHANNELS_LAST)
    if any_format and c.layout == BLOCKED:
        form = dnnl_format_tag_any
    dims[0], dims[1] = c.batch, c.channels
    for i in range(n):
        dims[2 + i] = c.data[first + i]
    if dnnl_memory_desc_create_with_tag(&descs[0], n + 2, dims, dnnl_f32, form):
        return 1
    dims[1] = c.filters
    for i in range(n):
        dims[2 + i] = c.out[first + i]
    if dnnl_memory_desc_create_with_tag(&descs[2], n + 2, dims, dnnl_f32, form):
        return 1
    if c.weights == PREPARED and not any_format:
        if describe_prepared(c, &descs[1]):
            return 1
    elif describe_weights(c, PREPARED if any_format else <int>c.weights, &descs[1]):
        return 1
    if c.bias and dnnl_memory_desc_create_with_tag(&descs[3], 1, &c.filters, dnnl_f32, dnnl_a):
        return 1
    return 0


cdef int describe_prepared(const Convolution* c, dnnl_memory_desc_t* desc) noexcept nogil:
    """The weights as oneDNN likes them best for this convolution, without a bias or anything after it.

    Where it likes them otherwise for the full convolution, the weights are reordered at every run.
    """
    cdef Convolution bare = c[0]
    cdef dnnl_memory_desc_t descs[4]
    cdef dnnl_primitive_desc_t best = NULL
    cdef int i, status = 1
    memset(descs, 0, sizeof(descs))
    bare.bias = bare.activation = bare.addend = 0
    if describe(&bare, True, descs) == 0:
        best = primitive_desc(&bare, descs, plans.attr)
    if best != NULL:
        if implementation(best) != NULL:
            status = dnnl_memory_desc_clone(desc, dnnl_primitive_desc_query_md(best, dnnl_query_weights_md, 0))
        dnnl_primitive_desc_destroy(best)
    for i in range(4):
        if descs[i] != NULL:
            dnnl_memory_desc_destroy(descs[i])
    return status


cdef const char* implementation(dnnl_primitive_desc_t desc) noexcept nogil:
    """The name of an implementation; NULL for a reference one, which is slower than our own loops."""
    cdef const char* name = NULL
    if dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name) or strstr(name, b"ref") != NULL:
        return NULL
    return name


cdef int append_activation(dnnl_post_ops_t after, const Convolution* c) noexcept nogil:
    cdef float alpha = <float>c.alpha
    if c.activation == RELU:
        return dnnl_post_ops_append_eltwise(after, dnnl_eltwise_relu, alpha, 0)
    if c.activation == CLIP:
        return dnnl_post_ops_append_eltwise(after, dnnl_eltwise_clip, alpha, <float>c.beta)
    if c.activation == SIGMOID:
        return dnnl_post_ops_append_eltwise(after, dnnl_eltwise_logistic, 0, 0)
    if c.activation == TANH:
        return dnnl_post_ops_append_eltwise(after, dnnl_eltwise_tanh, 0, 0)
    return dnnl_post_ops_append_eltwise(after, dnnl_eltwise_elu, alpha, 0)


cdef dnnl_primitive_attr_t post_operations(const Convolution* c, const_dnnl_memory_desc_t out) noexcept nogil:
    """Attributes that add what ``c`` says to a convolution; NULL if there is no memory."""
    cdef dnnl_primitive_attr_t attr = NULL
    cdef dnnl_post_ops_t after = NULL
    cdef int status
    if dnnl_primitive_attr_create(&attr):
        return NULL
    status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user)
    if dnnl_post_ops_create(&after) == 0:
        if c.addend == IN_PLACE:
            status |= dnnl_post_ops_append_sum(after, 1, 0, dnnl_f32)
        elif c.addend:
            status |= dnnl_post_ops_append_binary(after, dnnl_binary_add, out)
        if c.activation:
            status |= append_activation(after, c)
        status |= dnnl_primitive_attr_set_post_ops(attr, after)
        dnnl_post_ops_destroy(after)
    else:
        status = 1
    if status:
        dnnl_primitive_attr_destroy(attr)
        return NULL
    return attr


cdef dnnl_primitive_desc_t primitive_desc(const Convolution* c, dnnl_memory_desc_t* d,
                                          dnnl_primitive_attr_t attr) noexcept nogil:
    """oneDNN's best primitive for the signature, or NULL."""
    cdef dnnl_primitive_desc_t forward = NULL, backward = NULL
    cdef int64_t after[3]
    cdef int64_t dilate[3]
    cdef int i, first = 3 - <int>c.spatial
    cdef const int64_t* stride = &c.stride[first]
    cdef const int64_t* pad = &c.pad[first]
    for i in range(3):                  # oneDNN counts the elements left out, and wants the padding at the end too
        dilate[i] = c.dilate[i] - 1
        after[i] = (c.out[i] - 1) * c.stride[i] + (c.kernel[i] - 1) * c.dilate[i] + 1 - c.data[i] - c.pad[i]
    if dnnl_convolution_forward_primitive_desc_create(
            &forward, plans.engine, dnnl_forward_training, dnnl_convolution_direct, d[0], d[1], d[3], d[2],
            stride, &dilate[first], pad, &after[first], attr):
        return NULL
    if c.kind == FORWARD:
        return forward
    if c.kind == BACKWARD_DATA:
        dnnl_convolution_backward_data_primitive_desc_create(
            &backward, plans.engine, dnnl_convolution_direct, d[0], d[1], d[2],
            stride, &dilate[first], pad, &after[first], forward, attr)
    else:
        dnnl_convolution_backward_weights_primitive_desc_create(
            &backward, plans.engine, dnnl_convolution_direct, d[0], d[1], NULL, d[2],
            stride, &dilate[first], pad, &after[first], forward, attr)
    dnnl_primitive_desc_destroy(forward)
    return backward


cdef int make_side(Side* side, const_dnnl_memory_desc_t outer, const_dnnl_memory_desc_t inner,
                   bint is_result) noexcept nogil:
    """The memory objects of one tensor, and the reorder between them; reads ``inner`` before it goes."""
    cdef dnnl_primitive_desc_t desc = NULL
    cdef const_dnnl_memory_desc_t scratch
    if dnnl_memory_create(&side.outer, outer, plans.engine, NULL):
        return 1
    if dnnl_memory_desc_equal(outer, inner):
        side.inner = side.outer
        return 0
    side.inner_bytes = dnnl_memory_desc_get_size(inner)
    if dnnl_memory_create(&side.inner, inner, plans.engine, NULL):
        return 1
    if is_result:
        outer, inner = inner, outer
    if dnnl_reorder_primitive_desc_create(&desc, outer, plans.engine, inner, plans.engine, plans.attr):
        return 1
    scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0)
    side.scratch_bytes = dnnl_memory_desc_get_size(scratch)
    cdef int status = dnnl_primitive_create(&side.reorder, desc)
    if status == 0:
        status = dnnl_memory_create(&side.scratchpad, scratch, plans.engine, NULL)
    dnnl_primitive_desc_destroy(desc)
    return status


cdef size_t align(size_t nbytes) noexcept nogil:
    return (nbytes + 63) & ~<size_t>63


cdef int fill_plan(Plan* plan, dnnl_memory_desc_t* outer, dnnl_primitive_desc_t desc) noexcept nogil:
    cdef int kind = <int>plan.key.kind, i
    cdef const char* name = implementation(desc)
    cdef dnnl_query_t what[3]
    what[0] = dnnl_query_diff_src_md if kind == BACKWARD_DATA else dnnl_query_src_md
    what[1] = dnnl_query_diff_weights_md if kind == BACKWARD_WEIGHT else dnnl_query_weights_md
    what[2] = dnnl_query_dst_md if kind == FORWARD else dnnl_query_diff_dst_md
    if name == NULL:
        return 1
    strncpy(plan.name, name, NAME_SIZE - 1)
    for i in range(3):
        if make_side(&plan.sides[i], outer[i], dnnl_primitive_desc_query_md(desc, what[i], 0),
                     i == (2 if kind == FORWARD else 0 if kind == BACKWARD_DATA else 1)):
            return 1
        plan.total += align(plan.sides[i].inner_bytes) + align(plan.sides[i].scratch_bytes)
    cdef const_dnnl_memory_desc_t scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0)
    plan.scratch_bytes = dnnl_memory_desc_get_size(scratch)
    plan.total += align(plan.scratch_bytes)
    if dnnl_memory_create(&plan.scratchpad, scratch, plans.engine, NULL):
        return 1
    if plan.key.bias and dnnl_memory_create(&plan.bias, outer[3], plans.engine, NULL):
        return 1
    if plan.key.addend == SEPARATE and dnnl_memory_create(&plan.addend, outer[2], plans.engine, NULL):
        return 1
    return dnnl_primitive_create(&plan.primitive, desc)


cdef Plan* make_plan(const Convolution* key) noexcept nogil:
    """A plan for the signature; without a primitive where oneDNN has nothing good. NULL: no memory."""
    cdef Plan* plan = <Plan*>calloc(1, sizeof(Plan))
    cdef dnnl_memory_desc_t outer[4]
    cdef dnnl_memory_desc_t inner[4]
    cdef dnnl_primitive_desc_t desc = NULL
    cdef dnnl_primitive_attr_t attr = plans.attr
    cdef int i
    if plan == NULL:
        return NULL
    plan.key = key[0]
    memset(outer, 0, sizeof(outer))
    memset(inner, 0, sizeof(inner))
    if describe(key, False, outer) == 0 and describe(key, True, inner) == 0:
        if key.activation or key.addend:
            attr = post_operations(key, outer[2])
        if attr != NULL:
            desc = primitive_desc(key, inner, attr)
        if attr != NULL and attr != plans.attr:
            dnnl_primitive_attr_destroy(attr)
        if desc != NULL:
            if fill_plan(plan, outer, desc) and plan.primitive != NULL:
                dnnl_primitive_destroy(plan.primitive)
                plan.primitive = NULL
            dnnl_primitive_desc_destroy(desc)
    for i in range(4):
        if outer[i] != NULL:
            dnnl_memory_desc_destroy(outer[i])
        if inner[i] != NULL:
            dnnl_memory_desc_destroy(inner[i])
    return plan


# -- finding and running one -----------------------------------------------------------------------------------------

cdef Plan* find_plan(const Convolution* key) noexcept nogil:
    """The thread's plan for the signature, made if need be; NULL: no memory."""
    cdef uint64_t h = <uint64_t>14695981039346656037ULL
    cdef const int64_t* words = <const int64_t*>key
    cdef size_t i
    for i in range(sizeof(Convolution) // sizeof(int64_t)):
        h = (h ^ <uint64_t>words[i]) * <uint64_t>1099511628211ULL
    cdef Plan** ways = <Plan**>&plans.entries[(h ^ (h >> 32)) % SETS * WAYS]
    cdef size_t oldest = 0
    plans.tick += 1
    for i in range(WAYS):
        if ways[i] == NULL:
            oldest = i
            break
        if memcmp(&ways[i].key, key, sizeof(Convolution)) == 0:
            ways[i].used = plans.tick
            return ways[i]
        if ways[i].used < ways[oldest].used:
            oldest = i
    cdef Plan* plan = make_plan(key)
    if plan != NULL:
        if ways[oldest] != NULL:
            drop_plan(ways[oldest])
        plan.used = plans.tick
        ways[oldest] = plan
    return plan


cdef int run_reorder(Side* side, bint is_result) noexcept nogil:
    cdef dnnl_exec_arg_t args[3]
    args[0].arg, args[0].memory = DNNL_ARG_SRC, side.inner if is_result else side.outer
    args[1].arg, args[1].memory = DNNL_ARG_DST, side.outer if is_result else side.inner
    args[2].arg, args[2].memory = DNNL_ARG_SCRATCHPAD, side.scratchpad
    return dnnl_primitive_execute(side.reorder, plans.stream, 3, args)


cdef int run_plan(Plan* plan, void** tensors, void* bias, void* addend, char* scratch) noexcept nogil:
    """Reorder the two operands, compute, reorder the result."""
    cdef int kind = <int>plan.key.kind, status = 0, i, n = 4
    cdef int result = 2 if kind == FORWARD else 0 if kind == BACKWARD_DATA else 1
    cdef dnnl_exec_arg_t args[6]
    cdef Side* side
    for i in range(3):
        side = &plan.sides[i]
        dnnl_memory_set_data_handle(side.outer, tensors[i])
        if side.reorder != NULL:
            dnnl_memory_set_data_handle(side.inner, scratch)
            scratch += align(side.inner_bytes)
            dnnl_memory_set_data_handle(side.scratchpad, scratch)
            scratch += align(side.scratch_bytes)
            if i != result:
                status |= run_reorder(side, False)
        args[i].memory = side.inner
    args[0].arg = DNNL_ARG_DIFF_SRC if kind == BACKWARD_DATA else DNNL_ARG_SRC
    args[1].arg = DNNL_ARG_DIFF_WEIGHTS if kind == BACKWARD_WEIGHT else DNNL_ARG_WEIGHTS
    args[2].arg = DNNL_ARG_DST if kind == FORWARD else DNNL_ARG_DIFF_DST
    dnnl_memory_set_data_handle(plan.scratchpad, scratch)
    args[3].arg, args[3].memory = DNNL_ARG_SCRATCHPAD, plan.scratchpad
    if plan.key.bias:
        dnnl_memory_set_data_handle(plan.bias, bias)
        args[4].arg, args[4].memory = DNNL_ARG_BIAS, plan.bias
        n = 5
    if plan.addend != NULL:
        dnnl_memory_set_data_handle(plan.addend, addend)
        args[n].arg, args[n].memory = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, plan.addend
        n += 1
    status |= dnnl_primitive_execute(plan.primitive, plans.stream, n, args)
    if plan.sides[result].reorder != NULL:
        status |= run_reorder(&plan.sides[result], True)
    return status


cdef int convolve(const Convolution* c, float* data, float* weight, float* bias, float* addend,
                  float* out) noexcept nogil:
    cdef Convolution key = c[0]
    cdef void* tensors[3]
    cdef void* scratch = NULL
    cdef Plan* plan
    cdef int status, before
    if not start():
        return 1
    if c.addend:
        key.addend = IN_PLACE if addend == out else SEPARATE
    before = openmp.omp_get_max_threads()       # a setting of this thread; oneDNN reads it
    if before != c.threads:
        openmp.omp_set_num_threads(<int>c.threads)
    plan = find_plan(&key)
    status = 2 if plan == NULL else plan.primitive == NULL
    if status == 0 and plan.total:
        scratch = scratch_new(plan.total)
        status = 2 if scratch == NULL else 0
    if status == 0:
        tensors[0], tensors[1], tensors[2] = data, weight, out
        status = run_plan(plan, tensors, bias, addend, <char*>scratch) != 0
    if scratch != NULL:
        scratch_free(scratch)
    if before != c.threads:
        openmp.omp_set_num_threads(before)
    return status


# -- weights, reordered beforehand -----------------------------------------------------------------------------------

cdef size_t prepared_bytes(const Convolution* c) noexcept nogil:
    cdef dnnl_memory_desc_t desc = NULL
    cdef size_t nbytes = 0
    if start() and describe_prepared(c, &desc) == 0:
        nbytes = dnnl_memory_desc_get_size(desc)
        dnnl_memory_desc_destroy(desc)
    return nbytes


cdef int prepare_weights(const Convolution* c, float* weight, float* out) noexcept nogil:
    cdef dnnl_memory_desc_t descs[2]
    cdef Side side
    cdef void* scratch
    cdef int status = 1, i
    descs[0] = descs[1] = NULL
    memset(&side, 0, sizeof(Side))
    if not start():
        return 1
    if describe_weights(c, <int>c.weights, &descs[0]) == 0 and describe_prepared(c, &descs[1]) == 0 \
            and make_side(&side, descs[0], descs[1], False) == 0:
        scratch = scratch_new(side.scratch_bytes + 1)
        status = 2 if scratch == NULL else 0
        if status == 0 and side.reorder == NULL:
            memcpy(out, weight, dnnl_memory_desc_get_size(descs[0]))
        elif status == 0:
            dnnl_memory_set_data_handle(side.outer, weight)
            dnnl_memory_set_data_handle(side.inner, out)
            dnnl_memory_set_data_handle(side.scratchpad, scratch)
            status = run_reorder(&side, False) != 0
        if scratch != NULL:
            scratch_free(scratch)
    drop_side(&side)
    for i in range(2):
        if descs[i] != NULL:
            dnnl_memory_desc_destroy(descs[i])
    return status


cdef int product_of_columns(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, const float* b, float* out,
                            int threads) noexcept nogil:
    cdef int before = openmp.omp_get_max_threads(), status
    if before != threads:
        openmp.omp_set_num_threads(threads)
    status = dnnl_sgemm(b"T", b"N", m, n, k, 1, a, m, b, n, 0, out, n)
    if before != threads:
        openmp.omp_set_num_threads(before)
    return status != 0


def implementations():
    """Names of the oneDNN implementations that this thread has prepared; '' where it has none that we use."""
    cdef Plan* plan
    cdef int i
    names = []
    for i in range(SETS * WAYS):
        plan = <Plan*>plans.entries[i]
        if plan != NULL:
            names.append(plan.name.decode())
    return names


cdef extern from *:
    """
    #ifdef MXCY_NO_ONEDNN
    #define mxcy_has_onednn 0
    #else
    #define mxcy_has_onednn 1
    #endif
    """
    const bint HAS_ONEDNN "mxcy_has_onednn"


def available():
    """Whether this build has oneDNN."""
    return HAS_ONEDNN
