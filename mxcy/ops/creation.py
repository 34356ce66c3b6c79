"""Arrays made from numbers."""
import math

from mxcy.base import MXNetValueError
from mxcy.ops import _init as kernel
from mxcy.ops.family import unary
from mxcy.ops.operator import ZERO, Operator
from mxcy.ops.param import Dtype, Param, Shape


def creation(name, doc, cpu, aliases=(), dtype="float32", **params):
    """An operator without inputs."""
    operator = Operator(name, "", doc, aliases=aliases, **params,
                        ctx=Param(str, "", doc="Device of the array, such as ``cpu(0)``; the current one if empty."),
                        dtype=Param(Dtype, dtype, doc="The dtype of the array."))
    operator.cpu = cpu
    operator.gradient(ZERO)
    return operator


def constant(name, doc, cpu, aliases=(), **params):
    operator = creation(name, doc, cpu, aliases, shape=Param(Shape, (), min=0, doc="The shape of the array."),
                        **params)
    operator.infer_shape(lambda shape: shape)


constant("_zeros", "An array of zeros.", kernel.zeros)
constant("_ones", "An array of ones.", kernel.ones)
constant("_full", "An array that holds one number.", kernel.full, aliases=("_npi_full",),
         value=Param(float, doc="The number."))
unary("zeros_like", "Zeros in the shape and dtype of ``data``.", cpu=kernel.zeros, gradient=ZERO,
      aliases=("_sparse_zeros_like",))
unary("ones_like", "Ones in the shape and dtype of ``data``.", cpu=kernel.ones, gradient=ZERO)

unary("_assign_scalar", "``scalar`` in the shape and dtype of ``data``; with ``out=data``, an assignment.",
      cpu=kernel.any_number, gradient=ZERO, scalar=0.)

arange = creation(
    "_arange", "The numbers from ``start`` up to, not including, ``stop`` in steps of ``step``.", kernel.arange,
    start=Param(float, doc="The first number; without ``stop``, the bound, and the first number is 0."),
    stop=Param(float, None, doc="The bound."),
    step=Param(float, 1., doc="The difference of two numbers, not 0."),
    repeat=Param(int, 1, min=1, doc="How many times each number stands in the array."),
    infer_range=Param(bool, False, doc="Ignored: shapes are not inferred backwards."))


@arange.infer_shape
def _(start, stop, step, repeat):
    if stop is None:
        start, stop = 0., start
    if step == 0:
        raise MXNetValueError("_arange: step is 0; expected another number")
    steps = (stop - start) / step
    if not 0 < steps < math.inf:
        raise MXNetValueError(f"_arange: there are no numbers from {start} to {stop} in steps of {step}")
    return (math.ceil(steps) * repeat,)


linspace = creation(
    "_linspace", "Numbers at equal distances from ``start`` to ``stop``.", kernel.linspace, aliases=("_npi_linspace",),
    start=Param(float, doc="The first number."),
    stop=Param(float, doc="The last number, or the bound without ``endpoint``."),
    num=Param(int, min=0, doc="How many numbers."),
    endpoint=Param(bool, True, doc="Whether ``stop`` is the last number."))


@linspace.infer_shape
def _(num):
    return (num,)


eye = creation(
    "_eye", "A matrix with ones on a diagonal and zeros elsewhere.", kernel.eye,
    N=Param(int, min=0, doc="Rows."),
    M=Param(int, 0, min=0, doc="Columns; 0: as many as rows."),
    k=Param(int, 0, doc="The diagonal: 0 the main one, positive above it, negative below."))


@eye.infer_shape
def _(N, M):
    return (N, M or N)
