"""Optimizer updates: of one large weight, as a share of what the memory gives, and of many small ones in one call."""
import numpy as np

import mxcy as mx
from mxcy import gluon, nd

SIZE = 1 << 24


def random(*shape):
    return nd.array(np.random.default_rng(0).uniform(.5, 1, shape).astype(np.float32))


class LargeWeight:
    """16 Mi items of float32: nothing fits a cache."""

    params = [["sgd_update", "sgd_mom_update", "nag_mom_update", "adam_update", "rmsprop_update"]]
    param_names = ["update"]
    states = {"sgd_update": 0, "sgd_mom_update": 1, "nag_mom_update": 1, "adam_update": 2, "rmsprop_update": 1}

    def setup(self, update):
        self.update = getattr(nd, update)
        self.weight, *self.rest = (random(SIZE) for _ in range(2 + self.states[update]))

    def time_update(self, update):
        self.update(self.weight, *self.rest, out=self.weight, lr=1e-6)
        self.weight.wait_to_read()


class ManyWeights:
    """`Trainer.step` over 160 weights of 64 x 64, after gradients that are new each time."""

    params, param_names = [["sgd", "adam"]], ["optimizer"]
    number, warmup_time = 1, 0                          # each step needs its own setup

    def setup(self, optimizer):
        self.parameters = gluon.ParameterDict()
        for i in range(160):
            self.parameters.get(f"weight{i}", shape=(64, 64))
        self.parameters.initialize()
        momentum = {"momentum": .9} if optimizer == "sgd" else {}
        self.trainer = gluon.Trainer(self.parameters, optimizer, {"learning_rate": 1e-4, **momentum})
        for _ in range(3):
            self.gradients()
            self.trainer.step(1)
        self.gradients()
        nd.waitall()

    def gradients(self):
        with mx.autograd.record():
            heads = [p.data() * 2 for p in self.parameters.values()]
        mx.autograd.backward(heads)

    def time_step(self, optimizer):
        self.trainer.step(1)
        nd.waitall()
