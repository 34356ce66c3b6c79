"""SymbolBlock and export: networks from symbols and files, here and in MXNet."""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
#: Python of an environment with MXNet 1.9.1, to see that it reads what is written here.
MXNET = os.environ.get("MXNET_PY", "")


def x(*shape, seed=0):
    return nd.array(np.random.RandomState(seed).standard_normal(shape))


def network():
    net = nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(nn.Conv2D(4, 3, in_channels=3), nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(),
                nn.Dense(5))
    net.initialize(mx.init.Normal(.3))
    net.hybridize()
    a = x(2, 3, 8, 8)
    with autograd.record():
        net(a).backward()
    return net, a, net(a).asnumpy()


def test_export_and_imports(tmp_path):
    net, a, expected = network()
    path = str(tmp_path / "net")
    net.export(path, 7)
    assert sorted(os.listdir(tmp_path)) == ["net-0007.params", "net-symbol.json"]
    assert sorted(nd.load(path + "-0007.params")) == sorted(
        ["arg:net_conv0_weight", "arg:net_conv0_bias", "arg:net_batchnorm0_gamma", "arg:net_batchnorm0_beta",
         "aux:net_batchnorm0_running_mean", "aux:net_batchnorm0_running_var", "arg:net_dense0_weight",
         "arg:net_dense0_bias"])
    again = gluon.SymbolBlock.imports(path + "-symbol.json", "data", path + "-0007.params", ctx=mx.cpu())
    np.testing.assert_array_equal(again(a).asnumpy(), expected)
    assert again.collect_params()["net_batchnorm0_running_var"].grad_req == "null"
    again.hybridize()
    np.testing.assert_array_equal(again(a).asnumpy(), expected)
    assert again(x(3, 3, 9, 7)).shape == (3, 5)
    again.export(str(tmp_path / "again"))
    assert (tmp_path / "again-symbol.json").read_bytes() == (tmp_path / "net-symbol.json").read_bytes()


def test_export_needs_a_graph(tmp_path):
    net = nn.Dense(3)
    net.initialize()
    net(nd.ones((1, 2)))
    with pytest.raises(mx.MXNetError, match="hybridize"):
        net.export(str(tmp_path / "net"))


def test_what_can_be_missing(tmp_path):
    net, a, expected = network()
    path = str(tmp_path / "net")
    net.export(path)
    params = nd.load(path + "-0000.params")
    del params["arg:net_dense0_bias"]
    nd.save(path + "-0000.params", {**params, "arg:other": nd.ones((1,))})
    for options in ({}, {"allow_missing": True}, {"ignore_extra": True}):
        with pytest.raises(ValueError, match="net_dense0_bias|other"):
            gluon.SymbolBlock.imports(path + "-symbol.json", "data", path + "-0000.params", **options)
    again = gluon.SymbolBlock.imports(path + "-symbol.json", "data", path + "-0000.params", allow_missing=True,
                                      ignore_extra=True)
    again.collect_params()["net_dense0_bias"].initialize("zeros")
    np.testing.assert_allclose(again(a).asnumpy(), expected, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="Did you mean 'data'"):
        gluon.SymbolBlock.imports(path + "-symbol.json", "dat")


def test_gradients_and_training():
    data = mx.sym.var("data")
    hidden = mx.sym.FullyConnected(data, num_hidden=4, name="one")
    net = gluon.SymbolBlock([mx.sym.tanh(hidden), hidden], [data])
    net.initialize(mx.init.Normal(.5))
    a = x(3, 6)
    with autograd.record():
        out = net(a)
        loss = (out[0] * out[1]).sum()
    loss.backward()
    assert isinstance(out, list) and net.collect_params()["one_weight"].shape == (4, 6)
    weight = net.collect_params()["one_weight"]
    h = a.asnumpy() @ weight.data().asnumpy().T + net.collect_params()["one_bias"].data().asnumpy()
    slope = np.tanh(h) + h * (1 - np.tanh(h) ** 2)
    np.testing.assert_allclose(weight.grad().asnumpy(), slope.T @ a.asnumpy(), rtol=1e-4, atol=1e-5)
    gluon.Trainer(net.collect_params(), "sgd").step(3)


def test_features_of_a_network():
    """The usual way to cut a network: a SymbolBlock on an inner output shares the parameters."""
    net, a, _ = network()
    inner = net(mx.sym.var("data")).get_internals()["net_relu0_fwd_output"]
    features = gluon.SymbolBlock(inner, mx.sym.var("data"), params=net.collect_params())
    np.testing.assert_allclose(features(a).asnumpy(), net[:3](a).asnumpy(), rtol=1e-6, atol=1e-6)
    assert features.collect_params()["net_conv0_weight"] is net[0].weight


def test_inside_another_block():
    net, a, expected = network()
    inner = gluon.SymbolBlock(net(mx.sym.var("data")), mx.sym.var("data"), params=net.collect_params())
    outer = nn.HybridSequential()
    outer.add(inner, nn.HybridLambda(lambda F, x: F.concat(x, inner_twice(x), dim=1)))
    inner_twice = nn.Dense(2)
    outer.register_child(inner_twice)
    inner_twice.initialize()
    outer._children.popitem()
    plain = outer(a).asnumpy()
    np.testing.assert_allclose(plain[:, :5], expected, rtol=1e-6)


def test_structure_and_parameters(tmp_path):
    net, a, expected = network()
    net.save(str(tmp_path / "net"))
    other, _, _ = network()
    other.hybridize(False)
    other.initialize(mx.init.Zero(), force_reinit=True)
    other.load(str(tmp_path / "net"))
    assert other._active
    np.testing.assert_array_equal(other(a).asnumpy(), expected)
    wrong = nn.HybridSequential()
    wrong.add(nn.Dense(3))
    with pytest.raises(ValueError, match="lacks dense1"):
        wrong.load(str(tmp_path / "net"))
    (tmp_path / "net-model.json").write_text("{")
    with pytest.raises(ValueError, match="does not hold"):
        other.load(str(tmp_path / "net"))


def test_names_where_programs_look_for_them():
    assert gluon.block.HybridBlock is gluon.HybridBlock and gluon.parameter.ParameterDict is gluon.ParameterDict
    assert gluon.tensor_types == (nd.NDArray, mx.sym.Symbol)


def test_another_device():
    net, a, expected = network()
    block = gluon.SymbolBlock(net(mx.sym.var("data")), mx.sym.var("data"), params=net.collect_params())
    block.reset_ctx(mx.cpu(1))
    np.testing.assert_allclose(block(a.as_in_context(mx.cpu(1))).asnumpy(), expected, rtol=1e-6)


def test_wrong_calls():
    data = mx.sym.var("data")
    with pytest.raises(ValueError, match="the result of an operator"):
        gluon.SymbolBlock(mx.sym.relu(data), mx.sym.tanh(data))
    net = gluon.SymbolBlock(mx.sym.relu(data), data)
    with pytest.raises(TypeError, match="takes 1 arguments"):
        net(x(2), x(2))


def test_cast_to_float16_keeps_statistics():
    net, _, _ = network()
    block = gluon.SymbolBlock(net(mx.sym.var("data")), mx.sym.var("data"), params=net.collect_params())
    block.cast("float16")
    dtypes = {name: np.dtype(param.dtype).name for name, param in block.collect_params().items()}
    assert {name for name, dtype in dtypes.items() if dtype == "float32"} == {
        f"net_batchnorm0_{part}" for part in ("gamma", "beta", "running_mean", "running_var")}


@pytest.mark.parametrize("model, inputs", [("det1", ["data"]), ("lenet-toy", ["data", "softmax_label"])])
def test_models_from_the_wild(model, inputs):
    folder = SHARED / "models" / model
    if not folder.is_dir():
        pytest.skip("needs ../shared/data/models")
    net = gluon.SymbolBlock.imports(str(folder / "model-symbol.json"), inputs, str(folder / "model-0000.params"))
    with np.load(folder / "io.npz") as arrays:
        data = nd.array(arrays["data"])
        given = [data, nd.zeros((data.shape[0],))][:len(inputs)]
        for hybrid in (False, True):
            net.hybridize(hybrid)
            out = net(*given)
            for i, array in enumerate(out if isinstance(out, list) else [out]):
                expected = arrays[f"out{i}"]
                np.testing.assert_allclose(array.asnumpy(), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_golden_export():
    if not (SHARED / "golden-files").is_dir():
        pytest.skip("needs ../shared/data/golden-files")
    path = str(SHARED / "golden-files" / "gluon-export")
    made = json.loads((SHARED / "golden-files" / "expected.json").read_text())["files"]
    net = gluon.SymbolBlock.imports(path + "-symbol.json", ["data"], path + "-0007.params")
    given, expected = made["convnet-0002.params"]["input"], made["gluon-net.params"]["output"]
    np.testing.assert_allclose(net(nd.array(given)).asnumpy(), expected, rtol=1e-5)


@pytest.mark.skipif(not MXNET, reason="set MXNET_PY to the Python of an environment with MXNet 1.9.1")
def test_mxnet_reads_exports(tmp_path):
    net, a, expected = network()
    net.export(str(tmp_path / "net"))
    net.save(str(tmp_path / "net"))
    np.save(tmp_path / "data.npy", a.asnumpy())
    code = ("import sys, numpy as np, mxnet as mx; p = sys.argv[1];"
            "net = mx.gluon.SymbolBlock.imports(p + '/net-symbol.json', ['data'], p + '/net-0000.params');"
            "np.save(p + '/out.npy', net(mx.nd.array(np.load(p + '/data.npy'))).asnumpy());"
            "nn = mx.gluon.nn; net = nn.HybridSequential();"
            "net.add(nn.Conv2D(4, 3), nn.BatchNorm(), nn.Activation('relu'), nn.GlobalAvgPool2D(), nn.Dense(5));"
            "net.load(p + '/net'); a = net(mx.nd.array(np.load(p + '/data.npy'))).asnumpy();"
            "np.testing.assert_allclose(a, np.load(p + '/out.npy'), rtol=1e-5)")
    subprocess.run([MXNET, "-c", code, str(tmp_path)], check=True, cwd=tmp_path)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, rtol=1e-5, atol=1e-6)
