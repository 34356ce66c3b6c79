"""Tests on the stand-ins for NVIDIA's driver and compiler: ``python -m tests.gpu`` takes what pytest takes.

Without arguments all that is marked ``gpu`` runs. On a machine with a GPU plain ``python -m pytest`` runs the same tests
on it. The order in which threads of a kernel run changes from test to test, unless ``CUDA_EMULATOR_ORDER`` says
``forward``, ``reverse`` or ``shuffled``; kernels are compiled with what ``CUDA_EMULATOR_FLAGS`` adds, such as
``-fsanitize=undefined``.
"""
import os
import sys

from tests.gpu.tools import standins

if __name__ == "__main__":
    os.environ.update(standins())
    orders = [] if "CUDA_EMULATOR_ORDER" in os.environ else ["-p", "tests.gpu.orders"]
    arguments = sys.argv[1:] or ["-m", "gpu and not slow"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *orders, *arguments])
