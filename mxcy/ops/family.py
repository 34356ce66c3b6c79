"""Families of operators that share all but a line: shape and dtype rules are those of the family.

The shape rules are single functions, so that a caller can recognise them and take a shorter way.
"""
import inspect

from mxcy.base import MXNetValueError
from mxcy.ops.operator import ZERO, Operator

__all__ = ["binary", "broadcast_shape", "elementwise_shape", "same_shape", "scalar", "unary"]


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


def unary(name, doc, cpu, gradient=None, cuda=None, aliases=(), **params):
    """An elementwise operator of one input ``data``."""
    operator = Operator(name, "data", doc, aliases=aliases, **params)
    operator.infer_shape(same_shape)
    operator.cpu, operator.cuda = cpu, cuda
    if gradient is not None:
        operator.gradient(gradient)
    return operator


def binary(name, doc, cpu, gradient, aliases=(), shape=elementwise_shape, **params):
    """An elementwise operator of two inputs ``lhs`` and ``rhs``.

    ``gradient`` is `ZERO`, or a pair of rules for the two inputs, written as if nothing were broadcast.
    """
    operator = Operator(name, "lhs rhs", doc, aliases=aliases, **params)
    operator.infer_shape(shape)
    operator.cpu = cpu
    operator.gradient(gradient if gradient is ZERO else pair(*gradient, reduce=shape is broadcast_shape))
    return operator


def pair(left, right, reduce):
    """One gradient rule from those of lhs and rhs; ``reduce``: sum each gradient to the shape of its input."""
    rules = [(name, rule, tuple(inspect.signature(rule).parameters)) for name, rule in (("lhs", left), ("rhs", right))]
    names = tuple(dict.fromkeys(["F", "needs", *(("lhs", "rhs") if reduce else ()), *rules[0][2], *rules[1][2]]))

    def gradient(*values):
        given = dict(zip(names, values))
        grads = [None, None]
        for i, (name, rule, wanted) in enumerate(rules):
            if given["needs"][i]:
                grads[i] = rule(*[given[key] for key in wanted])
                if reduce:
                    grads[i] = given["F"]._reduce_like(grads[i], given[name])
        return tuple(grads)

    gradient.__signature__ = inspect.Signature(
        [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names])
    return gradient


def scalar(name, doc, cpu, gradient, aliases=(), **params):
    """An elementwise operator of an array ``data`` and a number ``scalar``."""
    operator = Operator(name, "data", doc, aliases=aliases, scalar=1., **params)
    operator.infer_shape(same_shape)
    operator.cpu = cpu
    operator.gradient(gradient)
    return operator
