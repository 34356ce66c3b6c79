"""Layers: shapes of outputs and parameters, and what they compute."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn

#: A layer, the shape of its input, that of its output, and those of its parameters by name.
LAYERS = [
    (lambda: nn.Dense(5), (2, 3, 4), (2, 5), {"weight": (5, 12), "bias": (5,)}),
    (lambda: nn.Dense(5, flatten=False, use_bias=False), (2, 3, 4), (2, 3, 5), {"weight": (5, 4)}),
    (lambda: nn.Dense(5, activation="tanh"), (2, 3), (2, 5), {"weight": (5, 3), "bias": (5,)}),
    (lambda: nn.Dropout(.5), (2, 3), (2, 3), {}),
    (lambda: nn.Embedding(7, 4), (2, 3), (2, 3, 4), {"weight": (7, 4)}),
    (lambda: nn.Flatten(), (2, 3, 4), (2, 12), {}),
    (lambda: nn.Conv1D(4, 3, groups=2), (2, 6, 9), (2, 4, 7), {"weight": (4, 3, 3), "bias": (4,)}),
    (lambda: nn.Conv2D(4, (3, 2), strides=2, padding=1), (2, 3, 8, 8), (2, 4, 4, 5),
     {"weight": (4, 3, 3, 2), "bias": (4,)}),
    (lambda: nn.Conv2D(4, 3, dilation=2, use_bias=False), (2, 3, 8, 8), (2, 4, 4, 4), {"weight": (4, 3, 3, 3)}),
    (lambda: nn.Conv3D(2, 2), (1, 3, 4, 5, 6), (1, 2, 3, 4, 5), {"weight": (2, 3, 2, 2, 2), "bias": (2,)}),
    (lambda: nn.Conv1DTranspose(4, 3, strides=2), (2, 6, 5), (2, 4, 11), {"weight": (6, 4, 3), "bias": (4,)}),
    (lambda: nn.Conv2DTranspose(4, 3, strides=2, padding=1, output_padding=1), (2, 6, 5, 5), (2, 4, 10, 10),
     {"weight": (6, 4, 3, 3), "bias": (4,)}),
    (lambda: nn.Conv2DTranspose(4, 3, groups=2), (2, 6, 5, 5), (2, 4, 7, 7), {"weight": (6, 2, 3, 3), "bias": (4,)}),
    (lambda: nn.Conv3DTranspose(2, 2), (1, 3, 4, 5, 6), (1, 2, 5, 6, 7), {"weight": (3, 2, 2, 2, 2), "bias": (2,)}),
    (lambda: nn.MaxPool1D(), (2, 3, 9), (2, 3, 4), {}),
    (lambda: nn.MaxPool2D(3, 2, ceil_mode=True), (2, 3, 8, 8), (2, 3, 4, 4), {}),
    (lambda: nn.MaxPool3D(), (1, 2, 4, 4, 4), (1, 2, 2, 2, 2), {}),
    (lambda: nn.AvgPool1D(3, padding=1), (2, 3, 9), (2, 3, 3), {}),
    (lambda: nn.AvgPool2D(), (2, 3, 9, 9), (2, 3, 4, 4), {}),
    (lambda: nn.AvgPool3D(), (1, 2, 4, 4, 4), (1, 2, 2, 2, 2), {}),
    (lambda: nn.GlobalMaxPool1D(), (2, 3, 9), (2, 3, 1), {}),
    (lambda: nn.GlobalMaxPool2D(), (2, 3, 9, 9), (2, 3, 1, 1), {}),
    (lambda: nn.GlobalMaxPool3D(), (1, 2, 4, 4, 4), (1, 2, 1, 1, 1), {}),
    (lambda: nn.GlobalAvgPool1D(), (2, 3, 9), (2, 3, 1), {}),
    (lambda: nn.GlobalAvgPool2D(), (2, 3, 9, 9), (2, 3, 1, 1), {}),
    (lambda: nn.GlobalAvgPool3D(), (1, 2, 4, 4, 4), (1, 2, 1, 1, 1), {}),
    (lambda: nn.BatchNorm(), (2, 3, 4), (2, 3, 4),
     dict.fromkeys(["gamma", "beta", "running_mean", "running_var"], (3,))),
    (lambda: nn.BatchNormReLU(axis=-1), (2, 3, 4), (2, 3, 4),
     dict.fromkeys(["gamma", "beta", "running_mean", "running_var"], (4,))),
    (lambda: nn.LayerNorm(axis=1), (2, 3, 4), (2, 3, 4), {"gamma": (3,), "beta": (3,)}),
    (lambda: nn.GroupNorm(2), (2, 4, 3), (2, 4, 3), {"gamma": (2,), "beta": (2,)}),
    (lambda: nn.InstanceNorm(), (2, 3, 4), (2, 3, 4), {"gamma": (3,), "beta": (3,)}),
    (lambda: nn.InstanceNorm(axis=2), (2, 3, 4), (2, 3, 4), {"gamma": (4,), "beta": (4,)}),
    (lambda: nn.ReflectionPad2D(1), (1, 1, 3, 3), (1, 1, 5, 5), {}),
    (lambda: nn.Activation("softsign"), (2, 3), (2, 3), {}),
    (lambda: nn.LeakyReLU(.1), (2, 3), (2, 3), {}),
    (lambda: nn.PReLU(in_channels=3), (2, 3), (2, 3), {"alpha": (3,)}),
    (lambda: nn.ELU(), (2, 3), (2, 3), {}),
    (lambda: nn.SELU(), (2, 3), (2, 3), {}),
    (lambda: nn.GELU(), (2, 3), (2, 3), {}),
    (lambda: nn.Swish(2.), (2, 3), (2, 3), {}),
    (lambda: gluon.contrib.nn.Identity(), (2, 3), (2, 3), {}),
    (lambda: gluon.contrib.nn.SparseEmbedding(7, 4), (2, 3), (2, 3, 4), {"weight": (7, 4)}),
    (lambda: gluon.contrib.nn.SyncBatchNorm(num_devices=1), (2, 3, 4), (2, 3, 4),
     dict.fromkeys(["gamma", "beta", "running_mean", "running_var"], (3,))),
    (lambda: gluon.contrib.nn.PixelShuffle1D(2), (2, 6, 3), (2, 3, 6), {}),
    (lambda: gluon.contrib.nn.PixelShuffle2D((2, 3)), (2, 12, 3, 3), (2, 2, 6, 9), {}),
    (lambda: gluon.contrib.nn.PixelShuffle3D(2), (2, 8, 3, 3, 3), (2, 1, 6, 6, 6), {}),
]


def image(shape, seed=0):
    return nd.array(np.random.RandomState(seed).uniform(-1, 1, shape))


@pytest.mark.parametrize("make, shape, out_shape, params", LAYERS,
                         ids=[repr(make()).split("(")[0] for make, *_ in LAYERS])
def test_shapes_and_gradients(make, shape, out_shape, params):
    layer = make()
    layer.initialize()
    x = nd.array(np.arange(np.prod(shape)).reshape(shape) % 7) if isinstance(layer, nn.Embedding) else image(shape)
    x.attach_grad()
    with autograd.record():
        loss = (layer(x) ** 2).sum()
    loss.backward()
    assert layer(x).shape == out_shape
    assert {name: p.shape for name, p in layer._reg_params.items()} == params
    for param in layer.collect_params().values():
        if param.grad_req != "null":
            assert param.grad().shape == param.shape and np.isfinite(param.grad().asnumpy()).all()
    assert x.grad.shape == shape


@pytest.mark.parametrize("make, shape", [(make, shape) for make, shape, *_ in LAYERS],
                         ids=[repr(make()).split("(")[0] for make, *_ in LAYERS])
def test_hybridized(make, shape):
    """As a graph, a layer gives what it gives as operators: output, gradients and statistics."""
    layer = make()
    layer.initialize(mx.init.Normal(.5))
    x = nd.array(np.arange(np.prod(shape)).reshape(shape) % 7) if isinstance(layer, nn.Embedding) else image(shape)
    layer(x)
    start = {name: param.data().copy() for name, param in layer._structure().items()}
    x.attach_grad()
    results = []
    for hybrid in (False, True):
        layer.hybridize(hybrid)
        for name, param in layer._structure().items():
            param.set_data(start[name])
        mx.random.seed(0)
        with autograd.record():
            out = layer(x)
        out.backward(image(out.shape, 1))
        results.append([out, x.grad, *((p.grad() if p.grad_req != "null" else p.data())
                                       for p in layer._structure().values())])
        results[-1] = [array.asnumpy() for array in results[-1]]
    for found, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("function, layer", [
    (lambda x: np.where(x > 0, x, .1 * x), lambda: nn.LeakyReLU(.1)),
    (lambda x: np.where(x > 0, x, .25 * x), lambda: nn.PReLU()),
    (lambda x: np.where(x > 0, x, 2 * np.expm1(x)), lambda: nn.ELU(2.)),
    (lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)), lambda: nn.SELU()),
    (lambda x: x / (1 + np.exp(-2 * x)), lambda: nn.Swish(2.)),
    (lambda x: np.maximum(x, 0), lambda: nn.HybridLambda("relu")),
    (lambda x: 2 * x, lambda: nn.HybridLambda(lambda F, x: F.broadcast_add(x, x))),
    (lambda x: x + 1, lambda: nn.Lambda(lambda x: x + 1)),
    (lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5), lambda: nn.LayerNorm()),
    (lambda x: np.concatenate([np.maximum(x, 0), x], -1),
     lambda: side_by_side(nn.Activation("relu"), nn.HybridLambda("identity")))])
def test_values(function, layer):
    x = image((3, 4))
    layer = layer()
    layer.initialize()
    np.testing.assert_allclose(layer(x).asnumpy(), function(x.asnumpy()), rtol=1e-4, atol=1e-6)


def side_by_side(*blocks):
    joined = gluon.contrib.nn.HybridConcurrent()
    joined.add(*blocks)
    return joined


def test_dense_values():
    layer = nn.Dense(2, weight_initializer=mx.init.Constant(nd.array([[1., 2.], [3., 4.]])), bias_initializer="ones")
    layer.initialize()
    assert layer(nd.array([[1., 10.]])).asnumpy().tolist() == [[22, 44]]


def test_dropout_only_in_training():
    mx.random.seed(1)
    layer, x = nn.Dropout(.5), nd.ones((100, 100))
    assert (layer(x).asnumpy() == 1).all()
    with autograd.record():
        y = layer(x).asnumpy()
    assert set(np.unique(y)) == {0, 2} and abs(y.mean() - 1) < .05
    assert (nn.Dropout(0)(x).asnumpy() == 1).all()
    with pytest.raises(ValueError):
        nn.Dropout(2)


def test_batch_norm_statistics():
    layer, x = nn.BatchNorm(momentum=.5), image((64, 3, 4, 4))
    layer.initialize()
    with autograd.record():
        out = layer(x)
    out.backward()                      # as in MXNet, it is the backward pass that moves the averages
    y = out.asnumpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.std((0, 2, 3)), 1, rtol=1e-4)
    values = x.asnumpy()
    np.testing.assert_allclose(layer.running_mean.data().asnumpy(), .5 * values.mean((0, 2, 3)), rtol=1e-4)
    np.testing.assert_allclose(layer.running_var.data().asnumpy(), .5 + .5 * values.var((0, 2, 3)), rtol=1e-5)


def test_batch_norm_keeps_float32_statistics():
    layer = nn.BatchNorm(in_channels=3)
    layer.cast("float16")
    assert layer.running_mean.dtype == layer.gamma.dtype == "float32"


@pytest.mark.parametrize("make", [
    lambda: nn.Conv2D(1, (3, 3, 3)), lambda: nn.Conv2D(1, 3, layout="NCX"), lambda: nn.MaxPool2D(layout="NCW1"),
    lambda: nn.HybridLambda("no_such_operator"), lambda: nn.Lambda(3), lambda: nn.LeakyReLU(-1),
    lambda: nn.ReflectionPad2D((1, 2)), lambda: nn.Embedding(2, 2, sparse_grad=True)])
def test_bad_arguments(make):
    with pytest.raises((ValueError, TypeError)):
        make()
