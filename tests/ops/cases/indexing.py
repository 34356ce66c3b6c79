"""Selection by arrays of indices, and its reverse."""
import numpy as np

from tests.ops.case import Case, const, integers, normal

INDICES = ("float32", "float64", "float16", "int32", "int64", "int8", "uint8")


def take(a, indices, axis=0, mode="clip"):
    return np.take(a, indices.astype(int), axis, mode=mode)


def embedding(data, weight, **_):
    return take(weight, data)


def pick(x, index, axis=-1, keepdims=False, mode="clip"):
    n = x.shape[axis]
    index = index.astype(int).reshape(np.delete(x.shape, axis))
    index = index % n if mode == "wrap" else index.clip(0, n - 1)
    out = np.take_along_axis(x, np.expand_dims(index, axis), axis)
    return out if keepdims else out.squeeze(axis)


def one_hot(indices, depth, on_value=1, off_value=0, dtype="float32"):
    hit = indices.astype(int)[..., None] == np.arange(depth)
    return np.where(hit, on_value, off_value).astype(dtype)


def scatter_nd(data, indices, shape):
    out = np.zeros(shape, data.dtype)
    out[tuple(indices.astype(int))] = data
    return out


def scatter_set_nd(lhs, rhs, indices, shape):
    out = lhs.copy()
    out[tuple(indices.astype(int))] = rhs
    return out


def fill(lhs, mhs, rhs):
    out = lhs.copy()
    out[np.arange(len(out)), rhs.astype(int)] = mhs
    return out


def add_at(data, indices, shape):
    out = np.zeros(shape)
    np.add.at(out, tuple(indices.astype(int)), data)
    return out


CASES = [
    *[Case("take", [normal(5, 4, 3), integers(-7, 9, 2, 6)], dict(axis=axis, mode=mode), take)
      for axis in (0, 1, -1) for mode in ("clip", "wrap")],
    Case("take", [normal(5, 4), integers(-5, 5, 7)], dict(mode="raise"), take),
    *[Case("take", [integers(0, 100, 6, 2, dtype=dtype), integers(0, 6, 5)], {}, take, grad=False, dtypes=("float32",),
           id=f"of {dtype}") for dtype in ("int8", "int32", "int64", "uint8")],
    *[Case("take", [normal(6, 2), integers(0, 6, 5, dtype=dtype)], {}, take, grad=(0,), id=f"by {dtype}")
      for dtype in INDICES],
    Case("take", [normal(50, 700), integers(0, 50, 3000)], {}, take, grad=False, dtypes=("float32",), id="large"),
    Case("Embedding", [integers(-1, 8, 3, 4), normal(6, 5)], dict(input_dim=6, output_dim=5), embedding, grad=(1,)),
    *[Case("pick", [normal(3, 4, 5), integers(-2, 7, *shape)], dict(axis=axis, mode=mode, keepdims=keepdims), pick)
      for axis, shape in [(0, (4, 5)), (1, (3, 1, 5)), (-1, (3, 4))] for mode in ("clip", "wrap")
      for keepdims in (False, True)],
    *[Case("pick", [normal(5, 4), integers(0, 4, 5, dtype=dtype)], {}, pick, grad=(0,), id=f"by {dtype}") for dtype in INDICES],
    Case("batch_take", [normal(5, 4), integers(-1, 6, 5)], {}, pick),
    Case("fill_element_0index", [normal(5, 4), normal(5), integers(0, 4, 5)], {}, fill),
    *[Case("one_hot", [integers(-1, 5, 2, 3)], dict(depth=4, dtype=dtype, on_value=3, off_value=1), one_hot, grad=False,
           dtypes=("float32",)) for dtype in INDICES],
    Case("one_hot", [const([0, 1.7, 2, np.nan])], dict(depth=3), lambda x, depth: one_hot(np.nan_to_num(x), depth), grad=False),
    *[Case("gather_nd", [normal(5, 4, 3), integers(-3, 3, *shape)], {}, lambda x, at: x[tuple(at.astype(int))], id=str(shape))
      for shape in [(1, 6), (2, 2, 3), (3, 9)]],
    Case("gather_nd", [normal(5, 4), integers(0, 4, 2, 6, dtype="float32")], {}, lambda x, at: x[tuple(at.astype(int))],
         grad=(0,), id="by float32"),
    Case("scatter_nd", [normal(3, 2), const([[0, 4, 2], [1, 0, 3]], "int32")], dict(shape=(5, 4, 2)), scatter_nd),
    Case("scatter_nd", [normal(3), const([[0, 2, 2], [1, 0, 0]], "int64")], dict(shape=(5, 4)), scatter_nd, grad=False,
         id="last of several"),
    Case("_backward_gather_nd", [normal(5, 2), integers(-1, 2, 2, 5)], dict(shape=(3, 4, 2)), add_at),
    Case("_scatter_set_nd", [normal(5, 4, 2), normal(3, 2), const([[0, 4, 2], [1, 0, 3]], "int32")], dict(shape=(5, 4, 2)),
         scatter_set_nd),
    Case("_contrib_index_copy", [normal(5, 3), const([4, 1], "int32"), normal(2, 3)], {},
         lambda old, at, new: np.stack([new[1] if i == 1 else new[0] if i == 4 else row for i, row in enumerate(old)])),
    *[Case("_contrib_boolean_mask", [normal(4, 3, 2), const(keep)], dict(axis=axis),
           lambda x, keep, axis: np.compress(keep != 0, x, axis), grad=(0,), id=f"{axis},{sum(keep)}")
      for axis, keep in [(0, [1, 0, 2, 0]), (1, [0, 1, 1]), (0, [0, 0, 0, 0])]],
]
