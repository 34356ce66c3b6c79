"""The tests of this folder build stand-ins for NVIDIA's libraries, and need its header for that."""
import os

import pytest

from tests.gpu.standin import Driver
from tests.gpu.tools import cuda_headers


@pytest.fixture(autouse=True, scope="session")
def headers():
    """Skips where cuda.h is missing."""
    try:
        return cuda_headers()
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def libcuda():
    """The stand-in driver that mxcy uses in this process, for what it counts and to inject faults."""
    path = os.environ.get("MXCY_LIBCUDA", "")
    if "gpu-standin" not in path:
        pytest.skip("asks the stand-in driver: python -m tests.gpu")
    return Driver(path)
