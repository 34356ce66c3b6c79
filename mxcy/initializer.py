"""Initializers: what the values of a parameter are before training.

An initializer is called with a description of the parameter (`InitDesc`) and the array to fill. Random ones draw from
`mxcy.random`, so that `mxcy.random.seed` makes them repeatable.
"""
import json
import re
from math import prod, sqrt

import numpy as np

from mxcy import nd, random, registry
from mxcy.base import MXNetTypeError, MXNetValueError

__all__ = ["InitDesc", "Initializer", "register", "alias", "create", "Load", "Mixed", "Zero", "One", "Constant",
           "Uniform", "Normal", "Orthogonal", "Xavier", "MSRAPrelu", "Bilinear", "LSTMBias", "FusedRNN"]


class InitDesc(str):
    """A parameter's name, with its attributes and the initializer to fall back to.

    Parameters
    ----------
    name : str
    attrs : dict, optional
        ``attrs['__init__']`` names an initializer that overrides the choice by name.
    global_init : Initializer, optional
        What ``FusedRNN`` uses for the parts of its parameter that it has no initializer of its own for.
    """

    def __new__(cls, name, attrs=None, global_init=None):
        desc = super().__new__(cls, name)
        desc.attrs = attrs or {}
        desc.global_init = global_init
        return desc


class Initializer:
    """Base class. A subclass overrides ``_init_weight(name, arr)`` and fills ``arr`` in place.

    Without an explicit choice, the end of the name decides: weights get ``_init_weight``; biases, betas and moving
    means 0; gammas and moving variances 1.
    """

    def __init__(self, **kwargs):
        self._kwargs = kwargs
        self._verbose = False
        self._print_func = None

    def set_verbosity(self, verbose=False, print_func=None):
        """Report each parameter that gets initialized, with ``print_func(arr)`` (default: norm / sqrt(size))."""
        self._verbose = verbose
        self._print_func = print_func or (lambda x: str((nd.norm(x) / sqrt(x.size)).asscalar()))
        return self

    def dumps(self):
        """JSON text from which `create` makes an equal initializer.

        >>> Normal(.5).dumps()
        '["normal", {"sigma": 0.5}]'
        """
        return json.dumps([type(self).__name__.lower(), self._kwargs])

    def __eq__(self, other):
        return type(other) is type(self) and other._kwargs == self._kwargs

    __hash__ = None

    def __call__(self, desc, arr):
        """Fill ``arr``, the parameter that ``desc`` (an `InitDesc` or a name) describes."""
        if not isinstance(desc, InitDesc):
            desc = InitDesc(desc)
        if desc.global_init is None:
            desc.global_init = self
        chosen = desc.attrs.get("__init__")
        if chosen:
            create(chosen)._init_weight(desc, arr)
        else:
            self._init_by_name(desc, arr)
        if self._verbose:
            print(f"Initialized {desc} as {chosen or type(self).__name__}: {self._print_func(arr)}")

    def _init_by_name(self, name, arr):
        for endings, fill in self._BY_NAME.items():
            if name.endswith(endings):
                return getattr(self, fill)(name, arr)
        return self._init_default(name, arr)

    _BY_NAME = {
        ("weight",): "_init_weight", ("bias",): "_init_bias", ("gamma",): "_init_gamma", ("beta",): "_init_beta",
        ("min", "moving_mean", "running_mean", "moving_inv_var", "moving_avg"): "_init_zero",
        ("max", "moving_var", "running_var"): "_init_one",
    }

    def _init_zero(self, name, arr):
        arr[:] = 0

    def _init_one(self, name, arr):
        arr[:] = 1

    _init_bias = _init_beta = _init_zero
    _init_gamma = _init_one

    def _init_weight(self, name, arr):
        raise NotImplementedError(f"{type(self).__name__} must define _init_weight(name, arr)")

    def _init_default(self, name, arr):
        raise MXNetValueError(
            f"cannot tell from its name how to initialize {str(name)!r}: expected a name that ends in weight, bias, "
            "gamma, beta, moving_mean or moving_var. Give the parameter its own init=.")


register = registry.get_register_func(Initializer, "initializer")
alias = registry.get_alias_func(Initializer, "initializer")
_create = registry.get_create_func(Initializer, "initializer")


def create(init, *args, **kwargs):
    """An initializer from its name (with arguments), from JSON text (`Initializer.dumps`), or itself.

    >>> create("xavier", magnitude=2).dumps()
    '["xavier", {"rnd_type": "uniform", "factor_type": "avg", "magnitude": 2}]'
    """
    return init if isinstance(init, (Mixed, Load)) else _create(init, *args, **kwargs)


class Load:
    """Take each parameter from a file or dict of arrays.

    Parameters
    ----------
    param : str or dict
        File written by ``nd.save``, or a dict of arrays; prefixes ``arg:`` and ``aux:`` are dropped.
    default_init : Initializer, optional
        For parameters that are not there; without it they are an error.
    verbose : bool
        Say where each parameter came from.
    """

    def __init__(self, param, default_init=None, verbose=False):
        if isinstance(param, str):
            param = nd.load(param)
        if not isinstance(param, dict):
            raise MXNetTypeError(f"Load: expected a dict of arrays or a file of one, got {type(param).__name__}")
        self.param = {name[4:] if name.startswith(("arg:", "aux:")) else name: arr for name, arr in param.items()}
        self.default_init = default_init
        self.verbose = verbose

    def __call__(self, name, arr):
        if name in self.param:
            if arr.shape != self.param[name].shape:
                raise MXNetValueError(f"Load: {name} is expected to have shape {arr.shape}, but the loaded array has "
                                      f"{self.param[name].shape}")
            arr[:] = self.param[name]
        elif self.default_init is None:
            raise MXNetValueError(f"Load: there is no array {str(name)!r} among the loaded ones; pass default_init")
        else:
            self.default_init(name, arr)
        if self.verbose:
            print(f"Initialized {name} by {'loading' if name in self.param else 'default'}")

    _init_weight = __call__


class Mixed:
    """Choose the initializer by the first regular expression that matches the name.

    >>> init = Mixed([".*bias", ".*"], [Zero(), Uniform(.1)])
    """

    def __init__(self, patterns, initializers):
        if len(patterns) != len(initializers):
            raise MXNetValueError(f"Mixed: got {len(patterns)} patterns for {len(initializers)} initializers")
        self.map = [(re.compile(pattern), create(init)) for pattern, init in zip(patterns, initializers)]

    def _choose(self, name):
        for pattern, init in self.map:
            if pattern.match(name):
                return init
        raise MXNetValueError(f"Mixed: no pattern matches {str(name)!r}; add '.*' as the last one")

    def __call__(self, name, arr):
        self._choose(name)(name, arr)

    def _init_weight(self, name, arr):
        self._choose(name)._init_weight(name, arr)


@alias("zeros")
@register
class Zero(Initializer):
    """All zeros."""

    def __init__(self):
        super().__init__()

    def _init_weight(self, name, arr):
        arr[:] = 0


@alias("ones")
@register
class One(Initializer):
    """All ones."""

    def __init__(self):
        super().__init__()

    def _init_weight(self, name, arr):
        arr[:] = 1


@register
class Constant(Initializer):
    """``value``: a number, or an array of the parameter's shape."""

    def __init__(self, value):
        super().__init__(value=value)
        self.value = value

    def _init_weight(self, name, arr):
        arr[:] = self.value

    def dumps(self):
        value = self.value if np.isscalar(self.value) else nd.array(self.value).asnumpy().tolist()
        return json.dumps(["constant", {"value": value}])

    def __eq__(self, other):
        return type(other) is type(self) and json.loads(self.dumps()) == json.loads(other.dumps())


def _draw(rnd_type, first, second, arr):
    """Fill ``arr`` with uniform(first, second) or normal(mean first, deviation second) numbers."""
    draw = {"uniform": random.uniform, "normal": random.normal, "gaussian": random.normal}[rnd_type]
    draw(first, second, shape=arr.shape, dtype=np.dtype(arr.dtype).name, ctx=arr.context, out=arr)


@register
class Uniform(Initializer):
    """Uniform between ``-scale`` and ``scale``."""

    def __init__(self, scale=0.07):
        super().__init__(scale=scale)
        self.scale = scale

    def _init_weight(self, name, arr):
        _draw("uniform", -self.scale, self.scale, arr)


@register
class Normal(Initializer):
    """Normal with mean 0 and standard deviation ``sigma``."""

    def __init__(self, sigma=0.01):
        super().__init__(sigma=sigma)
        self.sigma = sigma

    def _init_weight(self, name, arr):
        _draw("normal", 0, self.sigma, arr)


@register
class Orthogonal(Initializer):
    """Orthonormal rows or columns, times ``scale`` [1]_; the first axis against all others.

    References
    ----------
    .. [1] Saxe, McClelland, Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
       networks", ICLR 2014.
    """

    def __init__(self, scale=1.414, rand_type="uniform"):
        super().__init__(scale=scale, rand_type=rand_type)
        if rand_type not in ("uniform", "normal"):
            raise MXNetValueError(f"Orthogonal: rand_type must be 'uniform' or 'normal', got {rand_type!r}")
        self.scale, self.rand_type = scale, rand_type

    def _init_weight(self, name, arr):
        rows, columns = arr.shape[0], prod(arr.shape[1:])
        sample = nd.empty((rows, columns))
        _draw(self.rand_type, *((-1., 1.) if self.rand_type == "uniform" else (0., 1.)), sample)
        u, _, v = np.linalg.svd(sample.asnumpy(), full_matrices=False)
        arr[:] = (self.scale * (u if u.shape == (rows, columns) else v)).reshape(arr.shape)


@register
class Xavier(Initializer):
    """Scale by the numbers of inputs and outputs of a unit [1]_: variance about ``magnitude / (3 * fan)``.

    Parameters
    ----------
    rnd_type : {'uniform', 'gaussian'}
        Uniform within ``sqrt(magnitude / fan)``, or normal with that deviation.
    factor_type : {'avg', 'in', 'out'}
        What ``fan`` is: inputs, outputs, or the mean of both. Axes after the second count into both.
    magnitude : float

    References
    ----------
    .. [1] Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010.
    """

    def __init__(self, rnd_type="uniform", factor_type="avg", magnitude=3):
        super().__init__(rnd_type=rnd_type, factor_type=factor_type, magnitude=magnitude)
        if rnd_type not in ("uniform", "gaussian"):
            raise MXNetValueError(f"Xavier: rnd_type must be 'uniform' or 'gaussian', got {rnd_type!r}")
        if factor_type not in ("avg", "in", "out"):
            raise MXNetValueError(f"Xavier: factor_type must be 'avg', 'in' or 'out', got {factor_type!r}")
        self.rnd_type, self.factor_type, self.magnitude = rnd_type, factor_type, float(magnitude)

    def _init_weight(self, name, arr):
        if arr.ndim < 2:
            raise MXNetValueError(f"Xavier needs at least two axes to count inputs and outputs, but {name} has shape "
                                  f"{arr.shape}. Give this parameter another init.")
        receptive = prod(arr.shape[2:])
        fan_in, fan_out = arr.shape[1] * receptive, arr.shape[0] * receptive
        fan = {"avg": (fan_in + fan_out) / 2, "in": fan_in, "out": fan_out}[self.factor_type]
        scale = sqrt(self.magnitude / fan)
        _draw(self.rnd_type, -scale if self.rnd_type == "uniform" else 0, scale, arr)


@register
class MSRAPrelu(Xavier):
    """Normal, scaled for units followed by PReLU of that ``slope`` [1]_.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Delving deep into rectifiers", ICCV 2015.
    """

    def __init__(self, factor_type="avg", slope=0.25):
        super().__init__("gaussian", factor_type, 2. / (1 + slope ** 2))
        self._kwargs = {"factor_type": factor_type, "slope": slope}


@register
class Bilinear(Initializer):
    """Weights of a deconvolution that interpolates linearly, shape ``(channels, 1, 2f, 2f)``."""

    def __init__(self):
        super().__init__()

    def _init_weight(self, name, arr):
        height, width = arr.shape[2:]
        # scikit-image's and Caffe's convention: the factor is half the kernel, rounded up, in both directions
        factor = -(-width // 2)
        centre = (2 * factor - 1 - factor % 2) / (2. * factor)
        ramp = [1 - np.abs(np.arange(size) / factor - centre) for size in (height, width)]
        arr[:] = np.broadcast_to(np.outer(*ramp), arr.shape).astype("float32")


@register
class LSTMBias(Initializer):
    """Zero but for the forget gate, the second quarter, which is ``forget_bias``."""

    def __init__(self, forget_bias=1.0):
        super().__init__(forget_bias=forget_bias)
        self.forget_bias = forget_bias

    def _init_weight(self, name, arr):
        quarter = arr.shape[0] // 4
        arr[:] = 0
        arr[quarter:2 * quarter] = self.forget_bias


@register
class FusedRNN(Initializer):
    """Initialize the one long vector that a fused RNN keeps all its weights and biases in.

    Parameters
    ----------
    init : Initializer, str or None
        For the weights; None: the initializer of the network.
    num_hidden, num_layers : int
    mode : {'rnn_relu', 'rnn_tanh', 'lstm', 'gru'}
    bidirectional : bool
    forget_bias : float
        Bias of an LSTM's forget gates.
    """

    _GATES = {"rnn_relu": 1, "rnn_tanh": 1, "lstm": 4, "gru": 3}

    def __init__(self, init, num_hidden, num_layers, mode, bidirectional=False, forget_bias=1.0):
        init = None if init is None else create(init)
        if mode not in self._GATES:
            raise MXNetValueError(f"FusedRNN: mode must be one of {', '.join(self._GATES)}, got {mode!r}")
        super().__init__(init=None if init is None else init.dumps(), num_hidden=num_hidden, num_layers=num_layers,
                         mode=mode, bidirectional=bidirectional, forget_bias=forget_bias)
        self._init, self._hidden, self._layers, self._mode = init, num_hidden, num_layers, mode
        self._directions = 2 if bidirectional else 1
        self._forget_bias = forget_bias

    def _init_weight(self, name, arr):
        init = self._init or name.global_init
        hidden, gates, directions = self._hidden, self._GATES[self._mode], self._directions
        rows = gates * hidden
        biases = self._layers * directions * 2 * rows
        deeper = (self._layers - 1) * directions * rows * (hidden * directions + hidden)
        inputs, rest = divmod(arr.size - biases - deeper, rows * directions)
        inputs -= hidden
        if rest or inputs < 1:
            raise MXNetValueError(f"FusedRNN: {arr.size} values do not fit {self._layers} layers of {hidden} "
                                  f"{self._mode}")
        start = 0
        for layer in range(self._layers):
            for _ in range(directions):
                for columns in (hidden * directions if layer else inputs, hidden):
                    part = nd.empty((rows, columns))
                    init._init_weight(InitDesc(f"{name}_l{layer}_weight", global_init=init), part)
                    arr[start:start + rows * columns] = part.reshape((-1,))
                    start += rows * columns
        for _ in range(self._layers * directions * 2):
            bias = nd.zeros((rows,))
            if self._mode == "lstm":
                LSTMBias(self._forget_bias)._init_weight(name, bias)
            arr[start:start + rows] = bias
            start += rows
