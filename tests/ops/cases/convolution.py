"""Convolution and Deconvolution of 1 to 3 spatial axes."""
import itertools

import numpy as np

from tests.ops.case import Case, normal


def filled(kernel, stride=(), dilate=(), pad=()):
    n = len(kernel)
    return stride or (1,) * n, dilate or (1,) * n, pad or (0,) * n


def taps(padded, out, kernel, stride, dilate):
    """For each position in the window: itself, and the part of the padded data that it meets."""
    for tap in itertools.product(*map(range, kernel)):
        yield tap, padded[(..., *(slice(t * d, t * d + (o - 1) * s + 1, s) for t, d, o, s in zip(tap, dilate, out, stride)))]


def padded_shape(out, kernel, stride, dilate):
    return tuple((o - 1) * s + (k - 1) * d + 1 for o, k, s, d in zip(out, kernel, stride, dilate))


def convolution(x, w, b=None, *, kernel, num_group=1, stride=(), dilate=(), pad=(), num_filter=None, **_):
    stride, dilate, pad = filled(kernel, stride, dilate, pad)
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pad)])
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilate)]
    x = x.reshape(len(x), num_group, x.shape[1] // num_group, *x.shape[2:])
    w = w.reshape(num_group, -1, *w.shape[1:])
    y = sum(np.einsum("ngc...,gfc->ngf...", part, w[(..., *tap)]) for tap, part in taps(x, out, kernel, stride, dilate))
    y = y.reshape(len(y), len(w) * w.shape[1], *out)
    return y if b is None else y + b.reshape(-1, *[1] * len(kernel))


def deconvolution(x, w, b=None, *, kernel, num_group=1, stride=(), dilate=(), pad=(), adj=(), target_shape=(), **_):
    stride, dilate, pad = filled(kernel, stride, dilate, pad)
    full = padded_shape(x.shape[2:], kernel, stride, dilate)
    if target_shape:
        pad = tuple((n - t + 1) // 2 for n, t in zip(full, target_shape))
    out = target_shape or tuple(n - 2 * p + a for n, p, a in zip(full, pad, adj or (0,) * len(kernel)))
    n, g = len(x), num_group
    room = [max(f, o + p) for f, o, p in zip(full, out, pad)]
    y = np.zeros((n, g, w.shape[1], *room))
    x, w = x.reshape(n, g, -1, *x.shape[2:]), w.reshape(g, -1, *w.shape[1:])
    for tap, part in taps(y, x.shape[3:], kernel, stride, dilate):
        part += np.einsum("ngf...,gfc->ngc...", x, w[(..., *tap)])
    y = y.reshape(n, -1, *room)[(..., *(slice(p, p + o) for p, o in zip(pad, out)))]
    return y if b is None else y + b.reshape(-1, *[1] * len(kernel))


SPACE = (7, 6, 5)
WINDOWS = [dict(kernel=(3, 2, 3)), dict(kernel=(3, 3, 2), stride=(2, 1, 2), pad=(1, 2, 1)),
           dict(kernel=(2, 3, 2), dilate=(2, 1, 3), pad=(2, 0, 1)), dict(kernel=(1, 1, 1)),
           dict(kernel=(1, 1, 1), stride=(2, 3, 1))]
CHANNELS = [(4, 6, 1), (4, 6, 2), (3, 3, 3), (32, 16, 1)]       # of data, filters, groups


def cut(window, n):
    return {key: value[:n] for key, value in window.items()}


def rows():
    for n, (i, window), (c, f, g) in itertools.product((1, 2, 3), enumerate(WINDOWS), CHANNELS):
        if c == 32 and n != 2:
            continue
        params = dict(cut(window, n), num_filter=f, num_group=g, no_bias=bool(i % 2))
        bias = [] if i % 2 else [normal(f)]
        dtypes = ("float32", "float64", "float16", "bfloat16") if n == 2 and g == 1 else ("float32", "float64")
        yield Case("Convolution", [normal(2, c, *SPACE[:n]), normal(f, c // g, *params["kernel"]), *bias], params,
                   convolution, dtypes=dtypes, second=c < 32)
        adj = [dict(), dict(adj=tuple(s - 1 for s in params["stride"]))] if "stride" in params else [dict()]
        for extra in adj:
            yield Case("Deconvolution", [normal(2, c, *SPACE[:n]), normal(c, f // g, *params["kernel"]), *bias],
                       {**params, **extra}, deconvolution, dtypes=dtypes, second=c < 32)


def last(oracle):
    """The oracle for channels last."""
    def function(x, w, *bias, **params):
        return np.moveaxis(oracle(np.moveaxis(x, -1, 1), np.moveaxis(w, -1, 1), *bias, **params), 1, -1)
    return function


def rows_last():
    for n, window, (c, f, g) in itertools.product((1, 2, 3), WINDOWS[1:3], CHANNELS[1:3]):
        params = dict(cut(window, n), num_filter=f, num_group=g, layout=("NWC", "NHWC", "NDHWC")[n - 1])
        for operator, oracle, weight in (("Convolution", convolution, (f, *params["kernel"], c // g)),
                                         ("Deconvolution", deconvolution, (c, *params["kernel"], f // g))):
            yield Case(operator, [normal(2, *SPACE[:n], c), normal(*weight), normal(f)], {**params, "no_bias": False},
                       last(oracle), dtypes=("float32", "float64"), second=n == 2, id=params["layout"])
    for operator, oracle in (("Convolution", convolution), ("Deconvolution", deconvolution)):
        yield Case(operator, [normal(2, 7, 6, 16), normal(16, 16, 3, 3)],
                   dict(kernel=(3, 3), num_filter=16, layout="NHWC", weight_layout="first", no_bias=True),
                   lambda x, w, oracle=oracle, **params: last(oracle)(x, np.moveaxis(w, 1, -1), **params),
                   dtypes=("float32", "float64"), id="weights first")


CASES = [
    *rows(),
    *rows_last(),
    *[Case("Deconvolution", [normal(1, 2, 4, 4), normal(2, 3, 3, 3)],
           dict(kernel=(3, 3), num_filter=3, target_shape=target, stride=stride), deconvolution)
      for target, stride in [((9, 9), (2, 2)), ((7, 8), (2, 2)), ((6, 6), ()), ((5, 3), ())]],
    *[Case("Convolution", [normal(*shape, 8, 8), normal(3, shape[1], 3, 3), normal(3)], dict(kernel=(3, 3), num_filter=3),
           convolution, grad=False, id=f"data {shape}") for shape in [(0, 2), (1, 1)]],
]
