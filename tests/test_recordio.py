"""RecordIO: MXNet's files, any payload, damaged files."""
import json
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mxcy import recordio
from mxcy.base import MXNetError

GOLDEN = Path(__file__).parents[2] / "shared/data/golden-files"
needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="needs ../shared/data/golden-files")
MAGIC = recordio.MAGIC


def records(path):
    with recordio.MXRecordIO(path, "r") as file:
        return list(iter(file.read, None))


def write(path, contents):
    with recordio.MXRecordIO(path, "w") as file:
        for content in contents:
            file.write(content)
    return path


@needs_golden
@pytest.mark.parametrize("name", ["raw.rec", "labels.rec", "images.rec"])
def test_writes_the_bytes_that_it_read(name, tmp_path):
    assert write(tmp_path / "x.rec", records(GOLDEN / name)).read_bytes() == (GOLDEN / name).read_bytes()


@needs_golden
@pytest.mark.parametrize("name", ["labels", "images"])
def test_reads_by_index(name):
    in_order = records(GOLDEN / f"{name}.rec")
    with recordio.MXIndexedRecordIO(GOLDEN / f"{name}.idx", GOLDEN / f"{name}.rec", "r") as file:
        assert [file.read_idx(key) for key in file.keys] == in_order
        with pytest.raises(MXNetError, match="no key 999"):
            file.read_idx(999)


@needs_golden
def test_reads_images():
    spec = json.loads((GOLDEN / "expected.json").read_text())["files"]["images.rec"]
    headers = [recordio.unpack_img(record) for record in records(GOLDEN / "images.rec")]
    assert all(img.dtype == np.uint8 and img.ndim in (2, 3) for _, img in headers) and spec["bytes"]


PAYLOADS = [b"", b"a", b"abcd", MAGIC, b"x" + MAGIC, b"abcd" + MAGIC + b"tail", MAGIC * 3, MAGIC[:3], b"abc" + MAGIC * 2]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(PAYLOADS),
                          st.lists(st.sampled_from([MAGIC, b"ab", b"cdef"])).map(b"".join)), max_size=6))
def test_any_payload_comes_back(tmp_path_factory, contents):
    assert records(write(tmp_path_factory.mktemp("rec") / "x.rec", contents)) == contents


def test_the_magic_number_splits_records_only_where_it_is_aligned(tmp_path):
    data = write(tmp_path / "x.rec", [MAGIC]).read_bytes()
    assert data == MAGIC + struct.pack("<I", 1 << 29) + MAGIC + struct.pack("<I", 3 << 29)
    assert len(write(tmp_path / "x.rec", [b"x" + MAGIC]).read_bytes()) == 16


@pytest.mark.parametrize("damage", [lambda d: d[:-4], lambda d: d[:10], lambda d: b"????" + d[4:], lambda d: d[8:],
                                    lambda d: d[:4] + struct.pack("<I", 3 << 29 | 3) + d[8:],
                                    lambda d: d[:4] + struct.pack("<I", 1 << 28) + d[8:]])
def test_damaged_files_say_where(tmp_path, damage):
    path = write(tmp_path / "x.rec", [b"hello world", b"second"])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MXNetError, match=r"x.rec: byte \d+: "):
        records(path)


def test_index(tmp_path):
    paths = tmp_path / "x.idx", tmp_path / "x.rec"
    with recordio.MXIndexedRecordIO(*paths, "w") as file:
        for key in (7, 3, 5):
            file.write_idx(key, b"%d" % key * key)
    assert paths[0].read_text().splitlines()[0] == "7\t0"
    file = recordio.MXIndexedRecordIO(*paths, "r")
    assert file.keys == [7, 3, 5] and file.read_idx(3) == b"333" and file.read() == b"55555"
    again = pickle.loads(pickle.dumps(file))
    assert again.read() is None and again.read_idx(7) == b"7" * 7
    file.reset()
    assert file.read() == b"7" * 7
    file.close()
    again.close()
    paths[0].write_text("no index")
    with pytest.raises(MXNetError, match="no index"):
        recordio.MXIndexedRecordIO(*paths, "r")


def test_wrong_use(tmp_path):
    with pytest.raises(MXNetError, match="'a'"):
        recordio.MXRecordIO(tmp_path / "x", "a")
    with pytest.raises(MXNetError, match="No such file"):
        recordio.MXRecordIO(tmp_path / "nowhere", "r")
    with recordio.MXRecordIO(tmp_path / "x", "w") as file:
        with pytest.raises(TypeError, match="open for writing"):
            file.read()
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(file)
    with recordio.MXRecordIO(tmp_path / "x", "r") as file, pytest.raises(TypeError, match="open for reading"):
        file.write(b"")


@pytest.mark.parametrize("label", [4., [1., 2.], np.arange(3)])
def test_headers(label):
    header, content = recordio.unpack(recordio.pack(recordio.IRHeader(0, label, 5, 6), b"content"))
    np.testing.assert_array_equal(header.label, label)
    assert header.flag == (np.size(label) if np.ndim(label) else 0) and header[2:] == (5, 6) and content == b"content"
    with pytest.raises(MXNetError, match="no header"):
        recordio.unpack(b"short")
    with pytest.raises(MXNetError, match="9 labels"):
        recordio.unpack(struct.pack("<IfQQ", 9, 0, 0, 0))


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_images_keep_their_channels(shape):
    img = np.random.default_rng(0).integers(0, 255, shape).astype("uint8")
    record = recordio.pack_img(recordio.IRHeader(0, 1, 2, 0), img, quality=3, img_fmt=".png")
    np.testing.assert_array_equal(recordio.unpack_img(record)[1], img)
    assert recordio.unpack_img(record, 1)[1].shape == (8, 6, 3) and recordio.unpack_img(record, 0)[1].shape == (8, 6)
    smooth = np.full(shape, 100, "uint8")
    close = recordio.unpack_img(recordio.pack_img(recordio.IRHeader(0, 1, 2, 0), smooth))[1]
    assert abs(close.astype(int) - 100).max() < 5
    with pytest.raises(MXNetError, match="gif"):
        recordio.pack_img(recordio.IRHeader(0, 1, 2, 0), img, img_fmt=".gif")
