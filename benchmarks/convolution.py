"""ResNet-50's convolutions, depthwise ones and LeNet's, NCHW in and out, against PyTorch where it is installed."""
import math
import time

import numpy as np

from mxcy import autograd, nd

#: batch, channels, size, filters, kernel, stride, groups
LAYERS = {
    **{f"resnet50 {c}-{f} {k}x{k}/{s} @{size}": (16, c, size, f, k, s, 1) for c, size, f, k, s in [
        (3, 224, 64, 7, 2), (64, 56, 64, 1, 1), (64, 56, 64, 3, 1), (64, 56, 256, 1, 1), (256, 56, 64, 1, 1),
        (256, 56, 128, 1, 2), (128, 28, 128, 3, 1), (128, 28, 512, 1, 1), (512, 28, 128, 1, 1), (256, 56, 512, 1, 2),
        (512, 28, 256, 1, 2), (256, 14, 256, 3, 1), (256, 14, 1024, 1, 1), (1024, 14, 256, 1, 1),
        (512, 28, 1024, 1, 2),
        (1024, 14, 512, 1, 2), (512, 7, 512, 3, 1), (512, 7, 2048, 1, 1), (2048, 7, 512, 1, 1),
        (1024, 14, 2048, 1, 2)]},
    "depthwise 144 3x3/1 @56": (16, 144, 56, 144, 3, 1, 144),
    "depthwise 96 3x3/2 @112": (16, 96, 112, 96, 3, 2, 96),
    "lenet 1-20 5x5 @28": (64, 1, 28, 20, 5, 1, 1), "lenet 20-50 5x5 @12": (64, 20, 12, 50, 5, 1, 1),
}


def ours(x, w, pad, stride, groups):
    """Functions that run forward, and forward and backward."""
    x, w = nd.array(x), nd.array(w)
    params = dict(kernel=w.shape[2:], stride=(stride, stride), pad=(pad, pad), num_filter=w.shape[0], num_group=groups,
                  no_bias=True)
    g = nd.ones_like(nd.Convolution(x, w, **params))

    def train():
        x.attach_grad()
        w.attach_grad()
        with autograd.record():
            y = nd.Convolution(x, w, **params)
        y.backward(g)
        nd.waitall()
    return lambda: nd.Convolution(x, w, **params).wait_to_read(), train


def torchs(x, w, pad, stride, groups):
    try:
        import torch
    except ImportError:
        raise NotImplementedError("PyTorch is not installed") from None
    x, w = torch.from_numpy(x), torch.from_numpy(w)
    convolve = torch.nn.functional.conv2d
    g = torch.ones_like(convolve(x, w, None, stride, pad, 1, groups))

    def predict():
        with torch.no_grad():
            convolve(x, w, None, stride, pad, 1, groups)

    def train():
        a, b = x.detach().requires_grad_(), w.detach().requires_grad_()
        convolve(a, b, None, stride, pad, 1, groups).backward(g)
    return predict, train


def prepare(layer, library):
    batch, channels, size, filters, kernel, stride, groups = LAYERS[layer]
    rng = np.random.default_rng(0)
    x = rng.random((batch, channels, size, size), np.float32)
    w = rng.random((filters, channels // groups, kernel, kernel), np.float32)
    pad = 0 if layer.startswith("lenet") else kernel // 2
    return {"mxcy": ours, "torch": torchs}[library](x, w, pad, stride, groups)


class Convolution:
    """Seconds for one layer."""

    params, param_names = (list(LAYERS), ["mxcy", "torch"]), ("layer", "library")

    def setup(self, layer, library):
        self.predict, self.train = prepare(layer, library)

    def time_forward(self, layer, library):
        self.predict()

    def time_forward_backward(self, layer, library):
        self.train()


def milliseconds(function, budget=.3):
    """The shortest of the calls that fit the budget."""
    function()
    end, best = time.perf_counter() + budget, math.inf
    while time.perf_counter() < end or best == math.inf:
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return 1e3 * best


def report(cases, prepare):
    """A line for each case, and how many times faster than PyTorch in the geometric mean."""
    ratios = []
    for case in cases:
        mine = [milliseconds(f) for f in prepare(case, "mxcy")]
        line = f"{case:32s} mxcy {mine[0]:8.3f} {mine[1]:8.3f} ms"
        try:
            theirs = [milliseconds(f) for f in prepare(case, "torch")]
            ratios.append([t / m for t, m in zip(theirs, mine)])
            line += f"  torch {theirs[0]:8.3f} {theirs[1]:8.3f}  ratio {ratios[-1][0]:5.2f} {ratios[-1][1]:5.2f}"
        except NotImplementedError:
            pass
        print(line, flush=True)
    if ratios:
        print("geometric mean", np.exp(np.log(ratios).mean(0)).round(2))


if __name__ == "__main__":
    report(LAYERS, prepare)
