"""Arrays that are filled after what reads them was queued."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.imperative._promise import Promise


def test_keep():
    """What reads and what writes the array later runs in the order of the program."""
    promise = Promise(nd.empty((3,)))
    double = promise.array * 2
    array = promise.array
    array += 1
    promise.keep(nd.array([1, 2, 3]))
    np.testing.assert_array_equal(double.asnumpy(), [2, 4, 6])
    np.testing.assert_array_equal(array.asnumpy(), [2, 3, 4])


def test_keep_what_is_promised_itself():
    first, second = Promise(nd.empty((2,))), Promise(nd.empty((2,)))
    result = second.array + 1
    second.keep(first.array * 3)
    first.keep(nd.array([1, 2]))
    np.testing.assert_array_equal(result.asnumpy(), [4, 7])


@pytest.mark.parametrize("end", ["refuse", "forget", "fail"])
def test_breach(end):
    """Whatever waits fails, and so does waitall."""
    promise = Promise(nd.empty((2,)))
    result = promise.array + 1
    if end == "refuse":
        promise.refuse("nobody came")
        message = "nobody came"
    elif end == "forget":
        del promise
        message = "never filled"
    else:
        index = Promise(nd.empty((2,), dtype="int32"))
        promise.keep(nd.take(nd.array([1, 2]), index.array, mode="raise"))
        index.keep(nd.array([0, 7], dtype="int32"))
        message = "index 7 is out of bounds"
    with pytest.raises(mx.MXNetError, match=message):
        result.asnumpy()
    nd.waitall()                        # has been told
