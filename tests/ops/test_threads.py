"""Large reductions, softmax, sorting, selection and random numbers give the same bits with any number of threads."""
import os
import subprocess
import sys

PROGRAM = """
import hashlib

import numpy as np

import mxcy as mx
from mxcy import autograd, nd

rng = np.random.default_rng(5)
x, cube = nd.array(rng.normal(size=(3000, 700))), nd.array(rng.normal(size=(60, 90, 130)))
table, at = nd.array(rng.normal(size=(400, 300))), nd.array(rng.integers(0, 400, 6000), dtype="int32")
mx.random.seed(3)
for y in (x, table):
    y.attach_grad()
with autograd.record():
    loss = nd.sum(nd.log_softmax(x, axis=0)[:5]) + nd.sum(nd.Dropout(nd.take(table, at), p=.3))
loss.backward()
results = {
    "sum": nd.sum(x), "columns": nd.sum(x, axis=0), "rows": nd.mean(x, axis=1), "ends": nd.sum(cube, axis=(0, 2)),
    "middle": nd.norm(cube, axis=1), "max": nd.max(x, axis=0), "argmax": nd.argmax(x.reshape((-1,))),
    "softmax": nd.softmax(x), "sort": nd.sort(x, axis=0), "topk": nd.topk(x, k=3), "grad": x.grad, "taken": table.grad,
    "uniform": nd.random.uniform(shape=(300_001,)), "normal": nd.random.normal(shape=(300_001,)),
    "gamma": nd.random.gamma(.5, shape=(20_001,)), "poisson": nd.random.poisson(20, shape=(20_001,)),
    "randint": nd.random.randint(0, 99, shape=(100_001,)), "shuffle": nd.random.shuffle(x),
    "multinomial": nd.random.multinomial(nd.softmax(x), shape=(3,)),
}
for name, y in results.items():
    print(name, hashlib.sha256(y.asnumpy().tobytes()).hexdigest())
"""


def test_results_do_not_depend_on_threads():
    def run(threads):
        env = {**os.environ, "MXCY_NUM_THREADS": str(threads)}
        done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
        return dict(line.split() for line in done.stdout.splitlines())

    one, two, three = (run(n) for n in (1, 2, 3))
    assert len(one) == 19
    assert one == two
    assert one == three
