"""Calls of custom operators: what the user's code is asked, and what it raises."""
import traceback

from mxcy.autograd import is_recording, is_training
from mxcy.base import MXNetError, MXNetValueError
from mxcy.context import current_context
from mxcy.dtype import NUMPY, dtype_name
from mxcy.imperative import _tape
from mxcy.imperative._function import F
from mxcy.imperative._state import Scope
from mxcy.ndarray._ndarray import new

__all__ = ["Invocation", "ask", "call_now", "infer_shapes", "infer_types", "marks"]


def ask(function, *args, **kwargs):
    """Call the user's code; what it raises comes back as MXNetError, with his traceback."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        lines = traceback.format_exception(type(error), error, error.__traceback__.tb_next)
        raise MXNetError(f"custom operator: {function.__qualname__} raised {type(error).__name__}: {error}\n"
                         f"{''.join(lines).rstrip()}") from error


def three(prop, method, given):
    """(of inputs, of outputs, of auxiliary states), from the user's inference; auxiliary ones may be left out."""
    answer = ask(getattr(prop, method), given)
    counts = [len(prop.list_arguments()), len(prop.list_outputs()), len(prop.list_auxiliary_states())]
    parts = [list(part) for part in answer]
    if len(parts) == 1:                                 # MXNet takes this too: outputs are as the first input
        parts.append([parts[0][0]] * counts[1])
    if len(parts) == 2:
        parts.append([] if method == "infer_shape" else [parts[0][0]] * counts[2])
    for part, count, what in zip(parts, counts, ("inputs", "outputs", "auxiliary states")):
        if len(part) != count:
            raise MXNetValueError(f"{type(prop).__name__}.{method} gave {len(part)} {what}; expected {count}")
    return parts


def infer_shapes(prop, shapes):
    """Shapes of all inputs, auxiliary ones at the end, and of the outputs; None where one is not known."""
    n = len(prop.list_arguments())
    inputs, outputs, aux = three(prop, "infer_shape", [[] if shape is None else list(shape) for shape in shapes[:n]])
    found = []
    names = prop.list_arguments() + prop.list_auxiliary_states()
    for name, given, shape in zip(names, shapes, [*inputs, *aux]):
        shape = tuple(int(n) for n in shape)
        if given is not None and shape and shape != tuple(given):
            raise MXNetValueError(f"{type(prop).__name__}.infer_shape wants {shape} for {name}, whose shape is {given}")
        found.append(shape or given)
    return found, [tuple(int(n) for n in shape) for shape in outputs]


def infer_types(prop, dtypes):
    """Dtype names of all inputs and of the outputs."""
    n = len(prop.list_arguments())
    known = next((dtype for dtype in dtypes if dtype is not None), "float32")
    inputs, outputs, aux = three(prop, "infer_type", [NUMPY[dtype or known].type for dtype in dtypes[:n]])
    return [dtype_name(dtype) for dtype in (*inputs, *aux)], [dtype_name(dtype) for dtype in outputs]


class Invocation:
    """One call of a custom operator.

    Parameters
    ----------
    prop : CustomOpProp
    """

    def __init__(self, prop):
        self.prop, self.op = prop, None
        self.n_args, self.n_outputs = len(prop.list_arguments()), len(prop.list_outputs())

    def run_forward(self, train, data, outputs):
        """Fill the outputs; ``data`` are the inputs and the auxiliary states."""
        if self.op is None:
            ctx = data[0].context if data else current_context()
            self.op = ask(self.prop.create_operator, str(ctx), [list(array.shape) for array in data],
                          [array.dtype for array in data])
        with Scope(False, False, exact=True):
            ask(self.op.forward, is_train=train, req=["write"] * len(outputs), in_data=data[:self.n_args],
                out_data=outputs, aux=data[self.n_args:])

    def gradients(self, needs, out_grads, data, outputs):
        """Gradients of the inputs, of which ``needs`` holds a letter each: ``"1"`` for those that are wanted."""
        grads = [F.zeros_like(array) for array in data[:self.n_args]]
        with Scope(False, False, exact=True):
            ask(self.op.backward, req=["write" if need == "1" else "null" for need in needs[:self.n_args]],
                out_grad=out_grads, in_data=data[:self.n_args], out_data=outputs, in_grad=grads,
                aux=data[self.n_args:])
        return [grad if need == "1" else None for grad, need in zip(grads, needs)]

    def run_backward(self, needs, given, results):
        """Fill the gradients that are wanted; given are those of the outputs if used, the outputs, the inputs."""
        outputs, data = given[:-len(needs)], given[-len(needs):]
        out_grads = outputs[:-self.n_outputs] or [F.zeros_like(array) for array in outputs]
        grads = self.gradients(needs, out_grads, data, outputs[-self.n_outputs:])
        for target, grad in zip(results, [grad for grad in grads if grad is not None]):
            target[:] = grad


def marks(prop, needs):
    """The letters of `Invocation.gradients` for inputs and auxiliary states, which are ``"a"``."""
    n = len(prop.list_arguments())
    return "".join("1" if need else "0" for need in needs[:n]) + "a" * len(prop.list_auxiliary_states())


def call_now(prop, data):
    """The outputs, a list of arrays; on the tape where it records."""
    call = Invocation(prop)
    _, shapes = infer_shapes(prop, [array.shape for array in data])
    _, dtypes = infer_types(prop, [dtype_name(array.dtype) for array in data])
    ctx = data[0].context if data else current_context()
    outputs = [new(shape, dtype, ctx) for shape, dtype in zip(shapes, dtypes)]
    call.run_forward(is_training(), list(data), outputs)
    recorded = [_tape.is_recorded(array) for array in data]
    if is_recording() and any(recorded):
        inputs, results = [_tape.detach(array) for array in data], [_tape.detach(array) for array in outputs]
        needs = marks(prop, recorded)

        def backward(grads):
            grads = [F.zeros_like(like) if g is None else g for g, like in zip(grads, results)]
            found = call.gradients(needs, grads, inputs, results)
            return (*found, *[None] * (len(inputs) - len(found)))
        _tape.attach_function(backward, list(data), outputs)
    return outputs
