"""The models have MXNet's parameters, by name and shape, and give MXNet's results."""
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy.gluon.model_zoo import model_store, vision
from mxcy.name import NameManager

#: What MXNet 1.9.1 gives, by model: size of the picture, number of parameters and of values in them, SHA-1 of their names,
#: shapes and grad_req, the scores for `picture` with the weights `weight`, and the SHA-1 of the exported graph.
EXPECTED = json.loads((Path(__file__).parent / "zoo.json").read_text())
#: Those that take long are left to full runs of the tests.
MODELS = [name if made["values"] * made["size"] < 3e9 else pytest.param(name, marks=pytest.mark.slow)
          for name, made in EXPECTED.items()]


#: One of each kind, where a test takes several passes forward and back.
QUICK = {"resnet18_v1", "resnet18_v2", "squeezenet1.1", "mobilenet0.25", "mobilenetv2_0.25"}


def picture(size):
    return mx.nd.array(np.random.RandomState(0).standard_normal((1, 3, size, size)))


def weight(name, shape):
    """Values that depend on the name, of a size that keeps activations near 1."""
    values = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape).astype("float32")
    if name.endswith("weight"):
        return values * np.float32(np.sqrt(2 / np.prod(shape[1:])))
    return np.abs(values) * .1 + 1 if name.endswith(("gamma", "var")) else values * .1


def make(name):
    """The model with those weights, and its picture."""
    with NameManager():
        net = vision.get_model(name, classes=10)
    net.initialize()
    x = picture(EXPECTED[name]["size"])
    net(x)
    for key, param in net._structure().items():
        param.set_data(mx.nd.array(weight(key, param.shape)))
    return net, x


def test_every_model_is_compared():
    assert set(EXPECTED) == set(vision._model.MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_is_that_of_mxnet(name):
    expected = EXPECTED[name]
    net, x = make(name)
    params = net._structure()
    text = "\n".join(f"{key} {p.name} {p.shape} {p.grad_req}" for key, p in params.items())
    assert sum(p.data().size for p in params.values()) == expected["values"]
    assert hashlib.sha1(text.encode()).hexdigest() == expected["sha1"]
    np.testing.assert_allclose(net(x).asnumpy()[0], expected["output"], atol=1e-4 * np.abs(expected["output"]).max())


def run(net, x):
    """Scores in prediction and in training, and the gradients and moving averages that follow, by name."""
    found = {"scores": net(x).asnumpy()}
    mx.random.seed(1)
    with mx.autograd.record():
        scores = net(x)
        loss = (scores / scores.detach().abs().max()).sum()
    loss.backward()
    found["scores in training"] = scores.asnumpy()
    for key, param in net._structure().items():
        found[key] = (param.data() if param.grad_req == "null" else param.grad()).asnumpy()
        if param.grad_req == "null":
            param.set_data(mx.nd.array(weight(key, param.shape), dtype=param.dtype))
    return found


def distances(found, expected):
    """How far results are from each other in norm, relative to their size, or to the usual size of such results."""
    usual = np.median([np.linalg.norm(v) / v.size ** .5 for v in expected.values()])
    return {key: np.linalg.norm(found[key] - v) / max(np.linalg.norm(v), usual * v.size ** .5)
            for key, v in expected.items()}


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
                                  for name in EXPECTED])
def test_eager_and_hybridized_agree(name):
    """In scores, gradients and moving averages. Rounding makes a ReLU change sides here and there, which changes
    gradients by per cents in layers with few values, and deep networks with batch norm magnify it. So the tolerance
    follows what pictures that differ in the sixth digit make of the same network."""
    net, _ = make(name)
    size = EXPECTED[name]["size"]
    x = mx.nd.array(np.random.RandomState(1).standard_normal((2 if size > 100 else 4, 3, size, size)))
    eager, moved = run(net, x), run(net, x * (1 + 1e-6 * mx.nd.random.normal(shape=x.shape)))
    net.hybridize()
    found = distances(run(net, x), eager)
    assert found["scores"] < 1e-4
    limit = 0.03 + 10 * max(distances(moved, eager).values())
    assert max(found.values()) < limit, {key: value for key, value in found.items() if value >= limit}


@pytest.mark.parametrize("name", ["resnet18_v1", "resnet18_v2", "mobilenet0.25", "mobilenetv2_0.25"])
def test_eager_and_hybridized_agree_in_float64(name):
    """Where rounding does not matter, they agree to many digits."""
    net, _ = make(name)
    net.cast("float64")
    x = mx.nd.array(np.random.RandomState(1).standard_normal((2, 3, 32, 32)), dtype="float64")
    eager = run(net, x)
    net.hybridize()
    found = distances(run(net, x), eager)
    assert max(found.values()) < 1e-7, {key: value for key, value in found.items() if value >= 1e-7}


@pytest.mark.parametrize("name", EXPECTED)
def test_graph_is_that_of_mxnet_to_the_byte(name):
    with NameManager():
        graph = vision.get_model(name, classes=10)(mx.sym.var("data"))
    assert hashlib.sha1(graph.tojson().encode()).hexdigest() == EXPECTED[name]["symbol"]


def test_weights_from_a_folder(tmp_path, monkeypatch):
    net, x = make("mobilenet0.25")
    path = tmp_path / "models" / "weights"
    path.parent.mkdir()
    net.save_parameters(str(path))
    own = path.rename(path.with_name(f"mobilenet0.25-{hashlib.sha1(path.read_bytes()).hexdigest()[:8]}.params"))
    monkeypatch.setenv("MXNET_HOME", str(tmp_path))
    monkeypatch.delenv("MXCY_HOME", raising=False)
    for options in ({}, {"root": str(own.parent)}):
        read = vision.mobilenet0_25(pretrained=True, classes=10, **options)
        np.testing.assert_array_equal(read(x).asnumpy(), net(x).asnumpy())
    assert model_store.get_model_file("mobilenet0.25") == str(own)
    own.write_bytes(own.read_bytes()[:-1])
    with pytest.raises(mx.MXNetError, match="is damaged"):
        vision.mobilenet0_25(pretrained=True, classes=10)
    model_store.purge()
    with pytest.raises(mx.MXNetError, match=r"mobilenet0.25-9f83e440.params there"):
        vision.mobilenet0_25(pretrained=True, classes=10)


def test_unknown_names():
    with pytest.raises(ValueError, match="Did you mean 'resnet50_v"):
        vision.get_model("resnet50")
    with pytest.raises(ValueError, match="Did you mean 'vgg16'"):
        model_store.get_model_file("vgg16x")
    with pytest.raises(ValueError, match="there are"):
        vision.get_vgg(17)
    with pytest.raises(ValueError, match="versions are"):
        vision.get_resnet(3, 18)


def test_thumbnail_and_dropout():
    net = vision.get_resnet(2, 18, thumbnail=True, classes=4)
    net.initialize()
    assert net(mx.nd.ones((1, 3, 16, 16))).shape == (1, 4)
    assert "Dropout" in repr(vision.densenet121(dropout=.2))
