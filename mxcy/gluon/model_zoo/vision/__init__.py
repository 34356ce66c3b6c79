"""Networks for pictures, with MXNet's structure and names: files of weights go both ways."""
from mxcy.base import MXNetValueError, nearest
from mxcy.gluon.model_zoo.vision._model import MODELS
from mxcy.gluon.model_zoo.vision.alexnet import *
from mxcy.gluon.model_zoo.vision.densenet import *
from mxcy.gluon.model_zoo.vision.inception import *
from mxcy.gluon.model_zoo.vision.mobilenet import *
from mxcy.gluon.model_zoo.vision.resnet import *
from mxcy.gluon.model_zoo.vision.squeezenet import *
from mxcy.gluon.model_zoo.vision.vgg import *


def get_model(name, **kwargs):
    """Make a model by name.

    Pictures are (batch, 3, 224, 224), for Inception (batch, 3, 299, 299), in RGB; trained weights expect them with mean
    (0.485, 0.456, 0.406) subtracted, then divided by (0.229, 0.224, 0.225), of values from 0 to 1.

    Parameters
    ----------
    name : str
        Such as 'resnet50_v1', 'vgg16_bn', 'mobilenetv2_0.5', 'inceptionv3'; in upper or lower case.
    **kwargs
        ``classes`` (1000): number of scores. ``pretrained`` (False): read weights from a file, see
        `model_store.get_model_file`. ``ctx``: devices for them. ``root``: the folder of the file. Others go to the
        class of the model, such as ``thumbnail`` of ResNet and ``dropout`` of DenseNet.

    Returns
    -------
    HybridBlock

    Examples
    --------
    >>> net = gluon.model_zoo.vision.get_model("mobilenet0.25", classes=10)
    >>> net.initialize()
    >>> net(mx.nd.ones((1, 3, 32, 32))).shape
    (1, 10)
    """
    if name.lower() not in MODELS:
        raise MXNetValueError(f"there is no model {name!r}.{nearest(name, MODELS)} The models are "
                              f"{', '.join(sorted(MODELS))}.")
    return MODELS[name.lower()](**kwargs)
