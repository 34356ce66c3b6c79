"""Pooling of each kind, over 1 to 3 spatial axes, in both layouts."""
import itertools

import numpy as np

from tests.ops.case import Case, const, distinct, normal, positive


def pooling(x, kernel=(), pool_type="max", global_pool=False, pooling_convention="valid", stride=(), pad=(), p_value=None,
            count_include_pad=True, layout=None):
    last = bool(layout) and layout.endswith("C")
    x = np.moveaxis(x, -1, 1) if last else x
    space = x.shape[2:]
    n = len(space)
    if global_pool:
        kernel, stride, pad, pooling_convention = space, (), (), "valid"
    stride, pad = stride or (1,) * n, pad or (0,) * n
    room = {"valid": lambda n, k, s, p: (n + 2 * p - k) // s + 1, "full": lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1,
            "same": lambda n, k, s, p: -(-(n + 2 * p) // s)}[pooling_convention]
    out = [room(*axis) for axis in zip(space, kernel, stride, pad)]
    y = np.empty((*x.shape[:2], *out))
    for place in itertools.product(*map(range, out)):
        start = [o * s - p for o, s, p in zip(place, stride, pad)]
        window = x[(..., *(slice(max(a, 0), max(a + k, 0)) for a, k in zip(start, kernel)))]
        window = window.reshape(*x.shape[:2], int(np.prod(window.shape[2:])))
        counted = np.prod([min(a + k, m + p) - a for a, k, m, p in zip(start, kernel, space, pad)])
        if pool_type == "max":
            y[(..., *place)] = window.max(-1, initial=-np.inf)
        elif pool_type == "lp":
            y[(..., *place)] = (window ** p_value).sum(-1) ** (1 / p_value)
        else:
            size = 1 if pool_type == "sum" else counted if count_include_pad else window.shape[-1]
            y[(..., *place)] = window.sum(-1) / max(size, 1)
    return np.moveaxis(y, 1, -1) if last else y


SPACE = (9, 8, 7)
WINDOWS = [dict(kernel=(2, 2, 2), stride=(2, 2, 2)), dict(kernel=(3, 2, 3), stride=(2, 1, 2), pad=(1, 1, 1)),
           dict(kernel=(3, 3, 2)), dict(kernel=(4, 3, 3), stride=(3, 3, 2), pad=(2, 0, 1))]
KINDS = [dict(pool_type="max"), dict(pool_type="avg"), dict(pool_type="avg", count_include_pad=False),
         dict(pool_type="sum"), dict(pool_type="lp", p_value=2), dict(pool_type="lp", p_value=3)]


def rows():
    for n, window, kind in itertools.product((1, 2, 3), WINDOWS, KINDS):
        params = {**{key: value[:n] for key, value in window.items()}, **kind}
        data = {"max": distinct, "lp": positive}.get(kind["pool_type"], normal)
        for convention in ("valid", "full"):
            yield Case("Pooling", [data(2, 3, *SPACE[:n])], {**params, "pooling_convention": convention}, pooling,
                       dtypes=("float32", "float64", "float16") if n == 2 else ("float32", "float64"))
        if n == 2 and "p_value" not in kind:
            yield Case("Pooling", [data(2, *SPACE[:2], 5)], {**params, "layout": "NHWC"}, pooling)


CASES = [
    *rows(),
    *[Case("Pooling", [distinct(2, 3, *SPACE[:n])], dict(kind, global_pool=True), pooling) for n in (1, 2, 3)
      for kind in KINDS[:4]],
    Case("Pooling", [normal(2, 3, 40, 41)], dict(pool_type="avg", global_pool=True), pooling),
    *[Case("Pooling", [distinct(2, 6, 7, channels)], dict(kernel=(3, 2), stride=(2, 1), pad=(1, 1), layout="NHWC"), pooling,
           second=False, id=f"{channels} channels") for channels in (16, 20, 35)],
    Case("Pooling", [distinct(1, 2, 20, 20)], dict(kernel=(17, 16), stride=(2, 2)), pooling, id="window of 272"),
    Case("Pooling", [distinct(1, 2, 9)], dict(kernel=(2,), stride=(2,), pooling_convention="same"), pooling),
    Case("Pooling", [const(np.full((1, 1, 4), -np.inf))], dict(kernel=(2,)), pooling, grad=False, id="minus infinity"),
    Case("Pooling", [normal(0, 3, 8, 8)], dict(kernel=(2, 2)), pooling, grad=False, id="empty"),
]
