"""Data sets for tests and examples."""
from mxcy.datasets.mnist import locate, mnist
from mxcy.io import DataIter, MNISTIter

__all__ = ["get_mnist", "get_mnist_ubyte", "get_mnist_iterator", "DummyIter"]


def get_mnist(folder=None):
    """MNIST as NumPy arrays.

    Parameters
    ----------
    folder : str or path-like, optional
        Where its four files are; by default they are looked for in the working folder, in ``./data`` and in the data
        folder (``~/.mxnet``), and else downloaded to that, with their hashes checked.

    Returns
    -------
    dict of numpy.ndarray
        ``train_data`` (60000, 1, 28, 28) and ``test_data`` (10000, 1, 28, 28), float32 in [0, 1]; ``train_label`` and
        ``test_label``, int8.

    Raises
    ------
    OSError
        If the files are nowhere to be had.
    """
    return mnist(folder)


def get_mnist_ubyte():
    """Paths of MNIST's four files: training images and labels, test images and labels; see `get_mnist`."""
    return locate()


def get_mnist_iterator(batch_size, input_shape, num_parts=1, part_index=0):
    """Iterators over batches of MNIST for training and validation.

    Parameters
    ----------
    batch_size : int
    input_shape : tuple of int
        ``(784,)`` or ``(1, 28, 28)``.
    num_parts, part_index : int
        Use only one part of the images.

    Returns
    -------
    pair of MNISTIter
    """
    train, train_label, test, test_label = get_mnist_ubyte()
    common = {"batch_size": batch_size, "flat": len(input_shape) != 3, "num_parts": num_parts, "part_index": part_index}
    return (MNISTIter(image=train, label=train_label, shuffle=True, **common),
            MNISTIter(image=test, label=test_label, shuffle=False, **common))


class DummyIter(DataIter):
    """An endless iterator that always gives the first batch of another.

    Parameters
    ----------
    real_iter : DataIter
    """

    def __init__(self, real_iter):
        super().__init__(real_iter.batch_size)
        self.real_iter = real_iter
        self.provide_data, self.provide_label = real_iter.provide_data, real_iter.provide_label
        self.the_batch = next(real_iter)

    def next(self):
        return self.the_batch
