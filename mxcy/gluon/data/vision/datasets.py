"""Datasets of pictures."""
from pathlib import Path

from mxcy import nd
from mxcy.datasets.mnist import MNIST_FILES, MNIST_URLS, find, read_idx
from mxcy.gluon.data.dataset import Dataset

__all__ = ["MNIST", "FashionMNIST"]


class MNIST(Dataset):
    """Handwritten digits: 60,000 to learn from and 10,000 to test.

    Samples are (image, label): NDArray (28, 28, 1) of uint8, and a number from 0 to 9.

    Parameters
    ----------
    root : str
        Folder of the files; what is missing there is downloaded, and its hash checked.
    train : bool
        The training set, or else the test set.
    transform : callable, optional
        ``transform(image, label)`` gives the sample.
    """

    _files, _urls = MNIST_FILES, MNIST_URLS

    def __init__(self, root="~/.mxnet/datasets/mnist", train=True, transform=None):
        folder = Path(root).expanduser()
        names = [name for name in self._files if name.startswith("train" if train else "t10k")]
        images, labels = map(read_idx, find({name: self._files[name] for name in names}, [folder], self._urls, folder))
        self._data = nd.array(images[..., None], dtype="uint8")
        self._label = labels.astype("int32")
        self._transform = transform

    def __getitem__(self, idx):
        sample = self._data[idx], self._label[idx]
        return sample if self._transform is None else self._transform(*sample)

    def __len__(self):
        return len(self._label)


class FashionMNIST(MNIST):
    """Small pictures of clothes in 10 classes, in the form of `MNIST` [1]_.

    Parameters
    ----------
    root : str
        Folder of the files; what is missing there is downloaded, and its hash checked.
    train : bool
        The training set, or else the test set.
    transform : callable, optional
        ``transform(image, label)`` gives the sample.

    References
    ----------
    .. [1] Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv:1708.07747.
    """

    _files = {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    }
    _urls = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)

    def __init__(self, root="~/.mxnet/datasets/fashion-mnist", train=True, transform=None):
        super().__init__(root, train, transform)
