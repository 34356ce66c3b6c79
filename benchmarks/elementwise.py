"""Elementwise operators against NumPy, in cache and in memory; and the share of the triad ceiling for large arrays."""
import time

import numpy as np

import mxcy as mx
from mxcy import nd


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: Name: (arrays read, function of NDArrays, function of NumPy arrays or None).
FUNCTIONS = {
    "add": (2, nd.elemwise_add, np.add), "mul": (2, nd.elemwise_mul, np.multiply), "relu": (1, nd.relu, relu),
    "exp": (1, nd.exp, np.exp), "log": (1, nd.log, np.log), "tanh": (1, nd.tanh, np.tanh),
    "sigmoid": (1, nd.sigmoid, sigmoid), "sqrt": (1, nd.sqrt, np.sqrt), "sin": (1, nd.sin, np.sin),
    "erf": (1, nd.erf, None), "cast": (1, lambda x, out: nd.cast(x, dtype="float64"), lambda x: x.astype("float64")),
    "where": (2, lambda x, y, out: nd.where(x, x, y, out=out), lambda x, y: np.where(x, x, y)),
}


class Elementwise:
    """Seconds for one call into an array that exists."""

    params = list(FUNCTIONS), [4096, 1 << 20, 1 << 24], ["mxcy", "numpy"]
    param_names = "function", "size", "library"

    def setup(self, function, size, library):
        count, ours, numpys = FUNCTIONS[function]
        rng = np.random.default_rng(0)
        arrays = [rng.uniform(.5, 2, size).astype(np.float32) for _ in range(count)]
        if library == "numpy":
            if numpys is None:
                raise NotImplementedError("NumPy has no such function")
            self.run = lambda: numpys(*arrays)
            return
        inputs, out = [nd.array(x) for x in arrays], nd.empty((size,))
        mx.nd.waitall()

        def run():
            ours(*inputs, out=out)
            mx.nd.waitall()

        self.run = run

    def time_call(self, function, size, library):
        self.run()


def seconds(function, repeats=7):
    """The shortest of several calls."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return min(taken)


def track_share_of_triad(function):
    """Bandwidth of a 64 MiB call over that of an addition in NumPy, which is a pass of three streams."""
    size = 1 << 24
    a, b, out = (np.ones(size, np.float32) for _ in range(3))
    triad = 3 * a.nbytes / seconds(lambda: np.add(a, b, out=out))
    case = Elementwise()
    case.setup(function, size, "mxcy")
    return (FUNCTIONS[function][0] + 1) * a.nbytes / seconds(case.run) / triad


track_share_of_triad.params, track_share_of_triad.param_names = ["add", "relu", "exp", "tanh", "sigmoid"], ["function"]

if __name__ == "__main__":
    for name, (_, _, numpys) in FUNCTIONS.items():
        for size in Elementwise.params[1]:
            row = []
            for library in ("mxcy", "numpy")[:2 if numpys else 1]:
                case = Elementwise()
                case.setup(name, size, library)
                row.append(seconds(case.run, 30 if size < 1 << 22 else 7) / size * 1e9)
            print(f"{name:8s} {size:9d}  mxcy {row[0]:6.3f} ns" + (f"  numpy {row[1]:6.3f} ns" if numpys else ""))
