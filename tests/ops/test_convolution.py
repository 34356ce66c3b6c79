"""What the table of cases cannot say of convolutions: which implementation runs, errors, threads, many shapes."""
import json
import os
import subprocess
import sys
import threading
from unittest.mock import Mock

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.ops import _onednn
from mxcy.ops.operator import lookup
from mxcy.testing import assert_close

# channels, size, filters, kernel, stride, groups: each way that the choice of layouts can go
LAYERS = [(3, 32, 64, 7, 2, 1), (64, 20, 64, 1, 1, 1), (64, 20, 64, 3, 1, 1), (256, 20, 128, 1, 2, 1), (128, 14, 256, 1, 1, 1),
          (256, 7, 256, 3, 1, 1), (48, 30, 48, 3, 1, 48), (48, 30, 48, 3, 2, 48), (1, 28, 20, 5, 1, 1), (20, 12, 50, 5, 1, 1),
          (64, 10, 96, 3, 1, 4), (5, 9, 7, 3, 2, 1)]


def train(layer, dtype, batch=3):
    """The output and both gradients."""
    channels, size, filters, kernel, stride, groups = layer
    rng = np.random.default_rng(0)
    x, w = (nd.array(rng.normal(size=shape), dtype=dtype)
            for shape in [(batch, channels, size, size), (filters, channels // groups, kernel, kernel)])
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        y = nd.Convolution(x, w, kernel=(kernel, kernel), stride=(stride, stride), pad=(kernel // 2, kernel // 2),
                           num_filter=filters, num_group=groups, no_bias=True)
    y.backward(nd.array(rng.normal(size=y.shape), dtype=dtype))
    return [a.asnumpy() for a in (y, x.grad, w.grad)]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_single_precision_agrees_with_double(layer):
    for single, double in zip(train(layer, "float32"), train(layer, "float64"), strict=True):
        np.testing.assert_allclose(single, double, rtol=0, atol=2e-6 * np.abs(double).max())


@pytest.mark.parametrize("weight_layout", [None, "first"])
@pytest.mark.parametrize("layer", [(32, 7, 64, 3, 2, 1), (32, 6, 48, 3, 1, 2), (16, 20, 64, 1, 2, 1), (64, 20, 16, 1, 1, 1),
                                   (3, 16, 16, 7, 2, 1), (24, 12, 24, 5, 1, 1)], ids=str)
def test_channels_last_agrees_with_first(layer, weight_layout):
    """In the layers that have their own ways: products of patches and of sampled positions, oneDNN's channels last."""
    channels, size, filters, kernel, stride, dilate = layer
    window = dict(kernel=(kernel, kernel), stride=(stride, stride), pad=(kernel // 2, kernel // 2),
                  dilate=(dilate, dilate), num_filter=filters, no_bias=True)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, channels, size, size)), rng.normal(size=(filters, channels, kernel, kernel))

    def results(last):
        def turned(a):
            return np.moveaxis(a, 1, -1) if last else a
        data, weight = nd.array(turned(x)), nd.array(turned(w) if weight_layout is None else w)
        data.attach_grad()
        weight.attach_grad()
        layout = dict(layout="NHWC", weight_layout=weight_layout) if last else {}
        with autograd.record():
            y = nd.Convolution(data, weight, **window, **layout)
            z = (y * y).sum()
        z.backward()
        back = (lambda a: np.moveaxis(a, -1, 1)) if last else (lambda a: a)
        grad = weight.grad.asnumpy()
        return back(y.asnumpy()), back(data.grad.asnumpy()), back(grad) if weight_layout is None else grad
    for last, first in zip(results(True), results(False), strict=True):
        np.testing.assert_allclose(last, first, rtol=0, atol=5e-6 * np.abs(first).max())


def test_no_reference_implementation():
    """oneDNN's reference kernels are a hundred times slower; plans are per thread, so all must run in this one."""
    code = """if True:
        import json
        from mxcy.ops import _onednn
        from tests.ops.test_convolution import LAYERS, train
        for layer in LAYERS:
            train(layer, "float32")
        print(json.dumps(_onednn.implementations()))"""
    result = subprocess.run([sys.executable, "-c", code], env={**os.environ, "MXCY_ENGINE_TYPE": "NaiveEngine"}, check=True,
                            capture_output=True, text=True)
    names = json.loads(result.stdout)
    if not names:
        pytest.skip("oneDNN is not there")
    assert len(names) >= 3 * len(LAYERS)
    assert all(name and "ref" not in name for name in names), names


def test_more_shapes_than_are_kept():
    w = nd.ones((1, 1, 2))
    for _ in range(2):
        for length in range(2, 700):
            y = nd.Convolution(nd.arange(length).reshape((1, 1, length)), w, kernel=(2,), num_filter=1, no_bias=True)
            assert y.shape == (1, 1, length - 1)
            assert y[0, 0, -1].asscalar() == 2 * length - 3
    assert len(_onednn.implementations()) <= 512


def test_from_many_threads():
    expected = [train(layer, "float32") for layer in LAYERS]
    failures = []

    def work(start):
        for i in range(2 * len(LAYERS)):
            k = (start + i) % len(LAYERS)
            for got, wanted in zip(train(LAYERS[k], "float32"), expected[k]):
                if np.abs(got - wanted).max() > 1e-5 * np.abs(wanted).max():
                    failures.append(LAYERS[k])
    threads = [threading.Thread(target=work, args=(3 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_only_wanted_gradients():
    """The first layer of a network needs no gradient of its data: it must not be computed."""
    x, w = nd.ones((1, 2, 5)), nd.ones((3, 2, 3))
    w.attach_grad()
    with autograd.record():
        y = nd.Convolution(x, w, kernel=(3,), num_filter=3, no_bias=True)
    y.backward()
    assert_close(w.grad, np.full((3, 2, 3), 3.))
    rule = lookup("Convolution").rules["gradient"]
    needs = (False, True)
    result = rule(Mock(), y, x, w, kernel=(3,), stride=(), dilate=(), pad=(), num_group=1, layout=None, weight_layout=None,
                  no_bias=True, workspace=1024, cudnn_off=False, needs=needs)
    assert [gradient is not None for gradient in result] == [False, True, False]


@pytest.mark.parametrize(("name", "shapes", "params", "message"), [
    ("Convolution", [(1, 3, 8), (4, 3, 3, 3)], dict(kernel=(3, 3), num_filter=4), "needs 4 axes"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 3)], dict(kernel=(3, 3), num_filter=4, num_group=2), "does not divide"),
    ("Convolution", [(1, 4, 8, 8), (3, 2, 3, 3)], dict(kernel=(3, 3), num_filter=3, num_group=2), "does not divide"),
    ("Convolution", [(1, 3, 2, 8), (4, 3, 3, 3)], dict(kernel=(3, 3), num_filter=4), "is smaller"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 2)], dict(kernel=(3, 3), num_filter=4), r"weight has shape .* needs? \(4, 3, 3, 3\)"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 3)], dict(kernel=(3, 3), num_filter=4, stride=(2,)), "has 2 axes"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 3)], dict(kernel=(3, 3, 3, 3), num_filter=4), "expected 1, 2 or 3"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 3)], dict(kernel=(3, 0), num_filter=4), "expected tuple of int, >= 1"),
    ("Convolution", [(1, 8, 8, 3), (4, 3, 2, 3)], dict(kernel=(3, 3), num_filter=4, layout="NHWC"),
     r"weight has shape .* needs \(4, 3, 3, 3\)"),
    ("Convolution", [(1, 3, 8, 8), (4, 3, 3, 3)], dict(kernel=(3, 3), num_filter=4, layout="NWC"), "'NCHW' or 'NHWC'"),
    ("Deconvolution", [(1, 3, 4, 4), (3, 4, 3, 3)], dict(kernel=(3, 3), num_filter=4, target_shape=(9, 3)), "at most"),
    ("Deconvolution", [(1, 3, 1, 1), (3, 4, 3, 3)], dict(kernel=(3, 3), num_filter=4, pad=(2, 2)), "less padding"),
])
def test_errors(name, shapes, params, message):
    with pytest.raises(mx.MXNetError, match=message):
        getattr(nd, name)(*[nd.ones(shape) for shape in shapes], no_bias=True, **params)
