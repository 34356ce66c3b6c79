"""What iterators over batches give, and their base class."""
from collections import namedtuple

import numpy as np

from mxcy.base import MXNetTypeError
from mxcy.nd import NDArray

__all__ = ["DataDesc", "DataBatch", "DataIter"]


class DataDesc(namedtuple("DataDesc", ["name", "shape"])):
    """The name, shape, dtype and layout of one input.

    Parameters
    ----------
    name : str
    shape : tuple of int
    dtype : str or numpy dtype
    layout : str
        Meaning of the axes; ``N`` is the batch.

    Examples
    --------
    >>> desc = DataDesc("data", (64, 3, 28, 28))
    >>> name, shape = desc
    >>> DataDesc.get_batch_axis("TNC")
    1
    """

    def __new__(cls, name, shape, dtype=np.float32, layout="NCHW"):
        desc = super().__new__(cls, name, shape)
        desc.dtype, desc.layout = dtype, layout
        return desc

    def __repr__(self):
        return f"DataDesc[{self.name},{self.shape},{self.dtype},{self.layout}]"

    @staticmethod
    def get_batch_axis(layout):
        """The place of ``N`` in ``layout``; 0 if there is no layout."""
        return 0 if layout is None else layout.find("N")

    @staticmethod
    def get_list(shapes, types):
        """Descriptions from pairs (name, shape) and pairs (name, dtype) or None."""
        types = dict(types or ())
        return [DataDesc(name, shape, types[name]) if types else DataDesc(name, shape) for name, shape in shapes]


class DataBatch:
    """A batch of data.

    Parameters
    ----------
    data : list of NDArray
    label : list of NDArray, optional
    pad : int, optional
        How many samples at the end only fill up the batch.
    index : numpy.ndarray, optional
        Numbers of the samples.
    bucket_key : optional
        The bucket of this batch.
    provide_data, provide_label : list of DataDesc, optional
        Descriptions of this batch's arrays.
    """

    def __init__(self, data, label=None, pad=None, index=None, bucket_key=None, provide_data=None, provide_label=None):
        for what, arrays in (("data", data), ("label", label)):
            if arrays is not None and not isinstance(arrays, (list, tuple)):
                raise MXNetTypeError(f"DataBatch: {what} must be a list of NDArray, got {type(arrays).__name__}")
        self.data, self.label, self.pad, self.index = data, label, pad, index
        self.bucket_key, self.provide_data, self.provide_label = bucket_key, provide_data, provide_label

    def __str__(self):
        shapes = [array.shape for array in self.data]
        labels = [array.shape for array in self.label] if self.label else None
        return f"{type(self).__name__}: data shapes: {shapes} label shapes: {labels}"


class DataIter:
    """Base class of iterators over batches.

    A subclass defines `iter_next`, `getdata`, `getlabel`, `getpad` and `reset`, and the properties ``provide_data`` and
    ``provide_label``, lists of `DataDesc`.

    Parameters
    ----------
    batch_size : int
    """

    def __init__(self, batch_size=0):
        self.batch_size = batch_size

    def __iter__(self):
        return self

    def __next__(self):
        return self.next()

    def reset(self):
        """Start again from the first batch."""

    def next(self):
        """The next batch; raises StopIteration after the last one."""
        if not self.iter_next():
            raise StopIteration
        return DataBatch(data=self.getdata(), label=self.getlabel(), pad=self.getpad(), index=self.getindex())

    def iter_next(self):
        """Move to the next batch; False after the last one."""
        raise NotImplementedError(f"{type(self).__name__} must define iter_next or next")

    def getdata(self):
        """Data of the current batch, a list of arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define getdata or next")

    def getlabel(self):
        """Labels of the current batch, a list of arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define getlabel or next")

    def getindex(self):
        """Numbers of the samples of the current batch, or None."""
        return None

    def getpad(self):
        """How many samples at the end of the current batch only fill it up."""
        raise NotImplementedError(f"{type(self).__name__} must define getpad or next")


def named(data, default_name, allow_empty=False):
    """A list of pairs (name, NDArray) from an array, a list of arrays or a dict of them; None is an empty list."""
    if data is None:
        data = []
    if isinstance(data, (NDArray, np.ndarray)):
        data = [data]
    if isinstance(data, (list, tuple)):
        data = {default_name: data[0]} if len(data) == 1 else {f"_{i}_{default_name}": d for i, d in enumerate(data)}
    if not isinstance(data, dict):
        raise MXNetTypeError(f"{default_name} must be an array, a list of arrays or a dict of them, got "
                             f"{type(data).__name__}")
    if not (data or allow_empty):
        raise MXNetTypeError(f"{default_name} must be given: an array, a list of arrays or a dict of them")
    return list(data.items())
