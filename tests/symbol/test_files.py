"""Symbol files: those that MXNet wrote are read and written back byte for byte, old forms are brought up to date, and
MXNet reads ours.

``MXNET_PY`` may name a Python that has MXNet 1.9.1; what it writes is stored in ``files`` otherwise.
"""
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError

FILES = sorted((Path(__file__).parent / "files").glob("*.json"))

#: A network as MXNet 0.8 wrote it.
OLD = {"nodes": [
    {"op": "null", "param": {}, "name": "data", "inputs": [], "backward_source_id": -1},
    {"op": "null", "param": {}, "name": "c_weight", "inputs": [], "attr": {"lr_mult": "3"}},
    {"op": "null", "param": {}, "name": "c_bias", "inputs": []},
    {"op": "Convolution", "param": {"kernel": "(3,3)", "num_filter": "4", "no_bias": "False"}, "name": "c",
     "inputs": [[0, 0], [1, 0], [2, 0]], "attr": {"ctx_group": "a", "weight_wd_mult": "0.5", "bias_lr_mult": "2"}},
    {"op": "null", "param": {}, "name": "bn_gamma", "inputs": []},
    {"op": "null", "param": {}, "name": "bn_beta", "inputs": []},
    {"op": "BatchNorm", "param": {"eps": "0.001", "fix_gamma": "True"}, "name": "bn",
     "inputs": [[3, 0], [4, 0], [5, 0]]},
    {"op": "argmax", "param": {"axis": "-1"}, "name": "best", "inputs": [[6, 0]]}],
    "arg_nodes": [0, 1, 2, 4, 5], "heads": [[7, 0], [6, 0]]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_mxnet_come_back_byte_for_byte(path, tmp_path):
    symbol = mx.sym.load(str(path))
    symbol.save(str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_the_form_of_0_8():
    symbol = mx.sym.load_json(json.dumps(OLD))
    assert symbol.list_outputs() == ["best_output", "bn_output"]
    assert symbol.list_auxiliary_states() == ["bn_moving_mean", "bn_moving_var"]
    attrs = symbol.attr_dict()
    assert attrs["c_weight"] == {"__lr_mult__": "3", "lr_mult": "3", "__wd_mult__": "0.5", "wd_mult": "0.5"}
    assert attrs["c_bias"] == {"__lr_mult__": "2", "lr_mult": "2"} and attrs["c"]["__ctx_group__"] == "a"
    assert attrs["bn_moving_var"]["__init__"] == '["one", {}]' and "best" not in attrs      # axis -1: of all elements
    assert json.loads(symbol.tojson())["attrs"] == {"mxnet_version": ["int", 10901]}


@pytest.mark.parametrize("version", [900, 904, 905, 10000, 10301])
def test_later_forms(version):
    data = json.loads(json.dumps(OLD))
    for node in data["nodes"]:
        node["attr" if version < 10000 else "attrs"] = {**node.pop("param"), **node.pop("attr", {})}
        node["inputs"] = [[*pair, 0] for pair in node["inputs"]]
    data["nodes"] = data["nodes"][:4] + [{**data["nodes"][7], "inputs": [[3, 0, 0]]}]
    data.update(heads=[[4, 0, 0]], attrs={"mxnet_version": ["int", version]})
    symbol = mx.sym.load_json(json.dumps(data))
    assert symbol.attr_dict()["c_bias"] == {"__lr_mult__": "2", "lr_mult": "2"}
    assert (symbol.attr("axis") is None) == (version < 905)


def test_what_is_saved_has_the_values_of_mxnet():
    """A loop whose body is a graph of its own, with the result that MXNet 1.9.1 gave."""
    symbol = mx.sym.load(str(Path(__file__).parent / "files" / "foreach-symbol.json"))
    seq, state = mx.nd.array([[1, 2], [3, 4], [5, 6]]), mx.nd.array([10, 20])
    out = symbol.eval(seq=seq, s0=state)[0]
    np.testing.assert_array_equal(out.asnumpy(), [[11, 22], [14, 26], [19, 32]])


def networks():
    x, y = mx.sym.var("x", shape=(2, 3, 8, 8)), mx.sym.var("y", init=mx.init.Zero(), lr_mult=2)
    with mx.AttrScope(ctx_group="dev1"), mx.name.Prefix("net_"):
        net = mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, name="conv")
        net = mx.sym.LeakyReLU(mx.sym.BatchNorm(net), act_type="prelu")
    parts = mx.sym.split(mx.sym.Flatten(net), num_outputs=2)
    yield mx.sym.Group([parts[1] + 2 * parts[0], parts])
    yield mx.sym.Concat(*[mx.sym.var(f"v{i}") for i in range(12)], y)
    yield mx.sym.SoftmaxOutput(mx.sym.FullyConnected(x.reshape((0, -1)), num_hidden=3, flatten=False), name="softmax")
    yield mx.sym.var("ж\"\\\n") > mx.sym.zeros((0, 3))


@pytest.mark.skipif("MXNET_PY" not in os.environ, reason="MXNET_PY names no Python with MXNet")
def test_mxnet_reads_what_is_saved_and_writes_the_same(tmp_path):
    program = "import sys, mxnet as mx\nfor a in sys.argv[1:]: mx.sym.load(a).save(a + '.mx')"
    paths = []
    for i, symbol in enumerate(networks()):
        paths.append(tmp_path / f"{i}.json")
        symbol.save(str(paths[-1]))
    subprocess.run([os.environ["MXNET_PY"], "-c", program, *map(str, paths)], check=True)
    for path in paths:
        assert path.read_bytes() == Path(f"{path}.mx").read_bytes()


@pytest.mark.parametrize(("change", "message"), [
    (lambda d: d["nodes"][3]["inputs"].append([0, 0]), "'c' .Convolution. has 4 inputs; expected 3: data, weight, bias"),
    (lambda d: d["nodes"][3]["param"].update(kernel="(3"), "kernel is"),
    (lambda d: d["nodes"][3]["param"].update(num_filter="9" * 400), "num_filter is"),
    (lambda d: d["nodes"][3]["param"].update(filters="3"), "unknown parameter 'filters'"),
    (lambda d: d["nodes"][3]["param"].update(num_filter=4), "must map names to text"),
    (lambda d: d["nodes"][3].update(inputs=[[3, 0], [1, 0], [2, 0]]), "does not come before"),
    (lambda d: d["nodes"][3].update(inputs=[[-1, 0], [1, 0], [2, 0]]), "does not come before"),
    (lambda d: d["nodes"][3].update(inputs=[[10**30, 0], [1, 0], [2, 0]]), "does not come before"),
    (lambda d: d["nodes"][3].update(inputs=[[True, 0], [1, 0], [2, 0]]), r"expected \[node, output\]"),
    (lambda d: d["nodes"][3].update(inputs="abc"), "'inputs' of node 3 is str"),
    (lambda d: d["nodes"][3].update(op=["Convolution"]), "'op' of node 3 is list"),
    (lambda d: d["nodes"].__setitem__(3, None), "node 3 is a NoneType"),
    (lambda d: d.update(heads=[]), "no heads"),
    (lambda d: d.update(nodes={}), "'nodes' of the file is dict"),
    (lambda d: d["nodes"][3].update(subgraphs=[1]), "'nodes' of the file is missing"),
])
def test_files_that_are_wrong(change, message):
    data = json.loads(json.dumps(OLD))
    change(data)
    with pytest.raises(MXNetError, match=message):
        mx.sym.load_json(json.dumps(data))


def test_every_beginning_of_a_file_is_refused():
    text = FILES[0].read_text()
    for end in range(0, len(text.rstrip()), 97):
        with pytest.raises(MXNetError, match="symbol file"):
            mx.sym.load_json(text[:end])


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net.json"
    path.write_text("old")
    monkeypatch.setattr(mx.sym.Symbol, "tojson", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mx.sym.var("x").save(str(path))
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
