"""Every optimizer takes the same steps as Apache MXNet 1.9.1."""
import json
from pathlib import Path

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd

#: Weights after four updates, computed by MXNet from the weights and gradients that `problem` makes.
CASES = [json.loads(line) for line in Path(__file__).with_name("trajectories.jsonl").read_text().splitlines()]


def problem(n_weights):
    """Weights, and four rounds of gradients."""
    rng = np.random.RandomState(5)
    weights = [rng.randn(3, 2).round(2), rng.randn(4).round(2)]
    gradients = [[g.round(2) for g in (rng.randn(3, 2), rng.randn(4))] for _ in range(4)]
    return weights[:n_weights], [round_[:n_weights] for round_ in gradients]


def title(case):
    return "-".join([case["name"], *map(str, case["arguments"].values()), case["dtype"]])


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("case", CASES, ids=title)
def test_same_steps_as_mxnet(case, together):
    optimizer = mx.optimizer.create(case["name"], param_idx2name={0: "a_weight", 1: "a_bias"}, **case["arguments"])
    update = mx.optimizer.get_updater(optimizer)
    if case["name"] in ("nadam", "lars") and not together:
        pytest.skip("its steps depend on the order of all tensors")
    weights, rounds = problem(len(case["end"]))
    weights = [nd.array(w, dtype=case["dtype"]) for w in weights]
    for gradients in rounds:
        gradients = [nd.array(g, dtype=case["dtype"]) for g in gradients]
        if together:
            update(list(range(len(weights))), gradients, weights)
        else:
            for i, (w, g) in enumerate(zip(weights, gradients)):
                update(i, g, w)
    tolerance = 2e-5 if case["dtype"] == "float32" else 4e-3
    for weight, end in zip(weights, case["end"]):
        np.testing.assert_allclose(weight.asnumpy(), end, rtol=tolerance, atol=tolerance)


def test_every_optimizer_has_a_trajectory():
    # sgld is random, see below
    assert set(mx.optimizer.Optimizer.opt_registry) - {"sgld"} <= {case["name"] for case in CASES} | {"mine"}


def test_sgld_spreads_as_the_learning_rate():
    mx.random.seed(3)
    update = mx.optimizer.get_updater(mx.optimizer.create("sgld", learning_rate=0.04, wd=0.))
    weight = nd.zeros((20000,))
    update(0, nd.ones((20000,)), weight)
    np.testing.assert_allclose(weight.asnumpy().mean(), -0.02, atol=0.01)
    np.testing.assert_allclose(weight.asnumpy().std(), 0.2, rtol=0.05)
