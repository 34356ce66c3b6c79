"""Fixtures for all tests."""
import pytest

import mxcy as mx


@pytest.fixture(params=["cpu"])
def device(request):
    """The context to test on."""
    with mx.Context(request.param, 0) as context:
        yield context
