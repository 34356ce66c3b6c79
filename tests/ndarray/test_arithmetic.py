"""Functions of arrays and numbers in any combination: nd.add, nd.maximum and their like, and the operators of the class."""
import operator

import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.ndarray.arithmetic import TABLE

ORACLES = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "true_divide": np.divide,
    "modulo": np.mod, "power": np.power, "maximum": np.maximum, "minimum": np.minimum, "equal": np.equal,
    "not_equal": np.not_equal, "greater": np.greater, "greater_equal": np.greater_equal, "lesser": np.less,
    "lesser_equal": np.less_equal, "logical_and": np.logical_and, "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
}
SYMBOLS = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv,
    "modulo": operator.mod, "power": operator.pow, "equal": operator.eq, "not_equal": operator.ne,
    "greater": operator.gt, "greater_equal": operator.ge, "lesser": operator.lt, "lesser_equal": operator.le,
}
IN_PLACE = {"add": operator.iadd, "subtract": operator.isub, "multiply": operator.imul, "divide": operator.itruediv,
            "modulo": operator.imod}
X = np.array([[1., 2., 3.], [.5, 2.5, 4.]], dtype="float32")
ROW = np.array([3., 2., .5], dtype="float32")


def test_every_function_has_an_oracle():
    assert set(ORACLES) == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("right", [X[::-1], ROW, ROW[:1], 2, 2.5], ids=["same", "row", "one", "int", "float"])
@pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
def test_functions_and_operators(name, right, swapped):
    pair = [X, right][::-1 if swapped else 1]
    arrays = [nd.array(x, dtype="float32") if isinstance(x, np.ndarray) else x for x in pair]
    expected = ORACLES[name](*pair).astype("float32")
    for function in filter(None, (getattr(nd, name), SYMBOLS.get(name))):
        result = function(*arrays)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result.asnumpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", IN_PLACE)
@pytest.mark.parametrize("right", [X[::-1], ROW, 2.5], ids=["same", "row", "float"])
def test_in_place(name, right):
    x = y = nd.array(X)
    y = IN_PLACE[name](y, nd.array(right) if isinstance(right, np.ndarray) else right)
    assert y is x
    np.testing.assert_allclose(x.asnumpy(), ORACLES[name](X, right), rtol=1e-6)


@pytest.mark.parametrize("name", TABLE)
def test_two_numbers(name):
    assert getattr(nd, name)(3, 2) == ORACLES[name](3, 2)


def test_what_is_not_a_number_is_refused():
    with pytest.raises(mx.base.MXNetTypeError, match="maximum: lhs is NDArray and rhs is str"):
        nd.maximum(nd.ones(2), "x")


def test_shapes_that_do_not_broadcast_name_the_axis():
    with pytest.raises(mx.base.MXNetValueError, match=r"broadcast_add: .*axis -1 is 3 in lhs and 2 in rhs"):
        nd.ones((2, 3)) + nd.ones((2, 2))


def test_operators_of_one_shape_refuse_two():
    with pytest.raises(mx.base.MXNetValueError, match=r"elemwise_add: lhs has shape \(3,\) and rhs \(1,\)"):
        nd.elemwise_add(nd.ones(3), nd.ones(1))


def test_numbers_take_the_dtype_of_the_array():
    x = nd.array([1, 2], dtype="int32")
    np.testing.assert_array_equal((x + 1.9).asnumpy(), [2, 3])
    assert (x / 2).dtype == np.int32
