"""VGG, plain and with batch norm."""
from mxcy.base import MXNetValueError
from mxcy.gluon import nn
from mxcy.gluon.model_zoo.vision._model import Classifier, pretrain, variant
from mxcy.initializer import Xavier

__all__ = ["VGG", "get_vgg", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

_FILTERS = [64, 128, 256, 512, 512]
#: Convolutions in each stage, by number of layers.
_SIZES = {11: [1, 1, 2, 2, 2], 13: [2, 2, 2, 2, 2], 16: [2, 2, 3, 3, 3], 19: [2, 2, 4, 4, 4]}


class VGG(Classifier):
    """VGG [1]_.

    Parameters
    ----------
    layers : list of int
        Convolutions in each stage.
    filters : list of int
        Channels in each stage.
    classes : int
        Number of scores.
    batch_norm : bool
        Whether batch norm follows each convolution.
    **kwargs
        ``prefix`` and ``params``.

    References
    ----------
    .. [1] Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
    """

    def __init__(self, layers, filters, classes=1000, batch_norm=False, **kwargs):
        super().__init__(**kwargs)
        if len(layers) != len(filters):
            raise MXNetValueError(f"VGG: layers and filters must be of one length, got {layers} and {filters}")
        with self.name_scope():
            self.features = nn.HybridSequential(prefix="")
            for count, channels in zip(layers, filters):
                for _ in range(count):
                    self.features.add(nn.Conv2D(channels, 3, padding=1, weight_initializer=Xavier(
                        rnd_type="gaussian", factor_type="out", magnitude=2)))
                    if batch_norm:
                        self.features.add(nn.BatchNorm())
                    self.features.add(nn.Activation("relu"))
                self.features.add(nn.MaxPool2D(strides=2))
            for _ in range(2):
                self.features.add(nn.Dense(4096, activation="relu", weight_initializer="normal"), nn.Dropout(0.5))
            self.output = nn.Dense(classes, weight_initializer="normal")


def get_vgg(num_layers, pretrained=False, ctx=None, root=None, **kwargs):
    """The VGG of 11, 13, 16 or 19 layers.

    Parameters
    ----------
    num_layers : int
    pretrained, ctx, root
        As in `get_model`.
    **kwargs
        Parameters of the class: ``batch_norm``, ``classes``, ``prefix``, ...
    """
    if num_layers not in _SIZES:
        raise MXNetValueError(f"there is no VGG of {num_layers} layers; there are {[*_SIZES]}")
    name = f"vgg{num_layers}{'_bn' if kwargs.get('batch_norm') else ''}"
    return pretrain(VGG(_SIZES[num_layers], _FILTERS, **kwargs), name, pretrained, ctx, root)


vgg11, vgg13, vgg16, vgg19 = (variant(f"vgg{n}", f"vgg{n}", get_vgg, n) for n in _SIZES)
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (
    variant(f"vgg{n}_bn", f"vgg{n}_bn", get_vgg, n, batch_norm=True) for n in _SIZES)
