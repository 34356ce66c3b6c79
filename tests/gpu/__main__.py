"""Tests on the stand-ins for NVIDIA's driver and compiler: ``python -m tests.gpu`` takes what pytest takes.

Without arguments all that is marked ``gpu`` runs. On a machine with a GPU plain ``python -m pytest`` runs the same tests
on it.
"""
import os
import sys

from tests.gpu.tools import standins

if __name__ == "__main__":
    os.environ.update(standins())
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *(sys.argv[1:] or ["-m", "gpu and not slow"])])
