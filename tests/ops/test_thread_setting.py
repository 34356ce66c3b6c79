"""Calls in the caller's thread leave its number of OpenMP threads alone: the engine sizes later tasks by it."""
import mxcy as mx
from mxcy.engine import _testing


def test_small_products_do_not_take_threads_from_large_ones():
    before = _testing.state()["threads"]
    a = mx.nd.ones((4, 8))
    for _ in range(3):
        mx.nd.dot(a, a, transpose_b=True).wait_to_read()
        mx.nd.FullyConnected(a, mx.nd.ones((3, 8)), num_hidden=3, no_bias=True).wait_to_read()
    assert _testing.state()["threads"] == before
