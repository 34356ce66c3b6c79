"""Iterators over batches."""
import gzip
import struct
import threading
import time

import numpy as np
import pytest

import mxcy as mx
from mxcy import io, nd


def batches(iterator):
    return [(batch.data[0].asnumpy().tolist(), batch.pad) for batch in iterator]


#: What MXNet 1.9.1 gives for the samples 0 to 4 in batches of 2, in three epochs.
EPOCHS = {
    "pad": [[([0, 1], 0), ([2, 3], 0), ([4, 0], 1)]] * 3,
    "discard": [[([0, 1], 0), ([2, 3], 0)]] * 3,
    "roll_over": [[([0, 1], 0), ([2, 3], 0)], [([4, 0], 1), ([1, 2], 0), ([3, 4], 0)], [([0, 1], 0), ([2, 3], 0)]],
}


@pytest.mark.parametrize("mode", EPOCHS)
def test_last_batch(mode):
    iterator = io.NDArrayIter(np.arange(5), np.arange(5), 2, last_batch_handle=mode)
    for expected in EPOCHS[mode]:
        assert batches(iterator) == expected
        iterator.reset()


def test_labels_follow_the_data():
    iterator = io.NDArrayIter(np.arange(7), np.arange(7) * 10, 3, shuffle=True, last_batch_handle="roll_over")
    seen = []
    for _ in range(3):
        for batch in iterator:
            assert (batch.data[0].asnumpy() * 10 == batch.label[0].asnumpy()).all()
            seen.extend(batch.data[0].asnumpy().tolist())
        iterator.reset()
    assert np.bincount(np.int64(seen)).min() >= 2


def test_shuffles_every_epoch():
    np.random.seed(0)
    iterator = io.NDArrayIter(np.arange(100), None, 100, shuffle=True)
    first = batches(iterator)[0][0]
    iterator.reset()
    second = batches(iterator)[0][0]
    assert first != second and sorted(first) == sorted(second) == list(range(100))


def test_descriptions():
    iterator = io.NDArrayIter({"a": np.zeros((4, 2)), "b": nd.zeros((4,), dtype="int32")}, [np.zeros(4)], 2)
    assert iterator.provide_data == [("a", (2, 2)), ("b", (2,))] and iterator.provide_label == [("softmax_label", (2,))]
    assert iterator.provide_data[1].dtype == np.int32 and iterator.provide_data[0].layout == "NCHW"
    assert repr(iterator.provide_label[0]) == "DataDesc[softmax_label,(2,),<class 'numpy.float32'>,NCHW]"
    assert str(next(iterator)) == "DataBatch: data shapes: [(2, 2), (2,)] label shapes: [(2,)]"
    assert [d.name for d in io.NDArrayIter([np.zeros(2), np.zeros(2)]).provide_data] == ["_0_data", "_1_data"]
    assert io.DataDesc.get_batch_axis("TNC") == 1 and io.DataDesc.get_batch_axis(None) == 0


def test_batches_along_another_axis():
    iterator = io.NDArrayIter(np.arange(10).reshape(2, 5), None, 2, layout="TN")
    assert [b.data[0].asnumpy().tolist() for b in iterator] == [[[0, 1], [5, 6]], [[2, 3], [7, 8]], [[4, 0], [9, 5]]]


@pytest.mark.parametrize("make", [
    lambda: io.NDArrayIter(None), lambda: io.NDArrayIter(np.zeros(3), np.zeros(4)), lambda: io.NDArrayIter(3.),
    lambda: io.NDArrayIter(np.zeros((0, 2))), lambda: io.NDArrayIter(np.zeros(3), last_batch_handle="x"),
    lambda: io.DataBatch(nd.zeros((1,)))])
def test_bad_arguments(make):
    with pytest.raises((ValueError, TypeError)):
        make()


def test_resize():
    iterator = io.ResizeIter(io.NDArrayIter(np.arange(4), None, 2), 5)
    assert [data for data, _ in batches(iterator)] == [[0, 1], [2, 3], [0, 1], [2, 3], [0, 1]]
    iterator.reset()
    assert len(batches(iterator)) == 5


def test_prefetching_joins_iterators():
    iterator = io.PrefetchingIter([io.NDArrayIter(np.arange(5), np.arange(5), 2),
                                   io.NDArrayIter({"x": np.arange(5) * 2}, None, 2)],
                                  rename_data=[{"data": "d"}, {"x": "e"}], rename_label=[{"softmax_label": "y"}, {}])
    assert [d.name for d in iterator.provide_data + iterator.provide_label] == ["d", "e", "y"]
    for _ in range(2):
        seen = [(b.data[0].asnumpy().tolist(), b.data[1].asnumpy().tolist(), b.pad) for b in iterator]
        assert seen == [([0, 1], [0, 2], 0), ([2, 3], [4, 6], 0), ([4, 0], [8, 0], 1)]
        iterator.reset()


def test_prefetching_passes_errors_on_and_ends_its_threads():
    class Failing(io.NDArrayIter):
        def next(self):
            batch = super().next()
            if batch.data[0].asnumpy()[0] == 2:
                raise KeyError("sample 2")
            return batch

    before = threading.active_count()
    iterator = io.PrefetchingIter(Failing(np.arange(6), None, 2))
    iterator.next()
    with pytest.raises(KeyError, match="sample 2"):
        iterator.next()
    del iterator
    deadline = time.time() + 5
    while threading.active_count() > before and time.time() < deadline:
        time.sleep(.01)
    assert threading.active_count() == before


def write_idx(path, array):
    with gzip.open(path, "wb") as file:
        file.write(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def mnist_files(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (10, 28, 28)).astype("uint8")
    write_idx(tmp_path / "images.gz", images)
    write_idx(tmp_path / "labels.gz", np.arange(10, dtype="uint8"))
    return str(tmp_path / "images.gz"), str(tmp_path / "labels.gz"), images


def test_mnist_iter(mnist_files):
    image, label, images = mnist_files
    iterator = io.MNISTIter(image=image, label=label, batch_size=4, shuffle=True, seed=3)
    found = list(iterator)
    assert [b.data[0].shape for b in found] == [(4, 1, 28, 28)] * 2
    for batch in found:
        for x, y in zip(batch.data[0].asnumpy(), batch.label[0].asnumpy()):
            np.testing.assert_array_equal(x[0], images[int(y)] / np.float32(256))
    part = io.MNISTIter(image=image, label=label, batch_size=5, shuffle=False, flat=True, num_parts=2, part_index=1)
    assert [b.label[0].asnumpy().tolist() for b in part] == [[5, 6, 7, 8, 9]] and part.provide_data[0].shape == (5, 784)


@pytest.mark.parametrize("content", [b"", b"\0\0\x08\x01", b"\0\0\x08\x01\0\0\0\x05abc", b"\x01\0\x08\x01\0\0\0\x01a",
                                     b"\0\0\x08\x02\xff\xff\xff\xff\xff\xff\xff\xff", b"\0\0\x08\x01\0\0\0\x01ab",
                                     b"\0\0\x05\x01"])
def test_bad_idx_files(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="x"):
        mx.datasets.mnist.read_idx(tmp_path / "x")
