"""Chains of elementwise operators: gelu by its formula, an Adam update, the gates of an LSTM.

For mxcy and MXNet they are hybridized blocks, PyTorch runs them eagerly and compiled. asv measures mxcy. To compare,
run this file with the interpreter of each library; the lines that it prints stand side by side:

    python benchmarks/pointwise.py mxcy numpy
    /path/to/other/python benchmarks/pointwise.py torch torch.compile
    /path/to/third/python benchmarks/pointwise.py mxnet
"""
import importlib
import sys
import time

import numpy as np


def gelu(F, x):
    return .5 * x * (1 + F.tanh(.7978845608028654 * (x + .044715 * x ** 3)))


def adam(F, weight, grad, mean, var):
    mean = .9 * mean + .1 * grad
    var = .999 * var + .001 * (grad * grad)
    return weight - .001 * mean / (F.sqrt(var) + 1e-8), mean, var


def lstm(F, i, f, g, o, c):
    c = F.sigmoid(f) * c + F.sigmoid(i) * F.tanh(g)
    return F.sigmoid(o) * F.tanh(c), c


#: Name: (function, number of arrays).
CHAINS = {"gelu": (gelu, 1), "adam": (adam, 4), "lstm gates": (lstm, 5)}
SIZES = [1 << 16, 1 << 23]


class OfNumPy:
    """What NumPy lacks of the names above."""

    tanh, sqrt = np.tanh, np.sqrt

    @staticmethod
    def sigmoid(x):
        return 1 / (1 + np.exp(-x))


def block(mx, function):
    """A hybridized block, of mxcy or MXNet."""
    class Chain(mx.gluon.HybridBlock):
        def hybrid_forward(self, F, *arrays):
            return function(F, *arrays)
    chain = Chain()
    chain.hybridize(static_alloc=True, static_shape=True)
    return chain


def prepare(library, chain, size):
    """A function that computes the chain once and waits for it."""
    function, count = CHAINS[chain]
    rng = np.random.default_rng(0)
    arrays = [np.abs(rng.normal(size=size)).astype(np.float32) for _ in range(count)]
    if library == "numpy":
        return lambda: function(OfNumPy, *arrays)
    if library in ("mxcy", "mxnet"):
        mx = importlib.import_module(library)
        inputs, net = [mx.nd.array(x) for x in arrays], block(mx, function)

        def run():
            outputs = net(*inputs)
            mx.nd.waitall()
            return outputs
        return run
    torch = importlib.import_module("torch")
    inputs = [torch.from_numpy(x) for x in arrays]
    compute = torch.compile(function) if library == "torch.compile" else function
    return lambda: compute(torch, *inputs)


class Pointwise:
    """Seconds for one pass over the arrays."""

    params, param_names = [list(CHAINS), SIZES], ["chain", "size"]

    def setup(self, chain, size):
        self.run = prepare("mxcy", chain, size)
        self.run()

    def time_chain(self, chain, size):
        self.run()


def seconds(run, limit=2.):
    """(wall, of the processor): medians of what fits into the time limit."""
    run()
    wall, used, end = [], [], time.perf_counter() + limit
    while not wall or time.perf_counter() < end:
        start, at = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - start)
        used.append(time.process_time() - at)
    return np.median(wall), np.median(used)


if __name__ == "__main__":
    for library in sys.argv[1:] or ["mxcy", "numpy"]:
        for chain in CHAINS:
            for size in SIZES:
                wall, used = seconds(prepare(library, chain, size))
                print(f"{library:14s} {chain:11s} {size:8d}  {wall / size * 1e9:7.3f} ns per element,"
                      f" {used / size * 1e9:7.3f} of processor time", flush=True)
