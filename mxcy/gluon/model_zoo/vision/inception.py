"""Inception v3."""
from mxcy.gluon import nn
from mxcy.gluon.contrib.nn import HybridConcurrent
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["Inception3", "inception_v3"]

# A convolution is (channels, kernel), (channels, kernel, stride) or (channels, kernel, stride, padding); a branch is a
# tuple of convolutions, pools and splits; a module is a list of branches that are joined.
_AVERAGE, _MAXIMUM = "average", "maximum"


def _across(channels, n):
    return channels, (1, n), 1, (0, n // 2)


def _down(channels, n):
    return channels, (n, 1), 1, (n // 2, 0)


def _a(pooled):
    return [((64, 1),), ((48, 1), (64, 5, 1, 2)), ((64, 1), (96, 3, 1, 1), (96, 3, 1, 1)), (_AVERAGE, (pooled, 1))]


def _c(c):
    return [((192, 1),),
            ((c, 1), _across(c, 7), _down(192, 7)),
            ((c, 1), _down(c, 7), _across(c, 7), _down(c, 7), _across(192, 7)),
            (_AVERAGE, (192, 1))]


_B = [((384, 3, 2),), ((64, 1), (96, 3, 1, 1), (96, 3, 2)), (_MAXIMUM,)]
_D = [((192, 1), (320, 3, 2)), ((192, 1), _across(192, 7), _down(192, 7), (192, 3, 2)), (_MAXIMUM,)]
_SPLIT = [(_across(384, 3),), (_down(384, 3),)]
_E = [((320, 1),), (((384, 1),), _SPLIT), (((448, 1), (384, 3, 1, 1)), _SPLIT), (_AVERAGE, (192, 1))]

_MODULES = {"A1_": _a(32), "A2_": _a(64), "A3_": _a(64), "B_": _B, "C1_": _c(128), "C2_": _c(160), "C3_": _c(160),
            "C4_": _c(192), "D_": _D, "E1_": _E, "E2_": _E}


def _convolution(*settings):
    out = nn.HybridSequential(prefix="")
    out.add(nn.Conv2D(*settings, use_bias=False), nn.BatchNorm(epsilon=0.001), nn.Activation("relu"))
    return out


def _part(part):
    """The block for a part of a branch."""
    if part == _AVERAGE:
        return nn.AvgPool2D(3, 1, 1)
    if part == _MAXIMUM:
        return nn.MaxPool2D(3, 2)
    if isinstance(part, list):
        return _joined(part, "")
    return _convolution(*part) if isinstance(part[0], int) else _branch(part)


def _branch(parts):
    out = nn.HybridSequential(prefix="")
    out.add(*map(_part, parts))
    return out


def _joined(branches, prefix):
    out = HybridConcurrent(axis=1, prefix=prefix)
    with out.name_scope():
        out.add(*map(_branch, branches))
    return out


class Inception3(Classifier):
    """Inception v3 [1]_, for pictures of 299 x 299.

    Parameters
    ----------
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, "Rethinking the Inception architecture for computer vision",
       CVPR 2016.
    """

    def __init__(self, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(_convolution(32, 3, 2), _convolution(32, 3), _convolution(64, 3, 1, 1),
                              nn.MaxPool2D(3, 2), _convolution(80, 1), _convolution(192, 3), nn.MaxPool2D(3, 2),
                              *(_joined(branches, prefix) for prefix, branches in _MODULES.items()),
                              nn.AvgPool2D(8), nn.Dropout(0.5))
            self.output = nn.Dense(classes)


def _get(pretrained=False, ctx=None, root=None, **kwargs):
    return pretrain(Inception3(**kwargs), "inceptionv3", pretrained, ctx, root)


inception_v3 = variant("inceptionv3", "inception_v3", _get)
