"""Families of operators that share all but a line: shape and dtype rules are those of the family.

The shape rules are single functions, so that a caller can recognise them and take a shorter way.
"""
import inspect
from operator import itemgetter

from mxcy.base import MXNetValueError
from mxcy.ops.operator import ZERO, Operator

__all__ = ["as_output", "binary", "broadcast_shape", "combined", "elementwise_shape", "same_shape", "scalar", "unary"]


def same_shape(data):
    """Shape rule: the output has the shape of ``data``."""
    return data


def elementwise_shape(lhs, rhs):
    """Shape rule: both inputs have one shape, and so has the output."""
    if lhs is None or rhs is None:
        lhs = rhs = rhs if lhs is None else lhs
    if lhs != rhs:
        raise MXNetValueError(f"lhs has shape {lhs} and rhs {rhs}; they must be equal. The broadcast_ operators take "
                              f"shapes that differ where one of them is 1.")
    return dict(lhs=lhs, rhs=lhs, out=lhs)


def broadcast_shape(lhs, rhs):
    """Shape rule: aligned at the last axis, the inputs agree in each axis or one of them is 1 there."""
    if lhs is None or rhs is None:
        return None
    ndim = max(len(lhs), len(rhs))
    out = []
    for axis in range(-ndim, 0):
        l = lhs[axis] if -axis <= len(lhs) else 1
        r = rhs[axis] if -axis <= len(rhs) else 1
        if l != r and l != 1 and r != 1:
            raise MXNetValueError(f"lhs of shape {lhs} and rhs of shape {rhs} do not broadcast: axis {axis} is {l} in "
                                  f"lhs and {r} in rhs; they must agree, or one of them be 1")
        out.append(r if l == 1 else l)
    return tuple(out)


def as_output(out):
    """Rule `infer_inputs`: ``data`` has the shape of the output."""
    return dict(data=out)


def combined(shapes):
    """What is known of a shape from several reports of it: None is no report, 0 an unknown size."""
    known = [shape for shape in shapes if shape is not None]
    return tuple(max(sizes) for sizes in zip(*known)) if known else None


def unary(name, doc, cpu, gradient=None, aliases=(), **params):
    """An elementwise operator of one input ``data``."""
    operator = Operator(name, "data", doc, aliases=aliases, **params)
    operator.infer_shape(same_shape)
    operator.cpu = cpu
    if gradient is not None:
        operator.gradient(gradient)
    return operator


def binary(name, doc, cpu, gradient, aliases=(), shape=elementwise_shape, **params):
    """An elementwise operator of two inputs ``lhs`` and ``rhs``.

    ``gradient`` is `ZERO`, or a pair of rules for the two inputs, written as if nothing were broadcast: arithmetic on
    what a rule receives broadcasts.
    """
    operator = Operator(name, "lhs rhs", doc, aliases=aliases, **params)
    operator.infer_shape(shape)
    operator.cpu = cpu
    operator.gradient(gradient if gradient is ZERO else pair(*gradient, reduce=shape is broadcast_shape))
    return operator


def pair(left, right, reduce):
    """One gradient rule from those of lhs and rhs, each called only if its gradient is wanted.

    ``reduce``: the inputs were broadcast, so each gradient is summed to the shape of its input.
    """
    wanted = [tuple(inspect.signature(rule).parameters) for rule in (left, right)]
    names = tuple(dict.fromkeys(["needs", "F", "lhs", "rhs", *wanted[0], *wanted[1]] if reduce else
                                ["needs", *wanted[0], *wanted[1]]))
    left_values, right_values = (picker(*map(names.index, wanted[i])) for i in (0, 1))

    def gradient(*values):
        first, second = values[0]
        return (left(*left_values(values)) if first else None, right(*right_values(values)) if second else None)

    def reduced(*values):
        F, lhs, rhs = values[1:4]
        lhs_grad, rhs_grad = gradient(*values)
        if lhs_grad is not None and lhs_grad.shape != lhs.shape:
            lhs_grad = F._reduce_like(lhs_grad, lhs)
        if rhs_grad is not None and rhs_grad.shape != rhs.shape:
            rhs_grad = F._reduce_like(rhs_grad, rhs)
        return lhs_grad, rhs_grad

    rule = reduced if reduce else gradient
    rule.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])
    return rule


def picker(*positions):
    """A function that picks these items of a tuple, as a tuple."""
    return itemgetter(*positions) if len(positions) > 1 else lambda values: (values[positions[0]],)


def scalar(name, doc, cpu, gradient, aliases=(), **params):
    """An elementwise operator of an array ``data`` and a number ``scalar``."""
    operator = Operator(name, "data", doc, aliases=aliases, scalar=1., **params)
    operator.infer_shape(same_shape)
    operator.cpu = cpu
    operator.gradient(gradient)
    return operator
