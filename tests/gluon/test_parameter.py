"""Parameters: shapes that come later, devices, gradients, files."""
import json
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import Constant, DeferredInitializationError, Parameter, ParameterDict, nn

GOLDEN = Path(__file__).parents[2].parent / "shared" / "data" / "golden-files"
TWO = [mx.cpu(0), mx.cpu(1)]


def parameter(value=(1., 2.), **kwargs):
    param = Parameter("w", shape=(len(value),), **kwargs)
    param.initialize(mx.init.Constant(nd.array(value)))
    return param


def test_deferred_shape():
    layer = nn.Dense(2)
    layer.initialize()
    with pytest.raises(DeferredInitializationError, match="first"):
        layer.weight.data()
    assert layer.weight.list_ctx() == [mx.cpu()]
    layer(nd.ones((3, 4)))
    assert layer.weight.shape == (2, 4)
    with pytest.raises(AssertionError, match="does not allow shape"):
        layer.weight.shape = (2, 5)


def test_unknown_shape_without_leave():
    with pytest.raises(ValueError, match="unknown sizes"):
        Parameter("w", shape=(2, 0)).initialize()


def test_uninitialized():
    param = Parameter("w", shape=(2,))
    for use in (param.data, param.grad, param.list_data, param.list_ctx):
        with pytest.raises(RuntimeError, match="initialize"):
            use()


def test_initialize_twice():
    param = parameter()
    with pytest.warns(UserWarning, match="force_reinit"):
        param.initialize("zeros")
    assert param.data().asnumpy().tolist() == [1, 2]
    param.initialize("zeros", force_reinit=True)
    assert param.data().asnumpy().tolist() == [0, 0]


def test_several_devices():
    param = Parameter("w", shape=(2,))
    param.initialize("ones", ctx=TWO)
    assert param.list_ctx() == TWO and [d.context for d in param.list_data()] == TWO
    assert param.data(mx.cpu(1)).context == mx.cpu(1)
    with pytest.raises(RuntimeError, match="cpu\\(2\\)"):
        param.data(mx.cpu(2))
    param.set_data(nd.array([3., 4.]))
    assert [d.asnumpy().tolist() for d in param.list_data()] == [[3, 4], [3, 4]]
    param.reset_ctx(mx.cpu(2))
    assert param.list_ctx() == [mx.cpu(2)] and param.data().asnumpy().tolist() == [3, 4]


@pytest.mark.parametrize("req, expected", [("write", [2, 4]), ("add", [4, 8])])
def test_grad_req(req, expected):
    param = parameter(grad_req=req)
    for _ in range(2):
        with autograd.record():
            loss = (param.data() * param.data()).sum()
        loss.backward()
    assert param.grad().asnumpy().tolist() == expected
    param.zero_grad()
    assert param.grad().asnumpy().tolist() == [0, 0]


def test_grad_req_null_and_back():
    param = parameter()
    param.grad_req = "null"
    with pytest.raises(RuntimeError, match="null"):
        param.grad()
    param.grad_req = "write"
    assert param.grad().shape == (2,)
    with pytest.raises(ValueError, match="grad_req"):
        param.grad_req = "sometimes"
    assert Parameter("s", shape=(1,), differentiable=False).grad_req == "null"


def test_set_before_initialization():
    layer = nn.Dense(2, use_bias=False)
    layer.initialize()
    layer.weight.set_data(nd.ones((2, 3)))
    assert layer(nd.ones((1, 3))).asnumpy().tolist() == [[3, 3]]


def test_cast_keeps_values():
    param = parameter()
    param.cast("float64")
    assert param.data().dtype == param.grad().dtype == np.float64 and param.data().asnumpy().tolist() == [1, 2]


def test_constant():
    constant = Constant("c", [1, 2])
    constant.initialize()
    assert constant.data().asnumpy().tolist() == [1, 2] and repr(constant).startswith("Constant c (shape=(2,)")
    with pytest.raises(TypeError):
        constant.grad_req = "write"


def test_dict_makes_and_finds():
    params = ParameterDict("net_")
    weight = params.get("weight", shape=(2, 0), allow_deferred_init=True)
    assert params.get("weight", shape=(0, 3)) is weight and weight.shape == (2, 3)
    with pytest.raises(AssertionError, match="exists already"):
        params.get("weight", shape=(4, 3))
    assert "net_weight" in params and list(params) == ["net_weight"] and len(params) == 1
    with pytest.raises(KeyError):
        params["weight"]
    assert params.get_constant("c", [1.]) is params.get_constant("c", [1.])
    with pytest.raises(AssertionError):
        params.get_constant("c", [2.])
    with pytest.raises(AssertionError, match="both have"):
        params.update({"net_weight": Parameter("net_weight")})


def test_dict_for_all():
    params = ParameterDict()
    params.get("a", shape=(1,)), params.get("b", shape=(1,))
    params.initialize("ones", ctx=TWO)
    assert params.list_ctx() == TWO
    params.setattr("grad_req", "null")
    assert params["b"].grad_req == "null"


def net(**kwargs):
    block = nn.HybridSequential(**kwargs)
    with block.name_scope():
        block.add(nn.Dense(4, in_units=3), nn.LayerNorm(in_channels=4), nn.Dense(2, in_units=4))
    return block


def values(block):
    return [p.data().asnumpy() for p in block.collect_params().values()]


def same(a, b):
    return all((x == y).all() for x, y in zip(values(a), values(b), strict=True))


@pytest.fixture
def trained():
    block = net(prefix="net_")
    block.initialize(mx.init.Normal(1.))
    return block


def test_structure_names(trained, tmp_path):
    path = str(tmp_path / "p")
    trained.save_parameters(path)
    assert list(nd.load(path)) == ["0.weight", "0.bias", "1.gamma", "1.beta", "2.weight", "2.bias"]
    other = net(prefix="other_")
    other.load_parameters(path, ctx=mx.cpu())
    assert same(trained, other)


@pytest.mark.parametrize("prefix", ["", "arg:"])
def test_full_names(trained, tmp_path, prefix):
    path = str(tmp_path / "p")
    nd.save(path, {prefix + name: p.data() for name, p in trained.collect_params().items()})
    other = net(prefix="net_")
    other.load_parameters(path)
    assert same(trained, other)


def test_dict_files(trained, tmp_path):
    path = str(tmp_path / "p")
    trained.collect_params().save(path, strip_prefix="net_")
    assert list(nd.load(path))[0] == "dense0_weight"
    other = net(prefix="other_")
    other.collect_params().load(path, restore_prefix="other_")
    assert same(trained, other)
    with pytest.raises(ValueError, match="strip"):
        trained.collect_params().save(path, strip_prefix="x_")


def test_missing_and_extra(trained, tmp_path):
    path = str(tmp_path / "p")
    nd.save(path, {"0.weight": nd.zeros((4, 3)), "9.weight": nd.zeros((1,))})
    with pytest.raises(AssertionError, match="'0.bias' is missing.*allow_missing"):
        trained.load_parameters(path)
    with pytest.raises(ValueError, match="'9.weight'.*ignore_extra"):
        trained.load_parameters(path, allow_missing=True)
    trained.load_parameters(path, allow_missing=True, ignore_extra=True)
    assert (trained[0].weight.data().asnumpy() == 0).all()


def test_wrong_shape_and_dtype(trained, tmp_path):
    path = str(tmp_path / "p")
    nd.save(path, {"0.weight": nd.zeros((4, 9))})
    with pytest.raises(AssertionError, match=r"\(4, 3\).*\(4, 9\)"):
        trained.load_parameters(path, allow_missing=True)
    nd.save(path, {"0.weight": nd.ones((4, 3), dtype="float64")})
    with pytest.raises(AssertionError, match="cast_dtype"):
        trained.load_parameters(path, allow_missing=True)
    trained.load_parameters(path, allow_missing=True, cast_dtype=True)
    assert trained[0].weight.data().dtype == np.float32
    trained.load_parameters(path, allow_missing=True, cast_dtype=True, dtype_source="saved")
    assert trained[0].weight.data().dtype == np.float64


def test_shared_parameters_are_written_once(tmp_path):
    path = str(tmp_path / "p")

    def tied():
        block = nn.HybridSequential()
        first = nn.Dense(3, in_units=3)
        block.add(first, nn.Dense(3, in_units=3, params=first.params))
        return block

    block = tied()
    block.initialize(mx.init.Normal())
    block.save_parameters(path, deduplicate=True)
    assert list(nd.load(path)) == ["0.weight", "0.bias"]
    other = tied()
    other.load_parameters(path)
    assert same(block, other)


def test_files_give_deferred_shapes(trained, tmp_path):
    path = str(tmp_path / "p")
    trained.save_parameters(path)
    other = nn.HybridSequential()
    other.add(nn.Dense(4), nn.LayerNorm(), nn.Dense(2))
    other.load_parameters(path)
    assert other[0].weight.shape == (4, 3)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/data/golden-files")
@pytest.mark.parametrize("file", ["gluon-net.params", "gluon-net-full.params", "gluon-export-0007.params"])
def test_reads_the_files_of_mxnet(file):
    expected = json.loads((GOLDEN / "expected.json").read_text())["files"]
    block = nn.HybridSequential(prefix="hybridsequential0_")
    with block.name_scope():
        block.add(nn.Conv2D(4, 3, padding=1), nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Dense(3))
    block.load_parameters(str(GOLDEN / file))
    out = block(nd.array(expected["convnet-0002.params"]["input"]))
    np.testing.assert_allclose(out.asnumpy(), expected["gluon-net.params"]["output"], rtol=1e-4, atol=1e-5)


def test_gluon_layers_are_importable_as_in_mxnet():
    assert gluon.nn is nn and gluon.Parameter is Parameter and gluon.HybridBlock is nn.HybridBlock
