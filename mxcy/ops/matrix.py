"""Products of matrices."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.ops import _matrix as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param


def product_params():
    return dict(transpose_a=Param(bool, False, doc="Transpose ``lhs`` first."),
                transpose_b=Param(bool, False, doc="Transpose ``rhs`` first."),
                forward_stype=Param(str, None, choices=("csr", "default", "row_sparse"),
                                    doc="Storage type of the result; for sparse arrays only."))


dot = Operator(
    "dot", "lhs rhs",
    """Sum over the last axis of ``lhs`` and the first of ``rhs``: the product of vectors and matrices.

    For arrays of more axes, ``transpose_a`` sums over the first axis of ``lhs``, ``transpose_b`` over the last of
    ``rhs``; the axes that are left keep their order. Transposing a vector changes nothing.
    """,
    aliases=("_sparse_dot",), **product_params())


def dot_matrices(lhs, rhs, transpose_a, transpose_b):
    """Shapes of the two matrices that arrays of these shapes are folded into, and of what is left of each."""
    if transpose_a and len(lhs) > 1:
        a, left = (lhs[0], prod(lhs[1:])), lhs[1:]
    else:
        a, left = (prod(lhs[:-1]), lhs[-1]), lhs[:-1]
    if transpose_b and len(rhs) > 1:
        b, right = (prod(rhs[:-1]), rhs[-1]), rhs[:-1]
    else:
        b, right = (rhs[0], prod(rhs[1:])), rhs[1:]
    return a, b, left, right


@dot.infer_shape
def dot_shape(lhs, rhs, transpose_a, transpose_b):
    if not lhs or not rhs:
        raise MXNetValueError(f"dot: lhs has shape {lhs} and rhs {rhs}; expected at least one axis in each")
    if len(lhs) == len(rhs) == 1 and (transpose_a or transpose_b):
        raise MXNetValueError("dot: lhs and rhs are vectors; transpose_a and transpose_b must be False")
    a, b, left, right = dot_matrices(lhs, rhs, transpose_a, transpose_b)
    if a[0 if transpose_a and len(lhs) > 1 else 1] != b[1 if transpose_b and len(rhs) > 1 else 0]:
        raise MXNetValueError(f"dot: lhs of shape {lhs}{' transposed' * transpose_a} and rhs of shape {rhs}"
                              f"{' transposed' * transpose_b} do not agree in the axis to sum over")
    return (*left, *right) or (1,)


@dot.gradient
def dot_gradient(F, g, lhs, rhs, transpose_a, transpose_b, needs):
    a, b, left, right = dot_matrices(lhs.shape, rhs.shape, transpose_a, transpose_b)
    transpose_a, transpose_b = transpose_a and lhs.ndim > 1, transpose_b and rhs.ndim > 1
    x, y, g = (as_shape(F, array, shape) for array, shape in ((lhs, a), (rhs, b), (g, (prod(left), prod(right)))))
    g_lhs, g_rhs = product_gradients(F.dot, g, x, y, transpose_a, transpose_b, needs)
    return as_shape(F, g_lhs, lhs.shape) if needs[0] else None, as_shape(F, g_rhs, rhs.shape) if needs[1] else None


def as_shape(F, array, shape):
    return array if array.shape == tuple(shape) else F.reshape(array, shape=tuple(shape))


def product_gradients(product, g, a, b, transpose_a, transpose_b, needs):
    """Those gradients of ``product(a, b)`` that are needed, each in the order that its own transposition asks for."""
    g_a = g_b = None
    if needs[0]:
        g_a = product(b, g, transpose_a=transpose_b, transpose_b=True) if transpose_a else \
            product(g, b, transpose_b=not transpose_b)
    if needs[1]:
        g_b = product(g, a, transpose_a=True, transpose_b=transpose_a) if transpose_b else \
            product(a, g, transpose_a=not transpose_a)
    return g_a, g_b


dot.cpu = kernel.dot

batch_dot = Operator(
    "batch_dot", "lhs rhs",
    """Products of the matrices in the last two axes; the axes before them count the matrices and must be equal.""",
    aliases=("_npx_batch_dot",), **product_params())


@batch_dot.infer_shape
def batch_dot_shape(lhs, rhs, transpose_a, transpose_b):
    if len(lhs) < 3 or len(lhs) != len(rhs) or lhs[:-2] != rhs[:-2]:
        raise MXNetValueError(f"batch_dot: lhs has shape {lhs} and rhs {rhs}; expected three axes or more, equal but "
                              f"for the last two")
    m, k = lhs[-2:][::-1] if transpose_a else lhs[-2:]
    inner, n = rhs[-2:][::-1] if transpose_b else rhs[-2:]
    if k != inner:
        raise MXNetValueError(f"batch_dot: matrices of {m} x {k} cannot be multiplied by those of {inner} x {n}; lhs "
                              f"has shape {lhs} with transpose_a={transpose_a}, rhs {rhs} with "
                              f"transpose_b={transpose_b}")
    return (*lhs[:-2], m, n)


@batch_dot.gradient
def batch_dot_gradient(F, g, lhs, rhs, transpose_a, transpose_b, needs):
    return product_gradients(F.batch_dot, g, lhs, rhs, transpose_a, transpose_b, needs)


batch_dot.cpu = kernel.batch_dot

khatri_rao = Operator(
    "khatri_rao", "*args",
    """Column-wise Kronecker product of matrices with as many columns: (m, k) and (n, k) become (m * n, k).""",
    num_args=Param(int, None, min=1, doc="Number of arrays; counted if not given."))


@khatri_rao.infer_shape
def khatri_rao_shape(args):
    if not args or any(len(shape) != 2 or shape[1] != args[0][1] for shape in args):
        raise MXNetValueError(f"khatri_rao: the arrays have shapes {args}; expected matrices with as many columns")
    return prod(shape[0] for shape in args), args[0][1]


@khatri_rao.compose
def khatri_rao_by_rows(F, args):
    khatri_rao_shape([matrix.shape for matrix in args])         # refuses what does not fit, in its own words
    result = args[0]
    for matrix in args[1:]:
        pairs = F.broadcast_mul(F.expand_dims(result, axis=1), F.expand_dims(matrix, axis=0))
        result = F.reshape(pairs, shape=(-3, 0))
    return result
