"""Custom operators: at once, on the tape, in plans; state, errors, auxiliary states, several outputs."""
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy.base import MXNetError, MXNetTypeError, MXNetValueError
from mxcy.graph.graph import Entry, Graph, Node
from mxcy.ops.operator import lookup
from mxcy.plan._cached import CachedOp

PROP, OP = mx.operator.CustomOpProp, mx.operator.CustomOp


class Scaled(OP):
    """Two outputs, scale * a and a + b; remembers in forward what backward needs; counts its calls in ``calls``."""

    def __init__(self, scale):
        self.scale = scale

    def forward(self, is_train, req, in_data, out_data, aux):
        a, b = in_data
        self.mask = (a.asnumpy() > 0).astype("float32")             # waits within the operator
        self.assign(out_data[0], req[0], mx.nd.array(self.mask) * a * self.scale)
        self.assign(out_data[1], req[1], a + b)
        if is_train:
            aux[0][:] += 1

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.assign(in_grad[0], req[0], out_grad[0] * mx.nd.array(self.mask) * self.scale + out_grad[1])
        self.assign(in_grad[1], req[1], out_grad[1])


@mx.operator.register("test_scaled")
class ScaledProp(PROP):
    def __init__(self, scale="2"):
        super().__init__()
        assert isinstance(scale, str)
        self.scale = float(scale)

    def list_arguments(self):
        return ["a", "b"]

    def list_outputs(self):
        return ["first", "second"]

    def list_auxiliary_states(self):
        return ["calls"]

    def infer_shape(self, in_shape):
        return [in_shape[0], in_shape[0]], [in_shape[0]] * 2, [[1]]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Scaled(self.scale)


class Broken(OP):
    def forward(self, is_train, req, in_data, out_data, aux):
        raise KeyError("the user's own words")


@mx.operator.register("test_broken")
class BrokenProp(PROP):
    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Broken()


class Loss(OP):
    reqs = []

    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], mx.nd.softmax(in_data[0]))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        self.reqs.append(req)
        self.assign(in_grad[0], req[0], out_data[0] - mx.nd.one_hot(in_data[1], out_data[0].shape[1]))


@mx.operator.register("test_loss")
class LossProp(PROP):
    def __init__(self):
        super().__init__(need_top_grad=False)

    def list_arguments(self):
        return ["data", "label"]

    def infer_shape(self, in_shape):
        return [in_shape[0], in_shape[0][:1]], [in_shape[0]], []

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return Loss()


def arrays(shape=(2, 3)):
    mx.random.seed(3)
    a, b, calls = mx.nd.random.normal(shape=shape), mx.nd.random.normal(shape=shape), mx.nd.zeros((1,))
    a.attach_grad()
    b.attach_grad()
    return a, b, calls


def check(a, b, calls, outputs, scale):
    """Values, and gradients of 3 * first + second * second."""
    x, y = a.asnumpy(), b.asnumpy()
    np.testing.assert_allclose(outputs[0].asnumpy(), scale * x * (x > 0), rtol=1e-6)
    np.testing.assert_allclose(outputs[1].asnumpy(), x + y, rtol=1e-6)
    np.testing.assert_allclose(a.grad.asnumpy(), 3 * scale * (x > 0) + 2 * (x + y), rtol=1e-5)
    np.testing.assert_allclose(b.grad.asnumpy(), 2 * (x + y), rtol=1e-5)
    assert calls.asscalar() == 1


def test_at_once():
    a, b, calls = arrays()
    with mx.autograd.record():
        first, second = mx.nd.Custom(a, b, calls, op_type="test_scaled", scale=5)
        out = 3 * first + second * second
    out.backward()
    check(a, b, calls, (first, second), 5)


def test_inputs_by_name_and_out():
    a, b, calls = arrays()
    out = [mx.nd.zeros((2, 3)), mx.nd.zeros((2, 3))]
    assert mx.nd.Custom(calls=calls, b=b, a=a, op_type="test_scaled", out=out) is out
    np.testing.assert_allclose(out[1].asnumpy(), a.asnumpy() + b.asnumpy())
    assert calls.asscalar() == 0                        # not in training mode


def node(name, op, inputs, **attrs):
    return Node(lookup(op), name, inputs, attrs)


def variables(*names):
    return [Entry(Node(None, name), 0) for name in names]


def one_output(op_type, *inputs):
    """A function of arrays that runs a plan of this operator alone."""
    custom = node("custom0", "Custom", variables(*inputs), op_type=op_type)
    return CachedOp(Graph([Entry(custom, 0)]), inputs)


def symbol_graph(scale):
    """The operator and what `check` differentiates, as a symbol has it."""
    custom = node("custom0", "Custom", variables("a", "b", "calls"), op_type="test_scaled", scale=str(scale))
    tripled = node("tripled", "_mul_scalar", [Entry(custom, 0)], scalar="3")
    squared = node("squared", "square", [Entry(custom, 1)])
    out = node("out", "elemwise_add", [Entry(tripled, 0), Entry(squared, 0)])
    return Graph([Entry(custom, 0), Entry(custom, 1), Entry(out, 0)])


def test_in_a_plan():
    net = CachedOp(symbol_graph(4), ["a", "b", "calls"])
    for shape in ((2, 3), (5,), (2, 3)):
        a, b, calls = arrays(shape)
        with mx.autograd.record():
            *outputs, out = net(a, b, calls)
        out.backward()
        check(a, b, calls, outputs, 4)
    np.testing.assert_allclose(net(a, b, calls)[1].asnumpy(), a.asnumpy() + b.asnumpy())
    assert calls.asscalar() == 1


def test_two_calls_of_a_plan_before_their_backward_do_not_share_an_operator():
    net = CachedOp(symbol_graph(2), ["a", "b", "calls"])
    a, b, calls = arrays()
    other = -1 * a
    with mx.autograd.record():
        out = net(a, b, calls)[2] + net(other, b, calls)[2]
    out.backward()
    x, y = a.asnumpy(), b.asnumpy()
    np.testing.assert_allclose(a.grad.asnumpy(), 6 * (x > 0) + 2 * (x + y), rtol=1e-5)


def test_a_plan_differentiated_twice():
    net = CachedOp(symbol_graph(2), ["a", "b", "calls"])
    a, b, calls = arrays()
    with mx.autograd.record():
        out = net(a, b, calls)[2]
    out.backward(retain_graph=True)
    first = a.grad.asnumpy()
    out.backward()
    np.testing.assert_array_equal(a.grad.asnumpy(), first)


def test_what_the_operator_keeps_stays_valid():
    kept = []

    class Keeping(OP):
        def forward(self, is_train, req, in_data, out_data, aux):
            kept.append((in_data[0], out_data[0]))
            out_data[0][:] = in_data[0] + 1

    class KeepingProp(PROP):
        def create_operator(self, ctx, in_shapes, in_dtypes):
            return Keeping()
    mx.operator.register("test_keeping")(KeepingProp)
    net = one_output("test_keeping", "x")
    for i in range(5):
        net(mx.nd.full((1000,), i)).wait_to_read()
    for i, (given, out) in enumerate(kept):
        assert (given.asnumpy() == i).all() and (out.asnumpy() == i + 1).all()


def test_a_loss_takes_no_gradient_and_null_is_not_written():
    x, label = mx.nd.random.normal(shape=(4, 3)), mx.nd.array([0, 2, 1, 1])
    x.attach_grad()
    expected = mx.nd.softmax(x).asnumpy() - np.eye(3)[[0, 2, 1, 1]]
    with mx.autograd.record():
        out = mx.nd.Custom(x, label, op_type="test_loss")
    out.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-5)
    net = one_output("test_loss", "x", "label")
    with mx.autograd.record():
        out = net(x, label)
    out.backward(mx.nd.full((4, 3), 17))
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-5)
    assert not net.plans[0].needed
    assert Loss.reqs[-2:] == [["write", "null"]] * 2


def test_what_user_code_raises_arrives_with_its_traceback():
    with pytest.raises(MXNetError, match="Broken.forward raised KeyError: .the user's own words") as caught:
        mx.nd.Custom(mx.nd.ones((2,)), op_type="test_broken")
    assert __file__ in str(caught.value) and isinstance(caught.value.__cause__, KeyError)
    net = one_output("test_broken", "x")
    with pytest.raises(MXNetError, match="Broken.forward raised KeyError: .the user's own words"):
        net(mx.nd.ones((2,))).asnumpy()


def test_threads_and_workers():
    """Many threads run plans with Python in them while others compute: nothing waits for itself."""
    net = CachedOp(symbol_graph(2), ["a", "b", "calls"])
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(20):
            x = rng.normal(size=(300, 300)).astype("float32")
            a, b = mx.nd.array(x), mx.nd.array(x)
            c = mx.nd.dot(a, b)
            first, second, _ = net(c, b, mx.nd.zeros((1,)))
            if not np.allclose(second.asnumpy(), (c + b).asnumpy()):
                wrong.append(seed)
    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong and not any(thread.is_alive() for thread in threads)


@pytest.mark.parametrize("call, error, words", [
    (lambda x: mx.nd.Custom(x), MXNetTypeError, "op_type is missing"),
    (lambda x: mx.nd.Custom(x, op_type="test_scaler"), MXNetValueError, "test_scaled"),
    (lambda x: mx.nd.Custom(x, op_type="test_scaled"), MXNetTypeError, "b, calls not given"),
    (lambda x: mx.nd.Custom(x, x, x, x, op_type="test_scaled"), MXNetTypeError, "takes a, b, calls"),
    (lambda x: mx.nd.Custom(x, a=x, b=x, op_type="test_scaled"), MXNetTypeError, "given twice"),
    (lambda x: mx.nd.Custom(x, 3, x, op_type="test_scaled"), MXNetTypeError, "b of test_scaled is int"),
    (lambda x: mx.nd.Custom(x, x, x, op_type="test_scaled", color=1), MXNetError, "ScaledProp raised TypeError"),
    (lambda x: mx.nd.Custom(x, mx.nd.ones((7,)), x, op_type="test_scaled"), MXNetValueError, "wants .2, 3. for b"),
    (lambda x: mx.operator.register("x")(3), MXNetTypeError, "subclass of CustomOpProp"),
    (lambda x: OP().assign(x, "overwrite", x), MXNetValueError, "req is 'overwrite'"),
])
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call(mx.nd.ones((2, 3)))


def test_assign():
    x = mx.nd.ones((2,))
    OP().assign(x, "null", 5)
    OP().assign(x, "add", 2)
    assert x.asnumpy().tolist() == [3, 3]
    OP().assign(x, "inplace", mx.nd.array([7, 8]))
    assert x.asnumpy().tolist() == [7, 8]


def test_lists():
    assert "test_scaled" in mx.operator.get_all_registered()
    assert {"Custom", "FullyConnected"} <= set(mx.operator.get_all_registered_operators())
    arguments = mx.operator.get_operator_arguments("FullyConnected")
    assert arguments.names[:3] == ["data", "weight", "bias"] and arguments.narg == len(arguments.types)


# -- symbols -----------------------------------------------------------------------------------------------------------

def test_a_symbol_names_what_is_missing_as_the_operator_does():
    out = mx.sym.Custom(mx.sym.var("x"), op_type="test_scaled", name="foo", scale=3)
    assert out.list_arguments() == ["x", "foo_b"] and out.list_auxiliary_states() == ["foo_calls"]
    assert out.list_outputs() == ["foo_output0", "foo_output1"] or out.list_outputs() == ["foo_first", "foo_second"]
    assert out.infer_shape(x=(4, 5)) == ([(4, 5), (4, 5)], [(4, 5)] * 2, [(1,)])
    assert out.attr("op_type") == "test_scaled" and out.attr("scale") == "3"
    with mx.name.NameManager():
        assert mx.sym.Custom(mx.sym.var("x"), op_type="test_scaled").name == "custom0"


def test_a_symbol_bound_saved_and_loaded():
    a, b, calls = arrays()
    x, y = mx.sym.var("a"), mx.sym.var("b")
    custom = mx.sym.Custom(x, b=y, op_type="test_scaled", name="c", scale=2)
    symbol = mx.sym.load_json(mx.sym.Group([custom, 3 * custom[0] + custom[1] * custom[1]]).tojson())
    executor = symbol.bind(mx.cpu(), {"a": a, "b": b}, {"a": mx.nd.zeros(a.shape), "b": mx.nd.zeros(b.shape)},
                           aux_states={"c_calls": calls})
    first, second, out = executor.forward(is_train=True)
    executor.backward([mx.nd.zeros(a.shape), mx.nd.zeros(a.shape), mx.nd.ones(a.shape)])
    a.grad[:], b.grad[:] = executor.grad_dict["a"], executor.grad_dict["b"]
    check(a, b, calls, (first, second), 2)


def test_a_loss_needs_no_gradient_of_its_output():
    loss = mx.sym.Custom(mx.sym.var("data"), mx.sym.var("label"), op_type="test_loss", name="loss")
    executor = loss.simple_bind(mx.cpu(), data=(4, 3))
    assert executor.arg_dict["label"].shape == (4,)
    executor.forward(is_train=True, data=mx.nd.ones((4, 3)), label=mx.nd.array([0, 1, 2, 0]))
    executor.backward()
    np.testing.assert_allclose(executor.grad_dict["data"].asnumpy(), 1 / 3 - np.eye(3)[[0, 1, 2, 0]], rtol=1e-5)
    assert not executor.grad_dict["label"].asnumpy().any()          # which backward does not write


def test_in_a_hybrid_block():
    class Net(mx.gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.dense = mx.gluon.nn.Dense(3, in_units=3)

        def hybrid_forward(self, F, a, b, calls):
            first, second = F.Custom(self.dense(a), b, calls, op_type="test_scaled", scale=2)
            return first * second
    net = Net()
    net.initialize()
    results = []
    for hybrid in (False, True):
        net.hybridize(hybrid)
        a, b, calls = arrays()
        with mx.autograd.record():
            out = net(a, b, calls)
        out.backward()
        results.append((out.asnumpy(), a.grad.asnumpy(), b.grad.asnumpy()))
    for left, right in zip(*results):
        np.testing.assert_allclose(left, right, rtol=1e-5)


def test_in_a_loop_that_is_no_plan():
    class Net(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, a, b, calls):
            def step(i, a):
                first, second = F.Custom(a, b, calls, op_type="test_scaled", scale=2)
                return [], (i + 1, first + second)
            return F.contrib.while_loop(lambda i, a: F.sum(i) < 3, step, (F.zeros_like(calls), a), 5)[1][1]
    net, results = Net(), []
    for hybrid in (False, True):
        net.hybridize(hybrid)
        a, b, calls = arrays()
        with mx.autograd.record():
            out = net(a, b, calls)
        out.backward()
        results.append((out.asnumpy(), a.grad.asnumpy(), b.grad.asnumpy(), calls.asnumpy()))
    for left, right in zip(*results):
        np.testing.assert_allclose(left, right, rtol=1e-5)


def test_a_file_with_wrong_inputs():
    text = mx.sym.Custom(mx.sym.var("data"), mx.sym.var("label"), op_type="test_loss", name="loss").tojson()
    with pytest.raises(MXNetValueError, match="there are 1 inputs; expected 2: data, label"):
        mx.sym.load_json(text.replace("[[0, 0, 0], [1, 0, 0]]", "[[0, 0, 0]]"))
    with pytest.raises(MXNetValueError, match="test_lost.*not registered"):
        mx.sym.load_json(text.replace("test_loss", "test_lost"))
