"""What all models share: two parts in a row, and functions that make the variants of one."""
from mxcy.gluon.hybrid_block import HybridBlock
from mxcy.gluon.model_zoo.model_store import get_model_file

#: Functions that make a model, by the name for `get_model`; filled by `variant`.
MODELS = {}


class Classifier(HybridBlock):
    """Pictures to scores of classes: ``output`` after ``features``, which subclasses make."""

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def pretrain(net, name, pretrained, ctx, root):
    """``net``, with the weights that `get_model_file` finds for ``name`` if ``pretrained``."""
    if pretrained:
        net.load_parameters(get_model_file(name, root), ctx=ctx)
    return net


def variant(name, function_name, make, *args, **fixed):
    """A function for users that calls ``make`` with these arguments, and its entry in `MODELS`."""
    def model(**kwargs):
        return make(*args, **{**fixed, **kwargs})

    model.__module__, model.__name__, model.__qualname__ = make.__module__, function_name, function_name
    model.__doc__ = f"""The model ``{name}``.

    Parameters
    ----------
    **kwargs
        ``pretrained``, ``ctx`` and ``root`` as in `get_model`, and those of the class: ``classes``, ``prefix``, ...
    """
    MODELS[name] = model
    return model
