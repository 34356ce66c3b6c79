"""Zeros that take no memory before something is written there."""
import numpy as np
import pytest

import mxcy as mx
from mxcy.ndarray._zeros import zeros_on_demand


def resident():
    """Bytes of this process in memory."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        pytest.skip("the system does not say how much memory is resident")


def test_no_memory_before_it_is_written():
    before = resident()
    array = zeros_on_demand((64, 1024, 1024), "float32", mx.cpu(1))
    assert resident() - before < 16 << 20
    assert array.shape == (64, 1024, 1024) and array.context == mx.cpu(1) and array.dtype == np.float32
    array[3] = 2
    assert array[2:5].sum().asscalar() == 2 * 1024 * 1024


def test_small_arrays_are_not_worth_it():
    assert zeros_on_demand((3, 4), "float32", mx.cpu()) is None
    assert zeros_on_demand((0, 1 << 40), "int8", mx.cpu()) is None


def test_gradients_of_parameters():
    parameter = mx.gluon.Parameter("weight", shape=(512, 512))
    parameter.initialize(mx.init.One())
    assert (parameter.grad().asnumpy() == 0).all()
    with mx.autograd.record():
        y = (parameter.data() * 3).sum()
    y.backward()
    assert (parameter.grad().asnumpy() == 3).all()
