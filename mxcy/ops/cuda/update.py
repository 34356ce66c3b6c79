"""Optimizer updates: up to forty weights in a launch."""
import struct
from itertools import groupby

import numpy as np

from mxcy.gpu.recipe import SCALAR, launch
from mxcy.ops import _update
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule

__all__ = []

FLOATS = ("float32", "float64", "float16", "bfloat16")
MOST = 40                           # weights, for which the parameters of a launch have room
CHUNK = 4096                        # as in update.cuh
GROUP = 96                          # bytes of the struct Group
CLASSES = ("Sgd", "SgdMom", "Nag", "Adam", "AdamW", "RmsProp", "RmsPropCentred", "Ftrl", "Ftml", "Sign", "Signum",
           "Lamb")                  # by number, as in update.h
TAILS = ("NOTHING", "RESCALE", "RATES")


@rule(*_update.updates)
def update(ins, outs, kernel, params):
    packed = kernel.pack(params)
    number, states, mixed, steps, tail, many, scaled, _ = struct.unpack_from("=8i", packed)
    numbers, size, count = packed[32:112], 2 + states + mixed, len(outs)
    lr, wd = struct.unpack_from("2d", numbers)
    rates = struct.unpack_from(f"{2 * count}d", packed, 112) if many else (lr,) * count + (wd,) * count
    behind = ins[count * size:]
    factor = c_type(behind[0], kernel, FLOATS) if behind else "float"
    weights = sorted((i for i in range(count) if outs[i].size), key=lambda i: ins[i * size].dtype)
    launches = []
    for _, alike in groupby(weights, key=lambda i: ins[i * size].dtype):
        alike = list(alike)
        group = ins[alike[0] * size:(alike[0] + 1) * size]
        kinds = (c_type(group[0], kernel, ("float32", "float16", "bfloat16") if mixed else FLOATS),
                 C_TYPES[group[2].dtype] if states else "float", C_TYPES[outs[alike[0]].dtype])
        most = 1 if count == 1 else MOST
        source = ('#include "mxcy/gpu/kernels/update.cuh"\n'
                  f"MXCY_UPDATE({CLASSES[number]}, {', '.join(kinds)}, {flag(mixed)}, {flag(mixed and not steps)}, "
                  f"{TAILS[tail]}, {factor}, {most})\n")
        for at in range(0, len(alike), most):
            chosen, arguments, first = alike[at:at + most], [], 0
            for i in chosen:
                group = ins[i * size:(i + 1) * size]
                arguments += [outs[i], *group[:2 + states], *[0] * (3 - states), group[-1] if mixed else 0,
                              struct.pack("3q2d", outs[i].size, first, i, rates[i], rates[count + i])]
                first += -(-outs[i].size // CHUNK)
            launches.append(launch(source, "update", first, THREADS, len(chosen), *arguments,
                                   bytes(GROUP * (most - len(chosen))), numbers, SCALAR if scaled else np.float64(1),
                                   *behind, *[0] * (2 - len(behind))))
    return launches


@rule(_update.scaled_step)
def scaled_step(ins, outs, kernel, params):
    mixed = len(ins) == 5
    weight, out = ins[4 if mixed else 0], outs[0]
    kinds = [c_type(array, kernel, FLOATS) for array in (out, weight, *ins[1:4])]
    source = ('#include "mxcy/gpu/kernels/update.cuh"\n'
              f"MXCY_SCALED_STEP({', '.join(kinds)}, {flag(mixed)})\n")
    return [launch(source, "scaled_step", grid(out.size), THREADS, out, weight, *ins[1:4],
                   *map(np.float64, struct.unpack("3d", kernel.pack(params))), out.size)]


def flag(condition):
    return "true" if condition else "false"
