"""BucketingModule, SequentialModule and Python modules."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd, sym
from mxcy.io import DataBatch
from tests.module.test_module import batch_of, dense, expected, values


def mean_of_words(length):
    """Words are embedded, added up and classified: the parameters do not depend on the length."""
    words = sym.Embedding(sym.var("data"), input_dim=10, output_dim=4, name="embed")
    net = sym.FullyConnected(sym.sum(words, axis=1), num_hidden=3, name="fc")
    return sym.SoftmaxOutput(net, name="softmax"), ("data",), ("softmax_label",)


def words(length, rows=4, seed=0):
    random = np.random.RandomState(seed)
    return DataBatch([nd.array(random.randint(0, 10, (rows, length)))], [nd.array(random.randint(0, 3, rows))],
                     bucket_key=length, provide_data=[("data", (rows, length))],
                     provide_label=[("softmax_label", (rows,))])


@pytest.mark.parametrize("context", [mx.cpu(), [mx.cpu(0), mx.cpu(1)]])
def test_buckets_share_parameters_and_optimizer(context):
    module = mx.mod.BucketingModule(mean_of_words, default_bucket_key=8, context=context)
    module.bind([("data", (4, 8))], [("softmax_label", (4,))])
    module.init_params(mx.init.Uniform(.5))
    module.init_optimizer(optimizer_params={"learning_rate": .5, "momentum": .9})
    start = {name: array.asnumpy().copy() for name, array in module.get_params()[0].items()}
    plain = mx.mod.Module(mean_of_words(0)[0])
    plain.bind([("data", (4, 8))], [("softmax_label", (4,))])
    plain.init_params(arg_params={name: nd.array(array) for name, array in start.items()}, aux_params={})
    plain.init_optimizer(optimizer_params={"learning_rate": .5, "momentum": .9})
    for step, length in enumerate((3, 8, 5, 3, 5)):
        batch = words(length, seed=step)
        for trained in (module, plain):                 # a Module binds other shapes as they come
            trained.forward_backward(batch)
            trained.update()
        assert module.symbol.list_outputs() == ["softmax_output"] and module.data_shapes[0].shape == (4, length)
    for name, array in plain.get_params()[0].items():
        np.testing.assert_allclose(module.get_params()[0][name].asnumpy(), array.asnumpy(), rtol=1e-4, atol=1e-5)


def test_buckets_fit_and_files(tmp_path):
    prefix = str(tmp_path / "model")
    module = mx.mod.BucketingModule(mean_of_words, default_bucket_key=8)
    module.bind([("data", (4, 8))], [("softmax_label", (4,))])
    module.init_params()
    module.forward(words(3), is_train=False)
    module.save_checkpoint(prefix, 1)
    want = module.get_outputs()[0].asnumpy()
    for sym_gen in (None, mean_of_words):
        again = mx.mod.BucketingModule.load(prefix, 1, sym_gen, default_bucket_key=8)
        again.bind([("data", (4, 8))], [("softmax_label", (4,))], for_training=False)
        again.forward(words(3), is_train=False)
        np.testing.assert_array_equal(again.get_outputs()[0].asnumpy(), want)
    with pytest.raises(mx.MXNetError, match="there is no symbol for bucket 5"):
        again = mx.mod.BucketingModule.load(prefix, 1, default_bucket_key=8)
        again.bind([("data", (4, 8))], [("softmax_label", (4,))])
        again.forward(words(5))


def test_bucket_with_parameters_of_its_own():
    def sym_gen(length):
        net = sym.FullyConnected(sym.var("data"), num_hidden=3, name=f"fc{length}")
        return sym.SoftmaxOutput(net, name="softmax"), ("data",), ("softmax_label",)
    module = mx.mod.BucketingModule(sym_gen, 8)
    module.bind([("data", (4, 8))], [("softmax_label", (4,))])
    module.init_params()
    with pytest.raises(ValueError, match="bucket 3 has parameters .*fc3_weight"):
        module.forward(words(3))
    with pytest.raises(ValueError, match="default_bucket_key"):
        mx.mod.BucketingModule(sym_gen)


def chain(second):
    net = sym.FullyConnected(sym.var("data"), num_hidden=3, name="fc")
    return mx.mod.SequentialModule().add(mx.mod.Module(net, label_names=None)).add(second, take_labels=True,
                                                                                  auto_wiring=True)


@pytest.mark.parametrize("second", [
    lambda: mx.mod.Module(sym.SoftmaxOutput(sym.var("scores"), name="softmax"), ["scores"]),
    lambda: mx.mod.PythonLossModule(grad_func=lambda scores, labels: nd.softmax(scores) - nd.one_hot(labels, 3))])
def test_chain(second):
    module, plain = chain(second()), mx.mod.Module(dense())
    params, batch = values(), batch_of()
    for trained in (module, plain):
        trained.bind([("data", (4, 5))], [("softmax_label", (4,))], inputs_need_grad=True)
        trained.init_params(arg_params=params, aux_params={})
        trained.init_optimizer(optimizer_params={"learning_rate": .5})
        trained.forward(batch)
        trained.backward()
        trained.update()
        np.testing.assert_allclose(trained.get_input_grads()[0].asnumpy(), expected(params, batch)[3], rtol=1e-4,
                                   atol=1e-6)
    for name, array in plain.get_params()[0].items():
        np.testing.assert_allclose(module.get_params()[0][name].asnumpy(), array.asnumpy(), rtol=1e-4, atol=1e-6)
    metric = mx.metric.Accuracy()
    module.update_metric(metric, batch.label)
    assert metric.num_inst == 4
    assert module.data_names == ["data"] and module.label_shapes[0].name == "softmax_label"


def test_chain_fits():
    random = np.random.RandomState(0)
    x = random.uniform(-1, 1, (120, 5)).astype("float32")
    module = chain(mx.mod.Module(sym.SoftmaxOutput(sym.var("data"), name="softmax")))
    batches = mx.io.NDArrayIter(x, x[:, :3].argmax(1), 20)
    module.fit(batches, num_epoch=40, optimizer_params={"learning_rate": 2.})
    assert module.score(batches, "acc")[0][1] > .9


def test_chain_errors():
    module = mx.mod.SequentialModule()
    with pytest.raises(mx.MXNetError, match="a module first"):
        module.bind([("data", (4, 5))])
    with pytest.raises(TypeError, match="'take_label' is not an option"):
        module.add(mx.mod.Module(dense()), take_label=True)
    module.add(mx.mod.Module(dense())).add(mx.mod.Module(dense()), auto_wiring=True)
    module.bind([("data", (4, 5))])
    with pytest.raises(ValueError, match="modules 0 and 1 both have a parameter"):
        module.init_params(arg_params=None)


def test_python_module():
    class Double(mx.mod.PythonModule):
        def _compute_output_shapes(self):
            return [("twice", self.data_shapes[0].shape)]

        def forward(self, data_batch, is_train=None):
            self._out = data_batch.data[0] * 2

        def get_outputs(self, merge_multi_context=True):
            return [self._out]

    module = Double(["data"], None, ["twice"])
    module.bind([("data", (2, 2))])
    module.init_params()
    assert module.output_shapes == [("twice", (2, 2))] and module.get_params() == ({}, {})
    assert module.predict(nd.ones((2, 2))).asnumpy().tolist() == [[2, 2], [2, 2]]
    with pytest.raises(ValueError, match="grad_req must be 'write'"):
        Double(["data"], None, ["twice"]).bind([("data", (2, 2))], grad_req="add")
    with pytest.raises(ValueError, match=r"describe \['x'\]"):
        Double(["data"], None, ["twice"]).bind([("x", (2, 2))])
