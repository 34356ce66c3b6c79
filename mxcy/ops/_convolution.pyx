# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Convolution in its three directions: by oneDNN in whichever layout was measured fastest, else as matrix products.

`docs/convolution.md` has the figures behind `choose`.
"""
import struct

from cython.parallel cimport prange
from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy, memset

from mxcy._types cimport FLOAT32, FLOAT64, Call, Tensor, fail, itemsize, kernel_t
from mxcy.ops._blas cimport dgemm, sgemm
from mxcy.ops._kernel cimport Kernel
from mxcy.ops._onednn cimport (BACKWARD_DATA, BACKWARD_WEIGHT, BLOCKED, CHANNELS_INNER, CHANNELS_LAST,
                               CHANNELS_SECOND, FORWARD, PLAIN, PREPARED, Convolution, convolve, prepare_weights,
                               prepared_bytes, product_of_columns)
from mxcy.ops._strided cimport strided_copy
from mxcy.storage._storage cimport scratch_free, scratch_new

ctypedef fused real:
    float
    double

cdef enum:
    SMALL = 196                         # positions of an image up to which a 1x1 convolution is better blocked
    FEW = 16                            # channels that fill no vector register
    CACHED = 4 << 20                    # bytes that stay in the cache between a reorder and the convolution
    HEAVY = 8                           # times as many weights as data
    LIGHT = 16 << 10                    # weights whose gradient is summed over chunks of images at no cost

cdef struct Window:                     # the parameters, right-aligned to three dimensions
    int64_t spatial
    int64_t groups
    int64_t fitted                      # deconvolution: the padding follows from the target shape
    int64_t last                        # channels are the last axis of data and out
    int64_t weights_last                # and of the weights
    int64_t activation                  # fused: what follows, with its parameters
    int64_t kernel[3]
    int64_t stride[3]
    int64_t dilate[3]
    int64_t pad[3]
    double alpha
    double beta

ACTIVATIONS = {None: 0, "relu": 1, "clip": 2, "sigmoid": 3, "tanh": 4, "elu": 5}


def pack(params):
    """The C struct `Window` of a convolution's parameters."""
    n = len(params["kernel"])
    axes = [(default,) * (3 - n) + (params.get(name) or (default,) * n)
            for name, default in (("kernel", 1), ("stride", 1), ("dilate", 1), ("pad", 0))]
    last = (params.get("layout") or "").endswith("C")
    return struct.pack("18q2d", n, params["num_group"], bool(params.get("target_shape")), last,
                       last and params.get("weight_layout") != "first",
                       ACTIVATIONS[params.get("activation")],
                       *sum(axes, ()), params.get("alpha", 0), params.get("beta", 0))


cdef inline Py_ssize_t product(const int64_t* x) noexcept nogil:
    return x[0] * x[1] * x[2]


cdef Convolution signature(int kind, const Tensor* data, const Tensor* out, const Call* call) noexcept nogil:
    """What the call computes. ``data`` is the larger side, also where a deconvolution makes it from ``out``."""
    cdef const Window* w = <const Window*>call.params
    cdef Convolution c
    cdef int i, first = 3 - <int>w.spatial, channels = data.ndim - 1 if w.last else 1, axes = 1 if w.last else 2
    memset(&c, 0, sizeof(c))
    c.kind, c.threads, c.spatial, c.groups = kind, call.threads, w.spatial, w.groups
    c.batch, c.channels, c.filters = data.shape[0], data.shape[channels], out.shape[channels]
    c.layout = CHANNELS_LAST if w.last else PLAIN
    c.weights = CHANNELS_INNER if w.weights_last else CHANNELS_SECOND
    for i in range(3):
        c.data[i] = data.shape[axes + i - first] if i >= first else 1
        c.out[i] = out.shape[axes + i - first] if i >= first else 1
        c.kernel[i], c.stride[i], c.dilate[i], c.pad[i] = w.kernel[i], w.stride[i], w.dilate[i], w.pad[i]
        if w.fitted and i >= first:
            c.pad[i] = ((c.out[i] - 1) * c.stride[i] + (c.kernel[i] - 1) * c.dilate[i] + 1 - c.data[i] + 1) // 2
    return c


# -- oneDNN ----------------------------------------------------------------------------------------------------------

cdef bint is_pointwise(const Convolution* c) noexcept nogil:
    return product(c.kernel) == 1 and c.pad[0] == 0 and c.pad[1] == 0 and c.pad[2] == 0


cdef int choose(const Convolution* c) noexcept nogil:
    """The layout to compute in.

    A 1x1 convolution of large images is a plain matrix product; of small ones it is better blocked, but for the
    weights' gradient, where the reorder of the result costs more. Other convolutions run fastest with channels last;
    the gradient of the weights only for small images, and not where there are far more weights than data, as it is
    the weights that would be reordered. With few channels the blocked kernels read plain data; what writes few channels
    is best done plain.
    """
    cdef Py_ssize_t positions = product(c.out), weights = c.filters * (c.channels // c.groups) * product(c.kernel)
    cdef Py_ssize_t data = c.batch * (c.channels * product(c.data) + c.filters * positions)
    if c.kind == BACKWARD_WEIGHT and weights > HEAVY * data:
        return PLAIN
    if is_pointwise(c) and c.groups == 1:
        return BLOCKED if c.kind != BACKWARD_WEIGHT and positions <= SMALL else PLAIN
    if c.channels < FEW:
        return PLAIN if c.kind == BACKWARD_DATA else BLOCKED
    if c.groups > 1 or (c.kind == BACKWARD_WEIGHT and positions > SMALL):
        return BLOCKED
    return CHANNELS_LAST


cdef void transpose(real* out, const real* x, Py_ssize_t batch, Py_ssize_t rows, Py_ssize_t columns,
                    int threads) noexcept nogil:
    """Each of the matrices of rows x columns, transposed."""
    cdef Py_ssize_t[3] shape, to, source
    shape[0], shape[1], shape[2] = batch, columns, rows
    to[0], to[1], to[2] = rows * columns, rows, 1
    source[0], source[1], source[2] = rows * columns, 1, columns
    strided_copy(out, to, x, source, shape, 3, sizeof(real), threads)


cdef int channels_last(const Convolution* c, float* data, float* weight, float* bias, float* out) noexcept nogil:
    """`convolve` with channels last, from and to channels first."""
    cdef Py_ssize_t positions = product(c.data), size = c.batch * c.channels * positions
    cdef Py_ssize_t out_positions = product(c.out), out_size = c.batch * c.filters * out_positions
    cdef float* data_last = <float*>scratch_new((size + out_size) * sizeof(float))
    cdef float* out_last = data_last + size
    cdef int status, threads = <int>c.threads
    if data_last == NULL:
        return 2
    if c.kind != BACKWARD_DATA:
        transpose(data_last, data, c.batch, c.channels, positions, threads)
    if c.kind != FORWARD:
        transpose(out_last, out, c.batch, c.filters, out_positions, threads)
    status = convolve(c, data_last, weight, bias, NULL, out_last)
    if status == 0 and c.kind == BACKWARD_DATA:
        transpose(data, data_last, c.batch, positions, c.channels, threads)
    if status == 0 and c.kind == FORWARD:
        transpose(out, out_last, c.batch, out_positions, c.filters, threads)
    scratch_free(data_last)
    return status


cdef int one_layout(const Convolution* c, float* data, float* weight, float* bias, float* out) noexcept nogil:
    if c.layout == CHANNELS_LAST:
        return channels_last(c, data, weight, bias, out)
    return convolve(c, data, weight, bias, NULL, out)


cdef int in_layout(Convolution* c, float* data, float* weight, float* bias, float* out) noexcept nogil:
    """By oneDNN in the layout that ``c`` names: as many images at a time as stay in the cache while reordered."""
    cdef Py_ssize_t batch = c.batch, begin = 0, chunks = 1, count, i
    cdef Py_ssize_t image = c.channels * product(c.data), out_image = c.filters * product(c.out)
    cdef Py_ssize_t weights = c.filters * (c.channels // c.groups) * product(c.kernel)
    cdef float* target = weight
    cdef int status = 0
    if c.layout != PLAIN and (c.kind != BACKWARD_WEIGHT or weights <= LIGHT):
        chunks = max(1, min((image + out_image) * batch * <Py_ssize_t>sizeof(float) // CACHED, batch // c.threads))
    count = (batch + chunks - 1) // chunks
    if c.kind == BACKWARD_WEIGHT and count < batch:
        target = <float*>scratch_new(weights * sizeof(float))
        if target == NULL:
            return 2
    while begin < batch and status == 0:
        c.batch = min(count, batch - begin)
        status = one_layout(c, data + begin * image, target if begin else weight, bias, out + begin * out_image)
        if c.kind == BACKWARD_WEIGHT and begin:
            for i in range(weights):
                weight[i] += target[i]
        begin += count
    if target != weight:
        scratch_free(target)
    c.batch = batch
    return status


cdef int by_onednn(Convolution* c, float* data, float* weight, float* bias, float* out) noexcept nogil:
    """In the best layout that oneDNN has an implementation for: 0, 1 if there is none, 2 without memory."""
    cdef int status, best = choose(c), layout
    c.layout = best
    status = in_layout(c, data, weight, bias, out)
    for layout in range(PLAIN, CHANNELS_LAST):
        if status == 1 and layout != best:
            c.layout = layout
            status = in_layout(c, data, weight, bias, out)
    c.layout = PLAIN
    return status


# -- matrix products: double precision, and where oneDNN is absent ----------------------------------------------------

cdef int gemm(bint transpose_a, bint transpose_b, Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, real* a, real* b, real beta,
              real* out, int threads) noexcept nogil:
    """out = a @ b + beta * out for matrices without gaps: (m, k) and (k, n), or stored transposed."""
    cdef Py_ssize_t lda = m if transpose_a else k, ldb = k if transpose_b else n
    if real is float:
        return sgemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, out, n, threads)
    else:
        return dgemm(transpose_a, transpose_b, m, n, k, a, lda, b, ldb, beta, out, n, threads)


cdef void columns_of_row(real* columns, real* image, const Convolution* c, Py_ssize_t row, bint scatter) noexcept nogil:
    """Row ``row`` of the matrix of patches: one channel and kernel position of every output position.

    ``scatter`` adds the row back into the image instead.
    """
    cdef Py_ssize_t volume = product(c.kernel), tap = row % volume, z, y, x, in_z, in_y, begin, end, i = 0
    cdef Py_ssize_t kz = tap // (c.kernel[1] * c.kernel[2]) * c.dilate[0] - c.pad[0]
    cdef Py_ssize_t ky = tap // c.kernel[2] % c.kernel[1] * c.dilate[1] - c.pad[1]
    cdef Py_ssize_t kx = tap % c.kernel[2] * c.dilate[2] - c.pad[2]
    cdef Py_ssize_t stride = c.stride[2], width = c.out[2]
    cdef real* plane = image + row // volume * product(c.data)
    cdef real* line
    begin = min(width, max(0, (-kx + stride - 1) // stride)) if kx < 0 else 0
    end = max(begin, min(width, (c.data[2] - kx + stride - 1) // stride)) if kx < c.data[2] else begin
    for z in range(c.out[0]):
        in_z = z * c.stride[0] + kz
        for y in range(c.out[1]):
            in_y = y * c.stride[1] + ky
            if in_z < 0 or in_z >= c.data[0] or in_y < 0 or in_y >= c.data[1]:
                if not scatter:
                    memset(columns + i, 0, width * sizeof(real))
            else:
                line = plane + (in_z * c.data[1] + in_y) * c.data[2] + kx
                if scatter:
                    for x in range(begin, end):
                        line[x * stride] += columns[i + x]
                else:
                    for x in range(begin):
                        columns[i + x] = 0
                    for x in range(begin, end):
                        columns[i + x] = line[x * stride]
                    for x in range(end, width):
                        columns[i + x] = 0
            i += width


cdef int by_gemm(const Convolution* c, real* data, real* weight, real* bias, real* out) noexcept nogil:
    """Patches of each image and group as a matrix, times the weights."""
    cdef Py_ssize_t filters = c.filters // c.groups, channels = c.channels // c.groups, positions = product(c.out)
    cdef Py_ssize_t rows = channels * product(c.kernel), image = channels * product(c.data), i, n, g, f
    cdef int threads = <int>c.threads, status = 0
    cdef real* columns = <real*>scratch_new(rows * positions * <Py_ssize_t>sizeof(real))
    cdef real* x
    cdef real* w
    cdef real* y
    if columns == NULL:
        return 2
    for n in range(c.batch * c.groups):
        g = n % c.groups
        x = data + n * image
        w = weight + g * filters * rows
        y = out + n * filters * positions
        if c.kind == BACKWARD_DATA:
            status |= gemm(True, False, rows, positions, filters, w, y, <real>0, columns, threads)
            memset(x, 0, image * sizeof(real))
            for i in prange(channels, num_threads=threads, schedule="static", use_threads_if=threads > 1):
                scatter_channel(columns, x, c, i)
            continue
        for i in prange(rows, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            columns_of_row(columns + i * positions, x, c, i, False)
        if c.kind == BACKWARD_WEIGHT:
            status |= gemm(False, True, filters, rows, positions, y, columns, <real>(n >= c.groups), w, threads)
            continue
        if c.bias:
            for f in range(filters):
                for i in range(positions):
                    y[f * positions + i] = bias[g * filters + f]
        status |= gemm(False, False, filters, positions, rows, w, columns, <real>(c.bias != 0), y, threads)
    scratch_free(columns)
    return 3 if status else 0


cdef void scatter_channel(real* columns, real* image, const Convolution* c, Py_ssize_t channel) noexcept nogil:
    """Add the patches of one channel back into the image."""
    cdef Py_ssize_t volume = product(c.kernel), positions = product(c.out), row
    for row in range(channel * volume, (channel + 1) * volume):
        columns_of_row(columns + row * positions, image, c, row, True)


# -- strided 1x1 ------------------------------------------------------------------------------------------------------

cdef void sample(real* data, real* sampled, const Convolution* c, bint scatter) noexcept nogil:
    """The positions of each plane that a strided 1x1 window sees; ``scatter`` puts them back, zeros between."""
    cdef Py_ssize_t plane, z, y, x
    cdef Py_ssize_t depth = c.out[0], height = c.out[1], width = c.out[2], stride = c.stride[2]
    cdef real* line
    cdef real* few
    for plane in prange(c.batch * c.channels, num_threads=c.threads, schedule="static", use_threads_if=c.threads > 1):
        if scatter:
            memset(data + plane * product(c.data), 0, product(c.data) * sizeof(real))
        for z in range(depth):
            for y in range(height):
                line = data + ((plane * c.data[0] + z * c.stride[0]) * c.data[1] + y * c.stride[1]) * c.data[2]
                few = sampled + ((plane * depth + z) * height + y) * width
                if scatter:
                    for x in range(width):
                        line[x * stride] = few[x]
                else:
                    for x in range(width):
                        few[x] = line[x * stride]


cdef int by_sampling(Convolution* c, real* data, real* weight, real* bias, real* out) noexcept nogil:
    """A strided 1x1 convolution is one without stride of the sampled positions."""
    cdef Convolution dense = c[0]
    cdef int i, status
    cdef real* sampled = <real*>scratch_new(c.batch * c.channels * product(c.out) * <Py_ssize_t>sizeof(real))
    if sampled == NULL:
        return 2
    for i in range(3):
        dense.data[i], dense.stride[i] = c.out[i], 1
    if c.kind != BACKWARD_DATA:
        sample(data, sampled, c, False)
    status = compute(&dense, sampled, weight, bias, out)
    if c.kind == BACKWARD_DATA and status == 0:
        sample(data, sampled, c, True)
    scratch_free(sampled)
    return status


cdef int compute(Convolution* c, real* data, real* weight, real* bias, real* out) noexcept nogil:
    cdef int status = 1
    if is_pointwise(c) and product(c.stride) > 1:
        return by_sampling(c, data, weight, bias, out)
    if real is float:
        status = by_onednn(c, data, weight, bias, out)
    return by_gemm(c, data, weight, bias, out) if status == 1 else status


# -- channels last ----------------------------------------------------------------------------------------------------

cdef int by_transposing(Convolution* c, real* data, real* weight, real* bias, real* out) noexcept nogil:
    """Channels last, by way of channels first."""
    cdef Py_ssize_t positions = product(c.data), out_positions = product(c.out), taps = product(c.kernel)
    cdef Py_ssize_t size = c.batch * c.channels * positions, out_size = c.batch * c.filters * out_positions
    cdef Py_ssize_t channels = c.channels // c.groups
    cdef int status, threads = <int>c.threads
    cdef real* x = <real*>scratch_new((size + out_size + c.filters * channels * taps) * <Py_ssize_t>sizeof(real))
    cdef real* y = x + size
    cdef real* w = y + out_size
    if x == NULL:
        return 2
    if c.kind != BACKWARD_DATA:
        transpose(x, data, c.batch, positions, c.channels, threads)
    if c.weights == CHANNELS_SECOND:
        w = weight
    elif c.kind != BACKWARD_WEIGHT:
        transpose(w, weight, c.filters, taps, channels, threads)
    if c.kind != FORWARD:
        transpose(y, out, c.batch, out_positions, c.filters, threads)
    c.weights = CHANNELS_SECOND
    status = compute(c, x, w, bias, y)
    if c.kind == BACKWARD_DATA:
        transpose(data, x, c.batch, c.channels, positions, threads)
    elif c.kind == BACKWARD_WEIGHT and w != weight:
        transpose(weight, w, c.filters, channels, taps, threads)
    elif c.kind == FORWARD:
        transpose(out, y, c.batch, c.filters, out_positions, threads)
    scratch_free(x)
    return status


cdef void patches_of_line(float* patches, const float* data, const Convolution* c, Py_ssize_t line) noexcept nogil:
    """The channels that the windows of one line of the output see, tap by tap."""
    cdef Py_ssize_t plane = line // c.out[1], n = plane // c.out[0], kz, ky, kx, z, y, x, i
    for i in range(c.out[2]):
        for kz in range(c.kernel[0]):
            for ky in range(c.kernel[1]):
                for kx in range(c.kernel[2]):
                    z = plane % c.out[0] * c.stride[0] - c.pad[0] + kz * c.dilate[0]
                    y = line % c.out[1] * c.stride[1] - c.pad[1] + ky * c.dilate[1]
                    x = i * c.stride[2] - c.pad[2] + kx * c.dilate[2]
                    if 0 <= z < c.data[0] and 0 <= y < c.data[1] and 0 <= x < c.data[2]:
                        memcpy(patches, data + (((n * c.data[0] + z) * c.data[1] + y) * c.data[2] + x) * c.channels,
                               c.channels * sizeof(float))
                    else:
                        memset(patches, 0, c.channels * sizeof(float))
                    patches += c.channels


cdef bint is_product(const Convolution* c) noexcept nogil:
    """Whether the weights' gradient is faster as one product, channels last: 1x1 windows, or more weights than data."""
    cdef Py_ssize_t data = c.batch * (c.channels * product(c.data) + c.filters * product(c.out))
    return c.groups == 1 and c.channels >= FEW and (is_pointwise(c) or c.filters * c.channels * product(c.kernel) > data)


cdef int weights_by_product(const Convolution* c, float* data, float* weight, float* out) noexcept nogil:
    """The weights' gradient as a product over all positions, channels last.

    oneDNN's convolutions take up to twice as long as its product, which is fastest with more columns than rows.
    """
    cdef Py_ssize_t lines = c.batch * c.out[0] * c.out[1], positions = lines * c.out[2], taps = product(c.kernel), i
    cdef Py_ssize_t columns = taps * c.channels, copied = 0, turned = 0
    cdef float* scratch
    cdef int status, threads = <int>c.threads
    if not is_pointwise(c) or product(c.stride) > 1:
        copied = positions * columns
    if c.weights == CHANNELS_SECOND if taps > 1 else c.filters > columns:
        turned = c.filters * columns
    scratch = <float*>scratch_new((copied + turned + 1) * <Py_ssize_t>sizeof(float))
    if scratch == NULL:
        return 2
    if copied:
        for i in prange(lines, num_threads=threads, schedule="static", use_threads_if=threads > 1):
            patches_of_line(scratch + i * c.out[2] * columns, data, c, i)
        data = scratch
    if taps == 1 and turned:
        status = product_of_columns(columns, c.filters, positions, data, out, scratch + copied, threads)
        transpose(weight, scratch + copied, 1, columns, c.filters, threads)
    else:
        status = product_of_columns(c.filters, columns, positions, out, data,
                                    scratch + copied if turned else weight, threads)
        if turned:
            transpose(weight, scratch + copied, c.filters, taps, c.channels, threads)
    scratch_free(scratch)
    return status


cdef int in_either(Convolution* c, real* data, real* weight, real* bias, real* out) noexcept nogil:
    """With channels first or last, as the call has them."""
    cdef int status = 1
    if c.layout != CHANNELS_LAST:
        return compute(c, data, weight, bias, out)
    if real is float:
        if c.kind == BACKWARD_WEIGHT and is_product(c):
            status = weights_by_product(c, data, weight, out)
        if status == 1:
            status = convolve(c, data, weight, bias, NULL, out)
    return by_transposing(c, data, weight, bias, out) if status == 1 else status


# -- kernels ---------------------------------------------------------------------------------------------------------

cdef int run(Convolution* c, const Tensor* data, const Tensor* weight, const Tensor* bias, const Tensor* out,
             Call* call) noexcept nogil:
    cdef int status
    cdef void* b = NULL if bias == NULL else bias.data
    if data.dtype == FLOAT64:
        status = in_either(c, <double*>data.data, <double*>weight.data, <double*>b, <double*>out.data)
    else:
        status = in_either(c, <float*>data.data, <float*>weight.data, <float*>b, <float*>out.data)
    if status == 3:
        return fail(call, "no BLAS: SciPy cannot be imported")
    return fail(call, "no memory for the scratch of a convolution") if status else 0


cdef int forward(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Convolution c = signature(FORWARD, &inputs[0], &outputs[0], call)
    c.bias = call.n_inputs > 2
    if outputs[0].size == 0:
        return 0
    return run(&c, &inputs[0], &inputs[1], &inputs[2] if c.bias else NULL, &outputs[0], call)


cdef void add_and_rectify(real* x, const real* addend, Py_ssize_t n, bint rectify, int threads) noexcept nogil:
    cdef Py_ssize_t i
    for i in prange(n, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        if addend != NULL:
            x[i] += addend[i]
        if rectify and x[i] < 0:
            x[i] = 0


cdef int forward_sum(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Data, weights, bias and perhaps an array to add; then the activation."""
    cdef bint rectify = (<const Window*>call.params).activation != 0
    cdef void* addend = inputs[3].data if call.n_inputs > 3 else NULL
    if forward(inputs, outputs, call):
        return 1
    if outputs[0].dtype == FLOAT64:
        add_and_rectify(<double*>outputs[0].data, <const double*>addend, outputs[0].size, rectify, call.threads)
    else:
        add_and_rectify(<float*>outputs[0].data, <const float*>addend, outputs[0].size, rectify, call.threads)
    return 0


cdef void add_bias(real* x, const real* bias, Py_ssize_t batch, Py_ssize_t channels, Py_ssize_t positions,
                   int threads) noexcept nogil:
    cdef Py_ssize_t plane, i
    for plane in prange(batch * channels, num_threads=threads, schedule="static", use_threads_if=threads > 1):
        for i in range(positions):
            x[plane * positions + i] += bias[plane % channels]


cdef int backward_data(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Deconvolution: the gradient of a convolution's data from that of its output; then the bias."""
    cdef Convolution c = signature(BACKWARD_DATA, &outputs[0], &inputs[0], call)
    cdef Py_ssize_t batch = c.batch, positions = product(c.data)
    if outputs[0].size == 0:
        return 0
    if (<const Window*>call.params).last:
        batch, positions = batch * positions, 1
    if run(&c, &outputs[0], &inputs[1], NULL, &inputs[0], call):
        return 1
    if call.n_inputs > 2 and outputs[0].dtype == FLOAT64:
        add_bias(<double*>outputs[0].data, <const double*>inputs[2].data, batch, c.channels, positions, call.threads)
    elif call.n_inputs > 2:
        add_bias(<float*>outputs[0].data, <const float*>inputs[2].data, batch, c.channels, positions, call.threads)
    return 0


cdef int backward_weight(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Convolution c = signature(BACKWARD_WEIGHT, &inputs[0], &inputs[1], call)
    if inputs[0].size == 0 or inputs[1].size == 0:
        memset(outputs[0].data, 0, outputs[0].size * itemsize(outputs[0].dtype))
        return 0
    return run(&c, &inputs[0], &outputs[0], NULL, &inputs[1], call)


cdef double forward_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return 2.0 * outputs[0].size * inputs[1].size / max(1, inputs[1].shape[0])


cdef double data_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return 2.0 * inputs[0].size * inputs[1].size / max(1, inputs[1].shape[0])


cdef double weight_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return 2.0 * inputs[1].size * outputs[0].size / max(1, outputs[0].shape[0])


cdef kernel(str name, kernel_t function, uintptr_t flops):
    return Kernel(name, {FLOAT32: <uintptr_t>function, FLOAT64: <uintptr_t>function}, pack=pack, parallel=True,
                  flops=flops)


convolution = kernel("convolution", forward, <uintptr_t>forward_flops)
convolution_sum = kernel("convolution_sum", forward_sum, <uintptr_t>forward_flops)
deconvolution = kernel("deconvolution", backward_data, <uintptr_t>data_flops)
convolution_weight = kernel("convolution_weight", backward_weight, <uintptr_t>weight_flops)


# -- with what follows, in prediction: channels last, float32, by oneDNN -------------------------------------------------

cdef int fused_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    """Data, prepared weights, bias and perhaps an array to add."""
    cdef const Window* w = <const Window*>call.params
    cdef Convolution c = signature(FORWARD, &inputs[0], &outputs[0], call)
    cdef int status
    c.weights, c.bias, c.addend = PREPARED, 1, call.n_inputs > 3
    c.activation, c.alpha, c.beta = w.activation, w.alpha, w.beta
    if outputs[0].size == 0:
        return 0
    status = convolve(&c, <float*>inputs[0].data, <float*>inputs[1].data, <float*>inputs[2].data,
                      <float*>inputs[3].data if c.addend else NULL, <float*>outputs[0].data)
    return fail(call, "oneDNN has no implementation of this convolution, or no memory") if status else 0


cdef double fused_flops(const Tensor* inputs, const Tensor* outputs, const Call* call) noexcept nogil:
    return 2.0 * outputs[0].size * inputs[1].size / max(1, inputs[2].size)


cdef struct Preparation:                # parameters of `prepare_`
    Window window
    int64_t ndim
    int64_t data[5]                     # shapes, from the first axis on
    int64_t out[5]


def pack_preparation(params):
    """The C struct `Preparation`."""
    data, out = params["data_shape"], params["out_shape"]
    rest = (0,) * (5 - len(data))
    return pack(params) + struct.pack("11q", len(data), *data, *rest, *out, *rest)


cdef Convolution prepared_for(const Preparation* p) noexcept nogil:
    """The convolution that weights are prepared for."""
    cdef Tensor data, out
    cdef Py_ssize_t[5] data_shape, out_shape
    cdef Call call
    cdef int i
    memset(&call, 0, sizeof(call))
    for i in range(5):
        data_shape[i], out_shape[i] = p.data[i], p.out[i]
    data.ndim = out.ndim = <int>p.ndim
    data.shape, out.shape = data_shape, out_shape
    call.params, call.threads = &p.window, 1
    return signature(FORWARD, &data, &out, &call)


def prepared_size(params):
    """How many numbers the weights of a convolution take, prepared; 0 where oneDNN has no good implementation."""
    cdef bytes packed = pack_preparation(params)
    cdef Convolution c = prepared_for(<const Preparation*><const char*>packed)
    return prepared_bytes(&c) // sizeof(float)


cdef int prepare_(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    cdef Convolution c = prepared_for(<const Preparation*>call.params)
    if prepare_weights(&c, <float*>inputs[0].data, <float*>outputs[0].data):
        return fail(call, "oneDNN cannot reorder these weights, or no memory")
    return 0


fused = Kernel("convolution_fused", {FLOAT32: <uintptr_t>&fused_}, pack=pack, parallel=True,
               flops=<uintptr_t>fused_flops)
prepare = Kernel("convolution_prepare", {FLOAT32: <uintptr_t>&prepare_}, pack=pack_preparation)
