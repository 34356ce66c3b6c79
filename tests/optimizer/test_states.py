"""States of optimizers in files: our form, MXNet's pickles, and files that mean harm."""
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.optimizer import states

GOLDEN = Path(__file__).parents[2].parent / "shared" / "data" / "golden-files"


def run(update, steps, seed=0):
    """Update two weights with ``steps`` random gradients; the weights."""
    rng = np.random.RandomState(seed)
    weights = [nd.ones((3, 2)), nd.ones((4,))]
    for _ in range(steps):
        for i, weight in enumerate(weights):
            update(i, nd.array(rng.randn(*weight.shape)), weight)
    return weights


@pytest.mark.parametrize("name, arguments", [
    ("sgd", {"momentum": 0.9}), ("sgd", {}), ("adam", {}), ("nadam", {}), ("lars", {"momentum": 0.9}),
    ("sgd", {"lr_scheduler": mx.lr_scheduler.FactorScheduler(2, 0.5)}),
    ("adam", {"lr_scheduler": mx.lr_scheduler.MultiFactorScheduler([1, 3], 0.5, base_lr=0.001)})])
def test_saved_optimizer_goes_on_as_if_nothing_had_happened(name, arguments):
    updater = mx.optimizer.get_updater(mx.optimizer.create(name, **arguments))
    weights = run(updater, 3)
    other = mx.optimizer.get_updater(mx.optimizer.create("sgd"))
    other.set_states(updater.get_states(dump_optimizer=True))
    copies = [w.copy() for w in weights]
    for update, targets in ((updater, weights), (other, copies)):
        for i, weight in enumerate(targets):
            update(i, nd.ones(weight.shape), weight)
    for a, b in zip(weights, copies):
        assert (a.asnumpy() == b.asnumpy()).all()


def test_states_are_an_array_file():
    updater = mx.optimizer.get_updater(mx.optimizer.create("adam"))
    run(updater, 1)
    arrays = nd.load_frombuffer(updater.get_states(dump_optimizer=True))
    head = json.loads(arrays["json"].asnumpy().tobytes())
    assert head["optimizer"]["name"] == "adam"
    assert head["states"] == [[0, [0, 1]], [1, [2, 3]]]


def test_states_alone_keep_the_optimizer():
    updater = mx.optimizer.get_updater(mx.optimizer.create("sgd", momentum=.9))
    run(updater, 1)
    other = mx.optimizer.get_updater(mx.optimizer.create("sgd", momentum=.5))
    other.set_states(updater.get_states())
    assert other.optimizer.momentum == .5 and set(other.states) == {0, 1}


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/data/golden-files")
@pytest.mark.parametrize("file, name", [("convnet-0002.states", None), ("gluon-trainer.states", "adam")])
def test_reads_the_pickles_of_mxnet(file, name):
    loaded, settings = states.loads((GOLDEN / file).read_bytes())
    expected = json.loads((GOLDEN / "expected.json").read_text())["files"][file]
    assert set(map(str, loaded)) == set(map(str, expected.get("contents", loaded)))
    assert (settings and settings["name"]) == name
    arrays = [a for state in loaded.values() for a in (state if isinstance(state, tuple) else (state,))
              if a is not None]
    assert arrays and all(np.isfinite(a.asnumpy()).all() for a in arrays)
    if name:
        updater = mx.optimizer.get_updater(mx.optimizer.create("sgd"))
        updater.set_states((GOLDEN / file).read_bytes())
        assert isinstance(updater.optimizer, mx.optimizer.Adam) and updater.optimizer.num_update == 1


class Harm:
    def __reduce__(self):
        return os.system, ("touch /nowhere",)


@pytest.mark.parametrize("content", [
    pickle.dumps({0: Harm()}), pickle.dumps(Harm()), pickle.dumps({0: np.zeros(3)}), pickle.dumps([1, 2]),
    pickle.dumps({0: "text"}), b"", b"\x80\x04", b"nonsense", b"\x12\x01" + bytes(6) + b"short"],
    ids=["call", "bare call", "numpy", "list", "text", "empty", "short pickle", "nonsense", "short array file"])
def test_refuses_what_are_not_states(content):
    with pytest.raises(mx.MXNetError):
        states.loads(content)


def test_refuses_to_save_what_json_cannot_hold():
    optimizer = mx.optimizer.create("sgd")
    optimizer.secret = object()
    with pytest.raises(TypeError, match="SGD.secret"):
        states.dumps({}, optimizer)


def test_refuses_an_unknown_schedule():
    settings = states.settings_of(mx.optimizer.create("sgd", lr_scheduler=mx.lr_scheduler.PolyScheduler(5)))
    settings["lr_scheduler"]["name"] = "Elsewhere"
    with pytest.raises(ValueError, match="Elsewhere"):
        states.restore(settings, mx.optimizer.create("sgd"))


def test_refuses_to_hide_methods():
    settings = states.settings_of(mx.optimizer.create("sgd"))
    settings["attributes"]["pairs"].append(["update", 3])
    with pytest.raises(ValueError, match="SGD.update"):
        states.restore(settings, mx.optimizer.create("sgd"))


def test_damaged_files_are_errors_of_ours():
    """Bytes changed, removed and added at random: an MXNetError or other values, and nothing else."""
    updater = mx.optimizer.get_updater(mx.optimizer.create("adam", lr_scheduler=mx.lr_scheduler.PolyScheduler(
        9, base_lr=0.001)))
    run(updater, 1)
    rng, content = np.random.RandomState(0), updater.get_states(dump_optimizer=True)
    for _ in range(1000):
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            at = rng.randint(len(damaged) + 1)
            damaged[at:at + rng.randint(4)] = rng.bytes(rng.randint(4))
        try:
            _, settings = states.loads(bytes(damaged))
            states.restore(settings, updater.optimizer)
        except mx.MXNetError:
            pass
