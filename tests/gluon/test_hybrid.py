"""Hybridized blocks give what they give operator by operator: values, gradients, statistics; and follow changes."""
import copy
import gc
import pickle
import threading
import warnings

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn


def run(net, *args, train=True):
    """Outputs, gradients of arguments and parameters, and parameters afterwards, as NumPy arrays."""
    mx.random.seed(3)
    leaves = [arg for arg in args if isinstance(arg, nd.NDArray)]
    for arg in leaves:
        arg.attach_grad()
    params = net.collect_params()
    with autograd.record(train):
        out = net(*args)
    outs = out if isinstance(out, (list, tuple)) else [out]
    autograd.backward(list(outs))
    return ([o.asnumpy() for o in outs], [a.grad.asnumpy() for a in leaves],
            {n: p.grad().asnumpy() for n, p in params.items() if p.grad_req != "null"},
            {n: p.data().asnumpy() for n, p in params.items()})


def same(found, expected):
    for a, b in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
    for a, b in zip(found[2:], expected[2:]):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-5, atol=2e-5 * max(1, np.abs(b[name]).max()),
                                       err_msg=name)


def check(make, *args, calls=3):
    """The network that ``make`` gives, hybridized, does what a copy does that is not."""
    mx.random.seed(0)
    net = make()
    net.initialize(mx.init.Normal(.3))
    net(*args)
    eager, hybrid = copy.deepcopy(net), copy.deepcopy(net)
    hybrid.hybridize(static_alloc=True, static_shape=True)
    for train in (True, False):
        for _ in range(calls):
            same(run(hybrid, *args, train=train), run(eager, *args, train=train))
    return hybrid


def x(*shape, seed=0):
    return nd.array(np.random.RandomState(seed).standard_normal(shape))


class Net(gluon.HybridBlock):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.conv = nn.Conv2D(4, 3, activation="relu")
            self.norm = nn.BatchNorm()
            self.pool = nn.MaxPool2D()
            self.drop = nn.Dropout(.3)
            self.out = nn.Dense(5)
            self.scale = self.params.get("scale", shape=(1, 5), init="ones")

    def hybrid_forward(self, F, x, scale):
        x = self.drop(self.pool(self.norm(self.conv(x))))
        return F.broadcast_mul(self.out(x), scale)


def test_network():
    check(Net, x(2, 3, 8, 8))


def test_deferred_shapes_follow_from_the_graph():
    net = Net()
    net.initialize()
    net.hybridize()
    assert net(x(2, 3, 8, 8)).shape == (2, 5)
    assert net.out.weight.shape == (5, 36)
    assert net(x(7, 3, 8, 8)).shape == (7, 5)


def test_names_of_the_graph_are_those_of_mxnet():
    net = Net(prefix="net_")
    names = net(mx.sym.var("data")).get_internals().list_outputs()
    assert names == [
        "data", "net_conv0_weight", "net_conv0_bias", "net_conv0_fwd_output", "net_conv0_relu_fwd_output",
        "net_batchnorm0_gamma", "net_batchnorm0_beta", "net_batchnorm0_running_mean", "net_batchnorm0_running_var",
        "net_batchnorm0_fwd_output", "net_pool0_fwd_output", "net_dropout0_fwd_output", "net_dense0_weight",
        "net_dense0_bias", "net_dense0_fwd_output", "net_scale", "net_broadcast_mul0_output"]


class Several(gluon.HybridBlock):
    def hybrid_forward(self, F, a, pair, last=None):
        b, (c, d) = pair
        total = F.broadcast_add(a, b)
        if last is not None:
            total = total + last
        return total, [c * d, F.split(a, num_outputs=2, axis=1)], None


def test_nested_arguments_and_results():
    a, b, c, d = (x(2, 4, seed=i) for i in range(4))
    plain, net = Several(), Several()
    net.hybridize()
    for args in ((a, [b, (c, d)]), (a, [b, (c, d)], a), (a, [b, (c, d)], None)):
        expected, found = plain(*args), net(*args)
        assert found[2] is None and isinstance(found, tuple) and isinstance(found[1], list)
        np.testing.assert_array_equal(found[0].asnumpy(), expected[0].asnumpy())
        np.testing.assert_array_equal(found[1][0].asnumpy(), expected[1][0].asnumpy())
        for i in range(2):
            np.testing.assert_array_equal(found[1][1][i].asnumpy(), expected[1][1][i].asnumpy())
    with pytest.raises(TypeError, match="the arguments of several1 holds set"):
        net({1, 2}, a)


class Attention(gluon.HybridBlock):
    """Written for arrays: shapes, indexing, arithmetic that broadcasts, functions of mx.nd, arrays made on the way."""

    def __init__(self, heads, width, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        with self.name_scope():
            self.qkv = nn.Dense(3 * width, flatten=False)
            self.out = nn.Dense(width, flatten=False)
            self.bias = self.params.get("bias", shape=(width,))

    def forward(self, x, mask=None):
        batch, time, width = x.shape
        qkv = self.qkv(x).reshape((batch, time, 3, self.heads, -1)).transpose((2, 0, 3, 1, 4))
        q, k, v = qkv[0], qkv[1], qkv[2]
        q, k, v = (part.reshape((-1, time, width // self.heads)) for part in (q, k, v))
        scores = nd.batch_dot(q, k, transpose_b=True) / (width // self.heads) ** .5
        scores = scores.reshape((batch, self.heads, time, time))
        position = nd.arange(time)
        late = nd.broadcast_greater(position.expand_dims(0), position.expand_dims(1))
        scores = scores - 1e4 * late.reshape((1, 1, time, time))
        if mask is not None:
            scores = scores * mask[:, None, None, :]
        out = nd.batch_dot(nd.softmax(scores).reshape((-3, time, time)), v).reshape((batch, self.heads, time, -1))
        out = out.transpose((0, 2, 1, 3)).reshape((batch, time, width))
        return self.out(nd.maximum(out, -3.) + self.bias.data(x.context)), out[:, 0]


def test_plain_forward():
    net = check(lambda: Attention(2, 8), x(3, 5, 8))
    net(x(2, 5, 8), nd.ones((2, 5)))
    net(x(2, 7, 8))
    assert len(net._compiled) == 2 and len(net._compiled[tuple, "array"]) == 2       # one graph for each shape looked at


class Paused(gluon.HybridBlock):
    """Gradients flow through one factor only."""

    def forward(self, x):
        with autograd.pause():
            slope = nd.sigmoid(x) * 2
        return x * slope * x.detach()


def test_no_gradient_flows_where_recording_pauses():
    check(Paused, x(4, 5))


class Scaled(nn.Dense):
    """Extends a layer that has a hybrid_forward."""

    def forward(self, x):
        return super().forward(x * 2)[:, ::-1] + x.shape[0]


def test_forward_around_hybrid_forward():
    check(lambda: Scaled(3), x(4, 5))


class Random(gluon.HybridBlock):
    def forward(self, x):
        return x + nd.random.uniform(shape=x.shape)


def test_random_numbers_are_new_at_each_call():
    net = Random()
    net.hybridize()
    a = nd.zeros((50,))
    first, second = net(a).asnumpy(), net(a).asnumpy()
    assert (first != second).all() and 0 <= first.min() and first.max() < 1
    with autograd.record():
        drop = nn.Dropout(.5)
        drop.hybridize()
        assert (drop(nd.ones((100,))).asnumpy() != drop(nd.ones((100,))).asnumpy()).any()
    np.testing.assert_array_equal(drop(nd.ones((100,))).asnumpy(), 1)


def test_results_that_do_not_depend_on_what_wants_a_gradient():
    net = nn.HybridLambda(lambda F, x: F.BlockGrad(x))
    net.hybridize()
    a = x(3)
    a.attach_grad()
    a.grad[:] = 7
    with autograd.record():
        out = net(a)
    out.backward()
    np.testing.assert_array_equal(a.grad.asnumpy(), 0)


def test_results_whose_shape_depends_on_values():
    net = nn.HybridLambda(lambda F, x, index: F.contrib.boolean_mask(x, index) * 2)
    net.hybridize()
    for index in ([1, 0, 1], [0, 0, 1]):
        np.testing.assert_array_equal(net(nd.array([5, 6, 7]), nd.array(index)).asnumpy(),
                                      [2 * v for v, i in zip((5, 6, 7), index) if i])


def test_parameters_that_no_gradient_reaches_have_zeros():
    class Half(gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.one, self.two = nn.Dense(2, in_units=2), nn.Dense(2, in_units=2)

        def hybrid_forward(self, F, x):
            return self.one(x) + F.BlockGrad(self.two(x))
    net = Half()
    net.initialize()
    net.hybridize()
    net.two.weight.grad()[:] = 5
    trainer = gluon.Trainer(net.collect_params(), "sgd")
    for _ in range(2):
        with autograd.record():
            loss = net(x(3, 2)).sum()
        loss.backward()
        trainer.step(1)                         # refuses gradients that backward has not made
    np.testing.assert_array_equal(net.two.weight.grad().asnumpy(), 0)


class Modes(gluon.HybridBlock):
    def hybrid_forward(self, F, x):
        return x * 2 if autograd.is_training() else x


def test_a_block_that_looks_at_the_mode_has_two_graphs():
    net = Modes()
    net.hybridize()
    a = nd.ones((2,))
    for _ in range(2):
        assert net(a).asnumpy()[0] == 1
        with autograd.train_mode():
            assert net(a).asnumpy()[0] == 2


def test_changes_afterwards():
    net = Net()
    net.initialize()
    net.hybridize()
    a = x(2, 3, 8, 8)
    before = net(a).asnumpy()
    net.scale.set_data(nd.ones((1, 5)) * 2)
    np.testing.assert_allclose(net(a).asnumpy(), 2 * before, rtol=1e-6)
    net.scale.grad_req = "null"
    run(net, a)
    net.scale.grad_req = "add"
    with autograd.record():
        net(a).backward()
    with autograd.record():
        net(a).backward()
    assert np.abs(net.scale.grad().asnumpy()).max() > 0
    net.initialize(mx.init.Zero(), force_reinit=True)
    assert (net(a).asnumpy() == 0).all()
    net.cast("float64")
    assert net(a.astype("float64")).dtype == np.float64
    net.out = nn.Dense(2, dtype="float64")
    net.out.initialize()
    net.scale = net.scale
    net.hybridize(False)
    with pytest.raises(ValueError):
        net(a.astype("float64"))                # the scale has five values


def test_parameters_from_a_file(tmp_path):
    first, second = Net(), Net()
    first.initialize()
    second.initialize()
    for net in (first, second):
        net.hybridize()
    a = x(2, 3, 8, 8)
    assert (first(a).asnumpy() != second(a).asnumpy()).any()
    first.save_parameters(str(tmp_path / "net.params"))
    second.load_parameters(str(tmp_path / "net.params"))
    np.testing.assert_array_equal(first(a).asnumpy(), second(a).asnumpy())


def test_shared_parameters():
    def make():
        net = nn.HybridSequential()
        with net.name_scope():
            net.add(nn.Dense(4, in_units=4))
            net.add(nn.Dense(4, in_units=4, params=net[0].params))
        return net
    hybrid = check(make, x(3, 4))
    assert len(hybrid.collect_params().keys()) == 2


def test_part_of_a_tree():
    net = nn.HybridSequential()
    net.add(nn.Dense(4, activation="relu"), nn.Dense(3))
    outer = nn.Sequential()
    outer.add(net, nn.Lambda("relu"))
    outer.initialize()
    expected = outer(x(2, 5)).asnumpy()
    net[0].hybridize()
    np.testing.assert_allclose(outer(x(2, 5)).asnumpy(), expected, rtol=1e-6)
    assert net[0]._compiled and not net._compiled
    outer.hybridize()
    np.testing.assert_allclose(outer(x(2, 5)).asnumpy(), expected, rtol=1e-6)
    assert net._compiled


def test_hooks_run_outside_only():
    net = nn.HybridSequential()
    net.add(nn.Dense(4), nn.Dense(3))
    net.initialize()
    seen = []
    net.register_forward_hook(lambda block, args, out: seen.append("net"))
    net.register_forward_pre_hook(lambda block, args: seen.append("before"))
    net[0].register_forward_hook(lambda block, args, out: seen.append("layer"))
    net.hybridize()
    net(x(2, 5))
    net(x(2, 5))
    assert seen == ["before", "net"] * 2


def test_batch_sizes_and_plans():
    net = nn.Dense(3, in_units=4)
    net.initialize()
    net.hybridize()
    for size in (1, 5, 2, 5, 1):
        assert net(x(size, 4)).shape == (size, 3)
    assert len(net._last.plans) == 3
    with pytest.raises(mx.MXNetError, match="dense"):
        net(x(2, 5))
    assert net(x(2, 4)).shape == (2, 3)


class Deciding(gluon.HybridBlock):
    def __init__(self, how, **kwargs):
        super().__init__(**kwargs)
        self.how = how

    def forward(self, x):
        return self.how(x)


def assign(x):
    x[0] = 1
    return x


@pytest.mark.parametrize("how", [lambda x: x if x.sum() > 0 else -x, lambda x: x * x.asnumpy(), lambda x: x * float(x[0]),
                                 lambda x: x * x.sum().asscalar(), assign])
def test_what_cannot_be_followed_says_so(how):
    net = Deciding(how, prefix="chooser_")
    outer = nn.HybridSequential()
    outer.add(net)
    outer.hybridize()
    with pytest.raises(TypeError, match="needs the values of an array") as caught:
        outer(x(3))
    note = "".join(caught.value.__notes__)
    assert "Deciding 'chooser'" in note and "hybridize(False)" in note
    net.hybridize(False)


def test_hybrid_forward_that_cannot_be_followed_names_the_block():
    class Sum(gluon.HybridBlock):
        def hybrid_forward(self, F, x):
            return x if x.asnumpy().sum() > 0 else -x
    net = Sum()
    net.hybridize()
    with pytest.raises(Exception) as caught:
        net(x(3))
    assert "turned into a graph" in "".join(caught.value.__notes__)


def test_unused_parts_are_warned_of():
    class Part(gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.one, self.two = nn.Dense(2), nn.Dense(2, in_units=1)

        def hybrid_forward(self, F, x, y):
            return self.one(x)
    net = Part()
    net.initialize()
    net.hybridize()
    with pytest.warns(UserWarning) as caught:
        net(x(2, 3), x(2, 3))
    assert ["arguments 'data1'" in str(w.message) for w in caught] == [True, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net(x(4, 3), x(4, 3))


def test_infer_shape_of_a_layer_that_sets_its_own():
    class Own(gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.weight = self.params.get("weight", shape=(0,), allow_deferred_init=True)

        def infer_shape(self, x):
            self.weight.shape = (x.shape[1] * 2,)

        def hybrid_forward(self, F, x, weight):
            return F.broadcast_mul(x, F.slice_axis(weight, axis=0, begin=0, end=1))
    net = nn.HybridSequential()
    net.add(nn.Dense(3), Own())
    net.initialize()
    net.hybridize()
    assert net(x(2, 5)).shape == (2, 3)
    assert net[1].weight.shape == (6,)


def test_threads_make_the_first_call():
    net = Net()
    net.initialize()
    net.hybridize()
    a, results = x(2, 3, 8, 8), []
    threads = [threading.Thread(target=lambda: results.append(net(a).asnumpy())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all((result == results[0]).all() for result in results)


def test_threads_predict_through_one_network():
    net = Net()
    net.initialize()
    net.hybridize(static_alloc=True)
    inputs = [x(2, 3, 8, 8, seed=i) for i in range(8)]
    expected = [net(a).asnumpy() for a in inputs]
    wrong = []

    def work(i):
        for _ in range(20):
            if (net(inputs[i]).asnumpy() != expected[i]).any():
                wrong.append(i)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_training_converges_as_without():
    losses = []
    for hybrid in (False, True):
        mx.random.seed(1)
        net = nn.HybridSequential()
        net.add(nn.Dense(16, activation="tanh", in_units=4), nn.BatchNorm(in_channels=16), nn.Dense(3, in_units=16))
        net.initialize(mx.init.Xavier())
        loss = gluon.loss.SoftmaxCrossEntropyLoss()
        if hybrid:
            net.hybridize(static_alloc=True)
            loss.hybridize()
        trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": .05})
        data, label = x(64, 4), nd.array(np.arange(64) % 3)
        for _ in range(20):
            with autograd.record():
                error = loss(net(data), label)
            error.backward()
            trainer.step(64)
        losses.append(error.mean().asscalar())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)


def test_copies_and_pickles_leave_the_graphs_behind():
    net = Net()
    net.initialize()
    net.hybridize()
    a = x(2, 3, 8, 8)
    expected = net(a).asnumpy()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not other._compiled
        np.testing.assert_array_equal(other(a).asnumpy(), expected)


def test_a_network_is_freed():
    net = Net()
    net.initialize()
    net.hybridize()
    net(x(2, 3, 8, 8))
    import weakref
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None


def test_summary_before_and_after(capsys):
    net = Net()
    net.initialize()
    net.summary(x(2, 3, 8, 8))
    before = capsys.readouterr().out
    net.hybridize()
    net(x(2, 3, 8, 8))
    net.summary(x(2, 3, 8, 8))
    assert capsys.readouterr().out == before and "Conv2D" in before
    assert net._active and net.conv._active


def test_memory_budget_gives_the_same_gradients():
    def make():
        net = nn.HybridSequential()
        net.add(*(nn.Dense(64, activation="tanh", in_units=64) for _ in range(16)))
        return net
    mx.random.seed(0)
    net = make()
    net.initialize(mx.init.Xavier())
    results, sizes = [], []
    for budget in (None, 0):
        net.hybridize(memory_budget=budget)
        results.append(run(net, x(128, 64)))
        sizes.append(net.plans[0].plan.arena_bytes)
    same(*results)
    assert sizes[1] < sizes[0] / 1.5


def test_operator_hooks_see_every_value():
    net = Net(prefix="net_")
    net.initialize()
    net.hybridize()
    a = x(2, 3, 8, 8)
    expected = net(a).asnumpy()
    seen = {}
    net.register_op_hook(lambda name, operator, array: seen.update({name: (operator, array.shape)}))
    np.testing.assert_allclose(net(a).asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert seen["net_conv0_fwd_output"] == ("Convolution", (2, 4, 6, 6)) and "net_conv0_weight" not in seen
    net.register_op_hook(lambda name, operator, array: seen.update({name: operator}), monitor_all=True)
    net(a)
    assert seen["net_conv0_weight"] == "null"


def test_composed_with_symbols():
    a = mx.sym.var("a", shape=(3, 5, 8))
    out = Attention(2, 8, prefix="att_")(a)
    assert isinstance(out, tuple) and out[0].list_arguments()[0] == "a" and "att_bias" in out[0].list_arguments()
    with pytest.raises(ValueError, match="var\\(name, shape=...\\)"):
        Attention(2, 8)(mx.sym.var("a"))


def test_loops_within():
    class Accumulate(gluon.HybridBlock):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            with self.name_scope():
                self.dense = nn.Dense(3)

        def hybrid_forward(self, F, x, state):
            def step(item, states):
                state = F.tanh(self.dense(item) + states[0])
                return state * 2, [state]
            return F.contrib.foreach(step, x, [state])
    net = Accumulate()
    net.initialize(mx.init.Normal(.5))
    net.dense(x(2, 4))
    args = x(5, 2, 4), x(2, 3)
    expected = net(*args)
    net.hybridize()
    found = net(*args)
    np.testing.assert_allclose(found[0].asnumpy(), expected[0].asnumpy(), rtol=1e-6)
    np.testing.assert_allclose(found[1][0].asnumpy(), expected[1][0].asnumpy(), rtol=1e-6)


def test_several_devices():
    net = nn.Dense(3, in_units=5)
    net.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    net.hybridize()
    parts = gluon.utils.split_and_load(x(4, 5), [mx.cpu(0), mx.cpu(1)])
    with autograd.record():
        outs = [net(part) for part in parts]
    autograd.backward(outs)
    for part, out, grad in zip(parts, outs, net.weight.list_grad()):
        assert out.context == part.context
        np.testing.assert_allclose(grad.asnumpy(), np.tile(part.asnumpy().sum(0), (3, 1)), rtol=1e-5)
    with pytest.raises(ValueError, match="on one device"):
        add = nn.HybridLambda(lambda F, a, b: a + b)
        add.hybridize()
        add(*parts)


def test_gradients_of_gradients():
    found = []
    mx.random.seed(0)
    net = nn.Dense(1, activation="tanh", in_units=2)
    net.initialize(mx.init.Normal(1))
    a = nd.array([[.3, .4]])
    a.attach_grad()
    for hybrid in (False, True):
        net.hybridize(hybrid)
        with autograd.record():
            slope = autograd.grad(net(a), a, create_graph=True)[0]
            total = (slope * slope).sum()
        total.backward()
        found.append(a.grad.asnumpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-5)


def test_optimize_for_makes_the_graph():
    net = Net()
    net.initialize()
    net.optimize_for(x(2, 3, 8, 8), backend="ONEDNN")
    assert net._compiled and net.out.weight.shape == (5, 36)


def test_infer_type():
    net = nn.Dense(3, in_units=4)
    net.initialize()
    net.infer_type(x(2, 4).astype("float64"))
    assert net.weight.dtype == "float64"
    assert net(x(2, 4).astype("float64")).dtype == np.float64
