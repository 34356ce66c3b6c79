"""GPU benchmarks: one command, every library that is installed in this environment, taking turns.

    python benchmarks/gpu.py                    # mxcy, and PyTorch eager, compiled and with CUDA graphs if it is there
    python benchmarks/gpu.py --only lenet gemm --rounds 5 --json gpu.json
    python benchmarks/gpu.py --tf32             # float32 with factors rounded to tf32, here and there
    env $(python -m tests.gpu.tools) python benchmarks/gpu.py --smoke        # on the stand-ins: does everything run?

Times are of the host's clock around work that ends with a synchronisation; the median of the rounds is printed. The two
ceilings, a copy on the device and a product by PyTorch's cuBLAS, are measured in the same run.
"""
import argparse
import contextlib
import importlib
import importlib.util
import json
import math
import os
import statistics
import time

import numpy as np

import mxcy as mx
from mxcy import autograd, gluon, nd

gpu = mx.gpu(0)
torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
if torch is not None and not torch.cuda.is_available():
    torch = None
SMOKE = False
DTYPES = ("float32", "float16", "bfloat16")


def size(full, small):
    """The full size, or a small one where only running matters."""
    return small if SMOKE else full


def seconds(run, finish, repeat=None):
    """Seconds that a call takes, of enough calls to be measured, the first ones left out."""
    for _ in range(2 if SMOKE else 10):
        run()
    finish()
    start = time.perf_counter()
    run()
    finish()
    once = max(time.perf_counter() - start, 1e-6)
    repeat = 1 if SMOKE else repeat or max(int(.3 / once), 3)
    start = time.perf_counter()
    for _ in range(repeat):
        run()
    finish()
    return (time.perf_counter() - start) / repeat


def finish_mxcy():
    nd.waitall()


def finish_torch():
    torch.cuda.synchronize()


# -- what is measured: rows are (name, unit, {target: function that gives a figure}) -----------------------------------

def rows_of_memory():
    """Elementwise operators and reductions as bandwidth, against a copy on the device."""
    n = size(1 << 26, 1 << 10)
    x = nd.array(np.random.default_rng(0).random(n), ctx=gpu)
    y, out = x + 1, nd.empty((n,), ctx=gpu)
    rate = lambda run, moved: lambda: moved * n * 4 / seconds(run, finish_mxcy) / 1e9       # noqa: E731
    cases = {
        "copy": (lambda: x.copyto(out), 2), "add": (lambda: nd.elemwise_add(x, y, out=out), 3),
        "exp": (lambda: nd.exp(x, out=out), 2), "tanh": (lambda: nd.tanh(x, out=out), 2),
        "add a number": (lambda: nd._internal._plus_scalar(x, scalar=1., out=out), 2), "sum": (lambda: nd.sum(x), 1),
        "max": (lambda: nd.max(x), 1), "mean of rows": (lambda: nd.mean(x.reshape(-1, 1024), axis=1), 1),
        "softmax of rows": (lambda: nd.softmax(x.reshape(-1, 1024)), 2),
    }
    theirs = {}
    if torch is not None:
        a = torch.rand(n, device="cuda")
        b, c = a + 1, torch.empty_like(a)
        theirs = {"copy": lambda: c.copy_(a), "add": lambda: torch.add(a, b, out=c), "exp": lambda: torch.exp(a, out=c),
                  "tanh": lambda: torch.tanh(a, out=c), "add a number": lambda: torch.add(a, 1., out=c),
                  "sum": lambda: a.sum(), "max": lambda: a.max(), "mean of rows": lambda: a.view(-1, 1024).mean(1),
                  "softmax of rows": lambda: torch.softmax(a.view(-1, 1024), 1)}
    for name, (run, moved) in cases.items():
        targets = {"mxcy": rate(run, moved)}
        if name in theirs:
            targets["torch"] = lambda run=theirs[name], moved=moved: moved * n * 4 / seconds(run, finish_torch) / 1e9
        yield f"memory/{name}", "GB/s", targets


def rows_of_gemm():
    """Square products in three dtypes."""
    for dtype in ("float32", "float16", "bfloat16"):
        for n in size((1024, 4096), (32,)):
            a = nd.array(np.random.default_rng(0).random((n, n)), ctx=gpu).astype(dtype)
            targets = {"mxcy": lambda a=a, n=n: 2 * n ** 3 / seconds(lambda: nd.dot(a, a), finish_mxcy) / 1e12}
            if torch is not None:
                b = torch.rand(n, n, device="cuda", dtype=getattr(torch, dtype))
                targets["torch"] = lambda b=b, n=n: 2 * n ** 3 / seconds(lambda: b @ b, finish_torch) / 1e12
            yield f"gemm/{dtype} {n}", "TFLOP/s", targets


def rows_of_calls():
    """What the host spends on a small eager operator."""
    x = nd.array(np.ones((2, 2)), ctx=gpu)
    targets = {"mxcy": lambda: seconds(lambda: x + x, finish_mxcy, 20_000) * 1e6}
    if torch is not None:
        y = torch.ones(2, 2, device="cuda")
        targets["torch"] = lambda: seconds(lambda: y + y, finish_torch, 20_000) * 1e6
    yield "calls/a + b on 2x2", "us", targets


def train_mxcy(net, data, label, static, dtype="float32"):
    """A training step of a Gluon network."""
    net.initialize(mx.init.Xavier(), ctx=gpu)
    net.cast(dtype)
    if static:
        net.hybridize(static_alloc=True, static_shape=True)
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": .01, "momentum": .9,
                                                          "multi_precision": dtype != "float32"})
    x, y = nd.array(data, ctx=gpu).astype(dtype), nd.array(label, ctx=gpu)

    def step():
        with autograd.record():
            loss = loss_of(net(x), y)
        loss.backward()
        trainer.step(len(data))
    return step


def train_torch(net, data, label, mode, dtype="float32"):
    """A training step of a PyTorch network: eager, compiled, or replayed as a CUDA graph."""
    net = net.cuda()
    optimizer = torch.optim.SGD(net.parameters(), .01, momentum=.9)
    x, y = torch.tensor(data, device="cuda"), torch.tensor(label, device="cuda").long()
    cast = torch.autocast("cuda", getattr(torch, dtype)) if dtype != "float32" else contextlib.nullcontext()
    forward = torch.compile(net) if mode == "compiled" else net

    def step():
        optimizer.zero_grad(set_to_none=mode != "graph")
        with cast:
            loss = torch.nn.functional.cross_entropy(forward(x), y)
        loss.backward()
        optimizer.step()
    if mode != "graph":
        return step
    return recorded(step)


def recorded(step):
    """A step of PyTorch as a CUDA graph."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def predict_mxcy(net, data, dtype):
    net.initialize(mx.init.Xavier(), ctx=gpu)
    net.cast(dtype)
    net.hybridize(static_alloc=True, static_shape=True)
    x = nd.array(data, ctx=gpu).astype(dtype)
    return lambda: net(x)


def predict_torch(net, data, mode, dtype):
    kind = getattr(torch, dtype)
    net, x = net.cuda().eval().to(kind), torch.tensor(data, device="cuda", dtype=kind)
    forward = torch.compile(net) if mode == "compiled" else net

    def run():
        with torch.no_grad():
            return forward(x)
    return recorded(run) if mode == "graph" else run


def lenet():
    net = gluon.nn.HybridSequential()
    net.add(gluon.nn.Conv2D(20, 5, activation="relu"), gluon.nn.MaxPool2D(2, 2),
            gluon.nn.Conv2D(50, 5, activation="relu"), gluon.nn.MaxPool2D(2, 2),
            gluon.nn.Flatten(), gluon.nn.Dense(500, activation="relu"), gluon.nn.Dense(10))
    return net


def lenet_torch():
    from torch import nn
    return nn.Sequential(nn.Conv2d(1, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.ReLU(),
                         nn.MaxPool2d(2), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10))


def rows_of_training(name, make, make_torch, data, label, dtypes):
    for dtype in dtypes:
        targets = {}
        for static in (False, True):
            targets["mxcy static" if static else "mxcy eager"] = \
                lambda static=static, dtype=dtype: len(data) / seconds(train_mxcy(make(), data, label, static, dtype),
                                                                      finish_mxcy)
        for mode in ("eager", "compiled", "graph") if torch is not None and make_torch is not None else ():
            targets[f"torch {mode}"] = \
                lambda mode=mode, dtype=dtype: len(data) / seconds(train_torch(make_torch(), data, label, mode, dtype),
                                                                  finish_torch)
        yield f"{name}/training {dtype}", "samples/s", targets


def rows_of_prediction(name, make, make_torch, data, dtypes):
    for dtype in dtypes:
        targets = {"mxcy static":
                   lambda dtype=dtype: len(data) / seconds(predict_mxcy(make(), data, dtype), finish_mxcy)}
        for mode in ("eager", "compiled", "graph") if torch is not None and make_torch is not None else ():
            targets[f"torch {mode}"] = \
                lambda mode=mode, dtype=dtype: len(data) / seconds(predict_torch(make_torch(), data, mode, dtype),
                                                                  finish_torch)
        yield f"{name}/prediction {dtype}", "samples/s", targets


def rows_of_lenet():
    batch = size(64, 2)
    rng = np.random.default_rng(0)
    data, label = rng.random((batch, 1, 28, 28), np.float32), rng.integers(0, 10, batch)
    yield from rows_of_training("lenet", lenet, lenet_torch, data, label, ("float32",))
    yield from rows_of_prediction("lenet", lenet, lenet_torch, data, ("float32",))


def rows_of_resnet():
    batch, side = size(64, 1), size(224, 32)
    rng = np.random.default_rng(0)
    data, label = rng.random((batch, 3, side, side), np.float32), rng.integers(0, 1000, batch)
    theirs = None
    if torch is not None and importlib.util.find_spec("torchvision"):
        theirs = importlib.import_module("torchvision").models.resnet50
    make = gluon.model_zoo.vision.resnet18_v1 if SMOKE else gluon.model_zoo.vision.resnet50_v1
    yield from rows_of_training("resnet50", make, theirs, data, label, DTYPES)
    yield from rows_of_prediction("resnet50", make, theirs, data, DTYPES)


class Encoder(gluon.HybridBlock):
    """An encoder block of a transformer, of the operators that users write it with."""

    def __init__(self, width, heads, inner):
        super().__init__()
        self.heads, self.scale = heads, 1 / math.sqrt(width // heads)
        with self.name_scope():
            self.qkv = gluon.nn.Dense(3 * width, flatten=False)
            self.out, self.first = gluon.nn.Dense(width, flatten=False), gluon.nn.LayerNorm()
            self.up = gluon.nn.Dense(inner, flatten=False, activation="relu")
            self.down, self.second = gluon.nn.Dense(width, flatten=False), gluon.nn.LayerNorm()

    def hybrid_forward(self, F, x):
        q, k, v = F.split(self.qkv(x), num_outputs=3, axis=2)
        q, k, v = (F.reshape(F.transpose(F.reshape(part, (0, 0, self.heads, -1)), (0, 2, 1, 3)), (-3, 0, 0))
                   for part in (q, k, v))
        weights = F.softmax(F.batch_dot(q, k, transpose_b=True) * self.scale)
        mixed = F.reshape(F.batch_dot(weights, v), (-4, -1, self.heads, 0, 0))
        x = self.first(x + self.out(F.reshape(F.transpose(mixed, (0, 2, 1, 3)), (0, 0, -3))))
        return self.second(x + self.down(self.up(x)))


class Summed(gluon.HybridBlock):
    """A network and the sum of its results, so that the gradient has something to begin with."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def hybrid_forward(self, F, x):
        return F.sum(self.net(x))


def rows_of_transformer():
    batch, steps, width, heads, inner = size((8, 128, 512, 8, 2048), (1, 4, 8, 2, 16))
    data = np.random.default_rng(0).normal(size=(batch, steps, width)).astype(np.float32)

    def make():
        return Encoder(width, heads, inner)

    def make_torch():
        return torch.nn.TransformerEncoderLayer(width, heads, inner, dropout=0., batch_first=True)

    def train(static, dtype):
        net = Summed(make())
        net.initialize(mx.init.Xavier(), ctx=gpu)
        net.cast(dtype)
        if static:
            net.hybridize(static_alloc=True, static_shape=True)
        x = nd.array(data, ctx=gpu).astype(dtype)

        def step():
            with autograd.record():
                loss = net(x)
            loss.backward()
        return step

    def train_theirs(mode, dtype):
        kind = getattr(torch, dtype)
        layer, x = make_torch().cuda().to(kind), torch.tensor(data, device="cuda", dtype=kind)
        forward = torch.compile(layer) if mode == "compiled" else layer

        def step():
            layer.zero_grad(set_to_none=mode != "graph")
            forward(x).sum().backward()
        return recorded(step) if mode == "graph" else step

    for dtype in DTYPES:
        targets = {f"mxcy {'static' if static else 'eager'}":
                   lambda static=static, dtype=dtype: batch * steps / seconds(train(static, dtype), finish_mxcy)
                   for static in (False, True)}
        for mode in ("eager", "compiled", "graph") if torch is not None else ():
            targets[f"torch {mode}"] = \
                lambda mode=mode, dtype=dtype: batch * steps / seconds(train_theirs(mode, dtype), finish_torch)
        yield f"transformer/training {dtype}", "tokens/s", targets
    yield from rows_of_prediction("transformer", make, make_torch if torch is not None else None, data, DTYPES)


GROUPS = {"memory": rows_of_memory, "gemm": rows_of_gemm, "calls": rows_of_calls, "lenet": rows_of_lenet,
          "resnet": rows_of_resnet, "transformer": rows_of_transformer}


def main():
    global SMOKE
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, one round: does everything run?")
    parser.add_argument("--tf32", action="store_true", help="round the factors of float32 products to tf32")
    parser.add_argument("--json", help="also write the figures there")
    options = parser.parse_args()
    SMOKE = options.smoke
    os.environ["MXNET_CUDA_TENSOR_OP_MATH_ALLOW_CONVERSION"] = str(int(options.tf32))       # read at the first product
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = options.tf32
    figures = {}
    for group in options.only:
        for name, unit, targets in GROUPS[group]():
            samples = {target: [] for target in targets}
            for _ in range(1 if SMOKE else options.rounds):
                for target, measure in targets.items():
                    samples[target].append(measure())
            figures[name] = {target: statistics.median(values) for target, values in samples.items()}
            print(f"{name:36} {unit:10} " + "  ".join(f"{t}: {v:,.5g}" for t, v in figures[name].items()), flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(figures, file, indent=1)


if __name__ == "__main__":
    main()
