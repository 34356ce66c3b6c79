"""Cases of mxcy/ops/matrix.py and dense.py."""
import numpy as np

from tests.ops.case import Case, integers, normal

INTEGERS = ("int32", "int64", "int8", "uint8")


def dot(a, b, transpose_a=False, transpose_b=False):
    a = np.moveaxis(a, 0, -1) if transpose_a and a.ndim > 1 else a
    b = np.moveaxis(b, -1, 0) if transpose_b and b.ndim > 1 else b
    return np.atleast_1d(np.tensordot(a, b, 1))


def batch_dot(a, b, transpose_a=False, transpose_b=False):
    return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)


def khatri_rao(*matrices):
    result = matrices[0]
    for m in matrices[1:]:
        result = (result[:, None] * m).reshape(-1, m.shape[1])
    return result


def dense(x, w, b=0, *, num_hidden, flatten=True, no_bias=False):
    return (x.reshape(len(x), -1) if flatten else x) @ w.T + b


CASES = [
    *(Case("dot", [normal(*((4, 3) if a else (3, 4))), normal(*((5, 4) if b else (4, 5)))],
           dict(transpose_a=a, transpose_b=b), dot) for a in (False, True) for b in (False, True)),
    *(Case("dot", [integers(-5, 5, *((4, 3) if a else (3, 4)), dtype=None),
                   integers(-5, 5, *((5, 4) if b else (4, 5)), dtype=None)],
           dict(transpose_a=a, transpose_b=b), dot, dtypes=INTEGERS[:3], grad=False, id=f"integers{a}{b}")
      for a in (False, True) for b in (False, True)),
    Case("dot", [integers(0, 5, 3, 4, dtype=None), integers(0, 5, 4, 5, dtype=None)], {}, dot, dtypes=("uint8",),
         grad=False, id="uint8"),
    Case("dot", [normal(5), normal(5)], {}, dot, id="vectors"),
    Case("dot", [normal(5), normal(5, 3)], {}, dot, id="vector-matrix"),
    Case("dot", [normal(4, 5), normal(5)], {"transpose_b": True}, dot, id="matrix-vector"),
    Case("dot", [normal(2, 3, 4), normal(4, 3, 2)], {}, dot, id="axes"),
    Case("dot", [normal(4, 2, 3), normal(3, 2, 4)], dict(transpose_a=True, transpose_b=True), dot,
         id="axes-transposed"),
    Case("dot", [normal(2, 0), normal(0, 3)], {}, dot, id="nothing"),
    Case("dot", [normal(1, 3), normal(4, 1)], dict(transpose_a=True, transpose_b=True), dot, id="outer"),
    *(Case("batch_dot", [normal(2, *((4, 3) if a else (3, 4))), normal(2, *((5, 4) if b else (4, 5)))],
           dict(transpose_a=a, transpose_b=b), batch_dot) for a in (False, True) for b in (False, True)),
    Case("batch_dot", [normal(2, 3, 2, 4), normal(2, 3, 4, 3)], {}, batch_dot, id="batches"),
    Case("khatri_rao", [normal(2, 3), normal(4, 3), normal(2, 3)], {}, khatri_rao),
    Case("FullyConnected", [normal(5, 6), normal(4, 6), normal(4)], dict(num_hidden=4), dense),
    Case("FullyConnected", [normal(2, 3, 4), normal(5, 12)], dict(num_hidden=5, no_bias=True), dense),
    Case("FullyConnected", [normal(2, 3, 4), normal(5, 4), normal(5)], dict(num_hidden=5, flatten=False), dense),
    Case("FullyConnected", [normal(4), normal(5, 4), normal(5)], dict(num_hidden=5, flatten=False), dense, id="vector"),
]
