"""Programs of elementwise steps on GPUs: each becomes one kernel, made from the text of its operations."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetTypeError
from mxcy.imperative._function import F
from mxcy.ops.cuda.fused import steps
from mxcy.ops.fused import Program, Step
from mxcy.ops.operator import lookup
from mxcy.testing import assert_close
from tests.ops.test_fused import LONG, SHAPES, fused, programs

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
gpu = mx.gpu(0)


def step(name, *operands, scalar=0., **params):
    op = lookup(name)
    return Step(op, operands, scalar, op.parse(params))


def check(program, arrays, dtype):
    """On the host the same program is the reference."""
    here = fused(program, [nd.array(x, dtype=dtype) for x in arrays])
    there = fused(program, [nd.array(x, ctx=gpu, dtype=dtype) for x in arrays])
    for a, b in zip(there, here, strict=True):
        assert_close(a, b.asnumpy(), dtype)


@settings(max_examples=12, derandomize=True, database=None)
@given(programs(), st.sampled_from(["float32", "float64", "float16", "bfloat16"]), st.sampled_from([SHAPES, LONG]))
def test_any_program(drawn, dtype, shapes):
    program, which = drawn
    rng = np.random.default_rng(0)
    check(program, [rng.normal(size=shapes[i]) for i in which], dtype)


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8"])
@pytest.mark.parametrize("shapes", [[(4, 8, 16), (8, 1), (16,)], [(4, 3, 5), (1,), (4, 3, 5)], [(64,), (64,), (1,)],
                                    [(2, 1, 2, 1, 2, 3, 2), (2, 3, 1, 3, 1, 1, 2), (1, 3, 2, 3, 1, 3, 1)], [(), (), ()]],
                         ids=str)
def test_broadcasting(shapes, dtype):
    program = Program(3, (step("broadcast_add", 0, 1), step("_mul_scalar", 3, scalar=3.), step("broadcast_maximum", 4, 2),
                          step("clip", 5, a_min=1, a_max=9)), (6, 4))
    check(program, [np.random.default_rng(i).integers(0, 9, shape) for i, shape in enumerate(shapes)], dtype)


def test_outputs_over_inputs():
    """Each thread reads its elements before it writes."""
    program = Program(2, (step("elemwise_add", 0, 1), step("elemwise_sub", 0, 1), step("elemwise_mul", 2, 3)), (2, 4))
    a, b = (np.random.default_rng(i).normal(size=5003).astype("float32") for i in range(2))
    x, y = nd.array(a, ctx=gpu), nd.array(b, ctx=gpu)
    F._fused_pointwise(x, y, program=program.text, out=[y, x])
    assert_close(y, a + b)
    assert_close(x, (a + b) * (a - b))


def test_numbers_are_not_in_the_text():
    """One kernel does for all learning rates."""
    def lines(scalar):
        clip = step("clip", 1, a_min=-scalar, a_max=scalar)
        return steps(Program(1, (step("_mul_scalar", 0, scalar=scalar), clip), (2,)))[1]

    assert lines(1.) == lines(2.)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "int8", "uint8"])
def test_choices(dtype):
    """NaN and what is less than the least normal number are true; -0 is not."""
    program = Program(3, (step("where", 0, 1, 2), step("elemwise_add", 3, 1)), (4, 3))
    condition, x, y = (np.random.default_rng(i).integers(0, 3, (7, 33)).astype(float) for i in range(3))
    if "float" in dtype:
        condition[:4, 0] = np.nan, -0., -1e-7, np.inf
    check(program, [condition, x, y], dtype)


def test_an_operation_that_lacks_a_dtype():
    program = Program(2, (step("elemwise_add", 0, 1),), (2,))
    with pytest.raises(MXNetTypeError, match="elemwise_add does not take bool on a GPU"):
        fused(program, [nd.ones((3,), ctx=gpu, dtype="bool")] * 2)
