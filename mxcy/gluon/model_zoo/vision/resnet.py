"""ResNet v1 and v2."""
from mxcy.base import MXNetValueError
from mxcy.gluon import nn
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["BasicBlockV1", "BasicBlockV2", "BottleneckV1", "BottleneckV2", "ResNetV1", "ResNetV2", "get_resnet",
           "resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1", "resnet18_v2", "resnet34_v2",
           "resnet50_v2", "resnet101_v2", "resnet152_v2"]

_PARAMETERS = """

    Parameters
    ----------
    channels : int
        Number of output channels.
    stride : int
    downsample : bool
        Whether the shortcut is a convolution too, because shapes differ.
    in_channels : int
        Number of input channels; 0: learned from the data.
    **kwargs
        ``prefix`` and ``params``.
    """


def _conv3x3(channels, stride, in_channels):
    return nn.Conv2D(channels, 3, stride, 1, use_bias=False, in_channels=in_channels)


class _BlockV1(HybridBlock):
    """Convolutions, each with batch norm, beside a shortcut; ReLU after their sum."""

    def _build(self, convolutions, shortcut):
        self.body = nn.HybridSequential(prefix="")
        for i, convolution in enumerate(convolutions):
            if i:
                self.body.add(nn.Activation("relu"))
            self.body.add(convolution(), nn.BatchNorm())
        self.downsample = None
        if shortcut is not None:
            self.downsample = nn.HybridSequential(prefix="")
            self.downsample.add(shortcut(), nn.BatchNorm())

    def _shortcut(self, x):
        return x if self.downsample is None else self.downsample(x)


class BasicBlockV1(_BlockV1):
    __doc__ = "Two 3x3 convolutions beside a shortcut." + _PARAMETERS

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs):
        super().__init__(**kwargs)
        self._build([lambda: _conv3x3(channels, stride, in_channels), lambda: _conv3x3(channels, 1, channels)],
                    _shortcut_of(channels, stride, in_channels) if downsample else None)

    def hybrid_forward(self, F, x):
        return F.Activation(self._shortcut(x) + self.body(x), act_type="relu")


class BottleneckV1(_BlockV1):
    __doc__ = "Convolutions 1x1, 3x3 and 1x1, the first two with a quarter of the channels, beside a shortcut." + \
        _PARAMETERS

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs):
        super().__init__(**kwargs)
        inner = channels // 4
        self._build([lambda: nn.Conv2D(inner, 1, stride), lambda: _conv3x3(inner, 1, inner),
                     lambda: nn.Conv2D(channels, 1, 1)],
                    _shortcut_of(channels, stride, in_channels) if downsample else None)

    def hybrid_forward(self, F, x):
        return F.Activation(self.body(x) + self._shortcut(x), act_type="relu")


def _shortcut_of(channels, stride, in_channels):
    return lambda: nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels)


class _BlockV2(HybridBlock):
    """Batch norm and ReLU before each convolution, beside a shortcut."""

    def _build(self, convolutions, shortcut):
        for i, convolution in enumerate(convolutions, 1):
            setattr(self, f"bn{i}", nn.BatchNorm())
            setattr(self, f"conv{i}", convolution())
        self.downsample = None if shortcut is None else shortcut()

    def hybrid_forward(self, F, x):
        out = F.Activation(self.bn1(x), act_type="relu")
        residual = x if self.downsample is None else self.downsample(out)
        out = F.Activation(self.bn2(self.conv1(out)), act_type="relu")
        out = self.conv2(out)
        if hasattr(self, "conv3"):
            out = self.conv3(F.Activation(self.bn3(out), act_type="relu"))
        return out + residual


class BasicBlockV2(_BlockV2):
    __doc__ = "Two 3x3 convolutions beside a shortcut, normalized before." + _PARAMETERS

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs):
        super().__init__(**kwargs)
        self._build([lambda: _conv3x3(channels, stride, in_channels), lambda: _conv3x3(channels, 1, channels)],
                    _shortcut_of(channels, stride, in_channels) if downsample else None)


class BottleneckV2(_BlockV2):
    __doc__ = "Convolutions 1x1, 3x3 and 1x1 beside a shortcut, normalized before." + _PARAMETERS

    def __init__(self, channels, stride, downsample=False, in_channels=0, **kwargs):
        super().__init__(**kwargs)
        inner = channels // 4
        self._build([lambda: nn.Conv2D(inner, 1, use_bias=False), lambda: _conv3x3(inner, stride, inner),
                     lambda: nn.Conv2D(channels, 1, use_bias=False)],
                    _shortcut_of(channels, stride, in_channels) if downsample else None)


class _ResNet(Classifier):
    """A first convolution, stages of residual blocks that each halve the picture but the first, and a dense layer."""

    def __init__(self, block, layers, channels, classes=1000, thumbnail=False, **kwargs):
        super().__init__(**kwargs)
        if len(layers) != len(channels) - 1:
            raise MXNetValueError(f"{type(self).__name__}: channels must have one number more than layers, got "
                                  f"{channels} and {layers}")
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            self._before()
            if thumbnail:
                self.features.add(_conv3x3(channels[0], 1, 0))
            else:
                self.features.add(nn.Conv2D(channels[0], 7, 2, 3, use_bias=False), nn.BatchNorm(),
                                  nn.Activation("relu"), nn.MaxPool2D(3, 2, 1))
            for stage, count in enumerate(layers, 1):
                before, width = channels[stage - 1:stage + 1]
                part = nn.HybridSequential(prefix=f"stage{stage}_")
                with part.name_scope():
                    part.add(block(width, 1 if stage == 1 else 2, width != before, in_channels=before, prefix=""))
                    part.add(*(block(width, 1, in_channels=width, prefix="") for _ in range(count - 1)))
                self.features.add(part)
            self._after()
            self.output = nn.Dense(classes, in_units=channels[-1])


_RESNET = """

    Parameters
    ----------
    block : type
        Class of the residual blocks.
    layers : list of int
        Number of blocks in each stage.
    channels : list of int
        Channels of the first convolution and of each stage.
    classes : int
        Number of scores.
    thumbnail : bool
        Begin with a 3x3 convolution, for small pictures.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, {source}.
    """


class ResNetV1(_ResNet):
    __doc__ = "ResNet v1 [1]_: normalization after each convolution." + _RESNET.format(
        source='"Deep residual learning for image recognition", CVPR 2016')

    def _before(self):
        pass

    def _after(self):
        self.features.add(nn.GlobalAvgPool2D())


class ResNetV2(_ResNet):
    __doc__ = "ResNet v2 [1]_: normalization before each convolution." + _RESNET.format(
        source='"Identity mappings in deep residual networks", ECCV 2016')

    def _before(self):
        self.features.add(nn.BatchNorm(scale=False, center=False))

    def _after(self):
        self.features.add(nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D(), nn.Flatten())


_SLIM, _WIDE = [64, 64, 128, 256, 512], [64, 256, 512, 1024, 2048]
#: (whether of bottlenecks, blocks in each stage, channels) by number of layers.
_SIZES = {18: (False, [2, 2, 2, 2], _SLIM), 34: (False, [3, 4, 6, 3], _SLIM), 50: (True, [3, 4, 6, 3], _WIDE),
          101: (True, [3, 4, 23, 3], _WIDE), 152: (True, [3, 8, 36, 3], _WIDE)}
_VERSIONS = {1: (ResNetV1, BasicBlockV1, BottleneckV1), 2: (ResNetV2, BasicBlockV2, BottleneckV2)}


def get_resnet(version, num_layers, pretrained=False, ctx=None, root=None, **kwargs):
    """The ResNet of a version, 1 or 2, and 18, 34, 50, 101 or 152 layers.

    Parameters
    ----------
    version, num_layers : int
    pretrained, ctx, root
        As in `get_model`.
    **kwargs
        Parameters of the class: ``classes``, ``thumbnail``, ``prefix``, ...
    """
    if version not in _VERSIONS or num_layers not in _SIZES:
        raise MXNetValueError(f"there is no ResNet v{version} of {num_layers} layers; versions are {[*_VERSIONS]}, "
                              f"numbers of layers {[*_SIZES]}")
    net, *blocks = _VERSIONS[version]
    bottleneck, layers, channels = _SIZES[num_layers]
    return pretrain(net(blocks[bottleneck], layers, channels, **kwargs), f"resnet{num_layers}_v{version}", pretrained,
                    ctx, root)


resnet18_v1, resnet34_v1, resnet50_v1, resnet101_v1, resnet152_v1 = (
    variant(f"resnet{n}_v1", f"resnet{n}_v1", get_resnet, 1, n) for n in _SIZES)
resnet18_v2, resnet34_v2, resnet50_v2, resnet101_v2, resnet152_v2 = (
    variant(f"resnet{n}_v2", f"resnet{n}_v2", get_resnet, 2, n) for n in _SIZES)
