"""Checkpoints: MXNet's files are read, and what is written here MXNet reads."""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.io import DataBatch
from tests.module.test_digits import lenet
from tests.module.test_module import batch_of, dense

SHARED = Path(__file__).parents[3] / "shared/data"
MXNET = os.environ.get("MXNET_PYTHON", "")

needs_models = pytest.mark.skipif(not (SHARED / "models").is_dir(), reason="needs ../shared/data/models")
needs_mxnet = pytest.mark.skipif(not MXNET, reason="set MXNET_PYTHON to the Python of an environment with MXNet 1.9.1")


@needs_models
@pytest.mark.parametrize("name", ["det1", "lenet-toy"])
def test_models_of_others(name):
    folder = SHARED / "models" / name
    recorded = np.load(folder / "io.npz")
    module = mx.mod.Module.load(str(folder / "model"), 0,
                                label_names=["softmax_label"] if name == "lenet-toy" else None)
    module.bind([("data", recorded["data"].shape)], for_training=False)
    module.forward(DataBatch([nd.array(recorded["data"])]))
    for i, out in enumerate(module.get_outputs()):
        wanted = recorded[f"out{i}"]
        np.testing.assert_allclose(out.asnumpy(), wanted, rtol=1e-3, atol=1e-4 * abs(wanted).max())


@pytest.mark.skipif(not (SHARED / "golden-files").is_dir(), reason="needs ../shared/data/golden-files")
def test_checkpoint_of_mxnet_is_trained_further():
    prefix = str(SHARED / "golden-files/convnet")
    expected = json.loads((SHARED / "golden-files/expected.json").read_text())["files"]["convnet-0002.params"]
    data = nd.array(expected["input"])
    module = mx.mod.Module.load(prefix, 2, load_optimizer_states=True)
    module.bind([("data", data.shape)], [("softmax_label", data.shape[:1])])
    # computed by MXNet 1.9.1 from these files, which the "output" beside the input is not
    wanted = [[9.8982799e-01, 5.1776283e-08, 1.0172030e-02], [5.0900094e-02, 1.8192770e-08, 9.4909990e-01]]
    np.testing.assert_allclose(module.predict(data).asnumpy(), wanted, rtol=1e-4, atol=1e-6)
    module.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
    module.forward_backward(DataBatch([data], [nd.zeros(data.shape[:1])]))
    module.update()


def test_checkpoint_is_read_again(tmp_path):
    prefix = str(tmp_path / "model")
    module = mx.mod.Module(lenet())
    module.bind([("data", (2, 1, 28, 28))], [("softmax_label", (2,))])
    module.init_params(mx.init.Xavier())
    module.save_checkpoint(prefix, 7)
    symbol, arg_params, aux_params = mx.model.load_checkpoint(prefix, 7)
    assert symbol.tojson() == lenet().tojson() and aux_params == {}
    x = nd.random.normal(shape=(2, 1, 28, 28))
    again = mx.mod.Module(symbol)
    again.bind([("data", (2, 1, 28, 28))], for_training=False)
    again.set_params(arg_params, aux_params)
    np.testing.assert_allclose(again.predict(x).asnumpy(), module.predict(x).asnumpy(), rtol=1e-5, atol=1e-6)
    mx.callback.do_checkpoint(str(tmp_path / "other"))(6, symbol, arg_params, aux_params)
    assert (tmp_path / "other-0007.params").read_bytes() == (tmp_path / "model-0007.params").read_bytes()
    assert (tmp_path / "other-symbol.json").read_bytes() == (tmp_path / "model-symbol.json").read_bytes()


#: Trains two steps more.
MORE = """
import sys
import numpy as np, mxnet as mx
prefix, = sys.argv[1:]
module = mx.mod.Module.load(prefix, 1, load_optimizer_states=True)
module.bind([("data", (4, 5))], [("softmax_label", (4,))])
module.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
x = np.load(prefix + ".npy")
for _ in range(2):
    module.forward_backward(mx.io.DataBatch([mx.nd.array(x)], [mx.nd.array([0, 1, 2, 0])]))
    module.update()
module.save_checkpoint(prefix + "-mxnet", 2, save_optimizer_states=True)
"""


@needs_mxnet
def test_mxnet_trains_our_checkpoint_further_and_we_its(tmp_path):
    prefix = str(tmp_path / "model")
    module = mx.mod.Module(dense())
    module.bind([("data", (4, 5))], [("softmax_label", (4,))])
    module.init_params(mx.init.Uniform(1))
    module.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
    batch = batch_of()
    np.save(f"{prefix}.npy", batch.data[0].asnumpy())
    module.forward_backward(batch)
    module.update()
    module.save_checkpoint(prefix, 1, save_optimizer_states=True)
    subprocess.run([MXNET, "-c", MORE, prefix], check=True, stderr=subprocess.PIPE)
    ours = mx.mod.Module.load(prefix, 1, load_optimizer_states=True)
    ours.bind([("data", (4, 5))], [("softmax_label", (4,))])
    ours.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
    for _ in range(2):
        ours.forward_backward(DataBatch([nd.array(np.load(f"{prefix}.npy"))], [nd.array([0, 1, 2, 0])]))
        ours.update()
    theirs = mx.mod.Module.load(f"{prefix}-mxnet", 2, load_optimizer_states=True)
    for name, array in ours.get_params()[0].items():
        np.testing.assert_allclose(theirs.get_params()[0][name].asnumpy(), array.asnumpy(), rtol=1e-5, atol=1e-6)
    theirs.bind([("data", (4, 5))], [("softmax_label", (4,))])
    theirs.init_optimizer(optimizer="sgd", optimizer_params={"learning_rate": .1, "momentum": .9})
    for index, state in ours._updater.states.items():
        np.testing.assert_allclose(theirs._updater.states[index].asnumpy(), state.asnumpy(), rtol=1e-5, atol=1e-6)
