"""The mathematics of the operators, written for the CPU, compiles for GPUs too."""
import re

import pytest

from tests.gpu.tools import CHECKOUT, Nvrtc, real_nvrtc

ARCHITECTURES = ["sm_80", "sm_90", "sm_100"]
OPS = CHECKOUT / "mxcy/ops"
ALL = ["float", "double", "uint8_t", "int32_t", "int8_t", "int64_t"]
REAL = ["float", "double"]


@pytest.fixture(scope="module")
def nvrtc():
    path = real_nvrtc()
    if path is None:
        pytest.skip("NVRTC is not installed (pip install nvidia-cuda-nvrtc)")
    return Nvrtc(path)


def rows(header, table):
    """The names in a table of operations."""
    text = (OPS / header).read_text()
    block = re.search(rf"#define {table}\(ROW\)((?:.*\\\n)+.*)", text)[1]
    return re.findall(r"ROW\((\w+),", block)


def elementwise(names, dtypes, arity):
    """Kernels that apply each operation to each dtype."""
    arguments = ", ".join(f"x[{i}]" for i in range(arity))
    for name in names:
        for dtype in dtypes:
            yield (f'extern "C" __global__ void {name}_{dtype}({dtype}* out, const {dtype}* x, const double* p) '
                   f"{{ out[0] = mxcy::{name}_op<{dtype}>(p)({arguments}); }}")


def unary():
    return elementwise([row for table in ("MXCY_EXACT", "MXCY_ROUNDING", "MXCY_REAL") for row in rows("unary.h", table)],
                       [*REAL, "uint8_t", "int32_t"], 1)


def binary():
    return elementwise(rows("binary.h", "MXCY_BINARY"), ALL, 2)


def activation():
    yield from elementwise(rows("activation.h", "MXCY_ACTIVATION"), REAL, 1)
    yield from elementwise([f"backward_{row}" for row in rows("activation.h", "MXCY_DERIVATIVE")], REAL, 2)
    yield from elementwise(["clip"], ALL, 1)
    yield from elementwise(["backward_clip", "smooth_l1"], ALL, 2)
    yield from elementwise(["backward_smooth_l1"], REAL, 3)


def update():
    for rule in ("Sgd", "SgdMom", "Nag", "Adam", "AdamW", "Lamb", "RmsProp", "RmsPropCentred", "Ftrl", "Ftml", "Sign", "Signum"):
        for dtype in REAL:
            yield (f'extern "C" __global__ void {rule}_{dtype}({dtype}* w, {dtype}* s, mxcy_update::Numbers numbers) '
                   f"{{ w[0] = mxcy_update::{rule}<{dtype}>(numbers)(w[0], w[1], s[0], s[1], s[2]); }}")


def reduce():
    for operation in ("Sum", "Mean", "NanSum", "Norm1", "Norm2", "Prod", "NanProd", "Max", "Min"):
        for dtype in ALL:
            yield (f'extern "C" __global__ void {operation}_{dtype}({dtype}* out, const {dtype}* x) {{ '
                   f"typedef mxcy_reduce::{operation} Op; typedef mxcy_reduce::Total<{dtype}>::type A; "
                   "A a = Op::identity<A>(); out[0] = Op::finish(Op::join(a, Op::map(A(x[0]))), 1); }")


def argreduce():
    yield from (f'extern "C" __global__ void arg{operation}_{dtype}(bool* out, const {dtype}* x) '
                f"{{ out[0] = mxcy_reduce::Arg<mxcy_reduce::{operation}, {dtype}>::better(x[0], x[1]); }}"
                for operation in ("Max", "Min") for dtype in ALL)


def cast():
    yield from (f'extern "C" __global__ void cast_{to}_{origin}({to}* y, const {origin}* x) '
                f"{{ y[0] = mxcy::convert_one<{to}>(x[0]); }}" for to in [*ALL, "bool"] for origin in ALL)


def random():
    yield ('extern "C" __global__ void draw(double* out, int kind, uint64_t seed, uint64_t stream, double a, double b) { '
           "mxcy_random::Draws draws(seed, stream, threadIdx.x); out[threadIdx.x] = mxcy_random::draw(kind, draws, a, b); }")
    yield ('extern "C" __global__ void below(uint64_t* out, uint64_t n, uint64_t seed) '
           "{ out[threadIdx.x] = mxcy_random::below(n, seed, 0, threadIdx.x); }")


KERNELS = {
    "unary": unary, "binary": binary, "activation": activation, "update": update, "reduce": reduce, "argreduce": argreduce,
    "cast": cast, "select": lambda: elementwise(["where"], ALL, 3), "random": random,
    "philox": lambda: ['extern "C" __global__ void philox(uint32_t* out, uint64_t seed, uint64_t stream) '
                       "{ philox_block(out + 4 * threadIdx.x, seed, stream, threadIdx.x); }"],
    "half": lambda: ['extern "C" __global__ void half(uint16_t* out, float* y, const uint16_t* x) { y[0] = mxcy_half_one(x[0]); '
                     "y[1] = mxcy_bfloat16_one(x[0]); out[0] = mxcy_to_half_one(y[2]); out[1] = mxcy_to_bfloat16_one(y[2]); }"],
    "index": lambda: ['extern "C" __global__ void index(int64_t* out, const float* x) { out[0] = mxcy_index::integer(x[0]); }'],
    "norm": lambda: ['extern "C" __global__ void moments(mxcy_norm::Moments* m) { m[0].join(m[1].count, m[1].mean, m[1].squares); }'],
}


@pytest.mark.parametrize("header", KERNELS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_header_compiles(nvrtc, header, architecture):
    source = "\n".join([f'#include "mxcy/ops/{header}.h"', *KERNELS[header]()])
    code, log = nvrtc.compile(source, architecture)
    assert code is not None, log
    assert "warning" not in log
