"""NDArrayIter: batches of arrays in memory."""
import numpy as np

from mxcy import nd
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.io.data import DataBatch, DataDesc, DataIter, named

__all__ = ["NDArrayIter"]


class NDArrayIter(DataIter):
    """Batches of arrays.

    Parameters
    ----------
    data, label : array, list of arrays, or dict of str to array
        NDArrays or NumPy arrays (which become float32) of as many samples.
    batch_size : int
    shuffle : bool
        Put the samples in a new random order (of NumPy's generator) for every epoch.
    last_batch_handle : {'pad', 'discard', 'roll_over'}
        What to do with samples that do not fill a batch: fill it up with the first ones, drop them, or keep them for
        the next epoch.
    data_name, label_name : str
        Names of arrays that have none.
    layout : str
        Meaning of the axes, for the descriptions; ``N`` is the axis that batches are cut along.

    Examples
    --------
    >>> batches = NDArrayIter(np.arange(5), np.arange(5), batch_size=2)
    >>> [(batch.data[0].asnumpy().tolist(), batch.pad) for batch in batches]
    [([0.0, 1.0], 0), ([2.0, 3.0], 0), ([4.0, 0.0], 1)]
    """

    def __init__(self, data, label=None, batch_size=1, shuffle=False, last_batch_handle="pad", data_name="data",
                 label_name="softmax_label", layout="NCHW"):
        super().__init__(batch_size)
        if last_batch_handle not in ("pad", "discard", "roll_over"):
            raise MXNetValueError("last_batch_handle must be 'pad', 'discard' or 'roll_over', "
                                  f"got {last_batch_handle!r}")
        self.data, self.label = ([(name, _array(name, value)) for name, value in pairs] for pairs in
                                 (named(data, data_name), named(label, label_name, allow_empty=True)))
        self._axis = DataDesc.get_batch_axis(layout)
        self.num_data = self.data[0][1].shape[self._axis]
        for name, array in (*self.data, *self.label):
            if array.ndim <= self._axis or array.shape[self._axis] != self.num_data:
                raise MXNetValueError(f"NDArrayIter: {name} has shape {array.shape}, but {self.data[0][0]} has "
                                      f"{self.num_data} samples along axis {self._axis}")
        if not self.num_data:
            raise MXNetValueError("NDArrayIter: there are no samples")
        self.num_source = len(self.data)
        self.shuffle, self.last_batch_handle, self.layout = shuffle, last_batch_handle, layout
        self._carried = None                 # the samples that the last epoch left over
        self.hard_reset()

    @property
    def provide_data(self):
        """Descriptions of the data."""
        return self._describe(self.data)

    @property
    def provide_label(self):
        """Descriptions of the labels."""
        return self._describe(self.label)

    def _describe(self, arrays):
        axis = self._axis
        return [DataDesc(name, (*array.shape[:axis], self.batch_size, *array.shape[axis + 1:]), array.dtype,
                         self.layout)
                for name, array in arrays]

    def hard_reset(self):
        """Start again, without samples left over."""
        self._carried = None
        self.cursor = -self.batch_size
        if self.shuffle:
            self._shuffle()

    def reset(self):
        """Start the next epoch."""
        left = self.num_data - self.cursor
        if self.last_batch_handle == "roll_over" and 0 < left < self.batch_size:
            self._carried = [self._rows(array, self.cursor, self.num_data) for _, array in (*self.data, *self.label)]
            self.cursor = -left - self.batch_size
            if self.shuffle:
                self._shuffle()
        else:
            self.hard_reset()

    def _shuffle(self):
        order = nd.array(np.random.permutation(self.num_data), dtype="int64")
        self.data, self.label = ([(name, nd.take(array, order, axis=self._axis)) for name, array in pairs] for pairs in
                                 (self.data, self.label))

    def iter_next(self):
        self.cursor += self.batch_size
        if self.last_batch_handle == "pad":
            return self.cursor < self.num_data
        return self.cursor + self.batch_size <= self.num_data

    def next(self):
        if not self.iter_next():
            raise StopIteration
        return DataBatch(data=self.getdata(), label=self.getlabel(), pad=self.getpad(), index=None)

    def getdata(self):
        return self._batch(self.data, 0)

    def getlabel(self):
        return self._batch(self.label, self.num_source)

    def _batch(self, arrays, first):
        """The current batch of each of ``arrays``, whose left-over samples begin at ``first``."""
        start, stop = self.cursor, self.cursor + self.batch_size
        if start < 0:
            return [nd.concat(left, self._rows(array, 0, stop), dim=self._axis)
                    for left, (_, array) in zip(self._carried[first:], arrays)]
        if stop <= self.num_data:
            return [self._rows(array, start, stop) for _, array in arrays]
        order = nd.array(np.arange(start, stop) % self.num_data, dtype="int64")
        return [nd.take(array, order, axis=self._axis) for _, array in arrays]

    def _rows(self, array, start, stop):
        """Samples of ``array``; along the first axis a view."""
        return array[start:stop] if self._axis == 0 else nd.slice_axis(array, axis=self._axis, begin=start, end=stop)

    def getpad(self):
        if self.cursor < 0:
            return -self.cursor
        return max(0, self.cursor + self.batch_size - self.num_data)


def _array(name, value):
    if isinstance(value, nd.NDArray):
        return value
    try:
        return nd.array(value)
    except (TypeError, ValueError) as error:
        raise MXNetTypeError(f"NDArrayIter: {name} must be an NDArray or like a NumPy array, got "
                             f"{type(value).__name__}") from error
