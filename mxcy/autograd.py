"""Automatic differentiation of imperative code."""
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.imperative import _tape
from mxcy.imperative._function import F
from mxcy.imperative._state import Scope, is_recording, is_training, set_recording, set_training
from mxcy.ndarray._ndarray import NDArray

__all__ = ["Function", "backward", "get_symbol", "grad", "is_recording", "is_training", "mark_variables", "pause",
           "predict_mode", "record", "set_recording", "set_training", "train_mode"]


def record(train_mode=True):
    """Context manager that records what is computed, for `backward`.

    Parameters
    ----------
    train_mode : bool
        Whether layers such as Dropout behave as in training meanwhile.

    Examples
    --------
    >>> import mxcy as mx
    >>> x = mx.nd.array([1., 2.])
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad.asnumpy().tolist()
    [2.0, 4.0]
    """
    return Scope(True, train_mode)


def pause(train_mode=False):
    """Context manager in which nothing is recorded."""
    return Scope(False, train_mode)


def train_mode():
    """Context manager in which layers behave as in training; recording stays as it is."""
    return Scope(None, True)


def predict_mode():
    """Context manager in which layers behave as in prediction; recording stays as it is."""
    return Scope(None, False)


def _arrays(value, what):
    """A list of arrays from one array or a sequence of them."""
    values = [value] if isinstance(value, NDArray) else list(value)
    for item in values:
        if not isinstance(item, NDArray):
            raise MXNetTypeError(f"{what} holds {type(item).__name__}; expected NDArray")
    return values


def mark_variables(variables, gradients, grad_reqs="write"):
    """Make arrays leaves that want a gradient.

    Parameters
    ----------
    variables, gradients : NDArray or sequence of NDArray
        Arrays, and where their gradients go: same shapes and dtypes.
    grad_reqs : str or sequence of str
        ``"write"``, ``"add"`` or ``"null"``, for all or for each.
    """
    variables, gradients = _arrays(variables, "variables"), _arrays(gradients, "gradients")
    reqs = [grad_reqs] * len(variables) if isinstance(grad_reqs, str) else list(grad_reqs)
    if not len(variables) == len(gradients) == len(reqs):
        raise MXNetValueError(f"{len(variables)} variables, {len(gradients)} gradients and {len(reqs)} grad_reqs "
                              f"given; expected as many of each")
    for variable, gradient, req in zip(variables, gradients, reqs):
        if variable.shape != gradient.shape:
            raise MXNetValueError(f"a variable has shape {variable.shape}, its gradient {gradient.shape}")
        _tape.mark_variable(variable, gradient, req)


def _head_grads(heads, head_grads):
    if head_grads is None:
        return [None] * len(heads)
    grads = [head_grads] if isinstance(head_grads, NDArray) else list(head_grads)
    if len(grads) != len(heads):
        raise MXNetValueError(f"{len(heads)} heads but {len(grads)} head gradients")
    return grads


def backward(heads, head_grads=None, retain_graph=False, train_mode=True):
    """Compute the gradients of ``heads`` with respect to the variables they were computed from.

    Parameters
    ----------
    heads : NDArray or list of NDArray
        Results of recorded computations.
    head_grads : NDArray or list of NDArray or None, optional
        Gradients of what follows with respect to the heads, of their shapes; ones by default.
    retain_graph : bool
        Keep what was recorded, to differentiate it again.
    train_mode : bool
        Whether the pass runs in training mode.
    """
    heads = _arrays(heads, "heads")
    _tape.backward(heads, _head_grads(heads, head_grads), retain_graph, train_mode)


def grad(heads, variables, head_grads=None, retain_graph=None, create_graph=False, train_mode=True):
    """Gradients of ``heads`` with respect to ``variables``, as new arrays.

    Parameters
    ----------
    heads, variables : NDArray or list of NDArray
    head_grads : NDArray or list of NDArray or None, optional
        Of the shapes of the heads; ones by default.
    retain_graph : bool, optional
        Keep what was recorded; by default as ``create_graph``.
    create_graph : bool
        Record the computation of the gradients, so that they can be differentiated again.
    train_mode : bool
        Whether the pass runs in training mode.

    Returns
    -------
    list of NDArray
        One for each variable, of its shape; of a single variable too, as in MXNet.
    """
    heads = _arrays(heads, "heads")
    return _tape.backward(heads, _head_grads(heads, head_grads), create_graph if retain_graph is None else retain_graph,
                          train_mode, create_graph, _arrays(variables, "variables"))


def get_symbol(x):
    """The recorded computation of ``x`` as a Symbol."""
    raise MXNetError("autograd.get_symbol needs mx.sym, which this version does not have")


class Function:
    """A differentiable function with a gradient of your own.

    Subclasses define ``forward(self, *inputs)`` and ``backward(self, *output_grads)``, both on NDArrays; ``backward``
    returns a gradient for each input. An instance serves one call.

    Examples
    --------
    >>> import mxcy as mx
    >>> class Sigmoid(mx.autograd.Function):
    ...     def forward(self, x):
    ...         y = 1 / (1 + mx.nd.exp(-x))
    ...         self.save_for_backward(y)
    ...         return y
    ...     def backward(self, dy):
    ...         y, = self.saved_tensors
    ...         return dy * y * (1 - y)
    >>> x = mx.nd.array([0.])
    >>> x.attach_grad()
    >>> with mx.autograd.record():
    ...     y = Sigmoid()(x)
    >>> y.backward()
    >>> x.grad.item()
    0.25
    """

    def __init__(self):
        self._used = False
        self.saved_tensors = ()

    def save_for_backward(self, *arrays):
        """Keep arrays for `backward`, where ``self.saved_tensors`` holds them."""
        self.saved_tensors = arrays

    def forward(self, *inputs):
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__} must define forward()")

    def backward(self, *output_grads):
        """Compute the gradients of the inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define backward()")

    def __call__(self, *inputs):
        if self._used:
            raise MXNetError(f"{type(self).__name__}: each instance of a Function can be called once; make a new one")
        for array in inputs:
            if not isinstance(array, NDArray):
                raise MXNetTypeError(f"{type(self).__name__}: an input is {type(array).__name__}; expected an NDArray. "
                                     f"In graphs, and so in hybridized blocks, use a custom operator, see mx.operator.")
        self._used = True
        with pause(train_mode=is_training()):
            outputs = self.forward(*inputs)
        if is_recording() and any(map(_tape.is_recorded, inputs)):
            results = [outputs] if isinstance(outputs, NDArray) else list(outputs)
            # What forward returns may be an input, or kept by it: the recorded arrays are views of their own.
            results = [_tape.detach(result) for result in results]
            likes = [_tape.detach(result) for result in results]

            def function(grads):
                grads = [F.zeros_like(like) if g is None else g for g, like in zip(grads, likes)]
                given = self.backward(*grads)
                given = (given,) if isinstance(given, NDArray) or given is None else tuple(given)
                if len(given) != len(inputs):
                    raise MXNetValueError(f"{type(self).__name__}.backward returned {len(given)} gradients for "
                                          f"{len(inputs)} inputs")
                return given
            _tape.attach_function(function, list(inputs), results)
            outputs = results[0] if isinstance(outputs, NDArray) else type(outputs)(results)
        return outputs


# -- methods of NDArray ------------------------------------------------------------------------------------------------

def attach_grad(self, grad_req="write", stype=None):
    """Make the array a variable: `backward` will put its gradient into ``self.grad``, which starts as zeros.

    Parameters
    ----------
    grad_req : str
        ``"write"``: each backward overwrites the gradient; ``"add"``: it adds to it; ``"null"``: no gradient.
    stype : str, optional
        Storage type of the gradient; only ``"default"`` (dense) is possible.
    """
    if stype not in (None, "default"):
        raise MXNetValueError(f"attach_grad: stype is {stype!r}; only dense gradients are possible in this version")
    _tape.mark_variable(self, F.zeros_like(_tape.detach(self)), grad_req)


def _backward(self, out_grad=None, retain_graph=False, train_mode=True):
    """Compute the gradients of this array with respect to its variables: see `autograd.backward`."""
    backward([self], [out_grad], retain_graph, train_mode)


def detach(self):
    """An array over the same memory through which no gradient flows."""
    return _tape.detach(self)


METHODS = {"attach_grad": attach_grad, "backward": _backward, "detach": detach,
           "grad": property(_tape.gradient_of, doc="The gradient, an NDArray; None without `attach_grad`."),
           "_fresh_grad": property(_tape.is_fresh, _tape.set_fresh,
                                   doc="Whether backward has written the gradient since this was last set to False.")}
