"""What trainers ask of many arrays at once: sums of squares, whether all is finite, zeros; and the rates of LARS."""
import struct
from itertools import accumulate, groupby

import numpy as np

from mxcy.gpu.recipe import Fill, launch
from mxcy.ops import _multi
from mxcy.ops.cuda.creation import fill
from mxcy.ops.cuda.rules import THREADS, c_type, grid, rule

__all__ = []

FLOATS = ("float32", "float64", "float16", "bfloat16")
CHUNK, MANY_THREADS = 16384, 256                # as in many.cuh
MOST = 128                                      # arrays of a launch: the table of a kernel's parameters has 4 KiB
HEADER = '#include "mxcy/gpu/kernels/many.cuh"\n'


def in_groups(arrays):
    """Runs of arrays of one dtype, of at most `MOST` arrays; begins of their chunks."""
    for _, run in groupby(arrays, key=lambda array: array.dtype):
        run = list(run)
        for first in range(0, len(run), MOST):
            group = run[first:first + MOST]
            yield group, [0, *accumulate(-(-array.size // CHUNK) for array in group)]


def many(name, out_kind, out, group, begins, kernel):
    """The launch of a kernel of many.cuh on arrays of one dtype."""
    kind = c_type(group[0], kernel, FLOATS)
    room = next(n for n in (2, 8, 32, MOST) if n >= len(group))
    fill_up = room - len(group)
    source = f"""{HEADER}extern "C" __global__ void {name}({out_kind}* out,
        const __grid_constant__ mxcy::Many<{kind}, {room}> many) {{
    mxcy::{name}(out, many);
}}
"""
    table = struct.pack(f"{2 * room + 1}q", *begins, *(2**63 - 1,) * fill_up, *(array.size for array in group),
                        *(0,) * fill_up)
    pointers = [*(array.pointer for array in group), *(0,) * fill_up]
    return launch(source, name, begins[-1], MANY_THREADS, out, *pointers, table)


@rule(_multi.sum_sq)
def sum_sq(ins, outs, scratch, kernel):
    launches, out = [], outs[0].pointer
    for group, begins in in_groups(ins):
        parts = scratch(8 * begins[-1])
        if begins[-1]:
            launches.append(many("sum_squares", "double", parts, group, begins, kernel))
        room = next(n for n in (2, 8, 32, MOST) if n >= len(group))
        source = f"""{HEADER}extern "C" __global__ void sum_parts(float* out, const double* parts,
                                     const __grid_constant__ mxcy::Begins<{room}> begins) {{
    mxcy::sum_parts(out, parts, begins);
}}
"""
        table = struct.pack(f"{room + 1}q", *begins, *(0,) * (room - len(group)))
        launches.append(launch(source, "sum_parts", len(group), 32, out, parts, table))
        out += 4 * len(group)
    return launches


@rule(_multi.all_finite)
def all_finite(ins, outs, kernel, init_output):
    out = outs[0]
    start = [fill(out, kernel, np.float64(1))] if init_output else []
    return start + [many("check_finite", "float", out, group, begins, kernel)
                    for group, begins in in_groups([array for array in ins if array.size])]


@rule(_multi.reset)
def reset(ins):
    return [Fill(array.pointer, array.nbytes) for array in ins if array.size]


@rule(_multi.lars)
def lars(ins, outs, kernel, eta, eps, rescale_grad):
    out = outs[0]
    kind = c_type(out, kernel, ("float32", "float16", "bfloat16"))
    inputs = ", ".join(f"const {kind}* {name}" for name in ("rates", "weights", "grads", "decays"))
    source = f"""{HEADER}extern "C" __global__ void lars({kind}* out, {inputs}, mxcy::Lars p, int64_t n) {{
    mxcy::lars(out, rates, weights, grads, decays, p, n);
}}
"""
    numbers = struct.pack("3d", eta, eps, rescale_grad)
    return [launch(source, "lars", grid(out.size), THREADS, out, *ins, numbers, out.size)]
