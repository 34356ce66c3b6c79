"""Normalisation layers."""
import numpy as np

from tests.ops.case import Case, const, normal, positive


def spread(weight, ndim, axis):
    return weight.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def normalized(x, axes, eps):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps), mean, np.sqrt(var + eps)


def batch_norm(x, gamma, beta, moving_mean, moving_var, *, eps=1e-3, fix_gamma=True, use_global_stats=False, axis=1,
               output_mean_var=False, training=False):
    axes = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    mean, var = (x.mean(axes), x.var(axes)) if training and not use_global_stats else (moving_mean, moving_var)
    y = (x - spread(mean, x.ndim, axis)) / np.sqrt(spread(var, x.ndim, axis) + eps)
    y = y * (1 if fix_gamma else spread(gamma, x.ndim, axis)) + spread(beta, x.ndim, axis)
    return (y, mean, 1 / np.sqrt(var + eps)) if output_mean_var else y


def batch_norm_training(*inputs, **params):
    return batch_norm(*inputs, **params, training=True)


def batch_norm_relu(x, gamma, beta, moving_mean, moving_var, addend=0, *, with_addend=False, **params):
    return np.maximum(batch_norm_training(x, gamma, beta, moving_mean, moving_var, **params) + addend, 0)


def layer_norm(x, gamma, beta, *, axis=-1, eps=1e-5, output_mean_var=False):
    y, mean, std = normalized(x, axis, eps)
    y = y * spread(gamma, x.ndim, axis) + spread(beta, x.ndim, axis)
    return (y, mean, std) if output_mean_var else y


def group_norm(x, gamma, beta, *, num_groups=1, eps=1e-5, output_mean_var=False):
    y, mean, std = normalized(x.reshape(len(x), num_groups, -1), 2, eps)
    y = (y * gamma.reshape(-1, 1) + beta.reshape(-1, 1)).reshape(x.shape)
    return (y, mean[..., 0], std[..., 0]) if output_mean_var else y


def instance_norm(x, gamma, beta, *, eps=1e-3):
    return group_norm(x, gamma, beta, num_groups=x.shape[1], eps=eps)


def l2_normalization(x, eps=1e-10, mode="instance"):
    axes = dict(instance=tuple(range(1, x.ndim)), channel=(1,), spatial=tuple(range(2, x.ndim)))[mode]
    return x / np.sqrt((x * x).sum(axes, keepdims=True) + eps)


def lrn(x, *, nsize, alpha=1e-4, beta=.75, knorm=2.):
    squares = np.pad(x * x, [(0, 0), (nsize // 2, nsize // 2), *[(0, 0)] * (x.ndim - 2)])
    total = sum(squares[:, i:i + x.shape[1]] for i in range(nsize))
    return x * (knorm + alpha / nsize * total) ** -beta


def batch_case(shape, channels, oracle, train, name="BatchNorm", **params):
    inputs = [normal(*shape), positive(channels), normal(channels), normal(channels), positive(channels)]
    # 16-bit data go with float32 weights, which the table cannot say: conformance and test_norm.py cover them.
    mean_var = params.get("output_mean_var", False)
    return Case(name, inputs, params, oracle, dtypes=("float32", "float64"), train=train, grad=False if mean_var else (0, 1, 2))


def sync(oracle):
    return lambda *arrays, key, ndev=1, **params: oracle(*arrays, **params)


BATCH = [dict(fix_gamma=False), dict(), dict(fix_gamma=False, use_global_stats=True), dict(fix_gamma=False, eps=.1),
         dict(fix_gamma=False, output_mean_var=True)]

CASES = [
    *[batch_case((4, 3, 5, 6), 3, oracle, train, **params) for params in BATCH
      for oracle, train in [(batch_norm, False), (batch_norm_training, True)]],
    *[batch_case(shape, shape[axis], batch_norm_training, True, fix_gamma=False, axis=axis)
      for shape, axis in [((6, 3), 1), ((3, 4, 70), -1), ((5, 4, 3), 0), ((2, 3, 5, 7, 3), 2), ((300, 70), 1), ((2, 2, 5000), 1)]],
    *[Case("_batch_norm_relu", [normal(*shape), positive(n), normal(n), normal(n), positive(n), *[normal(*shape)] * addend],
           dict(axis=axis, fix_gamma=fix, with_addend=addend), batch_norm_relu, dtypes=("float32", "float64"), train=True,
           grad=False, id=f"{shape} {addend} {fix}")
      for shape, n, axis in [((4, 3, 5, 6), 3, 1), ((3, 4, 5), 5, -1)] for addend in (False, True) for fix in (False, True)],
    *[batch_case((4, 3, 5), 3, sync(oracle), train, "_contrib_SyncBatchNorm", fix_gamma=False, key="k", ndev=ndev)
      for oracle, train, ndev in [(batch_norm, False, 2), (batch_norm_training, True, 1)]],
    *[Case("LayerNorm", [normal(*shape), normal(shape[axis]), normal(shape[axis])], dict(axis=axis), layer_norm)
      for shape, axis in [((3, 4, 5), -1), ((3, 4, 5), 1), ((3, 4, 5), 0), ((100, 7), -1), ((2, 3000), 1), ((3, 5, 70), 1)]],
    Case("LayerNorm", [normal(3, 5), normal(5), normal(5)], dict(eps=.1, output_mean_var=True), layer_norm, grad=False),
    Case("LayerNorm", [const(1e4 + np.arange(20.).reshape(2, 10)), normal(10), normal(10)], dict(), layer_norm,
         dtypes=("float32", "float64"), id="far from 0"),
    *[Case("GroupNorm", [normal(*shape), normal(g), normal(g)], dict(num_groups=g), group_norm)
      for shape, g in [((2, 6, 3, 3), 3), ((3, 4, 5), 1), ((2, 4, 3, 2, 2), 4)]],
    Case("GroupNorm", [normal(2, 4, 3), normal(2), normal(2)], dict(num_groups=2, output_mean_var=True), group_norm, grad=False),
    *[Case("InstanceNorm", [normal(*shape), normal(shape[1]), normal(shape[1])], dict(eps=eps), instance_norm)
      for shape, eps in [((2, 3, 4, 5), 1e-3), ((3, 2, 7), .1)]],
    *[Case("L2Normalization", [normal(3, 4, 5)], dict(mode=mode), l2_normalization) for mode in ("instance", "channel", "spatial")],
    *[Case("LRN", [normal(2, 6, 3, 4)], dict(nsize=n, alpha=.1), lrn) for n in (1, 3, 5)],
]
