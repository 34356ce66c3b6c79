"""Datasets: samples by number."""
from mxcy.base import MXNetTypeError, MXNetValueError

__all__ = ["Dataset", "SimpleDataset", "ArrayDataset"]


class Dataset:
    """Base class: ``dataset[i]`` is a sample, ``len(dataset)`` their number."""

    def __getitem__(self, idx):
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__")

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def filter(self, fn):
        """The samples for which ``fn(sample)`` is true."""
        return _Chosen(self, [i for i in range(len(self)) if fn(self[i])])

    def shard(self, num_shards, index):
        """Part ``index`` of ``num_shards`` parts of nearly equal size, in order."""
        if num_shards < 1 or not 0 <= index < num_shards:
            raise MXNetValueError(f"shard: index must be from 0 to num_shards - 1, got index {index} of {num_shards}")
        size, rest = divmod(len(self), num_shards)
        start = size * index + min(index, rest)
        return _Chosen(self, range(start, start + size + (index < rest)))

    def take(self, count):
        """The first ``count`` samples; all, if ``count`` is None or larger."""
        if count is not None and count < 0:
            raise MXNetValueError(f"take: count must be at least 0, got {count}")
        return _Chosen(self, range(len(self) if count is None else min(count, len(self))))

    def sample(self, sampler):
        """The samples in the order of a `Sampler`."""
        from mxcy.gluon.data.sampler import Sampler
        if not isinstance(sampler, Sampler):
            raise MXNetTypeError(f"sample: expected a Sampler, got {type(sampler).__name__}")
        return _Chosen(self, list(sampler))

    def transform(self, fn, lazy=True):
        """Samples passed through ``fn``, which gets a tuple's items as arguments.

        Parameters
        ----------
        fn : callable
        lazy : bool
            Call ``fn`` each time a sample is read, so that it may be random; otherwise once for all samples, now.

        Returns
        -------
        Dataset
        """
        changed = _Transformed(self, fn)
        return changed if lazy else SimpleDataset([changed[i] for i in range(len(changed))])

    def transform_first(self, fn, lazy=True):
        """Like `transform`, but ``fn`` gets the first item of each tuple only, such as the image without its label."""
        return self.transform(_First(fn), lazy)


class SimpleDataset(Dataset):
    """A list, or anything with ``[i]`` and ``len``, as a dataset.

    Parameters
    ----------
    data : sequence
    """

    def __init__(self, data):
        self._data = data

    def __len__(self):
        return len(self._data)

    def __getitem__(self, idx):
        return self._data[idx]


class ArrayDataset(Dataset):
    """Several arrays or lists side by side: samples are tuples of their items.

    Parameters
    ----------
    *args : array-like or Dataset
        Of the same length. With one, samples are its items.

    Examples
    --------
    >>> ArrayDataset([1, 2, 3], ["a", "b", "c"])[1]
    (2, 'b')
    """

    def __init__(self, *args):
        if not args:
            raise MXNetTypeError("ArrayDataset: pass at least one array")
        self._data = []
        self._length = len(args[0])
        for i, data in enumerate(args):
            if len(data) != self._length:
                raise MXNetValueError(f"ArrayDataset: argument {i} has {len(data)} items, the first has {self._length}")
            # items of a vector are wanted as NumPy scalars: an NDArray would give arrays of shape (1,)
            self._data.append(data.asnumpy() if hasattr(data, "asnumpy") and len(data.shape) == 1 else data)

    def __getitem__(self, idx):
        if len(self._data) == 1:
            return self._data[0][idx]
        return tuple(data[idx] for data in self._data)

    def __len__(self):
        return self._length


class _Chosen(Dataset):
    """Samples of another dataset, by their numbers."""

    def __init__(self, data, numbers):
        self._data, self._numbers = data, numbers

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, idx):
        return self._data[self._numbers[idx]]


class _Transformed(Dataset):
    """Samples of another dataset, through a function."""

    def __init__(self, data, fn):
        self._data, self._fn = data, fn

    def __len__(self):
        return len(self._data)

    def __getitem__(self, idx):
        sample = self._data[idx]
        return self._fn(*sample) if isinstance(sample, tuple) else self._fn(sample)


class _First:
    """A function of the first item of a sample; a class, so that it can be pickled."""

    def __init__(self, fn):
        self._fn = fn

    def __call__(self, first, *rest):
        return (self._fn(first), *rest) if rest else self._fn(first)
