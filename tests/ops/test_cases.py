"""Every row of the table: forward in each dtype, gradient, second gradient, accumulation."""
import contextlib

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd
from mxcy.ops._onednn import available
from mxcy.ops.operator import REGISTRY, lookup
from mxcy.testing import assert_close, check_vjp, tolerance
from tests.ops.cases import CASES, HOLDERS, HOST_ONLY

DIFFERENTIABLE = [case for case in CASES if case.grad]


def upload(inputs, device):
    return [mx.nd.array(x, ctx=device, dtype=x.dtype) for x in inputs]


@pytest.mark.parametrize(("case", "dtype"), [(c, d) for c in CASES for d in c.dtypes],
                         ids=lambda value: str(value))
def test_forward(case, dtype, device):
    if device.device_type == "gpu" and case.operator in HOST_ONLY:
        pytest.skip("plans for GPUs do not use it")
    inputs = case.sample(dtype, case.rng())
    with autograd.train_mode() if case.train else contextlib.nullcontext():
        outputs = case.call(upload(inputs, device))
    if case.oracle is None:
        mx.nd.waitall()
        return
    for actual, expected in zip(outputs, case.expected(inputs), strict=True):
        floating = actual.dtype in (np.float16, np.float32, np.float64)
        assert_close(actual, expected, max(dtype, actual.dtype, key=tolerance) if floating else None, case.slack)


class Differentiated:
    """A case as functions of NumPy arrays: only the differentiated inputs are arguments, the others stay fixed."""

    def __init__(self, case, device):
        self.case, self.device, self.rng = case, device, case.rng()
        self.inputs = case.sample("float64", self.rng)
        self.chosen = case.differentiable(self.inputs)
        if not self.chosen:
            pytest.skip("no input to differentiate")
        self.at = [self.inputs[i] for i in self.chosen]

    def record(self, values, grad_req="write"):
        """Arrays for the chosen inputs, and the recorded float outputs."""
        inputs = list(self.inputs)
        for i, value in zip(self.chosen, values):
            inputs[i] = value
        arrays = upload(inputs, self.device)
        chosen = [arrays[i] for i in self.chosen]
        for x in chosen:
            x.attach_grad(grad_req)
        with autograd.record(train_mode=self.case.train):
            outputs = [y for y in self.case.call(arrays) if y.dtype == np.float64]
        return chosen, outputs

    def forward(self, *values):
        return [y.asnumpy() for y in self.record(values)[1]]

    def vjp(self, *gs):
        chosen, outputs = self.record(self.at)
        autograd.backward(outputs, upload(gs, self.device))
        return [x.grad.asnumpy() for x in chosen]

    def gradient(self, *values, probes=None):
        """The gradients as a function of the inputs and of the heads; with ``probes``, its vjp along them."""
        count = len(self.chosen)
        heads = upload(values[count:], self.device)
        for g in heads:
            g.attach_grad()
        with autograd.record(train_mode=self.case.train):
            chosen, outputs = self.record(values[:count])
            first = autograd.grad(outputs, chosen, heads, create_graph=True, retain_graph=True,
                                  train_mode=self.case.train)
            if probes is None:
                return [x.asnumpy() for x in first]
            # A gradient need not depend on every input; the zeros make sure that the graph does.
            total = sum(((x * p).sum() for x, p in zip(first, upload(probes, self.device))),
                        sum((x * 0).sum() for x in (*chosen, *heads)))
        return [x.asnumpy() for x in autograd.grad(total, [*chosen, *heads], train_mode=self.case.train)]


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradient(case, device):
    f = Differentiated(case, device)
    check_vjp(f.forward, f.vjp, f.at, f.rng)


@pytest.mark.parametrize("case", [c for c in DIFFERENTIABLE if c.second], ids=str)
def test_second_gradient(case, device):
    f = Differentiated(case, device)
    heads = [f.rng.normal(size=y.shape) for y in f.forward(*f.at)]
    at = [*f.at, *heads]
    check_vjp(f.gradient, lambda *probes: f.gradient(*at, probes=probes), at, f.rng)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradient_accumulates(case, device):
    f = Differentiated(case, device)
    gs = [f.rng.normal(size=y.shape) for y in f.forward(*f.at)]
    chosen, outputs = f.record(f.at, grad_req="add")
    for _ in range(2):
        autograd.backward(outputs, upload(gs, device), retain_graph=True)
    for x, once in zip(chosen, f.vjp(*gs)):
        assert_close(x.grad, 2 * once)


def test_every_operator_has_a_case():
    tested = {lookup(case.operator) for case in CASES}
    missing = {op.name for op in REGISTRY.values()} - {op.name for op in tested}
    if not available():
        missing -= {"_fused_convolution", "_prepare_convolution_weight"}
    assert not {name for name in missing - HOLDERS if not name.startswith("_backward_")}
