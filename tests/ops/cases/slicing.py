"""Cases of mxcy/ops/slicing.py, joining.py and padding.py."""
import numpy as np

from tests.ops.case import Case, normal

ALL = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64", "bool")


def index(begin, end, step=()):
    step = step or (None,) * len(begin)
    return tuple(slice(*where) for where in zip(begin, end, step))


def take_slice(x, **where):
    return x[index(**where)]


def put_slice(x, shape, **where):
    out = np.zeros(shape)
    out[index(**where)] = x
    return out


def assign(x, part, **where):
    x = x.copy()
    x[index(**where)] = part
    return x


def pad(x, mode, pad_width, **constant):
    widths = list(zip(pad_width[::2], pad_width[1::2]))
    constant = {"constant_values": constant.get("constant_value", 0)} if mode == "constant" else {}
    return np.pad(x, widths, mode=mode, **constant)


def pad_back(g, mode, pad_width):
    shape = [n - a - b for n, a, b in zip(g.shape, pad_width[::2], pad_width[1::2])]
    places = np.pad(np.arange(np.prod(shape)).reshape(shape), list(zip(pad_width[::2], pad_width[1::2])), mode=mode)
    return np.bincount(places.ravel(), g.ravel()).reshape(shape)


def padding(mode, dtypes=("float32", "float64", "float16"), **constant):
    return Case("Pad", [normal(2, 3, 4, 5)], dict(mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 1), **constant), pad,
                dtypes=dtypes)


CASES = [
    Case("slice", [normal(4, 3, 5)], {"begin": (1, None), "end": (3, None), "step": (1, -2)}, take_slice, dtypes=ALL),
    Case("slice", [normal(4, 3, 5)], {"begin": (-3,), "end": (99,)}, take_slice),
    Case("slice", [normal(4, 3)], {"begin": (9,), "end": (None,), "step": (-3,)}, take_slice),
    Case("slice", [normal(4, 3)], {"begin": (2, 0), "end": (2, 2)}, take_slice),
    Case("_backward_slice", [normal(2, 2)], {"shape": (4, 3), "begin": (3, 0), "end": (None, 2), "step": (-3, 1)},
         put_slice),
    Case("slice_axis", [normal(4, 5)], {"axis": -1, "begin": -3, "end": None}, lambda x, **_: x[:, 2:]),
    Case("slice_axis", [normal(4, 5)], {"axis": 0, "begin": 1, "end": -1}, lambda x, **_: x[1:-1]),
    Case("slice_like", [normal(4, 5), normal(2, 3)], {}, lambda x, y: x[:2, :3]),
    Case("slice_like", [normal(4, 5), normal(2, 3, 4)], {"axes": (-1,)}, lambda x, y, axes: x[:, :3]),
    Case("_slice_assign", [normal(4, 3), normal(2, 3)], {"begin": (3,), "end": (None,), "step": (-2,)}, assign,
         dtypes=ALL),
    Case("_slice_assign_scalar", [normal(4, 3)], {"scalar": 2.5, "begin": (None, 1), "end": (3, None)},
         lambda x, scalar, **where: assign(x, scalar, **where)),
    Case("_slice_assign_scalar", [normal(4, 3)], {"scalar": 7, "begin": (-1, 9), "end": (0, None), "step": (-2, -2)},
         lambda x, scalar, **where: assign(x, scalar, **where), dtypes=ALL[:-1]),
    Case("Crop", [normal(2, 3, 5, 6), normal(1, 1, 2, 3)], {"offset": (1, 2)}, lambda x, y, **_: x[:, :, 1:3, 2:5]),
    Case("Crop", [normal(2, 3, 5, 6)], {"h_w": (2, 2), "center_crop": True}, lambda x, **_: x[:, :, 1:3, 2:4]),
    Case("Concat", [normal(2, 3, 4), normal(2, 1, 4), normal(2, 0, 4)], {}, lambda *x: np.concatenate(x, 1),
         dtypes=ALL),
    Case("Concat", [normal(3, 4), normal(3, 2)], {"dim": -1}, lambda *x, dim: np.concatenate(x, dim)),
    Case("Concat", [normal(3, 4)], {"dim": 0}, lambda x, dim: x),
    Case("stack", [normal(2, 3), normal(2, 3)], {}, lambda *x: np.stack(x), dtypes=ALL),
    Case("stack", [normal(2, 3), normal(2, 3), normal(2, 3)], {"axis": -1}, lambda *x, axis: np.stack(x, axis)),
    Case("SliceChannel", [normal(2, 6, 3)], {"num_outputs": 3}, lambda x, **_: np.split(x, 3, 1), dtypes=ALL),
    Case("SliceChannel", [normal(2, 3)], {"num_outputs": 3, "squeeze_axis": True}, lambda x, **_: list(x.T)),
    Case("SliceChannel", [normal(2, 3)], {"num_outputs": 1, "axis": 0}, lambda x, **_: x),
    Case("_split_v2", [normal(2, 6)], {"indices": (0, 1, 4), "axis": -1}, lambda x, **_: np.split(x, [1, 4], 1)),
    Case("_split_v2", [normal(4, 6)], {"indices": (), "sections": 2, "axis": 0}, lambda x, **_: np.split(x, 2)),
    Case("_split_v2", [normal(2, 6)], {"indices": (0, 1, 2), "axis": 0, "squeeze_axis": False},
         lambda x, **_: np.split(x, [1, 2])),
    Case("reverse", [normal(2, 3, 4)], {"axis": 1}, lambda x, axis: np.flip(x, axis), dtypes=ALL),
    Case("reverse", [normal(2, 3, 4)], {"axis": (0, -1)}, lambda x, axis: np.flip(x, axis)),
    padding("constant", constant_value=2.5), padding("edge", dtypes=ALL), padding("reflect"),
    Case("Pad", [normal(1, 2, 5, 4)], {"mode": "constant", "pad_width": (0, 0, 0, 0, -1, 0, -1, 2)},
         lambda x, **_: np.pad(x[:, :, 1:, 1:], [(0, 0)] * 3 + [(0, 2)])),
    *(Case("_backward_Pad", [normal(1, 2, 7, 6)], {"mode": mode, "pad_width": (0, 0, 0, 0, 1, 2, 2, 1)}, pad_back)
      for mode in ("edge", "reflect")),
]
