"""Elementwise kernels: any operation of the headers in mxcy/ops, with broadcasting."""
import struct

from mxcy.dtype import CODES
from mxcy.gpu.recipe import SCALAR, launch
from mxcy.ops import _cast
from mxcy.ops.cuda.fused import launch_steps, operation
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

__all__ = ["elementwise"]


def elementwise(ins, outs, kernel, params):
    """What to launch for a Kernel that is made of tiles."""
    out, slot = outs[0], kernel.scalar_slot
    kind = c_type(out, kernel, [name for name, code in CODES.items() if code in kernel.dtypes])
    words = kernel.pack(params) if kernel.pack else b""
    arity = kernel.arity
    ins = ins[:arity - (slot >= 0)]     # the label of LogisticRegressionOutput is for its gradient alone
    header, functor = kernel.functor
    if any(array.size not in (1, out.size) for array in ins):
        value = operation(kernel, [f"x[{i}]" for i in range(len(ins))], len(words) // 8, 0)
        return [launch_steps([header], [f"y[0] = {value};"], [words, SCALAR], len(words) // 8 + 1, ins, outs)]
    source = (f'#include "{header}"\n#include "mxcy/gpu/kernels/map.cuh"\n'
              f"MXCY_MAP({functor}, {kind}, {arity}, {slot}, {len(words) // 8})\n")
    pointers = [array.pointer for array in ins] or [0]
    whole = struct.pack(f"{len(ins) or 1}q", *([int(array.size == out.size) for array in ins] or [0]))
    return [launch(source, "map", grid(-(-out.nbytes // 16)), THREADS, out, *pointers, whole, words or bytes(8), SCALAR,
                   out.size)]


@rule(_cast.copy)
def copy(ins, outs):
    """A copy: bytes are bytes."""
    source = ('#include "mxcy/gpu/kernels/copy.cuh"\n')
    return [launch(source, "copy", grid(-(-out.nbytes // 16)), THREADS, out, data, out.nbytes)
            for data, out in zip(ins, outs)]
