"""The pointwise interpreter: the same bits as its steps give one by one."""
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy import autograd
from mxcy.imperative._function import F, apply
from mxcy.ops.fused import Program, Step, parse, slots
from mxcy.ops.operator import lookup

UNARY = ["tanh", "exp", "abs", "negative", "sigmoid", "square", "relu"]
SCALAR = ["_plus_scalar", "_rminus_scalar", "_mul_scalar", "_greater_scalar", "_maximum_scalar"]
BINARY = ["broadcast_add", "broadcast_sub", "broadcast_mul", "broadcast_maximum", "broadcast_lesser"]
SHAPES = [(6, 5, 7), (1,), (7,), (5, 1), (6, 1, 1), (6, 5, 1), (6, 1, 7), (1, 5, 7)]
LONG = [(3, 2, 1100), (1,), (1100,), (2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1100), (2, 1100)]


@st.composite
def programs(draw):
    """A Program whose first input has the full shape, and the indices of the shapes of the others."""
    inputs = draw(st.integers(1, 5))
    steps = []
    for number in range(inputs, inputs + draw(st.integers(1, 9))):
        kind = draw(st.sampled_from([UNARY, SCALAR, BINARY, ["clip"], ["_backward_tanh"]]))
        op = lookup(draw(st.sampled_from(kind)))
        operands = tuple(draw(st.integers(0, number - 1)) for _ in op.inputs)
        params = op.parse({"a_min": -.5, "a_max": .75} if op.name == "clip" else {})
        steps.append(Step(op, operands, draw(st.sampled_from([.5, -2., 0., -0.])), params))
    count = len(steps)
    outputs = draw(st.lists(st.integers(inputs, inputs + count - 1), min_size=1, max_size=4, unique=True))
    return Program(inputs, tuple(steps), tuple(outputs)), [0, *(draw(st.integers(0, 7)) for _ in range(inputs - 1))]


def one_by_one(program, arrays):
    """The outputs, by the operators themselves; inputs are broadcast first, so that all values have one shape."""
    full = arrays[0].shape
    values = [mx.nd.broadcast_to(x.reshape((1,) * (len(full) - x.ndim) + x.shape), shape=full) for x in arrays]
    for op, operands, scalar, params in program.steps:
        values += apply(op, params, tuple(values[i] for i in operands), scalar)
    return [values[i] for i in program.outputs]


def fused(program, arrays, out=None):
    result = F._fused_pointwise(*arrays, program=program.text, out=out)
    return result if isinstance(result, list) else [result]


def same_bits(actual, expected):
    for a, b in zip(actual, expected, strict=True):
        a, b = a.asnumpy(), b.asnumpy()
        assert a.shape == b.shape
        np.testing.assert_array_equal(a.view(f"u{a.itemsize}"), b.view(f"u{b.itemsize}"))


@settings(deadline=None, max_examples=150)
@given(programs(), st.sampled_from(["float32", "float64"]), st.sampled_from([SHAPES, LONG]), st.integers(0, 2**31))
def test_same_bits_as_one_by_one(drawn, dtype, shapes, seed):
    program, which = drawn
    rng = np.random.default_rng(seed)
    arrays = [mx.nd.array(rng.normal(size=shapes[i]), dtype=dtype) for i in which]
    same_bits(fused(program, arrays), one_by_one(program, arrays))


@settings(deadline=None, max_examples=50)
@given(programs(), st.sampled_from(["float16", "bfloat16"]), st.sampled_from([SHAPES, LONG]), st.integers(0, 2**31))
def test_16_bits_are_rounded_once(drawn, dtype, shapes, seed):
    program, which = drawn
    rng = np.random.default_rng(seed)
    arrays = [mx.nd.array(rng.normal(size=shapes[i]), dtype=dtype) for i in which]
    wide = one_by_one(program, [x.astype("float32") for x in arrays])
    same_bits([y.astype("float32") for y in fused(program, arrays)], [y.astype(dtype).astype("float32") for y in wide])


@settings(deadline=None, max_examples=50)
@given(programs(), st.integers(0, 2**31), st.booleans())
def test_outputs_may_be_inputs(drawn, seed, shift):
    program, _ = drawn
    rng = np.random.default_rng(seed)
    arrays = [mx.nd.array(rng.normal(size=(3, 700))) for _ in range(program.inputs)]
    expected = one_by_one(program, arrays)
    order = arrays[1:] + arrays[:1] if shift else arrays
    out = [order[i] if i < len(order) else mx.nd.empty((3, 700)) for i in range(len(program.outputs))]
    same_bits(fused(program, arrays, out if len(out) > 1 else out[0]), expected)


def test_any_number_of_threads():
    program = Program(3, (Step(lookup("broadcast_add"), (0, 1), 0., {}), Step(lookup("tanh"), (3,), 0., {}),
                          Step(lookup("broadcast_mul"), (4, 2), 0., {})), (4, 5))
    rng = np.random.default_rng(0)
    arrays = [mx.nd.array(rng.normal(size=shape)) for shape in ((1000, 999), (999,), (1000, 1))]
    same_bits(fused(program, arrays), one_by_one(program, arrays))


def test_choice_of_arrays():
    text = json.dumps({"inputs": 3, "outputs": [5],
                       "steps": [["_greater_scalar", [0], {"scalar": 0}], ["negative", [1], {}], ["where", [3, 4, 2], {}]]})
    x, y, z = (mx.nd.array(np.random.default_rng(i).normal(size=(40, 30))) for i in range(3))
    same_bits([F._fused_pointwise(x, y, z, program=text)], [mx.nd.where(x > 0, -y, z)])


def test_integers():
    text = json.dumps({"inputs": 2, "outputs": [3],
                       "steps": [["elemwise_mul", [0, 1], {}], ["_plus_scalar", [2], {"scalar": 3}]]})
    x, y = mx.nd.array([1, -2, 3], dtype="int32"), mx.nd.array([5, 6, 7], dtype="int32")
    same_bits([F._fused_pointwise(x, y, program=text)], [x * y + 3])


def test_registers_are_shared():
    chain = tuple(Step(lookup("tanh"), (i,), 0., {}) for i in range(20))
    place, count = slots(Program(1, chain, (20,)))
    assert count == 3 and place == [0] + [2] * 19 + [1]         # the input, the output and one register


def test_text_and_back():
    program = Program(2, (Step(lookup("_mul_scalar"), (0,), .1, {"is_int": True}),
                          Step(lookup("clip"), (2,), 0., {"a_min": -float("inf"), "a_max": 2.})), (3,))
    assert parse(program.text) == program


@pytest.mark.parametrize(("text", "message"), [
    ("no", "expected JSON"), ("[]", "expected JSON"), ("{}", "expected JSON"),
    ('{"inputs": 1, "steps": [["nothing", [0], {}]], "outputs": [1]}', "no operator 'nothing'"),
    ('{"inputs": 1, "steps": [["sum", [0], {}]], "outputs": [1]}', "sum is not elementwise"),
    ('{"inputs": 1, "steps": [["exp", [1], {}]], "outputs": [1]}', "values below 1"),
    ('{"inputs": 1, "steps": [["elemwise_add", [0], {}]], "outputs": [1]}', "expected 2 values"),
    ('{"inputs": 1, "steps": [["exp", [0], {}]], "outputs": [0]}', "outputs are values"),
    ('{"inputs": 1, "steps": [["exp", [0], {}]], "outputs": []}', "at least 1 of each"),
    ('{"inputs": 2, "steps": [["exp", [0], {}]], "outputs": [2]}', "1 inputs given; the program has 2"),
])
def test_what_is_no_program(text, message):
    with pytest.raises(mx.base.MXNetError, match=message):
        F._fused_pointwise(mx.nd.ones(3), program=text)


def test_dtype_without_a_tile():
    text = '{"inputs": 1, "steps": [["LeakyReLU", [0], {"act_type": "elu"}]], "outputs": [1]}'
    with pytest.raises(mx.base.MXNetError, match="does not take this dtype"):
        F._fused_pointwise(mx.nd.ones(3, dtype="int32"), program=text).wait_to_read()


def test_no_gradient():
    x = mx.nd.ones(3)
    x.attach_grad()
    with autograd.record():
        y = F._fused_pointwise(x, program='{"inputs": 1, "steps": [["exp", [0], {}]], "outputs": [1]}')
    with pytest.raises(mx.base.MXNetError, match="put together after differentiation"):
        y.backward()


def test_more_threads_than_at_first():
    """Scratch memory is sized when a signature is first seen; threadpoolctl may allow more threads later."""
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    program = Program(2, (Step(lookup("broadcast_add"), (0, 1), 0., {}), Step(lookup("gamma"), (2,), 0., {})), (3,))
    arrays = [mx.nd.random.uniform(1, 2, shape=shape) for shape in ((200, 999), (999,))]
    with limits(1):
        first = fused(program, arrays)
        mx.nd.waitall()
    same_bits(fused(program, arrays), first)
