"""Reductions, softmax, sorting and selection, against NumPy and, where it is installed, PyTorch."""
import numpy as np

import mxcy as mx
from mxcy import nd

try:
    import torch
except ImportError:
    torch = None

#: Name: (shape, of NDArrays, of NumPy arrays, of torch tensors).
FUNCTIONS = {
    "sum": ((4096, 4096), nd.sum, np.sum, lambda t: t.sum()),
    "sum_axis0": ((4096, 4096), lambda x: nd.sum(x, axis=0), lambda x: x.sum(0), lambda t: t.sum(0)),
    "mean_axis1": ((4096, 4096), lambda x: nd.mean(x, axis=1), lambda x: x.mean(1), lambda t: t.mean(1)),
    "max_axis1": ((4096, 4096), lambda x: nd.max(x, axis=1), lambda x: x.max(1), lambda t: t.amax(1)),
    "argmax_axis1": ((4096, 4096), lambda x: nd.argmax(x, axis=1), lambda x: x.argmax(1), lambda t: t.argmax(1)),
    "sum_ends": ((64, 256, 1024), lambda x: nd.sum(x, axis=(0, 2)), lambda x: x.sum((0, 2)), lambda t: t.sum((0, 2))),
    "softmax": ((4096, 1024), nd.softmax, None, lambda t: t.softmax(-1)),
    "softmax_short": ((65536, 10), nd.softmax, None, lambda t: t.softmax(-1)),
    "softmax_channels": ((16, 64, 56, 56), lambda x: nd.softmax(x, axis=1), None, lambda t: t.softmax(1)),
    "log_softmax": ((700, 10000), nd.log_softmax, None, lambda t: t.log_softmax(-1)),
    "sort": ((4096, 1000), nd.sort, lambda x: np.sort(x, -1), lambda t: t.sort()[0]),
    "argsort": ((4096, 1000), nd.argsort, lambda x: np.argsort(x, -1, kind="stable"), lambda t: t.argsort(stable=True)),
    "topk5": ((4096, 1000), lambda x: nd.topk(x, k=5), None, lambda t: t.topk(5)[1]),
}


class Reduction:
    """Seconds for one call."""

    params = list(FUNCTIONS), ["mxcy", "numpy", "torch"]
    param_names = "function", "library"

    def setup(self, function, library):
        shape, ours, numpys, torchs = FUNCTIONS[function]
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        call = {"mxcy": ours, "numpy": numpys, "torch": torchs and torch and torchs}[library]
        if call is None:
            raise NotImplementedError(f"{library} is not installed, or has no such function")
        if library != "mxcy":
            x = torch.from_numpy(x) if library == "torch" else x
            self.run = lambda: call(x)
            return
        array = nd.array(x)

        def run():
            call(array)
            mx.nd.waitall()

        self.run = run
        run()

    def time_call(self, function, library):
        self.run()


class Embedding:
    """64 x 512 rows of a table of 10000 x 512: looked up, and the gradient of the table."""

    params = ["mxcy", "torch"]
    param_names = ("library",)

    def setup(self, library):
        rng = np.random.default_rng(0)
        weight, g = (rng.normal(size=s).astype(np.float32) for s in ((10000, 512), (64, 512, 512)))
        at = rng.integers(0, 10000, (64, 512))
        if library == "torch":
            if torch is None:
                raise NotImplementedError("PyTorch is not installed")
            table, index, head = torch.from_numpy(weight).requires_grad_(), torch.from_numpy(at), torch.from_numpy(g)

            def run():
                table.grad = None
                torch.nn.functional.embedding(index, table).backward(head)
        else:
            table, index, head = nd.array(weight), nd.array(at), nd.array(g)
            table.attach_grad()

            def run():
                with mx.autograd.record():
                    y = nd.Embedding(index, table, input_dim=10000, output_dim=512)
                y.backward(head)
                mx.nd.waitall()
        self.run = run
        run()

    def time_forward_backward(self, library):
        self.run()
