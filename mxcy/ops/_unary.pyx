# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Elementwise kernels of one array. The expressions stand in unary.h; here are their names and costs."""
from libc.stdint cimport uintptr_t

from mxcy._types cimport FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, tile_t

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/unary.h" namespace "mxcy" nogil:
    tile_t unary_tile(const char* operation, int dtype)

DTYPES = (FLOAT32, FLOAT64, INT32, INT64, INT8, UINT8)


def kernel(name, cost):
    """A kernel for the row ``name`` of unary.h; ``cost`` in ns per float32 element."""
    tiles = {dtype: <uintptr_t>unary_tile(name.encode(), dtype) for dtype in DTYPES}
    return Kernel.elementwise(name, tiles, arity=1, cost=cost, functor=("mxcy/ops/unary.h", f"{name}_op"))


abs = kernel("abs", .1)
sign = kernel("sign", .1)
negative = kernel("negative", .1)
square = kernel("square", .1)
relu = kernel("relu", .1)
logical_not = kernel("logical_not", .1)
round = kernel("round", .1)
rint = kernel("rint", .1)
ceil = kernel("ceil", .1)
floor = kernel("floor", .1)
trunc = kernel("trunc", .1)
sqrt = kernel("sqrt", .15)
rsqrt = kernel("rsqrt", .2)
cbrt = kernel("cbrt", .7)
rcbrt = kernel("rcbrt", .7)
reciprocal = kernel("reciprocal", .15)
exp = kernel("exp", .3)
expm1 = kernel("expm1", .35)
log = kernel("log", .3)
log2 = kernel("log2", .8)
log10 = kernel("log10", .8)
log1p = kernel("log1p", .8)
sin = kernel("sin", .55)
cos = kernel("cos", .55)
tan = kernel("tan", .6)
arcsin = kernel("arcsin", .45)
arccos = kernel("arccos", .5)
arctan = kernel("arctan", .6)
sinh = kernel("sinh", .8)
cosh = kernel("cosh", .7)
tanh = kernel("tanh", .2)
arcsinh = kernel("arcsinh", 1.2)
arccosh = kernel("arccosh", 1.1)
arctanh = kernel("arctanh", 1.)
degrees = kernel("degrees", .1)
radians = kernel("radians", .1)
erf = kernel("erf", .5)
erfinv = kernel("erfinv", 34.)
gamma = kernel("gamma", 31.)
gammaln = kernel("gammaln", 14.)
sigmoid = kernel("sigmoid", .35)
softsign = kernel("softsign", .12)
softrelu = kernel("softrelu", .8)
