"""Choice between two arrays; sum of any number of them."""
from mxcy.base import MXNetValueError
from mxcy.dtype import NUMPY
from mxcy.gpu.recipe import launch
from mxcy.ops import _where
from mxcy.ops.cuda.rules import C_TYPES, THREADS, c_type, grid, rule
from mxcy.ops.cuda.strided import WORDS, divisor, index_type

__all__ = []

MOST = 400                          # arrays of one launch: the table of a kernel's parameters has 4 KiB


def packs(array):
    """How many times 16 bytes an array has."""
    return -(-array.nbytes // 16)


@rule(_where.where)
def where(ins, outs):
    condition, x, y = ins
    out = outs[0]
    word, kind = WORDS[NUMPY[out.dtype].itemsize], C_TYPES[condition.dtype]
    source = f"""#include "mxcy/gpu/kernels/select.cuh"
extern "C" __global__ void where({word}* out, const {kind}* condition, const {word}* x, const {word}* y,
                                 mxcy::Divisor row, int64_t n) {{
    mxcy::where<{word}, {kind}, {index_type(out.size)}>(out, condition, x, y, row, n);
}}
"""
    return [launch(source, "where", grid(packs(out)), THREADS, out, condition, x, y,
                   divisor(out.size // condition.size), out.size)]


@rule(_where.add_n)
def add_n(ins, outs, kernel):
    out = outs[0]
    kind = c_type(out, kernel, ("float32", "float64", "float16", "bfloat16", "int32", "int64", "int8", "uint8"))
    if len(ins) > MOST:
        raise MXNetValueError(f"add_n: {len(ins)} arrays; a GPU adds up to {MOST} at once. Add them in groups.")
    source = f"""#include "mxcy/gpu/kernels/select.cuh"
extern "C" __global__ void add_n({kind}* out, mxcy::Terms<{kind}, {len(ins)}> terms, int64_t n) {{
    mxcy::add_n(out, terms, n);
}}
"""
    return [launch(source, "add_n", grid(packs(out)), THREADS, out, *(array.pointer for array in ins), out.size)]
