"""Unmodified PyCUDA on the stand-in driver."""
import subprocess
import sys
import textwrap

import pytest

from tests.gpu.tools import CHECKOUT, build, build_driver

pytest.importorskip("pycuda", reason="PyCUDA is not installed: python -m tests.gpu.build_pycuda")


def run(program, kernels="", **environment):
    """Run a program in a process of its own, with the driver opened as mxcy opens it; what it printed."""
    before = f"""
import ctypes
from pathlib import Path
ctypes.CDLL({str(build_driver())!r}, ctypes.RTLD_GLOBAL)
import numpy as np
import pycuda.driver as cuda
cuda.init()
context = cuda.Device(0).retain_primary_context()
context.push()
module = cuda.module_from_buffer(Path({str(kernels)!r}).read_bytes()) if {str(kernels)!r} else None
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", before + textwrap.dedent(program)], cwd=CHECKOUT,
                          env={"PATH": "", "HOME": str(CHECKOUT / "build"), **environment}, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kernels():
    return build([CHECKOUT / "tests/gpu/driver/kernels/by_hand.cpp"], "by_hand.so")


def test_devices():
    assert run("""
        device = cuda.Device(1)
        print(cuda.Device.count(), device.name(), device.compute_capability(), device.total_memory() >> 20)
        print(device.get_attribute(cuda.device_attribute.MAX_THREADS_PER_BLOCK), cuda.get_driver_version())
        device.get_attributes()
        context.pop()
        """, STANDIN_DEVICES="3", STANDIN_MEMORY=str(64 << 20)) == "3 CPU as CUDA device 1 (9, 0) 64\n1024 13000\n"


def test_launch_between_asynchronous_copies(kernels):
    assert run("""
        stream, done = cuda.Stream(), cuda.Event()
        host = cuda.pagelocked_empty(1000, np.float32)
        host[:] = np.arange(1000)
        x = cuda.mem_alloc(host.nbytes)
        twice = module.get_function("twice")
        twice.prepare("PL")
        cuda.memcpy_htod_async(x, host, stream)
        twice.prepared_async_call((1, 1), (32, 1, 1), stream, x, 1000)
        twice(x, np.int64(1000), block=(32, 1, 1), stream=stream)
        cuda.memcpy_dtoh_async(host, x, stream)
        done.record(stream)
        done.synchronize()
        print((host == 4 * np.arange(1000)).all(), done.query())
        start = cuda.Event().record(stream)
        end = cuda.Event().record(stream)
        end.synchronize()
        print(end.time_since(start) >= 0)
        x.free()
        context.pop()
        """, kernels, STANDIN_DELAY_US="500") == "True True\nTrue\n"


def test_missing_wait_gives_wrong_numbers(kernels):
    program = """
        streams, event = [cuda.Stream(), cuda.Stream()], cuda.Event()
        host = cuda.pagelocked_empty(1000, np.float32)
        x = cuda.mem_alloc(host.nbytes)
        twice = module.get_function("twice")
        twice.prepare("PL")
        wrong = 0
        for _ in range(20):
            cuda.memcpy_htod(x, np.ones(1000, np.float32))
            twice.prepared_async_call((1, 1), (32, 1, 1), streams[0], x, 1000)
            if WAITS:
                streams[1].wait_for_event(event.record(streams[0]))
            cuda.memcpy_dtoh_async(host, x, streams[1])
            streams[1].synchronize()
            wrong += (host != 2).any()
            streams[0].synchronize()
        print(wrong > 0)
        context.pop()
        """
    for waits in (True, False):
        assert run(program.replace("WAITS", str(waits)), kernels, STANDIN_DELAY_US="1000") == f"{not waits}\n"


def test_errors(kernels):
    assert run("""
        try:
            cuda.mem_alloc(2 << 20)
        except cuda.MemoryError as error:
            print(error)
        module.get_function("broken")(np.int64(0), block=(32, 1, 1))
        try:
            context.synchronize()
        except cuda.LaunchError as error:
            print(error)
        context.pop()
        """, kernels, STANDIN_MEMORY=str(1 << 20)) == ("cuMemAlloc failed: out of memory\n"
                                                       "cuCtxSynchronize failed: unspecified launch failure\n")


def test_arrays():
    assert run("""
        from pycuda import gpuarray
        x = gpuarray.to_gpu(np.arange(12.0).reshape(3, 4))
        print(np.array_equal(x.get(), np.arange(12).reshape(3, 4)), x.__cuda_array_interface__["shape"])
        x.gpudata.free()
        context.pop()
        """) == "True (3, 4)\n"


def test_process_may_end_with_work_in_flight(kernels):
    run("""
        sleep, stream = module.get_function("sleep"), cuda.Stream()
        for _ in range(1000):
            sleep(np.int64(1), block=(32, 1, 1), stream=stream)
        context.pop()
        """, kernels)
