"""Every row of the table gives the same eagerly, as a bound symbol, and hybridized: values, gradients, changed inputs."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon
from mxcy.ops.operator import lookup
from tests.ops.cases import CASES

#: Results whose shapes depend on values: no symbol can be bound.
DYNAMIC = {"_contrib_boolean_mask"}


def close(found, expected, what):
    """Bitwise, but for what fusion rounds otherwise: a few units in the last place of the largest value."""
    assert found.dtype == expected.dtype and found.shape == expected.shape, what
    if expected.dtype.kind != "f" or not expected.size:
        np.testing.assert_array_equal(found, expected, err_msg=what)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    unit = 16 * np.finfo(expected.dtype).eps
    np.testing.assert_allclose(found, expected, rtol=unit, atol=unit * finite.max(initial=0), err_msg=what)


class Ways:
    """One case, its inputs drawn once."""

    def __init__(self, case):
        self.case, self.rng = case, case.rng()
        self.operator = lookup(case.operator)
        self.inputs = case.sample(case.dtypes[0], self.rng)
        self.chosen = case.differentiable(self.inputs) if case.grad else ()
        self.heads = None

    def call(self, F, arrays):
        result = getattr(F._internal, self.case.operator)(*arrays, **self.case.params)
        return [result] if isinstance(result, mx.nd.NDArray) else list(result)

    def recorded(self, function):
        """Outputs, gradients and inputs afterwards, of a function of arrays."""
        arrays = [mx.nd.array(x, dtype=x.dtype) for x in self.inputs]
        for i in self.chosen:
            arrays[i].attach_grad()
        mx.random.seed(1)
        with autograd.record(self.case.train) if self.chosen else autograd.pause(self.case.train):
            outputs = function(arrays)
        if self.heads is None:
            self.heads = [self.rng.normal(size=y.shape).astype(y.dtype) for y in outputs]
        floats = [i for i, y in enumerate(outputs) if np.dtype(y.dtype).kind == "f"]
        if self.chosen:
            autograd.backward([outputs[i] for i in floats], [mx.nd.array(self.heads[i], dtype=self.heads[i].dtype)
                                                             for i in floats])
        return ([y.asnumpy() for y in outputs], [arrays[i].grad.asnumpy() for i in self.chosen],
                [x.asnumpy() for x in arrays])

    def eager(self):
        return self.recorded(lambda arrays: self.call(mx.nd, arrays))

    def hybrid(self):
        block = gluon.nn.HybridLambda(lambda F, *arrays: self.call(F, arrays))
        block.hybridize()
        return self.recorded(lambda arrays: block(*arrays))

    def symbol(self):
        names = [f"input{i}" for i in range(len(self.inputs))]
        symbol = mx.sym.Group(self.call(mx.sym, [mx.sym.var(name) for name in names]))
        arrays = {name: mx.nd.array(x, dtype=x.dtype) for name, x in zip(names, self.inputs)}
        grads = {names[i]: mx.nd.zeros(self.inputs[i].shape, dtype=self.inputs[i].dtype) for i in self.chosen}
        arguments, states = symbol.list_arguments(), symbol.list_auxiliary_states()
        executor = symbol.bind(mx.cpu(), {name: arrays[name] for name in arguments}, grads,
                               {name: "write" if name in grads else "null" for name in arguments},
                               {name: arrays[name] for name in states})
        mx.random.seed(1)
        outputs = [y.asnumpy() for y in executor.forward(is_train=self.case.train)]
        if grads:
            mx.random.seed(1)                   # after a forward pass for prediction, backward runs another one
            executor.backward([mx.nd.array(head, dtype=head.dtype) for head in self.heads], is_train=self.case.train)
        return (outputs, [grads[names[i]].asnumpy() for i in self.chosen],
                [arrays[name].asnumpy() for name in names])


@pytest.mark.parametrize("case", [case for case in CASES if case.inputs and case.operator != "reset_arrays"], ids=str)
def test_eager_symbolic_and_hybridized_agree(case):
    ways = Ways(case)
    expected = ways.eager()
    for way in ("hybrid", *(() if ways.operator.name in DYNAMIC else ("symbol",))):
        found = getattr(ways, way)()
        for what, a, b in zip(("output", "gradient", "input"), found, expected):
            assert len(a) == len(b), (way, what)
            for i, (x, y) in enumerate(zip(a, b)):
                close(x, y, f"{way}: {what} {i}")
