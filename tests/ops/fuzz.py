"""Calls of one operator with bad arguments. Run as a program by test_fuzz.py: a crash must not take the tests along.

Reads operator names from stdin, one a line; writes a line of JSON for each: what went wrong, as texts. Before each call
its description goes to the file named on the command line, which tells what was running when the program died.
"""
import faulthandler
import itertools
import json
import math
import resource
import sys
import warnings
from pathlib import Path

import numpy as np

import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError
from mxcy.dtype import NUMPY
from mxcy.ops.operator import lookup
from tests.ops.case import function
from tests.ops.cases import CASES

#: Bytes that a call may ask for: more must be refused, which takes no time and kills nobody.
MEMORY = 3 << 29

VALUES = [None, "nonsense", "", "(", b"x", object(), {}, (), (0,), (-1,), (1,) * 40, (1 << 31,), (1 << 62, 1 << 62), [[1]],
          (None,), -1, 0, 1, 7, 1 << 31, 1 << 63, -1 << 63, 1 << 70, 1e300, math.nan, math.inf, 0.5, True]
LIKELY = [-3, -2, -1, 0, 1, 2, 3, 4, 7, (), (0,), (1,), (-1,), (1, 2), (2, 2), (0, 1), (3, 0), (-1, 2), (1, 1, 1), (2, 3, 1, 2),
          (0, 0, 0, 0, 1, 1, 2, 0), 0.5, -1.5, True, False, None, "float16", "int32", "raise"]
COMBINATIONS = 100
JUNK = [None, 3.5, "x", object(), [1], np.ones(2)]


def arrays_like(x):
    """(description, replacement) of a NumPy array."""
    shapes = {(), (0,), (1,), (*x.shape, 1), x.shape[1:], (*x.shape[:-1], x.shape[-1] + 1) if x.ndim else (2,),
              (0,) * x.ndim, (0, *x.shape[1:]), (*x.shape[:-1], 0), (1,) * 32} - {x.shape}
    for shape in sorted(shapes):
        yield f"shape {shape}", np.resize(x, shape) if x.size else np.zeros(shape, x.dtype)
    for dtype in NUMPY:
        yield f"dtype {dtype}", x.astype(NUMPY[dtype])
    for number in (np.nan, np.inf, -np.inf, 1e9, -1e9, 0):
        with np.errstate(all="ignore"):
            yield f"filled with {number}", np.full(x.shape, number).astype(x.dtype)


def variations(case, inputs):
    """(description, inputs, params) of calls that differ from the case in one respect."""
    operator = lookup(case.operator)
    yield "as it is", inputs, case.params
    for i, x in enumerate(inputs):
        for what, y in arrays_like(x):
            yield f"input {i} of {what}", [*inputs[:i], y, *inputs[i + 1:]], case.params
        for value in JUNK:
            yield f"input {i} is {value!r}", [*inputs[:i], value, *inputs[i + 1:]], case.params
        yield f"input {i} is missing", inputs[:i] + inputs[i + 1:], case.params
    yield "one more input", [*inputs, np.ones(3, "float32")], case.params
    for dtype in NUMPY:
        yield f"all inputs {dtype}", [x.astype(NUMPY[dtype]) for x in inputs], case.params
    yield "all inputs empty", [np.zeros((0, *x.shape[1:]), x.dtype) for x in inputs], case.params
    yield "all inputs of no axes", [np.ones((), x.dtype) for x in inputs], case.params
    for name in [*operator.params, *(["scalar"] if operator.scalar is not None else [])]:
        for value in VALUES:
            yield f"{name}={value!r}", inputs, {**case.params, name: value}
        yield f"without {name}", inputs, {k: v for k, v in case.params.items() if k != name}
    for value in (3, nd.zeros((1, 7)), nd.zeros((2, 3), dtype="int8"), [nd.zeros(1)] * 9, []):
        yield f"out={value!r}", inputs, {**case.params, "out": value}


def combinations(case, inputs, rng):
    """(description, inputs, params) of calls that differ from the case in several respects, with likely values."""
    params = list(lookup(case.operator).params)
    for _ in range(COMBINATIONS):
        given = dict(case.params)
        for name in rng.choice(params, min(len(params), rng.integers(1, 4)), replace=False) if params else ():
            given[str(name)] = LIKELY[rng.integers(len(LIKELY))]
        arrays = [np.resize(x, tuple(rng.integers(0, 4, rng.integers(0, 5)))) if rng.random() < .3 else x for x in inputs]
        yield f"{[x.shape for x in arrays]}, {given}", arrays, given


def problem(operator, inputs, params):
    """What is wrong with the outcome of a call, or None: it must succeed, or raise an error of ours that says where."""
    arrays = [nd.array(x, dtype=x.dtype) if isinstance(x, np.ndarray) and x is not JUNK[-1] else x for x in inputs]
    called = False
    try:
        for x in arrays:
            if isinstance(x, nd.NDArray):
                x.attach_grad()
        with mx.autograd.record():
            outputs = function(operator.name)(*arrays, **params)
        mx.nd.waitall()
        called = True
        mx.autograd.backward(outputs if isinstance(outputs, (list, tuple)) else [outputs])
        mx.nd.waitall()
    except MXNetError as error:
        if called:
            return None                         # what has no gradient says so in the words of autograd
        words = [operator.name, *operator.aliases, *operator.inputs, *operator.params, "out of memory", "device"]
        if not any(word.strip("_") in str(error) for word in words):
            return f"the message names neither the operator nor an argument: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def problems(name, progress):
    """All problems of an operator, as texts."""
    cases = [c for c in CASES if lookup(c.operator).name == name]
    found, rng = [], np.random.default_rng(0)
    for case in dict.fromkeys([cases[0], cases[len(cases) // 2], cases[-1]]):
        sample = case.sample(case.dtypes[0], rng)
        for what, inputs, params in itertools.chain(variations(case, sample), combinations(case, sample, rng)):
            progress.seek(0)
            progress.write(f"{name}: {what}".ljust(300)[:300])
            progress.flush()
            wrong = problem(lookup(name), inputs, params)
            if wrong is not None:
                found.append(f"{what}: {wrong}")
    return found


def main():
    faulthandler.enable()
    warnings.simplefilter("ignore")
    mx.nd.ones(2).asnumpy()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    with open(sys.argv[1], "w") as progress:
        for line in sys.stdin:
            print(json.dumps(problems(line.strip(), progress)), flush=True)


if __name__ == "__main__":
    main()
