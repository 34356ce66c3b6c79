"""The bookkeeping of optimizers: rates, multipliers, counts, the registry."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.gluon import Parameter


def test_default_learning_rate():
    assert mx.optimizer.SGD().learning_rate == 0.01
    assert mx.optimizer.Adam().learning_rate == 0.001


def test_weight_decay_spares_biases_by_name():
    names = {0: "a_weight", 1: "a_gamma", 2: "a_bias", 3: "beta"}
    optimizer = mx.optimizer.create("sgd", param_idx2name=names, wd=0.5)
    assert optimizer._get_wds([0, 1, 2, 3]) == [0.5, 0.5, 0, 0]


def test_multipliers_by_name_and_by_parameter():
    optimizer = mx.optimizer.create("sgd", param_idx2name={0: "a_weight"}, learning_rate=2.)
    optimizer.set_lr_mult({"a_weight": 0.5})
    assert optimizer._get_lrs([0]) == [1.]
    optimizer.param_dict = {0: Parameter("a_weight", lr_mult=3)}
    assert optimizer._get_lrs([0]) == [6.]


def test_counts_are_kept_for_each_tensor():
    optimizer = mx.optimizer.create("sgd", begin_num_update=10)
    optimizer._update_count([0, 1])
    optimizer._update_count(0)
    assert optimizer._index_update_count == {0: 12, 1: 11} and optimizer.num_update == 12


def test_schedule_follows_the_updates():
    schedule = mx.lr_scheduler.FactorScheduler(step=2, factor=0.5)
    with pytest.warns(UserWarning, match="replaces base_lr"):
        optimizer = mx.optimizer.create("sgd", learning_rate=1., lr_scheduler=schedule)
    update = mx.optimizer.get_updater(optimizer)
    weight, steps = nd.zeros((1,)), []
    for _ in range(5):
        before = weight.asscalar()
        update(0, nd.ones((1,)), weight)
        steps.append(before - weight.asscalar())
    np.testing.assert_allclose(steps, [1, 1, .5, .5, .25])
    with pytest.raises(UserWarning):
        optimizer.set_learning_rate(3.)


def test_own_optimizer():
    @mx.optimizer.register
    class Mine(mx.optimizer.Optimizer):
        def update(self, index, weight, grad, state):
            weight[:] = 7

    weight = nd.zeros((2,))
    mx.optimizer.get_updater(mx.optimizer.create("mine"))(0, nd.ones((2,)), weight)
    assert weight.asnumpy().tolist() == [7, 7]


def test_unknown_name_suggests_one():
    with pytest.raises(ValueError, match="Did you mean 'adam'"):
        mx.optimizer.create("adamm")


def test_float16_without_a_copy_warns():
    with pytest.warns(UserWarning, match="multi_precision"):
        mx.optimizer.SGD(momentum=.9).create_state_multi_precision(0, nd.zeros((2,), dtype="float16"))


def test_many_tensors_of_two_dtypes_in_groups():
    optimizer = mx.optimizer.SGD(learning_rate=1.)
    optimizer.aggregate_num = 2
    weights = [nd.zeros((2,), dtype=dtype) for dtype in ("float32", "float64", "float32", "float32")]
    gradients = [nd.ones((2,), dtype=w.dtype) * (i + 1) for i, w in enumerate(weights)]
    mx.optimizer.get_updater(optimizer)([0, 1, 2, 3], gradients, weights)
    assert [w.asnumpy()[0] for w in weights] == [-1, -2, -3, -4]
