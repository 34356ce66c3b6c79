"""Products beyond the table: sizes at which libraries and threads come in, gradients that nobody wants, errors."""
import os
import subprocess
import sys

import numpy as np
import pytest

from mxcy import MXNetError, autograd, nd
from mxcy.testing import assert_close


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize(("m", "n", "k"), [(300, 301, 302), (1, 1024, 1024), (1024, 1, 1024), (700, 800, 1), (5, 0, 3)])
def test_dot(m, n, k, dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((m, k), (k, n)))
    expected = a.astype(np.int64) @ b.astype(np.int64)
    for transpose_a in (False, True):
        for transpose_b in (False, True):
            lhs, rhs = nd.array(a.T if transpose_a else a, dtype=dtype), nd.array(b.T if transpose_b else b, dtype=dtype)
            result = nd.dot(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
            np.testing.assert_array_equal(result.asnumpy(), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_dot(dtype):
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-4, 5, shape).astype(dtype) for shape in ((24, 70, 80), (24, 80, 90)))
    np.testing.assert_array_equal(nd.batch_dot(nd.array(a, dtype=dtype), nd.array(b, dtype=dtype)).asnumpy(), a @ b)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_one_wanted_gradient(wanted):
    """The first layer of a network needs no gradient of its data."""
    arrays = nd.ones((2, 3)), nd.ones((4, 3)), nd.ones((4,))
    arrays[wanted].attach_grad()
    with autograd.record():
        y = nd.FullyConnected(*arrays, num_hidden=4)
    y.backward()
    assert_close(arrays[wanted].grad, np.full(arrays[wanted].shape, [4., 2., 2.][wanted]))


@pytest.mark.parametrize(("name", "shapes", "params", "message"), [
    ("dot", [(2, 3), (2, 3)], {}, "do not agree"),
    ("dot", [(3,), (3,)], {"transpose_a": True}, "vectors"),
    ("batch_dot", [(2, 3), (3, 2)], {}, "three axes or more"),
    ("batch_dot", [(2, 3, 4), (2, 3, 4)], {}, "matrices of 3 x 4 cannot be multiplied by those of 3 x 4"),
    ("khatri_rao", [(2, 3), (2, 4)], {}, "as many columns"),
    ("FullyConnected", [(2, 3), (4, 5), (4,)], {"num_hidden": 4}, r"needs \(4, 3\)"),
    ("FullyConnected", [(2, 3), (4, 3), (5,)], {"num_hidden": 4}, "bias"),
    ("FullyConnected", [(2, 3), (4, 3), (4,)], {"num_hidden": 0}, ">= 1"),
    ("reshape", [(2, 3)], {"shape": (4, -1)}, "no multiple of the 4"),
    ("reshape", [(2, 3)], {"shape": (-1, -1)}, "only one size"),
    ("reshape", [(2, 3)], {"shape": (-4, 5, -1, 0)}, "cannot be split"),
    ("transpose", [(2, 3)], {"axes": (0,)}, "has 2 axes"),
    ("transpose", [(2, 3)], {"axes": (1, -1)}, "twice"),
    ("concat", [(2, 3), (2, 4)], {"dim": 0}, "agree in all other axes"),
    ("split", [(2, 3)], {"num_outputs": 2}, "equal parts"),
    ("slice", [(2, 3)], {"begin": (0,), "end": (1, 2)}, "as many of each"),
    ("slice_axis", [(2, 3)], {"axis": 1, "begin": 2, "end": 1}, "select nothing"),
    ("pad", [(1, 1, 2, 3)], {"mode": "reflect", "pad_width": (0, 0, 0, 0, 2, 0, 0, 0)}, "cannot be padded"),
    ("broadcast_to", [(2, 3)], {"shape": (2, 6)}, "only axes of size 1"),
    ("SoftmaxOutput", [(2, 3), (3,)], {}, r"needs \(2,\)"),
])
def test_errors(name, shapes, params, message):
    with pytest.raises(MXNetError, match=message):
        getattr(nd, name)(*map(nd.ones, shapes), **params)


PROGRAM = """
import hashlib

import numpy as np

from mxcy import nd

rng = np.random.default_rng(0)
for m, k, n in ((16, 4096, 4096), (128, 4096, 1000), (300, 900, 700), (10, 100000, 10), (1, 4096, 4096), (40, 5000, 300)):
    for transpose_a in (False, True):
        for transpose_b in (False, True):
            lhs = nd.array(rng.normal(size=(k, m) if transpose_a else (m, k)))
            rhs = nd.array(rng.normal(size=(n, k) if transpose_b else (k, n)))
            product = nd.dot(lhs, rhs, transpose_a=transpose_a, transpose_b=transpose_b)
            print(m, k, n, transpose_a, transpose_b, hashlib.sha256(product.asnumpy().tobytes()).hexdigest())
"""


def test_products_do_not_depend_on_the_number_of_threads():
    def run(threads):
        env = {**os.environ, "MXCY_NUM_THREADS": str(threads)}
        return subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True).stdout

    one = run(1).splitlines()
    assert len(one) == 24
    assert one == run(2).splitlines() == run(3).splitlines()
