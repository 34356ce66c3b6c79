"""Several GPUs: stores, by NCCL and by copies between devices; two devices train as one; models that lie on two."""
import ctypes
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn
from mxcy.kvstore import _nccl
from mxcy.kvstore import devices
from tests.gpu.tools import standins

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(mx.num_gpus() < 2, reason="needs two GPUs, or the stand-in for them: "
                                                                            "python -m tests.gpu")]
TWO = [mx.gpu(0), mx.gpu(1)]
KINDS = ["local", "device", "local_allreduce_device"]


@pytest.fixture(params=["nccl", "copies"])
def way(request, monkeypatch):
    """How devices add up."""
    if request.param == "copies":
        monkeypatch.setattr(devices, "available", lambda: False)
    elif not _nccl.available():
        pytest.skip("NCCL is not there")
    return request.param


@pytest.fixture
def library():
    """The stand-in for NCCL, which counts calls and injects faults."""
    if not _nccl.available() or "gpu-standin" not in standins()["MXCY_LIBNCCL"]:
        pytest.skip("needs the stand-in for NCCL")
    found = ctypes.CDLL(standins()["MXCY_LIBNCCL"])
    found.standin_nccl_calls.restype = ctypes.c_long
    return found


def on(contexts, *values, shape=(3, 5), dtype="float32"):
    return [nd.full(shape, value, ctx, dtype) for ctx, value in zip(contexts, values, strict=True)]


def numbers(arrays):
    """The number that each array is full of."""
    result = [np.unique(array.asnumpy().astype("float64")) for array in arrays]
    assert all(len(found) == 1 for found in result)
    return [float(found[0]) for found in result]


# -- stores ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", KINDS)
def test_push_and_pull(way, kind):
    store = mx.kv.create(kind)
    store.init(3, nd.zeros((3, 5)))
    for i in range(5):
        grads = on(TWO, i, 10)
        store.push(3, [grad * 2 for grad in grads])
        outs = on(TWO, 0, 0) + [nd.zeros((3, 5))]
        store.pull(3, out=outs[:2])
        store.pull(3, out=outs[2:])
        assert numbers(outs) == [2 * i + 20] * 3 and numbers(grads) == [i, 10]


@pytest.mark.parametrize("kind", KINDS)
def test_pushpull(way, kind):
    store = mx.kv.create(kind)
    store.broadcast(["a", "b"], on(TWO, 7, 8), [on(TWO, 0, 0), on(TWO, 0, 0)])
    for i in range(5):
        a, b, outs = on(TWO, 1, i), on(TWO[::-1], 3, 4), on(TWO, 0, 0)
        store.pushpull(["a", "b"], [a, b])
        assert numbers(a + b) == [1 + i] * 2 + [7] * 2
        for array in a:
            array += 1                                  # behind the sum, in the order of the program
        store.pushpull("a", a, out=outs)
        assert numbers(a + outs) == [2 + i] * 2 + [4 + 2 * i] * 2
        store.pull("a", out=outs)
        assert numbers(outs) == [4 + 2 * i] * 2


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64"])
def test_dtypes(way, dtype):
    store, grads = mx.kv.create("device"), on(TWO, 3, 4, dtype=dtype)
    store.init(0, nd.zeros((3, 5), dtype=dtype))
    store.pushpull(0, grads)
    assert numbers(grads) == [7, 7] and grads[0].dtype_name == dtype
    store.push(0, grads)
    store.pull(0, grads)
    assert numbers(grads) == [14, 14]


@pytest.mark.parametrize("kind", KINDS)
def test_updates_on_the_store(way, kind, tmp_path):
    store = mx.kv.create(kind)
    keys = list(range(4))
    store.init(keys, [nd.ones((3, 5))] * 4)
    store.set_optimizer(mx.optimizer.Adam(learning_rate=.5))
    reference, states = nd.ones((3, 5)), mx.optimizer.get_updater(mx.optimizer.Adam(learning_rate=.5))
    for i in range(3):
        store.push(keys, [on(TWO, i, k - 2) for k in keys])
        weights = [on(TWO, 0, 0) for _ in keys]
        store.pull(keys, weights)
        store.save_optimizer_states(str(tmp_path / "states"))
        store.load_optimizer_states(str(tmp_path / "states"))
        states(3, nd.full((3, 5), i + 1.), reference)
    for array in weights[3]:
        np.testing.assert_allclose(array.asnumpy(), reference.asnumpy(), rtol=1e-5)
    places = {store._values[k].context for k in keys}
    assert places == ({mx.cpu()} if kind == "local" else set(TWO))      # devices share the work


def test_uneven_and_strange_pushes(way):
    """Arrays of one device, several of the same, of the host, and keys that are named twice."""
    store = mx.kv.create("device")
    store.init(0, nd.zeros((3, 5)))
    out = nd.zeros((3, 5))
    for pushed, expected in ((on(TWO[1:], 3), 3), (on([*TWO, TWO[0]], 1, 2, 3), 6), (on([TWO[1], mx.cpu()], 1, 2), 3)):
        store.push(0, pushed)
        store.pull(0, out)
        assert numbers([out]) == [expected]
    store.push([0, 0], on(TWO, 4, 5))
    store.pull(0, out)
    assert numbers([out]) == [9]
    with pytest.raises(mx.MXNetError):
        store.push(0, [nd.zeros((3, 5), TWO[0]), nd.zeros((5, 3), TWO[1])])


def test_nccl_is_called_once_for_many_keys(library):
    store, keys = mx.kv.create("nccl"), list(range(20))
    store.init(keys, [nd.zeros((2,))] * 20)
    grads = [on(TWO, k, 1, shape=(2,)) for k in keys]
    groups, sums = library.standin_nccl_calls(b"ncclGroupEnd"), library.standin_nccl_calls(b"ncclAllReduce")
    store.pushpull(keys, grads)
    assert [numbers(pair) for pair in grads] == [[k + 1] * 2 for k in keys]
    assert library.standin_nccl_calls(b"ncclGroupEnd") == groups + 1
    assert library.standin_nccl_calls(b"ncclAllReduce") == sums + 40


def test_sums_wait_for_what_is_pending_on_the_host(way):
    """So that the calls are issued by a worker of the engine."""
    store = mx.kv.create("device")
    store.init(0, nd.zeros((300, 300)))
    for i in range(5):
        host = nd.dot(nd.ones((300, 300)), nd.full((300, 300), i))
        grads = [host.as_in_context(ctx) for ctx in TWO]
        store.pushpull(0, grads)
        assert numbers(grads) == [600 * i] * 2


def test_threads_add_up_and_copy_between_devices(way):
    """Streams that wait for each other never do so in a circle."""
    problems = []

    def sums(k):
        store = mx.kv.create("device")
        store.init(0, nd.zeros((3, 5)))
        for i in range(20):
            grads = on(TWO, i, k)
            store.pushpull(0, grads)
            problems.extend([] if numbers(grads) == [i + k] * 2 else [grads])

    def copies(k):
        for i in range(20):
            array = nd.full((3, 5), i, TWO[k])
            for ctx in TWO * 2:
                array = array.as_in_context(ctx) + 1
            problems.extend([] if numbers([array]) == [i + 4] else [array])

    threads = [threading.Thread(target=work, args=(k,)) for work in (sums, copies) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


@pytest.mark.parametrize("function", ["ncclGroupEnd", "ncclAllReduce"])
def test_nccl_fails(library, function):
    store, grads = mx.kv.create("device"), on(TWO, 1, 2)
    store.init(0, nd.zeros((3, 5)))
    store.pushpull(0, grads)
    library.standin_nccl_fail(function.encode(), 1)
    with pytest.raises(mx.MXNetError, match=r"ncclAllReduce on 2 devices, the first of them gpu\(0\), failed: a fault"):
        store.pushpull(0, grads)
    grads = on(TWO, 1, 2)
    store.pushpull(0, grads)
    assert numbers(grads) == [3, 3]


def test_arguments_of_collectives_are_checked(library):
    group = _nccl.communicator((0, 1))
    one, two = on(TWO, 1, 2)
    for sources, targets, text in (([[two, one]], [[two, one]], r"on gpu\(1\) is given for gpu\(0\)"),
                                   ([[one, two]], [[one, nd.zeros((2,), TWO[1])]], "one size and dtype"),
                                   ([[one]], [[one]], "1 arrays for 2 devices"),
                                   ([on(TWO, 1, 1, dtype="bool")], [on(TWO, 1, 1, dtype="bool")], "no dtype bool")):
        with pytest.raises(ValueError, match=text):
            group.all_reduce(sources, targets)
    with pytest.raises(ValueError, match="each once"):
        _nccl.communicator((0, 0))


# -- Gluon -----------------------------------------------------------------------------------------------------------

def net_on(contexts, hybrid=True):
    net = nn.HybridSequential()
    net.add(nn.Dense(8, activation="tanh", in_units=6), nn.Dense(3, in_units=8))
    net.initialize(ctx=mx.cpu())
    rng = np.random.default_rng(0)
    for param in net.collect_params().values():
        param.set_data(nd.array(rng.normal(size=param.shape) * .3))
    net.collect_params().reset_ctx(contexts)
    if hybrid:
        net.hybridize()
    return net


def train(contexts, steps=4, sizes=(12,), optimizer="adam", hybrid=True, **kwargs):
    """Losses and weights; every copy of these must be the same."""
    net, rng, losses = net_on(contexts, hybrid), np.random.default_rng(1), []
    trainer = gluon.Trainer(net.collect_params(), optimizer, {"learning_rate": .05}, **kwargs)
    loss_of = gluon.loss.L2Loss()
    for step in range(steps):
        size = sizes[step % len(sizes)]
        x, y = rng.normal(size=(size, 6)).astype("float32"), rng.normal(size=(size, 3)).astype("float32")
        parts = zip(*(gluon.utils.split_and_load(a, contexts, even_split=False) for a in (x, y)))
        with autograd.record():
            values = [loss_of(net(x), y) for x, y in parts]
        autograd.backward(values)
        trainer.step(size)
        losses.append(sum(float(value.sum().asscalar()) for value in values))
    weights = []
    for param in net.collect_params().values():
        copies = [data.asnumpy() for data in param.list_data()]
        for copy in copies[1:]:
            np.testing.assert_array_equal(copies[0], copy)
        weights.append(copies[0])
    return losses, weights


def check_same(one, two):
    np.testing.assert_allclose(one[0], two[0], rtol=1e-4)
    for here, there in zip(one[1], two[1], strict=True):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kwargs", [{}, {"kvstore": "local"}, {"update_on_kvstore": False},
                                    {"kvstore": "local", "update_on_kvstore": False}], ids=str)
def test_two_devices_train_as_one(way, kwargs):
    check_same(train([mx.cpu()]), train(TWO, **kwargs))


def test_uneven_batches(way):
    check_same(train(TWO[:1], sizes=(7, 12, 3)), train(TWO, sizes=(7, 12, 3), hybrid=False))


def test_split_and_load():
    parts = gluon.utils.split_and_load(np.arange(10.).reshape(5, 2), TWO, even_split=False)
    assert [part.context for part in parts] == TWO and [part.shape for part in parts] == [(3, 2), (2, 2)]
    assert parts[1].asnumpy().tolist() == [[6, 7], [8, 9]]
    parts = gluon.utils.split_and_load(nd.array(np.arange(8).reshape(2, 4), ctx=TWO[1]), TWO, batch_axis=1)
    assert parts[0].context == TWO[0] and parts[1].asnumpy().tolist() == [[2, 3], [6, 7]]


@pytest.mark.parametrize("on_store", [True, False])
def test_missing_gradients(way, on_store):
    """A parameter that one device did not use gets the gradient of the other; one that none used is left alone."""
    params = [gluon.Parameter(name, shape=(4,)) for name in "abc"]
    for param in params:
        param.initialize("ones", ctx=TWO)
    both, one, none = params
    trainer = gluon.Trainer(params, "sgd", {"learning_rate": 1.}, update_on_kvstore=on_store)
    for step in range(1, 4):
        with autograd.record():
            losses = [both.data(TWO[0]) * 2 + one.data(TWO[0]) * 3, both.data(TWO[1]) * 4]
        autograd.backward(losses)
        if step == 1:
            with pytest.raises(UserWarning, match=r"'b' on gpu\(1\)"):
                trainer.step(1)
        trainer.step(1, ignore_stale_grad=True)
        assert [numbers(param.list_data()) for param in params] == [[1 - 6 * step] * 2, [1 - 3 * step] * 2, [1, 1]]
    assert numbers(none.list_grad()) == [0, 0]


def test_parameters_on_several_devices(tmp_path):
    net, file = net_on(TWO), str(tmp_path / "net.params")
    weight = net[0].weight
    assert weight.list_ctx() == TWO and [array.context for array in weight.list_grad()] == TWO
    assert weight.data(TWO[1]).context == TWO[1]
    with pytest.raises(mx.MXNetError, match=r"not initialized on context cpu\(0\): it lives on \[gpu\(0\), gpu\(1\)\]"):
        weight.data(mx.cpu())
    net.save_parameters(file)
    other = nn.HybridSequential()
    other.add(nn.Dense(8, activation="tanh", in_units=6), nn.Dense(3, in_units=8))
    other.load_parameters(file, ctx=TWO[::-1])
    assert other[0].weight.list_ctx() == TWO[::-1]
    x = np.ones((2, 6), "float32")
    results = [block(nd.array(x, ctx=ctx)).asnumpy() for block in (net, other) for ctx in TWO]
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)
    other.collect_params().reset_ctx(mx.cpu())
    np.testing.assert_allclose(other(nd.array(x)).asnumpy(), results[0], rtol=1e-5)
    weight.set_data(nd.ones(weight.shape, TWO[1]))
    weight.zero_grad()
    assert numbers(weight.list_data()) == [1, 1] and numbers(weight.list_grad()) == [0, 0]


def test_states_are_saved_and_loaded(tmp_path):
    file = str(tmp_path / "states")
    for kwargs in ({}, {"update_on_kvstore": False}):
        nets = [net_on(TWO), net_on(TWO)]
        trainers = [gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .1, "momentum": .9}, **kwargs)
                    for net in nets]
        x = [nd.ones((2, 6), ctx) for ctx in TWO]

        def step(k, nets=nets, trainers=trainers, x=x):
            with autograd.record():
                losses = [(nets[k](part) ** 2).sum() for part in x]
            autograd.backward(losses)
            trainers[k].step(4)

        step(0)
        for param, other in zip(nets[0].collect_params().values(), nets[1].collect_params().values()):
            other.set_data(param.data(TWO[0]))
        trainers[0].save_states(file)
        trainers[1].load_states(file)
        for k in (0, 1):
            step(k)
        for param, other in zip(nets[0].collect_params().values(), nets[1].collect_params().values()):
            np.testing.assert_allclose(param.data(TWO[1]).asnumpy(), other.data(TWO[0]).asnumpy(), rtol=1e-6)


# -- Module ----------------------------------------------------------------------------------------------------------

def network():
    data = mx.sym.Variable("data")
    hidden = mx.sym.Activation(mx.sym.FullyConnected(data, num_hidden=8, name="one"), act_type="tanh")
    return mx.sym.LinearRegressionOutput(mx.sym.FullyConnected(hidden, num_hidden=3, name="two"),
                                         mx.sym.Variable("label"), name="out")


def fit(contexts, kvstore="device", **kwargs):
    rng = np.random.default_rng(2)
    module = mx.mod.Module(network(), ["data"], ["label"], context=contexts, **kwargs)
    module.bind([("data", (10, 6))], [("label", (10, 3))])
    shapes = {"one_weight": (8, 6), "one_bias": (8,), "two_weight": (3, 8), "two_bias": (3,)}
    module.init_params(arg_params={name: nd.array(rng.normal(size=shape)) for name, shape in shapes.items()})
    module.init_optimizer(kvstore, "sgd", {"learning_rate": .1, "momentum": .9})
    for _ in range(3):
        batch = mx.io.DataBatch([nd.array(rng.normal(size=(10, 6)))], [nd.array(rng.normal(size=(10, 3)))])
        module.forward_backward(batch)
        module.update()
    module.forward(batch, is_train=False)
    return [module.get_outputs()[0].asnumpy(), *(module.get_params()[0][name].asnumpy() for name in shapes)]


@pytest.mark.parametrize("kwargs", [{}, {"kvstore": "local"}, {"work_load_list": [2, 3]}], ids=str)
def test_module_on_two_devices(way, kwargs):
    for here, there in zip(fit(mx.cpu()), fit(TWO, **kwargs), strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


# -- models that lie on several devices ------------------------------------------------------------------------------

def two_parts():
    with mx.AttrScope(ctx_group="first"):
        hidden = mx.sym.Activation(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=8, name="one"), act_type="tanh")
    with mx.AttrScope(ctx_group="second"):
        hidden = mx.sym.FullyConnected(hidden, num_hidden=3, name="two") + mx.sym.ones((4, 3))
        return mx.sym.LinearRegressionOutput(hidden, mx.sym.var("label"), name="out")


@pytest.mark.parametrize("groups", [TWO, TWO[::-1], [mx.cpu(), TWO[1]]], ids=str)
def test_groups_of_nodes_on_several_devices(groups):
    results = []
    for given in (None, dict(zip(["first", "second"], groups))):
        executor = two_parts().simple_bind(mx.cpu() if given is None else groups[0], group2ctx=given, data=(4, 6),
                                           label=(4, 3))
        if given:
            assert executor.arg_dict["one_weight"].context == groups[0]
            assert executor.grad_dict["two_weight"].context == executor.outputs[0].context == groups[1]
        rng = np.random.default_rng(3)
        values = {name: rng.normal(size=array.shape) for name, array in executor.arg_dict.items()}
        for _ in range(3):
            executor.forward(is_train=True, **{name: nd.array(value) for name, value in values.items()})
            executor.backward()
        results.append([executor.outputs[0].asnumpy(), *(grad.asnumpy() for grad in executor.grad_dict.values())])
    for here, there in zip(*results, strict=True):
        np.testing.assert_allclose(there, here, rtol=1e-4, atol=1e-5)


def test_module_with_groups():
    results = []
    for contexts, groups in ((mx.cpu(), None), (TWO[0], {"first": TWO[0], "second": TWO[1]})):
        module = mx.mod.Module(two_parts(), ["data"], ["label"], context=contexts, group2ctxs=groups)
        module.bind([("data", (4, 6))], [("label", (4, 3))])
        module.init_params(mx.init.Constant(.1))
        module.init_optimizer(optimizer_params={"learning_rate": .5})
        for _ in range(3):
            module.forward_backward(mx.io.DataBatch([nd.ones((4, 6))], [nd.ones((4, 3))]))
            module.update()
        results.append({name: array.asnumpy() for name, array in module.get_params()[0].items()})
    for name, array in results[0].items():
        np.testing.assert_allclose(results[1][name], array, rtol=1e-4)
