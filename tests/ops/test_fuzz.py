"""Bad arguments to every operator: an error of ours that names the operator or the argument, and never a crash."""
import json
import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

import mxcy as mx
from mxcy.base import MXNetError
from mxcy.ops.operator import REGISTRY, lookup
from tests.ops.case import function
from tests.ops.cases import CASES, HOLDERS

ROOT = Path(__file__).parents[2]
SECONDS = 120                       # that the calls of one operator may take together
OPERATORS = sorted({lookup(case.operator).name for case in CASES})


class Child:
    """The program of fuzz.py, started when needed, and again after it died."""

    def __init__(self, folder):
        self.progress, self.errors, self.process = folder / "progress", folder / "errors", None

    def start(self):
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
               "OMP_NUM_THREADS": "2"}
        with open(self.errors, "w") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.ops.fuzz", self.progress], cwd=ROOT, env=env, text=True, bufsize=1,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def problems(self, name):
        if self.process is None:
            self.start()
        self.process.stdin.write(name + "\n")
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            self.stop()
            return [f"no answer within {SECONDS} s at {self.progress.read_text()}"]
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.stop()
        return [f"died with status {code} at {self.progress.read_text()}\n{self.errors.read_text()[-2000:]}"]


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    child = Child(tmp_path_factory.mktemp("fuzz"))
    yield child
    child.stop()


@pytest.mark.parametrize("name", OPERATORS)
def test_bad_arguments(name, child):
    assert child.problems(name) == []


@pytest.mark.parametrize("name", [name for name in OPERATORS if lookup(name).params])
def test_an_unknown_parameter_suggests_the_nearest(name):
    case = next(c for c in CASES if lookup(c.operator).name == name)
    known = max(lookup(name).params, key=len)
    arrays = [mx.nd.array(x, dtype=x.dtype) for x in case.sample(case.dtypes[0], case.rng())]
    with pytest.raises(MXNetError, match=f"unknown parameter '{known}x'.*Did you mean"):
        function(name)(*arrays, **case.params, **{known + "x": 1})


def test_every_operator_of_the_table_is_tried():
    names = {operator.name for operator in REGISTRY.values() if not operator.name.startswith("_backward_")}
    assert names - HOLDERS <= set(OPERATORS)
