"""Training through Gluon: LeNet's step, the trainer alone, and batches from memory."""
import numpy as np

import mxcy as mx
from mxcy import autograd, gluon, nd
from mxcy.gluon import nn


def lenet():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(20, 5, activation="relu"), nn.MaxPool2D(2, 2), nn.Conv2D(50, 5, activation="relu"),
            nn.MaxPool2D(2, 2), nn.Flatten(), nn.Dense(500, activation="relu"), nn.Dense(10))
    net.initialize(mx.init.Xavier())
    return net


class LeNet:
    """Seconds for ten steps of training, operator by operator."""

    params, param_names = [1, 64], ["batch"]

    def setup(self, batch):
        self.net, self.loss = lenet(), gluon.loss.SoftmaxCrossEntropyLoss()
        rng = np.random.RandomState(0)
        self.data = nd.array(rng.rand(batch, 1, 28, 28)), nd.array(rng.randint(0, 10, batch))
        self.net(self.data[0])
        self.trainer = gluon.Trainer(self.net.collect_params(), "sgd", {"learning_rate": 0.01})
        self.time_steps(batch)

    def time_steps(self, batch):
        x, y = self.data
        for _ in range(10):
            with autograd.record():
                loss = self.loss(self.net(x), y)
            loss.backward()
            self.trainer.step(batch)
        nd.waitall()


class Trainer:
    """Seconds for ``Trainer.step`` over 160 tensors whose gradients are there."""

    params, param_names = [["sgd", "adam"], [4, 64]], ["optimizer", "side"]

    def setup(self, optimizer, side):
        weights = [gluon.Parameter(f"p{i}_weight", shape=(side, side)) for i in range(160)]
        for weight in weights:
            weight.initialize(mx.init.Uniform(0.1))
        momentum = {"momentum": 0.9, "wd": 1e-4} if optimizer == "sgd" else {}
        self.trainer = gluon.Trainer(weights, optimizer, {"learning_rate": 0.001, **momentum})
        with autograd.record():
            losses = [weight.data() * 1e-3 for weight in weights]
        autograd.backward(losses)
        self.arrays = [weight.data() for weight in weights]
        self.trainer.step(1)

    def time_step(self, optimizer, side):
        for array in self.arrays:
            array._fresh_grad = True
        self.trainer.step(1)
        nd.waitall()


class Batches:
    """Seconds for an epoch of 6000 images in batches of 64."""

    params, param_names = ["NDArrayIter", "NDArrayIter shuffled", "DataLoader", "DataLoader, 2 threads"], ["reader"]

    def setup(self, reader):
        images, labels = np.random.RandomState(0).rand(6000, 1, 28, 28).astype("float32"), np.zeros(6000, "float32")
        if reader.startswith("NDArrayIter"):
            self.batches = mx.io.NDArrayIter(images, labels, 64, shuffle="shuffled" in reader)
        else:
            self.batches = gluon.data.DataLoader(gluon.data.ArrayDataset(images, labels), 64,
                                                 num_workers=2 if "threads" in reader else 0)

    def time_epoch(self, reader):
        for _ in self.batches:
            pass
        nd.waitall()
        if reader.startswith("NDArrayIter"):
            self.batches.reset()
