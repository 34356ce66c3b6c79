"""Choice between two arrays by a condition; sum of any number of arrays."""
from mxcy.base import MXNetTypeError, MXNetValueError
from mxcy.ops import _where as kernel
from mxcy.ops.family import combined
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

where = Operator(
    "where", "condition x y", """
    Elements of ``x`` where the condition is not 0, else of ``y``.

    ``condition`` has the shape of ``x`` and ``y``, or a single axis as long as their first: then it chooses whole rows.
    Its dtype may be any.
    """, aliases=("_sparse_where",))
where.cpu = kernel.where


@where.infer_shape
def _(condition, x, y):
    if x != y:
        raise MXNetValueError(f"where: x has shape {x} and y {y}; they must be equal")
    if condition not in (x, x[:1]):
        raise MXNetValueError(f"where: condition has shape {condition}; expected {x}, or {x[:1]} to choose rows")
    return x


@where.infer_inputs
def _(x, y, out):
    branch = combined((x, y, out))
    return dict(x=branch, y=branch)


@where.infer_type
def _(x, y):
    if x != y and None not in (x, y):
        raise MXNetTypeError(f"where: x is {x} and y is {y}; they must have one dtype. Convert one with astype().")
    return dict(x=x or y, y=x or y, out=x or y)


@where.gradient
def _(F, g, condition, needs):
    none = F.zeros_like(g)
    return None, F.where(condition, g, none) if needs[1] else None, F.where(condition, none, g) if needs[2] else None


add_n = Operator("add_n", "*args", "The sum of arrays of one shape and dtype, from the first to the last.",
                 aliases=("ElementWiseSum", "_sparse_add_n", "_sparse_ElementWiseSum"),
                 num_args=Param(int, None, doc="Ignored: the arrays are counted."))
add_n.cpu = kernel.add_n
add_n.pairwise(lambda: "elemwise_add")


@add_n.infer_shape
def _(args):
    if not args:
        raise MXNetTypeError("add_n: no arrays were given; it needs at least one")
    for i, shape in enumerate(args):
        if shape != args[0]:
            raise MXNetValueError(f"add_n: array {i} has shape {shape} but array 0 has {args[0]}; they must be equal")
    return args[0]


@add_n.infer_inputs
def _(args, out):
    return [combined((*args, out))] * len(args)


@add_n.gradient
def _(g, needs):
    return (g,) * len(needs)
