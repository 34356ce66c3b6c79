"""MobileNet and MobileNetV2."""
from mxcy.gluon import nn
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["MobileNet", "MobileNetV2", "get_mobilenet", "get_mobilenet_v2", "mobilenet0_25", "mobilenet0_5",
           "mobilenet0_75", "mobilenet1_0", "mobilenet_v2_0_25", "mobilenet_v2_0_5", "mobilenet_v2_0_75",
           "mobilenet_v2_1_0"]

#: (channels, stride) of each depthwise-separable convolution.
_SEPARABLE = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
#: (expansion, channels, repetitions, first stride) of the stages of linear bottlenecks.
_BOTTLENECKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                (6, 320, 1, 1)]


class RELU6(HybridBlock):
    """ReLU that stops at 6."""

    def hybrid_forward(self, F, x):
        return F.clip(x, 0, 6, name="relu6")


def _convolution(out, channels, kernel=1, stride=1, groups=1, activation=None):
    """Add a convolution, batch norm and an activation."""
    out.add(nn.Conv2D(channels, kernel, stride, kernel // 2, groups=groups, use_bias=False), nn.BatchNorm(scale=True))
    if activation is not None:
        out.add(activation())


def _relu():
    return nn.Activation("relu")


class LinearBottleneck(HybridBlock):
    """Expand the channels ``t`` times, convolve each of them, and map to ``channels`` without an activation."""

    def __init__(self, in_channels, channels, t, stride, **kwargs):
        super().__init__(**kwargs)
        self.use_shortcut = stride == 1 and in_channels == channels
        inner = in_channels * t
        with self.name_scope():
            self.out = nn.HybridSequential()
            _convolution(self.out, inner, activation=RELU6)
            _convolution(self.out, inner, 3, stride, groups=inner, activation=RELU6)
            _convolution(self.out, channels)

    def hybrid_forward(self, F, x):
        out = self.out(x)
        return F.elemwise_add(out, x) if self.use_shortcut else out


class MobileNet(Classifier):
    """MobileNet [1]_.

    Parameters
    ----------
    multiplier : float
        Scales the number of channels.
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications",
       arXiv:1704.04861.
    """

    def __init__(self, multiplier=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            width = int(32 * multiplier)
            _convolution(self.features, width, 3, 2, activation=_relu)
            for channels, stride in _SEPARABLE:
                _convolution(self.features, width, 3, stride, groups=width, activation=_relu)
                width = int(channels * multiplier)
                _convolution(self.features, width, activation=_relu)
            self.features.add(nn.GlobalAvgPool2D(), nn.Flatten())
            self.output = nn.Dense(classes)


class MobileNetV2(Classifier):
    """MobileNetV2 [1]_.

    Parameters
    ----------
    multiplier : float
        Scales the number of channels.
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018.
    """

    def __init__(self, multiplier=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="features_")
            with self.features.name_scope():
                width = int(32 * multiplier)
                _convolution(self.features, width, 3, 2, activation=RELU6)
                for t, channels, repetitions, first in _BOTTLENECKS:
                    channels = int(channels * multiplier)
                    for i in range(repetitions):
                        self.features.add(LinearBottleneck(width, channels, t, 1 if i else first))
                        width = channels
                _convolution(self.features, int(1280 * max(multiplier, 1.0)), activation=RELU6)
                self.features.add(nn.GlobalAvgPool2D())
            self.output = nn.HybridSequential(prefix="output_")
            with self.output.name_scope():
                self.output.add(nn.Conv2D(classes, 1, use_bias=False, prefix="pred_"), nn.Flatten())


def _text(multiplier):
    """1.0, 0.75, 0.5 as in names of files."""
    return f"{multiplier:.2f}".removesuffix("0")


def get_mobilenet(multiplier, pretrained=False, ctx=None, root=None, **kwargs):
    """The MobileNet with ``multiplier`` times the channels; weights exist for 1.0, 0.75, 0.5 and 0.25."""
    return pretrain(MobileNet(multiplier, **kwargs), f"mobilenet{_text(multiplier)}", pretrained, ctx, root)


def get_mobilenet_v2(multiplier, pretrained=False, ctx=None, root=None, **kwargs):
    """The MobileNetV2 with ``multiplier`` times the channels; weights exist for 1.0, 0.75, 0.5 and 0.25."""
    return pretrain(MobileNetV2(multiplier, **kwargs), f"mobilenetv2_{_text(multiplier)}", pretrained, ctx, root)


_MULTIPLIERS = {"1.0": 1.0, "0.75": 0.75, "0.5": 0.5, "0.25": 0.25}
mobilenet1_0, mobilenet0_75, mobilenet0_5, mobilenet0_25 = (
    variant(f"mobilenet{m}", f"mobilenet{m.replace('.', '_')}", get_mobilenet, value)
    for m, value in _MULTIPLIERS.items())
mobilenet_v2_1_0, mobilenet_v2_0_75, mobilenet_v2_0_5, mobilenet_v2_0_25 = (
    variant(f"mobilenetv2_{m}", f"mobilenet_v2_{m.replace('.', '_')}", get_mobilenet_v2, value)
    for m, value in _MULTIPLIERS.items())
