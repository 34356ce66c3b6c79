"""dot, batch_dot and the fully connected layer."""
from math import prod

from mxcy.dtype import CODES
from mxcy.ops import _dense, _matrix
from mxcy.ops.cuda.product import Matrix, multiply
from mxcy.ops.cuda.rules import c_type, rule
from mxcy.ops.matrix import dot_matrices

__all__ = []


def check(ins, kernel):
    for array in ins:
        c_type(array, kernel, [name for name, code in CODES.items() if code in kernel.dtypes])


@rule(_matrix.dot)
def dot(ins, outs, scratch, device, kernel, transpose_a, transpose_b):
    check(ins, kernel)
    lhs, rhs = ins
    transpose_a, transpose_b = transpose_a and len(lhs.shape) > 1, transpose_b and len(rhs.shape) > 1
    a, b, left, right = dot_matrices(lhs.shape, rhs.shape, transpose_a, transpose_b)
    return multiply(scratch, device, lhs.dtype, outs[0].pointer, Matrix(lhs.pointer, a[1], transpose_a),
                    Matrix(rhs.pointer, b[1], transpose_b), prod(left), prod(right), a[0] if transpose_a else a[1])


@rule(_matrix.batch_dot)
def batch_dot(ins, outs, scratch, device, kernel, transpose_a, transpose_b):
    check(ins, kernel)
    lhs, rhs = ins
    m, n = outs[0].shape[-2:]
    return multiply(scratch, device, lhs.dtype, outs[0].pointer, Matrix(lhs.pointer, lhs.shape[-1], transpose_a),
                    Matrix(rhs.pointer, rhs.shape[-1], transpose_b), m, n, lhs.shape[-2 if transpose_a else -1],
                    batch=prod(outs[0].shape[:-2]))


@rule(_dense.fully_connected)
def fully_connected(ins, outs, scratch, device, kernel):
    check(ins, kernel)
    data, weight = ins[:2]
    n, k = weight.shape
    return multiply(scratch, device, data.dtype, outs[0].pointer, Matrix(data.pointer, k),
                    Matrix(weight.pointer, k, True), outs[0].size // n, n, k,
                    bias=ins[2].pointer if len(ins) == 3 else None)
