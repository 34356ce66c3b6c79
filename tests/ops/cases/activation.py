"""Activations chosen by name."""
import numpy as np
from scipy import special

from tests.ops.case import Case, away_from, normal, positive

X = away_from(0, (3, 4))
ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "sigmoid": special.expit, "tanh": np.tanh,
               "softrelu": lambda x: np.logaddexp(x, 0), "softsign": lambda x: x / (1 + np.abs(x))}
RECTIFIERS = {"leaky": lambda x, slope: np.where(x > 0, x, slope * x),
              "elu": lambda x, slope: np.where(x > 0, x, slope * np.expm1(x)),
              "selu": lambda x, slope: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
              "gelu": lambda x, slope: x * special.ndtr(x)}


def prelu(x, gamma, act_type):
    if gamma.shape not in (x.shape, (1,)):
        gamma = gamma.reshape(-1, *[1] * (x.ndim - 2))
    return np.where(x > 0, x, gamma * x)


CASES = [
    *(Case("Activation", [X], dict(act_type=name), lambda x, act_type, f=f: f(x)) for name, f in ACTIVATIONS.items()),
    *(Case("LeakyReLU", [X], dict(act_type=name, slope=.3), lambda x, act_type, slope, f=f: f(x, slope))
      for name, f in RECTIFIERS.items()),
    *(Case("LeakyReLU", [away_from(0, shape), positive(*gamma)], dict(act_type="prelu"), prelu,
           id=f"prelu{shape}{gamma}")
      for shape, gamma in (((3, 4), (4,)), ((3, 4), (1,)), ((3, 4), (3, 4)), ((2, 3, 4, 2), (3,)), ((2, 3, 2), (1,)),
                           ((5,), (1,)), ((2, 1, 3), (1,)), ((0, 3), (3,)))),
    Case("LeakyReLU", [X], dict(act_type="rrelu"), lambda x, act_type: np.where(x > 0, x, (.125 + .333999991) / 2 * x)),
    Case("LeakyReLU", [normal(40, 40)], dict(act_type="rrelu"), None, train=True, id="rrelu,train"),
]
