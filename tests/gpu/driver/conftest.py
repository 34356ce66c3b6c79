"""The stand-in driver by itself: it finds mistakes, and it does not find any where there are none."""
import shutil
import time

import pytest

from tests.gpu.standin import Driver
from tests.gpu.tools import CHECKOUT, build, build_driver


@pytest.fixture(scope="session")
def kernels():
    """The image of a module."""
    return build([CHECKOUT / "tests/gpu/driver/kernels/by_hand.cpp"], "by_hand.so").read_bytes()


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """Makes a driver of its own, which reads its settings from the environment."""
    def make(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"STANDIN_{name}", str(value))
        return Driver(shutil.copy(build_driver(), tmp_path / f"libcuda-{time.monotonic_ns()}.so"))
    return make


@pytest.fixture
def driver(fresh):
    """A driver with a device in use."""
    driver = fresh()
    driver.start()
    return driver


@pytest.fixture
def module(driver, kernels):
    """A module on the device."""
    return driver.out("cuModuleLoadData", kernels)


@pytest.fixture
def kernel(driver, module):
    """Kernels by name."""
    return lambda name: driver.function(module, name)
