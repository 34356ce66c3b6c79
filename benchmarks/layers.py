"""Pooling, normalisation and deconvolution, against PyTorch where it is installed."""
import numpy as np

from benchmarks.convolution import report
from mxcy import autograd, nd


def batch_norm(x, gamma, beta):
    return nd.BatchNorm(x, gamma, beta, nd.zeros((256,)), nd.ones((256,)), fix_gamma=False)


def torch_batch_norm(torch, x, gamma, beta):
    return torch.nn.functional.batch_norm(x, torch.zeros(256), torch.ones(256), gamma, beta, torch.is_grad_enabled())


#: Name: (shapes, function of NDArrays, function of torch and tensors).
LAYERS = {
    "max pooling 3x3/2": (
        [(16, 64, 112, 112)], lambda x: nd.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1)),
        lambda torch, x: torch.nn.functional.max_pool2d(x, 3, 2, 1)),
    "max pooling 2x2/2": (
        [(64, 20, 24, 24)], lambda x: nd.Pooling(x, kernel=(2, 2), stride=(2, 2)),
        lambda torch, x: torch.nn.functional.max_pool2d(x, 2, 2)),
    "global mean": (
        [(16, 2048, 7, 7)], lambda x: nd.Pooling(x, global_pool=True, pool_type="avg"),
        lambda torch, x: torch.nn.functional.adaptive_avg_pool2d(x, 1)),
    "mean 3x3": (
        [(16, 64, 56, 56)], lambda x: nd.Pooling(x, kernel=(3, 3), pad=(1, 1), pool_type="avg"),
        lambda torch, x: torch.nn.functional.avg_pool2d(x, 3, 1, 1)),
    "batch norm": ([(16, 256, 56, 56), (256,), (256,)], batch_norm, torch_batch_norm),
    "layer norm": (
        [(4096, 1024), (1024,), (1024,)], nd.LayerNorm,
        lambda torch, x, gamma, beta: torch.nn.functional.layer_norm(x, (1024,), gamma, beta)),
    "group norm": (
        [(16, 256, 56, 56)], lambda x: nd.GroupNorm(x, nd.ones((32,)), nd.zeros((32,)), num_groups=32),
        lambda torch, x: torch.nn.functional.group_norm(x, 32)),
    "deconvolution 4x4/2": (
        [(16, 64, 28, 28), (64, 32, 4, 4)],
        lambda x, w: nd.Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=32),
        lambda torch, x, w: torch.nn.functional.conv_transpose2d(x, w, None, 2, 1)),
}


def ours(arrays, layer):
    """Functions that run forward, and forward and backward."""
    arrays = [nd.array(x) for x in arrays]
    g = nd.ones_like(layer(*arrays))

    def train():
        for x in arrays:
            x.attach_grad()
        with autograd.record():
            y = layer(*arrays)
        y.backward(g)
        nd.waitall()
    return lambda: layer(*arrays).wait_to_read(), train


def torchs(arrays, layer):
    try:
        import torch
    except ImportError:
        raise NotImplementedError("PyTorch is not installed") from None
    arrays = [torch.from_numpy(x) for x in arrays]
    g = torch.ones_like(layer(torch, *arrays))

    def predict():
        with torch.no_grad():
            layer(torch, *arrays)

    def train():
        layer(torch, *[x.detach().requires_grad_() for x in arrays]).backward(g)
    return predict, train


def prepare(layer, library):
    shapes, mine, theirs = LAYERS[layer]
    arrays = [np.random.default_rng(0).random(shape, np.float32) for shape in shapes]
    return ours(arrays, mine) if library == "mxcy" else torchs(arrays, theirs)


class Layers:
    """Seconds for one layer."""

    params, param_names = (list(LAYERS), ["mxcy", "torch"]), ("layer", "library")

    def setup(self, layer, library):
        self.predict, self.train = prepare(layer, library)

    def time_forward(self, layer, library):
        self.predict()

    def time_forward_backward(self, layer, library):
        self.train()


if __name__ == "__main__":
    report(LAYERS, prepare)
