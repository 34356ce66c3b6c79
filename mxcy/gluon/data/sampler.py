"""Samplers: in which order samples are taken."""
import numpy as np

from mxcy.base import MXNetTypeError, MXNetValueError

__all__ = ["Sampler", "SequentialSampler", "RandomSampler", "FilterSampler", "IntervalSampler", "BatchSampler"]


class Sampler:
    """Base class: an iterable of sample numbers, with a length."""

    def __len__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __len__")

    def __iter__(self):
        raise NotImplementedError(f"{type(self).__name__} must define __iter__")


class SequentialSampler(Sampler):
    """``start``, ``start + 1``, ...: ``length`` numbers.

    Parameters
    ----------
    length, start : int
    """

    def __init__(self, length, start=0):
        self._length, self._start = length, start

    def __iter__(self):
        return iter(range(self._start, self._start + self._length))

    def __len__(self):
        return self._length


class RandomSampler(Sampler):
    """The numbers below ``length`` in a new random order, of NumPy's generator, for each epoch.

    Parameters
    ----------
    length : int
    """

    def __init__(self, length):
        self._length = length

    def __iter__(self):
        return iter(np.random.permutation(self._length).tolist())

    def __len__(self):
        return self._length


class FilterSampler(Sampler):
    """The numbers of the samples for which ``fn(sample)`` is true.

    Parameters
    ----------
    fn : callable
    dataset : Dataset
    """

    def __init__(self, fn, dataset):
        self._numbers = [i for i in range(len(dataset)) if fn(dataset[i])]

    def __iter__(self):
        return iter(self._numbers)

    def __len__(self):
        return len(self._numbers)


class IntervalSampler(Sampler):
    """Every ``interval``-th number below ``length``; with ``rollover`` then those in between, round by round.

    Parameters
    ----------
    length, interval : int
    rollover : bool

    Examples
    --------
    >>> list(IntervalSampler(7, interval=3)), list(IntervalSampler(7, interval=3, rollover=False))
    ([0, 3, 6, 1, 4, 2, 5], [0, 3, 6])
    """

    def __init__(self, length, interval, rollover=True):
        if interval > length:
            raise MXNetValueError(f"IntervalSampler: interval must be at most length {length}, got {interval}")
        self._length, self._interval, self._rollover = length, interval, rollover

    def __iter__(self):
        for start in range(self._interval if self._rollover else 1):
            yield from range(start, self._length, self._interval)

    def __len__(self):
        return self._length if self._rollover else len(range(0, self._length, self._interval))


class BatchSampler(Sampler):
    """Lists of ``batch_size`` numbers of another sampler.

    Parameters
    ----------
    sampler : Sampler
    batch_size : int
    last_batch : {'keep', 'discard', 'rollover'}
        What to do with numbers that do not fill a batch: a short batch, nothing, or keep them for the next epoch.

    Examples
    --------
    >>> batches = BatchSampler(SequentialSampler(5), 2, "rollover")
    >>> list(batches), list(batches)
    ([[0, 1], [2, 3]], [[4, 0], [1, 2], [3, 4]])
    """

    def __init__(self, sampler, batch_size, last_batch="keep"):
        if last_batch not in ("keep", "discard", "rollover"):
            raise MXNetValueError(f"last_batch must be 'keep', 'discard' or 'rollover', got {last_batch!r}")
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise MXNetTypeError(f"batch_size must be an int of at least 1, got {batch_size!r}")
        self._sampler, self._batch_size, self._last_batch = sampler, batch_size, last_batch
        self._left = []

    def __iter__(self):
        batch, self._left = self._left, []
        for number in self._sampler:
            batch.append(number)
            if len(batch) == self._batch_size:
                yield batch
                batch = []
        if batch and self._last_batch == "keep":
            yield batch
        elif self._last_batch == "rollover":
            self._left = batch

    def __len__(self):
        total = len(self._sampler) + len(self._left)
        return -(-total // self._batch_size) if self._last_batch == "keep" else total // self._batch_size
