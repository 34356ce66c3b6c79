"""Mixed precision: what each operator computes in, eagerly, in plans and in converted symbols; loss scaling."""
import contextlib
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.contrib import amp
from mxcy.contrib.amp.lists import _MADE_BY_PASSES
from mxcy.contrib.amp.loss_scaler import LossScaler
from mxcy.dtype import dtype_name
from mxcy.imperative._invoke import get_precision, set_precision
from mxcy.ops.operator import REGISTRY, call_rule
from mxcy.ops.precision import CONDITIONAL, FLOAT32, KEPT, LOSS_OUTPUTS, LOW, Precision

LOW_DTYPES = ("float16", "bfloat16")


@pytest.fixture(autouse=True)
def off():
    """Mixed precision is for the whole process; tests turn it off again."""
    yield
    set_precision(None)


@pytest.fixture(params=LOW_DTYPES)
def low(request):
    amp.init(request.param)
    return request.param


def name(array):
    return dtype_name(array.dtype)


def normal(*shape, seed=0):
    return nd.array(np.random.default_rng(seed).normal(size=shape))


# -- the rule ----------------------------------------------------------------------------------------------------------

def test_lists_hold_registered_names():
    for given in (*LOW, *FLOAT32, *LOSS_OUTPUTS, *KEPT, *(item[0] for item in CONDITIONAL)):
        assert REGISTRY[given].name == given


@pytest.mark.parametrize("dtype", LOW_DTYPES)
def test_every_operator_is_in_one_list(dtype):
    lists = [amp.list_lp16_ops(dtype), amp.list_fp32_ops(dtype), amp.list_widest_type_cast(dtype),
             amp.list_lp16_fp32_ops(dtype)]
    together = [name for names in lists for name in names]
    assert len(together) == len(set(together))
    assert {"Convolution", "FullyConnected", "dot"} <= set(lists[0]) and {"exp", "mean", "softmax"} <= set(lists[1])
    assert {"broadcast_add", "Concat", "where"} <= set(lists[2]) and {"relu", "BatchNorm", "sgd_update"} <= set(lists[3])
    assert ("Activation", "act_type", ["softrelu"]) in amp.list_conditional_fp32_ops(dtype)
    assert "SoftmaxOutput" in amp.list_loss_output_functions(dtype)
    assert amp.list_fp16_ops() == amp.list_lp16_ops("float16")


@pytest.mark.parametrize("dtype", LOW_DTYPES)
def test_inputs_that_stay_float32(dtype):
    """The rules of types say the same."""
    found, precision = {}, Precision(dtype)
    for op in REGISTRY.values():
        if "data" in op.inputs and "infer_type" in op.rules and op.name not in precision.float32 \
                and not op.name.startswith(_MADE_BY_PASSES):
            with contextlib.suppress(Exception):                    # a rule that needs more to be known
                dtypes = call_rule(op.rules["infer_type"], {"data": dtype})
                if isinstance(dtypes, dict) and "float32" in [dtypes.get(key) for key in op.inputs]:
                    found[op.name] = [key if dtypes.get(key) == "float32" else "" for key in op.inputs]
    assert amp.list_lp16_use_fp32_params(dtype) == found
    assert found["BatchNorm"] == ["", "gamma", "beta", "moving_mean", "moving_var"]


def test_given_lists():
    rule = Precision("float16", low=["softmax"])
    assert rule.by_default(REGISTRY["softmax"]) == "float16" and rule.by_default(REGISTRY["dot"]) == "widest"
    rule = Precision("float16", float32=["dot"])
    assert rule.by_default(REGISTRY["dot"]) == "float32" and rule.by_default(REGISTRY["exp"]) is None
    rule = Precision("float16", conditional=[("Activation", "act_type", ["tanh"])])
    assert rule.wanted(REGISTRY["Activation"], {"act_type": "tanh"}) == "float32"
    assert rule.wanted(REGISTRY["Activation"], {"act_type": "softrelu"}) is None


@pytest.mark.parametrize("arguments, message", [
    (("int8",), "target_dtype is 'int8'; expected"),
    (("nothing",), "target_dtype is 'nothing'; expected"),
    (("float16", ["dott"]), "no operator 'dott'.*dot"),
    (("float16", "dot"), "expected a list"),
    (("float16", ["dot"], ["dot"]), "dot is in target_dtype_ops and in fp32_ops"),
    (("float16", None, None, [("dot", "x")]), "expected \\(operator, parameter, list of values\\)"),
    (("float16", None, None, [("Activation", "mode", ["x"])]), "Activation has no parameter 'mode'; it has act_type"),
])
def test_wrong_lists(arguments, message):
    with pytest.raises(mx.MXNetError, match=message):
        Precision(*arguments)


# -- eager calls -------------------------------------------------------------------------------------------------------

X, W = normal(4, 6), normal(3, 6, seed=1)

#: (what to compute of a float32 and a 16-bit array, the dtype of the result, "low" for the 16-bit one)
CALLS = {
    "dense": (lambda x, h: nd.FullyConnected(x, W, num_hidden=3, no_bias=True), "low"),
    "dot": (lambda x, h: nd.dot(x, h), "low"),
    "relu": (lambda x, h: h.relu(), "low"),
    "number": (lambda x, h: h * 2 + 1, "low"),
    "exp": (lambda x, h: h.exp(), "float32"),
    "mean": (lambda x, h: h.mean(), "float32"),
    "power": (lambda x, h: h ** 2, "float32"),
    "softrelu": (lambda x, h: nd.Activation(h, act_type="softrelu"), "float32"),
    "tanh": (lambda x, h: nd.Activation(h, act_type="tanh"), "low"),
    "add": (lambda x, h: x[:3, :3] + h[:3], "float32"),
    "add_16": (lambda x, h: h + h, "low"),
    "concat": (lambda x, h: nd.concat(x[:, :3], h[:4], dim=0), "float32"),
    "where": (lambda x, h: nd.where(x[:3, :3] > 0, h[:3], h[:3]), "low"),
    "layer_norm": (lambda x, h: nd.LayerNorm(h, nd.ones(3), nd.zeros(3)), "float32"),
    "composed": (lambda x, h: nd.L2Normalization(h), "float32"),
    "batch_norm": (lambda x, h: nd.BatchNorm(h, nd.ones(3), nd.zeros(3), nd.zeros(3), nd.ones(3)), "low"),
    "argmax": (lambda x, h: h.argmax(axis=0), "float32"),
    "float64": (lambda x, h: nd.dot(x.astype("float64"), x.T.astype("float64")), "float64"),
    "integers": (lambda x, h: nd.array([1, 2], dtype="int32") + nd.array([1, 2], dtype="int32"), "int32"),
    "embedding": (lambda x, h: nd.Embedding(nd.array([1, 2]), W, input_dim=3, output_dim=6), "float32"),
}


@pytest.mark.parametrize("case", CALLS)
def test_eager_dtypes(case, low):
    compute, expected = CALLS[case]
    h = nd.ones((6, 3), dtype=low)
    assert name(compute(X, h)) == (low if expected == "low" else expected)


def test_out_decides(low):
    out = nd.zeros((4, 3))
    nd.dot(X, W.T, out=out)
    exact = X.asnumpy() @ W.asnumpy().T
    assert_allclose(out.asnumpy(), exact, rtol=1e-5)            # in float32
    out += nd.dot(X, W.T)
    assert name(out) == "float32"
    half = nd.dot(X, W.T)
    half += out
    assert name(half) == low


def test_gradients_are_float32_and_rules_run_as_written(low):
    x, w = X.copy(), W.copy()
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        loss = (nd.dot(x, w.T).square() + nd.dot(x, w.T).tanh()).mean()
    loss.backward()
    assert name(loss) == name(w.grad) == "float32"
    set_precision(None)
    x32, w32 = X.copy(), W.copy()
    x32.attach_grad()
    w32.attach_grad()
    with autograd.record():
        loss = (nd.dot(x32, w32.T).square() + nd.dot(x32, w32.T).tanh()).mean()
    loss.backward()
    tolerance = .02 if low == "float16" else .1
    assert_allclose(w.grad.asnumpy(), w32.grad.asnumpy(), rtol=tolerance, atol=tolerance)
    assert_allclose(x.grad.asnumpy(), x32.grad.asnumpy(), rtol=tolerance, atol=tolerance)


def test_optimizers_are_left_alone(low):
    weight, grad = nd.ones((3,), dtype=low), nd.ones((3,), dtype=low)
    for given in ("sgd", "adam", "nag", "lamb", "ftml", "rmsprop", "dcasgd"):
        optimizer = mx.optimizer.create(given, multi_precision=True)
        updater = mx.optimizer.get_updater(optimizer)
        updater(0, grad, weight)
        assert name(weight) == low
    assert np.isfinite(weight.astype("float32").asnumpy()).all()


class Halved(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        product = nd.dot(in_data[0], nd.ones((3, 3)) / 2)
        assert product.dtype == in_data[0].dtype == np.float32
        self.assign(out_data[0], req[0], product)

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0] / 2)


@mx.operator.register("amp_halved")
class HalvedProp(mx.operator.CustomOpProp):
    def create_operator(self, ctx, shapes, dtypes):
        return Halved()


def test_custom_operators_compute_in_float32(low):
    x = nd.ones((3, 3), dtype=low)
    assert name(nd.Custom(x, op_type="amp_halved")) == "float32"
    executor = mx.sym.Custom(mx.sym.var("x"), op_type="amp_halved").bind(mx.cpu(), {"x": x})
    assert name(executor.forward()[0]) == "float32"


# -- plans -------------------------------------------------------------------------------------------------------------

def network():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(4, 3, activation="relu"), gluon.nn.BatchNorm(), gluon.nn.MaxPool2D(),
            gluon.nn.Dense(8, activation="tanh"), gluon.nn.LayerNorm(), gluon.nn.Dense(3))
    mx.random.seed(1)
    net.initialize(mx.init.Xavier())
    return net


def gradients(net, data, label):
    with autograd.record():
        out = net(data)
        loss = gluon.loss.SoftmaxCrossEntropyLoss()(out, label)
    loss.backward()
    grads = {key: param.grad().asnumpy() for key, param in net.collect_params().items() if param.grad_req != "null"}
    assert {grad.dtype for grad in grads.values()} == {np.dtype("float32")}
    return out, grads


def test_eager_hybrid_and_symbol_agree(low):
    data, label = normal(5, 1, 8, 8), nd.array([0, 1, 2, 0, 1])
    net = network()
    out, grads = gradients(net, data, label)
    net.hybridize()
    hybrid_out, hybrid_grads = gradients(net, data, label)
    assert name(out) == name(hybrid_out) == low
    tolerance = dict(rtol=.02, atol=.004) if low == "float16" else dict(rtol=.1, atol=.05)
    assert_allclose(hybrid_out.astype("float32").asnumpy(), out.astype("float32").asnumpy(), **tolerance)
    for key in grads:
        assert_allclose(hybrid_grads[key], grads[key], **tolerance, err_msg=key)

    predicted = net(data).astype("float32").asnumpy()
    symbol = net(mx.sym.var("data"))
    params = {key: param.data() for key, param in net.collect_params().items()}
    executor = symbol.simple_bind(mx.cpu(), data=data.shape)
    executor.copy_params_from({key: params[key] for key in executor.arg_dict if key in params},
                              {key: params[key] for key in executor.aux_dict})
    bound = executor.forward(data=data)[0]
    assert name(bound) == low
    assert_allclose(bound.astype("float32").asnumpy(), predicted, **tolerance)

    set_precision(None)
    converted = amp.convert_hybrid_block(net, low)
    assert name(converted(data)) == low
    assert_allclose(converted(data).astype("float32").asnumpy(), predicted, **tolerance)
    assert name(net(data)) == "float32"                         # the plans of before are not used
    assert_allclose(net(data).asnumpy(), predicted, rtol=.1, atol=.1)


def test_init_after_operators_and_blocks_were_used():
    net = network()
    net.hybridize()
    data = normal(2, 1, 8, 8)
    assert name(net(data)) == name(nd.dot(X, W.T)) == "float32"
    amp.init("bfloat16")
    assert name(net(data)) == name(nd.dot(X, W.T)) == "bfloat16"


def test_loops(low):
    def step(x, state):
        state = nd.dot(x.reshape((1, 6)), W.T) + state
        return state, state

    def symbolic(x, state):
        state = mx.sym.dot(x.reshape((1, 6)), mx.sym.transpose(mx.sym.var("w"))) + state
        return state, state

    outputs, state = nd.contrib.foreach(step, X, nd.zeros((1, 3)))
    assert name(state) == "float32"
    out, last = mx.sym.contrib.foreach(symbolic, mx.sym.var("x"), mx.sym.var("s"))
    executor = mx.sym.Group([out, last]).bind(mx.cpu(), {"x": X, "w": W, "s": nd.zeros((1, 3))})
    assert_allclose(executor.forward()[0].asnumpy(), outputs.asnumpy(), rtol=.02, atol=.02)


def test_binding_before_init_is_refused():
    executor = mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=2, name="fc").simple_bind(mx.cpu(), data=(2, 3))
    amp.init()
    with pytest.raises(mx.MXNetError, match="'fc_output' was bound as float32 and is float16 now: bind.* after amp.init"):
        executor.forward()


# -- loss scaling ------------------------------------------------------------------------------------------------------

def small_trainer(**kwargs):
    net = gluon.nn.Dense(2, in_units=3)
    net.initialize(mx.init.One())
    return net, gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .1}, **kwargs)


def step(net, trainer, factor=1., unscaled=False):
    with autograd.record():
        loss = net(nd.ones((4, 3))).mean() * factor
        with amp.scale_loss(loss, trainer) as scaled:
            scaled.backward()
    if unscaled:
        amp.unscale(trainer)
    trainer.step(1)


def test_a_scaled_step_is_a_plain_step():
    amp.init()
    plain, plain_trainer = small_trainer()
    with autograd.record():
        loss = plain(nd.ones((4, 3))).mean()
    loss.backward()
    plain_trainer.step(1)
    for unscaled in (False, True):
        net, trainer = small_trainer()
        amp.init_trainer(trainer)
        step(net, trainer, unscaled=unscaled)
        assert_allclose(net.weight.data().asnumpy(), plain.weight.data().asnumpy(), rtol=1e-6)
        if unscaled:
            assert_allclose(net.weight.grad().asnumpy(), plain.weight.grad().asnumpy(), rtol=1e-6)


def test_overflow_skips_the_step_and_halves_the_scale():
    amp.init()
    net, trainer = small_trainer()
    amp.init_trainer(trainer)
    before, scale = net.weight.data().asnumpy(), trainer._amp_loss_scaler.loss_scale
    step(net, trainer, factor=1e38)
    assert trainer._amp_loss_scaler.loss_scale == scale / 2
    assert_allclose(net.weight.data().asnumpy(), before)
    step(net, trainer)
    assert trainer._amp_loss_scaler.loss_scale == scale / 2
    assert (net.weight.data().asnumpy() != before).all()


def trained(contexts, hybridize):
    """(weights after two scaled steps, the trainer) of a small network in float16."""
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Dense(4, in_units=6, activation="relu"), gluon.nn.Dense(2, in_units=4))
    net.initialize(mx.init.Constant(.1), ctx=contexts)
    net.hybridize(hybridize)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .1, "momentum": .9})
    amp.init_trainer(trainer)
    trainer._amp_loss_scaler.loss_scale = 1024.
    loss_function = gluon.loss.SoftmaxCrossEntropyLoss()
    for _ in range(2):
        with autograd.record():
            losses = [loss_function(net(nd.full((2, 6), i + 1, ctx)), nd.array([i, 1], ctx))
                      for i, ctx in enumerate(contexts)]
            with amp.scale_loss(losses, trainer) as scaled:
                autograd.backward(scaled)
        trainer.step(2 * len(contexts))
    return [param.data(contexts[0]).asnumpy() for param in trainer._params], trainer


@pytest.mark.parametrize("hybridize", [False, True])
def test_steps_on_a_device(device, hybridize):
    amp.init()
    found, _ = trained([device], hybridize)
    for weight, reference in zip(found, trained([mx.cpu()], False)[0]):
        assert_allclose(weight, reference, rtol=2e-3)


def test_several_devices_skip_together():
    amp.init()
    contexts = [mx.cpu(0), mx.cpu(1)]
    before, trainer = trained(contexts, True)
    grads = trainer._params[0].list_grad()
    grads[1][:] = np.inf
    for param in trainer._params:
        for weight in param.list_data():
            weight._fresh_grad = True
    trainer.update(1)
    assert trainer._amp_loss_scaler.loss_scale == 512
    for param, old in zip(trainer._params, before):
        for ctx in contexts:
            assert_allclose(param.data(ctx).asnumpy(), old)


def test_scale_doubles_after_good_steps():
    scaler = LossScaler(init_scale=2. ** 22, scale_seq_len=3)
    good, bad = nd.ones((2,)), nd.array([1, np.inf])
    assert [scaler.has_overflow([good]) and None or scaler.loss_scale / 2 ** 22 for _ in range(9)] == [
        1, 1, 2, 2, 2, 4, 4, 4, 4]
    assert scaler.has_overflow([good.astype("float16"), good, bad.astype("float16")])
    assert scaler.loss_scale == 2. ** 23
    assert LossScaler()._scale_seq_len == 2000 and LossScaler().loss_scale == 2. ** 16


def test_lists_of_losses_and_16_bit_losses(low):
    net, trainer = small_trainer()
    amp.init_trainer(trainer)
    with autograd.record():
        losses = [net(nd.ones((1, 3))) for _ in range(2)]
        assert name(losses[0]) == low
        with amp.scale_loss(losses, trainer) as scaled:
            assert [name(loss) for loss in scaled] == ["float32"] * 2       # 65536 is infinite in float16
            autograd.backward(scaled)
    assert_allclose(net.bias.grad().asnumpy(), np.inf if low == "float16" else 2 * 2. ** 16)


def test_errors_of_use():
    net, trainer = small_trainer()
    with pytest.raises(mx.MXNetError, match="call amp.init.. first"):
        amp.init_trainer(trainer)
    amp.init()
    amp.init("float16")                                         # the same again
    with pytest.raises(mx.MXNetError, match="with float16 is on already; it cannot be changed to bfloat16"):
        amp.init("bfloat16")
    with pytest.raises(mx.MXNetError, match="on already, with other lists"):
        amp.init(fp32_ops=["dot"])
    with pytest.raises(mx.MXNetError, match="call amp.init_trainer"), amp.scale_loss(nd.ones(1), trainer):
        pass
    with pytest.raises(mx.MXNetError, match="call amp.init_trainer"):
        amp.unscale(trainer)
    with pytest.raises(TypeError, match="expected a gluon.Trainer, got SGD"):
        amp.init_trainer(trainer.optimizer)
    with pytest.raises(mx.MXNetError, match="update_on_kvstore=False"):
        amp.init_trainer(small_trainer(update_on_kvstore=True)[1])


def test_losses_that_no_scale_reaches_warn():
    amp.init()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nd.SoftmaxOutput(X, nd.zeros(4))
    amp.init_trainer(small_trainer()[1])
    with pytest.warns(UserWarning, match="SoftmaxOutput starts a gradient of its own"):
        nd.SoftmaxOutput(X, nd.zeros(4))


# -- training ----------------------------------------------------------------------------------------------------------

def accuracy(dtype, multi_precision=False):
    digits = mx.datasets.digits(size=8)
    if dtype != "float32":
        amp.init(dtype)
    mx.random.seed(3)
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(8, 3, activation="relu"), gluon.nn.BatchNorm(), gluon.nn.Dense(10))
    net.initialize(mx.init.Xavier())
    net.hybridize()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .05, "momentum": .9})
    if dtype != "float32":
        amp.init_trainer(trainer)
    loss_function = gluon.loss.SoftmaxCrossEntropyLoss()
    batches = mx.io.NDArrayIter(digits["train_data"], digits["train_label"], 64, shuffle=False)
    for _ in range(8):
        batches.reset()
        for batch in batches:
            with autograd.record():
                loss = loss_function(net(batch.data[0]), batch.label[0])
                if dtype == "float32":
                    loss.backward()
                else:
                    with amp.scale_loss(loss, trainer) as scaled:
                        scaled.backward()
            trainer.step(64)
    predicted = net(nd.array(digits["test_data"])).asnumpy().argmax(axis=1)
    set_precision(None)
    return (predicted == digits["test_label"]).mean()


def test_training_reaches_the_accuracy_of_float32():
    reference = accuracy("float32")
    assert reference > .93
    for dtype in LOW_DTYPES:
        assert accuracy(dtype) > reference - .03


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_multi_precision(optimizer):
    """Weights in float16 with a float32 copy, and scaled losses."""
    amp.init()
    net = gluon.nn.Dense(2, in_units=3)
    net.initialize(mx.init.One())
    net.cast("float16")
    trainer = gluon.Trainer(net.collect_params(), optimizer, {"learning_rate": .1, "multi_precision": True})
    amp.init_trainer(trainer)
    for _ in range(12):
        step(net, trainer)
    weight = net.weight.data()
    assert name(weight) == "float16" and (weight.asnumpy() < 1).all() and np.isfinite(weight.asnumpy()).all()


# -- conversion --------------------------------------------------------------------------------------------------------

def operators(symbol):
    return [node.op.name for node in symbol.graph.nodes if node.op is not None]


def symbol_and_params():
    data = mx.sym.var("data")
    left = mx.sym.FullyConnected(data, num_hidden=4, name="left")
    right = mx.sym.FullyConnected(data, num_hidden=4, name="right")
    symbol = mx.sym.softmax(left * right + mx.sym.var("offset"), name="out")
    shapes, _, _ = symbol.infer_shape(data=(2, 6), offset=(2, 4))
    params = {key: normal(*shape, seed=i) for i, (key, shape) in enumerate(zip(symbol.list_arguments(), shapes))}
    return symbol, params


def run(symbol, params):
    dtypes = dict(zip(symbol.list_arguments(), symbol.infer_type()[0]))
    executor = symbol.bind(mx.cpu(), {key: params[key].astype(dtypes[key]) for key in symbol.list_arguments()})
    return executor.forward()[0]


@pytest.mark.parametrize("dtype", LOW_DTYPES)
def test_convert_symbol(dtype, tmp_path):
    symbol, params = symbol_and_params()
    converted = amp.convert_symbol(symbol, dtype)
    assert converted.list_arguments() == symbol.list_arguments() and converted.list_outputs() == symbol.list_outputs()
    assert operators(converted).count("amp_cast") == 6          # data and four parameters once each, the sum's input
    assert get_precision() is None and operators(symbol).count("amp_cast") == 0
    tolerance = .02 if dtype == "float16" else .1
    assert name(run(converted, params)) == "float32"
    assert_allclose(run(converted, params).asnumpy(), run(symbol, params).asnumpy(), atol=tolerance)

    converted.save(str(tmp_path / "with.json"), remove_amp_cast=False)
    loaded = mx.sym.load(str(tmp_path / "with.json"))
    assert operators(loaded) == operators(converted)
    assert_allclose(run(loaded, params).asnumpy(), run(converted, params).asnumpy())
    converted.save(str(tmp_path / "without.json"))
    assert operators(mx.sym.load(str(tmp_path / "without.json"))) == operators(symbol)


def test_convert_symbol_options():
    symbol, params = symbol_and_params()
    converted = amp.convert_symbol(symbol, excluded_sym_names=["left"])
    left = next(node for node in converted.graph.nodes if node.name == "left")
    assert all(entry.node.op is None for entry in left.inputs)
    assert_allclose(run(converted, params).asnumpy(), run(symbol, params).asnumpy(), atol=.02)
    assert "amp_cast" not in operators(amp.convert_symbol(symbol, target_dtype_ops=[]))
    converted = amp.convert_symbol(symbol, cast_optional_params=True, data_names=["data", "offset"])
    assert operators(converted).count("amp_cast") == 2
    assert dict(zip(converted.list_arguments(), converted.infer_type()[0]))["left_weight"] == np.float16
    assert_allclose(run(converted, params).asnumpy(), run(symbol, params).asnumpy(), atol=.02)
    for wrong, message in ((dict(excluded_sym_names=["lefft"]), "no 'lefft'.*left"),
                           (dict(data_names=["dat"]), "no 'dat'.*data"), (dict(target_dtype="int8"), "float16")):
        with pytest.raises(mx.MXNetError, match=message):
            amp.convert_symbol(symbol, **wrong)
    with pytest.raises(TypeError, match="expected a Symbol"):
        amp.convert_symbol(nd.ones(1))


@pytest.mark.parametrize("optional", [False, True])
def test_convert_model(optional, tmp_path):
    symbol, params = symbol_and_params()
    data, offset = params.pop("data"), params.pop("offset")
    converted, args, aux = amp.convert_model(symbol, params, {}, cast_optional_params=optional)
    assert {name(array) for array in args.values()} == {"float16" if optional else "float32"} and aux == {}
    mx.model.save_checkpoint(str(tmp_path / "net"), 1, converted, args, aux, remove_amp_cast=False)
    loaded, args, aux = mx.model.load_checkpoint(str(tmp_path / "net"), 1)
    given = {**args, "data": data, "offset": offset}
    assert_allclose(run(loaded, given).asnumpy(), run(symbol, given).asnumpy(), atol=.02)
    with pytest.raises(TypeError, match="arg_params is list"):
        amp.convert_model(symbol, [], {})


def bucket(length, other_use=False):
    """Steps that share their weights; the longest bucket has the names of all nodes."""
    data, state = mx.sym.var("data"), mx.sym.zeros((2, 4))
    weight, bias = mx.sym.var("weight"), mx.sym.var("bias")
    for i, step in enumerate(mx.sym.split(data, axis=1, num_outputs=length, squeeze_axis=True)):
        step = mx.sym.concat(step, state, dim=1)
        state = mx.sym.tanh(mx.sym.FullyConnected(step, weight, bias, num_hidden=4, name=f"step{i}"))
    if other_use:
        state = mx.sym.broadcast_add(state, mx.sym.sum(mx.sym.exp(weight)))
    return mx.sym.SoftmaxOutput(mx.sym.BatchNorm(state, name="norm"), name="softmax"), ("data",), ("softmax_label",)


def bucket_batch(length):
    x = normal(2, length, 3, seed=length)
    return mx.io.DataBatch([x], [nd.array([1, 2])], bucket_key=length, provide_data=[("data", x.shape)],
                           provide_label=[("softmax_label", (2,))])


@pytest.mark.parametrize("dtype", LOW_DTYPES)
@pytest.mark.parametrize("optional", [False, True])
def test_convert_bucketing_module(dtype, optional):
    """Buckets that were used before, and others; those of the result can be trained."""
    module = mx.mod.BucketingModule(bucket, default_bucket_key=4)
    with pytest.raises(mx.MXNetError, match="bind"):
        amp.convert_bucketing_module(module)
    shapes = dict(data_shapes=[("data", (2, 4, 3))], label_shapes=[("softmax_label", (2,))])
    module.bind(**shapes)
    module.init_params(mx.init.Xavier())
    converted = amp.convert_bucketing_module(module, dtype, excluded_sym_names=["step3"], cast_optional_params=optional)
    assert converted.params_initialized and not converted.binded
    converted.bind(**shapes)
    for length in (4, 2, 3):
        outputs = []
        for each in (module, converted):
            each.forward(bucket_batch(length), is_train=False)
            outputs.append(each.get_outputs()[0].asnumpy())
        assert_allclose(outputs[1], outputs[0], atol=.02 if dtype == "float16" else .1)
        names = {node.name: node for node in converted.symbol.graph.nodes}
        casts = {key for key in names if key.startswith("step") and names[key].op.name == "FullyConnected"
                 and any(entry.node.op is not None and entry.node.op.name == "amp_cast" for entry in names[key].inputs)}
        assert casts == {f"step{i}" for i in range(length) if i != 3}
    args, aux = converted.get_params()
    assert {name(array) for array in [*args.values(), *aux.values()]} == {"float32"}     # step3 uses them so, too
    before = args["norm_beta"].asnumpy()
    converted.init_optimizer(optimizer_params=dict(learning_rate=.1))
    converted.forward_backward(bucket_batch(2))
    converted.update()
    assert (converted.get_params()[0]["norm_beta"].asnumpy() != before).all()


def test_convert_parameters_of_buckets():
    """A parameter has one dtype in all buckets: that of the default one."""
    module = mx.mod.BucketingModule(lambda length: bucket(length, length == 3), default_bucket_key=4)
    shapes = dict(data_shapes=[("data", (2, 4, 3))], label_shapes=[("softmax_label", (2,))])
    module.bind(**shapes)
    module.init_params(mx.init.Xavier())
    converted = amp.convert_bucketing_module(module, cast_optional_params=True)
    converted.bind(**shapes)
    assert {key: name(array) for key, array in converted.get_params()[0].items()} == {
        "weight": "float16", "bias": "float16", "norm_gamma": "float32", "norm_beta": "float32"}
    converted.forward(bucket_batch(2), is_train=False)
    module.forward(bucket_batch(2), is_train=False)
    assert_allclose(converted.get_outputs()[0].asnumpy(), module.get_outputs()[0].asnumpy(), atol=.02)
    with pytest.raises(ValueError, match="a bucket uses weight in float32"):
        converted.forward(bucket_batch(3))


def test_wrong_arguments_for_bucketing_modules():
    module = mx.mod.BucketingModule(bucket, default_bucket_key=4)
    module.bind([("data", (2, 4, 3))], [("softmax_label", (2,))])
    with pytest.raises(mx.MXNetError, match="init_params"):
        amp.convert_bucketing_module(module)
    module.init_params()
    with pytest.raises(ValueError, match="no 'step4'.*step"):
        amp.convert_bucketing_module(module, excluded_sym_names=["step4"])
    with pytest.raises(TypeError, match="expected a BucketingModule"):
        amp.convert_bucketing_module(mx.mod.Module(bucket(2)[0]))


@pytest.mark.parametrize("dtype", LOW_DTYPES)
@pytest.mark.parametrize("optional", [False, True])
def test_convert_hybrid_block(dtype, optional, tmp_path):
    net, data = network(), normal(2, 1, 8, 8)
    net.hybridize()
    expected = net(data).asnumpy()
    converted = amp.convert_hybrid_block(net, dtype, cast_optional_params=optional)
    dtypes = {key: name(param.data()) for key, param in converted.collect_params().items()}
    assert dtypes[net[0].weight.name] == (dtype if optional else "float32")
    assert dtypes[net[1].gamma.name] == dtypes[net[4].gamma.name] == "float32"
    found = converted(data)
    assert name(found) == dtype
    assert_allclose(found.astype("float32").asnumpy(), expected, rtol=.1, atol=.1)

    converted.export(str(tmp_path / "net"), remove_amp_cast=False)
    loaded = gluon.SymbolBlock.imports(str(tmp_path / "net-symbol.json"), "data", str(tmp_path / "net-0000.params"))
    assert_allclose(loaded(data).astype("float32").asnumpy(), found.astype("float32").asnumpy())


def test_convert_hybrid_block_wants_a_graph():
    with pytest.raises(mx.MXNetError, match="Call hybridize.. and then the block"):
        amp.convert_hybrid_block(network())
    with pytest.raises(TypeError, match="expected a HybridBlock"):
        amp.convert_hybrid_block(gluon.nn.Sequential())
