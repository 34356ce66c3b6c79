"""Products of matrices, for all rules that need some: by cuBLASLt where it is, else by our own kernels."""
import os
import struct
from typing import NamedTuple

import numpy as np

from mxcy.dtype import NUMPY
from mxcy.gpu import _cublas, _product
from mxcy.gpu.recipe import LibraryCall, Pointer, launch
from mxcy.ops.cuda.rules import C_TYPES, THREADS, grid

__all__ = ["Matrix", "multiply"]

BLOCKS = 264                        # that keep a device busy: two for each multiprocessor of an H100
FEW = 4                             # vectors that `dots` multiplies at once
DEPTH = 256                         # elements that one block sums at least

#: MXNet's variables: whether tensor cores may be used at all, and for float32 numbers, rounded to tf32.
TENSOR_CORES = os.environ.get("MXNET_CUDA_ALLOW_TENSOR_CORE", "1") != "0"
TF32 = TENSOR_CORES and os.environ.get("MXNET_CUDA_TENSOR_OP_MATH_ALLOW_CONVERSION", "0") == "1"
#: The dtypes that cuBLASLt multiplies, and what it computes them in: cudaDataType_t, cublasComputeType_t.
LIBRARY = {"float32": (0, 77 if TF32 else 68), "float64": (1, 70), "float16": (2, 68), "bfloat16": (14, 68)}
WHOLE = 16                          # bytes: alignment of whole arrays, as far as the library can make use of it


class Matrix(NamedTuple):
    """A matrix in memory, or a batch of them one after the other.

    ``step`` is the number of elements from one row to the next; ``transposed``: what is multiplied is its transpose.
    """

    pointer: Pointer
    step: int
    transposed: bool = False


def multiply(scratch, device, dtype, c, a, b, m, n, k, *, batch=1, bias=None, shared=False, add=False):
    """What to launch for ``c = a b + bias``, for ``batch`` dense matrices of each kind.

    Parameters
    ----------
    scratch : callable
        Gives bytes of the workspace.
    device : int or None
        As rules get it.
    dtype : str
        Of all the matrices.
    c : Pointer
        The result, m x n.
    a, b : Matrix
        m x k and k x n, once they are transposed where they are to be.
    m, n, k, batch : int
    bias : Pointer, optional
        n elements, added to every row.
    shared : bool
        Whether the whole batch has the same ``a``.
    add : bool
        Whether the product is added to what ``c`` holds; then there is no bias.

    Returns
    -------
    list of Launch and LibraryCall
    """
    if not m or not n or not batch:
        return []
    if k and not shared and not add and (m <= FEW and b.transposed or n <= FEW and not a.transposed):
        return few(dtype, c, a, b, m, n, k, batch, bias)
    if call := by_library(device, dtype, c, a, b, m, n, k, batch, bias, shared, add):
        return [call]
    return by_tiles(scratch, dtype, c, a, b, m, n, k, batch, bias, shared, add)


def by_library(device, dtype, c, a, b, m, n, k, batch, bias, shared, add):
    """The call of cuBLASLt; None where it is missing or cannot do it.

    It computes columns first, so it is asked for the transpose: ``c.T = b.T a.T``.
    """
    if device is None or not k or dtype not in LIBRARY or not _cublas.available() \
            or max(m, n, k, batch, a.step, b.step) >= 1 << 31:
        return None
    tensor_cores = TENSOR_CORES or dtype == "float64"
    places = b.pointer, a.pointer, c, bias
    numbers = k * n, 0 if shared else m * k, m * n, b.transposed, a.transposed, n, m, k, b.step, a.step, batch
    asked = struct.pack("3q13i5I", *numbers, *LIBRARY[dtype], tensor_cores, bias is not None, add,
                        NUMPY[dtype].itemsize, *map(alignment, places))
    prepared = _product.prepare(device, asked)
    return prepared and LibraryCall(prepared, tuple(place or 0 for place in places))


def alignment(place):
    """That of an address, if the tensor that it lies in is a whole array."""
    offset = place.offset if place else 0
    return WHOLE if offset % WHOLE == 0 else offset & -offset


def by_tiles(scratch, dtype, c, a, b, m, n, k, batch, bias, shared, add):
    """Our own kernels."""
    tile = tile_size(m, n, batch)
    tiles = -(-m // tile) * -(-n // tile) * batch
    parts = max(min(BLOCKS // tiles, k // DEPTH), 1)
    itemsize = np.dtype("f8" if dtype in ("float64", "int64") else "f4").itemsize       # of sums
    depth = -(-k // (parts * 16)) * 16
    partial = scratch(parts * batch * m * n * itemsize) if parts > 1 else 0
    source = ('#include "mxcy/gpu/kernels/product.cuh"\n'
              f"MXCY_PRODUCT({C_TYPES[dtype]}, {tile}, {word(a.transposed)}, {word(b.transposed)}, "
              f"{word(add)})\n")
    sizes = struct.pack("8q", m, n, k, a.step, b.step, 0 if shared else m * k, parts, depth)
    launches = [launch(source, "tiles", tiles * parts, 256, c, partial, a.pointer, b.pointer, bias or 0,
                       sizes)]
    if parts > 1:
        launches.append(launch(source, "join_parts", grid(batch * m * n), THREADS, c, partial, parts, m * n,
                               batch * m * n))
    return launches


def tile_size(m, n, batch):
    """The largest tiles of which there are enough for the device."""
    for tile in (16, 32):
        if max(m, n) <= tile:
            return tile
    return 128 if -(-m // 128) * -(-n // 128) * batch >= BLOCKS // 2 else 64


def word(flag):
    return "true" if flag else "false"


def few(dtype, c, a, b, m, n, k, batch, bias):
    """The rows of one matrix times few vectors: the rows of ``a``, or the columns of ``b``."""
    if m <= FEW and b.transposed:
        count, rows, matrix, vectors = m, n, b, a
        along, between = (a.step, 1) if a.transposed else (1, a.step)
        strides = 1, n
    else:
        count, rows, matrix, vectors = n, m, a, b
        along, between = (1, b.step) if b.transposed else (b.step, 1)
        strides = n, 1
    lanes = 32 if k <= 2048 else 256
    source = f'#include "mxcy/gpu/kernels/product.cuh"\nMXCY_DOTS({C_TYPES[dtype]}, {count}, {lanes})\n'
    sizes = struct.pack("9q", rows, k, matrix.step, batch, between, along, *strides, matrix is b)
    return [launch(source, "dots", -(-rows * batch * lanes // 256), 256, c, matrix.pointer, vectors.pointer,
                   bias or 0, sizes)]
