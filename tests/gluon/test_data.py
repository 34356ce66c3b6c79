"""Datasets, samplers, batches, loaders, transforms."""
import threading
import time

import numpy as np
import pytest

import mxcy as mx
from mxcy import gluon, nd
from mxcy.gluon import data as gdata

SET = gdata.ArrayDataset(np.arange(10, dtype="float32"), np.arange(20).reshape(10, 2))


def firsts(dataset):
    return [float(np.ravel(sample[0] if isinstance(sample, tuple) else sample)[0]) for sample in
            (dataset[i] for i in range(len(dataset)))]


@pytest.mark.parametrize("dataset, expected", [
    (SET.take(3), [0, 1, 2]), (SET.take(None), range(10)), (SET.shard(3, 0), [0, 1, 2, 3]),
    (SET.shard(3, 2), [7, 8, 9]),
    (SET.filter(lambda sample: sample[0] > 7), [8, 9]), (SET.transform(lambda x, y: x + y[0]).take(2), [0, 3]),
    (SET.transform(lambda x, y: -x, lazy=False).take(2), [0, -1]), (SET.transform_first(lambda x: -x).take(2), [0, -1]),
    (SET.sample(gdata.SequentialSampler(2, 3)), [3, 4]),
    (gdata.SimpleDataset([1, 2]).transform_first(lambda x: x * 2), [2, 4])])
def test_datasets_from_datasets(dataset, expected):
    assert firsts(dataset) == list(expected)


def test_array_dataset_of_arrays_of_all_kinds():
    dataset = gdata.ArrayDataset(nd.arange(6).reshape((3, 2)), nd.array([1, 2, 3]), [4, 5, 6])
    image, label, number = dataset[1]
    assert image.asnumpy().tolist() == [2, 3] and label == 2 and number == 5
    with pytest.raises(ValueError, match="argument 1 has 2 items"):
        gdata.ArrayDataset([1, 2, 3], [1, 2])


@pytest.mark.parametrize("mode, epochs, lengths", [
    ("keep", [[[0, 1, 2], [3, 4, 5], [6]]] * 2, (3, 3)), ("discard", [[[0, 1, 2], [3, 4, 5]]] * 2, (2, 2)),
    ("rollover", [[[0, 1, 2], [3, 4, 5]], [[6, 0, 1], [2, 3, 4]]], (2, 2))])
def test_batch_sampler(mode, epochs, lengths):
    sampler = gdata.BatchSampler(gdata.SequentialSampler(7), 3, mode)
    for expected, length in zip(epochs, lengths):
        assert len(sampler) == length and list(sampler) == expected


def test_samplers():
    assert sorted(gdata.RandomSampler(20)) == list(range(20)) != list(gdata.RandomSampler(20))
    assert list(gdata.FilterSampler(lambda x: x % 2, [1, 2, 3])) == [0, 2]
    sampler = gdata.IntervalSampler(7, 3)
    assert list(sampler) == [0, 3, 6, 1, 4, 2, 5] and len(sampler) == 7
    assert len(gluon.contrib.data.IntervalSampler(7, 3, rollover=False)) == 3


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_gives_batches_in_order(workers):
    loader = gdata.DataLoader(SET, 4, num_workers=workers)
    for _ in range(2):
        seen = [(x.asnumpy().tolist(), y.shape) for x, y in loader]
        assert seen == [([0, 1, 2, 3], (4, 2)), ([4, 5, 6, 7], (4, 2)), ([8, 9], (2, 2))]
    assert len(loader) == 3


def test_loader_keeps_dtypes():
    (a, b, c), = gdata.DataLoader(gdata.ArrayDataset(np.zeros(2, "uint8"), [1, 2], [1., 2.]), 2)
    assert (a.dtype, b.dtype, c.dtype) == (np.uint8, np.int64, np.float64)


class Samples(gdata.Dataset):
    """The numbers below 100; ``act(i)`` is called for each that is read."""

    def __init__(self, act):
        self.act = act

    def __len__(self):
        return 100

    def __getitem__(self, i):
        self.act(i)
        return i


def fail_at_13(i):
    if i == 13:
        raise KeyError("sample 13")


@pytest.mark.parametrize("workers", [0, 2])
def test_errors_come_through(workers):
    loader = gdata.DataLoader(Samples(fail_at_13), 5, num_workers=workers)
    iterator = iter(loader)
    assert [next(iterator).asnumpy()[0] for _ in range(2)] == [0, 5]
    with pytest.raises(KeyError, match="sample 13"):
        next(iterator)
    assert next(iter(loader)).asnumpy()[0] == 0


def test_timeout():
    release = threading.Event()
    loader = gdata.DataLoader(Samples(lambda i: i == 7 and release.wait(10)), 5, num_workers=1, timeout=.1)
    start = time.time()
    with pytest.raises(mx.MXNetError, match="timeout=0.1"):
        list(loader)
    assert time.time() - start < 5
    release.set()


def test_threads_end_with_the_loader():
    before = threading.active_count()
    loader = gdata.DataLoader(Samples(lambda i: None), 2, num_workers=3, auto_reload=True)
    iterator = iter(loader)
    next(iterator)
    del iterator, loader
    deadline = time.time() + 5
    while threading.active_count() > before and time.time() < deadline:
        time.sleep(.01)
    assert threading.active_count() <= before       # a thread of an earlier test may have ended meanwhile


def test_reading_ahead_is_bounded():
    read = []
    loader = gdata.DataLoader(Samples(read.append), 5, num_workers=2, prefetch=3)
    iterator = iter(loader)
    next(iterator)
    time.sleep(.2)
    assert max(read) < 20


def test_auto_reload_gives_every_epoch():
    loader = gdata.DataLoader(Samples(lambda i: None), 30, num_workers=2, auto_reload=True)
    for _ in range(3):
        assert [len(batch) for batch in loader] == [30, 30, 30, 10]


@pytest.mark.parametrize("arguments", [
    {}, {"batch_size": 0}, {"batch_size": 2, "shuffle": True, "sampler": gdata.SequentialSampler(3)},
    {"batch_size": 2, "batch_sampler": [[1]]}, {"batch_size": 2, "last_batch": "x"}, {"batch_size": 2, "timeout": 0}])
def test_bad_arguments(arguments):
    with pytest.raises((ValueError, TypeError)):
        gdata.DataLoader([1, 2, 3], **arguments)


def test_batchify():
    padded, lengths = gdata.batchify.Pad(ret_length=True, dtype="float32")([np.ones((2, 2)), np.ones((3, 2))])
    assert padded.shape == (2, 3, 2) and lengths.asnumpy().tolist() == [2, 3]
    assert padded.asnumpy()[0, 2].tolist() == [0, 0]
    assert gdata.batchify.Stack()([[1, 2], [3, 4]]).asnumpy().tolist() == [[1, 2], [3, 4]]
    assert [a.shape for a in gdata.batchify.Append()([[1, 2], [3]])] == [(1, 2), (1, 1)]
    assert gdata.batchify.AsList()(("a", "b")) == ["a", "b"]
    with pytest.raises(ValueError, match="axis 0 only"):
        gdata.batchify.Pad()([np.ones((2, 2)), np.ones((3, 3))])
    with pytest.raises(ValueError):
        gdata.batchify.Group(gdata.batchify.Pad())([(1, 2)])


def test_transforms():
    transforms = gdata.vision.transforms
    picture = nd.array(np.arange(60).reshape(5, 4, 3), dtype="uint8")
    chain = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0, .5, 1], .5)])
    expected = (np.arange(60).reshape(5, 4, 3).transpose(2, 0, 1) / 255 - np.array([0, .5, 1])[:, None, None]) / .5
    np.testing.assert_allclose(chain(picture).asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert transforms.ToTensor()(nd.stack(picture, picture)).shape == (2, 3, 5, 4)
    assert transforms.Cast("float64")(picture).dtype == np.float64
    with pytest.raises(ValueError, match="shape"):
        transforms.ToTensor()(nd.zeros((2, 2)))


def test_mnist_dataset(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, (3, 28, 28)).astype("uint8")
    for name, array in (("t10k-images-idx3-ubyte", images), ("t10k-labels-idx1-ubyte", np.uint8([7, 8, 9]))):
        head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
        (tmp_path / name).write_bytes(head + array.tobytes())
    dataset = gdata.vision.MNIST(str(tmp_path), train=False)
    image, label = dataset[1]
    assert len(dataset) == 3 and label == 8 and (image.asnumpy()[..., 0] == images[1]).all()
    assert image.shape == (28, 28, 1) and image.dtype == np.uint8
    doubled = gdata.vision.MNIST(str(tmp_path), train=False, transform=lambda image, label: (image, 2 * label))
    assert doubled[2][1] == 18


def test_split():
    utils, x = gluon.utils, nd.arange(10)
    assert [part.shape for part in utils.split_data(x, 3, even_split=False)] == [(4,), (3,), (3,)]
    assert [part.shape for part in utils.split_data(x.reshape((2, 5)), 5, batch_axis=1)] == [(2, 1)] * 5
    with pytest.raises(ValueError, match="multiple of 3"):
        utils.split_data(x, 3)
    with pytest.raises(ValueError, match="fewer than 11"):
        utils.split_data(x, 11, even_split=False)
    parts = utils.split_and_load(np.arange(4), [mx.cpu(0), mx.cpu(1)])
    assert [part.context for part in parts] == [mx.cpu(0), mx.cpu(1)]


@pytest.mark.parametrize("check", [True, False])
def test_clip_global_norm(check):
    arrays = [nd.array([3.]), nd.array([[4.]], ctx=mx.cpu(1))]
    norm = gluon.utils.clip_global_norm(arrays, 1., check)
    assert float(norm if check else norm.asscalar()) == 5
    np.testing.assert_allclose([a.asnumpy().item() for a in arrays], [.6, .8], rtol=1e-5)
    gluon.utils.clip_global_norm(arrays, 10.)
    np.testing.assert_allclose(arrays[0].asnumpy(), .6, rtol=1e-5)
    with pytest.warns(UserWarning, match="nan"):
        gluon.utils.clip_global_norm([nd.array([float("nan")])], 1.)


def test_files_and_hashes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"mxcy")
    digest = "2f9cb3bb2d2a2d6b6c5a4b5e8e4a8d7a5f9f3a11"
    assert not gluon.utils.check_sha1(path, digest)
    assert gluon.utils.download("https://example.invalid/file", str(path)) == str(path)
    assert gluon.utils.download("https://example.invalid/file", str(tmp_path)) == str(path)
