"""Sorting and selection on GPUs: rows longer than a block holds, ties, NaN, infinities and both zeros."""
import numpy as np
import pytest

import mxcy as mx
from mxcy import nd
from mxcy.imperative._function import F
from mxcy.ops.cuda import sorting

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not mx.num_gpus(), reason="no GPU and no stand-in for one: "
                                                                            "python -m tests.gpu")]
DTYPES = ("float32", "float64", "float16", "bfloat16", "uint8", "int8", "int32", "int64")


def numbers(shape, dtype, few=False):
    """Numbers of any size; or a few, so that most are equal."""
    rng = np.random.default_rng(int(np.prod(shape)))
    if "float" not in dtype:
        limits = np.iinfo(dtype)
        low, high = (3, 8) if few else (limits.min, limits.max)
        return rng.integers(low, high, shape, dtype, endpoint=True)
    x = np.round(rng.normal(size=shape) * 2) if few else rng.normal(size=shape) * 10. ** rng.integers(-9, 5, shape)
    for step, special in ((37, np.nan), (23, -0.), (29, 0.), (41, np.inf), (43, -np.inf)):
        x.ravel()[step::step] = special
    return x


def same(here, there):
    """Assert that the arrays are equal: NaN in the same places, and the same zeros."""
    for a, b in zip(here, there, strict=True):
        a, b = (x.astype("float32").asnumpy() if x.dtype_name in ("float16", "bfloat16") else x.asnumpy() for x in (a, b))
        np.testing.assert_array_equal(b, a)
        if a.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(b) & (b == b), np.signbit(a) & (a == a))


def assert_orders(x, dtype, counts, **params):
    """The GPU sorts, and finds so many elements, as the CPU does."""
    here, there = (nd.array(x, ctx=ctx, dtype=dtype) for ctx in (mx.cpu(), mx.gpu(0)))
    same([F.sort(here, **params)], [F.sort(there, **params)])
    same([F.argsort(here, dtype="int32", **params)], [F.argsort(there, dtype="int32", **params)])
    for k in counts:
        for wanted in ("both", "mask"):
            ways = dict(k=k, ret_typ=wanted, dtype="int64", **params)
            a, b = F.topk(here, **ways), F.topk(there, **ways)
            same(*(([a], [b]) if wanted == "mask" else (a, b)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ascending", [True, False])
def test_short_rows(ascending, dtype):
    for shape, axis in (((3, 400), 1), ((40, 7), 1), ((300, 5), 0), ((30, 9), None), ((2, 2048), 1)):
        assert_orders(numbers(shape, dtype), dtype, (3,), axis=axis, is_ascend=ascending)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("few", [False, True], ids=["any", "ties"])
@pytest.mark.parametrize("shape, axis, ascending", [
    ((30000,), None, True), ((3, 9001), 1, False), ((2, 5000, 3), 1, True), ((4096, 2), 0, False)], ids=str)
def test_long_rows(shape, axis, ascending, few, dtype):
    """The most that is selected, and more than that."""
    assert_orders(numbers(shape, dtype, few), dtype, (5, 2048, 2049), axis=axis, is_ascend=ascending)


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_shares_of_several_tiles(dtype, monkeypatch):
    monkeypatch.setattr(sorting, "SHARES", 2)
    assert_orders(numbers((2, 20011), dtype), dtype, (7,))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_positions_of_64_bits(dtype, monkeypatch):
    monkeypatch.setattr(sorting, "NARROW", 0)
    assert_orders(numbers((2, 10007), dtype), dtype, (7, 3000))


@pytest.mark.parametrize("value", [0, 256])
def test_bytes_that_all_keys_share(value):
    """Rows that passes leave where they are, next to others."""
    x = np.full((3, 7001), value)
    x[1, ::2], x[2, 5] = value + 3, -2 ** 40
    assert_orders(x, "int64", (4, 3500), is_ascend=False)
    assert_orders(x + 1, "float32", (4, 3500))
