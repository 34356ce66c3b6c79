"""Injected faults, and processes that end or fork."""
import subprocess
import sys
import textwrap

import pytest

from tests.gpu import standin
from tests.gpu.standin import fails
from tests.gpu.tools import CHECKOUT, build_driver


def test_injected_faults(driver):
    driver.fail("cuMemAlloc", 2, standin.OUT_OF_MEMORY)
    before = driver.calls("cuMemAlloc")
    driver.malloc(8)
    with fails(standin.OUT_OF_MEMORY, match="injected"):
        driver.malloc(8)
    driver.malloc(8)
    assert driver.calls("cuMemAlloc") == before + 3
    driver.fail("cuStreamCreate", 1, standin.ILLEGAL_ADDRESS)
    for _ in range(2):                                  # such an error stays
        with fails(standin.ILLEGAL_ADDRESS):
            driver.stream()


def test_faults_from_the_environment(fresh):
    driver = fresh(FAIL="cuInit:1:999,cuStreamCreate:2:2")
    with fails(999):
        driver("cuInit", 0)
    driver.start()
    driver.stream()
    with fails(standin.OUT_OF_MEMORY):
        driver.stream()


def run(kernels, body):
    """Run a program with a driver, a stream and kernels at hand; what it printed."""
    program = textwrap.dedent(f"""
        import os, struct, threading, time
        from tests.gpu.standin import CudaError, Driver
        driver = Driver({str(build_driver())!r})
        driver.start()
        stream = driver.stream()
        module = driver.out("cuModuleLoadData", open({str(kernels)!r}, "rb").read())
        sleep = driver.function(module, "sleep")
        """) + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def kernel_file(tmp_path, kernels):
    path = tmp_path / "kernels.so"
    path.write_bytes(kernels)
    return path


def test_process_may_end_with_work_in_flight(kernel_file):
    run(kernel_file, """
        driver("cuCtxPushCurrent_v2", driver.out("cuCtxGetCurrent"))
        waiting = threading.Thread(target=lambda: driver.library.cuStreamSynchronize(stream), daemon=True)
        for _ in range(1000):
            driver.launch(sleep, struct.pack("q", 1), stream)
        waiting.start()
        """)


def test_forked_process_cannot_use_the_driver(kernel_file):
    assert run(kernel_file, """
        driver.launch(sleep, struct.pack("q", 1), stream)
        child = os.fork()
        if not child:
            try:
                driver("cuCtxSynchronize")
            except CudaError as error:
                os._exit(error.code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        driver("cuCtxSynchronize")
        """) == f"{standin.NOT_INITIALIZED}\n"
