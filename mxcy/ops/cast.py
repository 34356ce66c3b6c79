"""Conversions between dtypes."""
from mxcy.base import MXNetTypeError
from mxcy.ops import _cast as kernel
from mxcy.ops.family import unary
from mxcy.ops.operator import Operator
from mxcy.ops.param import Dtype, Param

#: Floating point dtypes, narrowest first.
FLOATS = ("bfloat16", "float16", "float32", "float64")

cast = unary(
    "Cast", """
    Convert to another dtype.

    Floats become integers by truncation towards zero; what a narrow integer cannot hold wraps. float16 and bfloat16 are
    rounded to nearest, halves to even.
    """,
    cpu=kernel.cast, gradient=lambda F, g, data: F.Cast(g, dtype=data.dtype),
    aliases=("cast", "_npi_cast", "_npx_cast"), dtype=Param(Dtype, doc="The dtype of the result."))


@cast.infer_type
def _(dtype):
    return dtype


amp_cast = unary("amp_cast", "Convert floats to another floating point dtype; integers stay as they are.",
                 cpu=kernel.cast, gradient=lambda F, g, data: F.amp_cast(g, dtype=data.dtype),
                 dtype=Param(Dtype, doc="The dtype of the result for floats."))


@amp_cast.infer_type
def _(data, dtype):
    return dtype if data in FLOATS else data


multicast = Operator(
    "amp_multicast", "*data", "Convert arrays to one floating point dtype, the widest among them; integers stay.",
    num_outputs=Param(int, min=1, doc="Number of arrays."),
    cast_narrow=Param(bool, False, doc="Take the narrowest dtype instead."))
multicast.cpu = kernel.cast


@multicast.outputs_given
def _(num_outputs):
    return num_outputs, num_outputs


@multicast.infer_shape
def _(data, num_outputs):
    if len(data) != num_outputs:
        raise MXNetTypeError(f"amp_multicast: {len(data)} arrays were given, but num_outputs is {num_outputs}")
    return list(data)


@multicast.infer_type
def _(data, cast_narrow):
    floats = [d for d in data if d in FLOATS]
    if not floats:
        return list(data)
    common = (min if cast_narrow else max)(floats, key=FLOATS.index)
    return [common if d in FLOATS else d for d in data]


@multicast.gradient
def _(F, gs, data):
    return tuple(None if g is None else F.amp_cast(g, dtype=x.dtype) for g, x in zip(gs, data))
