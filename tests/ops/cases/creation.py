"""Arrays made from numbers."""
import numpy as np

from tests.ops.case import Case, normal


def arange(start, stop=None, step=1., repeat=1, dtype="float32"):
    return np.repeat(np.arange(0 if stop is None else start, start if stop is None else stop, step), repeat)


def linspace(start, stop, num, endpoint=True, dtype="float32"):
    return np.linspace(start, stop, num, endpoint).astype(dtype)


def row(operator, params, oracle, **more):
    return Case(operator, [], params, oracle, grad=False, dtypes=("float32",), **more)


CASES = [
    *(row(name, dict(shape=(2, 3), dtype=dtype), lambda shape, dtype, v=v: np.full(shape, v))
      for name, v in (("_zeros", 0), ("_ones", 1))
      for dtype in ("float32", "float16", "bfloat16", "int8", "int64", "bool")),
    row("_zeros", dict(shape=(2, 0)), lambda shape: np.zeros(shape)),
    *(row("_full", dict(shape=(3,), value=2.75, dtype=dtype),
          lambda shape, value, dtype: np.full(shape, value).astype(dtype))
      for dtype in ("float32", "float64", "float16", "uint8", "int32", "bool")),
    Case("zeros_like", [normal(3, 4)], {}, np.zeros_like, grad=False),
    Case("ones_like", [normal(3, 4)], {}, np.ones_like, grad=False),
    Case("_assign_scalar", [normal(3, 4)], dict(scalar=2.5), lambda x, scalar: np.full_like(x, scalar), grad=False),
    *(row("_arange", params, arange) for params in (
        dict(start=4.), dict(start=1., stop=4., step=.5), dict(start=5, stop=0, step=-2, dtype="int32"),
        dict(start=0, stop=3, repeat=2), dict(start=-1.5, stop=2000., dtype="float64"))),
    *(row("_linspace", params, linspace) for params in (
        dict(start=0., stop=1., num=5), dict(start=2., stop=-1., num=6, endpoint=False), dict(start=3., stop=4., num=1),
        dict(start=3., stop=4., num=0), dict(start=42.2, stop=68.9, num=7, dtype="int32"))),
    *(row("_eye", params, lambda N, M=0, k=0, dtype="float32": np.eye(N, M or N, k)) for params in (
        dict(N=3), dict(N=3, M=5, k=1), dict(N=4, M=2, k=-2), dict(N=2, M=3, k=-7), dict(N=2, k=1, dtype="int32"))),
]
