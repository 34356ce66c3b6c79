# cython: language_level=3
"""oneDNN's convolutions, prepared once per signature and kept. Nothing here needs the GIL."""
from libc.stdint cimport int64_t

cdef enum:                              # Convolution.kind
    FORWARD = 0
    BACKWARD_DATA = 1
    BACKWARD_WEIGHT = 2

cdef enum:                              # Convolution.layout: how data and out lie in memory
    PLAIN = 0                           # channels first, and oneDNN computes in that layout
    BLOCKED = 1                         # channels first, reordered to the layout oneDNN likes and back
    CHANNELS_LAST = 2                   # channels last, and oneDNN computes in that layout

cdef enum:                              # Convolution.weights: how weights lie in memory
    CHANNELS_SECOND = 0                 # (filters, channels / groups, kernel)
    CHANNELS_INNER = 1                  # (filters, kernel, channels / groups)
    PREPARED = 2                        # as `prepare_weights` left them

cdef enum:                              # Convolution.activation
    IDENTITY = 0
    RELU = 1                            # alpha * x below zero
    CLIP = 2                            # to alpha .. beta
    SIGMOID = 3
    TANH = 4
    ELU = 5                             # alpha * (exp(x) - 1) below zero

cdef struct Convolution:                # all that tells one convolution from another; compared byte by byte
    int64_t kind
    int64_t layout
    int64_t weights
    int64_t activation                  # forward: what is done to the sums before they are written
    double alpha                        # its parameters
    double beta
    int64_t addend                      # forward: add another array of the shape of out before the activation
    int64_t threads
    int64_t spatial                     # 1, 2 or 3; the arrays below are right-aligned, ones and zeros fill the front
    int64_t groups
    int64_t bias                        # forward: add a bias
    int64_t batch
    int64_t channels                    # of data
    int64_t filters                     # channels of out
    int64_t data[3]
    int64_t out[3]
    int64_t kernel[3]
    int64_t stride[3]
    int64_t dilate[3]                   # 1: dense
    int64_t pad[3]                      # before the first element; what follows the last is derived

# Run it: 0. Or 1, having done nothing, where oneDNN is absent or has only a reference implementation; 2: no memory.
# FORWARD writes out, BACKWARD_DATA data and BACKWARD_WEIGHT weight, each from the other two. addend may be out.
cdef int convolve(const Convolution* c, float* data, float* weight, float* bias, float* addend,
                  float* out) noexcept nogil

# Bytes that the weights of a forward convolution take in the layout that oneDNN likes; 0 where it has nothing good.
cdef size_t prepared_bytes(const Convolution* c) noexcept nogil
# Put weights, which lie as c.weights says, into that layout; status as of `convolve`.
cdef int prepare_weights(const Convolution* c, float* weight, float* out) noexcept nogil

# out = a.T @ b for a of (k, m) and b of (k, n): the product that sums over the longest axis. 0, or 1 having done nothing.
cdef int product_of_columns(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, const float* a, const float* b, float* out,
                            int threads) noexcept nogil
