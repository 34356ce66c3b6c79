"""A plugin for pytest: the emulated threads of a GPU run in this order in one test, in that order in the next."""
import os
import zlib

ORDERS = "forward", "reverse", "shuffled"


def pytest_runtest_setup(item):
    order = ORDERS[zlib.crc32(item.nodeid.encode()) % len(ORDERS)]
    os.environ["CUDA_EMULATOR_ORDER"] = order
    print("CUDA_EMULATOR_ORDER:", order)            # pytest shows it if the test fails
