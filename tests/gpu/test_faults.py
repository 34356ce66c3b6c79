"""What goes wrong with GPUs gives a clear error and never an abort: each in a process of its own, on the stand-ins."""
import importlib.util
import os
import subprocess
import sys

import pytest

from tests.gpu.tools import CHECKOUT, standins

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pycuda") is None, reason="PyCUDA is not installed")

HEAD = """
import gc, os, sys, threading
import numpy as np
import mxcy as mx
from mxcy import nd
from mxcy.base import MXNetError

def error(function):
    try:
        function()
    except MXNetError as problem:
        return str(problem)
    raise AssertionError("no error")
"""


@pytest.fixture
def run(tmp_path):
    """Run a script in a new process; what it printed. It must end by itself, quietly."""
    def run(script, kernels="kept", **environment):
        settings = {**os.environ, **standins(), "PYTHONPATH": str(CHECKOUT), **environment}
        if kernels == "none":
            settings["MXCY_KERNEL_CACHE"] = str(tmp_path)
        result = subprocess.run([sys.executable, "-c", HEAD + script], env=settings, capture_output=True, text=True,
                                timeout=120)
        assert result.returncode == 0 and not result.stderr, (result.returncode, result.stdout, result.stderr)
        return result.stdout
    return run


def test_no_driver(run):
    out = run("print(mx.num_gpus(), error(lambda: nd.array([1], ctx=mx.gpu())))", MXCY_LIBCUDA="/nowhere/libcuda.so")
    assert out.startswith("0 there is no GPU that mxcy can use here: no NVIDIA driver (/nowhere/libcuda.so") \
        and "mx.cpu()" in out


def test_an_old_driver(run):
    out = run("print(mx.num_gpus(), error(lambda: nd.array([1], ctx=mx.gpu())))", STANDIN_VERSION="11080")
    assert "0 NVIDIA's driver supports CUDA 11.8; mxcy needs 12 or newer" in out


def test_no_device(run):
    out = run("print(mx.num_gpus(), error(lambda: nd.array([1], ctx=mx.gpu())))", STANDIN_DEVICES="0")
    assert out.startswith("0 there is no GPU that mxcy can use here: NVIDIA's driver finds no device")


def test_no_compiler(run):
    out = run("""
x = nd.array([1], ctx=mx.gpu())
print(error(lambda: x + x))
print(x.asnumpy())
""", MXCY_LIBNVRTC="/nowhere/libnvrtc.so")
    assert "compiled with NVRTC, and it cannot be opened (/nowhere" in out and "pip install nvidia-cuda-nvrtc" in out
    assert "[1.]" in out


def test_no_pycuda(run):
    out = run("sys.modules['pycuda'] = None; print(mx.num_gpus(), error(lambda: nd.array([1], ctx=mx.gpu())))")
    assert out.startswith("2 gpu(0) needs PyCUDA, and it cannot be imported") and "pip install pycuda" in out


def test_a_source_that_does_not_compile(run):
    out = run("""
from mxcy.gpu.compiler import function
nd.array([1], ctx=mx.gpu())
print(error(lambda: function('extern "C" __global__ void f() { nonsense; }', "f", 0)))
""")
    assert "a kernel does not compile:" in out and "nonsense" in out and "   1 | extern" in out


def test_a_cache_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    out = run("print((nd.array([1, 2], ctx=mx.gpu()) * 3).asnumpy())", MXCY_KERNEL_CACHE=str(tmp_path / "file"))
    assert "[3. 6.]" in out


def test_a_kernel_that_fails_spoils_the_device_but_not_the_program(run):
    out = run("""
x = nd.array([1, 2], ctx=mx.gpu())
host = nd.array([1, 2])
y = x + x
print(error(y.asnumpy))
print(error(lambda: (x * 2).asnumpy()))
print(error(lambda: nd.array([1], ctx=mx.gpu())))
print((host + host).asnumpy())
del x, y
gc.collect()
""", STANDIN_FAIL="cuStreamWaitEvent:2:719")
    assert out.count("cannot use the device any more") + out.count("failed before") >= 2 and "[2. 4.]" in out


def test_out_of_memory(run):
    out = run("""
held = []
def fill():
    while True:
        held.append(nd.zeros((1 << 20,), ctx=mx.gpu(), dtype="uint8"))
print(error(fill))
held.clear()
print(nd.zeros((24 << 20,), ctx=mx.gpu(), dtype="uint8").shape)         # in place of many small ones that are cached
""".replace("nd.zeros", "nd.empty"), STANDIN_MEMORY=str(32 << 20))
    assert "gpu(0) is out of memory: 1,048,576 bytes were asked for" in out and "(25165824,)" in out


def test_memory_of_uploads_and_of_kernels_is_one(run):
    """What is cached for one of the two serves the other before there is none."""
    out = run("""
from mxcy.storage import device_memory
def upload(n):
    return nd.array(np.ones(n, np.uint8), ctx=mx.gpu(), dtype="uint8")
small = [upload(1000) for i in range((8 << 20) // 1024)]            # all that is not in large blocks
large = [upload(8 << 20) for i in range(2)]
del small, large
cached = device_memory(0)["cached"]
held = [nd.empty((1000,), ctx=mx.gpu(), dtype="uint8") for i in range((8 << 20) // 1024)]
print(cached >> 20, nd.empty((20 << 20,), ctx=mx.gpu(), dtype="uint8").shape, upload(20 << 20).asnumpy().min())
""", STANDIN_MEMORY=str(32 << 20))
    assert out == "24 (20971520,) 1\n"


def test_fork(run):
    out = run("""
x = nd.array([1, 2], ctx=mx.gpu())
(x + 1).asnumpy()
child = os.fork()
if child == 0:
    assert "'spawn'" in error(lambda: x + 1) and "'spawn'" in error(x.asnumpy)
    assert (nd.array([1]) + 1).asnumpy() == 2
    del x
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), (x + 1).asnumpy())
""")
    assert out == "7 [2. 3.]\n"


def test_exit_with_work_in_flight(run):
    assert run("""
x = nd.array(np.ones(1000), ctx=mx.gpu())
for i in range(50):
    x = x + 1
threading.Thread(target=lambda: x.as_in_context(mx.gpu(1))).start()
""", STANDIN_DELAY_US="2000") == ""


def test_many_steps_keep_memory_flat(run):
    out = run("""
import resource
from mxcy.storage import device_memory, locked_memory, memory

def steps(n):
    x, ones = nd.array(np.ones(100), ctx=mx.gpu()), nd.ones(100, ctx=mx.cpu_pinned())
    for i in range(n):
        x = x * 0.5 + (nd.array(np.ones(100), ctx=mx.gpu()) if i % 2 else ones.as_in_context(mx.gpu()))
    x.wait_to_read()
    nd.waitall()
    return (*device_memory(0).values(), *locked_memory(0).values(), memory()["in_use"],
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

before, after = steps(2000), steps(10000)
print(*(b - a for a, b in zip(before[:-1], after)), after[-1] - before[-1] < 4096)
""")
    assert out == "0 0 0 0 0 0 0 True\n"


def test_page_locked_memory_without_a_gpu(run):
    out = run("""
x = nd.array([1, 2], ctx=mx.cpu_pinned()) + 1
print(x.context, x.asnumpy())
data = gluon.data.DataLoader(gluon.data.ArrayDataset(np.arange(4)), 2, pin_memory=True)
print([batch.context for batch in data], locked_memory(0)["peak"])
""".replace("x =", "from mxcy import gluon\nfrom mxcy.storage import locked_memory\nx =", 1), MXCY_LIBCUDA="/nowhere/libcuda.so")
    assert out == "cpu_pinned(0) [2. 3.]\n[cpu(0), cpu(0)] 0\n"


def test_page_locked_memory_in_a_forked_process(run):
    out = run("""
x = nd.array([1, 2], ctx=mx.cpu_pinned())
x.as_in_context(mx.gpu()).wait_to_read()
child = os.fork()
if child == 0:
    y = nd.array([3], ctx=mx.cpu_pinned()) + 1
    assert y.asnumpy() == 4 and "'spawn'" in error(lambda: y.as_in_context(mx.gpu()))
    del x
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), x.asnumpy())
""")
    assert out == "7 [1. 2.]\n"


SEVERAL = """
from mxcy import autograd, gluon
two = [mx.gpu(0), mx.gpu(1)]
param = gluon.Parameter("w", shape=(4,))
param.initialize("ones", ctx=two)
trainer = gluon.Trainer([param], "sgd", {"learning_rate": .5})

def step():
    with autograd.record():
        losses = [(data * 2).sum() for data in param.list_data()]
    autograd.backward(losses)
    trainer.step(1)
    return [data.asnumpy().tolist() for data in param.list_data()]
"""


@pytest.mark.parametrize("nccl", [True, False])
def test_one_of_several_devices_fails(run, nccl):
    """The error names that device, and the others go on."""
    out = run(SEVERAL + """
import ctypes
driver = ctypes.CDLL(os.environ["MXCY_LIBCUDA"])
print(step())
x = nd.array([1, 2], ctx=two[1])
driver.standin_fail(b"cuLaunchKernel", 1, 719)
print(error(lambda: (x * 3).asnumpy()))
print(error(step))
print(error(step))
print(param.data(two[0]).asnumpy(), (nd.array([1, 2], ctx=two[0]) + 1).asnumpy())
""", **({} if nccl else {"MXCY_LIBNCCL": ""}))
    lines = out.splitlines()
    assert lines[0] == str([[-1.0] * 4] * 2) and lines[-1] == "[-1. -1. -1. -1.] [2. 3.]"
    assert all("gpu(1)" in line and "gpu(0)" not in line for line in lines[1:-1]), lines


def test_no_nccl(run):
    out = run(SEVERAL + """
print(step())
print(error(lambda: mx.kv.create("nccl")))
""", MXCY_LIBNCCL="/nowhere/libnccl.so.2")
    assert str([[-1.0] * 4] * 2) in out and "the store 'nccl' needs NCCL" in out and "'device', which works" in out


def test_nccl_that_cannot_join_devices(run):
    out = run(SEVERAL + """
import ctypes
ctypes.CDLL(os.environ["MXCY_LIBNCCL"]).standin_nccl_fail(b"ncclCommInitAll", 1)
print(error(step))
""")
    assert "NCCL cannot join the devices (0, 1): a fault that was injected. NCCL_DEBUG=WARN tells more" in out


def test_devices_that_are_not_connected(run):
    assert str([[-1.0] * 4] * 2) in run(SEVERAL + "print(step())", STANDIN_PEERS="0", MXCY_LIBNCCL="")
