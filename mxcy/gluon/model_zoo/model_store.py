"""Files with trained weights, in a folder of this computer. Nothing is downloaded."""
import hashlib
import os
import re
from pathlib import Path

from mxcy.base import MXNetError, MXNetValueError, nearest
from mxcy.datasets.mnist import data_folder

__all__ = ["get_model_file", "purge"]

#: First eight digits of the SHA-1 of the weights that MXNet published, as they stand in the files' names.
PUBLISHED = {
    "alexnet": "44335d1f",
    "densenet121": "f27dbf2d", "densenet161": "b6c8a957", "densenet169": "2603f878", "densenet201": "1cdbc116",
    "inceptionv3": "ed47ec45",
    "mobilenet0.25": "9f83e440", "mobilenet0.5": "8e9d539c", "mobilenet0.75": "529b2c7f", "mobilenet1.0": "6b8c5106",
    "mobilenetv2_0.25": "ae8f9392", "mobilenetv2_0.5": "aabd26cd", "mobilenetv2_0.75": "e2be7b72",
    "mobilenetv2_1.0": "36da4ff1",
    "resnet18_v1": "a0666292", "resnet34_v1": "48216ba9", "resnet50_v1": "0aee57f9", "resnet101_v1": "d988c13d",
    "resnet152_v1": "671c637a",
    "resnet18_v2": "a81db45f", "resnet34_v2": "9d6b80bb", "resnet50_v2": "ecdde353", "resnet101_v2": "18e93e4f",
    "resnet152_v2": "f2695542",
    "squeezenet1.0": "264ba497", "squeezenet1.1": "33ba0f93",
    "vgg11": "dd221b16", "vgg13": "6bc5de58", "vgg16": "e660d456", "vgg19": "ad2f660d",
    "vgg11_bn": "ee79a809", "vgg13_bn": "7d97a06c", "vgg16_bn": "7f01cf05", "vgg19_bn": "f360b758",
}


def _folder(root):
    return data_folder() / "models" if root is None else Path(root).expanduser()


def get_model_file(name, root=None):
    """The path of the file with the weights of a model: ``<name>-<start of its SHA-1>.params``.

    The weights that MXNet published are taken if they are there, else any file whose name fits its content.

    Parameters
    ----------
    name : str
        A name as for `vision.get_model`.
    root : str, optional
        The folder; by default ``models`` in ``$MXNET_HOME``, which is ``~/.mxnet`` if not set.

    Returns
    -------
    str

    Raises
    ------
    MXNetError
        If there is no such file, or its content is not what its name says.
    """
    if name not in PUBLISHED:
        raise MXNetValueError(f"there are no trained weights for {name!r}.{nearest(name, PUBLISHED)}")
    folder = _folder(root)
    wanted = folder / f"{name}-{PUBLISHED[name]}.params"
    own = sorted(p for p in folder.glob(f"{name}-*.params") if re.fullmatch(r"[0-9a-f]{8}", p.stem[len(name) + 1:]))
    for path in [wanted] * wanted.exists() + own:
        with open(path, "rb") as file:
            intact = hashlib.file_digest(file, "sha1").hexdigest().startswith(path.stem[-8:])
        if not intact:
            raise MXNetError(f"{path} is damaged: its SHA-1 does not begin with {path.stem[-8:]}. Fetch it again.")
        return os.fspath(path)
    raise MXNetError(f"there are no weights for {name!r} in {folder}: put MXNet's file {wanted.name} there, or pass "
                     "root= or set MXNET_HOME to where it is. Weights are never downloaded.")


def purge(root=None):
    """Delete all files of weights in the folder.

    Parameters
    ----------
    root : str, optional
        As in `get_model_file`.
    """
    for path in _folder(root).glob("*.params"):
        path.unlink()
