"""Module: binding, parameters, batches, devices."""
import logging

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd, sym
from mxcy.base import MXNetError
from mxcy.io import DataBatch, DataDesc


def dense(num_hidden=3):
    return sym.SoftmaxOutput(sym.FullyConnected(sym.var("data"), num_hidden=num_hidden, name="fc"), name="softmax")


def bound(symbol=None, batch=4, features=5, **kwargs):
    options = {key: kwargs.pop(key) for key in ("for_training", "inputs_need_grad", "grad_req") if key in kwargs}
    module = mx.mod.Module(dense() if symbol is None else symbol, **kwargs)
    module.bind([("data", (batch, features))], [("softmax_label", (batch,))], **options)
    return module


def values(seed=0, features=5, classes=3):
    random = np.random.RandomState(seed)
    return {"fc_weight": nd.array(random.randn(classes, features)), "fc_bias": nd.array(random.randn(classes))}


def batch_of(rows=4, features=5, seed=1):
    random = np.random.RandomState(seed)
    return DataBatch([nd.array(random.randn(rows, features))], [nd.array(random.randint(0, 3, rows))])


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def expected(params, batch):
    x, weight, bias = (a.asnumpy().astype("float64") for a in (batch.data[0], params["fc_weight"], params["fc_bias"]))
    out = softmax(x @ weight.T + bias)
    error = out - np.eye(3)[batch.label[0].asnumpy().astype(int)]
    return out, error.T @ x, error.sum(0), error @ weight


def test_a_step_is_what_numpy_says():
    module = bound(inputs_need_grad=True)
    params, batch = values(), batch_of()
    module.init_params(arg_params=params, aux_params={})
    module.init_optimizer(optimizer_params={"learning_rate": .1})
    module.forward(batch)
    module.backward()
    out, weight, bias, data = expected(params, batch)
    np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), out, rtol=1e-5)
    np.testing.assert_allclose(module.get_input_grads()[0].asnumpy(), data, rtol=1e-4, atol=1e-6)
    module.update()
    trained, aux = module.get_params()
    assert aux == {}
    np.testing.assert_allclose(trained["fc_weight"].asnumpy(), params["fc_weight"].asnumpy() - .1 / 4 * weight,
                               rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(trained["fc_bias"].asnumpy(), params["fc_bias"].asnumpy() - .1 / 4 * bias, rtol=1e-4,
                               atol=1e-6)


@pytest.mark.parametrize("kvstore", ["local", "device", None])
@pytest.mark.parametrize("loads", [None, [1, 3]])
def test_several_devices_do_what_one_does(kvstore, loads):
    params, results = values(), []
    for context in (mx.cpu(), [mx.cpu(0), mx.cpu(1)]):
        module = bound(batch=8, context=context, work_load_list=loads if isinstance(context, list) else None,
                       inputs_need_grad=True)
        module.init_params(arg_params=params, aux_params={})
        module.init_optimizer(kvstore=kvstore, optimizer_params={"learning_rate": .1, "momentum": .9})
        metric = mx.metric.Accuracy()
        steps = 1 if kvstore is None else 3         # without a store devices go their own ways
        for seed in range(steps):
            batch = batch_of(8, seed=seed)
            module.forward_backward(batch)
            module.update_metric(metric, batch.label)
            outputs, grads = module.get_outputs()[0], module.get_input_grads()[0]
            module.update()
        found = [outputs, grads]
        if kvstore is not None:
            found += module.get_params()[0].values()
        results.append(([array.asnumpy() for array in found], metric.get()))
    (one, accuracy), (several, same) = results
    assert accuracy == same
    for a, b in zip(one, several):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_outputs_of_several_devices_apart():
    module = bound(batch=5, context=[mx.cpu(0), mx.cpu(1)])
    module.init_params()
    module.forward(batch_of(5))
    assert [[part.shape for part in parts] for parts in module.get_outputs(False)] == [[(2, 3), (3, 3)]]
    assert module.output_shapes == [("softmax_output", (5, 3))]
    module.forward([batch_of(2), batch_of(3)])
    np.testing.assert_array_equal(module.get_outputs()[0].shape, (5, 3))


@pytest.mark.parametrize("groups", [{"far": mx.cpu(3)}, [{"far": mx.cpu(3)}, {"far": mx.cpu(4)}],
                                    {"far": [mx.cpu(3), mx.cpu(4)]}])
def test_groups_of_nodes_on_other_devices(groups):
    def network():
        with mx.AttrScope(ctx_group="far"):
            hidden = sym.FullyConnected(sym.var("data"), num_hidden=4, name="hidden")
        return sym.SoftmaxOutput(sym.FullyConnected(hidden, num_hidden=3, name="fc"), name="softmax")
    results, context = [], [mx.cpu(0), mx.cpu(1)]
    for given in (None, groups):
        several = not isinstance(groups, dict) or isinstance(groups["far"], list)
        module = bound(network(), batch=8, context=context if several else context[0], group2ctxs=given)
        module.init_params(mx.init.Constant(.1))
        module.init_optimizer(optimizer_params={"learning_rate": .5})
        module.forward_backward(batch_of(8))
        module.update()
        results.append({name: array.asnumpy() for name, array in module.get_params()[0].items()})
        assert str(module._group.executors[0].arg_dict["hidden_weight"].context) == ("cpu(3)" if given else "cpu(0)")
    for name, array in results[0].items():
        np.testing.assert_allclose(results[1][name], array, rtol=1e-5, atol=1e-6)


def test_too_many_devices():
    with pytest.raises(ValueError, match="a batch of 1 is too small for 2 devices"):
        bound(batch=1, context=[mx.cpu(0), mx.cpu(1)])


def test_layout_without_the_batch_first():
    data = sym.var("data")
    net = sym.Group([sym.transpose(data, axes=(1, 0, 2), name="turned", __layout__="NTC"),
                     sym.identity(data, name="same", __layout__="TNC")])
    module = mx.mod.Module(net, label_names=None, context=[mx.cpu(0), mx.cpu(1)])
    module.bind([DataDesc("data", (3, 4, 2), layout="TNC")])
    module.init_params()
    x = np.arange(24, dtype="float32").reshape(3, 4, 2)
    module.forward(DataBatch([nd.array(x)]), is_train=False)
    turned, same = (out.asnumpy() for out in module.get_outputs())
    np.testing.assert_array_equal(turned, x.transpose(1, 0, 2))
    np.testing.assert_array_equal(same, x)


def test_batches_of_other_shapes():
    module = bound()
    params = values()
    module.init_params(arg_params=params, aux_params={})
    for rows in (4, 7, 2, 4):
        batch = batch_of(rows)
        module.forward(batch)
        np.testing.assert_allclose(module.get_outputs()[0].asnumpy(), expected(params, batch)[0], rtol=1e-5)
        assert module.data_shapes[0].shape == (rows, 5) and module.label_shapes[0].shape == (rows,)
    assert module.predict(np.ones((3, 5), "float32")).shape == (3, 3)
    with pytest.raises(ValueError, match=r"fc_weight.*\(3, 5\).*\(3, 6\)"):
        module.forward(DataBatch([nd.ones((4, 6))], [nd.ones((4,))]))


def test_reshape():
    module = bound()
    module.init_params()
    module.reshape([("data", (np.int64(6), 5))], [("softmax_label", (6,))])
    assert module.output_shapes == [("softmax_output", (6, 3))]


def test_data_may_change_between_forward_and_backward():
    """MXNet's modules work on copies; an iterator may write its next batch to the same arrays."""
    module = bound(inputs_need_grad=True)
    params, batch = values(), batch_of()
    module.init_params(arg_params=params, aux_params={})
    module.forward(batch, is_train=True)
    weight = expected(params, batch)[1]
    batch.data[0][:] = 0
    module.backward()
    np.testing.assert_allclose(module._group.executors[0].grad_dict["fc_weight"].asnumpy(), weight, rtol=1e-4,
                               atol=1e-6)


def test_data_of_another_dtype_is_converted():
    module = bound()
    module.init_params(arg_params=values(), aux_params={})
    batch = batch_of()
    same = DataBatch([batch.data[0].astype("float64")], [batch.label[0].astype("int32")])
    first = module.predict(batch.data[0]).asnumpy()
    module.forward_backward(same)
    np.testing.assert_array_equal(module.get_outputs()[0].asnumpy(), first)


def test_fixed_parameters():
    module = bound(fixed_param_names=["fc_weight"])
    params = values()
    module.init_params(arg_params=params, aux_params={})
    module.init_optimizer(optimizer_params={"learning_rate": 1.})
    module.forward_backward(batch_of())
    module.update()
    trained = module.get_params()[0]
    np.testing.assert_array_equal(trained["fc_weight"].asnumpy(), params["fc_weight"].asnumpy())
    assert abs(trained["fc_bias"].asnumpy() - params["fc_bias"].asnumpy()).max() > .01


def test_gradients_add_up():
    module = bound(grad_req="add")
    module.init_params(arg_params=values(), aux_params={})
    grads = []
    for _ in range(2):
        module.forward_backward(batch_of())
        grads.append(module._group.executors[0].grad_dict["fc_bias"].asnumpy().copy())
    np.testing.assert_allclose(grads[1], 2 * grads[0], rtol=1e-5)


def test_states():
    data, state = sym.var("data"), sym.var("state")
    net = sym.Group([data + state, state * 2])
    for context in (mx.cpu(), [mx.cpu(0), mx.cpu(1)]):
        module = mx.mod.Module(net, label_names=None, state_names=["state"], context=context)
        module.bind([("data", (4, 2))], for_training=False)
        module.init_params()
        module.set_states(value=3)
        module.forward(DataBatch([nd.ones((4, 2))]))
        total, twice = module.get_outputs(merge_multi_context=False)
        assert module.get_outputs()[0].asnumpy().tolist() == [[4, 4]] * 4
        module.set_states([twice])
        assert module.get_states()[0].asnumpy().tolist() == [[6, 6]] * 4
    with pytest.raises(ValueError, match="either states or value"):
        module.set_states()


def test_label_that_the_symbol_does_not_use():
    net = sym.MakeLoss(sym.sum(sym.FullyConnected(sym.var("data"), num_hidden=3, name="fc")), name="loss")
    with pytest.warns(UserWarning, match="'softmax_label', which is not an argument"):
        module = bound(net)
    module.init_params()
    module.forward_backward(batch_of())
    assert module.output_shapes == [("loss_output", (1,))] or module.output_shapes == [("loss_output", ())]


def test_prediction_without_labels():
    module = mx.mod.Module(dense())
    module.bind([("data", (4, 5))], for_training=False)
    module.init_params(arg_params=values(), aux_params={})
    module.forward(DataBatch([nd.ones((4, 5))]))
    assert module.get_outputs()[0].shape == (4, 3)


def test_loss_gradient_from_outside():
    net = sym.FullyConnected(sym.var("data"), num_hidden=2, no_bias=True, name="fc")
    module = mx.mod.Module(net, label_names=None)
    module.bind([("data", (2, 3))])
    module.init_params(mx.init.One())
    module.forward(DataBatch([nd.array([[1, 2, 3], [4, 5, 6]])]))
    with pytest.raises(MXNetError, match="pass out_grads"):
        module.backward()
    module.backward([nd.ones((2, 2))])
    assert module._group.executors[0].grad_dict["fc_weight"].asnumpy().tolist() == [[5, 7, 9]] * 2


def test_auxiliary_states_are_trained_and_kept():
    net = sym.SoftmaxOutput(sym.FullyConnected(sym.BatchNorm(sym.var("data"), name="bn"), num_hidden=3, name="fc"),
                            name="softmax")
    module = bound(net)
    module.init_params()
    batch = batch_of()
    module.forward_backward(batch)
    mean = module._group.executors[0].aux_dict["bn_moving_mean"].asnumpy()
    np.testing.assert_allclose(mean, .1 * batch.data[0].asnumpy().mean(0), rtol=1e-4, atol=1e-6)


# -- parameters ------------------------------------------------------------------------------------------------------

def test_missing_extra_and_misshapen_parameters():
    params = values()
    with pytest.raises(RuntimeError, match="'fc_bias' is missing"):
        bound().init_params(arg_params={"fc_weight": params["fc_weight"]}, aux_params={})
    with pytest.raises(RuntimeError, match="'fc_bias' is missing"):
        bound().set_params({"fc_weight": params["fc_weight"]}, {})
    module = bound()
    module.init_params(mx.init.One(), arg_params={"fc_weight": params["fc_weight"]}, allow_missing=True)
    assert module.get_params()[0]["fc_bias"].asnumpy().tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match=r"\(7,\).*\(3,\)"):
        module.set_params({**params, "fc_bias": nd.ones((7,))}, {})
    module.set_params({**params, "other": nd.ones((1,))}, {})        # the whole model's parameters, for a part of it
    with pytest.raises(ValueError, match="'other'"):
        module.set_params({"other": nd.ones((1,))}, {}, allow_missing=True)
    module.set_params({"other": nd.ones((1,)), "fc_bias": nd.ones((3,))}, {}, allow_missing=True, allow_extra=True)
    assert module.get_params()[0]["fc_bias"].asnumpy().tolist() == [1, 1, 1]
    with pytest.warns(UserWarning, match="init_params call ignored"):
        module.init_params()
    with pytest.raises(TypeError, match="ndarray; expected an NDArray"):
        module.set_params({**params, "fc_bias": np.ones(3)}, {})


def test_attributes_choose_the_initializer():
    weight = sym.var("fc_weight", init=mx.init.Constant(.25))
    net = sym.SoftmaxOutput(sym.FullyConnected(sym.var("data"), weight, num_hidden=3, name="fc"), name="softmax")
    module = bound(net)
    module.init_params(mx.init.One())
    assert (module.get_params()[0]["fc_weight"].asnumpy() == .25).all()


def test_learning_rates_of_attributes():
    weight = sym.var("fc_weight", lr_mult=0.)
    net = sym.SoftmaxOutput(sym.FullyConnected(sym.var("data"), weight, num_hidden=3, name="fc"), name="softmax")
    module = bound(net)
    params = values()
    module.init_params(arg_params=params, aux_params={})
    module.init_optimizer(optimizer_params={"learning_rate": 1.})
    module.forward_backward(batch_of())
    module.update()
    np.testing.assert_array_equal(module.get_params()[0]["fc_weight"].asnumpy(), params["fc_weight"].asnumpy())


def test_shared_module():
    module = bound()
    module.init_params(arg_params=values(), aux_params={})
    module.init_optimizer(optimizer_params={"learning_rate": .5})
    other = mx.mod.Module(dense())
    other.bind([("data", (2, 5))], [("softmax_label", (2,))], shared_module=module)
    assert other.params_initialized and other.optimizer_initialized
    batch = batch_of(2)
    other.forward_backward(batch)
    other.update()
    for name, array in module._group.executors[0].arg_dict.items():
        if name.startswith("fc"):
            assert other._group.executors[0].arg_dict[name] is array
    with pytest.raises(ValueError, match="shared_module lives on"):
        mx.mod.Module(dense(), context=mx.cpu(1)).bind([("data", (2, 5))], shared_module=module)


def test_rebinding_keeps_what_was_trained():
    module = bound()
    module.init_params(arg_params=values(), aux_params={})
    module.init_optimizer(optimizer_params={"learning_rate": .5})
    module.forward_backward(batch_of())
    module.update()
    trained = {name: array.asnumpy() for name, array in module.get_params()[0].items()}
    module.forward_backward(batch_of(seed=2))
    module.update()
    module.bind([("data", (2, 5))], [("softmax_label", (2,))], force_rebind=True)
    again = {name: array.asnumpy() for name, array in module.get_params()[0].items()}
    assert any((again[name] != trained[name]).any() for name in trained)
    module.forward_backward(batch_of(2))
    module.update()
    for name, array in module.get_params()[0].items():
        assert (array.asnumpy() != again[name]).all()


# -- errors ----------------------------------------------------------------------------------------------------------

def test_states_of_a_module_that_are_not_reached():
    module = mx.mod.Module(dense())
    with pytest.raises(MXNetError, match=r"call bind\(\) first"):
        module.forward(batch_of())
    with pytest.raises(MXNetError, match=r"call bind\(\) first"):
        module.init_params()
    module = bound()
    with pytest.raises(MXNetError, match=r"call init_params\(\) first"):
        module.forward(batch_of())
    module.init_params()
    with pytest.raises(MXNetError, match=r"call init_optimizer\(\) first"):
        module.update()
    with pytest.raises(MXNetError, match="inputs_need_grad=True"):
        module.get_input_grads()
    module = bound(for_training=False)
    module.init_params()
    module.forward(batch_of())
    with pytest.raises(MXNetError, match="for_training=True"):
        module.backward()


def test_names_and_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="data_names has 'dat'.*Did you mean 'data'"):
        mx.mod.Module(dense(), data_names=["dat"])
    with pytest.raises(ValueError, match=r"\['dat'\].*\['data'\]"):
        mx.mod.Module(dense()).bind([("dat", (4, 5))])
    with pytest.raises(ValueError, match="disagree about the batch size"):
        net = sym.var("a") + sym.sum(sym.var("b"))
        mx.mod.Module(net, ["a", "b"], None).bind([("a", (4, 5)), ("b", (3, 5))])
    with pytest.raises(ValueError, match="work_load_list has 1 entries for 2 devices"):
        mx.mod.Module(dense(), context=[mx.cpu(0), mx.cpu(1)], work_load_list=[1])
    module = bound()
    module.init_params()
    with pytest.raises(ValueError, match="the batch has 2 data; the module has 1: data"):
        module.forward(DataBatch([nd.ones((4, 5))] * 2, [nd.ones((4,))]))


def test_binding_twice_is_ignored(caplog):
    module = bound()
    with caplog.at_level(logging.WARNING):
        module.bind([("data", (1, 1))])
    assert caplog.messages == ["Already bound, ignoring bind()"] and module.data_shapes[0].shape == (4, 5)
