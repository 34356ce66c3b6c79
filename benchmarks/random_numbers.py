"""Random numbers and dropout, against NumPy and, where it is installed, PyTorch."""
import numpy as np

import mxcy as mx
from mxcy import nd

try:
    import torch
except ImportError:
    torch = None

GENERATOR = np.random.default_rng(0)
LARGE, SMALL = (4096, 4096), (1 << 20,)

#: Name: (shape, of mxcy, of NumPy, of torch), each called with the shape.
FUNCTIONS = {
    "uniform": (LARGE, lambda s: nd.random.uniform(shape=s), lambda s: GENERATOR.random(s, np.float32),
                lambda s: torch.rand(s)),
    "normal": (LARGE, lambda s: nd.random.normal(shape=s), lambda s: GENERATOR.standard_normal(s, np.float32),
               lambda s: torch.randn(s)),
    "exponential": (LARGE, lambda s: nd.random.exponential(shape=s),
                    lambda s: GENERATOR.standard_exponential(s, np.float32),
                    lambda s: torch.empty(s).exponential_()),
    "randint": (SMALL, lambda s: nd.random.randint(0, 1000, shape=s), lambda s: GENERATOR.integers(0, 1000, s),
                lambda s: torch.randint(0, 1000, s)),
    "gamma": (SMALL, lambda s: nd.random.gamma(2, 1, shape=s), lambda s: GENERATOR.gamma(2, 1, s),
              lambda s: torch._standard_gamma(torch.full(s, 2.))),
    "poisson": (SMALL, lambda s: nd.random.poisson(30, shape=s), lambda s: GENERATOR.poisson(30, s),
                lambda s: torch.poisson(torch.full(s, 30.))),
}


class Draw:
    """Seconds for one call."""

    params = list(FUNCTIONS), ["mxcy", "numpy", "torch"]
    param_names = "distribution", "library"

    def setup(self, distribution, library):
        shape, *calls = FUNCTIONS[distribution]
        if library == "torch" and torch is None:
            raise NotImplementedError("PyTorch is not installed")
        call = dict(zip(("mxcy", "numpy", "torch"), calls))[library]

        def run():
            call(shape)
            if library == "mxcy":
                mx.nd.waitall()

        self.run = run
        run()

    def time_draw(self, distribution, library):
        self.run()


class Dropout:
    """Seconds for dropout of half of 64 MiB, in training."""

    params = ["mxcy", "torch"]
    param_names = ("library",)

    def setup(self, library):
        x = GENERATOR.random(LARGE, np.float32)
        if library == "torch":
            if torch is None:
                raise NotImplementedError("PyTorch is not installed")
            tensor = torch.from_numpy(x)
            self.run = lambda: torch.nn.functional.dropout(tensor, .5, True)
            return
        array = nd.array(x)

        def run():
            with mx.autograd.train_mode():
                nd.Dropout(array, p=.5)
            mx.nd.waitall()

        self.run = run
        run()

    def time_forward(self, library):
        self.run()
