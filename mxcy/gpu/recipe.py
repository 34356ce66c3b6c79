"""What the ``cuda`` rule of an operator says: which kernels to launch, on what.

A rule is a function of what it names: ``ins`` and ``outs`` (lists of `Array`: shape and dtype of the tensors),
``scratch`` (asks for bytes that the launches share), ``kernel`` (the Kernel of the CPU), ``device`` (its number; None,
where no device is meant) and the operator's parameters. It runs once for every signature; what it returns, a list of
`Launch`, `Fill` and `LibraryCall`, is packed and then issued at every call without Python.
"""
import math
from typing import Any, NamedTuple

import numpy as np

from mxcy.dtype import NUMPY

__all__ = ["NOTICE", "RANDOM", "SCALAR", "TRAIN", "WORKSPACE", "Array", "Fill", "Launch", "LibraryCall", "Pointer",
           "blocks", "launch"]

#: Arguments that are known at the call only: the number of a scalar operator (double), which random numbers it draws
#: (the struct Philox of philox.cuh), whether the call is in training mode (int), where a kernel reports an index out of
#: range (pointer to the Notice of index.cuh: the next wait for the device raises).
SCALAR, RANDOM, TRAIN, NOTICE = "scalar", "random", "train", "notice"
PATCHED = {SCALAR: 8, RANDOM: 24, TRAIN: 4, NOTICE: 8}                 # and their bytes
WORKSPACE = -1


class Pointer(NamedTuple):
    """An address inside a tensor of the call, or inside its workspace."""

    tensor: int             # inputs, then outputs; WORKSPACE
    offset: int = 0         # bytes

    def __add__(self, nbytes):
        return Pointer(self.tensor, self.offset + nbytes)


class Array:
    """A tensor of the call as rules see it; as an argument of a launch, the address of its data.

    Attributes
    ----------
    shape : tuple of int
    dtype : str
    size : int
        Number of elements.
    pointer : Pointer
    """

    __slots__ = ("dtype", "pointer", "shape", "size")

    def __init__(self, tensor, shape, dtype):
        self.shape, self.dtype, self.size = tuple(shape), dtype, math.prod(shape)
        self.pointer = Pointer(tensor)

    @property
    def nbytes(self):
        """Bytes of the data."""
        return self.size * NUMPY[self.dtype].itemsize


class Launch(NamedTuple):
    """A kernel with its arguments."""

    source: str
    name: str
    grid: tuple
    block: tuple
    arguments: tuple
    shared: int
    training: bool


class Fill(NamedTuple):
    """Bytes that become a number from 0 to 255."""

    pointer: Pointer
    nbytes: int
    value: int = 0


class LibraryCall(NamedTuple):
    """A call of a library, which issues something to a stream.

    ``prepared`` is a `Prepared` (mxcy/gpu/_launch.pxd) for the device, which the recipe keeps. It gets the arguments as
    one struct, packed as those of a kernel.
    """

    prepared: Any
    arguments: tuple


def launch(source, name, grid, block, *arguments, shared=0, training=False):
    """A launch of the kernel ``name`` of a source text.

    Parameters
    ----------
    source : str or int
        CUDA C++; or the driver's handle of the kernel.
    name : str
        An ``extern "C" __global__`` function in it.
    grid, block : int or tuple of int
        Numbers of blocks, and of threads in each, along one to three axes.
    *arguments : Array, Pointer, NumPy scalar, int (64 bits), bytes (a struct of 8-byte alignment), or one of the above
        What the function takes, in this order.
    shared : int
        Bytes of dynamic shared memory.
    training : bool
        Calls outside of training mode do without it.

    Returns
    -------
    Launch
    """
    return Launch(source, name, triple(grid), triple(block), arguments, shared, training)


def triple(sizes):
    sizes = sizes if isinstance(sizes, tuple) else (sizes,)
    return (*map(int, sizes), *(1,) * (3 - len(sizes)))


def blocks(n, per_block, most=1 << 30):
    """How many blocks do ``n`` items, ``per_block`` each; kernels loop where there are more than ``most``."""
    return max(min(-(-n // per_block), most), 1)


def pack(arguments):
    """The parameter buffer of a launch, and what is to be patched into it at a call.

    Returns
    -------
    buffer : bytearray
    patches : list of tuple
        (offset in the buffer, tensor, or one of the names above; offset from its address)
    """
    buffer, patches = bytearray(), []
    for argument in arguments:
        if isinstance(argument, Array):
            argument = argument.pointer
        if isinstance(argument, int) and not isinstance(argument, bool):
            argument = np.int64(argument)
        data, alignment = encode(argument)
        buffer += bytes(-len(buffer) % alignment)
        if isinstance(argument, Pointer):
            patches.append((len(buffer), argument.tensor, argument.offset))
        elif isinstance(argument, str):
            patches.append((len(buffer), argument, 0))
        buffer += data
    return buffer, patches


def encode(argument: Any):
    """(bytes, alignment) of an argument; zeros where the value comes at the call."""
    if isinstance(argument, Pointer):
        return bytes(8), 8
    if isinstance(argument, str) and argument in PATCHED:
        return bytes(PATCHED[argument]), min(PATCHED[argument], 8)
    if isinstance(argument, bytes):
        return argument, 8
    if isinstance(argument, np.generic):
        return argument.tobytes(), argument.itemsize
    raise TypeError(f"{argument!r} cannot be an argument of a kernel; expected an Array, a Pointer, a NumPy scalar, "
                    "int or bytes")
