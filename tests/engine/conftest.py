"""Run a piece of engine code in a fresh process: engine kind and number of workers are read at import."""
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A shell that runs the tests in the background has them ignore Ctrl-C, and children inherit that.
PROLOGUE = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"


@pytest.fixture
def script():
    """A function that runs Python source and returns its output; fails on a nonzero status or a hang."""
    def run(source, *arguments, workers=2, serial=False, timeout=60, status=0, **environment):
        env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        env |= {"MXCY_NUM_THREADS": str(workers), "PYTHONFAULTHANDLER": "1",
                "MXCY_ENGINE_TYPE": "NaiveEngine" if serial else "ThreadedEngine"} | environment
        path = (str(ROOT), str(Path(__file__).parent), env.get("PYTHONPATH"))
        env["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        command = [sys.executable, "-c", PROLOGUE + textwrap.dedent(source), *map(str, arguments)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr
    return run
