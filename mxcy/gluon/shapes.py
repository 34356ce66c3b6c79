"""Unknown shapes of a layer's parameters, found from its first input."""
from mxcy import autograd, nd
from mxcy.base import MXNetValueError
from mxcy.gluon.utils import shape_is_known
from mxcy.ops.infer import by_name
from mxcy.ops.operator import REGISTRY, call_rule

__all__ = ["find_shapes"]


class _Open(MXNetValueError):
    """An operator does not say what shape a parameter must have."""


class _Unknown:
    """Stands for a parameter in a trial run until an operator says what shape it must have."""

    def __init__(self, param):
        self.param = param


class _Trial:
    """The namespace ``F`` of a trial run: operators as in ``nd``, which also accept parameters of unknown shape."""

    def __init__(self, ctx):
        self._ctx = ctx

    def __getattr__(self, name):
        function = getattr(nd, name)
        if name not in REGISTRY:
            return function

        def call(*args, **kwargs):
            if any(isinstance(value, _Unknown) for value in (*args, *kwargs.values())):
                args, kwargs = (), self._settled(REGISTRY[name], args, kwargs)
            return function(*args, **kwargs)
        return call

    def _settled(self, operator, args, kwargs):
        """The arguments by name, with zeros of the right shape in place of unknown parameters."""
        given = {**dict(zip((*operator.inputs, *operator.params), args)), **kwargs}
        params = operator.parse({key: value for key, value in given.items()
                                 if key in operator.params and value is not None})
        names = operator.input_names(params)
        shapes = [None if isinstance(given[name], _Unknown) else given[name].shape for name in names]
        try:
            wanted = call_rule(operator.rules["infer_shape"], by_name(operator, params, names, shapes))
        except (MXNetValueError, TypeError) as error:       # a wrong input, or a rule that counts on the unknown shape
            raise _Open(str(error)) from error
        for name in names:
            if isinstance(given[name], _Unknown) and isinstance(wanted, dict) and name in wanted:
                given[name].param.shape = wanted[name]
                given[name] = zeros(given[name].param, self._ctx)
        left = [given[name].param for name in names if isinstance(given[name], _Unknown)]
        if left:
            raise _Open(f"{operator.name} leaves the shape of {left[0].name} open, which is {left[0].shape}")
        return {key: value for key, value in given.items() if value is not None}


def zeros(param, ctx):
    return nd.zeros(param.shape, ctx=ctx, dtype=param.dtype)


def find_shapes(layer, x, *args):
    """Complete the shapes of ``layer``'s own parameters: run its ``hybrid_forward`` once, with zeros for parameters.

    Parameters
    ----------
    layer : HybridBlock
    x : NDArray
        The first input.
    *args : NDArray
        Further inputs.

    Raises
    ------
    ValueError
        If the operators that use a parameter do not tell its shape.
    """
    params = {name: zeros(param, x.context) if shape_is_known(param.shape) else _Unknown(param)
              for name, param in layer._reg_params.items()}
    problem = None
    try:
        with autograd.pause():
            layer.hybrid_forward(_Trial(x.context), x, *args, **params)
    except _Open as error:
        problem = error
    except (TypeError, AttributeError) as error:        # an unknown parameter met something that is not an operator
        problem = error
    unknown = [f"{p.name} {p.shape}" for p in layer._reg_params.values() if not shape_is_known(p.shape)]
    if unknown:
        raise MXNetValueError(
            f"{type(layer).__name__} cannot tell the shapes of {', '.join(unknown)} from an input of shape {x.shape} "
            f"({problem}). Give full shapes, or define infer_shape(self, x) to set them.") from problem
    if problem is not None:
        raise problem
