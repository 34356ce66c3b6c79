"""What a call on a few elements costs, from Python: the floor under every imperative program."""
import timeit

import numpy as np

import mxcy as mx
from mxcy import autograd, nd

try:
    import torch
except ImportError:
    torch = None

N = 1000

#: Name: what to run, with arrays x, y of 2x2 and h in NumPy, for NDArrays, NumPy arrays and torch tensors.
CALLS = {
    "x + y": ("x + y", "x + y", "x + y"),
    "x * 2.0": ("x * 2.0", "x * 2.0", "x * 2.0"),
    "x += y": ("x += y", "x += y", "x += y"),
    "x[1]": ("x[1]", "x[1]", "x[1]"),
    "x[0:1] = 1.0": ("x[0:1] = 1.0",) * 3,
    "tanh": ("x.tanh()", "np.tanh(x)", "x.tanh()"),
    "sum with parameters": ("nd.sum(x, axis=1, keepdims=True)", "np.sum(x, axis=1, keepdims=True)",
                            "torch.sum(x, dim=1, keepdim=True)"),
    "from NumPy": ("nd.array(h)", "h.copy()", "torch.tensor(h)"),
    "to NumPy": ("x.asnumpy()", "x.copy()", "x.numpy().copy()"),
}


class Call:
    """Seconds for 1,000 calls."""

    params = list(CALLS), ["mxcy", "numpy", "torch"]
    param_names = "call", "library"

    def setup(self, call, library):
        if library == "torch" and torch is None:
            raise NotImplementedError("torch is not installed")
        make = {"mxcy": nd.array, "numpy": np.array, "torch": torch and torch.tensor}[library]
        h = np.full((2, 2), .5, np.float32)
        statement = CALLS[call][("mxcy", "numpy", "torch").index(library)]
        names = {"left": make(h), "right": make(h), "h": h, "nd": nd, "np": np, "torch": torch}
        self.timer = timeit.Timer(statement, "x, y = left, right", globals=names)

    def time_call(self, call, library):
        self.timer.timeit(N)


class Chain:
    """Seconds to record ten dependent small operators and to differentiate them, 100 times."""

    params = ["mxcy", "torch"]
    param_names = "library",

    def setup(self, library):
        if library == "torch" and torch is None:
            raise NotImplementedError("torch is not installed")
        h = np.full((2, 2), .1, np.float32)
        if library == "mxcy":
            self.x = nd.array(h)
            self.x.attach_grad()
        else:
            self.x, self.g = torch.tensor(h, requires_grad=True), torch.ones(2, 2)

    def time_chain(self, library):
        for _ in range(100):
            if library == "mxcy":
                with autograd.record():
                    y = self.chain()
                y.backward()
            else:
                self.x.grad = None
                self.chain().backward(self.g)
        mx.nd.waitall()

    def chain(self):
        y = self.x
        for _ in range(5):
            y = (y * self.x).tanh()
        return y
