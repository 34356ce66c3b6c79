"""Cases of mxcy/ops/shape.py and broadcasting.py."""
import numpy as np

from tests.ops.case import Case, const, integers, normal

ALL = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64", "bool")


def depth_to_space(x, block_size):
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, b, b, c // b**2, h, w).transpose(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)


def space_to_depth(x, block_size):
    n, c, h, w = x.shape
    b = block_size
    return x.reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * b**2, h // b, w // b)


def put_diagonal(x, shape, k=0, axis1=0, axis2=1):
    out = np.zeros(shape)
    view = np.moveaxis(out, (axis1, axis2), (-2, -1))
    i = np.arange(x.shape[-1])
    view[..., i + max(-k, 0), i + max(k, 0)] = x
    return out


def transpose(*shape, axes=(), dtypes=("float32", "uint8")):
    return Case("transpose", [integers(0, 99, *shape, dtype=None)], {"axes": axes} if axes else {},
                lambda x, axes=None: x.transpose(axes), dtypes=dtypes, grad=len(shape) < 4, id=f"{shape}{axes}")


CASES = [
    Case("Reshape", [normal(2, 3, 4)], {"shape": (4, 6)}, lambda x, shape: x.reshape(shape), dtypes=ALL),
    Case("Reshape", [normal(2, 3, 4)], {"shape": (-3, -4, 2, -1)}, lambda x, shape: x.reshape(6, 2, 2)),
    Case("Reshape", [normal(2, 3, 4)], {"shape": (-1, 0), "reverse": True}, lambda x, **_: x.reshape(6, 4)),
    Case("Reshape", [normal(2, 3, 4)], {"shape": (0, -2, 1)}, lambda x, **_: x.reshape(2, 3, 4, 1)),
    Case("Reshape", [normal(0, 3)], {"shape": (3, -1)}, lambda x, **_: x.reshape(3, 0)),
    Case("Reshape", [normal(2, 3, 4)], {"target_shape": (0, 6)}, lambda x, **_: x.reshape(4, 6)),
    Case("reshape_like", [normal(2, 3, 4), normal(4, 6)], {}, lambda x, y: x.reshape(y.shape)),
    Case("reshape_like", [normal(30, 7), normal(15, 2, 4)], dict(lhs_begin=0, lhs_end=1, rhs_begin=0, rhs_end=2),
         lambda x, y, **_: x.reshape(15, 2, 7)),
    Case("Flatten", [normal(2, 3, 4)], {}, lambda x: x.reshape(2, 12)),
    Case("expand_dims", [normal(2, 3)], {"axis": -2}, lambda x, axis: np.expand_dims(x, axis)),
    Case("squeeze", [normal(1, 3, 1)], {}, lambda x: x.squeeze()),
    Case("squeeze", [normal(1, 3, 1)], {"axis": (0,)}, lambda x, axis: x.squeeze(axis)),
    Case("squeeze", [normal(1, 1)], {}, lambda x: x.reshape(1)),
    transpose(3, 4, dtypes=ALL),
    transpose(70, 131, dtypes=("float64", "float32", "float16", "uint8")),
    transpose(0, 3),
    transpose(2, 3, 4, axes=(0, 2, 1)),
    transpose(2, 3, 4, axes=(1, 2, 0)),
    transpose(33, 2, 65, 4, axes=(2, 1, 0, 3), dtypes=("float64", "float32", "float16", "uint8")),
    transpose(5, 40, 3, 17, axes=(0, 2, 3, 1)),
    transpose(5, 3, 17, 40, axes=(3, 1, 0, 2)),
    Case("SwapAxis", [normal(2, 3, 4)], {"dim1": 0, "dim2": -1}, lambda x, dim1, dim2: x.swapaxes(dim1, dim2)),
    Case("depth_to_space", [normal(2, 12, 3, 5)], {"block_size": 2}, depth_to_space),
    Case("space_to_depth", [normal(2, 3, 6, 4)], {"block_size": 2}, space_to_depth),
    Case("broadcast_to", [normal(2, 1, 3, 1)], {"shape": (2, 4, 0, 5)},
         lambda x, shape: np.broadcast_to(x, (2, 4, 3, 5)), dtypes=ALL),
    Case("broadcast_axis", [normal(1, 3, 1)], {"axis": (0, 2), "size": (2, 5)},
         lambda x, axis, size: np.broadcast_to(x, (2, 3, 5))),
    Case("broadcast_like", [normal(1, 3), normal(4, 3)], {}, lambda x, y: np.broadcast_to(x, y.shape)),
    Case("broadcast_like", [normal(1, 3), normal(6, 7)], {"lhs_axes": (0,), "rhs_axes": (-1,)},
         lambda x, y, **_: np.broadcast_to(x, (7, 3))),
    Case("tile", [normal(2, 3)], {"reps": (2, 1, 3)}, np.tile, dtypes=ALL),
    Case("tile", [normal(2, 3, 2)], {"reps": (2,)}, np.tile),
    Case("tile", [normal(2, 3)], {"reps": (2, 0)}, np.tile),
    Case("repeat", [normal(2, 3)], {"repeats": 3}, np.repeat, dtypes=ALL),
    Case("repeat", [normal(2, 3, 2)], {"repeats": 2, "axis": -2}, np.repeat),
    Case("diag", [normal(4)], {"k": -1}, np.diag),
    Case("diag", [normal(3, 4)], {"k": 1}, np.diag),
    Case("diag", [normal(2, 3, 4)], {"k": -1, "axis1": 2, "axis2": 0},
         lambda x, k, axis1, axis2: np.diagonal(x, k, axis1, axis2)),
    Case("_backward_diag", [normal(4, 1)], {"shape": (2, 4, 3), "k": -1, "axis1": 0, "axis2": 2}, put_diagonal),
    Case("shape_array", [normal(2, 3)], {}, lambda x: np.array(x.shape), grad=False),
    Case("size_array", [const(np.zeros((2, 0)))], {}, lambda x: np.array([x.size]), grad=False),
]
