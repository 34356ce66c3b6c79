"""Programs of elementwise steps: one kernel each, whose text is put together from the operations of the steps."""
import struct

from mxcy.base import MXNetTypeError
from mxcy.dtype import CODES, NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops.cuda.elementwise import walk
from mxcy.ops.cuda.rules import C_TYPES, THREADS, grid, rule
from mxcy.ops.cuda.strided import divisor, index_type
from mxcy.ops.fused import fused_pointwise, parse

__all__ = []

AXES = (1, 2, 3, 4, 6, 12)          # numbers of axes that kernels are made for: few, to compile few


@rule(fused_pointwise.cpu)
def fused(ins, outs, program):
    out, program = outs[0], parse(program)
    for op, _, _, params in program.steps:
        kernel = op.kernel(params)
        if CODES[out.dtype] not in kernel.tiles:
            raise MXNetTypeError(f"_fused_pointwise: {op.name} does not take {out.dtype} on a GPU")
    text, constants = steps(program)
    axes = walk([array.shape for array in ins], out.shape) or [(1, (0,) * len(ins))]
    if len(axes) > AXES[-1]:
        raise ValueError(f"{len(axes)} axes do not join to {AXES[-1]} or fewer; reshape the inputs")
    axes += [(1, (0,) * len(ins))] * (next(n for n in AXES if n >= len(axes)) - len(axes))
    source = text + (f"MXCY_FUSED({C_TYPES[out.dtype]}, {index_type(out.size)}, {len(ins)}, {len(outs)}, "
                     f"{len(constants)}, {len(axes)})\n")
    numbers = struct.pack(f"{len(constants)}d", *constants) + b"".join(divisor(n) for n, _ in axes)
    strides = [own[k] for k in range(len(ins)) for _, own in axes]
    count = 16 // NUMPY[out.dtype].itemsize
    return [launch(source, "fused", grid(-(-out.size // count)), THREADS, *ins, *outs, numbers,
                   struct.pack(f"{len(strides)}q", *strides), out.size)]


def steps(program):
    """The text of a program's steps, and its constants: numbers and parameters, which are not part of the text."""
    headers, lines, constants = {"mxcy/gpu/kernels/fused.cuh": None}, [], []
    names = [f"x[{i}]" for i in range(program.inputs)]
    for number, (op, operands, scalar, params) in enumerate(program.steps, program.inputs):
        kernel = op.kernel(params)
        header, functor = kernel.functor
        headers[header] = None
        packed = kernel.pack(params) if kernel.pack else b""
        given = f"c + {len(constants)}" if packed else "nullptr"
        constants += struct.unpack(f"{len(packed) // 8}d", packed)
        values = [names[operand] for operand in operands]
        if kernel.scalar_slot >= 0:
            values.insert(kernel.scalar_slot, f"mxcy::number<W>(c[{len(constants)}])")
            constants.append(scalar)
        lines.append(f"    const W v{number} = mxcy::{functor}<W>({given})({', '.join(values)});")
        names.append(f"v{number}")
    lines += [f"    y[{i}] = {names[value]};" for i, value in enumerate(program.outputs)]
    text = "".join(f'#include "{header}"\n' for header in headers)
    text += "template <class W> static inline void steps(const W* x, W* y, const double* c) {\n"
    return text + "\n".join([*lines, "}", ""]), constants or [0.]
