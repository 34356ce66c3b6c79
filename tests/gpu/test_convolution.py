"""Convolution on GPUs by products of matrices: the three directions against the CPU, whole and in chunks."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd
from mxcy.ops.cuda import columns, product
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
]


WAYS = ["whole", "chunks", "own products"]


def run(op, device, arrays, params):
    arrays = [nd.array(x, ctx=device, dtype=x.dtype) for x in arrays]
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        out = op(*arrays, **params)
    out.backward(out * .5)
    return [out.asnumpy(), *(x.grad.asnumpy() for x in arrays)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("params", CASES, ids=str)
@pytest.mark.parametrize("name", ["Convolution", "Deconvolution"])
def test_directions(name, params, way, monkeypatch):
    if way == "chunks":
        monkeypatch.setattr(columns, "MOST", 1 << 16)
    elif way == "own products":
        monkeypatch.setattr(product, "LIBRARY", {})
    rng, groups, axes = np.random.default_rng(0), params.get("num_group", 1), len(params["kernel"])
    channels, filters = (6, 8) if name == "Convolution" else (8, 6)
    shapes = [(5 + WAYS.index(way), channels, *(9, 8, 7)[:axes]), (8, 6 // groups, *params["kernel"]), (filters,)]
    arrays = [rng.normal(size=shape) for shape in shapes]       # of other sizes for each way: recipes are remembered
    params = dict(params, num_filter=filters, no_bias=False)
    here, there = (run(getattr(nd, name), device, arrays, params) for device in (mx.cpu(), mx.gpu(0)))
    for expected, actual in zip(here, there, strict=True):
        assert_close(actual, expected)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_larger_one(dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in ((3, 20, 14, 14), (40, 20, 3, 3), (40,))]
    params = dict(kernel=(3, 3), pad=(1, 1), stride=(2, 2), num_filter=40)
    here, there = (run(nd.Convolution, device, arrays, params) for device in (mx.cpu(), mx.gpu(0)))
    for expected, actual in zip(here, there, strict=True):
        assert_close(actual, expected, dtype, 4)
