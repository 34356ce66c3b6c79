"""Families of operators that share all but a line: shape and dtype rules are those of the family."""
from mxcy.ops.operator import Operator

__all__ = ["same_shape", "unary"]


def same_shape(data):
    """Shape rule: the output has the shape of ``data``."""
    return data


def unary(name, doc, cpu, gradient=None, cuda=None, aliases=(), **params):
    """An elementwise operator of one input ``data``."""
    operator = Operator(name, "data", doc, aliases=aliases, **params)
    operator.infer_shape(same_shape)
    operator.cpu, operator.cuda = cpu, cuda
    if gradient is not None:
        operator.gradient(gradient)
    return operator
