"""Every kernel that the operator table's cases launch compiles with NVIDIA's own NVRTC; no GPU is needed for that. And what
its machine code takes of a GPU is no more than it should."""
import functools
import re

import pytest

from tests.gpu.resources import compile_all
from tests.gpu.texts import sources
from tests.gpu.tools import real_nvrtc

pytestmark = pytest.mark.skipif(real_nvrtc() is None, reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")

SAVED = 8                       # bytes: two registers, set aside while a division is called
#: Kernels that use local memory, by "name: first line of their text", and why.
LOCAL = {
    r"map: MXCY_MAP\((cos|sin|tan)_op, double": "CUDA's reduction of large arguments has an array",
    r"map: MXCY_MAP\((gamma|erfinv|polygamma)_op": "registers are set aside while functions of CUDA's library are called",
    r"fill: MXCY_RANDOM\((GAMMA|POISSON|(GENERALIZED_)?NEGATIVE_BINOMIAL)": "the same",
    r"distinct: MXCY_DISTINCT": "one thread draws for a row, and waits for memory anyway",
    r"move_by_digit: MXCY_SORT_LONG": "a thread keeps many items",
    r"count_level: MXCY_SELECT_LONG": "a thread keeps many items",
}
#: Kernels whose registers leave room for less than half of a multiprocessor's threads, and why.
FEW_THREADS = {
    r"tiles: MXCY_PRODUCT|dots: MXCY_DOTS": "many sums to a thread: what is read is used often",
    r"\w+: MXCY_CONVOLUTION": "many sums to a thread",
    r"\w+: MXCY_(SORT|SELECT)_LONG": "a thread keeps many items",
    r"map: MXCY_MAP\(polygamma_op": "a series in float64",
    r"fill: MXCY_RANDOM\(\w+, double": "logarithms and roots in float64 decide the time, not memory",
    r"rows: MXCY_(SOFTMAX|NORM|NORM_BACKWARD)\(.*(half|bfloat16)": "64 bytes to a thread are under way at once",
    r"\w+: MXCY_(REDUCE|BATCH_NORM)\(.*8.*\)": "64 bytes to a thread are under way at once",
    r"(products|data): MXCY_BATCH_NORM_BACKWARD\(RECTIFIER, false, 8": "64 bytes to a thread are under way at once",
    r"update: MXCY_UPDATE\(\w+, double": "up to four arrays of float64 are read",
}


@functools.cache
def compiled(architecture):
    return compile_all(architecture, sources())


def listed(kernel, reasons):
    return any(re.match(pattern, f"{kernel.name}: {kernel.line}") for pattern in reasons)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90", "sm_100"])
def test_every_kernel_compiles(architecture):
    kernels, logs = compiled(architecture)
    assert not logs, "\n\n".join(logs[:5])
    assert len(kernels) > 2000


def test_local_memory():
    """Local memory is slow: arrays of a thread are to be in registers, and parameters where they are."""
    found = {f"{kernel.name}: {kernel.line}: {kernel.local} bytes" for kernel in compiled("sm_90")[0]
             if kernel.local > SAVED and not listed(kernel, LOCAL)}
    assert not found, "\n".join(sorted(found))


def test_registers():
    """There are threads enough for reads of memory to be waited for together."""
    found = {f"{kernel.name}: {kernel.line}: {kernel.registers} registers, {kernel.threads} threads to a block"
             for kernel in compiled("sm_90")[0] if kernel.occupancy < .5 and not listed(kernel, FEW_THREADS)}
    assert not found, "\n".join(sorted(found))


@pytest.mark.parametrize(("at", "local"), [("int(x[i]) & 63", True), ("3", False)])
def test_local_memory_is_seen(at, local):
    text = ('extern "C" __global__ void count(float* x, int n) { float counts[64] = {}; '
            f"for (int i = 0; i < n; i++) counts[{at}] += x[i]; "
            "for (int i = 0; i < 64; i++) x[i] = counts[i]; }\n")
    (kernel,), _ = compile_all("sm_90", {text})
    assert kernel.name == "count"
    assert (kernel.local >= 256) == local


def test_registers_are_seen():
    text = ('extern "C" __global__ void __launch_bounds__(256) add(float* x, int n) { float sums[96]; '
            "for (int k = 0; k < 96; k++) sums[k] = x[k]; "
            "for (int i = 0; i < n; i++) for (int k = 0; k < 96; k++) sums[k] = sums[k] * sums[(k + 1) % 96] + x[i]; "
            "for (int k = 0; k < 96; k++) x[k] = sums[k]; }\n")
    (kernel,), _ = compile_all("sm_90", {text})
    assert kernel.registers > 96
    assert kernel.threads == 256
    assert kernel.occupancy < .5
