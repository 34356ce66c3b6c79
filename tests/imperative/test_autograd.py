"""autograd: what is recorded, what comes back, and what is refused."""
import threading

import numpy as np
import pytest

import mxcy as mx
from mxcy import autograd, nd


def variable(values, req="write"):
    array = nd.array(np.asarray(values, "float32"))
    array.attach_grad(req)
    return array


def test_chain_rule_through_shared_inputs():
    x = variable([1.0, 2.0, 3.0])
    with autograd.record():
        y = x * x
        z = y * x + y
    z.backward()
    values = x.asnumpy()
    np.testing.assert_allclose(x.grad.asnumpy(), 3 * values ** 2 + 2 * values, rtol=1e-6)


def test_head_gradients_and_several_heads():
    x = variable([1.0, 2.0])
    with autograd.record():
        y, z = x * 3, x * x
    autograd.backward([y, z], [nd.array([10.0, 100.0]), None])
    np.testing.assert_allclose(x.grad.asnumpy(), [30 + 2, 300 + 4])


def test_write_overwrites_and_add_adds():
    written, added = variable([2.0]), variable([2.0], "add")
    for _ in range(3):
        with autograd.record():
            loss = written * added
        loss.backward()
    assert written.grad.asscalar() == 2
    assert added.grad.asscalar() == 6


def test_null_wants_no_gradient():
    x, y = variable([1.0]), variable([1.0], "null")
    with autograd.record():
        z = x * y
    z.backward()
    assert y.grad is None
    assert x.grad.asscalar() == 1


def test_the_gradient_array_stays_the_same_object():
    x = variable([1.0, 2.0])
    held = x.grad
    with autograd.record():
        y = x * x
    y.backward()
    assert x.grad is held
    np.testing.assert_allclose(held.asnumpy(), [2, 4])


def test_a_view_of_the_gradient_sees_the_new_values():
    x = variable([1.0, 2.0])
    part = x.grad[0:1]
    with autograd.record():
        y = x * x
    y.backward()
    assert part.asscalar() == 2


def test_a_head_gradient_is_not_taken_over():
    x = variable([1.0])
    head = nd.array([5.0])
    with autograd.record():
        y = nd.identity(x)
    y.backward(head)
    x.grad[:] = 7
    assert head.asscalar() == 5


def test_graph_is_freed_unless_retained():
    x = variable([3.0])
    with autograd.record():
        y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.asscalar() == 6
    with pytest.raises(mx.MXNetError, match="retain_graph"):
        y.backward()


def test_head_that_was_not_recorded():
    x = variable([1.0])
    y = x * 2
    with pytest.raises(mx.MXNetError, match=r"autograd\.record"):
        y.backward()


def test_pause_and_detach_cut_the_graph():
    x = variable([2.0])
    with autograd.record():
        with autograd.pause():
            constant = x * x
        y = constant * x + (x * x).detach() * x
    y.backward()
    assert x.grad.asscalar() == 8


def test_modes_nest():
    assert not autograd.is_recording() and not autograd.is_training()
    with autograd.record():
        assert autograd.is_recording() and autograd.is_training()
        with autograd.predict_mode():
            assert autograd.is_recording() and not autograd.is_training()
            with autograd.pause(train_mode=True):
                assert not autograd.is_recording() and autograd.is_training()
        assert autograd.is_training()
    with autograd.record(train_mode=False):
        assert not autograd.is_training()
    assert autograd.set_recording(True) is False
    assert autograd.set_recording(False) is True


def test_modes_belong_to_the_thread():
    seen = []
    with autograd.record():
        thread = threading.Thread(target=lambda: seen.append(autograd.is_recording()))
        thread.start()
        thread.join()
    assert seen == [False]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_gradients_of_any_order(order):
    x = variable([1.5])
    with autograd.record():
        y = x ** 5
        for _ in range(order):
            y, = autograd.grad(y, x, create_graph=True)
    expected = {1: 5 * 1.5 ** 4, 2: 20 * 1.5 ** 3, 3: 60 * 1.5 ** 2, 4: 120 * 1.5}[order]
    np.testing.assert_allclose(y.asscalar(), expected, rtol=1e-5)
    assert x.grad.asscalar() == 0       # grad() returns, and does not write


def test_grad_of_an_intermediate_array():
    x = variable([2.0])
    with autograd.record():
        y = x * 3
        z = y * y
    dy, dx = autograd.grad(z, [y, x])
    assert dy.asscalar() == 12 and dx.asscalar() == 36


def test_grad_of_an_array_that_takes_no_part():
    x, other = variable([2.0]), variable([1.0])
    with autograd.record():
        y = x * x
    with pytest.raises(mx.MXNetError, match="variable 0"):
        autograd.grad(y, [other])


def test_second_order_through_backward():
    x = variable([0.3, 0.7])
    with autograd.record():
        first, = autograd.grad(nd.exp(x * x), x, create_graph=True)
        loss = (first * first).sum()
    loss.backward()
    v = x.asnumpy().astype("float64")
    d1, d2 = 2 * v * np.exp(v * v), (2 + 4 * v * v) * np.exp(v * v)
    np.testing.assert_allclose(x.grad.asnumpy(), 2 * d1 * d2, rtol=1e-5)


def test_in_place_change_of_a_recorded_array_is_refused():
    x = variable([1.0])
    with autograd.record():
        with pytest.raises(mx.MXNetError, match="in place"):
            x += 1
        y = x * 1
        with pytest.raises(mx.MXNetError, match="out"):
            nd.elemwise_add(x, x, out=y)
    x += 1
    assert x.asscalar() == 2


def test_custom_function_and_its_errors():
    class Square(autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x, x

        def backward(self, dy, dx):
            x, = self.saved_tensors
            return 2 * x * dy + dx

    x = variable([3.0])
    function = Square()
    with autograd.record():
        square, same = function(x)
        loss = square * 10 + same
    loss.backward()
    assert x.grad.asscalar() == 61
    with pytest.raises(mx.MXNetError, match="once"):
        function(x)

    class Wrong(autograd.Function):
        def forward(self, x, y):
            return x + y

        def backward(self, dz):
            return dz

    with autograd.record():
        z = Wrong()(x, x)
    with pytest.raises(mx.MXNetError, match="1 gradients for 2 inputs"):
        z.backward()


def test_mark_variables():
    x, g = nd.array([2.0]), nd.zeros((1,))
    autograd.mark_variables(x, g)
    with autograd.record():
        y = x * x
    y.backward()
    assert g.asscalar() == 4
    with pytest.raises(ValueError, match="shape"):
        autograd.mark_variables(x, nd.zeros((2,)))
    with pytest.raises(ValueError, match="grad_req"):
        autograd.mark_variables(x, g, "sometimes")


def test_a_head_gradient_of_the_wrong_shape():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    with pytest.raises(ValueError, match="head gradient"):
        y.backward(nd.ones((3,)))


def test_long_chains_do_not_recurse():
    x = variable([1.0])
    with autograd.record():
        y = x
        for _ in range(100_000):
            y = y + x
    y.backward()
    assert x.grad.asscalar() == 100_001
    with autograd.record():
        y = x
        for _ in range(100_000):
            y = y * x
    del y                               # taken apart without recursion


def test_a_failing_rule_leaves_autograd_usable():
    class Failing(autograd.Function):
        def forward(self, x):
            return x * 1

        def backward(self, dy):
            raise RuntimeError("on purpose")

    x = variable([1.0])
    with autograd.record():
        y = Failing()(x)
    with pytest.raises(RuntimeError, match="on purpose"):
        y.backward()
    assert not autograd.is_recording()
    with autograd.record():
        y = x * 2
    y.backward()
    assert x.grad.asscalar() == 2
