"""Case: one row of the operator tests; and where its inputs come from.

A row names an operator, its inputs, its parameters and a NumPy oracle. `test_cases.py` derives from it the forward test
in each dtype, the gradient and second gradient against finite differences, and gradient accumulation.
"""
import os
import zlib
from dataclasses import dataclass

import numpy as np

import mxcy as mx
from mxcy.dtype import NUMPY
from mxcy.imperative._function import F
from mxcy.ops.operator import lookup

__all__ = ["Case", "away_from", "booleans", "const", "distinct", "integers", "normal", "positive", "uniform"]


@dataclass(frozen=True)
class Input:
    """A recipe for an input array."""
    draw: callable                          # random generator -> NumPy array
    dtype: str = None                       # None: the dtype that the test is about

    def sample(self, rng, dtype):
        return np.asarray(self.draw(rng)).astype(NUMPY[self.dtype or dtype])


def normal(*shape):
    """Standard normal numbers."""
    return Input(lambda rng: rng.normal(size=shape))


def uniform(lo, hi, *shape):
    """Numbers in [lo, hi)."""
    return Input(lambda rng: rng.uniform(lo, hi, shape))


def positive(*shape):
    """Numbers in [0.5, 2)."""
    return uniform(.5, 2, *shape)


def away_from(point, shape, gap=.1):
    """Normal numbers at least ``gap`` away from ``point``, where the operator has a kink."""
    def draw(rng):
        x = rng.normal(size=shape)
        return point + x + np.copysign(gap, x)
    return Input(draw)


def distinct(*shape):
    """Distinct numbers, well apart, in random order: for sorting, and for maxima without ties."""
    def draw(rng):
        size = int(np.prod(shape))
        return (rng.permutation(size) - size / 2 + .25).reshape(shape) / 8
    return Input(draw)


def integers(lo, hi, *shape, dtype="int32"):
    """Integers in [lo, hi), of ``dtype`` whatever the dtype of the test; ``dtype=None``: of the test's."""
    return Input(lambda rng: rng.integers(lo, hi, shape), dtype)


def booleans(*shape):
    """True or False."""
    return Input(lambda rng: rng.random(shape) < .5, "bool")


def const(array, dtype=None):
    """This array, in the dtype of the test or in ``dtype``."""
    return Input(lambda rng: np.array(array), dtype)


class Case:
    """One row: ``operator(*inputs, **params)`` is ``oracle(*inputs, **params)``.

    Parameters
    ----------
    operator : str
        Registered name.
    inputs : list of Input
        In the operator's order.
    params : dict
        Parameters, as a user would give them.
    oracle : callable or None
        Of the inputs as NumPy arrays (floats as float64) and the parameters; returns the visible outputs.
    grad : bool or tuple of int
        Whether gradients are checked, or of which inputs. True: of all float ones that the operator does not change.
    second : bool
        Whether second gradients are checked too.
    dtypes : tuple of str
        In which to run forward.
    train : bool
        Whether to run in training mode.
    slack : float
        Factor on the tolerance of the forward test.
    id : str, optional
        Tells cases of one operator apart; made from the parameters if not given.
    """

    def __init__(self, operator, inputs, params, oracle, *, grad=True, second=True,
                 dtypes=("float32", "float64", "float16"), train=False, slack=1., id=None):
        self.operator, self.inputs, self.params, self.oracle = operator, list(inputs), dict(params), oracle
        self.grad, self.second, self.dtypes, self.train, self.slack = grad, second, dtypes, train, slack
        self.id = id or ",".join(f"{k}={v}" for k, v in self.params.items())

    def __str__(self):
        return f"{self.operator}[{self.id}]" if self.id else self.operator

    def rng(self):
        """The case's own random generator; ``MXCY_TEST_SEED`` gives other draws. A failure shows the seed."""
        seed = zlib.crc32(str(self).encode()) + int(os.environ.get("MXCY_TEST_SEED", "0"))
        print(f"{self}: seed {seed}")
        return np.random.default_rng(seed)

    def sample(self, dtype, rng):
        """Draw the inputs as NumPy arrays."""
        return [x.sample(rng, dtype) for x in self.inputs]

    def expected(self, inputs):
        """The oracle's outputs, as a list."""
        wide = [x.astype(np.float64) if x.dtype.kind not in "biu" else x for x in inputs]
        result = self.oracle(*wide, **self.params)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def call(self, arrays):
        """Run imperatively on NDArrays; the visible outputs, as a list. Random operators start from the same state."""
        if lookup(self.operator).random:
            mx.random.seed(1)
        result = function(self.operator)(*arrays, **self.params)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    def differentiable(self, inputs):
        """Indices of the inputs whose gradients are checked."""
        if isinstance(self.grad, tuple):
            return self.grad
        operator = lookup(self.operator)
        names = operator.inputs
        fixed = {names.index(n) for n in (*operator.aux, *operator.mutates)} if not operator.variadic else ()
        return tuple(i for i, x in enumerate(inputs) if self.grad and x.dtype.kind not in "biu" and i not in fixed)


def function(name):
    """The imperative function of a registered name."""
    return getattr(F, name)
