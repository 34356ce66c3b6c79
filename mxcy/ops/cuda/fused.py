"""Programs of elementwise steps: one kernel each, whose text is put together from the operations of the steps."""
import struct

from mxcy.base import MXNetTypeError
from mxcy.dtype import CODES
from mxcy.gpu.recipe import launch
from mxcy.ops.cuda.axes import walk
from mxcy.ops.cuda.rules import C_TYPES, THREADS, grid, rule
from mxcy.ops.cuda.strided import divisor, index_type
from mxcy.ops.fused import fused_pointwise, parse

__all__ = ["launch_steps", "operation"]

AXES = (1, 2, 3, 4, 6, 12)          # numbers of axes that kernels are made for: few, to compile few


@rule(fused_pointwise.cpu)
def fused(ins, outs, program):
    out, program = outs[0], parse(program)
    for op, _, _, params in program.steps:
        kernel = op.kernel(params)
        if CODES[out.dtype] not in kernel.tiles:
            raise MXNetTypeError(f"_fused_pointwise: {op.name} does not take {out.dtype} on a GPU")
    headers, lines, constants = steps(program)
    return [launch_steps(headers, lines, [struct.pack(f"{len(constants)}d", *constants)], len(constants), ins, outs)]


def launch_steps(headers, lines, constants, count, ins, outs):
    """The launch of elementwise steps on inputs that broadcast.

    Parameters
    ----------
    headers : list of str
        That have the operations.
    lines : list of str
        C++ statements: from values ``x`` and constants ``c`` to values ``y``, computed in type ``W``.
    constants : list
        Arguments of the kernel that are ``count`` numbers of 8 bytes.
    count : int
    ins, outs : list of Array
    """
    out = outs[0]
    axes = walk([array.shape for array in ins], out.shape) or [(1, (0,) * len(ins))]
    if len(axes) > AXES[-1]:
        raise ValueError(f"{len(axes)} axes do not join to {AXES[-1]} or fewer; reshape the inputs")
    axes += [(1, (0,) * len(ins))] * (next(n for n in AXES if n >= len(axes)) - len(axes))
    text = [*(f'#include "{header}"' for header in ("mxcy/gpu/kernels/fused.cuh", *headers)),
            "template <class W> static inline void steps(const W* x, W* y, const double* c) {",
            *(f"    {line}" for line in lines), "}",
            f"MXCY_FUSED({C_TYPES[out.dtype]}, {index_type(out.size)}, {len(ins)}, {len(outs)}, {count}, {len(axes)})"]
    strides = [own[k] for k in range(len(ins)) for _, own in axes]
    return launch("\n".join(text) + "\n", "fused", grid(-(-out.nbytes // 16)), THREADS, *ins, *outs, *constants,
                  b"".join(divisor(n) for n, _ in axes), struct.pack(f"{len(strides)}q", *strides), out.size)


def operation(kernel, values, words, first):
    """The C++ of an operation on values: ``words`` constants from number ``first`` on are its parameters, and the next
    one is its scalar."""
    if kernel.scalar_slot >= 0:
        values.insert(kernel.scalar_slot, f"mxcy::number<W>(c[{first + words}])")
    given = f"c + {first}" if words else "nullptr"
    return f"mxcy::{kernel.functor[1]}<W>({given})({', '.join(values)})"


def steps(program):
    """The headers and the statements of a program's steps, and its constants: numbers and parameters, which are not
    part of the text."""
    headers, lines, constants = {}, [], []
    names = [f"x[{i}]" for i in range(program.inputs)]
    for number, (op, operands, scalar, params) in enumerate(program.steps, program.inputs):
        kernel = op.kernel(params)
        headers[kernel.functor[0]] = None
        packed = kernel.pack(params) if kernel.pack else b""
        value = operation(kernel, [names[operand] for operand in operands], len(packed) // 8, len(constants))
        constants += struct.unpack(f"{len(packed) // 8}d", packed)
        if kernel.scalar_slot >= 0:
            constants.append(scalar)
        lines.append(f"const W v{number} = {value};")
        names.append(f"v{number}")
    lines += [f"y[{i}] = {names[value]};" for i, value in enumerate(program.outputs)]
    return headers, lines, constants or [0.]
