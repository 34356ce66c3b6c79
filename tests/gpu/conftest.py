"""The tests of this folder build stand-ins for NVIDIA's libraries, and need its header for that."""
import pytest

from tests.gpu.tools import cuda_headers


@pytest.fixture(autouse=True, scope="session")
def headers():
    """Skips where cuda.h is missing."""
    try:
        return cuda_headers()
    except RuntimeError as error:
        pytest.skip(str(error))
