"""MNISTIter: batches of MNIST's own files."""
import numpy as np

from mxcy.datasets.mnist import read_idx
from mxcy.io.ndarray_iter import NDArrayIter

__all__ = ["MNISTIter"]


class MNISTIter(NDArrayIter):
    """Batches of images and labels in idx files; samples that do not fill a batch are dropped.

    Parameters
    ----------
    image, label : str
        The files, packed (``.gz``) or not.
    batch_size : int
    shuffle : bool
        Put the samples in a random order, once.
    flat : bool
        Images as vectors, shape (batch, 784), rather than (batch, 1, 28, 28). Values are in [0, 1).
    seed : int
        Of the order.
    silent : bool
        Has no influence.
    num_parts, part_index : int
        Read only the part ``part_index`` of ``num_parts``.
    **kwargs
        ``prefetch_buffer``, ``ctx`` and ``dtype`` have no influence.
    """

    def __init__(self, image="./train-images-idx3-ubyte", label="./train-labels-idx1-ubyte", batch_size=128,
                 shuffle=True,
                 flat=False, seed=0, silent=False, num_parts=1, part_index=0, **kwargs):
        images, labels = (read_idx(path) for path in (image, label))
        size = len(images) // num_parts
        order = np.arange(part_index * size, (part_index + 1) * size)
        if shuffle:
            np.random.RandomState(seed).shuffle(order)
        images = images[order].astype("float32") / 256
        super().__init__(images.reshape(size, -1) if flat else images[:, None], labels[order].astype("float32"),
                         batch_size, last_batch_handle="discard")
