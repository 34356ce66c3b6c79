"""NDArray files: MXNet's bytes, every form of the past, and damaged files."""
import copy
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError, MXNetNotImplementedError
from mxcy.dtype import CODES, NUMPY

GOLDEN = Path(__file__).parents[3] / "shared/data/golden-files"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/data/golden-files")
FILES = json.loads((GOLDEN / "expected.json").read_text())["files"] if GOLDEN.is_dir() else {}


def dense(contents):
    return all(item["stype"] == "default" for item in (contents.values() if isinstance(contents, dict) else contents))


ARRAY_FILES = [name for name, spec in FILES.items() if name.endswith((".nd", ".params"))
               and dense(spec.get("contents", [{"stype": None}]))]


def bytes_of(data, tmp_path):
    nd.save(tmp_path / "x.nd", data)
    return (tmp_path / "x.nd").read_bytes()


def assert_holds(array, spec):
    assert array.shape == tuple(spec["shape"])
    assert array.dtype_name == spec["dtype"]
    expected = np.array(spec["values"], NUMPY[spec["dtype"]]).reshape(spec["shape"])
    np.testing.assert_array_equal(array.asnumpy(), expected)


@needs_golden
@pytest.mark.parametrize("name", ARRAY_FILES)
def test_reads_what_mxnet_wrote(name):
    contents, loaded = FILES[name]["contents"], nd.load(GOLDEN / name)
    assert type(loaded) is type(contents) and len(loaded) == len(contents)
    for key in contents if isinstance(contents, dict) else range(len(contents)):
        assert_holds(loaded[key], contents[key])


@needs_golden
@pytest.mark.parametrize("name", [n for n in ARRAY_FILES if n != "np-shape.nd"])    # that one was written in NumPy mode
def test_writes_the_bytes_that_mxnet_writes(name, tmp_path):
    assert bytes_of(nd.load(GOLDEN / name), tmp_path) == (GOLDEN / name).read_bytes()


@needs_golden
@pytest.mark.parametrize("name", ["sparse-csr.nd", "sparse-rowsparse.nd", "mixed.nd"])
def test_sparse_files_say_that_they_are(name):
    with pytest.raises(MXNetNotImplementedError, match=r"byte \d+: this array is (csr|row_sparse)"):
        nd.load(GOLDEN / name)


def one_record_file(head, data):
    return struct.pack("<QQQ", 0x112, 0, 1) + head + data + struct.pack("<Q", 0)


@pytest.mark.parametrize(("form", "head"), [
    ("0.10 and earlier", struct.pack("<III", 2, 2, 3)),
    ("0.11", struct.pack("<IIqq", 0xF993FAC8, 2, 2, 3)),
    ("0.12 to 1.9", struct.pack("<IiIqq", 0xF993FAC9, 0, 2, 2, 3)),
    ("NumPy shapes", struct.pack("<IiIqq", 0xF993FACA, 0, 2, 2, 3))])
def test_reads_every_form(form, head):
    x = np.arange(6, dtype="int32").reshape(2, 3)
    saved_on_a_gpu = struct.pack("<iii", 2, 3, CODES["int32"])
    array, = nd.load_frombuffer(one_record_file(head + saved_on_a_gpu, x.tobytes()))
    np.testing.assert_array_equal(array.asnumpy(), x)
    assert array.context == mx.cpu()


def test_no_array_reads_as_none():
    assert nd.load_frombuffer(one_record_file(struct.pack("<Iii", 0xF993FAC9, 0, 0), b"")) == [None]


@pytest.mark.parametrize("dtype", list(CODES))
@pytest.mark.parametrize("shape", [(2, 3), (1,), (0, 3), (), (1, 2, 1, 2, 1, 2, 1, 1)])
def test_round_trip(dtype, shape, tmp_path):
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(NUMPY[dtype])
    nd.save(tmp_path / "x.nd", {"x": nd.array(x, dtype=dtype)})
    back = nd.load(tmp_path / "x.nd")["x"]
    assert back.dtype_name == dtype
    np.testing.assert_array_equal(back.asnumpy(), x)


def test_what_save_takes(tmp_path):
    empty = struct.pack("<QQQQ", 0x112, 0, 0, 0)
    assert bytes_of([], tmp_path) == bytes_of({}, tmp_path) == empty
    assert nd.load_frombuffer(empty) == []
    assert len(nd.load_frombuffer(bytes_of(nd.zeros(3), tmp_path))) == 1
    for wrong in ({"a": 1}, [1], {1: nd.zeros(1)}):
        with pytest.raises(TypeError, match="stands where"):
            nd.save(tmp_path / "x.nd", wrong)
    with pytest.raises(ValueError, match="tuple"):
        nd.save(tmp_path / "x.nd", (nd.zeros(1),))


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.nd"
    nd.save(path, nd.zeros(3))
    before = path.read_bytes()
    with pytest.raises(UnicodeEncodeError):
        nd.save(path, {"\ud800": nd.ones(3)})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.nd"]


def test_a_link_stays_a_link(tmp_path):
    target, link = tmp_path / "target.nd", tmp_path / "link.nd"
    target.touch(mode=0o640)
    link.symlink_to(target)
    nd.save(link, nd.ones(2))
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o640 and nd.load(target)[0].shape == (2,)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(MXNetError, match="nowhere.nd: No such file"):
        nd.load(tmp_path / "nowhere.nd")
    with pytest.raises(MXNetError, match="No such file"):
        nd.save(tmp_path / "no" / "x.nd", nd.ones(1))


RECORD = struct.pack("<IiIq", 0xF993FAC9, 0, 1, 4)


@pytest.mark.parametrize(("data", "message"), [
    (b"", "byte 0: the head of the file should take 24 bytes, but only 0"),
    (b"PK\3\4" + bytes(30), "byte 0: this is not an NDArray file"),
    (struct.pack("<QQQ", 0x112, 0, 1 << 60), "byte 16: the file says that it has"),
    (one_record_file(RECORD + struct.pack("<iii", 1, 0, 0), bytes(4)), "byte 56: the elements"),
    (one_record_file(RECORD + struct.pack("<iii", 1, 0, 9), bytes(16)), "byte 52: the dtype number is 9"),
    (one_record_file(struct.pack("<IiIq", 0xF993FAC9, 0, 1, -4), bytes(99)), "negative size"),
    (one_record_file(struct.pack("<IiIqqiii", 0xF993FAC9, 0, 2, 1 << 62, 1 << 62, 1, 0, 0), b""), "byte 64: the elem"),
    (one_record_file(struct.pack("<Ii", 0xF993FAC9, 5), b""), "byte 28: the storage type is 5"),
    (one_record_file(struct.pack("<I", 77), bytes(400)), "byte 24: neither the start of an array nor a rank"),
    (struct.pack("<QQQQQ", 0x112, 0, 0, 1, 3) + b"abc", "byte 24: the file has 0 arrays but 1 names"),
    (one_record_file(RECORD + struct.pack("<iii", 1, 0, 5), bytes(4))[:-8] + struct.pack("<QQ", 1, 1) + b"\xff",
     "byte 76: a name is not UTF-8"),
])
def test_damaged_files_say_where(data, message):
    with pytest.raises(MXNetError, match=message):
        nd.load_frombuffer(data)


def sample():
    heads = [(struct.pack("<III", 2, 2, 3), "float32", 6), (struct.pack("<IIq", 0xF993FAC8, 1, 2), "int64", 2),
             (struct.pack("<IiIqq", 0xF993FAC9, 0, 2, 0, 3), "int8", 0),
             (struct.pack("<Iii", 0xF993FACA, 0, 0), "bool", 1)]
    parts = [head + struct.pack("<iii", 1, 0, CODES[dtype]) + bytes(size * NUMPY[dtype].itemsize)
             for head, dtype, size in heads]
    names = b"".join(struct.pack("<Q", len(n)) + n for n in (b"a", b"arg:b", b"", b"\xc3\xa9"))
    return struct.pack("<QQQ", 0x112, 0, 4) + b"".join(parts) + struct.pack("<Q", 4) + names


SAMPLE = sample()


@given(st.integers(0, len(SAMPLE) - 1))
def test_every_truncation_is_an_error(length):
    with pytest.raises(MXNetError, match="byte"):
        nd.load_frombuffer(SAMPLE[:length])


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_load_or_are_an_error(changes):
    data = bytearray(SAMPLE)
    for at, value in changes:
        data[at] = value
    try:
        nd.load_frombuffer(data)
    except MXNetError:
        pass


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_noise_is_an_error(data):
    with pytest.raises(MXNetError):
        nd.load_frombuffer(struct.pack("<QQQ", 0x112, 0, 7) + data)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_and_pickles(again):
    for x in (nd.array([[1, 2], [3, 4]], dtype="int32"), nd.array(2.5), nd.zeros((0, 2))):
        y = again(x)
        assert y is not x and y.dtype == x.dtype
        np.testing.assert_array_equal(y.asnumpy(), x.asnumpy())
        assert not y.shares_memory(x)
