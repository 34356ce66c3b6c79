"""The emulator runs kernels as a GPU would, in several orders of threads, and reports what is wrong with them."""
import ctypes
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.gpu.tools import Nvrtc, build_nvrtc

KERNELS = Path(__file__).with_name("kernels.cu").read_text()


def packed(arguments):
    """CUDA's parameter buffer: arrays are passed by their address, structures as bytes of 4-byte numbers."""
    buffer = b""
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            argument = np.uint64(argument.ctypes.data)
        data = argument if isinstance(argument, bytes) else argument.tobytes()
        align = 4 if isinstance(argument, bytes) else len(data)
        buffer += bytes(-len(buffer) % align) + data
    return buffer


class Module:
    """Kernels compiled for the emulator."""

    def __init__(self, source, folder):
        code, log = Nvrtc(build_nvrtc()).compile(source)
        assert code is not None, log
        path = folder / "kernels.so"
        path.write_bytes(code)
        self.library = ctypes.CDLL(str(path))

    def launch(self, name, grid, block, *arguments, shared=0):
        text = ctypes.create_string_buffer(1000)
        sizes = [(ctypes.c_uint * 3)(*size, *[1] * (3 - len(size))) for size in (grid, block)]
        if getattr(self.library, f"emulated_launch_{name}")(packed(arguments), *sizes, shared, text, len(text)):
            raise RuntimeError(text.value.decode())


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    return Module(KERNELS, tmp_path_factory.mktemp("kernels"))


@pytest.fixture(params=["forward", "reverse", "shuffled"])
def order(request, monkeypatch):
    monkeypatch.setenv("CUDA_EMULATOR_ORDER", request.param)
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def test_broadcast_add(kernels, order, rng):
    a, b = normal(rng, 6, 1, 50), normal(rng, 20, 1)
    out = np.empty((6, 20, 50), np.float32)
    strides = np.array([out.shape, (50, 0, 1), (0, 1, 0)], np.int32)
    kernels.launch("broadcast_add", (7,), (256,), out, a, b, strides.tobytes(), np.int32(out.size))
    assert np.array_equal(out, a + b)


@pytest.mark.parametrize("threads", [32, 256, 1024])
def test_row_sum(kernels, order, rng, threads):
    x = normal(rng, 9, 500)
    out = np.empty(9, np.float32)
    kernels.launch("row_sum", (9,), (threads,), out, x, np.int32(500))
    assert np.allclose(out, x.sum(axis=1), atol=1e-4)


def test_transpose(kernels, order, rng):
    x = normal(rng, 50, 70)
    out = np.empty((70, 50), np.float32)
    kernels.launch("transpose", (3, 2), (32, 8), out, x, np.int32(50), np.int32(70))
    assert np.array_equal(out, x.T)


def test_gemm(kernels, order, rng):
    a, b = normal(rng, 40, 50), normal(rng, 50, 20)
    out = np.empty((40, 20), np.float32)
    kernels.launch("gemm", (2, 3), (16, 16), out, a, b, *map(np.int32, (40, 20, 50)), shared=2048)
    assert np.allclose(out, a @ b, atol=1e-4)


def test_histogram(kernels, order, rng):
    x = rng.integers(0, 16, 5000, dtype=np.int32)
    count = np.zeros(16, np.uint64)
    kernels.launch("histogram", (4,), (128,), count, x, np.int32(x.size))
    assert np.array_equal(count, np.bincount(x, minlength=16))


def test_philox(kernels, order):
    """The first block of the known answers of Random123."""
    out = np.empty((64, 4), np.uint32)
    kernels.launch("philox", (2,), (32,), out, np.uint64(0), np.uint64(0))
    assert [hex(word) for word in out[0]] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    assert len(np.unique(out)) == out.size


def test_votes(kernels, order, rng):
    x, out, count = normal(rng, 32), np.empty(32, np.float32), np.zeros(1, np.int32)
    kernels.launch("keep_above", (1,), (32,), out, count, x, np.float32(.5))
    assert np.array_equal(out[:count[0]], x[x > .5])


def test_parts_of_a_warp(kernels, order):
    out = np.empty(32, np.int32)
    kernels.launch("halves", (1,), (32,), out)
    assert out.tolist() == [sum(range(16))] * 16 + [31 + 1000] * 16


@pytest.mark.parametrize("name, function, limit", [("tanh", np.tanh, 5), ("sin", np.sin, 1e7)])
def test_mathematics_of_operators(kernels, name, function, limit):
    x = np.linspace(-limit, limit, 64, dtype=np.float32)
    out = np.empty_like(x)
    kernels.launch(f"apply_{name}", (2,), (32,), out, x)
    assert np.allclose(out, function(x.astype(np.float64)), rtol=1e-6, atol=1e-6)


def test_a_missing_barrier_shows_in_some_order(monkeypatch, tmp_path):
    module = Module("""
        extern "C" __global__ void reverse(float* out, const float* x) {
            __shared__ float all[64];
            all[threadIdx.x] = x[threadIdx.x];
            out[threadIdx.x] = all[63 - threadIdx.x];
        }""", tmp_path)
    x = np.arange(64, dtype=np.float32)
    results = {}
    for order in ("forward", "reverse", "shuffled"):
        monkeypatch.setenv("CUDA_EMULATOR_ORDER", order)
        out = np.empty_like(x)
        module.launch("reverse", (1,), (64,), out, x)
        results[order] = out.tobytes()
    assert len(set(results.values())) == 3


def test_streams_are_threads(kernels, rng):
    """Kernels run at the same time do not see each other's threads and shared memory."""
    def multiply(_):
        for _ in range(20):
            out = np.empty((32, 32), np.float32)
            kernels.launch("gemm", (2, 2), (16, 16), out, a, a, *map(np.int32, (32, 32, 32)), shared=2048)
            assert np.allclose(out, a @ a, atol=1e-4)
            kernels.launch("transpose", (1, 1), (32, 8), out, a, np.int32(32), np.int32(32))
            assert np.array_equal(out, a.T)

    a = normal(rng, 32, 32)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(multiply, range(4)))


def test_variables_of_a_module(tmp_path):
    """The driver finds them by their names."""
    module = Module("""
        __device__ int count;
        __constant__ int step = 3;
        extern "C" __global__ void add() { atomicAdd(&count, step); }""", tmp_path)
    module.launch("add", (2,), (5,))
    assert ctypes.c_int.in_dll(module.library, "count").value == 30
    ctypes.c_int.in_dll(module.library, "step").value = 1
    module.launch("add", (2,), (5,))
    assert ctypes.c_int.in_dll(module.library, "count").value == 40


def test_shared_memory_holds_nothing_at_first(tmp_path):
    module = Module("""
        extern "C" __global__ void peek(float* out) {
            __shared__ float fixed[4];
            MXCY_DYN_SHARED(float, dynamic);
            out[2 * blockIdx.x] = fixed[0], out[2 * blockIdx.x + 1] = dynamic[0];
            fixed[0] = dynamic[0] = 1;
        }""", tmp_path)
    out = np.zeros(4, np.float32)
    module.launch("peek", (2,), (1,), out, shared=16)
    assert np.isnan(out).all()


FAULTS = {
    "barrier in a branch": (
        "if (threadIdx.x < 3) __syncthreads();",
        r"kernel faulty: block \(0, 0, 0\): divergent threads, none of which can go on: 3 at __syncthreads \(kernel.cu:2\) from "
        r"thread \(0, 0, 0\), 61 ended from thread \(3, 0, 0\)"),
    "different barriers": (
        "if (threadIdx.x < 3) __syncthreads();\nelse __syncthreads();",
        r"block \(0, 0, 0\): divergent barriers: thread \(3, 0, 0\) came to __syncthreads \(kernel.cu:3\), others wait at "
        r"\(kernel.cu:2\)"),
    "warp operation in a branch": (
        "if (threadIdx.x < 40) __syncwarp(); else out[0] = __shfl_xor_sync(0xffffffffu, 1.f, 1);",
        r"32 ended from thread \(0, 0, 0\), 8 at __syncwarp of mask 0xffffffff \(kernel.cu:2\) from thread \(32, 0, 0\), "
        r"24 at __shfl_xor_sync of mask 0xffffffff \(kernel.cu:2\) from thread \(40, 0, 0\)"),
    "different masks": (
        "__ballot_sync(threadIdx.x % 2 ? 0xffffffffu : 0x55555555u, 1); __all_sync(0xffffffffu, 1);",
        r"at __all_sync of mask 0xffffffff .* at __ballot_sync of mask 0xffffffff"),
    "outside its own mask": (
        "if (threadIdx.x == 5) __syncwarp(1);",
        r"thread \(5, 0, 0\) is not in the mask it gave to __syncwarp \(kernel.cu:2\)"),
    "assertion": (
        "assert(threadIdx.x + blockIdx.x < 64);",
        r"block \(1, 0, 0\): thread \(63, 0, 0\): assert\(threadIdx.x \+ blockIdx.x < 64\) does not hold"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_reported(fault, tmp_path):
    body, message = FAULTS[fault]
    module = Module(f"""extern "C" __global__ void faulty(float* out) {{
        {body}
    }}
    extern "C" __global__ void fine(float* out) {{ __syncthreads(); out[threadIdx.x] = __shfl_sync(0xffffffffu, threadIdx.x, 1); }}
    """, tmp_path)
    out = np.empty(64, np.float32)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=message):
            module.launch("faulty", (2,), (64,), out)
        module.launch("fine", (2,), (64,), out)
        assert out.tolist() == [1] * 32 + [33] * 32


def test_size_of_parameters(kernels):
    """The driver compares it with what it is given."""
    assert ctypes.c_size_t.in_dll(kernels.library, "emulated_parameter_bytes_broadcast_add").value == 3 * 8 + 9 * 4 + 4


@pytest.mark.parametrize("grid, block", [((1,), (1025,)), ((1,), (32, 33)), ((1,), (1, 1, 65)), ((1,), (0,)), ((1, 65536), (1,)),
                                         ((0,), (1,))])
def test_sizes_that_no_gpu_takes(kernels, grid, block):
    with pytest.raises(RuntimeError, match="kernel halves: a (block|grid) of .* at most"):
        kernels.launch("halves", grid, block, np.empty(32, np.int32))


def test_an_error_of_the_compiler_is_in_the_log():
    code, log = Nvrtc(build_nvrtc()).compile('extern "C" __global__ void f(float* x) {\n  x[0] = y;\n}')
    assert code is None
    assert "kernel.cu:2:" in log
    assert "'y' was not declared" in log.replace("‘", "'").replace("’", "'")


@pytest.mark.parametrize("option", ["--gpu-architecture=sm_12", "--fast"])
def test_an_unknown_option_is_refused(option):
    code, log = Nvrtc(build_nvrtc()).compile("", options=[option])
    assert code is None
    assert option.split("=")[-1] in log


def in_new_process(body, flags, **environment):
    """The outcome of launching a kernel `void f(int* x, int n)` with x of 8 elements and n = 8, built with these flags."""
    script = f"""if 1:
        import numpy as np, sys, pathlib, tempfile
        from tests.gpu.test_emulator import Module
        with tempfile.TemporaryDirectory() as folder:
            module = Module('''extern "C" __global__ void f(int* x, int n) {{\\n{body}\\n}}''', pathlib.Path(folder))
            try: module.launch("f", (1,), (4,), np.full(8, 2**31 - 1, np.int32), np.int32(8))
            except RuntimeError as error: print(error)
        """
    environment = {**os.environ, "CUDA_EMULATOR_FLAGS": flags, **environment}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("body, message", [
    ("x[0] = 1 << (n + 30);", "shift exponent 38 is too large"),
    ("x[threadIdx.x] += threadIdx.x == 2;", "signed integer overflow"),
    ("__shared__ int s[8]; s[n] = 1;", "index 8 out of bounds")])
def test_undefined_behaviour_is_an_error(body, message):
    outcome = in_new_process(body, "-fsanitize=undefined")
    assert outcome.stdout.startswith("kernel f: block (0, 0, 0): thread ("), outcome.stderr
    assert message in outcome.stdout.lower()


@pytest.mark.slow
def test_fibers_of_the_c_library():
    """What processors other than x86-64 use."""
    outcome = in_new_process("for (int i = 0; i < 9; i++) __syncthreads(); x[0] = __shfl_xor_sync(15, n, 1); assert(n < 8);",
                             "-DCUDA_EMULATOR_UCONTEXT")
    assert "assert(n < 8) does not hold" in outcome.stdout, outcome.stderr


@pytest.mark.slow
@pytest.mark.parametrize("body", ["x[n] = 1;", "__syncthreads(); x[n + threadIdx.x] = 1;",
                                  "MXCY_DYN_SHARED(int, s); s[threadIdx.x] = n;"])
def test_address_sanitizer_finds_accesses_out_of_bounds(body):
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    outcome = in_new_process(body, "-fsanitize=address -g", LD_PRELOAD=library, ASAN_OPTIONS="detect_leaks=0",
                             PYTHONMALLOC="malloc")
    assert outcome.returncode
    assert "heap-buffer-overflow" in outcome.stderr
    assert "kernel.cu:2" in outcome.stderr


@pytest.mark.slow
def test_address_sanitizer_knows_fibers():
    """Without what fiber.h tells it, the change of stacks is reported as an error."""
    library = subprocess.run(["g++", "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    outcome = in_new_process("int y[4] = {n, n, n, n}; for (int i = 0; i < 9; i++) { __syncthreads(); y[threadIdx.x] += i; "
                             "x[threadIdx.x] = __shfl_xor_sync(15, y[threadIdx.x], 1); } if (n == 8) __syncwarp(8);",
                             "-fsanitize=address -g", LD_PRELOAD=library, ASAN_OPTIONS="detect_leaks=0", PYTHONMALLOC="malloc")
    assert outcome.returncode == 0, outcome.stderr
    assert "is not in the mask" in outcome.stdout
