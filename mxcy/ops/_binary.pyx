# mxcy: kernel
# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Elementwise kernels of two arrays, or of an array and a number. The expressions stand in binary.h."""
from libc.stdint cimport uintptr_t

from mxcy._types cimport BOOL, FLOAT32, FLOAT64, INT8, INT32, INT64, UINT8, tile_t

from mxcy.ops._kernel import Kernel

cdef extern from "mxcy/ops/binary.h" namespace "mxcy" nogil:
    tile_t binary_tile(const char* operation, int dtype)

DTYPES = (FLOAT32, FLOAT64, INT32, INT64, INT8, UINT8)

#: Kernels of two arrays by name, of an array and a number, of a number and an array.
PAIR, SCALAR, REVERSED = {}, {}, {}


def tiles_of(name, dtypes=DTYPES):
    return {dtype: <uintptr_t>binary_tile(name.encode(), dtype) for dtype in dtypes}


def functor_of(name):
    return "mxcy/ops/binary.h", f"{name}_op"


def add(name, cost, dtypes=DTYPES):
    """Add the three kernels for the row ``name`` of binary.h; ``cost`` in ns per float32 element."""
    tiles, functor = tiles_of(name, dtypes), functor_of(name)
    PAIR[name] = Kernel.elementwise(name, tiles, arity=2, cost=cost, functor=functor)
    SCALAR[name] = Kernel.scalar(f"{name}_scalar", tiles, slot=1, cost=cost, functor=functor)
    REVERSED[name] = Kernel.scalar(f"r{name}_scalar", tiles, slot=0, cost=cost, functor=functor)


for name in ("add", "sub", "mul", "div", "maximum", "minimum"):
    add(name, .15)
add("mod", 10.)
add("power", 2.)
SCALAR["power"] = Kernel.scalar("power_scalar", tiles_of("power_scalar"), slot=1, cost=.15,
                                functor=functor_of("power"))
add("hypot", .5)
for name in ("equal", "not_equal", "greater", "greater_equal", "lesser", "lesser_equal", "logical_and", "logical_or",
             "logical_xor"):
    add(name, .15, (*DTYPES, BOOL))
