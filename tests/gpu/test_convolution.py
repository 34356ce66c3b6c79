"""Convolution on GPUs: by the stand-in for cuDNN and by products of matrices, the three directions against the CPU."""
import ctypes
import os

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gpu import _cudnn
from mxcy.imperative import _function
from mxcy.ops.cuda import columns, convolution, product
from mxcy.testing import assert_close

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
CASES = [
    dict(kernel=(3, 3), pad=(1, 1)),
    dict(kernel=(3, 2), stride=(2, 1), dilate=(1, 2), pad=(2, 1)),
    dict(kernel=(1, 1)),
    dict(kernel=(1, 1), stride=(2, 2)),
    dict(kernel=(3, 3), num_group=2),
    dict(kernel=(3,)),
    dict(kernel=(2, 3, 2), pad=(1, 1, 0)),
    dict(kernel=(3, 2), pad=(1, 0), layout="NHWC"),
    dict(kernel=(3, 3), stride=(2, 1), num_group=2, layout="NHWC"),
]
library = pytest.mark.skipif(not _cudnn.available(), reason="no cuDNN and no stand-in for it")
WAYS = ["cuDNN", "whole", "chunks", "own products"]


@pytest.fixture
def executions():
    """Counts what the stand-in for cuDNN was asked to do."""
    path = os.environ.get("MXCY_LIBCUDNN", "")
    if "standin" not in path:
        pytest.skip("this counts calls of the stand-in for cuDNN")
    return ctypes.CDLL(path).standin_executions


def run(op, device, arrays, params):
    arrays = [nd.array(x, ctx=device, dtype=x.dtype) for x in arrays]
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        out = op(*arrays, **params)
    out.backward(out * .5)
    return [out.asnumpy(), *(x.grad.asnumpy() for x in arrays)]


@pytest.mark.parametrize("way", [pytest.param("cuDNN", marks=library), *WAYS[1:]])
@pytest.mark.parametrize("params", CASES, ids=str)
@pytest.mark.parametrize("name", ["Convolution", "Deconvolution"])
def test_directions(name, params, way, monkeypatch):
    if way != "cuDNN":
        monkeypatch.setattr(convolution, "LIBRARY", {})
    if way == "chunks":
        monkeypatch.setattr(columns, "MOST", 1 << 16)
    elif way == "own products":
        monkeypatch.setattr(product, "LIBRARY", {})
    rng, groups, axes = np.random.default_rng(0), params.get("num_group", 1), len(params["kernel"])
    channels, filters = (6, 8) if name == "Convolution" else (8, 6)
    data, inner = (5 + WAYS.index(way), channels, *(9, 8, 7)[:axes]), 6 // groups
    weight = (8, inner, *params["kernel"])
    if "layout" in params:
        data, weight = (*data[:1], *data[2:], channels), (8, *params["kernel"], inner)
    shapes = [data, weight, (filters,)]
    arrays = [rng.normal(size=shape) for shape in shapes]       # of other sizes for each way: recipes are remembered
    params = dict(params, num_filter=filters, no_bias=False)
    here, there = (run(getattr(nd, name), device, arrays, params) for device in (mx.cpu(), mx.gpu(0)))
    for expected, actual in zip(here, there, strict=True):
        assert_close(actual, expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_larger_one(dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((3, 20, 14, 14), (40, 20, 3, 3), (40,))]
    params = dict(kernel=(3, 3), pad=(1, 1), stride=(2, 2), num_filter=40)
    here, there = (run(nd.Convolution, device, arrays, params) for device in (mx.cpu(), mx.gpu(0)))
    for expected, actual in zip(here, there, strict=True):
        assert_close(actual, expected, dtype, 4)


def arguments(batch):
    """Those of a small convolution; recipes are remembered, so each test takes another batch."""
    rng = np.random.default_rng(0)
    return [nd.array(rng.normal(size=shape), ctx=mx.gpu(0)) for shape in ((batch, 4, 6, 6), (8, 4, 3, 3), (8,))]


@library
def test_who_computes_it(executions):
    given = arguments(11)
    before = executions()
    result = nd.Convolution(*given, kernel=(3, 3), num_filter=8).asnumpy()
    assert executions() == before + 1
    for params in (dict(cudnn_off=True), dict(workspace=0)):        # no plan of the stand-in does without a workspace
        other = nd.Convolution(*given, kernel=(3, 3), num_filter=8, **params).asnumpy()
        assert executions() == before + 1
        assert_close(other, result)


@library
def test_what_is_chosen_holds_for_the_gradients(executions):
    given = arguments(12)
    for x in given:
        x.attach_grad()
    before = executions()
    for off, expected in ((False, 3), (True, 3)):
        with autograd.record():
            out = nd.Convolution(*given, kernel=(3, 3), num_filter=8, cudnn_off=off)
        out.backward()
        mx.nd.waitall()
        assert executions() == before + expected


@library
@pytest.mark.parametrize("last", [False, True])
def test_a_sum_and_a_rectifier_in_the_same_call(last, executions):
    data, weight, bias = arguments(14 + last)
    params = dict(kernel=(3, 3), num_filter=8)
    if last:
        data, params = data.transpose((0, 2, 3, 1)), dict(params, layout="NHWC", weight_layout="first")
    plain = nd.Convolution(data, weight, bias, **params)
    addend = plain * -.5 + 1
    before = executions()
    for given, activation in (([], None), ([], "relu"), ([addend], None), ([addend], "relu")):
        result = _function.F._convolution_sum(data, weight, bias, *given, with_addend=bool(given), activation=activation,
                                              **params)
        expected = plain + addend if given else plain
        assert_close(result, (expected.relu() if activation else expected).asnumpy(), "float32", 8)
    assert executions() == before + 4


@library
def test_a_view_that_is_not_aligned(executions):
    data, weight, bias = arguments(13)
    flat = nd.concat(nd.zeros((1,), ctx=mx.gpu(0)), data.reshape((-1,)), dim=0)
    expected = nd.Convolution(data, weight, bias, kernel=(3, 3), num_filter=8).asnumpy()
    before = executions()
    for _ in range(2):
        result = nd.Convolution(flat[1:].reshape(data.shape), weight, bias, kernel=(3, 3), num_filter=8)
        np.testing.assert_array_equal(result.asnumpy(), expected)
    assert executions() == before + 2


class Layers(gluon.HybridBlock):
    """Enough steps to be worth a recording."""

    def hybrid_forward(self, F, x, weight):
        for _ in range(5):
            x = F.Convolution(x, weight, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True)
        return x


@library
def test_in_a_recorded_plan(executions):
    """Replays do not call the library again, and compute what the arrays hold then."""
    net = Layers()
    net.hybridize()
    rng = np.random.default_rng(0)
    weight = nd.array(rng.normal(size=(4, 4, 3, 3)) / 6, ctx=mx.gpu(0))
    calls = []
    for _ in range(6):
        x = nd.array(rng.normal(size=(2, 4, 6, 6)), ctx=mx.gpu(0))
        before = executions()
        result = net(x, weight).asnumpy()
        calls.append(executions() - before)
        for _ in range(5):
            x = nd.Convolution(x, weight, kernel=(3, 3), pad=(1, 1), num_filter=4, no_bias=True, cudnn_off=True)
        assert_close(result, x.asnumpy(), "float32", 10)
    assert calls[0] == 5 and calls[-1] == 0
