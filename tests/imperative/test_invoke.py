"""Calls of operators."""
import numpy as np

from mxcy.imperative._function import F


def test_minus_zero_is_a_parameter_of_its_own():
    """It equals 0.0, under which the call before is remembered."""
    signs = [np.signbit(F._full(shape=(1,), value=value).asnumpy()).item() for value in (0., -0., 0., -0.)]
    assert signs == [False, True, False, True]
