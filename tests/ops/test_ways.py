"""Every row of the table three ways: eager, as a symbol bound to arrays, and in a hybridised block; they agree."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon
from mxcy.testing import assert_close
from tests.ops.cases import CASES

#: Operators that plans run in other layouts, where sums have another order; all others agree bit by bit.
LAYOUTS = ("Convolution", "Deconvolution")


class Way:
    """Outputs, gradients and inputs afterwards of one case, computed one way."""

    def __init__(self, case, dtype):
        self.case, self.dtype = case, np.dtype(dtype)
        self.inputs = case.sample(dtype, case.rng())
        self.chosen = case.differentiable(self.inputs) if case.grad else ()
        self.heads = lambda outputs: [mx.nd.array(np.random.default_rng(i).normal(size=y.shape), dtype=y.dtype)
                                      if y.dtype == self.dtype else mx.nd.zeros_like(y) for i, y in enumerate(outputs)]

    def arrays(self):
        mx.random.seed(1)
        return [mx.nd.array(x, dtype=x.dtype) for x in self.inputs]

    def result(self, arrays, outputs, grads):
        return ([y.asnumpy() for y in outputs], [g.asnumpy() for g in grads], [x.asnumpy() for x in arrays])

    def on_tape(self, function):
        """By a function of arrays, recorded."""
        arrays = self.arrays()
        for i in self.chosen:
            arrays[i].attach_grad()
        with autograd.record(self.case.train) if self.chosen or self.case.train else autograd.pause():
            outputs = function(*arrays)
            outputs = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        floats = [y for y in outputs if y.dtype == self.dtype] if self.chosen else []
        if floats:
            heads = [head for head, y in zip(self.heads(outputs), outputs) if y.dtype == self.dtype]
            autograd.backward(floats, heads, train_mode=self.case.train)
        return self.result(arrays, outputs, [arrays[i].grad for i in self.chosen])

    def symbolic(self):
        arrays = self.arrays()
        names = [f"input{i}" for i in range(len(arrays))]
        symbol = self.call(mx.sym, *map(mx.sym.var, names))
        assert mx.sym.load_json(symbol.tojson()).tojson() == symbol.tojson()
        given, states = dict(zip(names, arrays)), symbol.list_auxiliary_states()
        grads = {names[i]: mx.nd.zeros_like(arrays[i]) for i in self.chosen}
        executor = symbol.bind(mx.cpu(), {n: x for n, x in given.items() if n not in states}, grads,
                               aux_states={n: given[n] for n in states})
        outputs = executor.forward(is_train=self.case.train)
        if self.chosen:
            mx.random.seed(1)                           # outside training, backward computes the outputs once more
            executor.backward(self.heads(outputs), is_train=self.case.train)
        return self.result(arrays, outputs, grads.values())

    def hybrid(self):
        block = Block(lambda F, *inputs: self.call(F, *inputs))
        block.hybridize(static_alloc=True, static_shape=True)
        return self.on_tape(block)

    def call(self, F, *inputs):
        return getattr(F._internal, self.case.operator)(*inputs, **self.case.params)


class Block(gluon.HybridBlock):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def hybrid_forward(self, F, x, *others):
        return self.function(F, x, *others)


@pytest.mark.parametrize(("case", "dtype"), [(case, dtype) for case in CASES for dtype in case.dtypes
                                             if case.operator != "reset_arrays"],           # which has no outputs
                         ids=str)
def test_three_ways_agree(case, dtype):
    way = Way(case, dtype)
    eager = way.on_tape(lambda *arrays: way.call(mx.nd, *arrays))
    exact = case.operator not in LAYOUTS and dtype != "float16"     # of which plans round fewer results on the way
    same(way.symbolic(), eager, "symbolic", exact)
    if case.inputs:
        same(way.hybrid(), eager, "hybrid", exact)


def same(found, expected, how, exact):
    for what, actual, wanted in zip(("outputs", "gradients", "inputs"), found, expected):
        assert len(actual) == len(wanted), how
        for i, (a, b) in enumerate(zip(actual, wanted)):
            assert a.shape == b.shape and a.dtype == b.dtype, f"{how}: {what} {i}"
            if exact:
                np.testing.assert_array_equal(a, b, f"{how}: {what} {i}")
            else:
                assert_close(a, b, None)
