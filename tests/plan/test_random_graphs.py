"""Plans of random graphs give the values of the same operators run one by one, to the bit, and their gradients."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import mxcy as mx
from mxcy.graph import fuse_pointwise
from mxcy.graph.interpret import interpret
from mxcy.plan._cached import CachedOp
from tests.graph.random_graphs import graphs, inputs


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """The arrays of these tests are small: fuse them all the same."""
    monkeypatch.setattr(fuse_pointwise, "LARGE", 1)


def differentiated(names, function):
    """The outputs of a function of arrays by name, and the gradients of those that are named."""
    arrays = inputs()
    for name in names:
        arrays[name].attach_grad()
    with mx.autograd.record():
        outputs = function(arrays)
        outputs = outputs if isinstance(outputs, list) else [outputs]
    mx.autograd.backward(outputs)
    return [x.asnumpy() for x in outputs], [arrays[name].grad.asnumpy() for name in names]


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(most=12))
def test_values_and_gradients(graph):
    names = [node.name for node in graph.variables]
    if not names:
        return
    plan = CachedOp(graph, names)
    values, grads = differentiated(names, lambda arrays: plan(*[arrays[name] for name in names]))
    expected, expected_grads = differentiated(names, lambda arrays: interpret(graph, arrays))
    for x, y in zip(values, expected, strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(grads, expected_grads, strict=True):        # the tape adds contributions in another order
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * np.nan_to_num(np.abs(y)).max(initial=1))


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(graphs(most=12))
def test_prediction(graph):
    names = [node.name for node in graph.variables]
    values = inputs()
    outputs = CachedOp(graph, names, parameters=names[1:])(*[values[name] for name in names]) if names else []
    for x, y in zip(outputs if isinstance(outputs, list) else [outputs], interpret(graph, values), strict=bool(names)):
        np.testing.assert_array_equal(x.asnumpy(), y.asnumpy())
