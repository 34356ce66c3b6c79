"""DenseNet."""
from mxcy.base import MXNetValueError
from mxcy.gluon import nn
from mxcy.gluon.contrib.nn import HybridConcurrent, Identity
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]

#: (first channels, growth, layers of each block) by number of layers.
_SIZES = {121: (64, 32, (6, 12, 24, 16)), 161: (96, 48, (6, 12, 36, 24)), 169: (64, 32, (6, 12, 32, 32)),
          201: (64, 32, (6, 12, 48, 32))}


def _normalized(out, *convolution, **settings):
    """Add batch norm, ReLU and a convolution."""
    out.add(nn.BatchNorm(), nn.Activation("relu"), nn.Conv2D(*convolution, use_bias=False, **settings))


def _dense_layer(growth, bottleneck, dropout):
    """``growth`` new channels beside those that come in."""
    new = nn.HybridSequential(prefix="")
    _normalized(new, bottleneck * growth, 1)
    _normalized(new, growth, 3, padding=1)
    if dropout:
        new.add(nn.Dropout(dropout))
    out = HybridConcurrent(axis=1, prefix="")
    out.add(Identity(), new)
    return out


def _transition(channels):
    out = nn.HybridSequential(prefix="")
    _normalized(out, channels, 1)
    out.add(nn.AvgPool2D(2, 2))
    return out


class DenseNet(Classifier):
    """DenseNet [1]_: every layer of a block sees the outputs of all those before it.

    Parameters
    ----------
    num_init_features : int
        Channels of the first convolution.
    growth_rate : int
        Channels that each layer adds.
    block_config : sequence of int
        Layers of each block.
    bn_size : int
        Channels between the two convolutions of a layer, in units of ``growth_rate``.
    dropout : float
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017.
    """

    def __init__(self, num_init_features, growth_rate, block_config, bn_size=4, dropout=0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = features = nn.HybridSequential(prefix="")
            features.add(nn.Conv2D(num_init_features, 7, 2, 3, use_bias=False), nn.BatchNorm(), nn.Activation("relu"),
                         nn.MaxPool2D(3, 2, 1))
            channels = num_init_features
            for stage, layers in enumerate(block_config, 1):
                if stage > 1:
                    channels //= 2
                    features.add(_transition(channels))
                block = nn.HybridSequential(prefix=f"stage{stage}_")
                with block.name_scope():
                    block.add(*(_dense_layer(growth_rate, bn_size, dropout) for _ in range(layers)))
                features.add(block)
                channels += layers * growth_rate
            features.add(nn.BatchNorm(), nn.Activation("relu"), nn.AvgPool2D(7), nn.Flatten())
            self.output = nn.Dense(classes)


def get_densenet(num_layers, pretrained=False, ctx=None, root=None, **kwargs):
    """The DenseNet of ``num_layers`` layers: 121, 161, 169 or 201."""
    if num_layers not in _SIZES:
        raise MXNetValueError(f"there is no DenseNet of {num_layers} layers; there are {[*_SIZES]}")
    return pretrain(DenseNet(*_SIZES[num_layers], **kwargs), f"densenet{num_layers}", pretrained, ctx, root)


densenet121, densenet161, densenet169, densenet201 = (
    variant(f"densenet{n}", f"densenet{n}", get_densenet, n) for n in _SIZES)
