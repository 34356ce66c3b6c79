"""The fully connected layer."""
from math import prod

from mxcy.base import MXNetValueError
from mxcy.ops import _dense as kernel
from mxcy.ops.operator import Operator
from mxcy.ops.param import Param

fully_connected = Operator(
    "FullyConnected", "data weight bias?",
    """Affine map of each row: ``out = data @ weight.T + bias``.

    ``data`` is (N, ...), ``weight`` (num_hidden, K), ``bias`` (num_hidden,). With ``flatten`` the axes of ``data``
    behind the first are joined to rows of K; without it the map applies to the last axis and the others stay.
    """,
    aliases=("_npx_fully_connected", "_sparse_FullyConnected"),
    num_hidden=Param(int, min=1, doc="Number of output features."),
    no_bias=Param(bool, False, doc="Leave ``bias`` out."),
    flatten=Param(bool, True, doc="Join all axes of ``data`` but the first."))


@fully_connected.inputs_given
def fully_connected_inputs(no_bias):
    return "data weight" if no_bias else "data weight bias"


@fully_connected.infer_shape
def fully_connected_shape(data, num_hidden, no_bias, flatten):
    if not data:
        raise MXNetValueError("FullyConnected: data has shape (); expected at least one axis")
    rows, features = ((data[0],), prod(data[1:])) if flatten else (data[:-1], data[-1])
    shapes = dict(weight=(num_hidden, features), out=(*rows, num_hidden))
    return shapes if no_bias else dict(shapes, bias=(num_hidden,))


@fully_connected.infer_inputs
def fully_connected_data(data, out, flatten):
    if data and out and len(data) == len(out):
        return dict(data=(out[0], *data[1:]) if flatten else (*out[:-1], data[-1]))


@fully_connected.gradient
def fully_connected_gradient(F, g, data, weight, no_bias, needs):
    hidden, features = weight.shape
    x = F.reshape(data, shape=(-1, features)) if data.ndim != 2 else data
    g = F.reshape(g, shape=(-1, hidden)) if g.ndim != 2 else g
    g_data = F.dot(g, weight) if needs[0] else None
    if needs[0] and data.ndim != 2:
        g_data = F.reshape_like(g_data, data)
    grads = g_data, F.dot(g, x, transpose_a=True) if needs[1] else None
    return grads if no_bias else (*grads, F.sum(g, axis=0) if needs[2] else None)


fully_connected.cpu = kernel.fully_connected
