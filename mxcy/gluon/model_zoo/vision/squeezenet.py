"""SqueezeNet."""
from mxcy.base import MXNetValueError
from mxcy.gluon import nn
from mxcy.gluon.contrib.nn import HybridConcurrent
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]

#: First convolution and then, for each fire module, its squeezed channels, or None for pooling.
_VERSIONS = {"1.0": ((96, 7, 2), [None, 16, 16, 32, None, 32, 48, 48, 64, None, 64]),
             "1.1": ((64, 3, 2), [None, 16, 16, None, 32, 32, None, 48, 48, 64, 64])}


def _convolution(*settings):
    out = nn.HybridSequential(prefix="")
    out.add(nn.Conv2D(*settings), nn.Activation("relu"))
    return out


def _fire(squeezed):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 ones side by side with four times as many each."""
    paths = HybridConcurrent(axis=1, prefix="")
    out = nn.HybridSequential(prefix="")
    out.add(_convolution(squeezed, 1))
    paths.add(_convolution(4 * squeezed, 1), _convolution(4 * squeezed, 3, 1, 1))
    out.add(paths)
    return out


class SqueezeNet(Classifier):
    """SqueezeNet [1]_.

    Parameters
    ----------
    version : {'1.0', '1.1'}
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and < 0.5 MB model size",
       arXiv:1602.07360.
    """

    def __init__(self, version, classes=1000, **kwargs):
        super().__init__(**kwargs)
        if version not in _VERSIONS:
            raise MXNetValueError(f"SqueezeNet: version must be one of {[*_VERSIONS]}, got {version!r}")
        first, parts = _VERSIONS[version]
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self.features.add(nn.Conv2D(*first), nn.Activation("relu"))
            for squeezed in parts:
                self.features.add(nn.MaxPool2D(3, 2, ceil_mode=True) if squeezed is None else _fire(squeezed))
            self.features.add(nn.Dropout(0.5))
            self.output = nn.HybridSequential(prefix="")
            self.output.add(nn.Conv2D(classes, 1), nn.Activation("relu"), nn.AvgPool2D(13), nn.Flatten())


def get_squeezenet(version, pretrained=False, ctx=None, root=None, **kwargs):
    """The SqueezeNet of a version, '1.0' or '1.1'."""
    return pretrain(SqueezeNet(version, **kwargs), f"squeezenet{version}", pretrained, ctx, root)


squeezenet1_0 = variant("squeezenet1.0", "squeezenet1_0", get_squeezenet, "1.0")
squeezenet1_1 = variant("squeezenet1.1", "squeezenet1_1", get_squeezenet, "1.1")
