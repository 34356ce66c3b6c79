"""Functions that make a batch of a list of samples."""
import numpy as np

from mxcy import nd
from mxcy.base import MXNetValueError

__all__ = ["Stack", "Pad", "Append", "Group", "AsList", "default_batchify_fn"]


def default_batchify_fn(data):
    """Stack samples: arrays to an array with one more axis, tuples item by item."""
    if isinstance(data[0], nd.NDArray):
        return nd.stack(*data)
    if isinstance(data[0], tuple):
        return [default_batchify_fn(items) for items in zip(*data)]
    data = np.asarray(data)
    return nd.array(data, dtype=data.dtype)


class Stack:
    """Stack arrays or numbers of the same shape along a new first axis."""

    def __call__(self, data):
        return default_batchify_fn([sample if isinstance(sample, nd.NDArray) else np.asarray(sample)
                                    for sample in data])


class Pad:
    """Stack arrays of different sizes, filled up with ``val`` to the largest.

    Parameters
    ----------
    axis : int, optional
        The axis that may differ; None: all may.
    val : float
    ret_length : bool
        Also return the sizes before filling up, int32.
    dtype : str, optional

    Examples
    --------
    >>> Pad(val=-1)([[1, 2, 3], [4]]).asnumpy().tolist()
    [[1, 2, 3], [4, -1, -1]]
    """

    def __init__(self, axis=0, val=0, ret_length=False, dtype=None):
        self._axis, self._val, self._ret_length, self._dtype = axis, val, ret_length, dtype

    def __call__(self, data):
        samples = [sample.asnumpy() if isinstance(sample, nd.NDArray) else np.asarray(sample) for sample in data]
        shape = tuple(map(max, zip(*(sample.shape for sample in samples))))
        axis = self._axis
        if axis is not None:
            for sample in samples:
                if any(a != b for i, (a, b) in enumerate(zip(sample.shape, shape)) if i != axis % len(shape)):
                    raise MXNetValueError(f"Pad: shapes may differ along axis {axis} only, got "
                                          f"{[s.shape for s in samples]}")
        batch = np.full((len(samples), *shape), self._val, self._dtype or samples[0].dtype)
        for row, sample in zip(batch, samples):
            row[tuple(map(slice, sample.shape))] = sample
        batch = nd.array(batch, dtype=batch.dtype)
        if not self._ret_length:
            return batch
        return batch, nd.array([sample.shape[axis or 0] for sample in samples], dtype="int32")


class Append:
    """A list of arrays, one for each sample, with a first axis of 1 if ``expand``.

    Parameters
    ----------
    expand : bool
    batch_axis : int
        Where that axis is put.
    """

    def __init__(self, expand=True, batch_axis=0):
        self._expand, self._batch_axis = expand, batch_axis

    def __call__(self, data):
        arrays = [d if isinstance(d, nd.NDArray) else nd.array(np.asarray(d), dtype=np.asarray(d).dtype) for d in data]
        return [nd.expand_dims(a, axis=self._batch_axis) for a in arrays] if self._expand else arrays


class Group:
    """One function for each item of samples that are tuples.

    Parameters
    ----------
    fn : callable or sequence of callable
    *args : callable

    Examples
    --------
    >>> data, label = Group(Pad(), Stack())([([1, 2], 0), ([3], 1)])
    >>> data.asnumpy().tolist(), label.asnumpy().tolist()
    ([[1, 2], [3, 0]], [0, 1])
    """

    def __init__(self, fn, *args):
        self._functions = tuple(fn) if isinstance(fn, (list, tuple)) else (fn, *args)

    def __call__(self, data):
        if len(data[0]) != len(self._functions):
            raise MXNetValueError(f"Group: samples have {len(data[0])} items, there are {len(self._functions)} "
                                  "functions")
        return tuple(function(list(items)) for function, items in zip(self._functions, zip(*data)))


class AsList:
    """The samples as they are, in a list."""

    def __call__(self, data):
        return list(data)
