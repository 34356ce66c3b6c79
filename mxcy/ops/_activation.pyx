# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Activations with parameters, and derivatives fused into one pass. The expressions stand in activation.h."""
import struct

from cython.parallel cimport prange
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, Call, Tensor, kernel_t, tile_t

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/activation.h" namespace "mxcy" nogil:
    tile_t activation_tile(const char* operation, int dtype)

cdef extern from "mxcy/ops/philox.h" nogil:
    enum: PHILOX_TILE
    void philox_tile(uint32_t* words, uint64_t seed, uint64_t stream, uint64_t tile)

ctypedef fused real:
    float
    double

REALS = (FLOAT32, FLOAT64)
NUMBERS = (*REALS, INT32, INT64, INT8, UINT8)


def packer(*names):
    """A function that packs these parameters as doubles; None without parameters."""
    form = struct.Struct(f"{len(names)}d")
    return (lambda params: form.pack(*[params[name] for name in names])) if names else None


def tiles(name, dtypes):
    return {dtype: <uintptr_t>activation_tile(name.encode(), dtype) for dtype in dtypes}


def functor_of(name):
    return "mxcy/ops/activation.h", f"{name}_op"


def forward(name, *names, cost=.2, dtypes=REALS):
    return Kernel.elementwise(name, tiles(name, dtypes), arity=1, cost=cost, pack=packer(*names),
                              functor=functor_of(name))


def backward(name, *names, cost=.2, dtypes=REALS):
    name = f"backward_{name}"
    return Kernel.elementwise(name, tiles(name, dtypes), arity=2, cost=cost, pack=packer(*names),
                              functor=functor_of(name))


clip = forward("clip", "a_min", "a_max", dtypes=NUMBERS)
hard_sigmoid = forward("hard_sigmoid", "alpha", "beta")
leaky = forward("leaky", "slope")
elu = forward("elu", "slope", cost=.4)
selu = forward("selu", cost=.4)
gelu = forward("gelu", cost=.6)
polygamma = forward("polygamma", "n", cost=100.)
smooth_l1 = Kernel.scalar("smooth_l1", tiles("smooth_l1", NUMBERS), slot=1, cost=.2,
                          functor=functor_of("smooth_l1"))

backward_abs = backward("abs")
backward_sqrt = backward("sqrt")
backward_relu = backward("relu")
backward_sigmoid = backward("sigmoid")
backward_tanh = backward("tanh")
backward_softrelu = backward("softrelu", cost=.4)
backward_softsign = backward("softsign")
backward_clip = backward("clip", "a_min", "a_max", dtypes=NUMBERS)
backward_hard_sigmoid = backward("hard_sigmoid", "alpha")
backward_leaky = backward("leaky", "slope")
backward_elu = backward("elu", "slope", cost=.4)
backward_selu = backward("selu")
backward_gelu = backward("gelu", cost=1.)
backward_smooth_l1 = Kernel.scalar("backward_smooth_l1", tiles("backward_smooth_l1", REALS), slot=2, arity=3, cost=.2,
                                   functor=functor_of("backward_smooth_l1"))


cdef void prelu_row(real* out, const real* x, const real* gamma, Py_ssize_t step, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    cdef real slope = gamma[0]
    if step:
        for i in range(n):
            out[i] = x[i] if x[i] > 0 else gamma[i] * x[i]
    else:
        for i in range(n):
            out[i] = x[i] if x[i] > 0 else slope * x[i]


cdef int prelu_rows(real* out, const Tensor* inputs, const Call* call) noexcept nogil:
    """gamma: one number, one for each entry of axis 1, or as many as data. Rows of one slope, or of all of them."""
    cdef const real* x = <const real*>inputs[0].data
    cdef const real* gamma = <const real*>inputs[1].data
    cdef Py_ssize_t slopes = inputs[1].size, inner = 1, row, axis, step = 0, turn = slopes
    if slopes != inputs[0].size:
        for axis in range(2, inputs[0].ndim):
            inner *= inputs[0].shape[axis]
    if inner == 1:
        inner, step, turn = slopes, 1, 1
    if slopes == 1 and inputs[0].ndim < 3:
        inner, step = inputs[0].shape[inputs[0].ndim - 1] if inputs[0].ndim else 1, 0
    if inputs[0].size == 0:
        return 0
    for row in prange(inputs[0].size // inner, num_threads=call.threads, schedule="static",
                      use_threads_if=call.threads > 1):
        prelu_row(out + row * inner, x + row * inner, gamma + row % turn, step, inner)
    return 0


cdef int prelu_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT32:
        return prelu_rows(<float*>outputs[0].data, inputs, call)
    return prelu_rows(<double*>outputs[0].data, inputs, call)


prelu = Kernel("prelu", dict.fromkeys(REALS, <uintptr_t><kernel_t>prelu_kernel), parallel=True, cost=.2)


cdef struct Bounds:
    double low
    double high


cdef void rrelu_tile(real* out, real* mask, const real* x, Py_ssize_t n, const Bounds* bounds, const Call* call,
                     uint64_t tile) noexcept nogil:
    """Slopes are uniform in [low, high) in training, else their mean; mask is the slope, or 1 where x is positive."""
    cdef uint32_t words[PHILOX_TILE]
    cdef real low = <real>bounds.low, width = <real>(bounds.high - bounds.low), slope = low + width / 2
    cdef Py_ssize_t i
    if call.train:
        philox_tile(words, call.seed, call.counter, tile)
    for i in range(n):
        if call.train:
            slope = low + width * <real>(words[i] >> 8) * <real>5.9604644775390625e-8        # 2^-24
        mask[i] = 1 if x[i] > 0 else slope
        out[i] = x[i] * mask[i]


cdef int rrelu_tiles(real* out, const Tensor* inputs, Tensor* outputs, const Call* call) noexcept nogil:
    cdef Py_ssize_t n = inputs[0].size, tile
    cdef const real* x = <const real*>inputs[0].data
    cdef real* mask = <real*>outputs[1].data
    for tile in prange((n + PHILOX_TILE - 1) // PHILOX_TILE, num_threads=call.threads, schedule="static",
                       use_threads_if=call.threads > 1):
        rrelu_tile(out + tile * PHILOX_TILE, mask + tile * PHILOX_TILE, x + tile * PHILOX_TILE,
                   min(n - tile * PHILOX_TILE, <Py_ssize_t>PHILOX_TILE), <const Bounds*>call.params, call, tile)
    return 0


cdef int rrelu_kernel(const Tensor* inputs, Tensor* outputs, Call* call) noexcept nogil:
    if inputs[0].dtype == FLOAT32:
        return rrelu_tiles(<float*>outputs[0].data, inputs, outputs, call)
    return rrelu_tiles(<double*>outputs[0].data, inputs, outputs, call)


rrelu = Kernel("rrelu", dict.fromkeys(REALS, <uintptr_t><kernel_t>rrelu_kernel), parallel=True, cost=1.,
               pack=packer("lower_bound", "upper_bound"))
