"""Cases of mxcy/ops/fused_convolution.py; without oneDNN no plan uses these operators."""
import numpy as np

from mxcy import nd
from mxcy.imperative._function import F
from mxcy.ops._onednn import available
from tests.ops.case import Case, Input, normal
from tests.ops.cases.convolution import convolution, last

WEIGHT = np.random.default_rng(3).normal(size=(32, 3, 3, 8)).astype(np.float32)
WINDOW = dict(kernel=(3, 3), stride=(2, 1), pad=(1, 1), num_filter=32, num_group=2, layout="NHWC")
DATA, OUT = (2, 9, 7, 16), (2, 5, 7, 32)

ACTIVATIONS = {
    None: lambda x: x, "relu": lambda x: np.where(x > 0, x, .1 * x), "clip": lambda x: np.clip(x, .1, .8),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "tanh": np.tanh, "elu": lambda x: np.where(x > 0, x, .1 * np.expm1(x))}


def prepared(rng):
    return F._prepare_convolution_weight(nd.array(WEIGHT), data_shape=DATA, out_shape=OUT, **WINDOW).asnumpy()


def fused(x, w, bias, addend=0, *, activation, **_):
    return ACTIVATIONS[activation](last(convolution)(x, WEIGHT, bias, **WINDOW) + addend)


def rows():
    for activation in ACTIVATIONS:
        for addend in (False, True):
            params = dict(WINDOW, activation=activation, alpha=.1, beta=.8, with_addend=addend)
            yield Case("_fused_convolution", [normal(*DATA), Input(prepared), normal(32), *[normal(*OUT)] * addend], params,
                       fused, dtypes=("float32",), grad=False, slack=16, id=f"{activation} {addend}")


def summed(x, w, bias, addend=0, *, activation, **_):
    total = last(convolution)(x, w, bias, **WINDOW) + addend
    return np.maximum(total, 0) if activation else total


SUMS = [Case("_convolution_sum", [normal(*DATA), normal(*WEIGHT.shape), normal(32), *[normal(*OUT)] * addend],
             dict(WINDOW, activation=activation, with_addend=addend), summed, grad=False, slack=16,
             id=f"{activation} {addend}") for activation in (None, "relu") for addend in (False, True)]

CASES = [
    *SUMS,
    *rows(),
    Case("_prepare_convolution_weight", [normal(*WEIGHT.shape)], dict(WINDOW, data_shape=DATA, out_shape=OUT), None,
         dtypes=("float32",), grad=False),
] if available() else SUMS
