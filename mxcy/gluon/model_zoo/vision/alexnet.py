"""AlexNet, in its form with one tower."""
from mxcy.gluon import nn
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant

__all__ = ["AlexNet", "alexnet"]

#: (channels, kernel, stride, padding) of each convolution, or None for pooling.
_CONVOLUTIONS = [(64, 11, 4, 2), None, (192, 5, 1, 2), None, (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), None]


class AlexNet(Classifier):
    """AlexNet [1]_.

    Parameters
    ----------
    classes : int
        Number of scores.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Krizhevsky, "One weird trick for parallelizing convolutional neural networks", arXiv:1404.5997.
    """

    def __init__(self, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for settings in _CONVOLUTIONS:
                self.features.add(nn.Conv2D(*settings, activation="relu") if settings else nn.MaxPool2D(3, 2))
            self.features.add(nn.Flatten())
            for _ in range(2):
                self.features.add(nn.Dense(4096, activation="relu"), nn.Dropout(0.5))
            self.output = nn.Dense(classes)


def _get(pretrained=False, ctx=None, root=None, **kwargs):
    return pretrain(AlexNet(**kwargs), "alexnet", pretrained, ctx, root)


alexnet = variant("alexnet", "alexnet", _get)
