"""Fixtures for all tests."""
import hypothesis
import pytest

import mxcy as mx

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("mxcy", deadline=None)
hypothesis.settings.load_profile("mxcy")


@pytest.fixture(params=["cpu", *([pytest.param("gpu", marks=pytest.mark.gpu)] if mx.num_gpus() else [])])
def device(request):
    """The context to test on: the host, and the first GPU where there is one, real or a stand-in."""
    with mx.Context(request.param, 0) as context:
        yield context
