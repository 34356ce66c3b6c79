"""What the table of cases cannot say of normalisation and pooling: moving averages, 16 bits, threads, errors."""
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.testing import assert_close


def batch_norm_inputs(dtype="float32"):
    x = nd.array(np.random.default_rng(0).normal(3, 2, (4, 3, 5, 6)), dtype=dtype)
    other = "float32" if dtype == "float16" else dtype
    return x, *(nd.array(a, dtype=other) for a in ([1, 2, 3], [0, 1, -1], [0, 0, 0], [1, 1, 1]))


def test_backward_moves_the_averages():
    x, gamma, beta, mean, var = batch_norm_inputs("float64")
    gamma.attach_grad()
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=False, momentum=.8)
    assert_close(mean, np.zeros(3))
    y.backward()
    data = x.asnumpy()
    assert_close(mean, .2 * data.mean((0, 2, 3)))
    assert_close(var, .8 + .2 * data.var((0, 2, 3)))


@pytest.mark.parametrize("how", ["use_global_stats", "predict"])
def test_fixed_averages_stay(how):
    x, gamma, beta, mean, var = batch_norm_inputs()
    x.attach_grad()
    with autograd.record(train_mode=how != "predict"):
        y = nd.BatchNorm(x, gamma, beta, mean, var, fix_gamma=False, use_global_stats=how == "use_global_stats")
    y.backward()
    assert_close(mean, np.zeros(3))
    assert_close(var, np.ones(3))
    assert_close(x.grad, np.broadcast_to(gamma.asnumpy().reshape(3, 1, 1) / np.sqrt(1 + 1e-3), x.shape))


def test_gamma_stays_when_it_is_fixed():
    x, gamma, beta, mean, var = batch_norm_inputs()
    gamma.attach_grad()
    with autograd.record():
        y = nd.BatchNorm(x, gamma, beta, mean, var)
    y.backward()
    assert_close(gamma, [1., 2, 3])
    assert_close(gamma.grad, np.zeros(3))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_with_single_weights(dtype):
    x, *weights = batch_norm_inputs()
    wide = nd.BatchNorm(x, *weights, fix_gamma=False)
    short = nd.BatchNorm(x.astype(dtype), *weights, fix_gamma=False)
    assert str(short.dtype) == str(np.dtype(mx.dtype.NUMPY[dtype])) or short.dtype == mx.dtype.NUMPY[dtype]
    np.testing.assert_allclose(short.astype("float32").asnumpy(), wide.asnumpy(), rtol=.02, atol=.02)


def digest():
    """A hash of forward and backward of every layer that has kernels of ours."""
    rng = np.random.default_rng(0)
    seen = hashlib.sha256()
    layers = [
        ((8, 40, 30, 30), lambda x: nd.BatchNorm(x, *(nd.ones((40,)) for _ in range(4)), fix_gamma=False)),
        ((3000, 70), lambda x: nd.BatchNorm(x, *(nd.ones((70,)) for _ in range(4)), fix_gamma=False)),
        ((700, 500), lambda x: nd.LayerNorm(x, nd.ones((500,)), nd.ones((500,)))),
        ((40, 50, 100), lambda x: nd.LayerNorm(x, nd.ones((50,)), nd.ones((50,)), axis=1)),
        ((8, 32, 30, 30), lambda x: nd.GroupNorm(x, nd.ones((4,)), nd.ones((4,)), num_groups=4)),
        *[((8, 40, 30, 30), lambda x, kind=kind: nd.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind))
          for kind in ("max", "avg")],
    ]
    for shape, layer in layers:
        x = nd.array(rng.normal(size=shape))
        x.attach_grad()
        with autograd.record():
            y = layer(x)
        y.backward(nd.array(rng.normal(size=y.shape)))
        seen.update(y.asnumpy().tobytes() + x.grad.asnumpy().tobytes())
    return seen.hexdigest()


def test_results_do_not_depend_on_the_number_of_threads():
    digests = {subprocess.run([sys.executable, "-c", "from tests.ops.test_norm import digest; print(digest())"], check=True,
                              capture_output=True, text=True, env={**os.environ, "MXCY_NUM_THREADS": threads}).stdout
               for threads in ("1", "2", "3")}
    assert len(digests) == 1


@pytest.mark.parametrize(("name", "shapes", "params", "message"), [
    ("BatchNorm", [(4, 3), (3,), (3,), (3,), (3,)], dict(axis=2), "axis is 2"),
    ("BatchNorm", [(4, 3), (2,), (3,), (3,), (3,)], {}, r"gamma has shape \(2,\)"),
    ("LayerNorm", [(4, 3), (4,), (3,)], {}, r"gamma has shape \(4,\)"),
    ("GroupNorm", [(4, 3, 2), (2,), (2,)], dict(num_groups=2), "does not divide"),
    ("InstanceNorm", [(4, 3), (3,), (3,)], {}, "at least 3 axes"),
    ("L2Normalization", [(4, 3)], dict(mode="spatial"), "at least 3 axes"),
    ("LRN", [(1, 4, 2, 2)], dict(nsize=2), "odd"),
    ("Pooling", [(1, 3, 8, 8)], dict(kernel=(9, 2)), "does not fit"),
    ("Pooling", [(1, 3, 8, 8)], dict(kernel=(2, 2), pad=(2, 0)), "less than the kernel"),
    ("Pooling", [(1, 3, 8, 8)], dict(kernel=(2,)), "needs batch, channels"),
    ("Pooling", [(1, 3, 8, 8)], {}, "or global_pool=True"),
    ("Pooling", [(1, 3, 8, 8)], dict(kernel=(2, 2), pool_type="lp"), "needs p_value"),
    ("Pooling", [(1, 3, 8, 8)], dict(kernel=(2, 2), pool_type="mean"), "one of 'max'"),
])
def test_errors(name, shapes, params, message):
    with pytest.raises(mx.MXNetError, match=message):
        getattr(nd, name)(*[nd.ones(shape) for shape in shapes], **params)


def test_pooling_refuses_integers():
    with pytest.raises(mx.MXNetError, match="floating point"):
        nd.Pooling(nd.ones((1, 1, 4), dtype="int32"), kernel=(2,))
