"""MNIST: where its files are found, and how they are read."""
import gzip
import math
import os
import struct
from pathlib import Path

import numpy as np

from mxcy.base import MXNetValueError

__all__ = ["data_folder", "find", "locate", "mnist", "read_idx"]

#: SHA-256 of the files as LeCun published them.
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
MNIST_URLS = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_IDX_DTYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def data_folder():
    """Where downloaded data is kept: ``$MXCY_HOME``, ``$MXNET_HOME`` or ``~/.mxnet``."""
    return Path(os.environ.get("MXCY_HOME") or os.environ.get("MXNET_HOME") or "~/.mxnet").expanduser()


def read_idx(path):
    """The array in an idx file, packed (``.gz``) or not.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    numpy.ndarray
        Of the file's own dtype; MNIST's are uint8.

    Raises
    ------
    ValueError
        If it is not an idx file, or is cut short.
    """
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rb") as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_DTYPES:
            raise MXNetValueError(f"{path} is not an idx file: it begins with {head!r}")
        sizes = file.read(4 * head[3])
        if not head[3] or len(sizes) < 4 * head[3]:
            raise MXNetValueError(f"{path} ends within its head")
        shape, dtype = struct.unpack(f">{head[3]}I", sizes), np.dtype(_IDX_DTYPES[head[2]])
        wanted = dtype.itemsize * math.prod(shape)
        # piece by piece, and never more than the head says: neither a false head nor a packed file can ask for memory
        pieces, left = [], wanted + 1
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            pieces.append(piece)
            left -= len(piece)
    content = b"".join(pieces)
    if len(content) != wanted:
        raise MXNetValueError(f"{path} should have {wanted} bytes of data for shape {shape}; it has "
                              f"{'more' if len(content) > wanted else len(content)}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def find(files, folders, urls=(), into=None):
    """Paths of ``files`` (dict of name to SHA-256), all from one of ``folders``, or else downloaded.

    Parameters
    ----------
    files : dict of str to str
        Names, which end in ``.gz``; unpacked files are taken as well.
    folders : sequence of path-like
        Where to look, in this order.
    urls : sequence of str
        Where to download from, in this order.
    into : path-like, optional
        Folder to download to.

    Returns
    -------
    list of pathlib.Path

    Raises
    ------
    OSError
        If they are nowhere to be had.
    """
    for folder in map(Path, folders):
        found = [next((p for p in (folder / name, folder / name.removesuffix(".gz")) if p.is_file()), None)
                 for name in files]
        if all(found):
            return found
    failures = []
    for url in urls:
        import pooch
        try:
            return [Path(pooch.retrieve(url + name, f"sha256:{digest}", name, into)) for name, digest in files.items()]
        except Exception as error:         # requests and pooch raise many kinds; all mean "try the next"
            failures.append(f"{url}: {error}")
    raise OSError(f"{', '.join(files)} are not in {', '.join(map(str, folders))}"
                  + "".join(f"; {failure}" for failure in failures))


def mnist(folder=None):
    """The 70,000 handwritten digits of MNIST [1]_ as NumPy arrays.

    The four files are looked for in ``folder``, or else in the working folder, in ``./data`` and in the data folder
    (`data_folder`), and downloaded to the last with their hashes checked if they are in none.

    Parameters
    ----------
    folder : str or path-like, optional

    Returns
    -------
    dict of numpy.ndarray
        ``train_data`` (60000, 1, 28, 28) and ``test_data`` (10000, 1, 28, 28), float32 in [0, 1]; ``train_label``
        (60000,) and ``test_label`` (10000,), int8.

    Raises
    ------
    OSError
        If the files are nowhere to be had.

    References
    ----------
    .. [1] LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition", Proceedings of the
       IEEE 86, 1998.
    """
    paths = locate() if folder is None else find(MNIST_FILES, [folder])
    train, train_label, test, test_label = map(read_idx, paths)
    return {"train_data": _unit(train), "train_label": train_label.astype("int8"),
            "test_data": _unit(test), "test_label": test_label.astype("int8")}


def locate():
    """Paths of MNIST's four files, found or downloaded as `mnist` says."""
    home = data_folder() / "datasets" / "mnist"
    return find(MNIST_FILES, [".", "data", home, data_folder()], MNIST_URLS, home)


def _unit(images):
    """Bytes (N, H, W) as float32 (N, 1, H, W) in [0, 1]."""
    return images[:, None].astype("float32") / 255
