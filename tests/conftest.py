"""Fixtures for all tests."""
import hypothesis
import pytest

import mxcy as mx

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("mxcy", deadline=None)
hypothesis.settings.load_profile("mxcy")


@pytest.fixture(params=["cpu"])
def device(request):
    """The context to test on."""
    with mx.Context(request.param, 0) as context:
        yield context
